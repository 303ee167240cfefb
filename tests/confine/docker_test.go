package confine

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/confine/sight"
	"github.com/moss-sandbox/moss/tests/harness"
)

const (
	dockerCaps = "00000000a80425fb"
	noCaps     = "0000000000000000"
)

// Docker's default confinement, one line each (reliability.md, part 3).
func TestDockerChecklist(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		listenAbstract(t)
		v := &viewer{t: t, s: s, paths: watchedPaths()}
		for _, l := range checklist() {
			v.assert(t, l)
		}
	})
}

func checklist() []line {
	privileged, user := with("--privileged"), with("-u 1000:1000")
	return []line{
		{"bounding set", with(""), capSet("CapBnd", dockerCaps), privileged},
		{"permitted set", with(""), capSet("CapPrm", dockerCaps), privileged},
		{"effective set", with(""), capSet("CapEff", dockerCaps), privileged},
		{"inheritable set is empty", with(""), capSet("CapInh", noCaps), ambient},
		{"ambient set is empty", with(""), capSet("CapAmb", noCaps), ambient},
		{"user has no permitted capability", user, capSet("CapPrm", noCaps), with("")},
		{"user has no effective capability", user, capSet("CapEff", noCaps), with("")},
		{"user has no inheritable capability", user, capSet("CapInh", noCaps), ambient},
		{"user keeps the bounding set", user, capSet("CapBnd", dockerCaps), privileged},
		{"cap-drop takes away", with("--cap-drop ALL"), capSet("CapBnd", noCaps), with("")},
		{"cap-add adds one", with("--cap-add SYS_PTRACE"), capSet("CapEff", "00000000a80c25fb"), with("")},
		{"exec: bounding set", join(""), capSet("CapBnd", dockerCaps), join("--privileged")},
		{"exec: permitted set", join(""), capSet("CapPrm", dockerCaps), join("--privileged")},
		{"exec: effective set", join(""), capSet("CapEff", dockerCaps), join("--privileged")},
		{"exec: inheritable set is empty", join(""), capSet("CapInh", noCaps), ambient},
		{"exec: ambient set is empty", join(""), capSet("CapAmb", noCaps), ambient},
		{"exec: seccomp filter", join(""), status("Seccomp", "2"), outside},
		{"exec: no_new_privs is off", join(""), status("NoNewPrivs", "0"), with("--security-opt no-new-privileges")},
		{"exec: descriptors 0 to 2 alone", join(""), descriptors, leakyCaller},
		{"exec: descriptors are pipes and its own null", join(""), ownDescriptors, leakyCaller},
		{"exec: masked paths", join(""), masked, outside},
		{"exec: read-only paths", join(""), readOnly, outside},
		{"exec: user namespace", join(""), ownNamespace("user"), outside},
		{"exec: mount namespace", join(""), ownNamespace("mnt"), outside},
		{"exec: pid namespace", join(""), ownNamespace("pid"), outside},
		{"exec: network namespace", join(""), ownNamespace("net"), outside},
		{"exec: ipc namespace", join(""), ownNamespace("ipc"), outside},
		{"exec: uts namespace", join(""), ownNamespace("uts"), outside},
		{"exec: cgroup namespace", join(""), ownNamespace("cgroup"), outside},
		{"exec: environment", join(""), environment, outside},
		{"exec: umask 022", join(""), umask, strangeUmask},
		{"exec: no core files", join(""), noCore, coreFiles},
		{"user namespace", with(""), ownNamespace("user"), outside},
		{"mount namespace", with(""), ownNamespace("mnt"), outside},
		{"pid namespace", with(""), ownNamespace("pid"), outside},
		{"network namespace", with(""), ownNamespace("net"), with("--network=host")},
		{"ipc namespace", with(""), ownNamespace("ipc"), outside},
		{"uts namespace", with(""), ownNamespace("uts"), outside},
		{"cgroup namespace", with(""), ownNamespace("cgroup"), outside},
		{"is process 1", with(""), status("Pid", "1"), outside},
		{"sees its own processes only", with(""), aloneInProc, outside},
		{"only lo", with(""), onlyLoopback, outside},
		{"uid 0 inside is not 0 outside", with(""), notRealRoot, outside},
		{"no_new_privs is off", with(""), status("NoNewPrivs", "0"), with("--security-opt no-new-privileges")},
		{"no_new_privs as an option", with("--security-opt no-new-privileges"), status("NoNewPrivs", "1"), with("")},
		{"root with no_new_privs keeps its set", with("--security-opt no-new-privileges"), capSet("CapEff", dockerCaps), with("--cap-drop ALL")},
		{"seccomp filter", with(""), status("Seccomp", "2"), outside},
		{"one seccomp filter", with(""), status("Seccomp_filters", "1"), outside},
		{"masked paths", with(""), masked, outside},
		{"thermal_throttle of every cpu", with(""), throttle, spoilt},
		{"read-only paths", with(""), readOnly, privileged},
		{"proc nosuid nodev noexec", with(""), mounted("/proc", "proc", "nosuid", "nodev", "noexec"), outside},
		{"sys the same and read-only", with(""), mounted("/sys", "sysfs", "nosuid", "nodev", "noexec", "ro"), outside},
		{"cgroup the same and read-only", with(""), cgroupMount, outside},
		{"mqueue", with(""), mounted("/dev/mqueue", "mqueue", "nosuid", "nodev", "noexec"), outside},
		{"shm", with(""), mounted("/dev/shm", "tmpfs", "nosuid", "nodev", "noexec"), outside},
		{"shm of 64 MiB, 1777", with(""), shm, with("--shm-size=1m")},
		{"devpts", with(""), devpts, outside},
		{"root is writable, with set-id, without devices", with(""), rootMount, with("--read-only")},
		{"no other mounts", with(""), noOtherMounts, with("--tmpfs /other")},
		{"device nodes", with(""), devices, outside},
		{"no other devices", with(""), noOtherDevices, outside},
		{"links in dev", with(""), deviceLinks, outside},
		{"hosts, hostname, resolv.conf of its own", with(""), ownFiles, outside},
		{"low ports are open to everybody", with(""), sysctl("net/ipv4/ip_unprivileged_port_start", "0"), outside},
		{"ping for the mapped groups", with(""), pingRange, outside},
		{"no core files", with(""), noCore, coreFiles},
		{"umask 022", with(""), umask, strangeUmask},
		{"oom score not below the caller's", raisedScore, oomScore, with("")},
		{"environment of PATH, HOSTNAME, HOME alone", with(""), environment, outside},
		{"descriptors 0 to 2 alone", with(""), descriptors, leakyCaller},
		{"descriptors are pipes and its own null", with(""), ownDescriptors, leakyCaller},
		{"hostname is the short id", with(""), hostname, outside},
		{"no abstract socket is seen", with(""), noAbstract, with("--network=host")},
		{"cgroup path is hidden", with(""), cgroupPath, spoilt},
	}
}

