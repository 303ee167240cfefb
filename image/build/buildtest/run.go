package buildtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/userns/sys"
)

// doRun becomes the command; it returns only when that is not possible. The exit codes 126 and 127 are the shell's.
func doRun(r *runRequest) error {
	dir, err := mount(r.Root)
	if err != nil {
		return err
	}
	root, err := tree.Open(dir)
	if err != nil {
		return err
	}
	mounts := append([]build.Mount{{Kind: build.MountTmpfs, Target: "/dev"}}, r.Mounts...)
	for _, m := range mounts {
		if err := runMount(root, dir, m); err != nil {
			return fmt.Errorf("mounting %q: %w", m.Target, err)
		}
		if m.Target == "/dev" {
			if err := devices(dir); err != nil {
				return err
			}
		}
	}
	own, err := user(root, r.User)
	if err != nil {
		return err
	}
	wd, err := tree.MkdirAll(root, r.Dir, tree.Owner{}, 0o755, tree.Kernel{}, nil)
	if err != nil {
		return err
	}
	wd.Close()
	root.Close()
	if err := syscall.Chroot(dir); err != nil {
		return err
	}
	if err := os.Chdir(r.Dir); err != nil {
		return err
	}
	return become(own, r)
}

func user(root *tree.Dir, name string) (tree.Owner, error) {
	if name == "" {
		return tree.Owner{}, nil
	}
	return tree.LookupOwner(root, name)
}

func become(own tree.Owner, r *runRequest) error {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err == nil {
		err = syscall.Dup2(int(null.Fd()), 0)
	}
	if err != nil {
		return err
	}
	if own.UID != 0 || own.GID != 0 {
		err := errors.Join(syscall.Setgid(own.GID), syscall.Setuid(own.UID))
		if err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: the single id has no other users
			return err
		}
	}
	os.Clearenv()
	for _, kv := range r.Env {
		k, v, _ := strings.Cut(kv, "=")
		os.Setenv(k, v)
	}
	program, err := exec.LookPath(r.Args[0])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: not found\n", r.Args[0])
		os.Exit(127)
	}
	err = syscall.Exec(program, r.Args, append(r.Env, "HOME=/root"))
	fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
	os.Exit(126)
	return nil
}

// runMount shows one mount. The target is made inside the root and then reached by its descriptor.
func runMount(root *tree.Dir, dir string, m build.Mount) error {
	switch m.Kind {
	case build.MountTmpfs:
		return mountOn(root, m.Target, true, func(target string) error {
			return syscall.Mount("tmpfs", target, "tmpfs", 0, fmt.Sprintf("mode=%o", modeOr(m.Mode)))
		})
	case build.MountFile:
		return mountFile(root, m)
	case build.MountSocket:
		return mountOn(root, m.Target, false, func(target string) error { return syscall.Mount(m.Host, target, "", syscall.MS_BIND, "") })
	}
	src, err := mount(m.Tree)
	if err != nil {
		return err
	}
	from, err := tree.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := sys.OpenInRoot(int(from.File().Fd()), m.Path, sys.OPath)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return mountOn(root, m.Target, st.IsDir(), func(target string) error { return bind(f, target, m.ReadOnly) })
}

func modeOr(m uint32) uint32 {
	if m == 0 {
		return 0o755
	}
	return m
}

func bind(f *os.File, target string, readOnly bool) error {
	if err := syscall.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), target, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	if !readOnly {
		return nil
	}
	return remountReadOnly(target)
}

// remountReadOnly keeps the flags that a user namespace may not take away.
func remountReadOnly(target string) error {
	var err error
	for _, locked := range []uintptr{0, syscall.MS_NOSUID | syscall.MS_NODEV, syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOATIME, syscall.MS_RELATIME} {
		if err = syscall.Mount("", target, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY|locked, ""); err == nil {
			return nil
		}
	}
	return err
}

// mountOn makes the target and passes a path of its descriptor; remounts see the new mount by the path itself.
func mountOn(root *tree.Dir, target string, isDir bool, do func(string) error) error {
	parent, err := tree.MkdirAll(root, path.Dir(target), tree.Owner{}, 0o755, tree.Kernel{}, nil)
	if err != nil {
		return err
	}
	parent.Close()
	if isDir {
		d, err := tree.MkdirAll(root, target, tree.Owner{}, 0o755, tree.Kernel{}, nil)
		if err != nil {
			return err
		}
		d.Close()
	} else if _, _, err := root.Find(target); err != nil {
		if err := tree.WriteFile(root, target, "", nil, tree.Owner{}, 0o644, nil, tree.Kernel{}); err != nil {
			return err
		}
	}
	real, err := root.Real(target)
	if err != nil {
		return err
	}
	return do(path.Join(root.File().Name(), real))
}

func mountFile(root *tree.Dir, m build.Mount) error {
	dir, err := os.MkdirTemp("", "buildtest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := path.Join(dir, "data")
	if err := os.WriteFile(file, m.Data, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(file, os.FileMode(m.Mode)); err != nil {
		return err
	}
	_ = os.Chown(file, int(m.UID), int(m.GID))
	return mountOn(root, m.Target, false, func(target string) error {
		if err := syscall.Mount(file, target, "", syscall.MS_BIND, ""); err != nil || !m.ReadOnly {
			return err
		}
		return remountReadOnly(target)
	})
}

func devices(root string) error {
	for _, name := range []string{"null", "zero", "full", "random", "urandom"} {
		target := path.Join(root, "dev", name)
		if err := os.WriteFile(target, nil, 0o644); err != nil {
			return err
		}
		if err := syscall.Mount("/dev/"+name, target, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}
