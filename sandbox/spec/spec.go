package spec

import (
	"strings"
	"time"
)

// Version is the version of spec.json.
const Version = 1

// A Spec describes one container.
type Spec struct {
	V       int       `json:"v"`
	ID      string    `json:"id"` // 64 hex digits
	Name    string    `json:"name"`
	Created time.Time `json:"created"`

	Image   string `json:"image"`             // as typed
	ImageID string `json:"imageId,omitempty"` // sha256:…; empty for a directory

	Root    Root    `json:"root"`
	Process Process `json:"process"`
	Host    Host    `json:"host"`
	Mounts  []Mount `json:"mounts,omitempty"`

	// What the user typed, for inspect: the merged configuration stands in Process.
	Config Config `json:"config"`

	Restart    Restart           `json:"restart"`
	AutoRemove bool              `json:"autoRemove,omitempty"`
	Log        Log               `json:"log"`
	Health     *Health           `json:"health,omitempty"`
	Limits     Limits            `json:"limits"`
	Labels     map[string]string `json:"labels,omitempty"`
}

// Config is the part of the container's configuration that only inspect shows.
type Config struct {
	Env          []string            `json:"env,omitempty"` // the image's and the user's, without what the runtime adds
	Entrypoint   []string            `json:"entrypoint,omitempty"`
	Cmd          []string            `json:"cmd,omitempty"`
	ExposedPorts map[string]struct{} `json:"exposedPorts,omitempty"`
	Volumes      map[string]struct{} `json:"volumes,omitempty"`
	OnBuild      []string            `json:"onBuild,omitempty"`
	Shell        []string            `json:"shell,omitempty"`
	Domainname   string              `json:"domainname,omitempty"`
	AttachStdin  bool                `json:"attachStdin,omitempty"`
	AttachStdout bool                `json:"attachStdout,omitempty"`
	AttachStderr bool                `json:"attachStderr,omitempty"`
	Annotations  map[string]string   `json:"annotations,omitempty"`
	CIDFile      string              `json:"cidFile,omitempty"`
	Binds        []string            `json:"binds,omitempty"` // -v as typed, with an absolute source
	CapAdd       []string            `json:"capAdd,omitempty"`
	CapDrop      []string            `json:"capDrop,omitempty"`
	SecurityOpt  []string            `json:"securityOpt,omitempty"`
	GroupAdd     []string            `json:"groupAdd,omitempty"`
}

// A Kind is how the root file system is put together.
type Kind string

// The kinds of root file systems, the ladder of layers.
const (
	Overlay Kind = "overlay" // the kernel's, mounted in the user namespace with userxattr
	Fuse    Kind = "fuse"    // fuse-overlayfs
	Copy    Kind = "copy"    // a copy of the layers in the upper directory
)

// Root is the root file system: one tree, or several for a view of the machine itself.
type Root struct {
	Kind  Kind   `json:"kind"`
	Trees []Tree `json:"trees"`
	// ReadOnly makes the root read-only for the container (--read-only).
	ReadOnly bool `json:"readOnly,omitempty"`
	// Volatile leaves out the sync at the end; only for containers that are removed then.
	Volatile bool `json:"volatile,omitempty"`
}

// A Tree is one directory of the root made of layers. Upper and Work are names below the container's directory.
type Tree struct {
	Target string   `json:"target"` // "/" or an absolute path
	Lower  []string `json:"lower"`  // top first, absolute paths on the host
	Upper  string   `json:"upper"`
	Work   string   `json:"work,omitempty"`
}

// Process is the command and what it is surrounded with.
type Process struct {
	Args       []string `json:"args"`
	Env        []string `json:"env"`
	Dir        string   `json:"dir"`
	User       User     `json:"user"`
	TTY        bool     `json:"tty,omitempty"`
	Stdin      bool     `json:"stdin,omitempty"`     // keep stdin open (-i)
	StdinOnce  bool     `json:"stdinOnce,omitempty"` // close it when the first client that was attached goes
	StopSignal string   `json:"stopSignal,omitempty"`
	// StopTimeout is the time between the stop signal and SIGKILL in seconds; nil means 10.
	StopTimeout *int `json:"stopTimeout,omitempty"`

	Caps       uint64   `json:"caps"` // bounding, permitted and effective set
	NoNewPrivs bool     `json:"noNewPrivs,omitempty"`
	Seccomp    Seccomp  `json:"seccomp"`
	Privileged bool     `json:"privileged,omitempty"` // no masks, all capabilities of its own namespace
	Unmasked   bool     `json:"unmasked,omitempty"`   // no masks (--security-opt systempaths=unconfined)
	Rlimits    []Rlimit `json:"rlimits,omitempty"`
	Init       bool     `json:"init,omitempty"`
	OOMScore   int      `json:"oomScore,omitempty"`
}

// User is who runs the command. Spec is what was asked for ("", "0", "www-data:adm"), the rest what it came to.
type User struct {
	Spec   string `json:"spec,omitempty"`
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Groups []int  `json:"groups,omitempty"`
	Home   string `json:"home,omitempty"`
}

// A Seccomp says which filter the command gets.
type Seccomp struct {
	Unconfined bool   `json:"unconfined,omitempty"`
	Profile    []byte `json:"profile,omitempty"` // a profile in Docker's JSON form; empty for the default
}

