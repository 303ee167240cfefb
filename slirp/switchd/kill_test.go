package switchd_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp/slirptest"
	"github.com/moss-sandbox/moss/slirp/slirptest/lab"
	"github.com/moss-sandbox/moss/slirp/switchd"
	"github.com/moss-sandbox/moss/userns"
)

// probe makes a new connection again and again and remembers what failed and the longest gap of each round.
type probe struct {
	failed []error
	gaps   [rounds]time.Duration
	count  int
}

// rounds is how often the switch is killed, roundTime how long a round takes.
const (
	rounds    = 3
	roundTime = time.Second
)

func (p *probe) run(start time.Time, try func() error) {
	last := time.Now()
	for {
		round := int(time.Since(start) / roundTime)
		if round >= rounds {
			return
		}
		if err := try(); err != nil {
			p.failed = append(p.failed, err)
		}
		p.count++
		p.gaps[round] = max(p.gaps[round], time.Since(last))
		last = time.Now()
		time.Sleep(2 * time.Millisecond)
	}
}

// report bounds how much longer than away the gap was, in the best round: a busy machine starts a switch slowly.
func (p *probe) report(t *testing.T, what string, away [rounds]time.Duration, limit time.Duration) {
	t.Helper()
	t.Logf("%s: %d connections, %d failed, longest gaps %v, the switch away for %v", what, p.count, len(p.failed), p.gaps, away)
	if len(p.failed) > 0 {
		t.Errorf("%s: %d of %d failed: %v", what, len(p.failed), p.count, p.failed[0])
	}
	longer := p.gaps
	for i := range longer {
		longer[i] -= away[i]
	}
	if slices.Min(longer[:]) > limit {
		t.Errorf("%s: gaps of %v, the switch was away for %v", what, p.gaps, away)
	}
}

// TestKillTheSwitch kills the switch three times under load, five containers attached: no new connection fails in either
// direction, containers do not notice between each other, addresses and ports stay.
func TestKillTheSwitch(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	var boxes []*slirptest.Box
	for i := range 5 {
		b := slirptest.NewBox(t)
		boxes = append(boxes, b)
		l.Attach(t, b, fmt.Sprintf("c%d", i), fmt.Sprintf("%d:80", 18080+i))
		greeter(t, b, 80, "hi")
	}
	stream := newStream(t, boxes[0], boxes[1])
	start := time.Now()
	var in, out, between probe
	var away [rounds]time.Duration
	var wg sync.WaitGroup
	wg.Go(func() { in.run(start, func() error { return greets("127.0.0.1:18082") }) })
	wg.Go(func() {
		boxes[3].Do(t, func() error {
			out.run(start, func() error { return dialPatiently(slirptest.WorldAddr + ":7") })
			return nil
		})
	})
	wg.Go(func() { between.run(start, stream) })
	for round := range rounds {
		time.Sleep(time.Until(start.Add(time.Duration(round)*roundTime + roundTime/4)))
		killed := time.Now()
		l.Switch.Process.Kill()
		l.Switch.Wait()
		l.Start(t)
		l.Client(t).Close()
		away[round] = time.Since(killed)
	}
	wg.Wait()
	in.report(t, "in", away, 400*time.Millisecond)
	out.report(t, "out", away, 400*time.Millisecond)
	between.report(t, "between containers", [rounds]time.Duration{}, 200*time.Millisecond)
	c := l.Client(t)
	defer c.Close()
	if list, err := c.List(); len(list) != 5 || err != nil {
		t.Errorf("endpoints after all: %v, %v", list, err)
	}
	for i := range boxes {
		wantGreeting(t, fmt.Sprintf("127.0.0.1:%d", 18080+i), "hi")
	}
	boxes[4].Do(t, func() error { return dial(slirptest.WorldAddr + ":7") })
}

func greets(to string) error {
	got, err := greeting(to)
	if got == "" && err != nil { // the byte that was under way dies with the switch; the connection was made
		var op *net.OpError
		if ok := asOp(err, &op); ok && op.Op == "read" {
			return nil
		}
	}
	return err
}

