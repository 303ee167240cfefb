package dockerfile

import (
	"fmt"
	"strconv"
	"strings"
)

// ParsePorts reads one word of EXPOSE ("80", "53/udp", "8000-8002/tcp") and lists the ports as "80/tcp". What stands
// before a colon (a host's address or port) has no meaning in an image and is dropped, as Docker does.
func ParsePorts(word string) ([]string, error) {
	spec := word[strings.LastIndex(word, ":")+1:]
	ports, proto, _ := strings.Cut(spec, "/")
	switch proto = strings.ToLower(proto); proto {
	case "":
		proto = "tcp"
	case "tcp", "udp", "sctp":
	default:
		return nil, fmt.Errorf("invalid port: %q: invalid proto: %s", word, proto)
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	if errA != nil || errB != nil || b < a {
		return nil, fmt.Errorf("invalid containerPort: %s", ports)
	}
	var out []string
	for p := a; p <= b; p++ {
		out = append(out, strconv.FormatUint(p, 10)+"/"+proto)
	}
	return out, nil
}
