package compress

import (
	"bytes"
	"compress/flate"
	stdgzip "compress/gzip"
	"io"
	"math/rand"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
)

// texts are inputs of all kinds: nothing, noise, zeros, words, long and short distances.
func texts() map[string][]byte {
	r := rand.New(rand.NewSource(1))
	noise := make([]byte, 300_000)
	r.Read(noise)
	skewed := make([]byte, 500_000)
	for i := range skewed {
		skewed[i] = byte(r.ExpFloat64() * 8)
	}
	words := []byte(strings.Repeat("the quick brown fox jumps over the lazy dog; ", 30_000))
	far := append(append(bytes.Clone(noise[:32768]), noise[:32768]...), noise[:1000]...)
	near := bytes.Buffer{}
	for i := range 20_000 {
		near.WriteString(strings.Repeat(string(noise[i:i+1+i%9]), 1+i%40))
	}
	self, _ := os.ReadFile("/proc/self/exe")
	return map[string][]byte{"empty": nil, "one": []byte("x"), "noise": noise, "zeros": make([]byte, 3<<20), "skewed": skewed, "words": words, "far": far,
		"near": near.Bytes(), "program": self[:min(len(self), 6<<20)]}
}

func pack(t testing.TB, b []byte, level int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := stdgzip.NewWriterLevel(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Name, w.Comment, w.Extra = "name", "comment", []byte("extra")
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// TestInflate: every text comes back from every level, also byte by byte, and several files behind each other.
func TestInflate(t *testing.T) {
	for name, text := range texts() {
		for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 1, 5, 6, 9} {
			packed := pack(t, text, level)
			for how, r := range map[string]io.Reader{"whole": bytes.NewReader(packed), "halves": iotest.HalfReader(bytes.NewReader(packed)), "data and EOF": iotest.DataErrReader(bytes.NewReader(packed))} {
				g, err := newGunzip(r)
				if err != nil {
					t.Fatalf("%s, level %d, %s: %v", name, level, how, err)
				}
				got, err := io.ReadAll(g)
				if err != nil || !bytes.Equal(got, text) {
					t.Errorf("%s, level %d, %s: %d bytes of %d, %v", name, level, how, len(got), len(text), err)
				}
			}
		}
	}
	small := pack(t, []byte("abc"), 6)
	g, err := newGunzip(iotest.OneByteReader(bytes.NewReader(bytes.Repeat(small, 5))))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(g); err != nil || string(got) != strings.Repeat("abc", 5) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestInflateCut: a stream cut anywhere is io.ErrUnexpectedEOF, never a shorter success.
func TestInflateCut(t *testing.T) {
	for _, level := range []int{0, 1, 9, flate.HuffmanOnly} {
		packed := pack(t, []byte(strings.Repeat("hello, world ", 40)+"end"), level)
		for at := range packed {
			g, err := newGunzip(bytes.NewReader(packed[:at]))
			if err == nil {
				_, err = io.ReadAll(g)
			}
			if err == nil {
				t.Errorf("level %d, cut at %d of %d: accepted", level, at, len(packed))
			}
		}
	}
}

// TestInflateDamaged: one wrong bit anywhere is found.
func TestInflateDamaged(t *testing.T) {
	packed := pack(t, []byte(strings.Repeat("hello, world ", 40)+"end"), 6)
	body := 10 + 2 + len("extra") + len("name") + 1 + len("comment") + 1 // what stands before says nothing about the content
	for i := body * 8; i < len(packed)*8; i++ {
		b := bytes.Clone(packed)
		b[i/8] ^= 1 << (i % 8)
		g, err := newGunzip(bytes.NewReader(b))
		if err == nil {
			_, err = io.ReadAll(g)
		}
		if err == nil {
			t.Errorf("bit %d: accepted", i)
		}
	}
}

// FuzzInflate: on any bytes it says what the standard library says.
func FuzzInflate(f *testing.F) {
	for _, level := range []int{0, 1, 9, flate.HuffmanOnly} {
		f.Add(pack(f, []byte(strings.Repeat("hello, world ", 10)), level))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// Raw DEFLATE, so that no check sum hides differences.
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), 8<<20))
		z := newInflater(bytes.NewReader(b))
		var got []byte
		var err error
		for err == nil && len(got) < 8<<20 {
			var p []byte
			p, err = z.next()
			got = append(got, p...)
		}
		if err == io.EOF {
			err = nil
		}
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got[:min(len(got), 8<<20)], want) {
			t.Fatalf("%d bytes, %v; the library %d bytes, %v", len(got), err, len(want), wantErr)
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	name := os.Getenv("MOSS_BENCH_LAYER")
	packed, err := os.ReadFile(name)
	if err != nil {
		text := texts()["program"]
		packed = pack(b, text, 6)
	}
	for lib, open := range map[string]func(io.Reader) (io.Reader, error){
		"moss":      func(r io.Reader) (io.Reader, error) { return newGunzip(r) },
		"klauspost": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"std":       func(r io.Reader) (io.Reader, error) { return stdgzip.NewReader(r) },
	} {
		b.Run(lib, func(b *testing.B) {
			for b.Loop() {
				r, err := open(bytes.NewReader(packed))
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 1<<20))
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}
