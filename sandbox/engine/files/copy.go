package files

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
)

// A Container is one whose files are worked on. Close it.
type Container struct {
	e      *engine.Engine
	c      *sandbox.Snapshot
	root   *os.File // of a running one
	served *os.File // keeps a stopped one from being started meanwhile
}

// Open opens a container by its name or id.
func Open(ctx context.Context, e *engine.Engine, name string) (*Container, error) {
	c, err := e.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	if c.Foreign {
		return nil, fmt.Errorf("container %s runs elsewhere", c.Spec.Name)
	}
	o := &Container{e: e, c: c}
	switch c.State.Status {
	case sandbox.Running, sandbox.Paused:
		fd, err := syscall.Open("/proc/"+strconv.Itoa(c.State.Guest.PID)+"/root", syscall.O_DIRECTORY|syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil || !c.State.Guest.Alive() { // alive after the open: it is its root and nobody else's
			return nil, errors.Join(fmt.Errorf("container %s has just ended", c.Spec.Name), err)
		}
		o.root = os.NewFile(uintptr(fd), "root")
		return o, nil
	case sandbox.Created, sandbox.Exited, sandbox.Dead, sandbox.Removing, sandbox.Restarting:
	}
	return o, o.hold(ctx)
}

// hold waits for the right to serve a container that has just ended.
func (o *Container) hold(ctx context.Context) (err error) {
	deadline := time.Now().Add(sandbox.LockWait)
	for {
		o.served, err = o.c.TryServe()
		if err == nil || !errors.Is(err, sandbox.ErrBusy) || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// Close gives the container free.
func (o *Container) Close() {
	for _, f := range []*os.File{o.root, o.served} {
		if f != nil {
			f.Close()
		}
	}
}

// request is what reaches the container's root.
func (o *Container) request(op, p string) request {
	var q request
	if o.root == nil {
		q = layers(o.e, o.c)
		q.Mounts, q.Change = o.c.Spec.Mounts, true
		for _, t := range q.Trees {
			supervisor.FreshWork(t.Work)
		}
	}
	q.Op, q.Path = op, p
	return q
}

// Stat tells what a path is; errors.Is finds fs.ErrNotExist where it is nothing.
func (o *Container) Stat(ctx context.Context, p string, follow bool) (*Stat, error) {
	q := o.request(opStat, p)
	q.Follow = follow
	a, err := ask(ctx, o.e, q, nil, o.root)
	if a != nil && a.Missing {
		return nil, &missingError{p}
	}
	if err != nil {
		return nil, err
	}
	return a.Stat, nil
}

// Read writes a path as a tar stream into w; see archive for the names.
func (o *Container) Read(ctx context.Context, p string, follow bool, w io.Writer) error {
	q := o.request(opRead, p)
	q.Follow = follow
	return o.stream(ctx, q, w)
}

// Export writes the container's whole root, without its volumes, as a tar stream into w.
func Export(ctx context.Context, e *engine.Engine, c *sandbox.Snapshot, w io.Writer) error {
	q := layers(e, c)
	q.Op, q.Path = opRead, "/"
	return (&Container{e: e, c: c}).stream(ctx, q, w)
}

// stream runs a request that writes into a pipe, and copies that into w.
func (o *Container) stream(ctx context.Context, q request, w io.Writer) error {
	r, pw, err := os.Pipe()
	if err != nil {
		return err
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, r)
		r.Close() // the role ends if it still writes
		copied <- err
	}()
	_, err = ask(ctx, o.e, q, pw, o.root)
	pw.Close()
	if cerr := <-copied; cerr != nil {
		return cerr
	}
	return err
}

// Write unpacks a tar stream below a directory of the container. keep says whether the owners of the archive are kept, else
// all belongs to the container's user 0.
func (o *Container) Write(ctx context.Context, dir string, r io.Reader, keep bool) error {
	q := o.request(opWrite, dir)
	q.Owners = keep
	if o.root == nil && o.c.Spec.Root.ReadOnly && !o.inVolume(dir) {
		return errors.New("container rootfs is marked read-only")
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return err
	}
	fed := make(chan error, 1)
	go func() {
		_, err := io.Copy(pw, r)
		pw.Close()
		fed <- err
	}()
	_, err = ask(ctx, o.e, q, pr, o.root)
	pr.Close()
	if ferr := <-fed; err == nil && !errors.Is(ferr, syscall.EPIPE) {
		err = ferr
	}
	return err
}

// inVolume tells whether a path lies in a volume by its name; links are not followed.
func (o *Container) inVolume(p string) bool {
	for _, m := range o.c.Spec.Mounts {
		if p := path.Clean(p); p == m.Target || strings.HasPrefix(p, m.Target+"/") {
			return true
		}
	}
	return false
}

// Pack writes a path of this machine as a tar stream whose first entry is called as; with an empty name a directory's
// content alone. Links are kept, or followed at the end of the path. Owners are those inside: who is not there becomes root.
func (o *Container) Pack(p string, follow bool, as string, w io.Writer) error {
	clean := filepath.Clean(p)
	if follow {
		var err error
		if clean, err = filepath.EvalSymlinks(clean); err != nil {
			return err
		}
	}
	dir, err := tree.Open(filepath.Dir(clean))
	if err != nil {
		return err
	}
	defer dir.Close()
	ns, err := o.e.Namespace()
	if err != nil {
		return err
	}
	a := &archiver{tw: tar.NewWriter(w), seen: map[inode]string{}, owners: layer.NewRecorder(-1, ""), ids: &ns.Map}
	name := filepath.Base(clean)
	if clean == "/" || as == "" {
		sub, err := tree.Open(clean)
		if err != nil {
			return err
		}
		defer sub.Close()
		if err := a.content(sub, as); err != nil {
			return err
		}
		return a.tw.Close()
	}
	if err := a.entry(dir, name, as); err != nil {
		return err
	}
	return a.tw.Close()
}

// Unpack unpacks a stream from a container below a directory of this machine, its first entry, top, under the name as; with
// an empty top the names stay. Files belong to the caller, set-id bits are dropped and devices refused; links lead nowhere
// while it unpacks.
func Unpack(dir, top, as string, r io.Reader) error {
	dst, err := tree.Open(dir)
	if err != nil {
		return err
	}
	defer dst.Close()
	return unpack(dst, r, tree.Unpacking{Dest: "/", Plain: true}, tree.Kernel{}, func(h *tar.Header) {
		h.Mode &= 0o1777
		if top == "" {
			return
		}
		h.Name = renamed(h.Name, top, as)
		if h.Typeflag == tar.TypeLink {
			h.Linkname = renamed(h.Linkname, top, as)
		}
	})
}

// renamed puts as in the place of a name's first part, which is top.
func renamed(name, top, as string) string {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "./"), top)
	if !ok || rest != "" && rest[0] != '/' {
		return name
	}
	return path.Join(as, rest)
}
