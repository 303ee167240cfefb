package gateway

import "github.com/moss-sandbox/moss/userns/sys"

// step is an instruction of a classic BPF program with its jumps by name; "" is the next instruction.
type step struct {
	label   string
	code    uint16
	k       uint32
	yes, no string
}

// Opcodes of linux/filter.h.
const (
	ldByte    = 0x30 // A = packet[k]
	ldHalf    = 0x28
	ldByteX   = 0x50 // A = packet[X+k]
	ldIPv4Len = 0xb1 // X = 4*(packet[k]&15)
	and       = 0x54
	jumpEqual = 0x15
	jumpAny   = 0x45 // A & k
	ret       = 0x06
)

// wanted lets through TCP SYNs without ACK and ICMP echo requests, IPv4 and IPv6, unfragmented. Offsets count from the
// network header, as an AF_PACKET socket of type SOCK_DGRAM sees it (packet(7)).
func wanted() []sys.SockFilter {
	return assemble([]step{
		{"", ldByte, 0, "", ""},
		{"", and, 0xf0, "", ""},
		{"", jumpEqual, 0x40, "", "v6"},
		{"", ldHalf, 6, "", ""},
		{"", jumpAny, 0x3fff, "drop", ""}, // a fragment
		{"", ldByte, 9, "", ""},
		{"", jumpEqual, 1, "ping", ""},
		{"", jumpEqual, 6, "", "drop"},
		{"", ldIPv4Len, 0, "", ""},
		{"", ldByteX, 13, "", ""},
		{"", and, 0x12, "", ""},
		{"", jumpEqual, 0x02, "take", "drop"},
		{"ping", ldIPv4Len, 0, "", ""},
		{"", ldByteX, 0, "", ""},
		{"", jumpEqual, 8, "take", "drop"},
		{"v6", jumpEqual, 0x60, "", "drop"},
		{"", ldByte, 6, "", ""},
		{"", jumpEqual, 58, "ping6", ""},
		{"", jumpEqual, 6, "", "drop"},
		{"", ldByte, 40 + 13, "", ""},
		{"", and, 0x12, "", ""},
		{"", jumpEqual, 0x02, "take", "drop"},
		{"ping6", ldByte, 40, "", ""},
		{"", jumpEqual, 128, "take", "drop"},
		{"drop", ret, 0, "", ""},
		{"take", ret, 0xffff, "", ""},
	})
}

func assemble(steps []step) []sys.SockFilter {
	at := map[string]int{}
	for i, s := range steps {
		if s.label != "" {
			at[s.label] = i
		}
	}
	to := func(i int, label string) uint8 {
		if label == "" {
			return 0
		}
		return uint8(at[label] - i - 1)
	}
	prog := make([]sys.SockFilter, len(steps))
	for i, s := range steps {
		prog[i] = sys.SockFilter{Code: s.code, K: s.k, Jt: to(i, s.yes), Jf: to(i, s.no)}
	}
	return prog
}
