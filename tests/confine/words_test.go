package confine

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/tests/confine/sight"
	"github.com/moss-sandbox/moss/tests/harness"
)

func mustTree(t *testing.T) string {
	t.Helper()
	return harness.BusyboxTree(t) + `
		file etc/passwd root:x:0:0:root:/root:/bin/sh
	`
}

// users is a passwd and group that lay traps: a user whose name is a number, one without a group, one with too large an id.
func (s *stage) users(t *testing.T) {
	t.Helper()
	dir := s.Work + "/root/etc/"
	passwd := "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/srv:/bin/sh\n1000:x:0:0:trap:/:/bin/sh\n" +
		"big:x:4294967296:0::/:/bin/sh\nminus:x:-1:0::/:/bin/sh\n"
	group := "root:x:0:\nwww:x:33:\nextra:x:44:www,root\nmore:x:45:www\n"
	for name, text := range map[string]string{"passwd": passwd, "group": group} {
		if err := os.WriteFile(dir+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Row 13 (CVE-2024-40635, CVE-2026-46680): a user that cannot be must be an error, never root.
func TestUsersThatWouldBecomeRoot(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.users(t)
		for _, user := range []string{
			"4294967296", "4294967296:0", "2147483648", "2147483648:1", "18446744073709551616", "-1", "-1:-1", " 0", "0x0",
			"00x1", "0:4294967296", "0:-1", "1e3", "big", "minus", "nobody-here", "www:nogroup", "www:", "33:33:33",
		} {
			r := s.Moss("run", "--rm", "--network=none", "-u", user, s.root, "id", "-u")
			if user == "www:" && r.Stdout == "33\n" {
				continue // Docker takes an empty group for the user's own
			}
			if r.Code == 0 || r.Stdout != "" {
				t.Errorf("-u %q runs as %s", user, r)
			}
		}
		numeric := tell[sight.Sight](t, s.inside([]string{"-u", "1000"}, "see"))
		if s.Ids != harness.OneID && numeric.Status["Uid"] == "0 0 0 0" && numeric.Status["CapEff"] != noCaps {
			t.Errorf("a user named 1000 gets uid %s with %s", numeric.Status["Uid"], numeric.Status["CapEff"])
		}
		if r := s.Moss("run", "--rm", "--network=none", "-u", "33", s.root, "id", "-u"); r.Stdout != "33\n" {
			t.Errorf("control: -u 33: %s", r)
		}
	})
}

// Row 14 (CVE-2022-2989, CVE-2022-2990, CVE-2022-36109): supplementary groups are those of the image, and none of the caller's.
func TestSupplementaryGroups(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.users(t)
		for user, want := range map[string]string{
			"": "0 44", "0": "0 44", "root": "0 44", "www": "33 44 45", "33": "33 44 45", "www:0": "0", "33:33": "33", "1234": "0", "1234:77": "77",
		} {
			if s.Ids == harness.OneID {
				want = strings.Fields(want)[0] // setgroups is denied there
			}
			var options []string
			if user != "" {
				options = []string{"-u", user}
			}
			seen := tell[sight.Sight](t, s.inside(options, "see"))
			got := map[string]bool{strings.Fields(seen.Status["Gid"])[0]: true}
			for _, g := range seen.Groups {
				got[fmt.Sprint(g)] = true
			}
			for _, g := range strings.Fields(want) {
				if !got[g] {
					t.Errorf("-u %q: groups %v, gid %s, lacks %s", user, seen.Groups, seen.Status["Gid"], g)
				}
				delete(got, g)
			}
			if len(got) > 0 && s.Ids != harness.OneID {
				t.Errorf("-u %q: also in groups %v", user, got)
			}
		}
	})
}

