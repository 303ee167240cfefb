package cgroup1

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/limits"
)

// Tree is this process's own cgroups: for each controller the directory below which containers' groups are made.
type Tree struct{ Dirs map[string]string }

// used are the controllers moss has a use for.
func used() []string {
	return []string{"memory", "cpu", "cpuacct", "cpuset", "pids", "blkio", "freezer"}
}

// Find returns the hierarchies in which this process may make cgroups; fs.ErrNotExist when there are none.
func Find() (Tree, error) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return Tree{}, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return Tree{}, err
	}
	t := Tree{parse(string(groups), string(mounts))}
	maps.DeleteFunc(t.Dirs, func(_, dir string) bool { return syscall.Access(dir, 2) != nil }) // W_OK
	if len(t.Dirs) == 0 {
		return t, fmt.Errorf("writable cgroups of version 1: %w", fs.ErrNotExist)
	}
	return t, nil
}

// parse joins the lines "4:memory:/path" of /proc/PID/cgroup with the mounts of their controllers (cgroups(7)). A mount whose
// root is not "/" shows a part of the hierarchy, as in a container without a cgroup namespace.
func parse(groups, mountinfo string) map[string]string {
	dirs := map[string]string{}
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) < 3 {
			continue
		}
		for c := range strings.SplitSeq(fields[1], ",") {
			if root, point, ok := mount(mountinfo, c); ok && slices.Contains(used(), c) {
				dirs[c] = filepath.Join(point, strings.TrimPrefix(fields[2], root))
			}
		}
	}
	return dirs
}

// mount finds the mount of a controller, which is among the options of the file system (mountinfo's last field).
func mount(mountinfo, controller string) (root, point string, ok bool) {
	for line := range strings.Lines(mountinfo) {
		front, back, _ := strings.Cut(strings.TrimSpace(line), " - ")
		f, b := strings.Fields(front), strings.Fields(back)
		if len(f) > 4 && len(b) == 3 && b[0] == "cgroup" && slices.Contains(strings.Split(b[2], ","), controller) {
			return f[3], f[4], true
		}
	}
	return "", "", false
}

// Controllers are those that can be used.
func (t Tree) Controllers() []string { return slices.Sorted(maps.Keys(t.Dirs)) }

// Group is the cgroups of one container, by controller; recorded in its state.
type Group struct {
	Dirs map[string]string `json:"dirs"`
}

// Create makes a container's groups and sets its limits; on an error nothing is left.
func (t Tree) Create(id string, values []limits.Value) (Group, error) {
	g := Group{Dirs: map[string]string{}}
	for c, dir := range t.Dirs {
		g.Dirs[c] = filepath.Join(dir, "moss-"+id)
	}
	err := g.make(t)
	if err == nil {
		err = g.Update(values)
	}
	if err != nil {
		_ = g.removeDirs()
		return Group{}, fmt.Errorf("making cgroups of %q: %w", id, err)
	}
	return g, nil
}

// make makes the directories. Controllers mounted together share one, and a new cpuset is empty: without CPUs and nodes
// nobody can join it.
func (g Group) make(t Tree) error {
	for c, dir := range g.Dirs {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if c != "cpuset" {
			continue
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			text, err := os.ReadFile(filepath.Join(t.Dirs[c], file))
			if err != nil {
				return err
			}
			if err := write(dir, file, strings.TrimSpace(string(text))); err != nil {
				return err
			}
		}
	}
	return nil
}

// Update sets values. Their files name the controller. memory.memsw.limit_in_bytes may never be below
// memory.limit_in_bytes, so when one order is refused the other is tried.
func (g Group) Update(values []limits.Value) error {
	err := g.write(values)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EBUSY) {
		reversed := slices.Clone(values)
		slices.Reverse(reversed)
		return g.write(reversed)
	}
	return err
}

func (g Group) write(values []limits.Value) error {
	for _, v := range values {
		controller, _, _ := strings.Cut(v.File, ".")
		dir, ok := g.Dirs[controller]
		if !ok {
			return fmt.Errorf("cgroup file %q: %w", v.File, fs.ErrNotExist)
		}
		if err := write(dir, v.File, v.Text); err != nil {
			return err
		}
	}
	return nil
}

// Joins opens a file of each group for a process that writes "0" to all of them and so moves itself in (cgroups(7)); the
// right to do so is that of this process (Linux 5.16), whatever the writer has become. The caller closes them.
func (g Group) Joins() ([]*os.File, error) {
	var files []*os.File
	for _, dir := range g.unique() {
		f, err := os.OpenFile(filepath.Join(dir, "cgroup.procs"), os.O_WRONLY, 0)
		if err != nil {
			for _, f := range files {
				_ = f.Close()
			}
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// unique lists the directories once each.
func (g Group) unique() []string {
	return slices.Compact(slices.Sorted(maps.Values(g.Dirs)))
}

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
