package confine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/confine/sight"
	"github.com/moss-sandbox/moss/tests/harness"
)

// Calls the default filter refuses, and with what. The probe makes each by every door (CVE-2021-41133: fsopen, move_mount,
// open_tree_attr past a filter of old calls, i386 and x32 past one of a single ABI).
var refused = map[string]string{
	"keyctl": "EPERM", "add_key": "EPERM", "request_key": "EPERM", "userfaultfd": "EPERM", "io_uring_setup": "EPERM",
	"io_uring_enter": "EPERM", "io_uring_register": "EPERM", "mount": "EPERM", "umount2": "EPERM", "fsopen": "EPERM",
	"fsconfig": "EPERM", "fsmount": "EPERM", "fspick": "EPERM", "move_mount": "EPERM", "open_tree": "EPERM",
	"open_tree_attr": "ENOSYS", "mount_setattr": "EPERM", "setns": "EPERM", "unshare user": "EPERM",
	"unshare mount": "EPERM", "clone user": "EPERM", "clone net": "EPERM", "clone3": "ENOSYS", "bpf": "EPERM",
	"perf_event_open": "EPERM", "kexec_load": "EPERM", "kexec_file_load": "EPERM", "pivot_root": "EPERM",
	"swapon": "EPERM", "reboot": "EPERM", "init_module": "EPERM", "finit_module": "EPERM", "iopl": "EPERM",
	"ioperm": "EPERM", "settimeofday": "EPERM", "acct": "EPERM", "quotactl": "EPERM", "syslog": "EPERM",
	"open_by_handle_at": "EPERM", "move_pages": "EPERM", "migrate_pages": "EPERM", "mbind": "EPERM", "kcmp": "EPERM",
	"pidfd_getfd": "EPERM", "process_madvise": "EPERM", "fanotify_init": "EPERM", "sethostname": "EPERM",
	"setdomainname": "EPERM", "personality bad": "EPERM", "uselib": "EPERM", "ustat": "EPERM", "sysfs": "EPERM",
	"_sysctl": "EPERM", "nfsservctl": "EPERM", "vm86": "EPERM", "socket alg": "EPERM", "socket alg bits": "EPERM",
	"socket vsock": "EPERM", "socket vsock bits": "EPERM", "socketcall": "ENOSYS", "file_getattr": "ENOSYS",
	"listns": "ENOSYS", "a call of tomorrow": "ENOSYS", "tiocsti": "EPERM", "tiocsti bits": "EPERM", "tioclinux": "EPERM",
}

// Calls that Docker lets through; the kernel answers for itself.
var letThrough = []string{
	"tcgets", "socket inet", "clone thread", "ptrace", "process_vm_readv", "personality query", "mknod", "name_to_handle_at",
	"vmsplice", "memfd_create", "seccomp", "landlock", "statmount", "listmount", "chroot", "setxattr",
}

func TestCallsAreRefusedByEveryDoor(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		inside := tell[sight.Attempts](t, s.inside(nil, "try"))
		for name, answer := range inside {
			call := callOf(name)
			want, known := refused[call]
			if known && answer != want {
				t.Errorf("%s: %s, want %s", name, answer, want)
			}
		}
		for call := range refused {
			if _, made := inside[call]; !made && !slices.Contains([]string{"vm86", "socketcall"}, call) {
				t.Errorf("%s was not tried", call)
			}
		}
		for _, call := range letThrough {
			if answer := inside[call]; answer == "" || answer == "EPERM" || answer == "ENOSYS" {
				t.Errorf("%s: %q, Docker lets it through", call, answer)
			}
		}
		controlCalls(t, s, inside)
	})
}

// callOf leaves out the door.
func callOf(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "x32 "), "i386 ")
}

// controlCalls: without the filter the same calls must be answered by the kernel, and x32's by a kernel that lacks it.
func controlCalls(t *testing.T, s *stage, inside sight.Attempts) {
	t.Helper()
	open := tell[sight.Attempts](t, s.inside([]string{"--security-opt", "seccomp=unconfined"}, "try"))
	for _, name := range []string{
		"keyctl", "add_key", "userfaultfd", "io_uring_setup", "unshare user", "clone user", "clone3", "bpf", "setns",
		"socket alg bits", "socket vsock bits", "personality bad", "tiocsti", "tiocsti bits", "x32 keyctl", "kcmp",
	} {
		if open[name] == inside[name] {
			t.Errorf("control: %s is answered with %s without the filter too", name, open[name])
		}
	}
}

