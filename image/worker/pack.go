package worker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/image/store"
)

// Pack writes the tree at an absolute path, an overlay's upper directory or any other, as an uncompressed layer into w. The
// result's DiffID is the digest of what was written.
func Pack(ctx context.Context, tree string, w io.Writer, o store.PackOptions) (layer.Stats, error) {
	fd, err := openDir(tree)
	if err != nil {
		return layer.Stats{}, err
	}
	defer syscall.Close(fd)
	owners, err := openOwners(o.Owners)
	if err != nil {
		return layer.Stats{}, err
	}
	defer owners.close()
	opts := layer.WriteOptions{Owners: owners.stack, Keep: keep(o.Omit)}
	if o.Newest != 0 {
		opts.Newest = time.Unix(o.Newest, 0)
	}
	h := sha256.New()
	stats, err := layer.Write(ctx, io.MultiWriter(w, h), fd, opts)
	stats.DiffID = image.DigestOf(h.Sum(nil))
	return stats, err
}

func openDir(path string) (int, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return -1, fmt.Errorf("opening directory %q: %w", path, err)
	}
	return fd, nil
}

// keep makes layer.WriteOptions.Keep of the paths to leave out.
func keep(omit []string) func(string) bool {
	if len(omit) == 0 {
		return nil
	}
	clean := make([]string, len(omit))
	for i, p := range omit {
		clean[i] = strings.TrimPrefix(filepath.Clean("/"+p), "/")
	}
	return func(path string) bool { return !slices.Contains(clean, path) }
}

// ownerIndexes are the side indexes of several trees; extended attributes are read in any case.
type ownerIndexes struct {
	stack layer.Stack
	open  []*layer.Recorder
	fds   []int
}

func openOwners(dirs []string) (*ownerIndexes, error) {
	o := &ownerIndexes{}
	for _, d := range dirs {
		fd, err := openDir(d)
		if err != nil {
			return nil, errors.Join(err, o.close())
		}
		o.fds = append(o.fds, fd)
		o.open = append(o.open, layer.NewRecorder(fd, indexName))
	}
	if len(o.open) == 0 {
		o.open = append(o.open, layer.NewRecorder(-1, indexName))
	}
	for _, r := range o.open {
		o.stack = append(o.stack, r)
	}
	return o, nil
}

func (o *ownerIndexes) close() error {
	for _, r := range o.open {
		r.Close()
	}
	for _, fd := range o.fds {
		syscall.Close(fd)
	}
	return nil
}

// Pack implements store.Packer.
func (Local) Pack(ctx context.Context, tree string, w io.Writer, o store.PackOptions) (layer.Stats, error) {
	return Pack(ctx, tree, w, o)
}

var _ store.Packer = Local{}
