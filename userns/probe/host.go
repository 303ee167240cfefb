package probe

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A Request says for whom and where to measure.
type Request struct {
	Identity userns.Identity // which ids may be mapped, from userns.Identify
	DataRoot string          // where layers and containers are to lie; may not exist yet
}

// Host measures. It fails only when ctx ends: whatever is refused is a result.
func Host(ctx context.Context, req Request) (Facts, error) {
	f := start(req)
	f.UserNS = switches()
	f.Kern = kernel()
	f.Session = session(req.Identity.UID)
	f.Docker = docker(f.Binary)
	f.IDs = ids(req.Identity)
	f.Storage, f.Inside = Storage{Overlay: Untried}, untried()
	scratch, err := scratchDir(req, &f.Storage)
	if err == nil {
		defer os.RemoveAll(scratch)
	}
	inspect(ctx, req, scratch, &f)
	return f, ctx.Err()
}

func start(req Request) Facts {
	f := Facts{Version: Version, Boot: userns.Here().Boot, Kernel: sys.KernelRelease(), UID: req.Identity.UID, GID: req.Identity.GID, DataRoot: req.DataRoot}
	f.User = os.Getenv("USER")
	if u, err := user.LookupId(strconv.Itoa(f.UID)); err == nil {
		f.User = u.Username
	}
	f.Binary = programPath()
	return f
}

// programPath is the path of this program's file; the heavy program itself is executed from memory.
func programPath() string {
	f, err := role.Program()
	if err != nil {
		return ""
	}
	defer f.Close()
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", sys.FD(f)))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(path, " (deleted)")
}

// switches reads what an administrator may have set; whether it binds is told by trying.
func switches() UserNS {
	_, err := os.Stat("/proc/self/ns/user")
	return UserNS{
		Clone: Untried, Rights: Untried,
		Clone3:   Outcome(sys.ErrnoName(sys.ProbeClone3())),
		Unshare:  Outcome(sys.ErrnoName(sys.ProbeUnshareUser())),
		Exists:   err == nil,
		Max:      sysctl("user/max_user_namespaces"),
		Allowed:  sysctl("kernel/unprivileged_userns_clone"),
		AppArmor: sysctl("kernel/apparmor_restrict_unprivileged_userns"),
	}
}

func sysctl(name string) string {
	b, _ := os.ReadFile("/proc/sys/" + name) // absent: the kernel has no such switch
	return strings.TrimSpace(string(b))
}

func kernel() Kern {
	k := Kern{
		Memfd:    Outcome(sys.ErrnoName(sys.ProbeMemfdExec())),
		Openat2:  Outcome(sys.ErrnoName(sys.ProbeOpenat2())),
		Seccomp:  Outcome(sys.ErrnoName(sys.ProbeSeccomp())),
		Inotify:  Outcome(sys.ErrnoName(sys.ProbeInotify("/"))),
		Getfd:    Untried,
		Yama:     sysctl("kernel/yama/ptrace_scope"),
		PingHost: strings.Join(strings.Fields(sysctl("net/ipv4/ping_group_range")), " "),
	}
	fd, err := sys.PidfdOpen(os.Getpid())
	if k.Pidfd = Outcome(sys.ErrnoName(err)); err == nil {
		syscall.Close(fd)
	}
	return k
}

// ids describes the helpers; whether they do their work is told by inspect.
func ids(id userns.Identity) IDs {
	out := IDs{Means: id.Means, Why: id.Why, Map: Untried}
	for _, e := range id.Map.UID {
		out.Count += e.Size
	}
	for _, name := range []string{"newuidmap", "newgidmap"} {
		h := Helper{Name: name}
		if path, err := exec.LookPath(name); err == nil {
			h.Path = path
			st, err := os.Stat(path)
			h.Privileged = err == nil && st.Mode()&os.ModeSetuid != 0 || sys.HasFileCapabilities(path)
		}
		out.Helpers = append(out.Helpers, h)
	}
	return out
}

// docker finds what the word means in this PATH.
func docker(binary string) Docker {
	path, err := exec.LookPath("docker")
	if err != nil {
		return Docker{}
	}
	theirs, err1 := os.Stat(path)
	ours, err2 := os.Stat(binary)
	return Docker{Path: path, Ours: err1 == nil && err2 == nil && os.SameFile(theirs, ours)}
}

// session looks at the login.
func session(uid int) Session {
	s := Session{RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"), Sudo: uid == 0 && os.Getenv("SUDO_UID") != ""}
	if st, err := os.Stat(s.RuntimeDir); err == nil && st.IsDir() {
		owner, ok := st.Sys().(*syscall.Stat_t)
		s.RuntimeOK = ok && int(owner.Uid) == uid && st.Mode().Perm()&0o077 == 0
	}
	s.Systemd = exists("/run/systemd/system")
	s.Manager = exists(filepath.Join("/run/user", strconv.Itoa(uid), "systemd/private"))
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		s.Linger = exists(filepath.Join("/var/lib/systemd/linger", u.Username))
	}
	s.CgroupV2 = exists("/sys/fs/cgroup/cgroup.controllers")
	slice := "/sys/fs/cgroup/user.slice/user-" + strconv.Itoa(uid) + ".slice/user@" + strconv.Itoa(uid) + ".service/cgroup.controllers"
	if b, err := os.ReadFile(slice); err == nil {
		s.Controllers = strings.Fields(string(b))
	}
	return s
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
