package switchd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/pump"
	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/slirp/relay"
	"github.com/moss-sandbox/moss/userns/sys"
)

// RoleName is the switch's name in the role registry.
const RoleName = "switch"

// Config is the role's message.
type Config struct {
	// Dir is where socket, lock and state lie. It must belong to the namespace's root: for real root a directory of the
	// first id of its range, named /proc/self/fd/N of one of the role's files where its parents are closed to that id.
	Dir        string        `json:"dir"`
	ResolvConf string        `json:"resolvConf,omitempty"` // "": /etc/resolv.conf
	Rung       string        `json:"rung,omitempty"`       // force a rung of the ladder; "": the best that works
	Linger     time.Duration `json:"linger,omitempty"`     // how long it stays without a container; 0: 10 s

	// Netstack carries what a gateway without netfilter sends out: netstack.Start in the full program. Where it is nil (the
	// hot program does not link it) such a network ends in a NetstackError.
	Netstack func(gw *gateway.Gateway, r *relay.Relay, call func(func()) error) (io.Closer, error) `json:"-"`
}

// NetstackError says that this kernel has no netfilter for the network's rules, and this program no TCP/IP of its own: the
// full program as the switch can do it.
type NetstackError struct{ Network string }

// Error says so.
func (e *NetstackError) Error() string {
	return fmt.Sprintf("network %q: the kernel lacks nf_tables with nft_tproxy, and this switch is not the full program", e.Network)
}

// Hints names the modules.
func (e *NetstackError) Hints() []string {
	return []string{"have the administrator load the kernel modules nf_tables, nft_tproxy and nft_socket"}
}

func (c *Config) rung() gateway.Rules {
	if c.Rung == "" {
		return gateway.RulesSocket
	}
	return gateway.Rules(c.Rung)
}

func (c *Config) linger() time.Duration {
	if c.Linger == 0 {
		return 10 * time.Second
	}
	return c.Linger
}

// ErrRunning says that another switch serves the directory.
var ErrRunning = errors.New("another switch is running")

// Main is the switch: it returns nil when no container has needed it for a while, when ctx ends or when it was asked to
// hand over; what is attached stays for a successor in the latter two cases. ErrRunning when there is one already.
//
// It must run in the user's user namespace with all capabilities, in the host's network, mount and pid namespaces. files
// are not used but stay open until the end: one of them is to be the lock by which the namespace's keeper knows its users
// (userns.Namespace.Use), since what is attached can only be served from the same namespace.
func Main(ctx context.Context, cfg Config, files []*os.File) error {
	defer runtime.KeepAlive(files)
	if cfg.ResolvConf == "" {
		cfg.ResolvConf = "/etc/resolv.conf"
	}
	lock, err := takeLock(cfg.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	s, err := newService(cfg)
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// takeLock makes this process the switch of a directory. It waits for a former one that is just ending: its socket is gone
// already.
func takeLock(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting the network's switch: %w", err)
	}
	for end := time.Now().Add(startLimit); ; time.Sleep(2 * time.Millisecond) {
		err := sys.LockOFD(int(lock.Fd()))
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EACCES) {
			lock.Close()
			return nil, fmt.Errorf("locking %q: %w", lock.Name(), err)
		}
		if answers(dir) || time.Now().After(end) {
			lock.Close()
			return nil, ErrRunning
		}
	}
}

// answers tells whether a switch serves the directory. That it can be connected to is not enough: so can one that has been
// killed and is not quite dead.
func answers(dir string) bool {
	c, err := Dial(filepath.Join(dir, SocketName))
	if err != nil {
		return false
	}
	defer c.Close()
	_, err = c.Status()
	return err == nil
}

func newService(cfg Config) (*service, error) {
	host, err := reactor.New()
	if err != nil {
		return nil, err
	}
	s := &service{cfg: cfg, host: host, networks: map[string]*network{}, containers: map[string]*container{}}
	s.resolvers.path = cfg.ResolvConf
	s.pumps = &pump.Env{Spread: workers(host)}
	return s, nil
}

// run serves until the end. The host's loop runs in a goroutine without a thread of its own: any thread of this process
// but those of the gateways is in the host's network namespace.
func (s *service) run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.host.Run() }()
	s.mu.Lock()
	err := s.load()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	s.mu.Lock()
	s.reap()
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { s.mu.Lock(); defer s.mu.Unlock(); s.end() })
	defer stop()
	if err := <-ended; !errors.Is(err, reactor.ErrClosed) {
		return err
	}
	return s.leave()
}

// leave removes the socket and, where nothing is attached, the state.
func (s *service) leave() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	os.Remove(filepath.Join(s.cfg.Dir, SocketName)) //nolint:errcheck // a successor replaces it
	if len(s.containers) == 0 {
		for _, n := range s.networks {
			s.drop(n)
		}
		os.Remove(filepath.Join(s.cfg.Dir, stateName)) //nolint:errcheck // what it names is gone
	}
	return nil
}

// workers returns the choice of a loop for pairs that carry much: the host's first, then others, made when needed.
func workers(host *reactor.Loop) func() *reactor.Loop {
	var mu sync.Mutex
	loops, next := []*reactor.Loop{host}, 0
	return func() *reactor.Loop {
		mu.Lock()
		defer mu.Unlock()
		if len(loops) < min(runtime.NumCPU(), 4) {
			if l, err := reactor.New(); err == nil {
				go l.Run() //nolint:errcheck // it ends with the process
				loops = append(loops, l)
			}
		}
		next++
		return loops[next%len(loops)]
	}
}
