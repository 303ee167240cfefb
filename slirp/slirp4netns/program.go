package slirp4netns

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/moss-sandbox/moss/slirp/publish"
)

// Program is an installed slirp4netns.
type Program struct {
	Path    string
	Version string
	Sandbox bool // knows --enable-sandbox and --enable-seccomp
	API     bool // knows --api-socket
}

// MissingError says that there is no usable slirp4netns.
type MissingError struct{ cause string }

// Error says why.
func (e *MissingError) Error() string { return "network backend slirp4netns: " + e.cause }

// Hints names the package to install.
func (e *MissingError) Hints() []string {
	return []string{"install the package slirp4netns (1.0 or newer), or leave --net-backend away: moss has its own network"}
}

// Find looks for slirp4netns in PATH and reads what it can do. The error is a *MissingError.
func Find() (*Program, error) {
	path, err := exec.LookPath("slirp4netns")
	if err != nil {
		return nil, &MissingError{"it is not installed"}
	}
	version, err := exec.Command(path, "--version").Output()
	if err != nil {
		return nil, &MissingError{fmt.Sprintf("%s --version: %v", path, err)}
	}
	help, err := exec.Command(path, "--help").CombinedOutput()
	if err != nil && len(help) == 0 {
		return nil, &MissingError{fmt.Sprintf("%s --help: %v", path, err)}
	}
	p := parse(string(version), string(help))
	p.Path = path
	if major, _, _ := strings.Cut(p.Version, "."); major == "0" || !p.API {
		return nil, &MissingError{fmt.Sprintf("version %s is too old", p.Version)}
	}
	return p, nil
}

// parse reads the words of --version and --help.
func parse(version, help string) *Program {
	p := &Program{Sandbox: strings.Contains(help, "--enable-seccomp"), API: strings.Contains(help, "--api-socket")}
	first, _, _ := strings.Cut(version, "\n")
	p.Version = strings.TrimPrefix(first, "slirp4netns version ")
	return p
}

// arguments are those of one container's process. Descriptor 3 is for ready.
func (p *Program) arguments(c *Config) []string {
	a := []string{"--configure", "--mtu=" + strconv.Itoa(c.MTU), "--ready-fd=3", "--api-socket=" + c.socket(),
		"--netns-type=path", "--userns-path=" + c.UserNS}
	if !c.HostLoopback {
		a = append(a, "--disable-host-loopback")
	}
	if c.IPv6 {
		a = append(a, "--enable-ipv6")
	}
	if p.Sandbox && !c.NoSandbox {
		a = append(a, "--enable-sandbox", "--enable-seccomp")
	}
	return append(a, c.NetNS, c.Interface)
}

// explain turns what the process said into an error with the remedy that fits.
func explain(said string, err error) error {
	e := &startError{said: strings.TrimSpace(said), err: err}
	if strings.Contains(said, "/dev/net/tun") {
		e.hints = []string{"slirp4netns needs /dev/net/tun, which this account may not open; moss's own network does not need it: leave --net-backend away"}
	}
	return e
}

type startError struct {
	said  string
	err   error
	hints []string
}

func (e *startError) Error() string {
	return fmt.Sprintf("starting slirp4netns: %v: %s", e.err, lastLine(e.said))
}
func (e *startError) Unwrap() error   { return e.err }
func (e *startError) Hints() []string { return e.hints }

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

var errNoIPv6Ports = errors.New("slirp4netns publishes IPv4 ports only")

// only4 leaves out the IPv6 half of a port without address.
func only4(l []publish.Listener) []publish.Listener {
	var out []publish.Listener
	for _, x := range l {
		if x.Host.Addr().Is4() {
			out = append(out, x)
		}
	}
	return out
}
