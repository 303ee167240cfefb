package tests

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// system check finds each kind of damage, and repairs what can be.
func TestSystemCheck(t *testing.T) {
	img := harness.MakeImage(t, harness.Config{Env: []string{"PATH=/bin"}}, harness.Layer(t, harness.BusyboxTree(t)),
		harness.Layer(t, "dir srv mode=2750\nfile srv/own text mode=4711\nlink srv/l own\nfile bin/.wh.uname"))
	ref := harness.ServeRegistry(t, nil).Push(t, "base:1", img)
	accounts := harness.Accounts(t) // the one without ids keeps owners in an index: the hardest to compare
	loginOf(t, accounts[min(1, len(accounts)-1)], func(t *testing.T, l *harness.Login) {
		buildContext(t, l, "FROM "+ref+"\nRUN rm -r /srv /bin/date && mkdir -m 711 /d && echo x >/d/f && chmod 600 /d/f && ln /d/f /d/g && ln -s f /d/h\n")
		layers := `(cd ` + l.Data() + ` && ls -d layers/*/*/fs/etc/passwd)`
		for _, s := range []scene{
			{"all is whole", `$moss build -q --network none -t built ctx >/dev/null && $moss system check`, "All images are whole.\n", "", 0},
			{"a file of a tree", `cd ` + l.Data() + ` && echo evil >>$` + layers + ` && $moss system check`, `~layers/\w+/[0-9a-f]{64}: its files are not the layer's\n`, "*moss system check --repair", 1},
			{"not under a container", `$moss create --name cc --network none ` + ref + ` true >/dev/null; $moss system check --repair; $moss rm cc`, "~.* and container [0-9a-f]{12} stands on it: remove that first\ncc\n", "", 0},
			{"repair", `$moss system check --repair && $moss system check && $moss run --rm --network none ` + ref + ` cat /etc/passwd`, "~.* its files are not the layer's \\(repaired\\)\nAll images are whole.\nroot:x:0:0:root:/root:/bin/sh\n", "", 0},
			{"a blob", `cd ` + l.Data() + `/blobs/sha256 && f=$(ls -S | head -1) && printf x | dd of=$f conv=notrunc status=none && $moss system check --repair | grep -c 'content is not.*(repaired)\|is missing: pull the image again'`, "~[34]\n", "", 0},
			{"which a pull brings back", `$moss rmi built >/dev/null; $moss pull -q ` + ref + ` && $moss system check`, ref + "\nAll images are whole.\n", "", 0},
			{"the end", `$moss rmi ` + ref + ` >/dev/null; rm -rf ` + l.Data() + `/buildcache ` + l.Data() + `/quarantine/*`, "", "", 0},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
	})
}

// A pull that cannot fit says so before it downloads anything: which file system, what moss has there, what to do.
func TestPullWithoutRoom(t *testing.T) {
	harness.RequireRoot(t)
	ref := harness.ServeRegistry(t, nil).Push(t, "base:1", harness.BusyboxImage(t))
	loginOf(t, harness.Named(t, "subids"), func(t *testing.T, l *harness.Login) {
		mountTmpfs(t, l, "size=1500k")
		scene{"", `$moss pull -q ` + ref + `; c=$?; $moss images -q; find ` + l.Data() + `/blobs -type f; exit $c`, "",
			"~moss: no room for the image in \"" + l.Data() + "\": it needs about \\d MB, \\d MB are free\nhint: images take 0 MB there; `moss system prune -a` would free 0 MB of it\nhint: set MOSS_ROOT, .*\n", 1}.play(t, l, "moss")
	})
}

// A class: the teacher publishes a directory, the registry is switched off, and every student's `run alpine` works.
func TestCourseStore(t *testing.T) {
	registry := harness.ServeRegistry(t, nil)
	registry.Push(t, "library/alpine:latest", harness.BusyboxImage(t))
	dir, err := os.MkdirTemp("/tmp", "mt-course-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	oneLogin(t, func(t *testing.T, l *harness.Login) {
		if err := os.Chown(dir, l.UID, l.GID); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		dockerIO(l, registry)
		l.Moss("pull", "-q", "alpine").OK(t)
		l.Moss("store", "publish", dir, "alpine").Want(t, harness.Result{Stdout: "Published: alpine:latest\nThe class uses it with: PATH=" + dir + "/bin:$PATH\n"})
		l.Moss("store", "publish", dir).OK(t) // again, and all that has a tag: nothing to do
		l.Moss("rmi", "alpine").OK(t)
		l.Unset("MOSS_DOCKER_IO")
		l.Env = append(l.Env, "MOSS_DOCKER_IO=http://127.0.0.1:1")
		students(t, l, dir)
		run := `D=` + dir + `; $D/bin/moss run --rm --network none `
		blob := `$D/blobs/sha256/$(ls -S $D/blobs/sha256 | head -1)`
		limited := harness.ServeRegistry(t, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusTooManyRequests)
			})
		})
		for _, s := range []scene{
			{"what is not there", run + `nosuch`, "", "*nosuch", 125},
			{"a rate limit", `export MOSS_DOCKER_IO=http://` + limited.Host + `; ` + run + `alpine echo hello`, "hello\n", "*taken from " + dir, 0},
			{"the blob was not copied", `ls ` + l.Data() + `/blobs/sha256 | wc -l; $moss image rm alpine >/dev/null`, "2\n", "", 0},
			{"what anybody can write is not read", `chmod g+w ` + dir + `/bin/moss.json; ` + run + `alpine; c=$?; chmod g-w $D/bin/moss.json; exit $c`, "", "*others may write to it (mode 664)", 125},
			{"MOSS_STORES", `export MOSS_STORES=` + dir + `; $moss run --rm --network none alpine echo hello; $moss rmi alpine >/dev/null`, "hello\n", "*taken from " + dir, 0},
			{"nothing is used unhashed", `D=` + dir + `; chmod u+w ` + blob + `; printf x | dd of=` + blob + ` bs=1 seek=2000 conv=notrunc status=none; ` + run + `alpine echo evil; c=$?; $moss images -q; exit $c`, "", "*moss: ", 125},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
	})
}

// students runs twenty accounts' worth of homes at once.
func students(t *testing.T, l *harness.Login, dir string) {
	t.Helper()
	const class = 20
	cmds := make([]*exec.Cmd, class)
	for i := range cmds {
		home := filepath.Join(l.Work, fmt.Sprint("student", i))
		for _, d := range []string{home, home + "/run"} {
			if err := os.Mkdir(d, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(d, l.UID, l.GID); err != nil {
				t.Fatal(err)
			}
		}
		cmds[i] = l.Command(filepath.Join(dir, "bin/moss"), "run", "--rm", "--network", "none", "alpine", "echo", "hello")
		cmds[i].Env = append(cmds[i].Env[:len(cmds[i].Env):len(cmds[i].Env)], "HOME="+home, "XDG_RUNTIME_DIR="+home+"/run")
	}
	var wait sync.WaitGroup
	results := make([]harness.Result, class)
	for i, cmd := range cmds {
		wait.Go(func() { results[i] = l.Do(cmd) })
	}
	wait.Wait()
	for _, r := range results {
		if r.Code != 0 || r.Stdout != "hello\n" || strings.Count(r.Stderr, "taken from "+dir) != 1 {
			t.Errorf("a student got %s", r)
		}
	}
}
