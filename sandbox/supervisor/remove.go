package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns"
)

// Remove removes a container that does not run: from sight first, then its files. It needs no free space, and what a kill
// in the middle leaves, Sweep takes away. Whatever lives of it against its state is killed first: nothing of it is removed
// before the kernel says that it is dead. Its caller has the right to serve it.
func (e *Env) Remove(ctx context.Context, c *sandbox.Snapshot) error {
	if c.Held() || c.State.Guest.Alive() {
		if err := c.EndOrphans(c.State.Guest); err != nil {
			return fmt.Errorf("removing container %s: %w", c.ID[:12], err)
		}
	}
	now := *c // its name may have changed
	if sp, err := c.Sandbox.Spec(); err == nil {
		now.Spec = sp
	}
	c = &now
	if err := os.Remove(c.Path("spec.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing container %s: %w", c.ID[:12], err)
	}
	e.Dirs.DropName(c.Spec.Name, c.ID)
	e.Dirs.Emit(c.Event("destroy"))
	err := e.removeFiles(ctx, c.Dir)
	if c.Spec.AutoRemove {
		err = errors.Join(err, e.RemoveAnonymous(ctx, c))
	}
	return err
}

// RemoveAnonymous removes the volumes that were made for a container alone.
func (e *Env) RemoveAnonymous(ctx context.Context, c *sandbox.Snapshot) (errs error) {
	for _, m := range c.Spec.Mounts {
		if m.Anon && m.Type == spec.Volume && present(e.Dirs.Data+"/volumes/"+m.Name) {
			errs = errors.Join(errs, e.RemoveTree(ctx, e.Dirs.Data+"/volumes/"+m.Name))
		}
	}
	return errs
}

// removeFiles removes a container's directory. Most are small and hold nothing of other ids: a few calls do, or a walk. What
// other ids own is a worker's task, inside the user's namespace.
func (e *Env) removeFiles(ctx context.Context, dir string) error {
	for _, f := range []string{
		"/spec.json", "/spec.json.new", "/state.json", "/state.json.new", "/health.json", "/log", "/index", "/lock", "/stopped", "/paused", "/limits.json", "/control",
		"/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
	} {
		_ = syscall.Unlink(dir + f)
	}
	_ = syscall.Rmdir(dir + "/etc")
	removeWork(dir + "/work")
	_ = syscall.Rmdir(dir + "/upper")
	_ = syscall.Unlink(dir + "/alive")
	_ = syscall.Unlink(dir + "/served") // last but one: its lock keeps others away
	err := syscall.Rmdir(dir)
	if err == nil || errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if err = os.RemoveAll(dir); err == nil || e.RemoveTree == nil {
		return err
	}
	return e.RemoveTree(ctx, dir)
}

// removeWork removes a work directory.
func removeWork(work string) {
	FreshWork(work)
	_ = syscall.Rmdir(work)
}

// FreshWork takes away what overlay left in a work directory, with mode 0, so that it can go, or its upper directory can
// be mounted again: after a volatile mount that was not undone overlay refuses (incompat/volatile).
func FreshWork(work string) {
	const incompat = "/work/incompat"
	if syscall.Rmdir(work+"/work") != nil {
		_ = syscall.Chmod(work+"/work", 0o700)
		_ = syscall.Chmod(work+incompat, 0o700)
		_ = syscall.Chmod(work+incompat+"/volatile", 0o700)
		_ = syscall.Unlink(work + incompat + "/volatile/dirty")
		_ = syscall.Rmdir(work + incompat + "/volatile")
		_ = syscall.Rmdir(work + incompat)
		_ = syscall.Rmdir(work + "/work")
	}
	_ = syscall.Rmdir(work + "/index")
}

// Sweep removes what a killed process left half-made or half-removed: directories without a specification that nobody
// serves.
func (e *Env) Sweep(ctx context.Context) error {
	entries, err := os.ReadDir(e.Dirs.Containers())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs error
	for _, n := range entries {
		if len(n.Name()) != 64 {
			continue
		}
		s := e.Dirs.Open(n.Name())
		if _, err := os.Lstat(s.Path("spec.json")); err == nil {
			continue
		}
		errs = errors.Join(errs, e.sweep(ctx, s))
	}
	e.sweepNames()
	return errs
}

func (e *Env) sweep(ctx context.Context, s *sandbox.Sandbox) error {
	served, err := s.TryServe()
	if err != nil {
		return nil // being made or removed right now
	}
	defer served.Close()
	if _, err := os.Lstat(s.Path("spec.json")); err == nil {
		return nil
	}
	if err := s.EndOrphans(userns.Process{}); err != nil { // a build's step outlives a killed build
		return err
	}
	return e.removeFiles(ctx, s.Dir)
}

// sweepNames removes names that lead nowhere.
func (e *Env) sweepNames() {
	links, _ := os.ReadDir(e.Dirs.Names())
	for _, l := range links {
		id, err := os.Readlink(e.Dirs.Names() + "/" + l.Name())
		if err != nil || strings.Contains(id, "/") {
			continue
		}
		if _, err := os.Lstat(e.Dirs.Containers() + "/" + id); errors.Is(err, fs.ErrNotExist) {
			e.Dirs.DropName(l.Name(), id)
		}
	}
}

// RemoveHalf removes a container's directory that was never finished. Its caller has the right to serve it.
func (e *Env) RemoveHalf(ctx context.Context, s *sandbox.Sandbox) error {
	return e.removeFiles(ctx, s.Dir)
}
