package supervisor

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/guest"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/seccomp"
	"github.com/moss-sandbox/moss/userns/seccomp/profile"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// aptSandbox tells apt not to change its user: it checks afterwards that it did, which the single id cannot give.
const aptSandbox = "APT::Sandbox::User \"root\";\n"

// plan decides what the birth list of a container does.
func (e *Env) plan(c *sandbox.Snapshot, place Placement) (*guest.Birth, error) {
	ns := e.Namespace
	b := &guest.Birth{
		Spec: c.Spec, Dir: c.Dir, Mnt: e.Dirs.Mnt(), SetGroups: !ns.Map.Single(), RealRoot: ns.RealRoot,
		Cgroup: place.CgroupFD >= 0, Affinity: place.Affinity, Nice: place.Nice, Present: present,
		Wait: e.Network != nil && usesNetwork(c.Spec.Host.Network),
	}
	if c.Spec.Root.Kind == spec.Fuse {
		b.FuseOverlay = e.FuseOverlay()
	}
	b.UIDMap, b.GIDMap = ns.Map.Nested()
	b.LastGID, b.CPUs = ns.Map.LastGID(), possibleCPUs()
	if ns.Map.Single() {
		u := c.Spec.Process.User
		b.UIDMap, b.GIDMap = fmt.Sprintf("%d 0 1\n", u.UID), fmt.Sprintf("%d 0 1\n", u.GID)
		b.LastGID = int64(u.GID)
		if usesAPT(c.Spec.Process.Env) {
			b.APTConfig = aptSandbox
		}
	}
	var err error
	if _, id := SharedWith(&c.Spec.Host); place.Nproc > 0 && id == "" { // those of another container are counted there
		b.Nproc = place.Nproc
		b.BetweenUIDMap, b.BetweenGIDMap = ns.Map.Nested()
	}
	b.Upper = place.Upper
	if len(place.Rlimits) > 0 {
		sp := *c.Spec
		sp.Process.Rlimits = addRlimits(sp.Process.Rlimits, place.Rlimits)
		b.Spec = &sp
	}
	if b.Filter, err = e.filter(&c.Spec.Process, place); err != nil {
		return nil, err
	}
	b.HostFiles, err = e.hostFiles(c)
	return b, err
}

// usesAPT tells whether the environment points apt at moss's configuration.
func usesAPT(env []string) bool {
	for _, v := range env {
		if v == "APT_CONFIG="+guest.APTConfigPath {
			return true
		}
	}
	return false
}

// addRlimits adds limits to a process's own; where both name a resource, the lower one counts.
func addRlimits(own, more []spec.Rlimit) []spec.Rlimit {
	out := slices.Clone(own)
	for _, r := range more {
		i := slices.IndexFunc(out, func(o spec.Rlimit) bool { return o.Resource == r.Resource })
		if i < 0 {
			out = append(out, r)
			continue
		}
		out[i].Soft = min(out[i].Soft, r.Soft)
	}
	return out
}

// filter is the seccomp program of a process. One that is put on some CPUs without a cgroup has its own calls to leave them
// answered without effect, unless it asked for no filter.
func (e *Env) filter(p *spec.Process, place Placement) ([]byte, error) {
	f, err := e.rules(p)
	if err != nil || len(place.Affinity) == 0 || p.Seccomp.Unconfined || p.Privileged {
		return f, err
	}
	keep, err := seccomp.KeepAffinity(seccomp.Machine(runtime.GOARCH))
	if err != nil {
		return nil, err
	}
	return seccomp.Join(keep, f)
}

// rules is what a process's own confinement asks for.
func (e *Env) rules(p *spec.Process) ([]byte, error) {
	machine := seccomp.Machine(runtime.GOARCH)
	var f seccomp.Filter
	var err error
	switch {
	case p.Seccomp.Unconfined || p.Privileged:
	case len(p.Seccomp.Profile) > 0:
		f, err = profile.Compile(p.Seccomp.Profile, profile.Host{Machine: machine, Kernel: sys.KernelRelease()}, p.Caps)
	default:
		f, err = seccomp.Default(machine, p.Caps)
	}
	if err != nil {
		return nil, fmt.Errorf("seccomp filter: %w", err)
	}
	if !e.Namespace.Map.Single() {
		return f, nil
	}
	single, err := seccomp.SingleID(machine)
	if err != nil || len(f) == 0 {
		return single, err
	}
	return seccomp.Join(single, f)
}

// possibleCPUs is how many processors this machine may have: the end of a list such as "0-7".
func possibleCPUs() int {
	b, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		return 0
	}
	s := strings.TrimSpace(string(b))
	n, err := strconv.Atoi(s[strings.LastIndexAny(s, "-,")+1:])
	if err != nil {
		return 0
	}
	return n + 1
}

func present(path string) bool {
	var st syscall.Stat_t
	return syscall.Lstat(path, &st) == nil
}

