package worker

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/image/layer/compress"
)

// bombs are small blobs that want to be huge; each must end in an error, with the named limit where there is one.
var bombs = map[string]struct {
	blob func() io.Reader
	want error // nil: any
}{
	"gzip":        {func() io.Reader { return squeezed(compress.Gzip) }, &layer.LimitError{}},
	"zstd":        {func() io.Reader { return squeezed(compress.Zstd) }, &layer.LimitError{}},
	"zstd window": {func() io.Reader { return strings.NewReader("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00") }, nil},
	"sparse":      {func() io.Reader { return bytes.NewReader(header(sparseName, 1<<62, nil)) }, &layer.LimitError{}},
	"pax": {func() io.Reader {
		return io.MultiReader(bytes.NewReader(header("x", 1<<30, []byte{'x'})), zeros(1<<30))
	}, nil},
	"long name": {func() io.Reader {
		return io.MultiReader(bytes.NewReader(header("x", 1<<30, []byte{'L'})), zeros(1<<30))
	}, nil},
	"entries":      {func() io.Reader { return &repeated{left: 1<<20 + 10, unit: header("d/.wh..wh.x", 0, nil)} }, &layer.LimitError{}},
	"deep":         {func() io.Reader { return bytes.NewReader(deep()) }, &layer.LimitError{}},
	"file of 1 PB": {func() io.Reader { return io.MultiReader(bytes.NewReader(header("f", 1<<50, nil)), zeros(1<<40)) }, &layer.LimitError{}},
}

const sparseName = "s"

// bombLimits are as strict as a test's disk allows.
var bombLimits = layer.Limits{RatioFloor: 16 << 20, Ratio: 50, Size: 1 << 40}

// header is one ustar header; kind is the type flag, '0' when nil. Sizes beyond octal are written in base 256.
func header(name string, size int64, kind []byte) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x00")
	b[124] = 0x80
	for i := range 8 {
		b[135-i] = byte(size >> (8 * i))
	}
	copy(b[136:], "00000000000\x00        0")
	b[156] = '0'
	if kind != nil {
		b[156] = kind[0]
	}
	copy(b[257:], "ustar\x0000")
	sum := 0
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func deep() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.Repeat("d/", 2000), Mode: 0o755})
	w.Close()
	return b.Bytes()
}

// squeezed is a file of 1 GiB of zeros, compressed while it is read.
func squeezed(f compress.Format) io.Reader {
	r, w := io.Pipe()
	go func() {
		z, err := compress.NewWriter(w, f)
		if err == nil {
			_, err = io.Copy(z, io.MultiReader(bytes.NewReader(header("zeros", 1<<30, nil)), zeros(1<<30+1024)))
		}
		if err == nil {
			err = z.Close()
		}
		w.CloseWithError(err)
	}()
	return r
}

func zeros(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// repeated is one unit many times.
type repeated struct {
	left int
	unit []byte
	rest []byte
}

func (r *repeated) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		r.left--
		r.rest = r.unit
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// bombEnv names the bomb for the child of TestBombs; private.
const bombEnv = "MOSS_TEST_BOMB"

// TestBombs unpacks each bomb in a process that may have 512 MB: it must answer with an error instead of dying.
func TestBombs(t *testing.T) {
	for name := range bombs {
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestBombInside$", "-test.v")
		cmd.Env = append(os.Environ(), bombEnv+"="+name, "TMPDIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: TestBombInside")) {
			t.Errorf("%s: %v\n%.2000s", name, err, out)
		}
	}
}

func TestBombInside(t *testing.T) {
	bomb, ok := bombs[os.Getenv(bombEnv)]
	if !ok {
		t.Skip("only in TestBombs")
	}
	// Of writable memory: Go reserves more address space than that when it starts.
	lim := syscall.Rlimit{Cur: 512 << 20, Max: 512 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &lim); err != nil {
		t.Fatal(err)
	}
	_, err := Unpack(t.Context(), t.TempDir(), bomb.blob(), bombLimits)
	var limit *layer.LimitError
	if err == nil || bomb.want != nil && !errors.As(err, &limit) {
		t.Errorf("%v", err)
	}
	t.Log(err)
}
