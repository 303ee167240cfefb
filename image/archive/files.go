package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/store"
)

// What an archive may hold in names and in small members, which stay in memory.
const (
	maxMembers  = 100_000
	smallBytes  = 1 << 20
	maxInMemory = 128 << 20
)

// ErrArchive is wrapped by what is wrong with an archive.
var ErrArchive = errors.New("not an image archive")

// files are an archive's members by their names: small ones as bytes, large ones as blobs of the store.
type files struct {
	ss     *store.Session
	small  map[string][]byte
	large  map[string]image.Descriptor
	links  map[string]string // of old Docker archives: layer.tar of equal layers
	memory int64
}

// readFiles takes a whole archive in. Nothing is believed of a name but that it is a key.
func readFiles(ctx context.Context, r io.Reader, ss *store.Session) (*files, error) {
	f := &files{ss: ss, small: map[string][]byte{}, large: map[string]image.Descriptor{}, links: map[string]string{}}
	tr := tar.NewReader(contextReader{ctx, r})
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			return f, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrArchive, err)
		}
		if n >= maxMembers {
			return nil, fmt.Errorf("%w: more than %d members", ErrArchive, maxMembers)
		}
		if err := f.add(ctx, h, tr); err != nil {
			return nil, fmt.Errorf("reading archive member %q: %w", h.Name, err)
		}
	}
}

func (f *files) add(ctx context.Context, h *tar.Header, r io.Reader) error {
	name := path.Clean(h.Name)
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeSymlink:
		f.links[name] = path.Join(path.Dir(name), h.Linkname)
		return nil
	case tar.TypeLink:
		f.links[name] = path.Clean(h.Linkname)
		return nil
	default:
		return nil
	}
	if h.Size <= smallBytes {
		if f.memory += h.Size; f.memory > maxInMemory {
			return fmt.Errorf("%w: small members of more than %d bytes", ErrArchive, maxInMemory)
		}
		b, err := io.ReadAll(r)
		f.small[name] = b
		return err
	}
	w, err := f.ss.NewBlob(ctx)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, 256<<10)); err != nil {
		return err
	}
	f.large[name], err = w.Commit("")
	return err
}

// resolve follows links among members.
func (f *files) resolve(name string) string {
	name = path.Clean(name)
	for range 10 {
		to, ok := f.links[name]
		if !ok {
			break
		}
		name = to
	}
	return name
}

// bytes returns a small document.
func (f *files) bytes(name string, limit int64) ([]byte, error) {
	name = f.resolve(name)
	if b, ok := f.small[name]; ok {
		return b, nil
	}
	if d, ok := f.large[name]; ok {
		return f.ss.Store().ReadBlob(d.Digest, limit)
	}
	return nil, fmt.Errorf("%w: it has no member %q", ErrArchive, name)
}

// blob makes a member a blob of the store.
func (f *files) blob(ctx context.Context, name string) (image.Descriptor, error) {
	name = f.resolve(name)
	if d, ok := f.large[name]; ok {
		return d, nil
	}
	b, ok := f.small[name]
	if !ok {
		return image.Descriptor{}, fmt.Errorf("%w: it has no member %q", ErrArchive, name)
	}
	return f.ss.PutBlob(ctx, b)
}

// digest returns a member of an OCI layout by its digest, checked.
func (f *files) digest(ctx context.Context, want image.Digest) (image.Descriptor, error) {
	if !want.Valid() {
		return image.Descriptor{}, &image.DigestError{Text: string(want)}
	}
	d, err := f.blob(ctx, blobName(want))
	if err == nil && d.Digest != want {
		err = &store.MismatchError{What: "blob", Want: want, Got: d.Digest}
	}
	return d, err
}

func (f *files) has(name string) bool {
	name = f.resolve(name)
	_, small := f.small[name]
	_, large := f.large[name]
	return small || large
}
