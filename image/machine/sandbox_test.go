package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// stageEnv turns the test binary into the first process of a hand-made container; private to these tests.
const stageEnv = "MOSS_TEST_MACHINE_STAGE"

func TestMain(m *testing.M) {
	if os.Getenv(stageEnv) != "" {
		err := enterStage(os.Args[1], os.Args[2], os.Args[3:])
		fmt.Fprintln(os.Stderr, "stage:", err)
		os.Exit(125)
	}
	os.Exit(m.Run())
}

// enterStage mounts a Root (a JSON document) with its upper directories in dir, and executes a command in it. It runs in a new
// user and mount namespace, as root of it.
func enterStage(document, dir string, command []string) error {
	if _, err := os.NewFile(3, "go").Read(make([]byte, 1)); err != nil { // the id map is written
		return err
	}
	if err := syscall.Setresgid(0, 0, 0); err != nil {
		return err
	}
	if err := syscall.Setresuid(0, 0, 0); err != nil {
		return err
	}
	var root Root
	if err := json.Unmarshal([]byte(document), &root); err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	at := filepath.Join(dir, "root")
	if err := mountRoot(root, dir, at); err != nil {
		return err
	}
	if err := os.Chdir(at); err != nil {
		return err
	}
	if err := syscall.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, command, []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"})
}

func mountRoot(root Root, dir, at string) error {
	for i, o := range root.Overlays {
		upper, work := filepath.Join(dir, fmt.Sprint("upper", i)), filepath.Join(dir, fmt.Sprint("work", i))
		for _, d := range []string{upper, work, at} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(filepath.Join(work, "work", "incompat")); err != nil { // a volatile upper is used again
			return err
		}
		opt := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,userxattr,volatile", strings.Join(o.Lower, ":"), upper, work)
		if err := syscall.Mount("overlay", at+o.Target, "overlay", 0, opt); err != nil {
			return fmt.Errorf("mounting overlay at %q (%s): %w", o.Target, opt, err)
		}
	}
	for _, b := range root.Binds {
		if err := syscall.Mount(b.Source, at+b.Target, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("binding %q: %w", b.Source, err)
		}
	}
	for _, f := range []string{"hosts", "resolv.conf"} {
		b, _ := os.ReadFile("/etc/" + f)
		if err := os.WriteFile(at+"/etc/"+f, b, 0o644); err != nil {
			return err
		}
	}
	for _, d := range []string{"null", "zero", "urandom", "random", "tty"} {
		if err := os.WriteFile(at+"/dev/"+d, nil, 0o644); err != nil {
			return err
		}
		if err := syscall.Mount("/dev/"+d, at+"/dev/"+d, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("binding /dev/%s: %w", d, err)
		}
	}
	return syscall.Mount("proc", at+"/proc", "proc", 0, "")
}

// testRange is where root's containers live in these tests.
const testRange = 1879048192

// an account is who runs the test, and what it may map.
type account struct {
	owner  Owner
	subids bool
	maps   [][2]string // newuidmap's and newgidmap's words
}

func whoAmI(t *testing.T) account {
	t.Helper()
	if os.Geteuid() == 0 {
		return account{owner: Owner{testRange, testRange}, subids: true}
	}
	a := account{owner: Owner{os.Getuid(), os.Getgid()}}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	sub, _ := os.ReadFile("/etc/subuid")
	for line := range strings.Lines(string(sub)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 3 && f[0] == u.Username {
			a.subids = true
			a.maps = append(a.maps, [2]string{f[1], f[2]})
		}
	}
	return a
}

// inside runs a command in the image and returns what it printed.
func (a account) inside(t *testing.T, root *Root, dir string, command ...string) (string, error) {
	t.Helper()
	doc, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c := exec.Command("/proc/self/exe", append([]string{string(doc), dir}, command...)...)
	c.Env = append(os.Environ(), stageEnv+"=1")
	c.ExtraFiles = []*os.File{r}
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	c.SysProcAttr = a.attr()
	err = c.Start()
	r.Close()
	if err != nil {
		requireOrSkip(t, "user namespaces: %v", err)
	}
	if len(a.maps) > 0 {
		a.writeMaps(t, c.Process.Pid)
	}
	if _, err := w.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	err = c.Wait()
	return out.String(), err
}

func (a account) attr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC}
	for c := range uintptr(41) {
		attr.AmbientCaps = append(attr.AmbientCaps, c)
	}
	switch {
	case os.Geteuid() == 0:
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: testRange, Size: 65536}}
		attr.GidMappings = attr.UidMappings
		attr.GidMappingsEnableSetgroups = true
	case !a.subids:
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

func (a account) writeMaps(t *testing.T, pid int) {
	t.Helper()
	for tool, own := range map[string]int{"newuidmap": os.Getuid(), "newgidmap": os.Getgid()} {
		args := []string{strconv.Itoa(pid), "0", strconv.Itoa(own), "1", "1", a.maps[0][0], a.maps[0][1]}
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			requireOrSkip(t, "%s: %v %s", tool, err, out)
		}
	}
}

// requireOrSkip ends the test: as a failure where everything must run (MOSS_TEST_MUST_RUN=1).
func requireOrSkip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// scratch is a directory that root inside can reach and write.
func (a account) scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "moss-machine-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.remove(t, dir) })
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, a.owner.UID, a.owner.GID); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// remove deletes a tree in which subordinate ids may own files, from inside where it must.
func (a account) remove(t *testing.T, dir string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error { // overlay's work/work is 000
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	if os.RemoveAll(dir) == nil {
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c := exec.Command("sh", "-c", `read x <&3; chmod -R u+rwx "$0"; rm -rf "$0"`, dir)
	c.ExtraFiles = []*os.File{r}
	c.SysProcAttr = a.attr()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	a.writeMaps(t, c.Process.Pid)
	fmt.Fprintln(w)
	_ = c.Wait()
	if err := os.RemoveAll(dir); err != nil {
		t.Errorf("left behind: %v", err)
	}
}
