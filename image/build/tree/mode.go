package tree

import (
	"fmt"
	"strconv"
	"strings"
)

// A Mode is --chmod: an octal number, or clauses like u=rwX,go-w. The zero value keeps the mode.
type Mode struct {
	set     bool
	octal   uint32
	clauses []clause
}

type clause struct {
	who   string // of "ugo"
	op    byte   // one of "=+-"
	perms string // of "rwxXstugo"
}

// ParseMode reads --chmod; "" keeps the mode.
func ParseMode(s string) (Mode, error) {
	if s == "" {
		return Mode{}, nil
	}
	if n, err := strconv.ParseUint(s, 8, 32); err == nil && n <= 0o7777 {
		return Mode{set: true, octal: uint32(n)}, nil
	}
	if s[0] >= '0' && s[0] <= '9' {
		return Mode{}, fmt.Errorf("invalid chmod parameter: '%s'. it should be octal string and between 0 and 07777", s)
	}
	m := Mode{set: true}
	for part := range strings.SplitSeq(s, ",") {
		cs, err := parseClause(part)
		if err != nil {
			return Mode{}, fmt.Errorf("invalid chmod parameter: '%s': %w", s, err)
		}
		m.clauses = append(m.clauses, cs...)
	}
	return m, nil
}

// parseClause reads one of chmod(1)'s comma-separated parts, e.g. "ug+r-w".
func parseClause(s string) ([]clause, error) {
	i := strings.IndexAny(s, "=+-")
	if i < 0 || strings.Trim(s[:i], "ugoa") != "" {
		return nil, fmt.Errorf("%q is no mode", s)
	}
	who := s[:i]
	if who == "" || strings.Contains(who, "a") {
		who = "ugo"
	}
	var out []clause
	for rest := s[i:]; rest != ""; {
		op := rest[0]
		rest = rest[1:]
		end := strings.IndexAny(rest, "=+-")
		if end < 0 {
			end = len(rest)
		}
		if strings.Trim(rest[:end], "rwxXstugo") != "" {
			return nil, fmt.Errorf("%q is no permission", rest[:end])
		}
		out = append(out, clause{who, op, rest[:end]})
		rest = rest[end:]
	}
	return out, nil
}

// Apply changes permission bits; dir says that the file is a directory, for X.
func (m Mode) Apply(mode uint32, dir bool) uint32 {
	if !m.set {
		return mode
	}
	if m.clauses == nil {
		return mode&^0o7777 | m.octal
	}
	for _, c := range m.clauses {
		mode = c.apply(mode, dir)
	}
	return mode
}

var shift = map[rune]uint32{'u': 6, 'g': 3, 'o': 0}

func (c clause) apply(mode uint32, dir bool) uint32 {
	for _, w := range c.who {
		bits := c.bits(mode, dir) << shift[w]
		special := c.special(w)
		switch c.op {
		case '+':
			mode |= bits | special
		case '-':
			mode &^= bits | special
		case '=':
			mode = mode&^(7<<shift[w]|c.clears(w)) | bits | special
		}
	}
	return mode
}

func (c clause) bits(mode uint32, dir bool) (bits uint32) {
	for _, p := range c.perms {
		switch p {
		case 'r':
			bits |= 4
		case 'w':
			bits |= 2
		case 'x':
			bits |= 1
		case 'X':
			if dir || mode&0o111 != 0 {
				bits |= 1
			}
		case 'u', 'g', 'o':
			bits |= mode >> shift[p] & 7
		}
	}
	return bits
}

func (c clause) special(who rune) (bits uint32) {
	if strings.Contains(c.perms, "s") {
		bits |= c.clears(who) &^ 0o1000
	}
	if strings.Contains(c.perms, "t") && who == 'o' {
		bits |= 0o1000
	}
	return bits
}

func (c clause) clears(who rune) uint32 {
	return map[rune]uint32{'u': 0o4000, 'g': 0o2000, 'o': 0o1000}[who]
}
