package switchd_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/slirptest"
	"github.com/moss-sandbox/moss/slirp/slirptest/lab"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

func TestWithStartsASwitchOnce(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	var wg sync.WaitGroup
	for range 4 {
		b := slirptest.NewBox(t)
		wg.Go(func() {
			err := switchd.With(l.Config.Dir, func() error { return nil }, func(c *switchd.Client) error {
				_, err := c.Attach(l.Network, slirp.EndpointConfig{Container: b.ID, Interface: "eth0"}, b.NetNS, b.Pidfd)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestHandOver(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	b := slirptest.NewBox(t)
	l.Attach(t, b, "web", "18080:80")
	greeter(t, b, 80, "hi")
	c := l.Client(t)
	if err := c.HandOver(); err != nil {
		t.Fatal(err)
	}
	if err := l.Switch.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(); !errors.Is(err, switchd.ErrGone) {
		t.Errorf("a switch that has gone says %v", err)
	}
	c.Close()
	err := switchd.With(l.Config.Dir, func() error { l.Start(t); return nil }, func(c *switchd.Client) error {
		st, err := c.Status()
		if err == nil && (len(st.Networks) != 1 || st.Networks[0].Containers != 1 || st.Networks[0].Rung != "relay") {
			t.Errorf("%+v", st)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantGreeting(t, "127.0.0.1:18080", "hi")
}
