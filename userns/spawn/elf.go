//go:build !portable && (amd64 || arm64)

package spawn

import "encoding/binary"

const (
	page     = 0x10000 // the largest page of the architectures with an interpreter; file offsets are multiples of it
	codeAt   = 0x200   // the interpreter's place in the first page
	codeSize = 0x200
)

// segment is one PT_LOAD line of the program headers.
type segment struct {
	flags        uint32
	offset, addr uint64
	size         uint64
}

// image is the file that holds the list: head in front, then ops and data at page borders. The gaps are holes.
func (l *List) image(report int) (head []byte, ops, data int64) {
	binary.LittleEndian.PutUint64(l.ops[16:], uint64(report))
	ops = page
	data = ops + (int64(len(l.ops))+page-1)&^(page-1)
	segments := []segment{
		{flags: 4 | 1, offset: 0, addr: textBase, size: codeAt + codeSize},
		{flags: 4 | 2, offset: uint64(ops), addr: opsBase, size: uint64(len(l.ops))},
		{flags: 4 | 2, offset: uint64(data), addr: dataBase, size: uint64(max(len(l.data), 1))},
	}
	return header(segments), ops, data
}

// header writes the ELF header and the program headers (elf(5)), and copies the interpreter behind them.
func header(segments []segment) []byte {
	b := make([]byte, codeAt+codeSize)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], 2) // ET_EXEC
	le.PutUint16(b[18:], machine)
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], textBase+codeAt) // entry
	le.PutUint64(b[32:], 64)              // program headers
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], uint16(len(segments)+1))
	at := b[64:]
	for _, s := range segments {
		le.PutUint32(at, 1) // PT_LOAD
		le.PutUint32(at[4:], s.flags)
		le.PutUint64(at[8:], s.offset)
		le.PutUint64(at[16:], s.addr)
		le.PutUint64(at[32:], s.size)
		le.PutUint64(at[40:], s.size)
		le.PutUint64(at[48:], page)
		at = at[56:]
	}
	le.PutUint32(at, 0x6474e551) // PT_GNU_STACK, not executable
	le.PutUint32(at[4:], 6)
	copy(b[codeAt:], code())
	return b
}
