package switchd_test

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

func TestMain(m *testing.M) {
	os.Exit(slirptest.Main(m, map[string]func() error{"switch": runSwitch}))
}

func runSwitch() error {
	var cfg switchd.Config
	if err := json.Unmarshal([]byte(os.Getenv(configEnv)), &cfg); err != nil {
		return err
	}
	return switchd.Main(context.Background(), cfg, nil)
}

// lab is a switch with one network in a directory of the test's.
type lab struct {
	cfg     switchd.Config
	network slirp.Network
	cmd     *exec.Cmd
}

func newLab(t testing.TB, cfg switchd.Config) *lab {
	t.Helper()
	cfg.Dir = t.TempDir()
	cfg.Linger = time.Second
	cfg.ResolvConf = filepath.Join(cfg.Dir, "resolv.conf")
	if err := os.WriteFile(cfg.ResolvConf, []byte("nameserver "+slirptest.WorldAddr+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &lab{cfg: cfg, network: slirp.Network{Version: slirp.Version, Name: "lab", ID: slirp.NewID(), Driver: slirp.DriverBridge, IPv6: true}}
	if err := l.network.Complete(nil); err != nil {
		t.Fatal(err)
	}
	l.start(t)
	t.Cleanup(func() { l.stop(t) })
	return l
}

func (l *lab) start(t testing.TB) {
	t.Helper()
	text, err := json.Marshal(l.cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.cmd = slirptest.Stage("switch")
	if prog := os.Getenv("MOSS_TEST_SWITCH"); prog != "" { // another program as the switch, for figures without the test's own weight
		l.cmd.Path = prog
	}
	l.cmd.Env = append(l.cmd.Env, configEnv+"="+string(text))
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// stop waits until the switch has ended by itself: with its last container gone it must.
func (l *lab) stop(t testing.TB) {
	done := make(chan error, 1)
	go func() { done <- l.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("the switch ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the switch does not end without containers")
		l.cmd.Process.Signal(syscall.SIGQUIT)
		<-done
	}
}

func (l *lab) client(t testing.TB) *switchd.Client {
	t.Helper()
	c, err := switchd.DialWait(filepath.Join(l.cfg.Dir, switchd.SocketName), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Attach makes lab a slirptest.Network.
func (l *lab) Attach(t testing.TB, b *slirptest.Box, name string, ports ...string) slirp.Endpoint {
	t.Helper()
	e, err := l.attach(t, l.network, b, slirp.EndpointConfig{Name: name, Interface: "eth0", Ports: specs(t, ports...)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (l *lab) attach(t testing.TB, n slirp.Network, b *slirptest.Box, cfg slirp.EndpointConfig) (slirp.Endpoint, error) {
	t.Helper()
	c := l.client(t)
	defer c.Close()
	cfg.Container = b.ID
	e, err := c.Attach(n, cfg, b.NetNS, b.Pidfd)
	if err != nil {
		return e, err
	}
	t.Cleanup(func() {
		c := l.client(t)
		defer c.Close()
		if err := c.Detach(b.ID, n.ID); err != nil {
			t.Errorf("detaching: %v", err)
		}
	})
	return e, nil
}

func specs(t testing.TB, ports ...string) (l []slirp.PortSpec) {
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

// another is a second network of the lab's.
func (l *lab) another(t testing.TB, n slirp.Network) slirp.Network {
	t.Helper()
	n.Version, n.ID, n.Driver = slirp.Version, slirp.NewID(), slirp.DriverBridge
	if n.Name == "" {
		n.Name = "other"
	}
	if err := n.Complete([]netip.Prefix{l.network.Subnets[0].Subnet}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRelayConforms(t *testing.T) {
	slirptest.Conformance(t, newLab(t, switchd.Config{}), slirptest.Relay)
}

func TestConntrackRungConforms(t *testing.T) {
	slirptest.Conformance(t, newLab(t, switchd.Config{Rung: "relay-conntrack"}), slirptest.Relay)
}
