package lab

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/slirptest"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

const configEnv = "_MOSS_SWITCHD_TEST_CONFIG" // private: the switch stage's configuration

// Stages are what slirptest.Main needs for labs. base holds the fields of a switch's configuration that are functions.
func Stages(base switchd.Config) map[string]func() error {
	return map[string]func() error{"switch": func() error {
		if err := json.Unmarshal([]byte(os.Getenv(configEnv)), &base); err != nil {
			return err
		}
		return switchd.Main(context.Background(), base, nil)
	}}
}

// Lab is a switch with one network in a directory of the test's.
type Lab struct {
	Config  switchd.Config
	Network slirp.Network
	Switch  *exec.Cmd
}

// New starts a lab, which ends with the test.
func New(t testing.TB, cfg switchd.Config) *Lab {
	t.Helper()
	cfg.Dir = t.TempDir()
	cfg.Linger = time.Second
	cfg.ResolvConf = filepath.Join(cfg.Dir, "resolv.conf")
	if err := os.WriteFile(cfg.ResolvConf, []byte("nameserver "+slirptest.WorldAddr+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &Lab{Config: cfg, Network: slirp.Network{Version: slirp.Version, Name: "lab", ID: slirp.NewID(), Driver: slirp.DriverBridge, IPv6: true}}
	if err := l.Network.Complete(nil); err != nil {
		t.Fatal(err)
	}
	l.Start(t)
	t.Cleanup(func() { l.stop(t) })
	return l
}

// Start starts the switch, again if it has ended.
func (l *Lab) Start(t testing.TB) {
	t.Helper()
	text, err := json.Marshal(l.Config)
	if err != nil {
		t.Fatal(err)
	}
	l.Switch = slirptest.Stage("switch")
	if prog := os.Getenv("MOSS_TEST_SWITCH"); prog != "" { // another program as the switch, for figures without the test's own weight
		l.Switch.Path = prog
	}
	l.Switch.Env = append(l.Switch.Env, configEnv+"="+string(text))
	if err := l.Switch.Start(); err != nil {
		t.Fatal(err)
	}
}

// stop waits until the switch has ended by itself: with its last container gone it must.
func (l *Lab) stop(t testing.TB) {
	done := make(chan error, 1)
	go func() { done <- l.Switch.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("the switch ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the switch does not end without containers")
		l.Switch.Process.Signal(syscall.SIGQUIT)
		<-done
	}
}

// Client asks the switch; it waits for one that is just starting.
func (l *Lab) Client(t testing.TB) *switchd.Client {
	t.Helper()
	c, err := switchd.DialWait(filepath.Join(l.Config.Dir, switchd.SocketName), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Attach makes a Lab a slirptest.Network.
func (l *Lab) Attach(t testing.TB, b *slirptest.Box, name string, ports ...string) slirp.Endpoint {
	t.Helper()
	e, err := l.AttachTo(t, l.Network, b, slirp.EndpointConfig{Name: name, Interface: "eth0", Ports: Specs(t, ports...)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// AttachTo attaches a box to a network of the lab's switch until the test ends.
func (l *Lab) AttachTo(t testing.TB, n slirp.Network, b *slirptest.Box, cfg slirp.EndpointConfig) (slirp.Endpoint, error) {
	t.Helper()
	c := l.Client(t)
	defer c.Close()
	cfg.Container = b.ID
	e, err := c.Attach(n, cfg, b.NetNS, b.Pidfd)
	if err != nil {
		return e, err
	}
	t.Cleanup(func() {
		c := l.Client(t)
		defer c.Close()
		if err := c.Detach(b.ID, n.ID); err != nil {
			t.Errorf("detaching: %v", err)
		}
	})
	return e, nil
}

// Specs parses ports in -p's form.
func Specs(t testing.TB, ports ...string) (l []slirp.PortSpec) {
	t.Helper()
	for _, p := range ports {
		s, err := slirp.ParsePort(p)
		if err != nil {
			t.Fatal(err)
		}
		l = append(l, s...)
	}
	return l
}

// Another is a second network of the lab's.
func (l *Lab) Another(t testing.TB, n slirp.Network) slirp.Network {
	t.Helper()
	n.Version, n.ID, n.Driver = slirp.Version, slirp.NewID(), slirp.DriverBridge
	if n.Name == "" {
		n.Name = "other"
	}
	if err := n.Complete([]netip.Prefix{l.Network.Subnets[0].Subnet}); err != nil {
		t.Fatal(err)
	}
	return n
}
