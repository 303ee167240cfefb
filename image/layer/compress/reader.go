package compress

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// Format is how a layer is compressed.
type Format int

// The formats.
const (
	Plain Format = iota
	Gzip
	Zstd
)

func (f Format) String() string { return [...]string{"plain", "gzip", "zstd"}[f] }

// maxWindow bounds the memory one zstd stream may ask for; zstd's own default for decoders is 8 MiB at level 19, 128 MiB
// for --long.
const maxWindow = 128 << 20

const inputBytes = 256 << 10

// Detect tells a stream's format from its first bytes.
func Detect(head []byte) Format {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}):
		return Gzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return Zstd
	case len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}): // skippable frame
		return Zstd
	}
	return Plain
}

// Reader inflates one stream. It reads its input to the end, so that nothing hides behind the compressed data.
type Reader struct {
	Format Format
	inner  io.Reader
	in     *counter
	close  func()
}

// NewReader looks at the first bytes of r. Close it; r stays the caller's.
func NewReader(r io.Reader) (*Reader, error) {
	in := &counter{r: r}
	b := bufio.NewReaderSize(in, inputBytes)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading layer: %w", err)
	}
	z := &Reader{Format: Detect(head), in: in, close: func() {}}
	switch z.Format {
	case Gzip:
		zr, err := newGunzip(b)
		if err != nil {
			return nil, fmt.Errorf("inflating layer: %w", err)
		}
		z.inner = zr
	case Zstd:
		zr, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("inflating layer: %w", err)
		}
		z.inner, z.close = zr, zr.Close
	default:
		z.inner = b
	}
	return z, nil
}

// Read implements io.Reader.
func (z *Reader) Read(p []byte) (int, error) {
	n, err := z.inner.Read(p)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("inflating %s layer: %w", z.Format, err)
	}
	return n, err
}

// Packed returns how many compressed bytes have been read so far; from any goroutine.
func (z *Reader) Packed() int64 { return z.in.n.Load() }

// Close gives back what the decompressor holds.
func (z *Reader) Close() { z.close() }

type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
