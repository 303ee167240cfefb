package seccomp

import "encoding/binary"

// Operation codes of classic BPF that seccomp(2) accepts (linux/bpf_common.h).
const (
	opLoad           uint16 = 0x20 // BPF_LD|BPF_W|BPF_ABS
	opAnd            uint16 = 0x54 // BPF_ALU|BPF_AND|BPF_K
	opJump           uint16 = 0x05 // BPF_JMP|BPF_JA
	opEqual          uint16 = 0x15 // BPF_JMP|BPF_JEQ|BPF_K
	opGreater        uint16 = 0x25 // BPF_JMP|BPF_JGT|BPF_K
	opGreaterOrEqual uint16 = 0x35 // BPF_JMP|BPF_JGE|BPF_K
	opReturn         uint16 = 0x06 // BPF_RET|BPF_K
)

// Offsets in struct seccomp_data; the low word of an argument comes first on both machines.
const (
	offsetNumber    = 0
	offsetArch      = 4
	offsetArguments = 16
)

type instruction struct {
	op     uint16
	jt, jf uint8
	k      uint32
}

func encode(i instruction) []byte {
	var b [instructionSize]byte
	binary.LittleEndian.PutUint16(b[:], i.op)
	b[2], b[3] = i.jt, i.jf
	binary.LittleEndian.PutUint32(b[4:], i.k)
	return b[:]
}

// assembler writes a program from its end to its beginning: BPF jumps only forwards, so every target exists before the
// jump to it, and returns and whole blocks are shared. A conditional jump reaches 255 instructions; what lies further is
// reached through a copy (of a return) or an unconditional jump.
type assembler struct {
	reversed []instruction
	returns  map[uint32]label
}

// label is the distance of an instruction from the end of the program.
type label int

const reach = 255

// here is the label the next instruction will get.
func (a *assembler) here() label { return label(len(a.reversed)) }

func (a *assembler) put(i instruction) label {
	a.reversed = append(a.reversed, i)
	return a.here() - 1
}

// distance is the jump offset from the next instruction to be written to a target.
func (a *assembler) distance(to label) int { return int(a.here() - to - 1) }

// answer returns the label of a return near enough for a jump written after at most margin more instructions.
func (a *assembler) answer(value uint32, margin int) label {
	if at, ok := a.returns[value]; ok && a.distance(at)+margin <= reach {
		return at
	}
	at := a.put(instruction{op: opReturn, k: value})
	a.returns[value] = at
	return at
}

// goTo makes the target the instruction that follows textually.
func (a *assembler) goTo(to label) label {
	if a.distance(to) == 0 {
		return to
	}
	return a.put(instruction{op: opJump, k: uint32(a.distance(to))})
}

// branch writes a conditional jump, after jumps of its own to what is out of reach.
func (a *assembler) branch(op uint16, k uint32, yes, no label) label {
	if yes == no {
		return yes
	}
	if a.distance(no)+1 > reach {
		no = a.goTo(no)
	}
	if a.distance(yes) > reach {
		yes = a.goTo(yes)
	}
	return a.put(instruction{op: op, jt: uint8(a.distance(yes)), jf: uint8(a.distance(no)), k: k})
}

// load writes a load of a word of seccomp_data before next.
func (a *assembler) load(offset uint32, next label) label {
	a.goTo(next)
	return a.put(instruction{op: opLoad, k: offset})
}

// filter returns the program that begins with the instruction written last.
func (a *assembler) filter() Filter {
	f := make(Filter, 0, len(a.reversed)*instructionSize)
	for i := len(a.reversed) - 1; i >= 0; i-- {
		f = append(f, encode(a.reversed[i])...)
	}
	return f
}
