package compress

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
)

// Inflating is nine tenths of unpacking a gzip layer, and no library in Go does it at more than half the speed of C. This
// is DEFLATE (RFC 1951) in libdeflate's manner: 64 bits of input at a time, tables whose entries say in one word what to do
// (literal, length or distance with its extra bits included), up to three literals a round, matches copied by words.
//
// The input is padded at its end, so that one loop does it all: what was read behind the end is found out afterwards.

// An entry of a decoding table:
//
//	bit 31      literal
//	bits 16–30  the literal, base of the length or distance, or start of the subtable
//	bit 15      special: end of block, subtable, or, without any other flag, no code
//	bit 14      subtable
//	bit 13      end of block
//	bits 8–11   bits of the code; of a subtable, of its index
//	bits 0–7    bits of the code and of its extra bits: what to consume
const (
	isLiteral = 1 << 31
	isSpecial = 1 << 15
	isSub     = 1 << 14
	isEnd     = 1 << 13
	noCode    = isSpecial

	litBits   = 11
	distBits  = 9
	maxBits   = 15
	litTable  = 1<<litBits + 1<<11 // 2342 suffice for 288 symbols (zlib's enough.c)
	distTable = 1<<distBits + 1<<9
)

const (
	windowBytes = 32 << 10
	outBytes    = windowBytes + 512<<10
	outSlack    = 258 + 3 + 16 // a round writes at most three literals and a match, by words
	inPad       = 64
	inSlack     = 32 // a round loads at most three words
)

var errDeflate = errors.New("invalid compressed data")

// inflater decodes one DEFLATE stream after the other from one reader.
type inflater struct {
	r   io.Reader
	in  []byte // in[ip:end] is to come; zeros behind end once eof
	ip  int
	end int
	eof bool
	bb  uint64 // bits to come, lowest first
	nb  uint   // how many of them count

	out   []byte // history, then what is new since start
	op    int
	start int
	base  int // of the history: matches reach back to here

	state  blockState
	final  bool
	stored int
	lit    [litTable]uint32
	dist   [distTable]uint32
}

type blockState int

const (
	atHeader blockState = iota
	inStored
	inCodes
	atEnd
)

func newInflater(r io.Reader) *inflater {
	return &inflater{r: r, in: make([]byte, inputBytes+inPad), out: make([]byte, outBytes+outSlack)}
}

// reset begins a new stream behind the last one.
func (z *inflater) reset() { z.state, z.final, z.base = atHeader, false, z.op }

