package output

import (
	"bytes"
	"time"
)

// A Line is one line of a stream with its newline, or a last one without.
type Line struct {
	Time   time.Time // when its first byte came
	Stream Stream
	Data   []byte
	Lost   int64
}

// Lines makes lines of pieces: a line's bytes may come in many, with another stream's between them.
type Lines struct {
	Emit func(Line) error
	open [3]Line // by stream: the line that has no end yet
}

// lineMax is where an endless line is cut.
const lineMax = 1 << 20

// Add takes a piece.
func (l *Lines) Add(p Piece) error {
	if p.Stream == Dropped {
		return l.Emit(Line{Time: p.Time, Stream: Dropped, Lost: p.Lost})
	}
	if p.Stream != Stdout && p.Stream != Stderr {
		return nil
	}
	part := &l.open[p.Stream]
	for b := p.Data; len(b) > 0; {
		if len(part.Data) == 0 {
			part.Time, part.Stream = p.Time, p.Stream
		}
		n := bytes.IndexByte(b, '\n') + 1
		ends := n > 0
		if !ends {
			n = len(b)
		}
		part.Data = append(part.Data, b[:n]...)
		b = b[n:]
		if ends || len(part.Data) >= lineMax {
			if err := l.Emit(*part); err != nil {
				return err
			}
			*part = Line{}
		}
	}
	return nil
}

// Flush hands out lines that have no end.
func (l *Lines) Flush() error {
	for _, s := range []Stream{Stdout, Stderr} {
		if part := l.open[s]; len(part.Data) > 0 {
			l.open[s] = Line{}
			if err := l.Emit(part); err != nil {
				return err
			}
		}
	}
	return nil
}
