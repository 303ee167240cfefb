package slirp

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
)

func TestParsePort(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"80", "80/tcp"},
		{"80/udp", "80/udp"},
		{"8080:80", "8080-8080>80/tcp"},
		{"127.0.0.1:8080:80", "127.0.0.1 8080-8080>80/tcp"},
		{"127.0.0.1::80", "127.0.0.1 80/tcp"},
		{"[::1]:8080:80/TCP", "::1 8080-8080>80/tcp"},
		{"8080-8081:80-81", "8080-8080>80/tcp 8081-8081>81/tcp"},
		{"8080-8090:80", "8080-8090>80/tcp"},
		{"80-81/udp", "80/udp 81/udp"},
		{"0:80", "80/tcp"},
		{"", "no port specified: <empty>"},
		{"8080:", "no port specified: 8080:<empty>"},
		{"x:80", "invalid hostPort: x"},
		{"80:x", "invalid containerPort: x"},
		{"70000:80", "invalid hostPort: 70000"},
		{"1.2.3:80:80", "invalid IP address: 1.2.3"},
		{"localhost:80:80", "invalid IP address: localhost"},
		{"80/sctp2", "invalid proto: sctp2"},
		{"8080-8081:80-82", "invalid ranges specified for container and host Ports: 80-82 and 8080-8081"},
		{"82-80:80", "invalid hostPort: 82-80"},
	} {
		if got := portText(ParsePort(c.raw)); got != c.want {
			t.Errorf("-p %q: %q, want %q", c.raw, got, c.want)
		}
	}
}

func portText(l []PortSpec, err error) string {
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, s := range l {
		text := s.Port.String()
		if s.HostFirst != 0 {
			text = fmt.Sprintf("%d-%d>%s", s.HostFirst, s.HostLast, text)
		}
		if s.HostIP.IsValid() {
			text = s.HostIP.String() + " " + text
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestPortErrorSpeaksAsDocker(t *testing.T) {
	at := netip.MustParseAddrPort("0.0.0.0:1234")
	e := &PortError{Host: at, Proto: TCP, Owner: "web", Free: 1235, Errno: syscall.EADDRINUSE}
	if e.Error() != "Bind for 0.0.0.0:1234 failed: port is already allocated" {
		t.Error(e)
	}
	if h := e.Hints(); len(h) != 2 || !strings.Contains(h[0], `"web"`) || !strings.Contains(h[1], "1235") {
		t.Errorf("hints: %q", h)
	}
}

func FuzzParsePort(f *testing.F) {
	f.Add("127.0.0.1:8080-8081:80-81/udp")
	f.Fuzz(func(t *testing.T, raw string) {
		l, err := ParsePort(raw)
		for _, s := range l {
			if err != nil || s.HostLast < s.HostFirst {
				t.Errorf("%q: %+v, %v", raw, s, err)
			}
		}
	})
}
