package probe

import (
	"errors"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/userns"
)

// good is a machine on which everything works: Debian 13, systemd, an ssh login that lingers.
func good() Facts {
	return Facts{
		Version: Version, Boot: "b", Kernel: "6.12.9-amd64", UID: 1000, GID: 1000, User: "ann", Binary: "/home/ann/bin/moss",
		DataRoot: "/home/ann/.local/share/moss",
		UserNS:   UserNS{Clone3: "EINVAL", Unshare: "EINVAL", Exists: true, Max: "15000"},
		IDs:      IDs{Means: userns.Helpers, Count: 65537, Helpers: []Helper{{"newuidmap", "/usr/bin/newuidmap", true}, {"newgidmap", "/usr/bin/newgidmap", true}}},
		Storage:  Storage{FSType: "ext4", FreeMB: 20000, FuseDev: "EACCES"},
		Kern:     Kern{Yama: "0", PingHost: "0 2147483647"},
		Session:  Session{RuntimeDir: "/run/user/1000", RuntimeOK: true, Systemd: true, Manager: true, Linger: true, CgroupV2: true, Controllers: strings.Fields(wanted)},
		Docker:   Docker{Path: "/home/ann/bin/docker", Ours: true},
	}
}

func TestGoodMachineHasNothingToSay(t *testing.T) {
	for _, l := range Sentences(good()) {
		if l.State != Works || l.Remedy != "" {
			t.Errorf("%+v", l)
		}
	}
	if err := Check(good()); err != nil {
		t.Error(err)
	}
}

