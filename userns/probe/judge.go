package probe

import (
	"fmt"
	"strings"

	"github.com/moss-sandbox/moss/userns"
)

// A State is what a Line says about one ability.
type State string

// The states, in the words of `moss info`.
const (
	Works   State = "works"
	Differs State = "works differently"
	Missing State = "missing"
)

// A Line tells one ability of this machine in plain words.
type Line struct {
	Name     string `json:"name"` // stable, for scripts
	State    State  `json:"state"`
	Sentence string `json:"sentence"`
	Remedy   string `json:"remedy,omitempty"` // what would make it work better: a command, or a sentence
}

// adminCommand is the remedy that sets up everything an administrator can.
const adminCommand = "moss info --admin | sudo sh"

// Sentences renders the facts for a beginner: what works, what works differently, what is missing and what to do.
func Sentences(f Facts) []Line {
	lines := []Line{
		sandboxes(f), dataRoot(f), users(f), layers(f), attributes(f), procfs(f), network(f), ping(f), tun(f), filters(f),
		programs(f), handover(f), watching(f), cgroups(f), logout(f), runtimeDir(f), dockerWord(f),
	}
	if f.Session.Sudo {
		lines = append(lines, Line{"sudo", Differs, "These are root's containers: moss needs no sudo, and your own account has a set of its own.", "run moss without sudo"})
	}
	return lines
}

func sandboxes(f Facts) Line {
	if why := forbidden(f); why != nil {
		return Line{"sandboxes", Missing, "Nothing can run: " + why.cause + ".", why.remedy}
	}
	return Line{"sandboxes", Works, "You can make sandboxes: user namespaces work, on Linux " + f.Kernel + ".", ""}
}

func users(f Facts) Line {
	l := Line{Name: "users", State: Differs, Remedy: adminCommand}
	switch {
	case f.IDs.Map.Failed() && f.IDs.Means == userns.Helpers:
		l.Sentence = fmt.Sprintf("A container has one user only, you: mapping more was refused (%s).", f.IDs.Map)
		l.Remedy = helperRemedy(f.IDs)
	case f.IDs.Means == userns.OwnID:
		l.Sentence = "A container has one user only, you: files of images belong to you inside, and installing packages works all the same (" + f.IDs.Why + ")."
	case f.UID == 0 && f.IDs.Means == userns.Direct:
		l = Line{"users", Works, fmt.Sprintf("Root in a container is not root of this machine; a container has %d users.", f.IDs.Count), ""}
	default:
		l = Line{"users", Works, fmt.Sprintf("A container has %d users, and root in it is you.", f.IDs.Count), ""}
	}
	return l
}

// helperRemedy looks at the usual reason: copies of newuidmap without their rights.
func helperRemedy(ids IDs) string {
	for _, h := range ids.Helpers {
		if h.Path != "" && !h.Privileged {
			return h.Path + " has lost its rights: an administrator can reinstall its package (Debian, Ubuntu: apt-get install --reinstall uidmap)"
		}
	}
	return "an administrator can look at the lines of /etc/subuid and /etc/subgid"
}

func dataRoot(f Facts) Line {
	s := f.Storage
	l := Line{Name: "data", State: Differs, Remedy: "keep it elsewhere: moss --root DIR, or MOSS_ROOT=DIR in the environment"}
	switch {
	case s.Write.Failed():
		l.State, l.Sentence = Missing, fmt.Sprintf("Images and containers cannot be kept in %s: writing there is refused (%s).", f.DataRoot, s.Write)
	case s.ReadOnly:
		l.State, l.Sentence = Missing, fmt.Sprintf("Images and containers cannot be kept in %s: it is read-only.", f.DataRoot)
	case s.Network:
		l.Sentence = fmt.Sprintf("%s lies on a network file system (%s): image layers need a local one.", f.DataRoot, s.FSType)
	case s.NoExec:
		l.Sentence = fmt.Sprintf("%s lies on a file system mounted noexec.", f.DataRoot)
	case s.FreeMB < 1024:
		l.Sentence, l.Remedy = fmt.Sprintf("There are only %d MB left in %s.", s.FreeMB, f.DataRoot), "make room there, for example by: moss system prune"
	default:
		l = Line{"data", Works, fmt.Sprintf("Images and containers are kept in %s (%s, %d GB free).", f.DataRoot, s.FSType, s.FreeMB>>10), ""}
	}
	return l
}

