package dns

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// Types and codes of RFC 1035 and RFC 3596.
const (
	typeA    = 1
	typePTR  = 12
	typeAAAA = 28
	classIN  = 1

	headerLen     = 12
	codeServfail  = 2
	answerTTL     = 0 // containers come and go
	flagResponse  = 0x8000
	flagAuthority = 0x0400
	flagRecursion = 0x0100
	flagAvailable = 0x0080
)

// question is a message's only question.
type question struct {
	name  string // lower case, without the last dot
	kind  uint16
	class uint16
	end   int // of the question in the message
}

// parseQuestion reads a query; ok is false for anything else, which is then passed on or dropped, never guessed at.
func parseQuestion(m []byte) (q question, ok bool) {
	if len(m) < headerLen+5 || m[2]&0xf8 != 0 || binary.BigEndian.Uint16(m[4:]) != 1 {
		return q, false // short, a response, another operation, or not one question
	}
	var name []string
	at := headerLen
	for {
		n := int(m[at])
		if n == 0 {
			break
		}
		if n > 63 || at+1+n >= len(m) || at-headerLen > 254 {
			return q, false
		}
		name = append(name, strings.ToLower(string(m[at+1:at+1+n])))
		at += 1 + n
	}
	if at+5 > len(m) {
		return q, false
	}
	return question{strings.Join(name, "."), binary.BigEndian.Uint16(m[at+1:]), binary.BigEndian.Uint16(m[at+3:]), at + 5}, true
}

// reply begins a response to query m: its header and question.
func reply(m []byte, q question, code uint16) []byte {
	r := append([]byte(nil), m[:q.end]...)
	flags := flagResponse | flagAvailable | binary.BigEndian.Uint16(m[2:])&flagRecursion | code
	if code == 0 {
		flags |= flagAuthority
	}
	binary.BigEndian.PutUint16(r[2:], flags)
	for i := 6; i < headerLen; i++ {
		r[i] = 0 // no records yet
	}
	return r
}

// addRecord appends an answer for the question's name.
func addRecord(r []byte, kind uint16, data []byte) []byte {
	r = append(r, 0xc0, headerLen) // the question's name
	r = binary.BigEndian.AppendUint16(r, kind)
	r = binary.BigEndian.AppendUint16(r, classIN)
	r = binary.BigEndian.AppendUint32(r, answerTTL)
	r = binary.BigEndian.AppendUint16(r, uint16(len(data)))
	binary.BigEndian.PutUint16(r[6:], binary.BigEndian.Uint16(r[6:])+1)
	return append(r, data...)
}

// addresses answers with those of the list that fit the question; none is an honest "no address of this kind".
func addresses(m []byte, q question, list []netip.Addr) []byte {
	r := reply(m, q, 0)
	for _, a := range list {
		if a.Is4() && q.kind == typeA || a.Is6() && q.kind == typeAAAA {
			r = addRecord(r, q.kind, a.AsSlice())
		}
	}
	return r
}

// pointer answers a reverse question.
func pointer(m []byte, q question, name string) []byte {
	var data []byte
	for _, label := range strings.Split(name, ".") {
		label = label[:min(len(label), 63)]
		data = append(append(data, byte(len(label))), label...)
	}
	return addRecord(reply(m, q, 0), typePTR, append(data, 0))
}

// reverseAddr reads 4.3.2.1.in-addr.arpa and the like of ip6.arpa.
func reverseAddr(name string) (netip.Addr, bool) {
	if s, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		p := strings.Split(s, ".")
		if len(p) != 4 {
			return netip.Addr{}, false
		}
		a, err := netip.ParseAddr(p[3] + "." + p[2] + "." + p[1] + "." + p[0])
		return a, err == nil
	}
	s, ok := strings.CutSuffix(name, ".ip6.arpa")
	p := strings.Split(s, ".")
	if !ok || len(p) != 32 {
		return netip.Addr{}, false
	}
	var b strings.Builder
	for i := 31; i >= 0; i-- {
		b.WriteString(p[i])
		if i%4 == 0 && i > 0 {
			b.WriteByte(':')
		}
	}
	a, err := netip.ParseAddr(b.String())
	return a, err == nil
}
