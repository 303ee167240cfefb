package switchd_test

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp/slirptest"
	"github.com/moss-sandbox/moss/slirp/slirptest/lab"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

// weight returns the switch's private (dirty) memory in kB, its threads and its CPU time in ticks.
func weight(t *testing.T, l *lab.Lab) (private, threads, ticks int) {
	t.Helper()
	pid := strconv.Itoa(l.Switch.Process.Pid)
	smaps, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(smaps)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Private_Dirty:" {
			n, _ := strconv.Atoi(f[1])
			private += n
		}
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	threads, _ = strconv.Atoi(f[17])
	return private, threads, user + system
}

// idleWeight is weight with the CPU time of two seconds. A switch on a busy machine is at rest later: it is looked at again.
func idleWeight(t *testing.T, l *lab.Lab) (private, threads, used int) {
	t.Helper()
	for range 5 {
		_, _, before := weight(t, l)
		time.Sleep(2 * time.Second)
		var after int
		if private, threads, after = weight(t, l); after == before {
			return private, threads, 0
		}
		used = after - before
	}
	return private, threads, used
}

// TestWeight holds the switch to its promises: memory when idle, memory of a relayed connection, no CPU time when idle.
func TestWeight(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	b := slirptest.NewBox(t)
	var ports []string
	for i := range 10 {
		ports = append(ports, strconv.Itoa(18100+i)+":80")
	}
	l.Attach(t, b, "web", ports...)
	idle, threads, used := idleWeight(t, l)
	t.Logf("idle with 10 ports: %d kB private, %d threads; %d ticks in 2 s", idle, threads, used)
	if used > 0 {
		t.Errorf("an idle switch used %d ticks in 2 s", used)
	}
	if limit := 2500; os.Getenv("MOSS_TEST_SWITCH") != "" && idle > limit {
		t.Errorf("%d kB private memory when idle, more than %d", idle, limit)
	}
	const n = 2000
	var open []net.Conn
	b.Do(t, func() error {
		for range n {
			c, err := net.DialTimeout("tcp", slirptest.WorldAddr+":7", 20*time.Second)
			if err != nil {
				return fmt.Errorf("connection %d: %w", len(open), err)
			}
			open = append(open, c)
		}
		return nil
	})
	full, threads, _ := weight(t, l)
	t.Logf("with %d idle connections: %d kB private, %d threads, %.1f kB a connection", len(open), full, threads, float64(full-idle)/float64(len(open)))
	if per := float64(full-idle) / n; per > 8 {
		t.Errorf("%.1f kB a connection", per)
	}
	for _, c := range open {
		c.Close()
	}
}
