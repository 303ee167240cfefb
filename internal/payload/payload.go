package payload

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	magic       = "MOSSPACK"
	version     = 1
	trailerSize = 64
	// Alignment lets the heavy program be mapped from the file directly.
	Alignment = 4096
)

// ErrNone says that the file carries no heavy program: it was made by a plain `go build`.
var ErrNone = errors.New("no heavy program in this file")

// Trailer is the last 64 bytes of the file, numbers little endian:
//
//	 0  magic    8 bytes "MOSSPACK"
//	 8  version  uint32, 1
//	12  zero     uint32
//	16  offset   uint64, of the heavy program's first byte
//	24  size     uint64
//	32  sha256   32 bytes, of the heavy program
type Trailer struct {
	Offset, Size int64
	Sum          [sha256.Size]byte
}

// Append returns b with the 64 bytes of t behind it.
func (t Trailer) Append(b []byte) []byte {
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Offset))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Size))
	return append(b, t.Sum[:]...)
}

// parse reads the trailer of a file that is fileSize bytes long.
// A file that ends in something else gives ErrNone; one that has the magic and does not fit is an error of its own.
func parse(b []byte, fileSize int64) (Trailer, error) {
	var t Trailer
	if len(b) != trailerSize || !bytes.HasPrefix(b, []byte(magic)) {
		return t, ErrNone
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return t, fmt.Errorf("heavy program: trailer version %d, want %d", v, version)
	}
	offset, size := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	end := uint64(fileSize - trailerSize)
	if offset == 0 || size == 0 || offset > end || size != end-offset {
		return t, fmt.Errorf("heavy program: %d bytes at %d do not fit a file of %d: the file is cut or damaged", size, offset, fileSize)
	}
	t.Offset, t.Size = int64(offset), int64(size)
	copy(t.Sum[:], b[32:])
	return t, nil
}

// Find reads the trailer of exe. It gives ErrNone where there is no heavy program.
func Find(exe *os.File) (Trailer, error) {
	info, err := exe.Stat()
	if err != nil {
		return Trailer{}, fmt.Errorf("heavy program: %w", err)
	}
	if info.Size() < trailerSize {
		return Trailer{}, ErrNone
	}
	b := make([]byte, trailerSize)
	if _, err := exe.ReadAt(b, info.Size()-trailerSize); err != nil {
		return Trailer{}, fmt.Errorf("heavy program: reading the trailer of %q: %w", exe.Name(), err)
	}
	return parse(b, info.Size())
}

// Open returns the heavy program inside exe, which must stay open as long as the reader is used (normally exe is
// /proc/self/exe, never a path). It gives ErrNone where there is none. The sum is not checked, see Verify: hashing costs more
// than starting the program.
func Open(exe *os.File) (*io.SectionReader, error) {
	t, err := Find(exe)
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(exe, t.Offset, t.Size), nil
}

// Verify hashes the heavy program inside exe and compares it with the trailer.
func Verify(exe *os.File) error {
	t, err := Find(exe)
	if err != nil {
		return err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(exe, t.Offset, t.Size)); err != nil {
		return fmt.Errorf("heavy program: reading %q: %w", exe.Name(), err)
	}
	if !bytes.Equal(h.Sum(nil), t.Sum[:]) {
		return fmt.Errorf("heavy program: %q is damaged: its bytes do not match their sha256", exe.Name())
	}
	return nil
}