// hostFiles writes the container's own hosts, hostname and resolv.conf, and says where they are shown.
func (e *Env) hostFiles(c *sandbox.Snapshot) ([]guest.HostFile, error) {
	dir := c.Path("etc")
	if err := e.Dirs.Ensure(dir); err != nil {
		return nil, err
	}
	if id := spec.Share(c.Spec.Host.Network).Of(); id != "" {
		return filesOf(c, e.Dirs.Open(id).Path("etc")), nil
	}
	var out []guest.HostFile
	for _, f := range []struct{ name, content string }{
		{"hosts", hosts(c.Spec)},
		{"hostname", c.Spec.Host.Hostname + "\n"},
		{"resolv.conf", resolvConf(&c.Spec.Host)},
	} {
		path := dir + "/" + f.name
		if mounted(c.Spec, "/etc/"+f.name) {
			continue
		}
		if !present(path) || f.name == "hosts" { // what the container wrote stays over a restart, as with Docker
			if err := os.WriteFile(path, []byte(f.content), 0o644); err != nil {
				return nil, err
			}
			if err := e.Dirs.Own(path); err != nil {
				return nil, err
			}
		}
		out = append(out, guest.HostFile{Source: path, Target: "/etc/" + f.name})
	}
	return out, nil
}

// filesOf shows the files of the container whose network is shared.
func filesOf(c *sandbox.Snapshot, dir string) (out []guest.HostFile) {
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		if !mounted(c.Spec, "/etc/"+name) && present(dir+"/"+name) {
			out = append(out, guest.HostFile{Source: dir + "/" + name, Target: "/etc/" + name})
		}
	}
	return out
}

func mounted(s *spec.Spec, target string) bool {
	for _, m := range s.Mounts {
		if m.Target == target {
			return true
		}
	}
	return false
}

// hosts is the content of /etc/hosts: the machine's with the machine's network, else Docker's lines.
func hosts(s *spec.Spec) string {
	var b strings.Builder
	if s.Host.Network == string(spec.FromHost) {
		if h, err := os.ReadFile("/etc/hosts"); err == nil {
			b.Write(h)
		}
	}
	if b.Len() == 0 {
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n" +
			"ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")
	}
	for _, h := range s.Host.ExtraHosts {
		name, addr, ok := strings.Cut(strings.Replace(h, "=", ":", 1), ":")
		if addr == spec.HostGateway && usesNetwork(s.Host.Network) {
			continue // the network knows
		}
		if addr == spec.HostGateway {
			addr = "127.0.0.1"
		}
		if ok {
			b.WriteString(addr + "\t" + name + "\n")
		}
	}
	return b.String()
}

// resolvConf is the machine's own for its network, and Docker's for others: the resolver at 127.0.0.11 that the network
// puts into the container. That one knows --dns and the names of the other containers; the search list is the machine's.
func resolvConf(h *spec.Host) string {
	host, _ := os.ReadFile("/etc/resolv.conf") // a machine without it searches nowhere
	servers, search, options := h.DNS, h.DNSSearch, h.DNSOptions
	if usesNetwork(h.Network) {
		servers = []string{"127.0.0.11"}
		if len(search) == 0 {
			search = searchList(string(host))
		}
		if len(options) == 0 {
			options = []string{"ndots:0"}
		}
	}
	if len(servers) == 0 {
		return string(host)
	}
	var b strings.Builder
	for _, s := range servers {
		b.WriteString("nameserver " + s + "\n")
	}
	if len(search) > 0 && search[0] != "." { // --dns-search . is none
		b.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	if len(options) > 0 {
		b.WriteString("options " + strings.Join(options, " ") + "\n")
	}
	return b.String()
}

// searchList is the last search or domain line of a resolv.conf(5).
func searchList(text string) (list []string) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "search" || f[0] == "domain") {
			list = f[1:]
		}
	}
	return list
}

// A CommandError says that the command could not be executed: Code is 127 where there is no such file, 126 where it may
// not be executed, 255 where the file is no program.
type CommandError struct {
	Code int
	text string
	err  error
}

func (e *CommandError) Error() string { return e.text }
func (e *CommandError) Unwrap() error { return e.err }

// explain turns a failed call of a birth list into Docker's sentences.
func (b *birth) explain(err error) error {
	return explain(err, b.c.Spec.Process.Args[0])
}

func explain(err error, name string) error {
	var ce *spawn.CallError
	if !errors.As(err, &ce) {
		return err
	}
	if ce.Call == guest.ExecCall {
		return commandError(ce.Errno, name)
	}
	if strings.HasPrefix(ce.Call, guest.ChdirCall) {
		return &CommandError{Code: 126, text: "OCI runtime create failed: unable to start container process: " + ce.Call + " set in config.json failed: " + ce.Errno.Error() + ": unknown", err: ce}
	}
	return fmt.Errorf("starting container process caused: %w", err)
}

// commandError is runc's sentence for a command that cannot be executed, which Docker hands on.
func commandError(errno syscall.Errno, name string) error {
	const start = "unable to start container process: "
	e := &CommandError{err: errno}
	switch {
	case errno == syscall.ENOEXEC:
		e.Code, e.text = 255, "exec "+name+": exec format error"
	case (errno == syscall.ENOENT || errno == syscall.ENOTDIR) && strings.Contains(name, "/"):
		e.Code, e.text = 127, start+"exec: "+strconv.Quote(name)+": stat "+name+": no such file or directory: unknown"
	case errno == syscall.EACCES && strings.Contains(name, "/"):
		e.Code, e.text = 126, start+"exec: "+strconv.Quote(name)+": permission denied: unknown"
	case errno == syscall.ENOENT || errno == syscall.ENOTDIR || errno == syscall.EACCES:
		e.Code, e.text = 127, start+"exec: "+strconv.Quote(name)+": executable file not found in $PATH: unknown"
	default:
		e.Code, e.text = 126, start+"exec: "+strconv.Quote(name)+": "+errno.Error()+": unknown"
	}
	return e
}
