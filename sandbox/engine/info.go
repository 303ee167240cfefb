package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/host"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Info is what `moss info` and the API's /info tell.
type Info struct {
	ID                       string // of this account's state on this machine
	Running, Paused, Stopped int
	Images                   int
	Storage                  string // the kind of root file system
	FileSystem               string // below the data root
	CgroupVersion            string
	Limits                   bool // containers get limits
	Networks                 bool // and networks of their own
	Kernel                   string
	OS, OSVersion            string // of the distribution
	CPUs                     int
	Memory                   int64 // bytes
	Name                     string
	DataRoot                 string
	RealRoot                 bool
	IDs                      string // newuidmap, direct or own: how ids are mapped
	IDCount                  uint32 // users of a container
	Registries               map[string]Registry
	HTTPProxy, HTTPSProxy    string // of the environment
	NoProxy                  string
	Host                     []HostLine
	Bad                      []error // containers that cannot be read
}

// Info tells about the account's state and the machine.
func (e *Engine) Info(ctx context.Context) (*Info, error) {
	h, err := e.Host(ctx)
	if err != nil {
		return nil, err
	}
	kind, err := e.storage()
	if err != nil {
		return nil, err
	}
	i := &Info{
		ID: e.stateID(), Storage: string(kind), FileSystem: h.facts.Storage.FSType, CgroupVersion: "1", Limits: host.Expect().Rung != limits.RungNone, Networks: h.network,
		Kernel: sys.KernelRelease(), CPUs: runtime.NumCPU(), Memory: memory(), DataRoot: e.Dirs.Data, RealRoot: e.realRoot,
		IDs: string(h.facts.IDs.Means), IDCount: h.facts.IDs.Count, Registries: e.Config.Registries, Host: h.Lines(),
		HTTPProxy: cmp.Or(getenv("http_proxy"), getenv("HTTP_PROXY")), HTTPSProxy: cmp.Or(getenv("https_proxy"), getenv("HTTPS_PROXY")),
		NoProxy: cmp.Or(getenv("no_proxy"), getenv("NO_PROXY")),
	}
	if h.facts.Session.CgroupV2 {
		i.CgroupVersion = "2"
	}
	i.OS, i.OSVersion = distribution()
	i.Name, _ = os.Hostname() // unnamed is an answer
	i.count(e.List(ctx))
	if st, err := e.Images(); err == nil {
		list, bad := st.List()
		i.Images = len(list)
		if bad != nil {
			i.Bad = append(i.Bad, bad)
		}
	}
	return i, nil
}

func (i *Info) count(all []*sandbox.Snapshot, bad []error) {
	i.Bad = append(i.Bad, bad...)
	for _, c := range all {
		switch c.State.Status {
		case sandbox.Running, sandbox.Restarting:
			i.Running++
		case sandbox.Paused:
			i.Paused++
		case sandbox.Created, sandbox.Exited, sandbox.Removing, sandbox.Dead:
			i.Stopped++
		}
	}
}

// stateID names this account's state on this machine, the same each time, in the form of a UUID.
func (e *Engine) stateID() string {
	s := sha256.Sum256([]byte(userns.Here().Machine + "\x00" + strconv.Itoa(e.Dirs.UID) + "\x00" + e.Dirs.Data))
	return fmt.Sprintf("%x-%x-%x-%x-%x", s[:4], s[4:6], s[6:8], s[8:10], s[10:16])
}

// memory is MemTotal of /proc/meminfo, in bytes.
func memory() (n int64) {
	b, _ := os.ReadFile("/proc/meminfo") // 0 is an answer
	_, rest, _ := strings.Cut(string(b), "MemTotal:")
	if f := strings.Fields(rest); len(f) > 0 {
		n, _ = strconv.ParseInt(f[0], 10, 64)
	}
	return n << 10
}

// distribution is PRETTY_NAME and VERSION_ID of os-release(5).
func distribution() (name, version string) {
	name = "Linux"
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			value = strings.Trim(value, `"'`)
			switch key {
			case "PRETTY_NAME":
				name = value
			case "VERSION_ID":
				version = value
			}
		}
		return name, version
	}
	return name, version
}
