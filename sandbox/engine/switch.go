package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/moss-sandbox/moss/slirp/switchd"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/sys"
)

// switchLinger is how long a switch without containers waits for the next one, as long as a supervisor does.
const switchLinger = 300 * time.Millisecond

// fullSwitch is a private file of the runtime directory: while it is there, the next switch is the full program's.
const fullSwitch = "/switch.full"

// RunSwitch is the switch's role. Its file is the user's namespace's users file, whose lock keeps the namespace to be found
// as long as this process serves.
func RunSwitch(ctx context.Context, inv *role.Invocation) error {
	var cfg switchd.Config
	if err := inv.Decode(&cfg); err != nil {
		return err
	}
	for _, f := range inv.Files {
		defer f.Close()
	}
	withNetstack(&cfg)
	return switchd.Main(ctx, cfg, inv.Files)
}

// startSwitch starts a switch in the user's namespace; one that is there already makes it end at once.
func (e *Engine) startSwitch() error {
	ns, err := e.Namespace()
	if err != nil {
		return err
	}
	use, err := sys.DupAbove(ns.Use(), 3)
	if err != nil {
		return err
	}
	users := os.NewFile(uintptr(use), "users")
	defer users.Close()
	cmd := role.Command{
		Name: switchd.RoleName, Body: switchd.Config{Dir: e.Dirs.Run, Linger: switchLinger}, Files: []*os.File{users}, Setsid: true, Heavy: e.needsFullSwitch(),
	}
	p, err := cmd.StartInside(ns, role.HostMounts)
	if err != nil {
		return err
	}
	go p.Wait() //nolint:errcheck // it is only reaped here
	return nil
}

// needsFullSwitch tells whether a network needs what the small program has not: the last switch carried one, or somebody is
// just about to attach to one.
func (e *Engine) needsFullSwitch() bool {
	_, err := os.Lstat(e.Dirs.Run + fullSwitch)
	return err == nil || switchd.NeedsFull(e.Dirs.Run)
}

// keepSwitch has the switch replaced when it dies, as long as it carries containers and this process lives.
func (e *Engine) keepSwitch() {
	if !e.keeping.CompareAndSwap(false, true) {
		return
	}
	go func() {
		_ = switchd.Keep(context.Background(), e.Dirs.Run, e.startSwitch) // the next command tries again
		e.keeping.Store(false)
	}()
}

// withSwitch asks the user's switch, which is started if it is not there. What f does may be repeated. Where the small
// program's cannot do it, it hands over to the full program's, which stays as long as a network needs it.
func (e *Engine) withSwitch(f func(*switchd.Client) error) error {
	err := switchd.With(e.Dirs.Run, e.startSwitch, f)
	var netstack *switchd.NetstackError
	if !errors.As(err, &netstack) {
		return err
	}
	if err := os.WriteFile(e.Dirs.Run+fullSwitch, nil, 0o600); err != nil {
		return err
	}
	defer os.Remove(e.Dirs.Run + fullSwitch) //nolint:errcheck // it costs memory only
	if err := switchd.With(e.Dirs.Run, e.startSwitch, (*switchd.Client).HandOver); err != nil {
		return err
	}
	return switchd.With(e.Dirs.Run, e.startSwitch, f)
}

// ifSwitch asks the user's switch if one serves, or has left something to a successor.
func (e *Engine) ifSwitch(f func(*switchd.Client) error) error {
	const state = "/switch.json" // documented in package switchd: it is there as long as anything is attached
	if _, err := os.Lstat(e.Dirs.Run + state); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return e.withSwitch(f)
}
