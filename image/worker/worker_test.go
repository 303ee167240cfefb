package worker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/image/layer/compress"
)

// sample is a tar stream of some megabytes, half of it random.
func sample(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	noise := make([]byte, 1<<20)
	rand.Read(noise)
	for name, body := range map[string][]byte{"noise": noise, "zeros": make([]byte, 3<<20), "d/small": []byte("x")} {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(body)), Mode: 0o644, ModTime: time.Unix(1, 0), Uid: os.Getuid(), Gid: os.Getgid()}); err != nil {
			t.Fatal(err)
		}
		w.Write(body)
	}
	w.Close()
	return b.Bytes()
}

func pack(t testing.TB, b []byte, f compress.Format) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := compress.NewWriter(&out, f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var formats = []compress.Format{compress.Plain, compress.Gzip, compress.Zstd}

// TestUnpack: every format, in one piece and in several members or frames, gives the tree and the diff id.
func TestUnpack(t *testing.T) {
	raw := sample(t)
	for _, f := range formats {
		members := append(pack(t, raw[:1000], f), pack(t, raw[1000:], f)...)
		for name, blob := range map[string][]byte{"one": pack(t, raw, f), "two": members} {
			dir := t.TempDir()
			stats, err := Unpack(t.Context(), dir, bytes.NewReader(blob), layer.Limits{})
			if err != nil || stats.DiffID != image.SumBytes(raw) || stats.Entries != 3 || stats.Size != 4<<20+1 {
				t.Errorf("%v, %s: %+v, %v", f, name, stats, err)
			}
			if b, err := os.ReadFile(dir + "/fs/d/small"); err != nil || string(b) != "x" {
				t.Errorf("%v, %s: %q, %v", f, name, b, err)
			}
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	raw := sample(t)
	bomb := func(f compress.Format) []byte { return pack(t, append(raw, make([]byte, 64<<20)...), f) }
	limits := layer.Limits{RatioFloor: 8 << 20, Ratio: 20}
	for _, c := range []struct {
		name string
		blob []byte
	}{
		{"gzip cut off", cut(pack(t, raw, compress.Gzip))}, {"zstd cut off", cut(pack(t, raw, compress.Zstd))}, {"tar cut off", raw[:len(raw)/2+7]},
		{"gzip damaged", damage(pack(t, raw, compress.Gzip))}, {"zstd damaged", damage(pack(t, raw, compress.Zstd))},
		{"gzip bomb", bomb(compress.Gzip)}, {"zstd bomb", bomb(compress.Zstd)},
		{"rubbish behind gzip", append(pack(t, raw, compress.Gzip), "rubbish"...)}, {"rubbish behind zstd", append(pack(t, raw, compress.Zstd), "rubbish"...)},
		{"zstd window of 2 GiB", []byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00")}, {"gzip magic alone", []byte("\x1f\x8b\x08")}, {"no tar", []byte(strings.Repeat("hello", 300))},
	} {
		dir := t.TempDir()
		if stats, err := Unpack(t.Context(), dir, bytes.NewReader(c.blob), limits); err == nil {
			t.Errorf("%s: accepted: %+v", c.name, stats)
		}
	}
}

// TestBombControl: without their limit the bombs go off.
func TestBombControl(t *testing.T) {
	for _, f := range []compress.Format{compress.Gzip, compress.Zstd} {
		blob := pack(t, append(sample(t), make([]byte, 64<<20)...), f)
		if _, err := Unpack(t.Context(), t.TempDir(), bytes.NewReader(blob), layer.Limits{}); err != nil {
			t.Errorf("%v: %v", f, err)
		}
	}
}

func cut(b []byte) []byte { return b[:len(b)/2] }

func damage(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 0x55
	return b
}

// TestUnpackStops: a hostile stream whose sender goes on for ever does not keep the answer.
func TestUnpackStops(t *testing.T) {
	var b bytes.Buffer
	tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "../x", Mode: 0o644})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	w.Write(b.Bytes())
	done := make(chan error, 1)
	go func() {
		_, err := Unpack(context.Background(), t.TempDir(), r, layer.Limits{})
		done <- err
	}()
	w.Write(make([]byte, 32<<10)) // as much as looking at the first block needs
	w.Write(make([]byte, 32<<10))
	go io.Copy(w, endless{})
	select {
	case err := <-done:
		if !errors.Is(err, layer.ErrEscape) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("no answer")
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestRemoveTree(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o700)
	if err := RemoveTree(t.Context(), filepath.Join(dir, "a")); err != nil {
		t.Error(err)
	}
	if err := RemoveTree(t.Context(), filepath.Join(dir, "a")); err != nil {
		t.Errorf("nothing there: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Error(left)
	}
}

func FuzzInflate(f *testing.F) {
	for _, format := range formats {
		f.Add(pack(f, []byte(strings.Repeat("hello", 100)), format))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := compress.NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		defer z.Close()
		a := compress.NewAhead(z, nil)
		defer a.Close()
		io.CopyN(io.Discard, a, 64<<20)
	})
}
