package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long one command may take before the test calls it a hang.
const Patience = 60 * time.Second

// Login is an account with a home, a runtime directory and a working directory of its own, so that tests do not see each
// other's containers. All of it is removed after the test, with every process that is left.
type Login struct {
	Account
	Home    string // HOME
	Runtime string // XDG_RUNTIME_DIR
	Work    string // where commands run
	Env     []string
	// Patience is how long one command may take, at first the constant of that name.
	Patience time.Duration
	t        testing.TB
	dir      string          // all of the above lie in it
	before   map[string]bool // what was there before, see Leaks
}

// Result is what a command did. Its zero value is "nothing printed, exit code 0".
type Result struct {
	Stdout, Stderr string
	Code           int
	Took           time.Duration // not compared
}

// Login makes a fresh login of the account.
func (a Account) Login(t testing.TB) *Login {
	t.Helper()
	// Short: a unix socket's path has at most 107 bytes.
	dir, err := os.MkdirTemp("/tmp", "mt-")
	if err != nil {
		t.Fatal(err)
	}
	l := &Login{Account: a, Home: dir + "/home", Runtime: dir + "/run", Work: dir + "/work", Patience: Patience, t: t, dir: dir}
	t.Cleanup(a.occupy(t))
	for path, mode := range map[string]os.FileMode{dir: 0o711, l.Home: 0o700, l.Runtime: 0o700, l.Work: 0o755} {
		if err := errors.Join(os.MkdirAll(path, mode), os.Chmod(path, mode), os.Chown(path, a.UID, a.GID)); err != nil {
			t.Fatal(err)
		}
	}
	l.Env = []string{
		"HOME=" + l.Home, "XDG_RUNTIME_DIR=" + l.Runtime, "USER=" + a.User, "LOGNAME=" + a.User, "LANG=C.UTF-8",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SHELL=/bin/bash",
	}
	if a.UID == 0 {
		l.Env = append(l.Env, "MOSS_ROOT="+l.Data()) // else /var/lib/moss, the machine's own
	}
	l.remember()
	t.Cleanup(l.end)
	return l
}

// Data is the login's data root.
func (l *Login) Data() string {
	if l.UID == 0 {
		return l.dir + "/data" // not below the home, which the range of root's containers may not enter
	}
	return filepath.Join(l.Home, ".local/share/moss")
}

// inUse counts the logins of each account in this process.
var inUse struct {
	sync.Mutex
	accounts map[string]*use
}

// use is one account's: the first login takes the machine's lock, the last gives it back.
type use struct {
	sync.Mutex
	count  int
	unlock func()
}

// occupy makes other test processes wait for this account: processes are told apart by their owner. Tests of one process
// that share an account must not run in parallel; those of different accounts may. The tester's own account is not kept, since
// its processes are told apart by their traces.
func (a Account) occupy(t testing.TB) (leave func()) {
	t.Helper()
	if a.UID == os.Getuid() {
		return func() {}
	}
	u := a.use()
	u.Lock()
	defer u.Unlock()
	if u.count == 0 {
		unlock, err := machineLock("account-" + a.User)
		if err != nil {
			t.Fatal(err)
		}
		u.unlock = unlock
	}
	u.count++
	return func() {
		u.Lock()
		defer u.Unlock()
		if u.count--; u.count == 0 {
			u.unlock()
		}
	}
}

// use never waits: who waits for one account must not keep another from being given back.
func (a Account) use() *use {
	inUse.Lock()
	defer inUse.Unlock()
	if inUse.accounts == nil {
		inUse.accounts = map[string]*use{}
	}
	if inUse.accounts[a.User] == nil {
		inUse.accounts[a.User] = &use{}
	}
	return inUse.accounts[a.User]
}

// Unset removes variables from the login's environment.
func (l *Login) Unset(names ...string) {
	for _, name := range names {
		kept := l.Env[:0:0]
		for _, e := range l.Env {
			if !strings.HasPrefix(e, name+"=") {
				kept = append(kept, e)
			}
		}
		l.Env = kept
	}
}

// Moss runs the built binary as the account, without a terminal and with empty standard input, and waits for it.
func (l *Login) Moss(args ...string) Result {
	l.t.Helper()
	return l.Do(l.Command("moss", args...))
}

// Docker is Moss called by that name.
func (l *Login) Docker(args ...string) Result {
	l.t.Helper()
	return l.Do(l.Command("docker", args...))
}