func differs(what, got, want string) string {
	if got != want {
		return fmt.Sprintf("%s is %q, not %q", what, got, want)
	}
	return ""
}

type check = func(v *viewer, s sight.Sight) string

func capSet(name, want string) check { return status(name, want) }

func status(name, want string) check {
	return func(_ *viewer, s sight.Sight) string {
		got, _, _ := strings.Cut(s.Status[name], " ")
		return differs(name, got, want)
	}
}

// ownNamespace wants a namespace that is not the machine's.
func ownNamespace(kind string) check {
	return func(_ *viewer, s sight.Sight) string {
		machine, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil || s.Namespaces[kind] == machine || !strings.HasPrefix(s.Namespaces[kind], kind+":[") {
			return fmt.Sprintf("namespace %q, the machine's is %q, %v", s.Namespaces[kind], machine, err)
		}
		return ""
	}
}

func aloneInProc(_ *viewer, s sight.Sight) string {
	if len(s.PIDs) != 1 || s.PIDs[0] != 1 || s.Parent != 0 {
		return fmt.Sprintf("processes %v, parent %d", s.PIDs, s.Parent)
	}
	return ""
}

func onlyLoopback(_ *viewer, s sight.Sight) string {
	return differs("interfaces", strings.Join(s.Interfaces, " "), "lo")
}