func asOp(err error, op **net.OpError) bool {
	o, ok := err.(*net.OpError)
	*op = o
	return ok
}

func dialPatiently(to string) error {
	c, err := net.DialTimeout("tcp", to, 20*time.Second)
	if err == nil {
		c.Close()
	}
	return err
}

// newStream is a connection between two boxes that carries a byte each way at each call.
func newStream(t *testing.T, from, to *slirptest.Box) func() error {
	t.Helper()
	var addr string
	to.Do(t, func() error {
		l, err := net.Listen("tcp", ":7777")
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		as, err := ifi.Addrs()
		if err != nil {
			return err
		}
		addr = as[0].(*net.IPNet).IP.String() + ":7777"
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 1)
			for {
				if _, err := c.Read(b); err != nil {
					return
				}
				c.Write(b)
			}
		}()
		return nil
	})
	var c net.Conn
	from.Do(t, func() (err error) { c, err = net.DialTimeout("tcp", addr, 20*time.Second); return err })
	if c == nil {
		t.FailNow()
	}
	t.Cleanup(func() { c.Close() })
	return func() error {
		c.SetDeadline(time.Now().Add(20 * time.Second))
		b := []byte{1}
		if _, err := c.Write(b); err != nil {
			return err
		}
		_, err := c.Read(b)
		return err
	}
}

// TestKillHolders kills every holder, then the switch: the switch has replaced them, so its successor loses nothing.
func TestKillHolders(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	b := slirptest.NewBox(t)
	e := l.Attach(t, b, "web", "18080:80")
	greeter(t, b, 80, "hi")
	before := holders(t, l)
	for _, pid := range before {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	replaced := func() bool {
		now := holders(t, l)
		return len(now) >= len(before) && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) })
	}
	for end := time.Now().Add(20 * time.Second); !replaced(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d holders before, %d after", len(before), len(holders(t, l)))
		}
	}
	for end := time.Now().Add(20 * time.Second); !recorded(l, holders(t, l)); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the new holders are not in the state that a successor reads")
		}
	}
	l.Switch.Process.Kill()
	l.Switch.Wait()
	l.Start(t)
	c := l.Client(t)
	defer c.Close()
	if list, err := c.List(); err != nil || len(list) != 1 || list[0].ID != e.ID {
		t.Errorf("endpoints: %v, %v", list, err)
	}
	wantGreeting(t, "127.0.0.1:18080", "hi")
	b.Do(t, func() error { return dial(slirptest.WorldAddr + ":7") })
}

// recorded tells whether the switch's state names each of the processes.
func recorded(l *lab.Lab, pids []int) bool {
	text, _ := os.ReadFile(filepath.Join(l.Config.Dir, "switch.json"))
	for _, pid := range pids {
		if !bytes.Contains(text, fmt.Appendf(nil, `"pid":%d,`, pid)) {
			return false
		}
	}
	return true
}

// holders are the live holders among the switch's children.
func holders(t *testing.T, l *lab.Lab) (pids []int) {
	t.Helper()
	pid := strconv.Itoa(l.Switch.Process.Pid)
	tasks, err := filepath.Glob("/proc/" + pid + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tasks {
		text, _ := os.ReadFile(f)
		for _, child := range strings.Fields(string(text)) {
			n, _ := strconv.Atoi(child)
			if p, err := userns.ReadStat(n); err == nil && p.State != 'Z' {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// TestKeep has the switch started again by whoever keeps it.
func TestKeep(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	b := slirptest.NewBox(t)
	l.Attach(t, b, "web", "18080:80")
	greeter(t, b, 80, "hi")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	again := make(chan bool, 9)
	done := make(chan error, 1)
	go func() {
		done <- switchd.Keep(ctx, l.Config.Dir, func() error { again <- true; l.Start(t); return nil })
	}()
	for range 2 {
		time.Sleep(100 * time.Millisecond) // it has connected
		old := l.Switch
		old.Process.Kill()
		old.Wait()
		select {
		case <-again:
		case <-time.After(20 * time.Second):
			t.Fatal("the switch is not started again")
		}
		l.Client(t).Close()
		wantGreeting(t, "127.0.0.1:18080", "hi")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
