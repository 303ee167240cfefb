package tree

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow bounds the memory a zstd or xz stream may ask for.
const maxWindow = 128 << 20

var magics = []struct {
	magic []byte
	open  func(io.Reader) (io.ReadCloser, error)
}{
	{[]byte{0x1f, 0x8b, 0x08}, func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
	{[]byte("BZh"), func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(bzip2.NewReader(r)), nil }},
	{[]byte{0xfd, '7', 'z', 'X', 'Z', 0}, openXZ},
	{[]byte{0x28, 0xb5, 0x2f, 0xfd}, openZstd},
}

func openXZ(r io.Reader) (io.ReadCloser, error) {
	x, err := xz.ReaderConfig{DictCap: maxWindow}.NewReader(r)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(x), nil
}

func openZstd(r io.Reader) (io.ReadCloser, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// Decompress returns the plain content of a stream that is gzip, bzip2, xz, zstd or not compressed, told by its first bytes.
// No program is started for it (CVE-2019-14271).
func Decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, _ := b.Peek(6)
	for _, m := range magics {
		if bytes.HasPrefix(head, m.magic) {
			plain, err := m.open(b)
			if err != nil {
				return nil, fmt.Errorf("decompressing: %w", err)
			}
			return plain, nil
		}
	}
	return io.NopCloser(b), nil
}

// IsArchive tells whether a file begins as a tar archive, compressed or not: only then ADD unpacks it.
func IsArchive(r io.Reader) bool {
	plain, err := Decompress(r)
	if err != nil {
		return false
	}
	defer plain.Close()
	_, err = tar.NewReader(io.LimitReader(plain, 1<<20)).Next()
	return err == nil
}
