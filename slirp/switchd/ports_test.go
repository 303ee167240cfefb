package switchd_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/slirptest"
	"github.com/moss-sandbox/moss/slirp/slirptest/lab"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

// greeter says hello to every client of the box's port until the test ends.
func greeter(t testing.TB, b *slirptest.Box, port int, hello string) {
	t.Helper()
	b.Do(t, func() error {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { io.WriteString(c, hello); c.Close() }()
			}
		}()
		return nil
	})
}

func greeting(to string) (string, error) {
	c, err := net.DialTimeout("tcp", to, 20*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	b, err := io.ReadAll(c)
	return string(b), err
}

func wantGreeting(t testing.TB, to, want string) {
	t.Helper()
	if got, err := greeting(to); got != want {
		t.Errorf("%s says %q, %v; want %q", to, got, err, want)
	}
}

func TestPortsOfARunningContainer(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	b := slirptest.NewBox(t)
	l.Attach(t, b, "web")
	greeter(t, b, 80, "hi")
	c := l.Client(t)
	defer c.Close()
	got, err := c.Publish(b.ID, lab.Specs(t, "127.0.0.1::80", "18443:80"))
	if err != nil || len(got) != 3 {
		t.Fatalf("publishing: %v, %v", got, err)
	}
	wantGreeting(t, got[0].Host.String(), "hi")
	wantGreeting(t, "127.0.0.1:18443", "hi")
	wantGreeting(t, "[::1]:18443", "hi")
	if err := c.Unpublish(b.ID, lab.Specs(t, "18443:80")); err != nil {
		t.Fatal(err)
	}
	if _, err := greeting("127.0.0.1:18443"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("an unpublished port: %v", err)
	}
	wantGreeting(t, got[0].Host.String(), "hi")
	if err := c.Unpublish(b.ID, lab.Specs(t, "18443:80")); !errors.Is(err, slirp.ErrNotFound) {
		t.Errorf("unpublishing again: %v", err)
	}
}

func TestPortErrors(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	a, b := slirptest.NewBox(t), slirptest.NewBox(t)
	l.Attach(t, a, "first", "18080:80")
	for _, c := range []struct {
		name, port, text string
		errno            syscall.Errno
		owner            string
	}{
		{"taken by a container", "18080:81", "Bind for 0.0.0.0:18080 failed: port is already allocated", syscall.EADDRINUSE, "first"},
		{"below 1024", "80:80", "listen tcp 0.0.0.0:80: bind: permission denied", syscall.EACCES, ""},
		{"not ours", "192.0.2.9:18081:80", "listen tcp 192.0.2.9:18081: bind: cannot assign requested address", syscall.EADDRNOTAVAIL, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := l.AttachTo(t, l.Network, b, slirp.EndpointConfig{Name: "second", Interface: "eth0", Ports: lab.Specs(t, c.port)})
			var p *slirp.PortError
			if !errors.As(err, &p) || p.Error() != c.text || p.Errno != c.errno || p.Owner != c.owner {
				t.Fatalf("%v (%+v), want %s", err, p, c.text)
			}
			if len(p.Hints()) == 0 {
				t.Error("no hint")
			}
		})
	}
	l.Attach(t, b, "second", "18081:80") // nothing of the failures is left
}

func TestRangesAndAnyPort(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	b := slirptest.NewBox(t)
	e := l.Attach(t, b, "web", "80", "18090-18091:81-82", "18090-18095:83", "[::1]:18099:84/udp")
	if len(e.Ports) != 2+4+2+1 {
		t.Fatalf("ports: %v", e.Ports)
	}
	for i, want := range []uint16{e.Ports[1].Host.Port(), 0, 18090, 18090, 18091, 18091, 18092, 18092, 18099} {
		if got := e.Ports[i].Host.Port(); want != 0 && got != want || got == 0 {
			t.Errorf("port %d is %v, want %d", i, e.Ports[i], want)
		}
	}
}

func TestEndOfAContainerEndsItsPorts(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	a, b := slirptest.NewBox(t), slirptest.NewBox(t)
	first := l.Attach(t, a, "web", "18080:80")
	a.Kill()
	deadline := time.Now().Add(20 * time.Second)
	for {
		e, err := l.AttachTo(t, l.Network, b, slirp.EndpointConfig{Name: "web", Interface: "eth0", Ports: lab.Specs(t, "18080:80")})
		if err == nil {
			if e.IPv4 != first.IPv4 {
				t.Errorf("the address %s is not given out again, but %s", first.IPv4, e.IPv4)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the port of a dead container: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
