package cli

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote makes foreign text safe for a terminal: what could move the cursor, change colours or turn the direction of
// writing is shown as an escape. Newlines stay, since messages of several lines are ours.
func Quote(s string) string {
	if strings.IndexFunc(s, hostile) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i])|0x100, 16)[1:])
		case hostile(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// hostile tells whether a rune does something to a terminal other than being shown.
func hostile(r rune) bool {
	if r == '\n' || r == '\t' {
		return false
	}
	return !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)
}
