package compress

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// gunzip reads gzip files (RFC 1952), one behind the other as one stream, each checked against its sum. What follows that is
// no gzip file is an error.
type gunzip struct {
	z    *inflater
	crc  uint32
	size uint32
	cur  []byte
	err  error
}

// The errors of gzip's frame.
var (
	errGzipHeader = errors.New("invalid gzip header")
	errGzipSum    = errors.New("gzip check sum is wrong")
)

// newGunzip reads the first header.
func newGunzip(r io.Reader) (*gunzip, error) {
	g := &gunzip{z: newInflater(r)}
	if err := g.header(); err != nil {
		return nil, noEOF(err)
	}
	return g, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Read implements io.Reader.
func (g *gunzip) Read(p []byte) (int, error) {
	for len(g.cur) == 0 && g.err == nil {
		g.cur, g.err = g.z.next()
		if g.err == io.EOF {
			if g.err = g.trailer(); g.err == nil {
				g.err = g.header() // io.EOF: that was the last one
			}
			continue
		}
		g.crc = crc32.Update(g.crc, crc32.IEEETable, g.cur)
		g.size += uint32(len(g.cur))
	}
	n := copy(p, g.cur)
	g.cur = g.cur[n:]
	if n == 0 {
		return 0, g.err
	}
	return n, nil
}

func (g *gunzip) trailer() error {
	b, err := g.z.bytes(8)
	if err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(b) != g.crc || binary.LittleEndian.Uint32(b[4:]) != g.size {
		return errGzipSum
	}
	return nil
}

// The flags of a header.
const (
	flagHeaderSum = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4
)

// header reads a header; io.EOF when nothing is there.
func (g *gunzip) header() error {
	if g.z.end == g.z.ip {
		if err := g.z.fill(); err != nil {
			return err
		}
		if g.z.end == g.z.ip {
			return io.EOF
		}
	}
	b, err := g.z.bytes(10)
	if err != nil {
		return err
	}
	if b[0] != 0x1f || b[1] != 0x8b || b[2] != 8 || b[3]&0xe0 != 0 {
		return errGzipHeader
	}
	if err := g.skipFields(b[3]); err != nil {
		return err
	}
	g.crc, g.size = 0, 0
	g.z.reset()
	return nil
}

// skipFields passes over what a header may hold besides; the header's own sum is not worth checking beside the layer's digest.
func (g *gunzip) skipFields(flags byte) error {
	if flags&flagExtra != 0 {
		b, err := g.z.bytes(2)
		if err != nil {
			return err
		}
		for n := int(binary.LittleEndian.Uint16(b)); n > 0; n-- {
			if _, err := g.z.bytes(1); err != nil {
				return err
			}
		}
	}
	for _, flag := range []byte{flagName, flagComment} {
		for flags&flag != 0 {
			b, err := g.z.bytes(1)
			if err != nil {
				return err
			}
			if b[0] == 0 {
				break
			}
		}
	}
	if flags&flagHeaderSum != 0 {
		_, err := g.z.bytes(2)
		return err
	}
	return nil
}
