package files

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/image/build/task"
	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/image/layer"
)

// extract unpacks a stream below a directory of the container.
func (q *request) extract(root *os.File, r io.Reader) error {
	d, name, err := locate(root, q.Path, true)
	if err != nil {
		return err
	}
	defer d.Close()
	dst, err := d.Sub(name)
	if err != nil {
		return fmt.Errorf("extraction point is not a directory: %w", err)
	}
	defer dst.Close()
	u := tree.Unpacking{Dest: "/"}
	if !q.Owners {
		u.Owner = &tree.Owner{UID: q.UID, GID: q.GID}
	}
	err = unpack(dst, r, u, task.Recording{Notes: notes{layer.NewRecorder(-1, "")}}, nil)
	if errors.Is(err, syscall.EROFS) {
		return errors.New("container rootfs or volume is marked read-only")
	}
	return err
}

// unpack unpacks a stream below dst. A directory is never replaced by something else, nor something else by a directory.
// edit may change entries' names and attributes; an empty name leaves an entry out.
func unpack(dst *tree.Dir, r io.Reader, u tree.Unpacking, owners tree.Owners, edit func(*tar.Header)) error {
	pr, pw := io.Pipe()
	refused := make(chan error, 1)
	go func() {
		err := edited(dst, r, pw, edit)
		pw.CloseWithError(err)
		refused <- err
	}()
	_, err := tree.Unpack(dst, pr, u, owners, nil)
	pr.CloseWithError(io.ErrClosedPipe) // the writer ends too
	if why := <-refused; why != nil && !errors.Is(why, io.ErrClosedPipe) {
		err = why // what was read back from the pipe is the same, in more words
	}
	_, _ = io.Copy(io.Discard, r) // so that the sender is not killed by a broken pipe
	return err
}

// notes records the owners that a single id cannot give in the files themselves. What has no room for it, a link or a file
// system without attributes, belongs to the user.
type notes struct{ *layer.Recorder }

var _ layer.Owners = notes{}

// Record implements layer.Owners.
func (n notes) Record(fd int, name string, r layer.Record) error {
	if fd < 0 {
		return nil
	}
	if err := n.Recorder.Record(fd, name, r); err != nil && !errors.Is(err, syscall.EBADF) {
		return err
	}
	return nil
}

func edited(dst *tree.Dir, r io.Reader, w io.Writer, edit func(*tar.Header)) error {
	tr, tw := tar.NewReader(r), tar.NewWriter(w)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return tw.Close()
		}
		if err != nil {
			return fmt.Errorf("reading archive: %w", err)
		}
		if edit != nil {
			edit(h)
		}
		if h.Name == "" {
			continue
		}
		if err := replaceable(dst, h); err != nil {
			return err
		}
		plain(h)
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(tw, tr); err != nil {
			return err
		}
	}
}

// plain makes a header that can be written of one that was read: sparse files are whole ones here.
func plain(h *tar.Header) {
	h.Format = tar.FormatPAX
	if h.Typeflag == tar.TypeGNUSparse {
		h.Typeflag = tar.TypeReg
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			delete(h.PAXRecords, k)
		}
	}
}

// replaceable refuses an entry that would take the place of a directory, or a directory that would take a file's.
func replaceable(dst *tree.Dir, h *tar.Header) error {
	at := path.Clean("/" + h.Name)
	if at == "/" {
		return nil
	}
	d, err := dst.At(path.Dir(at))
	if err != nil {
		return nil // not there yet, or refused by what unpacks
	}
	defer d.Close()
	st, err := d.Stat(path.Base(at))
	if err != nil {
		return nil
	}
	isDir := st.Mode&syscall.S_IFMT == syscall.S_IFDIR
	switch {
	case isDir && h.Typeflag != tar.TypeDir:
		return fmt.Errorf("cannot overwrite directory %q with non-directory", h.Name)
	case !isDir && h.Typeflag == tar.TypeDir:
		return fmt.Errorf("cannot overwrite non-directory %q with directory", h.Name)
	}
	return nil
}