// notRealRoot wants a map in which no id of the machine's root appears.
func notRealRoot(_ *viewer, s sight.Sight) string {
	if s.Status["Uid"] != "0 0 0 0" {
		return "uid inside is " + s.Status["Uid"]
	}
	for _, m := range []string{s.UIDMap, s.GIDMap} {
		if f := strings.Fields(m); len(f)%3 != 0 || len(f) == 0 {
			return "map " + m
		}
	}
	return hostOwner(s)
}

func sysctl(name, want string) check {
	return func(_ *viewer, s sight.Sight) string { return differs(name, s.Sysctls[name], want) }
}

func pingRange(v *viewer, s sight.Sight) string {
	var low, high int
	if _, err := fmt.Sscan(s.Sysctls["net/ipv4/ping_group_range"], &low, &high); err != nil {
		return fmt.Sprintf("range %q: %v", s.Sysctls["net/ipv4/ping_group_range"], err)
	}
	want := 0
	if v.s.Ids != harness.OneID {
		want = 60000
	}
	if low != 0 || high < want || high > 1<<30 {
		return fmt.Sprintf("range %d to %d", low, high)
	}
	return ""
}

func umask(_ *viewer, s sight.Sight) string {
	return differs("umask", fmt.Sprintf("%03o", s.Umask), "022")
}

func noCore(_ *viewer, s sight.Sight) string {
	if l := s.Limits["core"]; l[0] != 0 {
		return fmt.Sprintf("core files %d:%d", l[0], l[1])
	}
	return ""
}

func environment(v *viewer, s sight.Sight) string {
	for _, e := range s.Env {
		name, _, _ := strings.Cut(e, "=")
		aptConfig := name == "APT_CONFIG" && v.s.Ids == harness.OneID // apt checks the drop of rights that a single id cannot make
		if !slices.Contains([]string{"PATH", "HOSTNAME", "HOME"}, name) && !aptConfig {
			return "variable " + e
		}
	}
	if !slices.Contains(s.Env, "HOME=/root") || !slices.Contains(s.Env, "HOSTNAME="+s.Hostname) {
		return strings.Join(s.Env, " ")
	}
	return ""
}

func descriptors(_ *viewer, s sight.Sight) string {
	for fd, p := range s.FDs {
		if fd > 2 {
			return fmt.Sprintf("descriptor %d is %s", fd, p.Link)
		}
	}
	if len(s.FDs) != 3 {
		return fmt.Sprintf("%d descriptors", len(s.FDs))
	}
	return ""
}

func ownDescriptors(_ *viewer, s sight.Sight) string {
	if in := s.FDs[0]; in.Rdev != "1:3" || in.Same != s.Devices["/dev/null"].Same {
		return fmt.Sprintf("standard input is %s %s", in.Mode, in.Link)
	}
	if s.FDs[1].Mode != "pipe" || s.FDs[2].Mode != "pipe" {
		return fmt.Sprintf("output to %s, errors to %s", s.FDs[1].Link, s.FDs[2].Link)
	}
	return ""
}

func hostname(_ *viewer, s sight.Sight) string {
	if len(s.Hostname) != 12 || strings.Trim(s.Hostname, "0123456789abcdef") != "" {
		return "hostname " + s.Hostname
	}
	return differs("hostname in proc", s.Sysctls["kernel/hostname"], s.Hostname)
}

func noAbstract(_ *viewer, s sight.Sight) string {
	if len(s.Abstract) > 0 {
		return fmt.Sprintf("abstract sockets %v", s.Abstract)
	}
	return ""
}

func cgroupPath(_ *viewer, s sight.Sight) string {
	for line := range strings.Lines(s.Cgroup) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || f[2] != "/" {
			return "cgroup " + line
		}
	}
	return ""
}

// oomScore wants what the caller has: a container is no more precious than who started it.
func oomScore(_ *viewer, s sight.Sight) string {
	return differs("oom_score_adj", s.OOMScore, callersScore)
}