// Row 36 (CVE-2022-0811): a value of --sysctl must not smuggle in another one.
func TestSysctlsOfTheMachineAreRefused(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		before, err := os.ReadFile("/proc/sys/kernel/core_pattern")
		if err != nil {
			t.Fatal(err)
		}
		for _, setting := range []string{
			"kernel.core_pattern=|/evil", "net.ipv4.ip_forward=1+kernel.core_pattern=|/evil", "kernel/core_pattern=x",
			"net.ipv4.../../kernel/core_pattern=x", "net.ipv4/../../kernel/core_pattern=x", "vm.overcommit_memory=1",
			"../../../tmp/x=1", "kernel.modprobe=/evil", "=1", "net.ipv4.ip_forward",
		} {
			r := s.Moss("run", "--rm", "--network=none", "--sysctl", setting, s.root, "true")
			if r.Code != 125 {
				t.Errorf("--sysctl %s: %s", setting, r)
			}
		}
		after, err := os.ReadFile("/proc/sys/kernel/core_pattern")
		if err != nil || string(after) != string(before) {
			t.Errorf("core_pattern is %q now, it was %q, %v", after, before, err)
		}
		r := s.Moss("run", "--rm", "--network=none", "--sysctl", "net.ipv4.ip_forward=1", s.root, "cat", "/proc/sys/net/ipv4/ip_forward")
		if r.Stdout != "1\n" {
			t.Errorf("control: --sysctl net.ipv4.ip_forward=1: %s", r)
		}
	})
}

// Row 45 (CVE-2021-43784): lengths around 16 bits arrive whole or are refused, and never spill into the next word.
func TestLongWords(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		for _, n := range []int{4096, 65534, 65535, 65536, 131000} {
			long := strings.Repeat("x", n)
			for name, run := range map[string][]string{
				"argument":  {"run", "--rm", "--network=none", s.root, "sh", "-c", "echo ${#1} $2", "sh", long, "next"},
				"variable":  {"run", "--rm", "--network=none", "-e", "LONG=" + long, "-e", "NEXT=next", s.root, "sh", "-c", "echo ${#LONG} $NEXT"},
				"hostname":  {"run", "--rm", "--network=none", "--hostname", long, s.root, "sh", "-c", "echo $(hostname | wc -c) next"},
				"directory": {"run", "--rm", "--network=none", "-w", "/" + long, s.root, "sh", "-c", "echo 0 next"},
				"command":   {"run", "--rm", "--network=none", s.root, "/" + long},
				"user":      {"run", "--rm", "--network=none", "-u", long, s.root, "true"},
				"name":      {"run", "--rm", "--network=none", "--name", long, s.root, "true"},
				"target":    {"run", "--rm", "--network=none", "-v", s.Work + ":/" + long, s.root, "true"},
				"image":     {"run", "--rm", "--network=none", "./" + long, "true"},
			} {
				if tooLongToStart(run) {
					continue // the machine's own execve of moss says E2BIG
				}
				r := s.Moss(run...)
				whole := r.Stdout == fmt.Sprintf("%d next\n", n) && r.Code == 0
				clear := (r.Code == 125 || r.Code == 126 || r.Code == 127) && r.Stdout == "" && strings.Count(r.Stderr, "\n") <= 4 && r.Stderr != ""
				if !whole && !clear {
					t.Errorf("%s of %d bytes: code %d, stdout %.80q, stderr %.200q", name, n, r.Code, r.Stdout, r.Stderr)
				}
			}
		}
	})
}

// tooLongToStart: one argument may have 32 pages (MAX_ARG_STRLEN, execve(2)).
func tooLongToStart(args []string) bool {
	for _, a := range args {
		if len(a) >= 32*syscall.Getpagesize() {
			return true
		}
	}
	return false
}

// Two megabytes of environment arrive whole; the sum may not pass what execve takes.
func TestMuchEnvironment(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		var file strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&file, "V%d=%s\n", i, strings.Repeat("v", 1500))
		}
		if err := os.WriteFile(s.Work+"/env", []byte(file.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		r := s.Moss("run", "--rm", "--network=none", "--env-file", "env", s.root, "sh", "-c", "env | grep -c ^V; echo ${#V999}")
		if r.Stdout != "1000\n1500\n" {
			t.Errorf("1.5 MB: %s", r)
		}
		for i := range 2000 {
			fmt.Fprintf(&file, "W%d=%s\n", i, strings.Repeat("v", 1500))
		}
		if err := os.WriteFile(s.Work+"/env", []byte(file.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		r = s.Moss("run", "--rm", "--network=none", "--env-file", "env", s.root, "true")
		if r.Code == 0 || strings.Count(r.Stderr, "\n") > 4 {
			t.Errorf("4.5 MB: %.300q, code %d", r.Stderr, r.Code)
		}
	})
}