func layers(f Facts) Line {
	s := f.Storage
	l := Line{Name: "layers", State: Differs}
	switch {
	case s.Overlay.OK():
		return Line{"layers", Works, "The kernel lays image layers over each other: a container's start copies nothing.", ""}
	case s.Overlay == Untried:
		l.Sentence = "How image layers are laid over each other could not be tried."
		return l
	case s.FuseTool != "" && s.FuseDev.OK():
		l.Sentence = fmt.Sprintf("Image layers are laid over each other by fuse-overlayfs, which is slower (the kernel refuses: %s).", s.Overlay)
	default:
		l.Sentence = fmt.Sprintf("Image layers are copied for each container, which takes time and space (the kernel refuses overlays: %s).", s.Overlay)
	}
	l.Remedy = overlayRemedy(f)
	return l
}

func overlayRemedy(f Facts) string {
	switch {
	case f.Storage.Network:
		return "keep the data on a local disk: moss --root DIR"
	case older(f.Kernel, 5, 11):
		return "Linux 5.11 or newer can do it"
	case f.Storage.Xattr.Failed():
		return "a file system with user attributes can do it (ext4, xfs, btrfs; tmpfs from Linux 6.6 on)"
	case f.Storage.FuseTool == "":
		return "an administrator can install fuse-overlayfs, or keep the data on another file system: moss --root DIR"
	}
	return "keep the data on another file system: moss --root DIR"
}

func attributes(f Facts) Line {
	if f.Storage.Xattr.Failed() {
		return Line{"attributes", Differs, "This file system keeps no user attributes (" + string(f.Storage.Xattr) + "): owners that you cannot set are noted in a file beside.", ""}
	}
	return Line{"attributes", Works, "Owners and attributes of image files are kept.", ""}
}

func procfs(f Facts) Line {
	if f.Inside.Proc.Failed() {
		return Line{"proc", Differs,
			"A container sees this machine's /proc, not its own: parts of it are covered here, as in most containers (" + string(f.Inside.Proc) + ").",
			"if this is a Docker container: start it with --security-opt systempaths=unconfined"}
	}
	return Line{"proc", Works, "A container sees its own processes only.", ""}
}

func network(f Facts) Line {
	in := f.Inside
	switch {
	case in.Veth.Failed() || in.Packet.Failed():
		return Line{"network", Differs, fmt.Sprintf("Containers cannot have networks of their own (veth: %s, packet socket: %s): slirp4netns or pasta carry the default one where installed, else --network host and none remain.",
			word(in.Veth), word(in.Packet)), "an administrator can load the module: modprobe veth"}
	case in.Bridge.Failed():
		return Line{"network", Differs, fmt.Sprintf("Containers cannot share a network (bridge: %s).", in.Bridge), "an administrator can load the module: modprobe bridge"}
	case in.Nft.Failed():
		return Line{"network", Differs, fmt.Sprintf("Networks go through moss's own stack, which is slower (nftables: %s).", in.Nft), "an administrator can load the module: modprobe nf_tables"}
	}
	return Line{"network", Works, "Containers can have networks of their own, without a right or a device from the administrator.", ""}
}

func ping(f Facts) Line {
	gid := f.GID
	if f.UID == 0 {
		gid = 1 << 20 // the network of root's containers runs with a high id
	}
	if !inRange(f.Kern.PingHost, gid) {
		return Line{"ping", Differs, "ping works between containers and not to the outside (net.ipv4.ping_group_range).",
			`an administrator can allow it: sysctl -w net.ipv4.ping_group_range="0 2147483647"`}
	}
	return Line{"ping", Works, "ping works, to the outside too.", ""}
}

// inRange reads "LOW HIGH"; "1 0" is nobody.
func inRange(s string, id int) bool {
	var low, high int
	n, _ := fmt.Sscan(s, &low, &high)
	return n == 2 && low <= id && id <= high
}

func tun(f Facts) Line {
	if f.Inside.Tun.Failed() {
		return Line{"tun", Differs, "slirp4netns and pasta cannot be used (/dev/net/tun: " + string(f.Inside.Tun) + "); moss needs neither.", ""}
	}
	return Line{"tun", Works, "slirp4netns and pasta can be used where installed; moss needs neither.", ""}
}

func filters(f Facts) Line {
	if f.Kern.Seccomp.Failed() {
		return Line{"filters", Missing, "System calls cannot be filtered (" + string(f.Kern.Seccomp) + "): containers would be less confined.", "a kernel with CONFIG_SECCOMP_FILTER can do it"}
	}
	return Line{"filters", Works, "Dangerous system calls are filtered, as Docker does it.", ""}
}

