package spawn

import (
	"bytes"
	"encoding/binary"
)

// A Step is a call of a list as tests of packages that write lists look at it.
type Step struct {
	Name   string
	Number uintptr
	Args   [6]uintptr // as written; what is fed at run time is not in them
}

// Steps returns the calls in order.
func (l *List) Steps() []Step {
	steps := make([]Step, len(l.names))
	for i, name := range l.names {
		b := l.ops[stateSize+i*opSize:]
		s := Step{Name: name, Number: uintptr(binary.LittleEndian.Uint64(b))}
		for a := range s.Args {
			s.Args[a] = uintptr(binary.LittleEndian.Uint64(b[8+8*a:]))
		}
		steps[i] = s
	}
	return steps
}

// Text is the string at an address of the data.
func (l *List) Text(at uintptr) string {
	s, _, _ := bytes.Cut(l.from(at), []byte{0})
	return string(s)
}

// Word is the word at an address of the data, as written.
func (l *List) Word(at uintptr) uint64 {
	b := l.from(at)
	if len(b) < 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (l *List) from(at uintptr) []byte {
	if at < dataBase || at >= dataBase+uintptr(len(l.data)) {
		return nil
	}
	return l.data[at-dataBase:]
}
