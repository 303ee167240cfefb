package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Options of Extract.
type Options struct {
	Limits Limits
	// Owners records what cannot be set. Nil: what cannot be set is an error.
	Owners Owners
	// Packed returns how many compressed bytes have been read so far, for Limits.Ratio. Nil: no check.
	Packed func() int64
}

// Extract makes the tree of an uncompressed tar stream in the empty directory dirfd and reads r to its end, padding
// included. Whiteouts become what overlayfs takes for them. An entry of a name that was there replaces it; nothing is ever
// written through a link. Errors: *EntryError, *LimitError, what r and ctx say; the tree may then hold anything.
//
// It needs the capabilities of uid 0 in its user namespace and keeps at most Limits.Depth descriptors and a megabyte.
func Extract(ctx context.Context, r io.Reader, dirfd int, opts Options) (Stats, error) {
	x := &extractor{limits: opts.Limits.Filled(), owners: opts.Owners, packed: opts.Packed, buf: make([]byte, copyBytes)}
	x.in = &counted{r: r}
	var err error
	if x.dirs, err = newDirs(dirfd); err != nil {
		return x.stats, fmt.Errorf("opening layer directory: %w", err)
	}
	err = x.run(ctx)
	return x.stats, errors.Join(err, x.dirs.close())
}

// copyBytes is the unit in which file contents are moved.
const copyBytes = 512 << 10

type extractor struct {
	limits  Limits
	owners  Owners
	packed  func() int64
	in      *counted
	dirs    *dirs
	stats   Stats
	logical int64 // bytes of files including holes
	buf     []byte
	path    []string // reused
	link    []string // reused
}

// counted counts what has been read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (x *extractor) run(ctx context.Context) error {
	in := bufio.NewReaderSize(x.in, 64<<10)
	tr := tar.NewReader(in)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return x.drain(ctx, in)
		}
		if err != nil {
			return x.broken(err)
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := x.entry(h, tr); err != nil {
			var limit *LimitError
			if errors.As(err, &limit) {
				return limit
			}
			return &EntryError{h.Name, err}
		}
	}
}

// broken tells what a reader's error comes from: the stream's own format, or what is below it.
func (x *extractor) broken(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) {
		return fmt.Errorf("%w after %d entries: %w", ErrHeader, x.stats.Entries, err)
	}
	return fmt.Errorf("reading layer after %d entries: %w", x.stats.Entries, err)
}

// drain reads what follows the last entry, so that the stream's digest covers all of it.
func (x *extractor) drain(ctx context.Context, in io.Reader) error {
	for ctx.Err() == nil {
		_, err := in.Read(x.buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return x.broken(err)
		}
		if err := x.grown(0); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// grown adds n bytes of files and checks what the layer has grown to.
func (x *extractor) grown(n int64) error {
	if n < 0 || n > x.limits.Size-x.logical {
		return &LimitError{"bytes", x.limits.Size}
	}
	x.logical += n
	total := max(x.logical, x.in.n)
	if x.packed == nil || total <= x.limits.RatioFloor {
		return nil
	}
	if packed := x.packed(); total/x.limits.Ratio > packed {
		return &LimitError{"unpacked bytes for each packed byte", x.limits.Ratio}
	}
	return nil
}

func (x *extractor) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader { // comments, as git archive writes them
		return nil
	}
	if x.stats.Entries++; x.stats.Entries > x.limits.Entries {
		return &LimitError{"entries", x.limits.Entries}
	}
	if !numbersFit(h) {
		return ErrOwner
	}
	path, err := x.limits.split(h.Name, x.path)
	if err != nil {
		return err
	}
	x.path = path
	if len(path) == 0 {
		return x.root(h)
	}
	parents, base := path[:len(path)-1], path[len(path)-1]
	if hidden(parents) {
		return ErrWhiteout
	}
	if strings.HasPrefix(base, whPrefix) {
		return x.whiteout(parents, base)
	}
	parent, err := x.dirs.enter(parents)
	if err != nil {
		return err
	}
	parent.touched = true
	return x.make(h, content, parent, base)
}

// numbersFit refuses ids that the kernel would cut to others: 2^32 to root, 2^32-1 to "no change" (CVE-2024-40635's kind).
func numbersFit(h *tar.Header) bool {
	id := func(n int64) bool { return n >= 0 && n < 1<<32-1 }
	return id(int64(h.Uid)) && id(int64(h.Gid)) && id(h.Devmajor) && id(h.Devminor)
}

// root applies an entry for "." to the directory itself.
func (x *extractor) root(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir {
		return ErrEscape
	}
	if _, err := x.dirs.enter(nil); err != nil {
		return err
	}
	d := x.dirs.top()
	if err := x.describe(d.fd, h, syscall.S_IFDIR, "."); err != nil {
		return err
	}
	d.sec, d.nsec = modTime(h)
	return nil
}

func (x *extractor) make(h *tar.Header, content io.Reader, parent *dir, base string) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return x.directory(h, parent, base)
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return x.file(h, content, parent, base)
	case tar.TypeSymlink:
		return x.symlink(h, parent, base)
	case tar.TypeLink:
		return x.hardlink(h, parent, base)
	case tar.TypeFifo:
		return x.fifo(h, parent, base)
	case tar.TypeChar, tar.TypeBlock:
		return x.device(h, parent, base)
	}
	return fmt.Errorf("%w %q", ErrType, h.Typeflag)
}

// replace removes what has the name of a new entry. Its records go too.
func (x *extractor) replace(parent *dir, base string) error {
	if x.owners != nil {
		if err := x.owners.Forget(x.name()); err != nil {
			return err
		}
	}
	err := sys.UnlinkBeside(parent.fd, base)
	if err == syscall.EISDIR {
		return RemoveTree(parent.fd, base)
	}
	return err
}

// name is the current entry's name below the root.
func (x *extractor) name() string { return strings.Join(x.path, "/") }

// again makes something that must be new, once more after what was there has been removed.
func (x *extractor) again(parent *dir, base string, do func() error) error {
	err := do()
	if err != syscall.EEXIST {
		return err
	}
	if err := x.replace(parent, base); err != nil {
		return err
	}
	return do()
}
