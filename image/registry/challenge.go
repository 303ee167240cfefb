package registry

import "strings"

// challenge is one challenge of a WWW-Authenticate header (RFC 9110, 11.6.1).
type challenge struct {
	scheme string            // lower case
	params map[string]string // keys in lower case
}

// maxChallenges bounds what one header may hold.
const maxChallenges = 16

// parseChallenges reads one WWW-Authenticate header, which may hold several challenges. What does not follow the grammar ends the
// reading; what was read until then counts. go-containerregistry has its own reader and acts by it; ours is there to judge the
// realms before it does, so where the two could differ ours must see at least as many realms: a parameter that is given twice ends
// the reading too, and the guard refuses every realm it has not seen here.
func parseChallenges(header string) []challenge {
	var list []challenge
	s := header
	for len(list) < maxChallenges {
		scheme, rest := token(strings.TrimLeft(s, " \t,"))
		if scheme == "" {
			break
		}
		c := challenge{scheme: strings.ToLower(scheme), params: map[string]string{}}
		s = c.readParams(rest)
		list = append(list, c)
	}
	return list
}

// readParams reads "k=v, k="v"" and returns what follows: the next challenge, or rubbish.
func (c *challenge) readParams(s string) (rest string) {
	for {
		s = strings.TrimLeft(s, " \t,")
		key, after := token(s)
		after = strings.TrimLeft(after, " \t")
		if key == "" || !strings.HasPrefix(after, "=") {
			return s // a scheme, not a parameter
		}
		value, after, ok := tokenOrQuoted(strings.TrimLeft(after[1:], " \t"))
		key = strings.ToLower(key)
		if _, twice := c.params[key]; !ok || twice {
			return ""
		}
		c.params[key] = value
		s = after
	}
}

// token cuts a token (RFC 9110, 5.6.2) off the front.
func token(s string) (tok, rest string) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

func tokenOrQuoted(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest = token(s)
		return value, rest, value != ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
