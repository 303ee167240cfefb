package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moss-sandbox/moss/limits"
)

// Tree is a cgroup directory of this user whose children are containers.
type Tree struct {
	Dir         string   // below the mount point of cgroup2
	Controllers []string // that children can have
	Owner       Owner    // of the leaves, for CLONE_INTO_CGROUP by mapped ids
}

// Owner is who may clone into a leaf besides this process's user; the zero value is nobody. Real root sets it to what its
// containers' root is on the host, because the host's uid 0 is never mapped.
type Owner struct{ UID, GID int }

// supervisorDir is where processes of the tree sit that belong to no container.
const supervisorDir = "supervisor"

// Supervisor returns the path of the group for the supervisor, relative to the tree.
func (t Tree) Supervisor() string { return "/" + supervisorDir }

// Prepare makes the supervisor's group, moves this process into it if it sits in the tree itself, and hands all controllers
// on to the children. It may be repeated.
func (t *Tree) Prepare() error {
	if err := t.MakeSupervisor(); err != nil {
		return err
	}
	if err := t.leave(); err != nil {
		return err
	}
	return t.Delegate()
}

// MakeSupervisor makes the supervisor's group; AttachProcessesToUnit needs it beforehand.
func (t *Tree) MakeSupervisor() error {
	if err := os.Mkdir(filepath.Join(t.Dir, supervisorDir), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making supervisor's cgroup: %w", err)
	}
	return nil
}

// leave moves this process out of the tree's own directory: no process may sit where children have controllers (EBUSY,
// Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint").
func (t *Tree) leave() error {
	own, err := Own()
	if err != nil || own != t.Dir {
		return err
	}
	return write(filepath.Join(t.Dir, supervisorDir), "cgroup.procs", strconv.Itoa(os.Getpid()))
}

// Delegate reads what controllers there are and enables them for the children, one by one: one that is refused must not
// take the others with it.
func (t *Tree) Delegate() error {
	controllers, err := readWords(t.Dir, "cgroup.controllers")
	if err != nil {
		return err
	}
	var failed error
	t.Controllers = nil
	for _, c := range controllers {
		if err := write(t.Dir, "cgroup.subtree_control", "+"+c); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		t.Controllers = append(t.Controllers, c)
	}
	if len(t.Controllers) == 0 {
		return failed
	}
	return nil
}

// Own returns the directory of this process's own cgroup.
func Own() (string, error) { return Of("self") }

// Of returns the cgroup directory of a process: "self" or a pid. fs.ErrNotExist when no cgroup2 is mounted.
func Of(process string) (string, error) {
	text, err := os.ReadFile(filepath.Join("/proc", process, "cgroup"))
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	point, ok := MountPoint(string(mounts))
	path, found := unified(string(text))
	if !ok || !found {
		return "", fmt.Errorf("mount of cgroup2: %w", fs.ErrNotExist)
	}
	return filepath.Join(point, path), nil
}

// unified finds the v2 line of /proc/PID/cgroup (cgroups(7)).
func unified(text string) (string, bool) {
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return strings.TrimSuffix(path, " (deleted)"), true
		}
	}
	return "", false
}

// MountPoint finds where cgroup2 is mounted in the text of a mountinfo file (proc(5)); octal escapes do not occur in such
// mount points and make a line be passed over.
func MountPoint(mountinfo string) (string, bool) {
	for line := range strings.Lines(mountinfo) {
		front, back, _ := strings.Cut(line, " - ")
		fields := strings.Fields(front)
		if strings.HasPrefix(back, "cgroup2 ") && len(fields) > 4 && !strings.Contains(fields[4], `\`) {
			return fields[4], true
		}
	}
	return "", false
}

// write writes one value; cgroup files take a value as one write call.
func write(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		_ = f.Close()
		return fmt.Errorf("writing %q: %w", text, err)
	}
	return f.Close()
}

func writeAll(dir string, values []limits.Value) error {
	for _, v := range values {
		if err := write(dir, v.File, v.Text); err != nil {
			return err
		}
	}
	return nil
}

func readWords(dir, file string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, file))
	return strings.Fields(string(text)), err
}
