package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// stagedHost is a directory with an /etc and programs of its own, in which the administrator's script runs as root of a user
// namespace: what it would do to a machine, done to files of the test.
type stagedHost struct{ dir string }

func newStagedHost(t *testing.T, etc map[string]string) stagedHost {
	t.Helper()
	h := stagedHost{t.TempDir()}
	for path, content := range etc {
		h.write(t, path, content, 0o644)
	}
	for _, d := range []string{"etc", "run/systemd/system", "var/lib/systemd/linger", "bin"} {
		if err := os.MkdirAll(filepath.Join(h.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.write(t, "bin/loginctl", "#!/bin/sh\ntouch /var/lib/systemd/linger/$2\n", 0o755)
	awk, err := exec.LookPath("awk")
	if err != nil {
		requireOrSkip(t, "%v", err)
	}
	if awk, err = filepath.EvalSymlinks(awk); err != nil { // it leads through /etc/alternatives
		t.Fatal(err)
	}
	if err := os.Symlink(awk, filepath.Join(h.dir, "bin/awk")); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"systemctl", "apparmor_parser", "newuidmap"} {
		h.write(t, "bin/"+tool, "#!/bin/sh\n", 0o755)
	}
	return h
}

func (h stagedHost) write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	p := filepath.Join(h.dir, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func (h stagedHost) read(path string) string {
	b, _ := os.ReadFile(filepath.Join(h.dir, path))
	return string(b)
}

// run executes the script and returns what it said.
func (h stagedHost) run(t *testing.T, script string) string {
	t.Helper()
	h.write(t, "script", script, 0o644)
	const stage = `set -e; d=$1
for x in etc run var; do mount --bind "$d/$x" "/$x"; done
PATH=$d/bin:$PATH sh "$d/script"`
	c := exec.Command("sh", "-c", stage, "sh", h.dir)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

const (
	passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nldap:x:500000:500000::/:/bin/sh\n"
	group  = "root:x:0:\nann:x:1000:\n"
)

func TestAdminScriptOnAFreshHost(t *testing.T) {
	h := newStagedHost(t, map[string]string{"etc/passwd": passwd, "etc/group": group, "etc/subuid": "bob:100000:65536\n", "etc/subgid": "bob:100000:65536\n"})
	script := AdminScript(good(), "ann")
	h.run(t, script)
	for path, want := range map[string]string{
		"etc/subuid": "bob:100000:65536\nann:500001:65536\n", "etc/subgid": "bob:100000:65536\nann:500001:65536\n",
	} {
		if got := h.read(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if _, err := os.Stat(h.dir + "/var/lib/systemd/linger/ann"); err != nil {
		t.Error(err)
	}
	if again := h.run(t, script); again != "" {
		t.Errorf("the second run did something: %q", again)
	}
}

func TestAdminScriptLeavesRangesAlone(t *testing.T) {
	const have = "ann:200000:65536\n"
	for _, c := range []struct{ name, uids, gids, wantU, wantG string }{
		{"both there", have, have, have, have},
		{"by number", "1000:200000:65536\n", have, "1000:200000:65536\n", have},
		{"one there", have, "", have, "ann:500001:65536\n"},
		{"a name that begins alike", "anna:600000:65536\n", "anna:600000:65536\n", "anna:600000:65536\nann:665536:65536\n", "anna:600000:65536\nann:665536:65536\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newStagedHost(t, map[string]string{"etc/passwd": passwd, "etc/group": group, "etc/subuid": c.uids, "etc/subgid": c.gids})
			h.run(t, AdminScript(good(), "ann"))
			if u, g := h.read("etc/subuid"), h.read("etc/subgid"); u != c.wantU || g != c.wantG {
				t.Errorf("subuid %q, subgid %q", u, g)
			}
		})
	}
}

func TestAdminScriptQuotes(t *testing.T) {
	f := good()
	f.Binary = "/home/ann b/it's/mo$(x)ss[1]"
	script := AdminScript(f, "a'; rm -rf /; '")
	for _, want := range []string{`user='a'\''; rm -rf /; '\'''`, `profile moss "/home/ann b/it's/mo$(x)ss\[1\]" flags=(unconfined) {`, "<<'PROFILE'"} {
		if !strings.Contains(script, want) {
			t.Errorf("missing %q in\n%s", want, script)
		}
	}
	for _, path := range []string{"", "/a\nb", `/a"b`} {
		f.Binary = path
		if strings.Contains(AdminScript(f, "ann"), "apparmor_parser") {
			t.Errorf("a profile for %q", path)
		}
	}
	c := exec.Command("sh", "-n")
	c.Stdin = strings.NewReader(script)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v %s", err, out)
	}
}
