package pasta

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moss-sandbox/moss/slirp"
)

// Program is an installed pasta.
type Program struct {
	Path     string
	Version  string
	MapGuest bool // knows --map-guest-addr (2024), and with it --map-host-loopback
}

// MissingError says that there is no usable pasta.
type MissingError struct{ cause string }

// Error says why.
func (e *MissingError) Error() string { return "network backend pasta: " + e.cause }

// Hints names the package to install.
func (e *MissingError) Hints() []string {
	return []string{"install the package passt, or leave --net-backend away: moss has its own network"}
}

// Find looks for pasta in PATH and reads what it can do. The error is a *MissingError.
func Find() (*Program, error) {
	path, err := exec.LookPath("pasta")
	if err != nil {
		return nil, &MissingError{"it is not installed"}
	}
	version, err := exec.Command(path, "--version").Output()
	if err != nil {
		return nil, &MissingError{fmt.Sprintf("%s --version: %v", path, err)}
	}
	help, _ := exec.Command(path, "--help").CombinedOutput() // old ones end with 1 here
	p := parse(string(version), string(help))
	p.Path = path
	if !strings.Contains(string(help), "--config-net") {
		return nil, &MissingError{fmt.Sprintf("version %q is too old", p.Version)}
	}
	return p, nil
}

// parse reads the words of --version and --help.
func parse(version, help string) *Program {
	first, _, _ := strings.Cut(version, "\n")
	return &Program{Version: strings.TrimPrefix(first, "pasta "), MapGuest: strings.Contains(help, "--map-guest-addr")}
}

// resolver is the address inside at which pasta passes questions on to the host's resolver.
const resolver = "169.254.1.1"

// Config is one container's network.
type Config struct {
	Container     string // its id
	NetNS, UserNS string // files of its namespaces (/proc/PID/ns/…)
	Dir           string // for the pid file
	Interface     string
	MTU           int
	HostLoopback  bool // the gateway's address leads to the host's loopback
}

func (c *Config) pidFile() string { return filepath.Join(c.Dir, "pasta-"+c.Container[:12]+".pid") }

// arguments are those of one container's process; ports are bound addresses with host port numbers.
func (p *Program) arguments(c *Config, ports []slirp.Published) []string {
	a := []string{"--config-net", "--quiet", "--pid", c.pidFile(), "--ns-ifname", c.Interface, "--mtu", strconv.Itoa(c.MTU), "--dns-forward", resolver,
		"--tcp-ns", "none", "--udp-ns", "none"}
	if os.Geteuid() == 0 {
		a = append(a, "--runas", "0:0") // this namespace's root, else it becomes nobody and cannot enter
	}
	if !c.HostLoopback {
		a = append(a, "--no-map-gw")
	}
	a = append(a, portArguments("--tcp-ports", slirp.TCP, ports)...)
	a = append(a, portArguments("--udp-ports", slirp.UDP, ports)...)
	return append(a, "--userns", c.UserNS, "--netns", c.NetNS)
}

// portArguments names each port; without any, "none": the default would publish everything.
func portArguments(option string, proto slirp.Proto, ports []slirp.Published) []string {
	var a []string
	for _, p := range ports {
		if p.Port.Proto != proto {
			continue
		}
		spec := fmt.Sprintf("%d:%d", p.Host.Port(), p.Port.Number)
		if !p.Host.Addr().IsUnspecified() {
			spec = p.Host.Addr().String() + "/" + spec
		}
		a = append(a, option, spec)
	}
	if len(a) == 0 {
		return []string{option, "none"}
	}
	return a
}

type startError struct {
	said  string
	err   error
	hints []string
}

// explain turns what the process said into an error with the remedy that fits.
func explain(said string, err error) error {
	e := &startError{said: strings.TrimSpace(said), err: err}
	if strings.Contains(said, "/dev/net/tun") || strings.Contains(said, "tap device") || strings.Contains(said, "tun socket") {
		e.hints = []string{"pasta needs /dev/net/tun, which this account may not open; moss's own network does not need it: leave --net-backend away"}
	}
	return e
}

func (e *startError) Error() string {
	return fmt.Sprintf("starting pasta: %v: %s", e.err, e.said[strings.LastIndexByte(e.said, '\n')+1:])
}
func (e *startError) Unwrap() error   { return e.err }
func (e *startError) Hints() []string { return e.hints }
