package worker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/image/layer/compress"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/userns/sys"
)

// The names in a layer's directory.
const (
	treeName  = "fs"
	indexName = "owners"
)

// Unpack makes target/fs and target/owners of the layer whose blob comes from r, compressed or not, and reads r to its end.
// The result's DiffID is the digest of the uncompressed stream. Errors are layer's, or say what could not be inflated.
func Unpack(ctx context.Context, target string, r io.Reader, limits layer.Limits) (layer.Stats, error) {
	dirfd, err := openDir(target)
	if err != nil {
		return layer.Stats{}, err
	}
	defer syscall.Close(dirfd)
	return unpackIn(ctx, dirfd, r, limits)
}

func unpackIn(ctx context.Context, dirfd int, r io.Reader, limits layer.Limits) (layer.Stats, error) {
	if err := sys.MkdirBeside(dirfd, treeName, 0o755); err != nil {
		return layer.Stats{}, fmt.Errorf("making layer directory: %w", err)
	}
	fs, err := sys.OpenBeside(dirfd, treeName, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return layer.Stats{}, fmt.Errorf("opening layer directory: %w", err)
	}
	defer syscall.Close(fs)
	if err := syscall.Fchmod(fs, 0o755); err != nil { // the umask may have taken some
		return layer.Stats{}, fmt.Errorf("making layer directory: %w", err)
	}
	owners := layer.NewRecorder(dirfd, indexName)
	stats, err := inflate(ctx, fs, r, layer.Options{Limits: limits, Owners: owners})
	return stats, errors.Join(err, owners.Close())
}

// inflate runs decompressor, hash and extraction side by side.
func inflate(ctx context.Context, fs int, r io.Reader, opts layer.Options) (layer.Stats, error) {
	z, err := compress.NewReader(r)
	if err != nil {
		return layer.Stats{}, err
	}
	h := sha256.New()
	ahead := compress.NewAhead(z, func(b []byte) { h.Write(b) })
	opts.Packed = z.Packed
	stats, err := layer.Extract(ctx, ahead, fs, opts)
	if err != nil {
		// The goroutine behind may wait for bytes until the caller closes r: that must not keep the answer.
		go func() { ahead.Close(); z.Close() }()
		return stats, err
	}
	ahead.Close()
	z.Close()
	stats.DiffID = image.DigestOf(h.Sum(nil))
	return stats, nil
}

// RemoveTree removes path, an absolute path in the data root, and all below it.
func RemoveTree(_ context.Context, path string) error {
	dir, base := filepath.Split(filepath.Clean(path))
	if dir == "" || base == "" || base == ".." {
		return fmt.Errorf("internal error: removing %q", path)
	}
	fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer syscall.Close(fd)
	return layer.RemoveTree(fd, base)
}

// Local is a store.Worker that works in this very process: for callers inside the user namespace, and tests.
type Local struct{}

var _ store.Worker = Local{}

// Unpack implements store.Worker.
func (Local) Unpack(ctx context.Context, target string, r io.Reader, limits layer.Limits) (layer.Stats, error) {
	return Unpack(ctx, target, r, limits)
}

// RemoveTree implements store.Worker.
func (Local) RemoveTree(ctx context.Context, path string) error { return RemoveTree(ctx, path) }