func programs(f Facts) Line {
	switch {
	case f.Kern.Memfd.OK():
		return Line{"starter", Works, "Containers are started from memory.", ""}
	case f.Storage.Tmpfile.OK():
		return Line{"starter", Differs, "Containers are started from unnamed files: programs in memory are forbidden here (vm.memfd_noexec).", ""}
	}
	return Line{"starter", Missing, fmt.Sprintf("The starter finds no place: memory files are forbidden (%s), unnamed files too (%s).", f.Kern.Memfd, word(f.Storage.Tmpfile)),
		"an administrator can allow it: sysctl -w vm.memfd_noexec=0"}
}

func handover(f Facts) Line {
	if f.Kern.Pidfd.Failed() || f.Kern.Getfd.Failed() {
		return Line{"handover", Differs, fmt.Sprintf("When a process of moss dies, its successor cannot take over its connections (pidfd: %s, pidfd_getfd: %s); containers run on.",
			word(f.Kern.Pidfd), word(f.Kern.Getfd)), getfdRemedy(f)}
	}
	return Line{"handover", Works, "When a process of moss dies or is replaced, its successor takes over without a gap.", ""}
}

func getfdRemedy(f Facts) string {
	if f.Kern.Yama == "3" || f.Kern.Yama == "2" {
		return "an administrator can relax it: sysctl -w kernel.yama.ptrace_scope=1 (3 needs a reboot)"
	}
	return "Linux 5.6 or newer can do it"
}

func watching(f Facts) Line {
	if f.Kern.Inotify.Failed() {
		return Line{"watching", Differs, "logs -f and events look for news now and then instead of being told (inotify: " + string(f.Kern.Inotify) + ").",
			"an administrator can raise it: sysctl -w fs.inotify.max_user_instances=512"}
	}
	return Line{"watching", Works, "logs -f and events are told of news at once.", ""}
}

// word is an outcome in a sentence.
func word(o Outcome) string {
	if o.OK() {
		return "works"
	}
	return string(o)
}

// older compares a kernel release with a version.
func older(release string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a < major || a == major && b < minor
}

// wanted are the controllers that Docker's limits need.
const wanted = "cpu cpuset io memory pids"

func cgroups(f Facts) Line {
	switch {
	case !f.Session.CgroupV2:
		return Line{"limits", Differs, "Limits of memory and processes are watched by moss and not by the kernel: this machine has the old control groups.", "systems with cgroup v2 can do it"}
	case f.UID != 0 && !f.Session.Manager:
		return Line{"limits", Differs, "Limits of memory and processes are watched by moss and not by the kernel: no systemd of your own runs in this session.",
			"log in by ssh or at the console instead of su or sudo"}
	}
	if lack := lacking(f.Session.Controllers); f.UID != 0 && len(lack) > 0 {
		return Line{"limits", Differs, "The kernel enforces limits, except those of " + strings.Join(lack, ", ") + ": moss does what it can for these.", adminCommand}
	}
	return Line{"limits", Works, "The kernel enforces limits of memory, CPU and processes.", ""}
}

func lacking(have []string) (lack []string) {
	for _, w := range strings.Fields(wanted) {
		if !strings.Contains(" "+strings.Join(have, " ")+" ", " "+w+" ") {
			lack = append(lack, w)
		}
	}
	return lack
}

func logout(f Facts) Line {
	switch {
	case !f.Session.Systemd || f.UID == 0:
		return Line{"logout", Works, "Containers run on when you log out.", ""}
	case f.Session.Linger:
		return Line{"logout", Works, "Containers run on when you log out, and those with --restart always can come back after a reboot.", ""}
	}
	return Line{"logout", Differs, "After a reboot nothing of yours starts before you log in, and some systems end what runs when you log out.", "moss boot enable, or as an administrator: loginctl enable-linger " + f.User}
}

func runtimeDir(f Facts) Line {
	switch {
	case f.Session.RuntimeOK:
		return Line{"sockets", Works, "Sockets are kept in " + f.Session.RuntimeDir + ".", ""}
	case f.Session.RuntimeDir != "":
		return Line{"sockets", Differs, "XDG_RUNTIME_DIR (" + f.Session.RuntimeDir + ") is not yours alone, so that sockets are kept in /tmp.", "unset XDG_RUNTIME_DIR, or log in anew"}
	}
	return Line{"sockets", Works, "Sockets are kept in /tmp: this session has no XDG_RUNTIME_DIR, and needs none.", ""}
}

func dockerWord(f Facts) Line {
	switch {
	case f.Docker.Ours:
		return Line{"docker", Works, "The word docker means moss here.", ""}
	case f.Docker.Path != "":
		return Line{"docker", Differs, "The word docker means " + f.Docker.Path + " here, and not moss.", "moss alias DIR, with DIR before it in PATH"}
	}
	return Line{"docker", Differs, "There is no command docker here.", "moss alias DIR makes one, with DIR in PATH"}
}
