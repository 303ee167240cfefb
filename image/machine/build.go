package machine

import (
	"context"
	"errors"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// An extent says how much of the source a walk sees.
type extent int

const (
	glance extent = iota // directories of trees in place only two levels deep: some milliseconds
	whole                // every directory
)

// glanceDepth is how deep a glance looks: /usr/share/doc is seen, what is below it is not.
const glanceDepth = 2

// noFD stands for the destination of a walk that only looks.
const noFD = -1

// A builder walks the source once, by handles, and makes the layers; without a destination it only takes a fingerprint of
// what it sees.
type builder struct {
	ctx    context.Context
	src    Source
	rules  rules
	ruled  map[string]bool // directories below which some name has a rule of its own
	bars   barriers
	extent extent
	sum    hash.Hash // of everything that layers depend on

	stage    string // where layers are made; empty: nowhere
	final    string // where they will be
	root     *Root
	realRoot bool // this process may read and give away everything
}

// A place is a directory of the source, what is to be done with it, and its counterpart in a layer.
type place struct {
	src   *os.File
	dst   int    // a handle, or noFD where nothing is made
	path  string // relative to the source
	rule  rule
	depth int // levels below the overlay's top
}

func newBuilder(ctx context.Context, src Source, bars barriers, e extent, sum hash.Hash) *builder {
	r := rulesFor(src.Dir)
	return &builder{
		ctx: ctx, src: src, rules: r, ruled: r.ancestors(), bars: bars, extent: e, sum: sum,
		root: &Root{}, realRoot: os.Geteuid() == 0 && src.Owner.UID != 0,
	}
}

// look takes the fingerprint without making anything.
func (b *builder) look() error {
	b.noteWatched()
	return b.run(noFD)
}

// noteWatched notes databases that a glance does not reach.
func (b *builder) noteWatched() {
	for path := range strings.FieldsSeq(watched) {
		if st, err := os.Lstat(b.outside(path)); err == nil {
			b.note(path, strconv.FormatInt(st.ModTime().UnixNano(), 10))
		}
	}
}

// build makes the layers in stage, which must exist and be empty; Root names them as they will be below final.
func (b *builder) build(stage, final string) (*Root, error) {
	b.stage, b.final = stage, final
	b.noteWatched()
	base, err := b.newLayer("base")
	if err != nil {
		return nil, err
	}
	defer syscall.Close(base)
	if err := b.run(base); err != nil {
		return nil, err
	}
	return b.root, b.synthesise(base)
}

func (b *builder) run(base int) error {
	src, err := os.Open(b.src.Dir)
	if err != nil {
		return err
	}
	defer src.Close()
	r := b.rules[""]
	lower := []string{b.layerPath("base")}
	if r.do == inPlace && !b.bars.below("") {
		lower = append(lower, b.src.Dir)
	}
	b.overlay("", lower)
	top := place{src: src, dst: base, rule: r}
	if r.do == inPlace && b.bars.below("") {
		return b.split(top)
	}
	return b.walk(top)
}

// walk goes through one directory.
func (b *builder) walk(p place) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	entries, err := p.src.ReadDir(-1)
	if err != nil {
		return err
	}
	if p.dst != noFD && p.rule.do == inPlace && p.depth <= glanceDepth && listed(setIDDirs, p.path) {
		if err := b.setIDs(p, entries); err != nil {
			return err
		}
	}
	plain := !b.ruled[p.path] && (p.rule.do == inPlace && p.rule.below == 0 || p.rule.do == dirs)
	for _, e := range entries {
		if plain && !e.IsDir() { // shows through, or does not show at all
			continue
		}
		if err := b.entry(p, e); err != nil {
			return err
		}
	}
	return nil
}

// entry treats one name of the directory p.
func (b *builder) entry(p place, e fs.DirEntry) error {
	path := join(p.path, e.Name())
	r := b.rules.at(path, p.rule)
	bar, barred := b.bars[path]
	switch {
	case r.do == omitted, bar.hidden:
		return nil
	case r.do == blank:
		return b.blank(p, path, e.Name(), r.mode)
	case e.IsDir() && (r.do == fresh || bar.virtual):
		return b.emptyDir(p, path, e.Name(), freshMode(r))
	case e.IsDir() && r.do == inPlace && p.rule.do != inPlace:
		return b.tree(p, path, e.Name(), bar.remote)
	case e.IsDir() && barred: // somebody's mount in a tree that is copied
		return b.emptyDir(p, path, e.Name(), 0o755)
	case e.IsDir() && r.do == dirs && r.depth < 0:
		return nil
	case e.IsDir() && b.extent == glance && b.skims(p, path, r):
		return b.skim(p, path, e.Name(), r)
	case e.IsDir():
		return b.subdir(p, path, e.Name(), r)
	case b.extent == glance && e.Type() == fs.ModeSymlink: // a link cannot change without its directory
		return nil
	case r.do == copied, r.do == inPlace && p.rule.do != inPlace:
		return b.leaf(p, path, e)
	case r.below > 0:
		return b.smallFile(p, path, e)
	}
	return nil // a file of a tree in place shows through; one of dirs does not show
}

