package api

import "strings"

// A detacher looks for the detach keys in what is typed: ctrl-p ctrl-q, or those the client has asked for.
type detacher struct {
	seq  []byte
	seen int
}

// newDetacher reads a list such as "ctrl-a,d"; what cannot be read means the default.
func newDetacher(list string) *detacher {
	d := &detacher{seq: []byte{16, 17}}
	if list == "" {
		return d
	}
	var seq []byte
	for k := range strings.SplitSeq(list, ",") {
		c, ctrl := strings.CutPrefix(strings.ToLower(k), "ctrl-")
		switch {
		case !ctrl && len(k) == 1:
			seq = append(seq, k[0])
		case ctrl && len(c) == 1 && strings.Contains("abcdefghijklmnopqrstuvwxyz@[\\]^_", c):
			seq = append(seq, c[0]&0x1f)
		default:
			return d
		}
	}
	d.seq = seq
	return d
}

// feed returns what is to be sent on, and whether the keys are complete.
func (d *detacher) feed(b []byte) (send []byte, detach bool) {
	for _, c := range b {
		if c == d.seq[d.seen] {
			if d.seen++; d.seen == len(d.seq) {
				return send, true
			}
			continue
		}
		send, d.seen = append(send, d.seq[:d.seen]...), 0
		if c == d.seq[0] && len(d.seq) > 1 {
			d.seen = 1
			continue
		}
		send = append(send, c)
	}
	return send, false
}