// Command prepares a program: "moss" and "docker" are the built binary, anything else is looked up in PATH.
func (l *Login) Command(name string, args ...string) *exec.Cmd {
	l.t.Helper()
	if name == "moss" || name == "docker" {
		name = filepath.Join(filepath.Dir(Binary(l.t)), name)
	}
	cmd := exec.Command(name, args...)
	l.prepare(cmd)
	return cmd
}

// prepare makes cmd run as the account, in a session of its own (so that no terminal of the tester is near).
func (l *Login) prepare(cmd *exec.Cmd) {
	cmd.Env, cmd.Dir = l.Env, l.Work
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if os.Getuid() != l.UID {
		cred := &syscall.Credential{Uid: uint32(l.UID), Gid: uint32(l.GID)}
		for _, g := range l.Groups {
			cred.Groups = append(cred.Groups, uint32(g))
		}
		cmd.SysProcAttr.Credential = cred
	}
}

// Do runs a prepared command to its end. A hang is a failure, and so is a process left behind that holds its output open.
func (l *Login) Do(cmd *exec.Cmd) Result {
	l.t.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	cmd.WaitDelay = 5 * time.Second
	start := time.Now()
	if err := cmd.Start(); err != nil {
		l.t.Fatalf("%v: %v", cmd.Args, err)
	}
	hang := time.AfterFunc(l.Patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err := cmd.Wait()
	if !hang.Stop() {
		l.t.Fatalf("%v: still running after %v\nstdout: %s\nstderr: %s", cmd.Args, l.Patience, tail(stdout.String(), 20), tail(stderr.String(), 20))
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		l.t.Errorf("%v: a process it left behind holds its output open", cmd.Args)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: exitCode(cmd.ProcessState), Took: time.Since(start)}
}

// exitCode is the code as a shell would show it: 128+n for a signal.
func exitCode(state *os.ProcessState) int {
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// Want compares all of the result: standard output, standard error, exit code.
func (r Result) Want(t testing.TB, want Result) {
	t.Helper()
	want.Took = r.Took
	if r != want {
		t.Errorf("got  %s\nwant %s", r, want)
	}
}

// OK ends the test unless the command ended with 0; it returns standard output without the final newline.
func (r Result) OK(t testing.TB) string {
	t.Helper()
	if r.Code != 0 {
		t.Fatalf("got %s", r)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// Fails wants an exit code, nothing on standard output, and each of the texts on standard error.
func (r Result) Fails(t testing.TB, code int, texts ...string) {
	t.Helper()
	if r.Code != code || r.Stdout != "" {
		t.Errorf("got %s\nwant code %d and nothing on stdout", r, code)
	}
	for _, text := range texts {
		if !strings.Contains(r.Stderr, text) {
			t.Errorf("stderr %q\nlacks %q", r.Stderr, text)
		}
	}
}

// String shows a result in a failure message.
func (r Result) String() string {
	return fmt.Sprintf("code %d, stdout %q, stderr %q", r.Code, tail(r.Stdout, 20), tail(r.Stderr, 20))
}

// Eventually calls f until it is true; the test fails after d.
func Eventually(t testing.TB, d time.Duration, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for !f() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", d, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Exists says whether there is something under this path on the host.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// end kills what is left of the login and removes its files. As an ordinary user the files of subordinate ids need moss
// itself, so its containers are removed first.
func (l *Login) end() {
	if entries, _ := os.ReadDir(l.Data() + "/containers"); len(entries) > 0 && os.Getuid() != 0 {
		ids := strings.Fields(l.Do(l.Command("moss", "ps", "-aq")).Stdout)
		if len(ids) > 0 {
			l.Do(l.Command("moss", append([]string{"rm", "-f"}, ids...)...))
		}
	}
	for _, p := range l.processes() {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
	makeWritable(l.dir)
	if err := os.RemoveAll(l.dir); err != nil {
		l.t.Logf("left behind: %v", err)
	}
}

// makeWritable opens directories that overlay closes (work/work has mode 000).
func makeWritable(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() && (err != nil || d.Type().Perm()&0o700 != 0o700) {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
}

// Sh runs a shell line in which $moss is the tool under the name that tool says ("moss" or "docker").
func (l *Login) Sh(tool, line string) Result {
	l.t.Helper()
	cmd := l.Command("sh", "-c", line)
	cmd.Env = append(append([]string(nil), l.Env...), "moss="+l.Command(tool).Path)
	return l.Do(cmd)
}
