package slirp

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Proto is the transport of a port.
type Proto string

// The transports that can be published.
const (
	TCP Proto = "tcp"
	UDP Proto = "udp"
)

// Port is a port inside a container; it prints itself as 80/tcp.
type Port struct {
	Number uint16
	Proto  Proto
}

// String prints 80/tcp.
func (p Port) String() string { return strconv.Itoa(int(p.Number)) + "/" + string(p.Proto) }

// MarshalText writes String's form.
func (p Port) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads 80, 80/tcp or 53/udp.
func (p *Port) UnmarshalText(text []byte) error {
	l, err := ParseExpose(string(text))
	if err != nil {
		return err
	}
	if len(l) != 1 {
		return fmt.Errorf("invalid port %q: one port is needed", text)
	}
	*p = l[0]
	return nil
}

// PortSpec is one container port that is to be published, and where.
type PortSpec struct {
	Port      Port       `json:"port"`
	HostIP    netip.Addr `json:"hostIP,omitzero"`    // the zero value: every address, IPv4 and IPv6
	HostFirst uint16     `json:"hostFirst,omitzero"` // 0: any free port
	HostLast  uint16     `json:"hostLast,omitzero"`  // with a range, the first free one is taken
}

// Published is one listening address of the host and the container's port behind it.
type Published struct {
	Port Port           `json:"port"`
	Host netip.AddrPort `json:"host"`
}

// String prints 0.0.0.0:1234->5000/tcp, as `ps` shows it.
func (p Published) String() string { return p.Host.String() + "->" + p.Port.String() }

// ParsePort reads -p's argument, [hostip:][hostport[-range]:]containerport[-range][/tcp|udp]. The errors are Docker's.
func ParsePort(raw string) ([]PortSpec, error) {
	ip, host, inner := splitPort(raw)
	inner, proto := splitProto(inner)
	if inner == "" {
		return nil, fmt.Errorf("no port specified: %s<empty>", raw)
	}
	if proto != TCP && proto != UDP {
		return nil, errors.New("invalid proto: " + string(proto))
	}
	addr, err := parseHostIP(ip)
	if err != nil {
		return nil, err
	}
	first, last, err := parseRange(inner)
	if err != nil {
		return nil, errors.New("invalid containerPort: " + inner)
	}
	var hostFirst, hostLast uint16
	if host != "" {
		if hostFirst, hostLast, err = parseRange(host); err != nil {
			return nil, errors.New("invalid hostPort: " + host)
		}
	}
	if host != "" && last-first != hostLast-hostFirst && last != first {
		return nil, fmt.Errorf("invalid ranges specified for container and host Ports: %s and %s", inner, host)
	}
	return portSpecs(PortSpec{Port{first, proto}, addr, hostFirst, hostLast}, int(last-first)+1), nil
}

func portSpecs(s PortSpec, n int) []PortSpec {
	if n == 1 {
		return []PortSpec{s}
	}
	l := make([]PortSpec, n)
	for i := range l {
		l[i] = s
		l[i].Port.Number += uint16(i)
		if s.HostFirst != 0 {
			l[i].HostFirst += uint16(i)
			l[i].HostLast = l[i].HostFirst
		}
	}
	return l
}

// ParseExpose reads --expose's argument, port[-range][/tcp|udp].
func ParseExpose(raw string) ([]Port, error) {
	inner, proto := splitProto(raw)
	if proto != TCP && proto != UDP {
		return nil, errors.New("invalid proto: " + string(proto))
	}
	first, last, err := parseRange(inner)
	if err != nil || first == 0 {
		return nil, fmt.Errorf("invalid range format for --expose: %s, error: invalid port", raw)
	}
	var l []Port
	for n := int(first); n <= int(last); n++ {
		l = append(l, Port{uint16(n), proto})
	}
	return l, nil
}

func splitPort(raw string) (ip, host, inner string) {
	i := strings.LastIndexByte(raw, ':')
	if i < 0 {
		return "", "", raw
	}
	rest, inner := raw[:i], raw[i+1:]
	if j := strings.LastIndexByte(rest, ':'); j >= 0 {
		return rest[:j], rest[j+1:], inner
	}
	return "", rest, inner
}

func splitProto(s string) (string, Proto) {
	port, proto, found := strings.Cut(s, "/")
	if !found || proto == "" {
		return port, TCP
	}
	return port, Proto(strings.ToLower(proto))
}

func parseHostIP(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	a, err := netip.ParseAddr(bare)
	if err != nil || a.Zone() != "" {
		return a, errors.New("invalid IP address: " + bare)
	}
	return a.Unmap(), nil
}

func parseRange(s string) (first, last uint16, err error) {
	from, to, ranged := strings.Cut(s, "-")
	if !ranged {
		to = from
	}
	a, err := strconv.ParseUint(from, 10, 16)
	if err != nil {
		return 0, 0, err
	}
	b, err := strconv.ParseUint(to, 10, 16)
	if err != nil {
		return 0, 0, err
	}
	if b < a {
		return 0, 0, fmt.Errorf("invalid range %q", s)
	}
	return uint16(a), uint16(b), nil
}
