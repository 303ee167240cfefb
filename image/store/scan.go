package store

import (
	"errors"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// encoding/json prepares a decoder for each type on first use: in a new process that took 0.9 ms for one record, some nine
// tenths of finding an image, where the decoding itself takes 0.05 ms. run reads three small files of known form, so they are
// read by a scanner that knows them; encoding/json writes them, and the tests compare the two.

// scan reads one JSON document from left to right. The first error stays, and everything after it does nothing.
type scan struct {
	b     []byte
	i     int
	depth int
	err   error
}

var errJSON = errors.New("it is not valid JSON")

const maxDepth = 100

func (s *scan) fail() {
	if s.err == nil {
		s.err = errJSON
	}
	s.i = len(s.b)
}

// peek returns the next byte that is no space, 0 at the end.
func (s *scan) peek() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\n', '\t', '\r':
		default:
			return c
		}
	}
	return 0
}

// take consumes c if it is next.
func (s *scan) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

func (s *scan) word(w string) bool {
	s.peek()
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

// open enters an object or array; false for null.
func (s *scan) open(c byte) bool {
	if s.word("null") {
		return false
	}
	if s.depth++; !s.take(c) || s.depth > maxDepth {
		s.fail()
		return false
	}
	return true
}

// object reads an object; field reads the value of each key.
func (s *scan) object(field func(key string)) {
	if !s.open('{') {
		return
	}
	for first := true; s.err == nil && !s.take('}'); first = false {
		if !first && !s.take(',') {
			s.fail()
			return
		}
		key := s.string()
		if !s.take(':') {
			s.fail()
			return
		}
		field(key)
	}
	s.depth--
}

// array reads an array; item reads each value.
func (s *scan) array(item func()) {
	if !s.open('[') {
		return
	}
	for first := true; s.err == nil && !s.take(']'); first = false {
		if !first && !s.take(',') {
			s.fail()
			return
		}
		item()
	}
	s.depth--
}

// string reads a string; "" for null.
func (s *scan) string() string {
	if s.word("null") {
		return ""
	}
	if !s.take('"') {
		s.fail()
		return ""
	}
	start := s.i
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			out := string(s.b[start:s.i])
			s.i++
			if !utf8.ValidString(out) {
				s.fail()
			}
			return out
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			s.fail()
			return ""
		}
	}
	s.fail()
	return ""
}

// escaped reads the rest of a string that has escapes.
func (s *scan) escaped(start int) string {
	out := append([]byte{}, s.b[start:s.i]...)
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				s.fail()
			}
			return string(out)
		case c < ' ':
			s.fail()
		case c != '\\':
			out = append(out, c)
		default:
			out = s.escape(out)
		}
	}
	s.fail()
	return ""
}

func (s *scan) escape(out []byte) []byte {
	if s.i >= len(s.b) {
		return out
	}
	c := s.b[s.i]
	s.i++
	switch c {
	case '"', '\\', '/':
		return append(out, c)
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'u':
		r := s.hex4()
		if utf16.IsSurrogate(r) {
			r = s.lowSurrogate(r)
		}
		return utf8.AppendRune(out, r)
	}
	s.fail()
	return out
}

// lowSurrogate reads the second half of a pair; an unpaired half becomes U+FFFD, as in encoding/json.
func (s *scan) lowSurrogate(high rune) rune {
	if len(s.b)-s.i >= 6 && s.b[s.i] == '\\' && s.b[s.i+1] == 'u' {
		at := s.i
		s.i += 2
		if r := utf16.DecodeRune(high, s.hex4()); r != utf8.RuneError {
			return r
		}
		if s.err == nil {
			s.i = at
		}
	}
	return utf8.RuneError
}

func (s *scan) hex4() rune {
	if len(s.b)-s.i < 4 {
		s.fail()
		return 0
	}
	n, err := strconv.ParseUint(string(s.b[s.i:s.i+4]), 16, 32)
	if err != nil {
		s.fail()
		return 0
	}
	s.i += 4
	return rune(n)
}

// number reads the text of a number: -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scan) number() string {
	s.peek()
	start := s.i
	s.sign("-")
	if first := s.i; s.digits() && s.b[first] == '0' && s.i > first+1 {
		s.fail()
	}
	if s.sign(".") {
		s.digits()
	}
	if s.sign("eE") {
		s.sign("+-")
		s.digits()
	}
	return string(s.b[min(start, s.i):s.i])
}

// sign consumes one of the bytes of set.
func (s *scan) sign(set string) bool {
	if s.i >= len(s.b) {
		return false
	}
	for _, c := range []byte(set) {
		if s.b[s.i] == c {
			s.i++
			return true
		}
	}
	return false
}

// digits consumes digits, at least one.
func (s *scan) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	if s.i == start {
		s.fail()
		return false
	}
	return true
}

// int reads a whole number; 0 for null.
func (s *scan) int() int64 {
	if s.word("null") {
		return 0
	}
	n, err := strconv.ParseInt(s.number(), 10, 64)
	if err != nil {
		s.fail()
	}
	return n
}

func (s *scan) bool() bool {
	switch {
	case s.word("true"):
		return true
	case s.word("false"), s.word("null"):
	default:
		s.fail()
	}
	return false
}

// time reads a time as time.Time writes it; nil for null.
func (s *scan) time() *time.Time {
	if s.word("null") {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, s.string())
	if err != nil {
		s.fail()
	}
	return &t
}

func (s *scan) strings() []string {
	if s.word("null") {
		return nil
	}
	out := []string{}
	s.array(func() { out = append(out, s.string()) })
	return out
}

// skip reads any value and forgets it.
func (s *scan) skip() {
	switch c := s.peek(); {
	case c == '{':
		s.object(func(string) { s.skip() })
	case c == '[':
		s.array(s.skip)
	case c == '"':
		s.string()
	case c == 't', c == 'f', c == 'n':
		s.bool()
	default:
		s.number()
	}
}

// end is the error of a document that has been read.
func (s *scan) end() error {
	if s.err == nil && s.peek() != 0 {
		s.fail()
	}
	return s.err
}
