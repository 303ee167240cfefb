package cli

import (
	"bytes"
	"fmt"
	"strings"
)

// defaultKeys detach from a container: ctrl-p, then ctrl-q.
var defaultKeys = []byte{16, 17}

// keys looks for the detach keys in what is typed.
type keys struct {
	seq  []byte
	seen int // bytes of seq that were typed and held back
}

func newKeys(s string) *keys {
	seq, err := parseKeys(s)
	if err != nil || len(seq) == 0 {
		seq = defaultKeys
	}
	return &keys{seq: seq}
}

// parseKeys reads a list such as "ctrl-a,d".
func parseKeys(s string) (out []byte, err error) {
	if s == "" {
		return nil, nil
	}
	for k := range strings.SplitSeq(s, ",") {
		c, ctrl := strings.CutPrefix(strings.ToLower(k), "ctrl-")
		switch {
		case !ctrl && len(k) == 1:
			out = append(out, k[0])
		case ctrl && len(c) == 1 && (c[0] >= 'a' && c[0] <= 'z'):
			out = append(out, c[0]-'a'+1)
		case ctrl && len(c) == 1 && bytes.IndexByte([]byte(`@[\]^_`), c[0]) >= 0:
			out = append(out, c[0]&0x1f)
		default:
			return nil, fmt.Errorf("invalid detach keys (%s): unknown character: '%s'", s, k)
		}
	}
	return out, nil
}

// feed returns what is to be sent on, and whether the keys are complete. A beginning of them is held back until the next
// byte decides.
func (k *keys) feed(b []byte) (send []byte, detach bool) {
	for _, c := range b {
		if c == k.seq[k.seen] {
			if k.seen++; k.seen == len(k.seq) {
				return send, true
			}
			continue
		}
		send = append(send, k.seq[:k.seen]...)
		k.seen = 0
		if c == k.seq[0] && len(k.seq) > 1 {
			k.seen = 1
			continue
		}
		send = append(send, c)
	}
	return send, false
}
