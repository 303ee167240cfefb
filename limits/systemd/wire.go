package systemd

import (
	"encoding/binary"
	"errors"
)

// encoder writes D-Bus values in little endian with their alignment (D-Bus specification, "Marshaling").
type encoder struct{ b []byte }

func (e *encoder) align(n int) {
	for len(e.b)%n != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) uint32(v uint32) { e.align(4); e.b = binary.LittleEndian.AppendUint32(e.b, v) }

func (e *encoder) uint64(v uint64) { e.align(8); e.b = binary.LittleEndian.AppendUint64(e.b, v) }

func (e *encoder) string(s string) {
	e.uint32(uint32(len(s)))
	e.b = append(append(e.b, s...), 0)
}

func (e *encoder) signature(s string) { e.b = append(append(append(e.b, byte(len(s))), s...), 0) }

func (e *encoder) bool(v bool) {
	if v {
		e.uint32(1)
	} else {
		e.uint32(0)
	}
}

// array writes what fill appends behind its length; elem is the alignment of one element, and its padding does not count.
func (e *encoder) array(elem int, fill func()) {
	e.uint32(0)
	length := len(e.b) - 4
	e.align(elem)
	start := len(e.b)
	fill()
	binary.LittleEndian.PutUint32(e.b[length:], uint32(len(e.b)-start))
}

// errTruncated is the error of a message shorter than its own lengths say.
var errTruncated = errors.New("truncated D-Bus message")

// decoder reads values in order; after the first error everything reads as zero and err stays.
type decoder struct {
	b   []byte
	at  int
	err error
}

func (d *decoder) take(align, n int) []byte {
	d.at = (d.at + align - 1) / align * align
	if d.err != nil || n < 0 || d.at > len(d.b) || n > len(d.b)-d.at {
		d.err = errTruncated
		return make([]byte, min(max(n, 0), 8))
	}
	d.at += n
	return d.b[d.at-n : d.at]
}

func (d *decoder) uint32() uint32 { return binary.LittleEndian.Uint32(d.take(4, 4)) }

func (d *decoder) string() string {
	n := int(d.uint32())
	s := string(d.take(1, n))
	d.take(1, 1)
	return s
}

func (d *decoder) signature() string {
	n := int(d.take(1, 1)[0])
	s := string(d.take(1, n))
	d.take(1, 1)
	return s
}
