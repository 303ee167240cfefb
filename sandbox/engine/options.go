package engine

import (
	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// Create is what a new container is made of: everything that a user can say, parsed.
type Create struct {
	Image string
	Args  []string
	Name  string // empty: one is made up

	Env         []string // NAME=value; NAME alone takes the caller's, which the front end has looked up
	Dir         string
	User        string
	Entrypoint  *[]string // nil: the image's; empty: none
	Hostname    string
	Domainname  string
	Labels      map[string]string
	Volumes     []VolumeSpec
	TTY         bool
	Stdin       bool
	StdinOnce   bool
	AttachIn    bool
	AttachOut   bool
	AttachErr   bool
	AutoRemove  bool
	ReadOnly    bool
	Init        bool
	Privileged  bool
	Unmasked    bool // nothing of /proc and /sys is hidden
	NoNewPrivs  bool
	CapAdd      []string
	CapDrop     []string
	Seccomp     spec.Seccomp
	Ulimits     []Ulimit
	StopSignal  string
	StopTime    *int
	Restart     spec.Restart
	Log         spec.Log
	Health      *spec.Health
	NoHealth    bool
	Devices     []spec.Device
	Host        spec.Host // hostname and shm size are filled in
	Groups      []string  // --group-add
	OOMScore    int
	CIDFile     string
	Platform    string
	VolumesFrom []string // NAME[:ro|rw]
	Limits      limits.Limits
	Strict      bool   // a weaker mechanism for a limit is an error
	Pull        string // always, missing (the default), never
	Annotation  map[string]string
	Expose      []string
	Security    []string // --security-opt as typed, for inspect
}

// A VolumeSpec is one -v, --mount or --tmpfs.
type VolumeSpec struct {
	Type     spec.MountType
	Source   string // a path of the host, or a volume's name; empty for an anonymous volume
	Target   string
	ReadOnly bool
	NoCopy   bool
	Options  []string
	MakeDir  bool   // -v makes a missing directory on the host, --mount does not
	Mode     string // of -v, as typed
}

// A Ulimit is one --ulimit.
type Ulimit struct {
	Name       string
	Soft, Hard uint64
}
