package netstack_test

import (
	"os"
	"testing"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/netstack"
	"github.com/moss-sandbox/moss/slirp/slirptest"
	"github.com/moss-sandbox/moss/slirp/slirptest/lab"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

func TestMain(m *testing.M) {
	os.Exit(slirptest.Main(m, lab.Stages(switchd.Config{Netstack: netstack.Start})))
}

func TestConforms(t *testing.T) {
	slirptest.Conformance(t, lab.New(t, switchd.Config{Rung: string(gateway.RulesNone)}), slirp.TraitsOf("netstack"))
}
