package machine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// bindAbove is the size in bytes from which a lone file beside a barrier is bound instead of copied.
const bindAbove = 1 << 20

// tree begins a tree that is used in place: an overlay of its own. Its directory in the layer of p is the mount point.
func (b *builder) tree(p place, path, name string, remote bool) error {
	src, st, err := b.enter(p.src, name)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return b.emptyDir(p, path, name, 0o755)
	}
	if err != nil {
		return err
	}
	defer src.Close()
	r := rule{do: inPlace}
	b.noteDir(path, r, st)
	point := noFD
	if p.dst != noFD {
		if point, err = b.mkdir(p.dst, name, st.Mode); err != nil {
			return err
		}
		defer syscall.Close(point)
	}
	if b.bars.below(path) {
		return b.split(place{src: src, dst: point, path: path, rule: r})
	}
	if remote {
		b.overlay(path, []string{b.outside(path)})
		return nil
	}
	return b.skeleton(place{src: src, path: path, rule: r}, st.Mode, p.dst != noFD)
}

// skeleton makes the layer above a tree in place.
func (b *builder) skeleton(p place, mode uint32, make bool) error {
	name := strconv.Itoa(len(b.root.Overlays))
	b.overlay(p.path, []string{b.layerPath(name), b.outside(p.path)})
	p.dst = noFD
	if make {
		layer, err := b.newLayer(name)
		if err != nil {
			return err
		}
		defer syscall.Close(layer)
		if err := syscall.Fchmod(layer, mode&0o1777|0o700); err != nil {
			return os.NewSyscallError("fchmod", err)
		}
		p.dst = layer
	}
	return b.walk(p)
}

// split treats a directory with a barrier below it: its directories become trees of their own, its files are copied or bound.
func (b *builder) split(p place) error {
	entries, err := p.src.ReadDir(-1)
	if err != nil {
		return err
	}
	p.rule = rule{do: omitted} // so that each directory begins a tree
	for _, e := range entries {
		path := join(p.path, e.Name())
		r, special := b.rules[path]
		bar := b.bars[path]
		switch {
		case bar.hidden, special && r.do == omitted:
		case special:
			err = b.entry(p, e)
		case bar.virtual:
			err = b.emptyDir(p, path, e.Name(), 0o755)
		case e.IsDir():
			err = b.tree(p, path, e.Name(), bar.remote)
		default:
			err = b.leaf(p, path, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// overlay appends to the Root.
func (b *builder) overlay(path string, lower []string) {
	b.root.Overlays = append(b.root.Overlays, Overlay{Target: "/" + path, Lower: lower})
}

// newLayer makes the directory of a layer and returns it opened.
func (b *builder) newLayer(name string) (int, error) {
	fd, err := sys.OpenAt(sys.AtFdcwd, b.stage, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return noFD, err
	}
	defer syscall.Close(fd)
	return b.mkdir(fd, name, 0o755)
}

func (b *builder) layerPath(name string) string { return filepath.Join(b.final, name) }

func (b *builder) outside(path string) string { return filepath.Join(b.src.Dir, path) }

// note adds to the fingerprint.
func (b *builder) note(path, what string) {
	b.sum.Write([]byte(path + "\x00" + what + "\x00"))
}

// noteDir adds a directory to the fingerprint. Modification times count where names below decide what a layer holds; those of
// /var/log and the like change all the time.
func (b *builder) noteDir(path string, r rule, st sys.Stat) {
	what := strconv.FormatUint(uint64(st.Mode), 8)
	if r.do == inPlace || r.do == copied {
		what += " " + strconv.FormatInt(st.Mtim.Nano(), 10)
	}
	b.note(path, what)
}

// noteFile adds a copied file to the fingerprint.
func (b *builder) noteFile(path string, st sys.Stat) {
	b.note(path, strconv.FormatUint(uint64(st.Mode), 8)+" "+strconv.FormatInt(st.Size, 10)+" "+strconv.FormatInt(st.Mtim.Nano(), 10))
}
