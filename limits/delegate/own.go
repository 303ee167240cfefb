package delegate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/limits/cgroup"
)

// enterOwn takes the process's own cgroup, as a CI container with a cgroup namespace or a scope started with Delegate=yes
// has it.
func enterOwn(o Options) (cgroup.Tree, error) {
	own, err := cgroup.Own()
	if err != nil {
		return cgroup.Tree{}, err
	}
	tree := cgroup.Tree{Dir: own, Owner: o.Owner}
	if parent := filepath.Dir(own); filepath.Base(own) == strings.TrimPrefix(tree.Supervisor(), "/") && Writable(parent) == nil {
		tree.Dir = parent // moved there by an earlier moss, or by the shell's
		return tree, tree.Delegate()
	}
	if err := Writable(own); err != nil {
		return cgroup.Tree{}, err
	}
	if err := tree.MakeSupervisor(); err != nil {
		return cgroup.Tree{}, err
	}
	if err := empty(tree); err != nil {
		_ = os.Remove(filepath.Join(tree.Dir, tree.Supervisor())) // only when nobody is in it
		return cgroup.Tree{}, err
	}
	return tree, tree.Delegate()
}

// Writable tells why a cgroup directory may not be used as a tree, nil when it may.
func Writable(dir string) error {
	for _, file := range []string{"", "cgroup.procs", "cgroup.subtree_control"} {
		if err := syscall.Access(filepath.Join(dir, file), 2); err != nil { // W_OK
			return fmt.Errorf("cgroup %q: %w", dir, errNotGiven)
		}
	}
	if !given(dir) {
		return fmt.Errorf("cgroup %q belongs to systemd: %w", dir, errNotGiven)
	}
	return Useful(dir)
}

// Useful tells why limits cannot be set in a cgroup directory: hosts of version 1 mount version 2 beside it without the
// controllers.
func Useful(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	controllers := strings.Fields(string(text))
	if !slices.ContainsFunc(controllers, func(c string) bool { return c == "memory" || c == "cpu" || c == "pids" }) {
		return fmt.Errorf("cgroup %q has no controllers: %w", dir, errNotGiven)
	}
	return nil
}

// given tells whether a writable cgroup was given away: its manager says so (newer systemd marks what it delegates with an
// extended attribute), it is the root of a cgroup namespace, there is no systemd that could want it, or the system's manager
// has handed it to this account, as it does for services with User= and Delegate=. What lies below the account's own
// manager is always writable and says nothing.
func given(dir string) bool {
	mark := make([]byte, 1)
	if n, err := syscall.Getxattr(dir, "user.delegate", mark); err == nil && n == 1 && mark[0] == '1' {
		return true
	}
	text, _ := os.ReadFile("/proc/self/cgroup")
	if strings.Contains("\n"+string(text), "\n0::/\n") {
		return true
	}
	if _, err := os.Stat("/run/systemd/system"); errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return os.Getuid() != 0 && !strings.Contains(dir, fmt.Sprintf("/user@%d.service", os.Getuid()))
}

// empty moves every process out of the tree's own directory, as Docker's own recipe for containers in containers does: none
// may sit where children have controllers. The root of the whole hierarchy is exempt; it has no cgroup.type.
func empty(tree cgroup.Tree) error {
	if _, err := os.Stat(filepath.Join(tree.Dir, "cgroup.type")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	procs := filepath.Join(tree.Dir, "cgroup.procs")
	target := filepath.Join(tree.Dir, tree.Supervisor(), "cgroup.procs")
	for range 20 { // some fork meanwhile
		text, err := os.ReadFile(procs)
		pids := strings.Fields(string(text))
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := move(target, pid); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("emptying cgroup %q: %w", tree.Dir, syscall.EBUSY)
}

func move(target, pid string) error {
	if n, _ := strconv.Atoi(pid); n == 0 {
		return fmt.Errorf("a process of another pid namespace is in the way: %w", errNotGiven)
	}
	err := os.WriteFile(target, []byte(pid), 0)
	if errors.Is(err, syscall.ESRCH) { // ended meanwhile
		return nil
	}
	return err
}
