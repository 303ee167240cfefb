package task

import (
	"archive/tar"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/userns/sys"
)

// applyExport writes the whole tree as a tar stream, sorted, so that the same tree gives the same bytes.
func applyExport(e Export, r Roots) error {
	all := tree.Selection{Sources: []string{"/"}}
	items, err := all.Items(r.Root)
	if err != nil {
		return err
	}
	x := &exporter{tw: tar.NewWriter(r.Out), limit: e.Time, devices: e.Devices, owners: r.Owners, links: map[[2]uint64]string{}}
	if err := all.Walk(r.Root, items, x); err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	return x.tw.Close()
}

type exporter struct {
	tw      *tar.Writer
	limit   *time.Time
	devices bool
	owners  tree.Owners
	links   map[[2]uint64]string
}

// Enter implements tree.Visitor.
func (x *exporter) Enter(e *tree.Entry) error {
	if e.To == "" || e.Type() == syscall.S_IFSOCK {
		return nil
	}
	own, mode := x.owners.Get(e.Dir, e.Name, &e.Stat)
	h := &tar.Header{
		Name: e.To, Mode: int64(mode & 0o7777), Uid: own.UID, Gid: own.GID, Format: tar.FormatPAX,
		ModTime: earlier(time.Unix(e.Stat.Mtim.Sec, e.Stat.Mtim.Nsec), x.limit),
	}
	switch e.Type() {
	case syscall.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, e.To+"/"
	case syscall.S_IFLNK:
		target, err := e.Link()
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case syscall.S_IFREG:
		return x.regular(e, h)
	case syscall.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	default:
		if !x.devices {
			return nil
		}
		h.Typeflag = tar.TypeChar
		if e.Type() == syscall.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		major, minor := sys.Device(e.Stat.Rdev)
		h.Devmajor, h.Devminor = int64(major), int64(minor)
	}
	return x.tw.WriteHeader(h)
}

func (x *exporter) regular(e *tree.Entry, h *tar.Header) error {
	key := [2]uint64{e.Stat.Dev, e.Stat.Ino}
	if first, ok := x.links[key]; ok && e.Stat.Nlink > 1 {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return x.tw.WriteHeader(h)
	}
	x.links[key] = e.To
	f, err := e.Dir.Regular(e.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	h.Typeflag, h.Size = tar.TypeReg, e.Stat.Size
	if err := x.tw.WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.CopyN(x.tw, f, h.Size); err != nil {
		return fmt.Errorf("%q changed while it was read: %w", e.Path, err)
	}
	return nil
}

// Leave implements tree.Visitor.
func (x *exporter) Leave(*tree.Entry) error { return nil }