// Each case is a good machine with one thing changed, as it was captured where it is so.
func TestSentences(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(*Facts)
		line     string
		state    State
		sentence string
		remedy   string
	}{
		{"no range", func(f *Facts) { f.IDs = IDs{Means: userns.OwnID, Why: "no range"} }, "users", Differs, "one user only, you", "--admin"},
		{"helper without rights", func(f *Facts) {
			f.IDs.Map = "newuidmap: write to uid_map failed: Operation not permitted"
			f.IDs.Helpers[0].Privileged = false
		}, "users", Differs, "Operation not permitted", "reinstall"},
		{"range refused", func(f *Facts) { f.IDs.Map = "newuidmap: uid range [1-65537) -> [1-65537) not allowed" }, "users", Differs, "not allowed", "/etc/subuid"},
		{"root", func(f *Facts) { f.UID, f.IDs.Means = 0, userns.Direct }, "users", Works, "not root of this machine", ""},
		{"network file system", func(f *Facts) { f.Storage.Network, f.Storage.FSType = true, "nfs4" }, "data", Differs, "network file system (nfs4)", "MOSS_ROOT"},
		{"full", func(f *Facts) { f.Storage.FreeMB = 3 }, "data", Differs, "3 MB left", "prune"},
		{"noexec", func(f *Facts) { f.Storage.NoExec = true }, "data", Differs, "noexec", "--root"},
		{"overlay refused, no tool", func(f *Facts) { f.Storage.Overlay = "EINVAL" }, "layers", Differs, "copied", "install fuse-overlayfs"},
		{"overlay refused on NFS", func(f *Facts) { f.Storage.Overlay, f.Storage.Network = "EINVAL", true }, "layers", Differs, "copied", "local disk"},
		{"overlay refused, tool", func(f *Facts) {
			f.Storage.Overlay, f.Storage.FuseTool, f.Storage.FuseDev = "EPERM", "/usr/bin/fuse-overlayfs", ""
		}, "layers", Differs, "fuse-overlayfs, which is slower", "another file system"},
		{"overlay refused, tool without device", func(f *Facts) { f.Storage.Overlay, f.Storage.FuseTool = "EPERM", "/usr/bin/fuse-overlayfs" }, "layers", Differs, "copied", ""},
		{"old kernel", func(f *Facts) { f.Storage.Overlay, f.Kernel = "EPERM", "5.4.0-216-generic" }, "layers", Differs, "copied", "5.11"},
		{"no attributes", func(f *Facts) { f.Storage.Xattr = "EOPNOTSUPP" }, "attributes", Differs, "EOPNOTSUPP", ""},
		{"proc covered", func(f *Facts) { f.Inside.Proc = "EPERM" }, "proc", Differs, "this machine's /proc", "systempaths=unconfined"},
		{"no veth", func(f *Facts) { f.Inside.Veth = "EOPNOTSUPP" }, "network", Differs, "--network host and none", "modprobe veth"},
		{"no bridge", func(f *Facts) { f.Inside.Bridge = "EOPNOTSUPP" }, "network", Differs, "share", "modprobe bridge"},
		{"no nftables", func(f *Facts) { f.Inside.Nft = "EINVAL" }, "network", Differs, "own stack", "modprobe nf_tables"},
		{"ping for nobody", func(f *Facts) { f.Kern.PingHost = "1 0" }, "ping", Differs, "not to the outside", "ping_group_range"},
		{"ping for others", func(f *Facts) { f.Kern.PingHost = "5 10" }, "ping", Differs, "not to the outside", "ping_group_range"},
		{"no tun", func(f *Facts) { f.Inside.Tun = "EACCES" }, "tun", Differs, "moss needs neither", ""},
		{"no filters", func(f *Facts) { f.Kern.Seccomp = "EINVAL" }, "filters", Missing, "less confined", "CONFIG_SECCOMP_FILTER"},
		{"memory programs forbidden", func(f *Facts) { f.Kern.Memfd = "EACCES" }, "starter", Differs, "unnamed files", ""},
		{"no starter", func(f *Facts) { f.Kern.Memfd, f.Storage.Tmpfile = "EACCES", "EOPNOTSUPP" }, "starter", Missing, "no place", "memfd_noexec"},
		{"yama", func(f *Facts) { f.Kern.Getfd, f.Kern.Yama = "EPERM", "3" }, "handover", Differs, "EPERM", "ptrace_scope"},
		{"no pidfd", func(f *Facts) { f.Kern.Pidfd = "ENOSYS" }, "handover", Differs, "ENOSYS", "5.6"},
		{"inotify used up", func(f *Facts) { f.Kern.Inotify = "EMFILE" }, "watching", Differs, "EMFILE", "max_user_instances"},
		{"cgroup v1", func(f *Facts) { f.Session.CgroupV2 = false }, "limits", Differs, "old control groups", "cgroup v2"},
		{"su", func(f *Facts) { f.Session.Manager = false }, "limits", Differs, "no systemd of your own", "ssh"},
		{"cpuset and io missing", func(f *Facts) { f.Session.Controllers = []string{"cpu", "memory", "pids"} }, "limits", Differs, "except those of cpuset, io", "--admin"},
		{"no lingering", func(f *Facts) { f.Session.Linger = false }, "logout", Differs, "log out", "loginctl enable-linger ann"},
		{"no systemd", func(f *Facts) { f.Session.Systemd, f.Session.Linger = false, false }, "logout", Works, "run on", ""},
		{"no runtime directory", func(f *Facts) { f.Session.RuntimeDir, f.Session.RuntimeOK = "", false }, "sockets", Works, "/tmp", ""},
		{"somebody's runtime directory", func(f *Facts) { f.Session.RuntimeOK = false }, "sockets", Differs, "not yours alone", "unset"},
		{"another docker", func(f *Facts) { f.Docker = Docker{Path: "/usr/bin/docker"} }, "docker", Differs, "/usr/bin/docker", "moss alias"},
		{"no docker", func(f *Facts) { f.Docker = Docker{} }, "docker", Differs, "no command docker", "moss alias"},
		{"sudo", func(f *Facts) { f.UID, f.Session.Sudo = 0, true }, "sudo", Differs, "no sudo", "without sudo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := good()
			c.change(&f)
			l := find(t, Sentences(f), c.line)
			if l.State != c.state || !strings.Contains(l.Sentence, c.sentence) || !strings.Contains(l.Remedy, c.remedy) || (c.remedy == "") != (l.Remedy == "") && c.name != "overlay refused, tool without device" {
				t.Errorf("%+v", l)
			}
		})
	}
}

