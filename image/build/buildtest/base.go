package buildtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build"
)

// applets are the programs of the image.
const applets = " sh ash cat echo ls mkdir rm rmdir mv cp ln touch chmod chown sleep true false stat test id env pwd find grep sed head tail wc sort tr cut date seq tar gzip gunzip printf kill ps sha256sum readlink basename dirname du dd tee uname whoami hostname sync xargs which mktemp mknod mkfifo wget nc expr awk "

// Busybox makes a small image with a shell under the given name.
func (e *Engine) Busybox(t testing.TB, name string) build.Image {
	t.Helper()
	const program = "/bin/busybox"
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
			t.Fatal("package busybox-static is not installed")
		}
		t.Skip("package busybox-static is not installed")
	}
	root := filepath.Join(e.Dir, "base")
	for _, d := range []string{"bin", "etc", "tmp", "root", "var/log", "usr/bin", "home/web"} {
		check(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	check(t, os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky))
	check(t, os.Chmod(filepath.Join(root, "root"), 0o700))
	b, err := os.ReadFile(program)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(root, "bin/busybox"), b, 0o755))
	out, err := exec.Command(program, "--list").Output()
	check(t, err)
	for applet := range strings.FieldsSeq(string(out)) {
		if applet != "busybox" && strings.Contains(applets, " "+applet+" ") {
			check(t, os.Symlink("busybox", filepath.Join(root, "bin", applet)))
		}
	}
	check(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\nweb:x:33:44:web:/home/web:/bin/sh\n"), 0o644))
	check(t, os.WriteFile(filepath.Join(root, "etc/group"), []byte("root:x:0:\nwww:x:55:\n"), 0o644))
	settings := image.Settings{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, Cmd: []string{"sh"}}
	return e.AddImage(t, name, settings, []image.History{{CreatedBy: "/bin/sh -c #(nop) ADD file:0 in / "}}, root)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
