package portable

// fields of the variable: numbers separated by commas, then the numbers of the descriptors to close.
const (
	fieldCount = iota // of the list's descriptors
	fieldSetsid
	fieldOps
	fieldFirst
	fieldData
	fieldOpsSize
	fieldDataSize
	fieldReport
	fields
)

// maxFiles bounds the descriptors of a list.
const maxFiles = 1024

// An invocation is what the variable says.
type invocation struct {
	field  [fields]uintptr
	closed [maxFiles / 64]uint64 // a bit for each of the list's descriptors that is closed
}

func (inv *invocation) list() uintptr { return inv.field[fieldCount] }
func (inv *invocation) pipe() uintptr { return inv.field[fieldCount] + 1 }

func (p *Program) encode() string {
	setsid := uint64(0)
	if p.Setsid {
		setsid = 1
	}
	s := text(uint64(len(p.Files)))
	for _, n := range []uint64{setsid, uint64(p.Ops), uint64(p.First), uint64(p.Data), uint64(p.OpsSize), uint64(p.DataSize), uint64(p.Report)} {
		s += "," + text(n)
	}
	for i, f := range p.Files {
		if f < 0 {
			s += "," + text(uint64(i))
		}
	}
	return s
}

// decode is false for what encode did not write.
func decode(s string) (*invocation, bool) {
	inv := &invocation{}
	for i := 0; s != ""; i++ {
		var n uint64
		var ok bool
		if n, s, ok = number(s); !ok {
			return nil, false
		}
		switch {
		case i < fields:
			inv.field[i] = uintptr(n)
		case n < maxFiles:
			inv.closed[n/64] |= 1 << (n % 64)
		default:
			return nil, false
		}
		if s == "" && i >= fields-1 {
			return inv, inv.field[fieldCount] <= maxFiles
		}
	}
	return nil, false
}

// number reads a decimal number and the comma behind it. Package strconv would have this one initialised after package os.
func number(s string) (n uint64, rest string, ok bool) {
	for i := range len(s) {
		switch c := s[i]; {
		case c == ',' && i > 0 && i+1 < len(s):
			return n, s[i+1:], true
		case c >= '0' && c <= '9' && i < 18:
			n = n*10 + uint64(c-'0')
		default:
			return 0, "", false
		}
	}
	return n, "", s != ""
}

func text(n uint64) string {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}
