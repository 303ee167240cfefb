package confine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/tests/confine/sight"
	"github.com/moss-sandbox/moss/tests/harness"
)

const token = "canary-7f3a91"

// canary is a file of the account with the token in it and in its name.
func (s *stage) canary(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(s.Home, "canary")
	s.CreateTree(dir, "file "+token+" "+token)
	return filepath.Join(dir, token)
}

// Row 3 (CVE-2024-21626): no descriptor, directory or process leads out of the root.
func TestFilesOfTheHostAreOutOfReach(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		file := s.canary(t)
		home, err := os.Open(filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		defer home.Close()
		leaky := func(args ...string) *exec.Cmd { // the caller holds descriptors without close-on-exec
			cmd := s.Command("moss", args...)
			cmd.ExtraFiles = []*os.File{home, home, home}
			cmd.Dir = filepath.Dir(file)
			return cmd
		}
		reach := []string{"/probe", "reach", token, filepath.Dir(file), file}
		root := filepath.Join(s.Work, "root")
		run := []string{"run", "--rm", "--network=none"}
		s.Moss("run", "-d", "--name", "box", "--network=none", s.root, "/probe", "sleep").OK(t)
		defer s.Moss("rm", "-f", "box")
		withStdin := leaky(append(append(run, "-i", root), reach...)...)
		withStdin.Stdin = home
		for name, cmd := range map[string]*exec.Cmd{
			"run":                      leaky(append(append(run, root), reach...)...),
			"run with -i, a directory": withStdin,
			"run as a user":            leaky(append(append(run, "-u", "1000", root), reach...)...),
			"run with SYS_PTRACE":      leaky(append(append(run, "--cap-add", "SYS_PTRACE", root), reach...)...),
			"run privileged":           leaky(append(append(run, "--privileged", root), reach...)...),
			"exec":                     leaky(append([]string{"exec", "box"}, reach...)...),
			"exec privileged":          leaky(append([]string{"exec", "--privileged", "box"}, reach...)...),
		} {
			if found := tell[sight.Reached](t, s.Do(cmd)); len(found) > 0 {
				t.Errorf("%s: reached by %v", name, found)
			}
		}
		if found := tell[sight.Reached](t, s.weak(reach[1:]...)); len(found) == 0 {
			t.Error("control: nothing is reached in a weak sandbox either")
		}
		s.CreateTree(s.Work+"/shown", "file "+token+" "+token)
		mounted := s.inside([]string{"-v", s.Work + "/shown:/mnt"}, "reach", token, "/mnt/"+token)
		if found := tell[sight.Reached](t, mounted); len(found) == 0 {
			t.Error("control: a mounted file is not reached")
		}
	})
}

// Row 3: a working directory that names a descriptor must not lead out, wherever moss keeps its own.
func TestWorkingDirectoryCannotBeADescriptor(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		file := s.canary(t)
		root := filepath.Join(s.Work, "root")
		s.Moss("run", "-d", "--name", "box", "--network=none", root, "/probe", "sleep").OK(t)
		defer s.Moss("rm", "-f", "box")
		probe := []string{"/probe", "reach", token, file, "/" + filepath.Base(file)}
		for fd := range 26 {
			dir := fmt.Sprintf("/proc/self/fd/%d/..", fd)
			for _, args := range [][]string{
				append([]string{"run", "--rm", "--network=none", "-w", dir, root}, probe...),
				append([]string{"exec", "-w", dir, "box"}, probe...),
			} {
				cmd := s.Command("moss", args...)
				cmd.Dir = filepath.Dir(file)
				if r := s.Do(cmd); r.Code == 0 && strings.TrimSpace(r.Stdout) != "[]" {
					t.Errorf("%s -w %s: %.300s", args[0], dir, r)
				}
			}
		}
	})
}

