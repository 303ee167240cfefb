package worker

import (
	"os"
	"testing"

	"github.com/moss-sandbox/moss/image/layer"
)

// BenchmarkUnpack unpacks the file MOSS_BENCH_LAYER (documented in the Makefile) into a new directory each time.
func BenchmarkUnpack(b *testing.B) {
	name := os.Getenv("MOSS_BENCH_LAYER")
	if name == "" {
		b.Skip("MOSS_BENCH_LAYER names no layer")
	}
	for b.Loop() {
		f, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		info, _ := f.Stat()
		b.SetBytes(info.Size())
		dir := b.TempDir()
		if _, err := Unpack(b.Context(), dir, f, layer.Limits{}); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
