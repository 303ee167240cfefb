package switchd_test

import (
	"os"
	"testing"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/slirptest"
	"github.com/moss-sandbox/moss/slirp/slirptest/lab"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

func TestMain(m *testing.M) { os.Exit(slirptest.Main(m, lab.Stages(switchd.Config{}))) }

func TestRelayConforms(t *testing.T) {
	slirptest.Conformance(t, lab.New(t, switchd.Config{}), slirp.TraitsOf("relay"))
}

func TestConntrackRungConforms(t *testing.T) {
	slirptest.Conformance(t, lab.New(t, switchd.Config{Rung: "relay-conntrack"}), slirp.TraitsOf("relay-conntrack"))
}
