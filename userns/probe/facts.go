package probe

import "github.com/moss-sandbox/moss/userns"

// Version is that of Facts on disk.
const Version = 1

// An Outcome is how a try ended: empty for success, else the name of an errno ("EPERM") or a text. Untried says that an
// earlier refusal left no chance to try.
type Outcome string

// Untried marks what was not reached.
const Untried Outcome = "untried"

// OK tells whether the try succeeded.
func (o Outcome) OK() bool { return o == "" }

// Failed tells whether it was tried, and refused.
func (o Outcome) Failed() bool { return o != "" && o != Untried }

// Facts are what was measured on one machine for one account, as it came.
type Facts struct {
	Version  int    `json:"version"`
	Boot     string `json:"boot"`
	Kernel   string `json:"kernel"`
	UID      int    `json:"uid"`
	GID      int    `json:"gid"`
	User     string `json:"user"`
	Binary   string `json:"binary"` // this program's file
	DataRoot string `json:"data_root"`

	UserNS  UserNS  `json:"user_namespaces"`
	IDs     IDs     `json:"ids"`
	Storage Storage `json:"storage"`
	Kern    Kern    `json:"kernel_interfaces"`
	Inside  Inside  `json:"inside"`
	Session Session `json:"session"`
	Docker  Docker  `json:"docker"`
}

// UserNS is how the kernel answers to a request for a user namespace, and what tells causes apart.
type UserNS struct {
	Clone    Outcome `json:"clone"`   // with all the namespaces that a container has
	Clone3   Outcome `json:"clone3"`  // EINVAL: there
	Unshare  Outcome `json:"unshare"` // EINVAL: would be tried
	Rights   Outcome `json:"rights"`  // a mount by the root of the new namespace
	Exists   bool    `json:"exists"`  // /proc/self/ns/user
	Max      string  `json:"max_user_namespaces"`
	Allowed  string  `json:"unprivileged_userns_clone"` // Debian's and Ubuntu's switch
	AppArmor string  `json:"apparmor_restrict"`         // Ubuntu's switch
}

// IDs is which ids can be mapped.
type IDs struct {
	Means   userns.Means `json:"means"` // what was found
	Why     string       `json:"why,omitempty"`
	Count   uint32       `json:"count"`
	Helpers []Helper     `json:"helpers"`
	Map     Outcome      `json:"map"` // writing the map with those means
}

// A Helper is newuidmap or newgidmap.
type Helper struct {
	Name       string `json:"name"`
	Path       string `json:"path"` // empty: not installed
	Privileged bool   `json:"privileged"`
}

// Storage is what the data root can do.
type Storage struct {
	FSType   string  `json:"fs_type"`
	Network  bool    `json:"network"`
	ReadOnly bool    `json:"read_only"`
	NoExec   bool    `json:"no_exec"`
	Write    Outcome `json:"write"`
	Xattr    Outcome `json:"xattr"`
	Tmpfile  Outcome `json:"tmpfile"`
	Overlay  Outcome `json:"overlay"` // mounted with userxattr, a file of the lower layer deleted
	FuseTool string  `json:"fuse_overlayfs,omitempty"`
	FuseDev  Outcome `json:"fuse_device"`
	FreeMB   uint64  `json:"free_mb"`
}

// Kern is what the kernel offers anybody.
type Kern struct {
	Memfd    Outcome `json:"memfd"`
	Openat2  Outcome `json:"openat2"`
	Pidfd    Outcome `json:"pidfd"`
	Getfd    Outcome `json:"pidfd_getfd"` // of a process in a namespace of ours
	Yama     string  `json:"yama"`
	Seccomp  Outcome `json:"seccomp"`
	Inotify  Outcome `json:"inotify"`
	PingHost string  `json:"ping_group_range"`
}

// Inside is what root of a new user namespace may do.
type Inside struct {
	Proc   Outcome `json:"proc"`
	Sysfs  Outcome `json:"sysfs"`
	Veth   Outcome `json:"veth"`
	Bridge Outcome `json:"bridge"`
	Packet Outcome `json:"packet"`
	Nft    Outcome `json:"nft"`
	Tun    Outcome `json:"tun"`
	Ping   Outcome `json:"ping_group_range"`
}

// Session is what the login gives.
type Session struct {
	RuntimeDir  string   `json:"runtime_dir"` // $XDG_RUNTIME_DIR
	RuntimeOK   bool     `json:"runtime_ok"`  // it is this user's, and nobody else may enter
	Systemd     bool     `json:"systemd"`
	Manager     bool     `json:"user_manager"` // the user's systemd answers at its socket
	Linger      bool     `json:"linger"`
	CgroupV2    bool     `json:"cgroup_v2"`
	Controllers []string `json:"controllers,omitempty"` // delegated to the user's systemd
	Sudo        bool     `json:"sudo,omitempty"`        // root by way of sudo
}

// Docker is the program that `docker` means in this PATH.
type Docker struct {
	Path string `json:"path,omitempty"`
	Ours bool   `json:"ours,omitempty"` // it is this program
}
