package seccomptest

import (
	"encoding/binary"
	"fmt"

	"github.com/moss-sandbox/moss/userns/seccomp"
)

// Call is the kernel's struct seccomp_data.
type Call struct {
	Number    uint32
	Arch      uint32
	Arguments [6]uint64
}

func (c Call) word(offset uint32) (uint32, error) {
	var b [64]byte
	binary.LittleEndian.PutUint32(b[0:], c.Number)
	binary.LittleEndian.PutUint32(b[4:], c.Arch)
	for i, a := range c.Arguments {
		binary.LittleEndian.PutUint64(b[16+8*i:], a)
	}
	if offset%4 != 0 || offset > 60 {
		return 0, fmt.Errorf("load at offset %d", offset)
	}
	return binary.LittleEndian.Uint32(b[offset:]), nil
}

// Run interprets the filter and returns its answer and the number of instructions executed. It fails where the kernel's
// checker would refuse the program: an unknown operation, a jump or the end of the program outside of it.
func Run(f seccomp.Filter, c Call) (answer uint32, steps int, err error) {
	var a uint32
	for at := 0; at < f.Instructions(); steps++ {
		b := f[8*at:]
		op, jt, jf, k := binary.LittleEndian.Uint16(b), int(b[2]), int(b[3]), binary.LittleEndian.Uint32(b[4:])
		at++
		switch op {
		case 0x20: // load word
			if a, err = c.word(k); err != nil {
				return 0, steps, err
			}
		case 0x54: // and
			a &= k
		case 0x05: // jump
			at += int(k)
		case 0x15:
			at += choose(a == k, jt, jf)
		case 0x25:
			at += choose(a > k, jt, jf)
		case 0x35:
			at += choose(a >= k, jt, jf)
		case 0x06:
			return k, steps + 1, nil
		default:
			return 0, steps, fmt.Errorf("operation %#x at %d", op, at-1)
		}
	}
	return 0, steps, fmt.Errorf("ran out of the program of %d instructions", f.Instructions())
}

func choose(yes bool, jt, jf int) int {
	if yes {
		return jt
	}
	return jf
}