// A link of the image that is the working directory leads to no descriptor either, and nothing is made through it.
func TestWorkingDirectoryThroughALink(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		canary := filepath.Dir(s.canary(t))
		for fd := range 26 {
			s.CreateTree(s.Work+"/root", fmt.Sprintf("link w%d /proc/self/fd/%d/../../../../../../../../../..%s", fd, fd, canary))
			r := s.inside([]string{"-w", fmt.Sprintf("/w%d/made/here", fd)}, "reach", token, "/"+token)
			if r.Code == 0 && strings.TrimSpace(r.Stdout) != "[]" {
				t.Errorf("descriptor %d: %.300s", fd, r)
			}
		}
		untouched(t, canary, "-w")
	})
}

// The user's containers do not see, signal, trace or read each other.
func TestContainersAreApart(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.Moss("run", "-d", "--name", "box", "--network=none", s.root, "sh", "-c", "echo "+token+" >/token; exec /probe sleep").OK(t)
		defer s.Moss("rm", "-f", "box")
		pid := s.pid(t, "box")
		for _, options := range [][]string{nil, {"--privileged"}, {"--cap-add", "SYS_PTRACE"}} {
			other := tell[sight.Attempts](t, s.inside(options, "signal", pid, "-1"))
			for name, answer := range other {
				if answer == "ok" || answer == "EPERM" {
					t.Errorf("%v: %s: %s", options, name, answer)
				}
			}
			if found := tell[sight.Reached](t, s.inside(options, "reach", token, "/token")); len(found) > 0 {
				t.Errorf("%v: the other's file is reached by %v", options, found)
			}
		}
		if answer := tell[sight.Attempts](t, s.outside("signal", pid)); answer["kill "+pid] != "ok" {
			t.Errorf("control: from outside process %s answers %v", pid, answer)
		}
		if found := tell[sight.Reached](t, s.Moss("exec", "box", "/probe", "reach", token, "/token")); len(found) == 0 {
			t.Error("control: the container itself does not reach its file")
		}
	})
}

// The machine's root is in no container's map: its first process runs, seen from outside, with an id of the account's.
func TestRootInsideIsTheAccountOutside(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.Moss("run", "-d", "--name", "box", "--network=none", s.root, "/probe", "sleep").OK(t)
		defer s.Moss("rm", "-f", "box")
		pid := s.pid(t, "box")
		info, err := os.Stat("/proc/" + pid)
		if err != nil {
			t.Fatal(err)
		}
		uid := int(info.Sys().(*syscall.Stat_t).Uid)
		if uid == 0 || s.UID != 0 && uid != s.UID {
			t.Errorf("process 1 runs as uid %d of the machine, the account is %d", uid, s.UID)
		}
		if s.UID == 0 && uid < 65536 {
			t.Errorf("root's container runs as uid %d", uid)
		}
	})
}

// Row 29 (CVE-2020-15257): abstract sockets are not bound to files, so whoever shares the network namespace reaches them.
func TestAbstractSockets(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		listenAbstract(t)
		s.Moss("run", "-d", "--name", "box", "--network=host", s.root, "/probe", "sleep").OK(t)
		defer s.Moss("rm", "-f", "box")
		table, err := os.ReadFile("/proc/net/unix")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			if f := strings.Fields(line); len(f) > 7 && strings.HasPrefix(f[7], "@") && strings.Contains(f[7], "moss") && f[7] != "@"+abstractCanary {
				t.Errorf("moss listens on the abstract socket %s", f[7])
			}
		}
		if answer := tell[sight.Attempts](t, s.inside(nil, "connect", abstractCanary))[abstractCanary]; answer != "ECONNREFUSED" {
			t.Errorf("a socket of the machine answers %s", answer)
		}
		shared := s.Moss("run", "--rm", "--network=host", s.root, "/probe", "connect", abstractCanary)
		if answer := tell[sight.Attempts](t, shared)[abstractCanary]; answer != "ok" {
			t.Errorf("control: with --network=host the socket answers %s", answer)
		}
	})
}

