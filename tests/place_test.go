package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// oneLine wants the error of a place where moss cannot work: its code, one line, hints at most.
func oneLine(t *testing.T, r harness.Result, code int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.Stderr, "\n"), "\n")
	if r.Code != code || !strings.HasPrefix(lines[0], "moss: ") {
		t.Errorf("got %s\nwant code %d and one line that starts with moss:", r, code)
	}
	for _, line := range lines[1:] {
		if !strings.HasPrefix(line, "hint: ") && line != "" && !strings.HasPrefix(line, "Run 'moss ") {
			t.Errorf("a line that is no hint: %q", line)
		}
	}
}

// Another account may have made /tmp/moss-UID first: what is not ours is never used.
func TestForeignRuntimeDirectory(t *testing.T) {
	harness.RequireRoot(t)
	for name, plant := range map[string]func(path string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o777) },
		"file":      func(path string) error { return os.WriteFile(path, nil, 0o666) },
		"link":      func(path string) error { return os.Symlink("/var/tmp", path) },
	} {
		t.Run(name, func(t *testing.T) {
			l := harness.Named(t, "subids").Login(t)
			harness.Nothing(t, l)
			l.BusyboxRoot()
			l.Unset("XDG_RUNTIME_DIR")
			path := fmt.Sprintf("/tmp/moss-%d", l.UID)
			_ = os.RemoveAll(path)
			if err := plant(path); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(path)
			before := listing("/var/tmp")
			r := l.Moss("run", "--rm", "--network", "none", "./root", "echo", "hello")
			if r.Code != 0 { // a refusal is an answer, too
				oneLine(t, r, 125)
			}
			if entries := listing(path); name == "directory" && entries != "" {
				t.Errorf("moss used the foreign directory: %s", entries)
			}
			if after := listing("/var/tmp"); after != before {
				t.Errorf("moss followed the link: %s", after)
			}
		})
	}
}

func listing(dir string) string {
	var names []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// A set-id file made inside is set-id of the user outside, so nobody else may reach it (reliability.md 0.5).
func TestOthersCannotReachTheDataRoot(t *testing.T) {
	harness.RequireRoot(t)
	l, other := harness.Named(t, "subids").Login(t), harness.Named(t, "subids2").Login(t)
	l.BusyboxRoot()
	run := l.Command("sh", "-c", `umask 000; $moss run -d --name cc --network none ./root sh -c 'cp /bin/busybox /set; chmod 4755 /set; sleep 1000'`)
	if err := os.Chmod(l.Home, 0o755); err != nil { // not the home is the fence
		t.Fatal(err)
	}
	run.Env = append(append([]string(nil), l.Env...), "moss="+l.Command("moss").Path)
	l.Do(run).OK(t)
	for _, path := range []string{l.Data(), l.Data() + "/containers"} {
		if r := other.Do(other.Command("ls", path)); r.Code == 0 {
			t.Errorf("another account lists %s: %s", path, r.Stdout)
		}
	}
	l.Moss("rm", "-f", "cc").OK(t)
}

func TestFullDisk(t *testing.T) {
	harness.RequireRoot(t)
	for _, size := range []string{"16k", "64k", "256k", "1m"} {
		t.Run(size, func(t *testing.T) {
			l := harness.Named(t, "subids").Login(t)
			l.BusyboxRoot()
			mountTmpfs(t, l, "size="+size)
			r := l.Moss("run", "--name", "cc", "--network", "none", "./root", "sh", "-c", "head -c 4000000 /dev/zero >/fill; echo ended")
			if r.Code != 0 && r.Code != 1 {
				oneLine(t, r, 125)
				if !strings.Contains(r.Stderr, "no space left on device") {
					t.Errorf("the error does not say that the disk is full: %s", r.Stderr)
				}
			}
			if r := l.Moss("ps", "-aq"); r.Code != 0 {
				t.Errorf("ps on a full disk: %s", r)
			}
			l.Moss("rm", "-f", "cc") // there or not
			l.Moss("ps", "-aq").Want(t, harness.Result{})
		})
	}
}

// mountTmpfs puts a tmpfs of the login's under its data root until the test ends.
func mountTmpfs(t *testing.T, l *harness.Login, options string) {
	t.Helper()
	if err := os.MkdirAll(l.Data(), 0o700); err != nil {
		t.Fatal(err)
	}
	for dir := l.Data(); dir != l.Home && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chown(dir, l.UID, l.GID); err != nil {
			t.Fatal(err)
		}
	}
	options += fmt.Sprintf(",mode=0700,uid=%d,gid=%d", l.UID, l.GID)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "none", l.Data()).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", l.Data()).Run() })
}

func TestPlacesThatCannotWork(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		for name, line := range map[string]string{
			"data root in proc":      `MOSS_ROOT=/proc/moss $moss run --rm --network none ./root true`,
			"data root is a file":    `MOSS_ROOT=/etc/passwd $moss run --rm --network none ./root true`,
			"unknown key in config":  `mkdir -p ~/.config/moss; echo '{"nosuchkey": 1}' >~/.config/moss/config.json; $moss run --rm --network none ./root true; c=$?; rm -r ~/.config; exit $c`,
			"config that is no JSON": `mkdir -p ~/.config/moss; echo '{' >~/.config/moss/config.json; $moss run --rm --network none ./root true; c=$?; rm -r ~/.config; exit $c`,
		} {
			t.Run(name, func(t *testing.T) { oneLine(t, l.Sh("moss", line), 125) })
		}
		l.Sh("moss", `cd /; HOME=/nonexistent $moss version >/dev/null && echo fine`).Want(t, harness.Result{Stdout: "fine\n"})
	})
}

func TestStandardStreamsOfAllKinds(t *testing.T) {
	play(t, []scene{
		{"input closed", `$run ./root echo hi <&-`, "hi\n", "", 0},
		{"output closed", `$run ./root true >&-`, "", "", 0},
		{"errors closed", `$run ./root echo hi 2>&-`, "hi\n", "", 0},
		{"all closed", `$run ./root sh -c 'exit 4' <&- >&- 2>&-`, "", "", 4},
		{"output full", `$moss version >/dev/full`, "", "*no space left on device", 1},
		{"input a directory", `$run -i ./root echo hi <.`, "hi\n", "*", 0},
		{"few descriptors", `ulimit -n 128; $run ./root echo hi`, "hi\n", "", 0},
	})
}