// With a capability the calls that belong to it are let through, and no others.
func TestCapabilitiesOpenTheirCalls(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		plain := tell[sight.Attempts](t, s.inside(nil, "try"))
		for capability, calls := range map[string][]string{
			"SYS_ADMIN":       {"mount", "fsopen", "setns", "unshare user", "clone user", "clone3", "bpf", "sethostname", "open_tree"},
			"SYS_PTRACE":      {"kcmp", "pidfd_getfd", "process_madvise"},
			"DAC_READ_SEARCH": {"open_by_handle_at"},
			"SYS_NICE":        {"mbind"},
			"SYS_TIME":        {"settimeofday"},
			"BPF":             {"bpf"},
		} {
			with := tell[sight.Attempts](t, s.inside([]string{"--cap-add", capability}, "try"))
			for name, answer := range with {
				changed := answer != plain[name] && !strings.HasPrefix(name, "x32 ") && !strings.HasPrefix(name, "mknod ")
				if changed && refused[name] != "" && capability != "SYS_ADMIN" && !slices.Contains(calls, name) {
					t.Errorf("--cap-add %s opens %s: %s, without it %s", capability, name, answer, plain[name])
				}
			}
			for _, name := range calls {
				if with[name] == "" || with[name] == plain[name] && with[name] == refused[name] && !kernelRefuses(name) {
					t.Errorf("--cap-add %s leaves %s at %s", capability, name, with[name])
				}
			}
		}
	})
}

// kernelRefuses: these need their capability in the machine's own user namespace, so the answer is EPERM all the same.
func kernelRefuses(call string) bool {
	return slices.Contains([]string{"open_by_handle_at", "settimeofday", "bpf", "mbind"}, call)
}

func TestDeviceNodesCannotBeMade(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		inside := tell[sight.Attempts](t, s.inside(nil, "try"))
		want, chown := "EPERM", "ok"
		if s.Ids == harness.OneID {
			want, chown = "faked", "faked"
		}
		for _, node := range []string{"mknod char 1:3", "mknod char 10:229", "mknod block 8:0"} {
			if inside[node] != want {
				t.Errorf("%s: %s, want %s", node, inside[node], want)
			}
		}
		if inside["mknod fifo"] != "ok" {
			t.Errorf("control: mknod fifo: %s", inside["mknod fifo"])
		}
		if inside["chown 33"] != chown {
			t.Errorf("chown 33: %s, want %s", inside["chown 33"], chown)
		}
	})
}

// Row 32 (CVE-2017-5226, CVE-2019-10063): a program inside cannot type into the terminal it was started from.
func TestTerminalIsNotTypedInto(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		for _, c := range []struct {
			name string
			open bool
			args []string
		}{
			{"confined", false, nil},
			{"control", true, []string{"--security-opt", "seccomp=unconfined"}},
		} {
			args := slices.Concat([]string{"run", "--rm", "-t", "-i", "--network=none"}, c.args, []string{s.root, "/probe", "tty"})
			term := s.Terminal("moss", args...)
			answers := term.Expect(`\{.*\}`)[0]
			if term.Wait() != 0 {
				t.Fatalf("%s: %s", c.name, term.Shown())
			}
			got := tell[sight.Attempts](t, harness.Result{Stdout: answers})
			for _, trick := range []string{"TIOCSTI", "TIOCSTI high bits", "TIOCLINUX"} {
				if filtered := got[trick] == "EPERM"; filtered == c.open {
					t.Errorf("%s: %s: %s", c.name, trick, got[trick])
				}
			}
			if got["TCGETS"] != "ok" {
				t.Errorf("%s: standard input is no terminal: %s", c.name, got["TCGETS"])
			}
		}
	})
}

// Row 36 (CVE-2022-0492, CVE-2022-0811): no switch of the kernel opens for writing.
func TestKernelSwitchesAreClosed(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		for _, path := range tell[[]string](t, s.inside(nil, "write")) {
			if !strings.HasPrefix(path, "/proc/pressure/") { // 0666, a trigger of the opener's own
				t.Errorf("%s opens for writing", path)
			}
		}
		open := 0
		for _, path := range tell[[]string](t, s.weak("write")) {
			if strings.HasPrefix(path, "/proc/sys/") {
				open++
			}
		}
		if open == 0 {
			t.Error("control: in a weak sandbox nothing of /proc/sys opens either")
		}
	})
}

// Docker's limit of open files, whatever moss raised its own to; a shell reports, since Go programs raise theirs.
func TestResourceLimits(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		report := []string{s.root, "sh", "-c", "ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hc"}
		var soft, hard, core, hardCore int
		out := s.Moss(append([]string{"run", "--rm", "--network=none"}, report...)...).OK(t)
		if _, err := fmt.Sscan(out, &soft, &hard, &core, &hardCore); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if soft != min(1024, hard) || hard > 524288 || core != 0 {
			t.Errorf("open files %d:%d, core files %d:%d", soft, hard, core, hardCore)
		}
		control := s.Moss(append([]string{"run", "--rm", "--network=none", "--ulimit", "nofile=77:88"}, report...)...).OK(t)
		if !strings.HasPrefix(control, "77\n88\n") {
			t.Errorf("control: --ulimit nofile=77:88: %q", control)
		}
	})
}