// Row 35: the caller's keys are not found inside, even where the filter lets keyctl through.
func TestKeysOfTheCallerAreNotFound(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		probe := s.Work + "/root/probe"
		with := func(command ...string) harness.Result {
			return s.Do(s.Command(probe, append([]string{"withkey", token}, command...)...))
		}
		moss := s.Command("moss").Path
		keys := tell[sight.Attempts](t, with(moss, "run", "--rm", "--network=none", "--security-opt", "seccomp=unconfined", s.root, "/probe", "keys", token))
		for ring, answer := range keys {
			if answer == "ok" {
				t.Errorf("key found in the %s", ring)
			}
		}
		for ring, answer := range tell[sight.Attempts](t, with(probe, "keys", token)) {
			if answer != "ok" {
				t.Errorf("control: outside the key is not found in the %s: %s", ring, answer)
			}
		}
	})
}

// Row 30 (CVE-2021-41091): another account gets nowhere in the data, though the user's umask and parent directories are open.
func TestOtherAccountsCannotEnterTheData(t *testing.T) {
	harness.RequireRoot(t)
	for _, account := range harness.Accounts(t) {
		t.Run(account.Name, func(t *testing.T) {
			s := onStage(t, account)
			other := harness.Named(t, "subids2").Login(t)
			if err := os.Chmod(s.Home, 0o755); err != nil {
				t.Fatal(err)
			}
			elsewhere := filepath.Join(s.Work, "elsewhere")
			moss := s.Command("moss").Path
			for name, place := range map[string]struct {
				root string
				args []string
			}{
				"the data root": {s.Data(), nil},
				"--root":        {elsewhere, []string{"--root", elsewhere}},
			} {
				args := append([]string{"-c", `umask 000; exec "$@"`, "sh", moss}, place.args...)
				args = append(args, "run", "--name", "box", "--network=none", s.root, "sh", "-c", "cp /bin/busybox /evil && chmod 4755 /evil && echo "+token+" >/token")
				s.Do(s.Command("sh", args...)).OK(t)
				if r := other.Do(other.Command("find", place.root, "-mindepth", "1")); r.Stdout != "" || !strings.Contains(r.Stderr, "Permission denied") {
					t.Errorf("%s: another account sees %s", name, r)
				}
				if r := s.Do(s.Command("find", place.root, "-mindepth", "1")); !strings.Contains(r.Stdout, "containers") {
					t.Errorf("control: %s: the account itself sees %s", name, r)
				}
			}
		})
	}
}

// Row 31 (CVE-2019-12439): the fallback of the runtime directory has a name that anybody can make first.
func TestRuntimeDirectoryOfSomebodyElse(t *testing.T) {
	harness.RequireRoot(t)
	each(t, func(t *testing.T, s *stage) {
		if s.UID == 0 {
			t.Skip("root has /run")
		}
		s.Unset("XDG_RUNTIME_DIR")
		path := fmt.Sprintf("/tmp/moss-%d", s.UID)
		trap := t.TempDir()
		if err := os.Chmod(trap, 0o777); err != nil {
			t.Fatal(err)
		}
		for name, plant := range map[string]func() error{
			"a directory": func() error { return os.Mkdir(path, 0o777) },
			"a link":      func() error { return os.Symlink(trap, path) },
			"a file":      func() error { return os.WriteFile(path, nil, 0o666) },
		} {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := plant(); err != nil {
				t.Fatal(err)
			}
			r := s.Moss("run", "--rm", "--network=none", s.root, "echo", "hello")
			if r.Stdout != "hello\n" && !strings.Contains(r.Stderr, path) {
				t.Errorf("%s: %s", name, r)
			}
			for _, dir := range []string{path, trap} {
				if entries, _ := os.ReadDir(dir); len(entries) > 0 {
					t.Errorf("%s: moss put %s into %s", name, entries[0].Name(), dir)
				}
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	})
}