func freshMode(r rule) uint32 {
	if r.do == fresh {
		return r.mode
	}
	return 0o755
}

// subdir makes the counterpart of a directory and walks on in it.
func (b *builder) subdir(p place, path, name string, r rule) error {
	src, st, err := b.enter(p.src, name)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return b.closedDir(p, path, name, r)
	}
	if err != nil {
		return err
	}
	defer src.Close()
	b.noteDir(path, r, st)
	dst := noFD
	if p.dst != noFD {
		if dst, err = b.mkdir(p.dst, name, st.Mode); err != nil {
			return err
		}
		defer syscall.Close(dst)
	}
	return b.walk(place{src: src, dst: dst, path: path, rule: r, depth: p.depth + 1})
}

// skims tells whether a glance is content with the directory itself.
func (b *builder) skims(p place, path string, r rule) bool {
	return !b.ruled[path] && (r.do == dirs || r.do == inPlace && r.below == 0 && p.depth+1 >= glanceDepth)
}

// skim notes a directory without opening it.
func (b *builder) skim(p place, path, name string, r rule) error {
	st, err := sys.LstatAt(int(p.src.Fd()), name)
	if err != nil {
		return ignoreGone(err)
	}
	b.noteDir(path, r, st)
	return nil
}

// closedDir stands for a directory that cannot be looked into: empty, and opaque where the source would show through.
func (b *builder) closedDir(p place, path, name string, r rule) error {
	b.note(path, "closed")
	if p.dst == noFD {
		return nil
	}
	dst, err := b.mkdir(p.dst, name, 0o755)
	if err != nil {
		return err
	}
	defer syscall.Close(dst)
	if r.do == inPlace {
		// Without user xattrs (tmpfs before Linux 6.6) the directory stays closed inside as well.
		_ = sys.SetXattr(dst, "user.overlay.opaque", "y")
	}
	return nil
}

// emptyDir makes a directory of our own.
func (b *builder) emptyDir(p place, path, name string, mode uint32) error {
	b.note(path, strconv.FormatUint(uint64(mode), 8))
	if p.dst == noFD {
		return nil
	}
	dst, err := b.mkdir(p.dst, name, mode)
	if err != nil {
		return err
	}
	return syscall.Close(dst)
}

// enter opens a directory of the source. As real root, who may look everywhere, one that others may not enter is refused:
// what is inside the container is not root outside.
func (b *builder) enter(at *os.File, name string) (*os.File, sys.Stat, error) {
	fd, err := sys.OpenAt(int(at.Fd()), name, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, sys.Stat{}, err
	}
	f := os.NewFile(uintptr(fd), filepath.Join(at.Name(), name))
	st, err := sys.Fstat(fd)
	if err == nil && b.realRoot && st.Mode&0o005 != 0o005 {
		err = &fs.PathError{Op: "open", Path: f.Name(), Err: syscall.EACCES}
	}
	if err != nil {
		f.Close()
		return nil, st, err
	}
	return f, st, nil
}

// mkdir makes a directory that root inside owns and this user can remove again.
func (b *builder) mkdir(at int, name string, mode uint32) (int, error) {
	mode = mode&0o1777 | 0o700
	fd, err := sys.MkdirAt(at, name, mode)
	if err != nil {
		return noFD, err
	}
	err = b.give(fd)
	if err == nil {
		err = os.NewSyscallError("fchmod", syscall.Fchmod(fd, mode))
	}
	if err != nil {
		syscall.Close(fd)
		return noFD, err
	}
	return fd, nil
}

// give makes root inside the owner of an open file.
func (b *builder) give(fd int) error {
	if !b.realRoot {
		return nil
	}
	return os.NewSyscallError("fchown", syscall.Fchown(fd, b.src.Owner.UID, b.src.Owner.GID))
}