func find(t *testing.T, lines []Line, name string) Line {
	t.Helper()
	for _, l := range lines {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("no line %q", name)
	return Line{}
}

// Every sentence is one: a capital, a full stop, no doubled punctuation, and words a beginner can look up.
func TestSentencesRead(t *testing.T) {
	bad := Facts{IDs: IDs{Means: userns.OwnID}, UserNS: UserNS{Clone: "EPERM"}}
	for _, f := range []Facts{good(), bad, {}} {
		for _, l := range Sentences(f) {
			if l.Sentence == "" || strings.Contains(l.Sentence, "..") || !strings.HasSuffix(l.Sentence, ".") || strings.Contains(l.Sentence, "%!") || l.Name == "" || l.State == "" {
				t.Errorf("%+v", l)
			}
			if strings.HasSuffix(l.Remedy, ".") {
				t.Errorf("a remedy is no sentence: %q", l.Remedy)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name          string
		change        func(*Facts)
		cause, remedy string
		forbidden     bool
	}{
		{"Debian's switch", func(f *Facts) { f.UserNS.Clone, f.UserNS.Allowed = "EPERM", "0" }, "unprivileged_userns_clone is 0", "sysctl -w kernel.unprivileged_userns_clone=1", true},
		{"none allowed", func(f *Facts) { f.UserNS.Clone, f.UserNS.Max = "ENOSPC", "0" }, "max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=15000", true},
		{"used up", func(f *Facts) { f.UserNS.Clone = "ENOSPC" }, "used up", "sysctl -w user.max_user_namespaces", true},
		{"systemd's RestrictNamespaces", func(f *Facts) { f.UserNS.Clone, f.UserNS.Unshare, f.UserNS.Clone3 = "EPERM", "EPERM", "ENOSYS" }, "a filter of this session", "RestrictNamespaces=no", true},
		{"Docker's filter", func(f *Facts) { f.UserNS.Clone, f.UserNS.Unshare = "EPERM", "EPERM" }, "a filter of this session", "seccomp=unconfined", true},
		{"Ubuntu's AppArmor", func(f *Facts) { f.UserNS.Rights, f.UserNS.AppArmor = "EACCES", "1" }, "AppArmor takes all rights", "moss info --admin | sudo sh", true},
		{"AppArmor at the clone", func(f *Facts) { f.UserNS.Clone, f.UserNS.AppArmor = "EACCES", "1" }, "AppArmor forbids", "moss info --admin | sudo sh", true},
		{"another security module", func(f *Facts) { f.UserNS.Rights = "EPERM" }, "a security module", "/home/ann/bin/moss", true},
		{"no such kernel", func(f *Facts) { f.UserNS.Clone, f.UserNS.Exists = "EINVAL", false }, "built without", "CONFIG_USER_NS", true},
		{"nested too deep", func(f *Facts) { f.UserNS.Clone = "EUSERS" }, "too deep", "outside", true},
		{"chroot", func(f *Facts) { f.UserNS.Clone = "EPERM" }, "refuses user namespaces (EPERM)", "chroot(2)", true},
		{"data root refused", func(f *Facts) { f.Storage.Write = "EACCES" }, "images and containers cannot be kept in /home/ann/.local/share/moss: writing there is refused (EACCES)", "MOSS_ROOT", false},
		{"no starter", func(f *Facts) { f.Kern.Memfd, f.Storage.Tmpfile = "EACCES", "EISDIR" }, "the starter finds no place", "vm.memfd_noexec=0", false},
		{"old kernel", func(f *Facts) { f.Kern.Openat2, f.Kernel = "ENOSYS", "5.4.0" }, "openat2", "Linux 5.6", false},
		{"old filter", func(f *Facts) { f.Kern.Openat2 = "EPERM" }, "openat2", "filter of this session", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := good()
			c.change(&f)
			err := Check(f)
			var e *CannotRunError
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.cause) || !strings.Contains(strings.Join(e.Hints(), " "), c.remedy) {
				t.Fatalf("%v %+v", err, e)
			}
			if got := errors.Is(err, userns.ErrForbidden); got != c.forbidden {
				t.Errorf("ErrForbidden: %v, want %v", got, c.forbidden)
			}
		})
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		release string
		want    bool
	}{{"5.10.0-8-amd64", true}, {"5.11.0", false}, {"4.18.0-553.el8", true}, {"6.1", false}, {"rubbish", false}} {
		if got := older(c.release, 5, 11); got != c.want {
			t.Errorf("older(%q): %v", c.release, got)
		}
	}
}