// An Rlimit is one resource limit by its number on this machine.
type Rlimit struct {
	Resource int    `json:"resource"`
	Name     string `json:"name"`
	Soft     uint64 `json:"soft"`
	Hard     uint64 `json:"hard"`
}

// A Share says whose namespace a container uses.
type Share string

// The namespaces a container may use. Any other value is "container:ID".
const (
	Own       Share = ""
	FromHost  Share = "host"
	None      Share = "none" // network only: a namespace with nothing but lo
	Container Share = "container:"

	Private   Share = "private"   // Docker's word for Own
	Shareable Share = "shareable" // ipc only: Own, which others may use; moss makes no difference
)

// Of is the id of the container whose namespace is used, "" for none.
func (s Share) Of() string {
	id, ok := strings.CutPrefix(string(s), string(Container))
	if !ok {
		return ""
	}
	return id
}

// Owned tells whether the container has a namespace of its own.
func (s Share) Owned() bool { return s != FromHost && s.Of() == "" }

// HostGateway stands in --add-host for the address at which a container finds the machine.
const HostGateway = "host-gateway"

// Host is what the container shares with the machine or another container.
type Host struct {
	Hostname   string            `json:"hostname"`
	Network    string            `json:"network"` // none, host, bridge, container:ID or a name
	PID        Share             `json:"pid,omitempty"`
	IPC        Share             `json:"ipc,omitempty"`
	UTS        Share             `json:"uts,omitempty"`
	Cgroup     Share             `json:"cgroup,omitempty"`
	ShmSize    int64             `json:"shmSize"` // bytes
	Sysctls    map[string]string `json:"sysctls,omitempty"`
	ExtraHosts []string          `json:"extraHosts,omitempty"` // name:address
	DNS        []string          `json:"dns,omitempty"`
	DNSSearch  []string          `json:"dnsSearch,omitempty"`
	DNSOptions []string          `json:"dnsOptions,omitempty"`
	Ports      []string          `json:"ports,omitempty"` // -p as typed and normalised
	PublishAll bool              `json:"publishAll,omitempty"`
	Aliases    []string          `json:"aliases,omitempty"`
	IP         string            `json:"ip,omitempty"`
	IP6        string            `json:"ip6,omitempty"`
	MAC        string            `json:"mac,omitempty"`
	Links      []string          `json:"links,omitempty"`
	Devices    []Device          `json:"devices,omitempty"`
	Connected  []Connection      `json:"connected,omitempty"` // further networks

	Disconnected bool   `json:"disconnected,omitempty"` // from Network
	Backend      string `json:"netBackend,omitempty"`   // --net-backend; empty for moss's own network
}

// A Connection is a further network of a container.
type Connection struct {
	Network string   `json:"network"`
	Aliases []string `json:"aliases,omitempty"`
	IP      string   `json:"ip,omitempty"`
	IP6     string   `json:"ip6,omitempty"`
	MAC     string   `json:"mac,omitempty"`
}

// A Device is a device file of the machine shown in the container.
type Device struct {
	Source string `json:"source"`
	Target string `json:"target"`
	Perm   string `json:"perm,omitempty"`
}

// A MountType is what is mounted.
type MountType string

// The types of mounts.
const (
	Bind   MountType = "bind"
	Volume MountType = "volume"
	Tmpfs  MountType = "tmpfs"
)

// A Mount is something mounted into the container by the user's wish or the image's.
type Mount struct {
	Type     MountType `json:"type"`
	Name     string    `json:"name,omitempty"`   // a volume's
	Source   string    `json:"source,omitempty"` // absolute path on the host, or inside Within
	Within   string    `json:"within,omitempty"` // a directory on the host whose content is foreign: Source is resolved as if it were "/"
	Target   string    `json:"target"`           // absolute path in the container
	ReadOnly bool      `json:"readOnly,omitempty"`
	File     bool      `json:"file,omitempty"`    // the source is no directory
	Options  []string  `json:"options,omitempty"` // for tmpfs, and as typed
	Anon     bool      `json:"anon,omitempty"`    // removed with the container when asked
	NoCopy   bool      `json:"noCopy,omitempty"`
}

// Restart is the restart policy.
type Restart struct {
	Policy string `json:"policy,omitempty"` // no, on-failure, always, unless-stopped
	Max    int    `json:"max,omitempty"`
}

// Log says what happens to the output.
type Log struct {
	Driver  string            `json:"driver"` // json-file, local, none
	Options map[string]string `json:"options,omitempty"`
}

// Health is how the container's health is asked for. Durations in nanoseconds.
type Health struct {
	Test          []string      `json:"test,omitempty"`
	Interval      time.Duration `json:"interval,omitempty"`
	Timeout       time.Duration `json:"timeout,omitempty"`
	StartPeriod   time.Duration `json:"startPeriod,omitempty"`
	StartInterval time.Duration `json:"startInterval,omitempty"`
	Retries       int           `json:"retries,omitempty"`
}

// Limits holds the limits as asked for and what carries each of them; package limits reads and writes it.
type Limits struct {
	Asked    []byte            `json:"asked,omitempty"` // limits.Limits as JSON
	Enforced map[string]string `json:"enforced,omitempty"`
	Warning  string            `json:"warning,omitempty"`
	Strict   bool              `json:"strict,omitempty"` // a weaker mechanism is an error
}
