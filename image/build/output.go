package build

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/moss-sandbox/moss/image"
	buildctx "github.com/moss-sandbox/moss/image/build/context"
	"github.com/moss-sandbox/moss/image/build/task"
)

// output writes the result where --output says.
func (b *builder) output(ctx context.Context, img Image) error {
	for _, o := range b.o.Outputs {
		var err error
		switch o.Kind {
		case OutputLocal:
			err = b.outputLocal(ctx, img, o.Dest)
		case OutputTar:
			err = toFile(o, func(w io.Writer) error { return b.export(ctx, img, w, true) })
		case OutputOCI:
			err = toFile(o, func(w io.Writer) error { return b.outputOCI(ctx, img, w) })
		default:
			err = fmt.Errorf("unknown type %q: want local, tar or oci", o.Kind)
		}
		if err != nil {
			return fmt.Errorf("writing output %q: %w", o.Dest, err)
		}
	}
	return nil
}

// export writes the image's files as a tar stream.
func (b *builder) export(ctx context.Context, img Image, w io.Writer, devices bool) error {
	lowers, err := b.lowers(ctx, img.Layers)
	if err != nil {
		return err
	}
	stack := task.Stack{Lowers: lowers}
	if len(lowers) == 0 {
		up, err := b.d.Trees.NewUpper(ctx)
		if err != nil {
			return err
		}
		defer b.d.Trees.Discard(up)
		stack.Upper = up.Dir
	}
	_, err = b.do(ctx, task.Task{Root: stack, Actions: []task.Action{{Export: &task.Export{Time: b.epoch, Devices: devices}}}}, w)
	return err
}

// outputLocal writes the files as the caller's own, by handle: the image's links lead nowhere outside of dest.
func (b *builder) outputLocal(ctx context.Context, img Image, dest string) error {
	if err := os.MkdirAll(dest, 0o755); err != nil {
		return err
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		c, err := buildctx.FromTar(r, dest, b.o.Limits)
		if err == nil {
			err = c.Close()
		}
		r.CloseWithError(err)
		done <- err
	}()
	err := b.export(ctx, img, w, false)
	w.CloseWithError(err)
	return errors.Join(err, <-done)
}

// toFile writes to another name first, so that a failure leaves nothing half made.
func toFile(o Output, write func(io.Writer) error) error {
	if o.To != nil {
		return write(o.To)
	}
	tmp, err := os.CreateTemp(filepath.Dir(o.Dest), ".new-")
	if err != nil {
		return err
	}
	err = write(tmp)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), o.Dest)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// outputOCI writes an OCI image layout as an archive.
func (b *builder) outputOCI(ctx context.Context, img Image, w io.Writer) error {
	config, err := json.Marshal(img.Config)
	if err != nil {
		return err
	}
	x := &ociWriter{tw: tar.NewWriter(w), at: time.Unix(0, 0)}
	if b.epoch != nil {
		x.at = *b.epoch
	}
	m := image.Manifest{SchemaVersion: 2, MediaType: ociManifest, Config: image.Descriptor{MediaType: ociConfig, Digest: image.SumBytes(config), Size: int64(len(config))}}
	for _, l := range img.Layers {
		d, err := b.ociLayer(ctx, x, l)
		if err != nil {
			return err
		}
		m.Layers = append(m.Layers, d)
	}
	return x.finish(config, m, b.o.Tags)
}

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
)

// ociLayer goes through a temporary file: an archive's header needs the size.
func (b *builder) ociLayer(ctx context.Context, x *ociWriter, l image.Layer) (image.Descriptor, error) {
	dir, err := b.temp("layer-")
	if err != nil {
		return image.Descriptor{}, err
	}
	defer os.RemoveAll(dir)
	r, err := b.d.Trees.Tar(ctx, l)
	if err != nil {
		return image.Descriptor{}, err
	}
	defer r.Close()
	f, err := os.Create(filepath.Join(dir, "layer"))
	if err != nil {
		return image.Descriptor{}, err
	}
	defer f.Close()
	n, err := io.Copy(f, r)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return image.Descriptor{}, err
	}
	return image.Descriptor{MediaType: ociLayer, Digest: l.DiffID, Size: n}, x.file("blobs/sha256/"+l.DiffID.Hex(), n, f)
}

type ociWriter struct {
	tw   *tar.Writer
	at   time.Time
	seen map[string]bool
}

func (x *ociWriter) file(name string, size int64, r io.Reader) error {
	if x.seen == nil {
		x.seen = map[string]bool{}
	}
	if x.seen[name] {
		return nil
	}
	x.seen[name] = true
	if err := x.tw.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644, ModTime: x.at, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := io.Copy(x.tw, r)
	return err
}