// fill brings more input, so that a round can be done.
func (z *inflater) fill() error {
	if z.eof {
		if z.ip > z.end+inSlack {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	keep := min(z.ip, 8) // align may give as many back
	z.end = copy(z.in, z.in[z.ip-keep:z.end])
	z.ip = keep
	for z.end-z.ip < inSlack*2 && !z.eof {
		n, err := z.r.Read(z.in[z.end : len(z.in)-inPad])
		z.end += n
		if err == io.EOF {
			z.eof = true
			clear(z.in[z.end : z.end+inPad])
		} else if err != nil {
			return err
		}
	}
	return nil
}

// limit is how far ip may be for a round.
func (z *inflater) limit() int {
	if z.eof {
		return z.end + inSlack
	}
	return z.end - inSlack
}

// need makes at least 56 bits available.
func (z *inflater) need() error {
	if z.ip > z.limit() {
		if err := z.fill(); err != nil {
			return err
		}
	}
	z.bb |= binary.LittleEndian.Uint64(z.in[z.ip:]) << (z.nb & 63)
	z.ip += int((63 - z.nb) >> 3)
	z.nb |= 56
	return nil
}

// bits takes n bits that are available.
func (z *inflater) bits(n uint) uint {
	v := uint(z.bb & (1<<n - 1))
	z.bb >>= n
	z.nb -= n
	return v
}

// align gives the whole bytes that were not used back to the input; io.ErrUnexpectedEOF when bits behind the end were used.
func (z *inflater) align() error {
	z.ip -= int(z.nb >> 3)
	z.bb, z.nb = 0, 0
	if z.eof && z.ip > z.end {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// bytes returns the next n bytes of the input, n at most inSlack; after align.
func (z *inflater) bytes(n int) ([]byte, error) {
	if z.end-z.ip < n && !z.eof {
		if err := z.fill(); err != nil {
			return nil, err
		}
	}
	if z.end-z.ip < n {
		return nil, io.ErrUnexpectedEOF
	}
	z.ip += n
	return z.in[z.ip-n : z.ip], nil
}

// next decodes until there is a good portion of output, and returns it; it is valid until the next call. io.EOF comes alone,
// at the end of the stream.
func (z *inflater) next() ([]byte, error) {
	z.slide()
	for z.op < outBytes {
		var err error
		switch z.state {
		case atHeader:
			err = z.header()
		case inStored:
			err = z.copyStored()
		case inCodes:
			err = z.codes()
		case atEnd:
			if z.op > z.start {
				return z.out[z.start:z.op], nil
			}
			return nil, io.EOF
		}
		if err != nil {
			return nil, err
		}
	}
	return z.out[z.start:z.op], nil
}

// slide keeps the last window of output and makes room behind it.
func (z *inflater) slide() {
	if z.op > outBytes/2 {
		keep := min(z.op-z.base, windowBytes)
		copy(z.out, z.out[z.op-keep:z.op])
		z.base, z.op = 0, keep
	}
	z.start = z.op
}

// header reads a block's header.
func (z *inflater) header() error {
	if z.final {
		z.state = atEnd
		return z.align()
	}
	if err := z.need(); err != nil {
		return err
	}
	z.final = z.bits(1) == 1
	switch z.bits(2) {
	case 0:
		return z.storedHeader()
	case 1:
		z.state = inCodes
		return z.fixed()
	case 2:
		z.state = inCodes
		return z.dynamic()
	}
	return errDeflate
}

func (z *inflater) storedHeader() error {
	if err := z.align(); err != nil {
		return err
	}
	b, err := z.bytes(4)
	if err != nil {
		return err
	}
	n := binary.LittleEndian.Uint16(b)
	if n != ^binary.LittleEndian.Uint16(b[2:]) {
		return errDeflate
	}
	z.stored, z.state = int(n), inStored
	return nil
}

func (z *inflater) copyStored() error {
	for z.stored > 0 && z.op < outBytes {
		if z.ip == z.end {
			if z.eof {
				return io.ErrUnexpectedEOF
			}
			if err := z.fill(); err != nil {
				return err
			}
			continue
		}
		n := copy(z.out[z.op:outBytes], z.in[z.ip:min(z.end, z.ip+z.stored)])
		z.op, z.ip, z.stored = z.op+n, z.ip+n, z.stored-n
	}
	if z.stored == 0 {
		z.state = atHeader
	}
	return nil
}

// codes decodes a block's symbols until its end, or until the output is full.
func (z *inflater) codes() error {
	for z.op < outBytes {
		if z.ip > z.limit() {
			if err := z.fill(); err != nil {
				return err
			}
		}
		done, err := z.rounds(z.limit())
		if err != nil {
			return err
		}
		if done {
			z.state = atHeader
			if z.eof && z.ip-int(z.nb>>3) > z.end {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
	}
	return nil
}

// rounds is the loop all the time goes into: it has no calls and keeps its state in registers. It is long because cutting it
// costs a third of the speed.
func (z *inflater) rounds(limit int) (done bool, err error) {
	in, ip, bb, nb := z.in, z.ip, z.bb, z.nb
	out, op := z.out, z.op
	lit, dist := &z.lit, &z.dist
	base := z.base
loop:
	for ip <= limit && op < outBytes {
		bb |= binary.LittleEndian.Uint64(in[ip:]) << (nb & 63)
		ip += int((63 - nb) >> 3)
		nb |= 56
		e := lit[bb&(1<<litBits-1)]
		if e >= isLiteral { // at most 11 bits each: three and a length fit into 56 bits
			bb >>= e & 63
			nb -= uint(e & 63)
			out[op] = byte(e >> 16)
			op++
			e = lit[bb&(1<<litBits-1)]
			if e >= isLiteral {
				bb >>= e & 63
				nb -= uint(e & 63)
				out[op] = byte(e >> 16)
				op++
				e = lit[bb&(1<<litBits-1)]
				if e >= isLiteral {
					bb >>= e & 63
					nb -= uint(e & 63)
					out[op] = byte(e >> 16)
					op++
					continue
				}
			}
		}
		if e&isSpecial != 0 {
			if e&isSub == 0 {
				if e&isEnd == 0 {
					err = errDeflate
					break loop
				}
				bb >>= e & 63
				nb -= uint(e & 63)
				done = true
				break loop
			}
			bb >>= litBits
			nb -= litBits
			e = lit[uint64(e>>16)+bb&(1<<(e>>8&15)-1)]
			if e >= isLiteral {
				bb >>= e & 63
				nb -= uint(e & 63)
				out[op] = byte(e >> 16)
				op++
				continue
			}
			if e&isSpecial != 0 {
				if e&isEnd == 0 {
					err = errDeflate
					break loop
				}
				bb >>= e & 63
				nb -= uint(e & 63)
				done = true
				break loop
			}
		}
		length := int(e>>16) + int(bb&(1<<(e&63)-1)>>(e>>8&15))
		bb >>= e & 63
		nb -= uint(e & 63)

		bb |= binary.LittleEndian.Uint64(in[ip:]) << (nb & 63)
		ip += int((63 - nb) >> 3)
		nb |= 56
		e = dist[bb&(1<<distBits-1)]
		if e&isSpecial != 0 {
			if e&isSub == 0 {
				err = errDeflate
				break loop
			}
			bb >>= distBits
			nb -= distBits
			e = dist[uint64(e>>16)+bb&(1<<(e>>8&15)-1)]
			if e&isSpecial != 0 {
				err = errDeflate
				break loop
			}
		}
		from := int(e>>16) + int(bb&(1<<(e&63)-1)>>(e>>8&15))
		bb >>= e & 63
		nb -= uint(e & 63)
		if from > op-base {
			err = errDeflate
			break loop
		}
		src, stop := op-from, op+length
		if from >= 16 { // what is written behind the match is written over later
			for op < stop {
				*(*[16]byte)(out[op:]) = [16]byte(out[src:])
				op += 16
				src += 16
			}
			op = stop
			continue
		}
		if from >= 8 {
			for op < stop {
				binary.LittleEndian.PutUint64(out[op:], binary.LittleEndian.Uint64(out[src:]))
				op += 8
				src += 8
			}
			op = stop
			continue
		}
		if from == 1 {
			fillByte(out[op:stop], out[src])
			op = stop
			continue
		}
		for ; op < stop; op++ {
			out[op] = out[src]
			src++
		}
	}
	z.ip, z.bb, z.nb, z.op = ip, bb, nb, op
	return done, err
}

func fillByte(b []byte, c byte) {
	for i := range b {
		b[i] = c
	}
}

// lengthEntries and distEntries are what symbols mean: base and number of extra bits (RFC 1951, 3.2.5).
var lengthEntries, distEntries = symbolEntries()

func symbolEntries() (lengths [288]uint32, dists [32]uint32) {
	for i := range 256 {
		lengths[i] = isLiteral | uint32(i)<<16
	}
	lengths[256] = isSpecial | isEnd
	base := uint32(3)
	for i := range uint32(29) {
		extra := uint32(0)
		if i >= 8 && i < 28 {
			extra = i/4 - 1
		}
		if i == 28 {
			base = 258
		}
		lengths[257+i] = base<<16 | extra
		base += 1 << extra
	}
	lengths[286], lengths[287] = noCode, noCode
	base = 1
	for i := range uint32(30) {
		extra := uint32(0)
		if i >= 4 {
			extra = i/2 - 1
		}
		dists[i] = base<<16 | extra
		base += 1 << extra
	}
	dists[30], dists[31] = noCode, noCode
	return lengths, dists
}

func (z *inflater) fixed() error {
	var lens [288 + 32]uint8
	for i := range 288 {
		lens[i] = 8
	}
	for i := 144; i < 256; i++ {
		lens[i] = 9
	}
	for i := 256; i < 280; i++ {
		lens[i] = 7
	}
	for i := 288; i < len(lens); i++ {
		lens[i] = 5
	}
	return errors.Join(build(z.lit[:], lens[:288], litBits, lengthEntries[:]), build(z.dist[:], lens[288:], distBits, distEntries[:]))
}

// preOrder is the order in which the lengths of the code for lengths come.
var preOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

const preBits = 7

// dynamic reads a block's own codes.
func (z *inflater) dynamic() error {
	nlit, ndist, npre := int(z.bits(5))+257, int(z.bits(5))+1, int(z.bits(4))+4
	if nlit > 286 || ndist > 30 {
		return errDeflate
	}
	var pre [19]uint8
	for i := range npre {
		if i%16 == 0 { // 48 of 56 bits
			if err := z.need(); err != nil {
				return err
			}
		}
		pre[preOrder[i]] = uint8(z.bits(3))
	}
	var table [1 << preBits]uint32
	var entries [19]uint32
	for i := range entries {
		entries[i] = uint32(i) << 16
	}
	if err := build(table[:], pre[:], preBits, entries[:]); err != nil {
		return err
	}
	var lens [286 + 30]uint8
	if err := z.lengths(&table, lens[:nlit+ndist]); err != nil {
		return err
	}
	if lens[256] == 0 { // the block could not end
		return errDeflate
	}
	if err := build(z.lit[:], lens[:nlit], litBits, lengthEntries[:]); err != nil {
		return err
	}
	return build(z.dist[:], lens[nlit:nlit+ndist], distBits, distEntries[:])
}

// lengths reads the run-length coded lengths of both codes.
func (z *inflater) lengths(table *[1 << preBits]uint32, lens []uint8) error {
	for i := 0; i < len(lens); {
		if err := z.need(); err != nil {
			return err
		}
		e := table[z.bb&(1<<preBits-1)]
		if e&isSpecial != 0 {
			return errDeflate
		}
		z.bits(uint(e & 63))
		sym := e >> 16
		if sym < 16 {
			lens[i] = uint8(sym)
			i++
			continue
		}
		value, n := uint8(0), 0
		switch sym {
		case 16:
			if i == 0 {
				return errDeflate
			}
			value, n = lens[i-1], 3+int(z.bits(2))
		case 17:
			n = 3 + int(z.bits(3))
		default:
			n = 11 + int(z.bits(7))
		}
		if i+n > len(lens) {
			return errDeflate
		}
		for ; n > 0; n-- {
			lens[i] = value
			i++
		}
	}
	return nil
}

// build makes the decoding table of a canonical code: width bits look up the first part, longer codes go on in subtables
// behind it. Codes that say more than there is room for are errors, as are incomplete ones but for a single code of one bit.
func build(table []uint32, lens []uint8, width uint, entries []uint32) error {
	var count [maxBits + 1]int
	for _, l := range lens {
		count[l]++
	}
	count[0] = 0
	var code [maxBits + 2]uint16
	left, used, longest := 1, 0, 0
	for l := 1; l <= maxBits; l++ {
		left = left<<1 - count[l]
		if left < 0 {
			return errDeflate
		}
		code[l+1] = (code[l] + uint16(count[l])) << 1
		if used += count[l]; count[l] > 0 {
			longest = l
		}
	}
	if left > 0 && (longest > 1 || width == preBits) {
		return errDeflate
	}
	for i := range table[:1<<width] {
		table[i] = noCode
	}
	var deepest []uint8
	if longest > int(width) {
		deepest = subtableDepths(lens, code, width)
	}
	return place(table, lens, code, width, entries, deepest)
}

// reversed returns a symbol's code as it comes from the input, lowest bit first, and counts on.
func reversed(code *[maxBits + 2]uint16, l uint8) uint {
	c := code[l]
	code[l]++
	return uint(bits.Reverse16(c) >> (16 - l))
}

// subtableDepths returns for each first part how many bits its longest code has.
func subtableDepths(lens []uint8, code [maxBits + 2]uint16, width uint) []uint8 {
	deepest := make([]uint8, 1<<width)
	for _, l := range lens {
		if l == 0 {
			continue
		}
		if r := reversed(&code, l); uint(l) > width {
			p := &deepest[r&(1<<width-1)]
			*p = max(*p, l)
		}
	}
	return deepest
}

func place(table []uint32, lens []uint8, code [maxBits + 2]uint16, width uint, entries []uint32, deepest []uint8) error {
	top := uint(1) << width
	for sym, l := range lens {
		if l == 0 {
			continue
		}
		r, e := reversed(&code, l), entries[sym]
		if uint(l) <= width {
			e += uint32(l)<<8 | uint32(l)
			for i := r; i < 1<<width; i += 1 << l {
				table[i] = e
			}
			continue
		}
		first, rest := r&(1<<width-1), uint(l)-width
		depth := uint(deepest[first]) - width
		if table[first]&isSub == 0 {
			if top+1<<depth > uint(len(table)) {
				return errDeflate
			}
			table[first] = isSpecial | isSub | uint32(top)<<16 | uint32(depth)<<8 | uint32(width)
			for i := range table[top : top+1<<depth] {
				table[top+uint(i)] = noCode
			}
			top += 1 << depth
		}
		sub := uint(table[first] >> 16)
		e += uint32(rest)<<8 | uint32(rest)
		for i := r >> width; i < 1<<depth; i += 1 << rest {
			table[sub+i] = e
		}
	}
	return nil
}
