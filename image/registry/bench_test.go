package registry

import (
	"context"
	"io"
	"testing"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry/registrytest"
)

// nullSink takes everything and keeps nothing.
type nullSink struct{}

func (nullSink) Begin(context.Context, *Image) error             { return nil }
func (nullSink) Have(context.Context, image.Layer) (bool, error) { return false, nil }
func (nullSink) Put(context.Context, *Image) (bool, error)       { return true, nil }
func (nullSink) Receive(_ context.Context, _ image.Layer, r io.Reader, _ func(int64, int64)) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// BenchmarkPull measures what the way from socket to sink costs, with and without hashing, and many small layers.
func BenchmarkPull(b *testing.B) {
	many := make([]int, 60)
	for i := range many {
		many[i] = 10_000
	}
	for _, bc := range []struct {
		name  string
		sizes []int
		opts  PullOptions
	}{
		{"large", []int{30 << 20, 30 << 20}, PullOptions{}},
		{"large, sink hashes", []int{30 << 20, 30 << 20}, PullOptions{SinkHashes: true}},
		{"60 small", many, PullOptions{}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			server := registrytest.Start(b, registrytest.Options{})
			im := registrytest.NewImage(b, 1, bc.sizes...)
			server.Put(b, "app", "latest", im)
			name, err := image.ParseRef(server.Host + "/app")
			if err != nil {
				b.Fatal(err)
			}
			var total int64
			for _, l := range im.Layers {
				total += l.Size
			}
			b.SetBytes(total)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := New(Config{}).Pull(b.Context(), name, bc.opts, nullSink{}, Silent{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
