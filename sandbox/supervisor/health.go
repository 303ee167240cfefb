package supervisor

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// Docker's values where nothing is said, and its bounds.
const (
	healthInterval      = 30 * time.Second
	healthTimeout       = 30 * time.Second
	healthStartInterval = 5 * time.Second
	healthRetries       = 3
	healthLogs          = 5    // results that are kept
	healthOutput        = 4096 // bytes of each
)

// A checker asks for the health of one container as long as it runs.
type checker struct {
	g      *Guest
	want   spec.Health
	health sandbox.Health
}

// checked tells whether a container has a health check.
func checked(h *spec.Health) bool { return h != nil && len(h.Test) > 0 && h.Test[0] != "NONE" }

// checkHealth runs the container's health checks until ctx ends. A server that takes the container over goes on with what
// is known of it.
func (g *Guest) checkHealth(ctx context.Context) {
	if !checked(g.snap.Spec.Health) {
		return
	}
	c := &checker{g: g, want: withDefaults(*g.snap.Spec.Health), health: sandbox.Health{Status: sandbox.HealthStarting}}
	if known := g.snap.State.Health; !g.born && known != nil {
		c.health = *known
	} else {
		_ = g.snap.SaveHealth(&c.health)
	}
	for c.await(ctx) {
		c.check(ctx)
	}
	if !g.snap.State.Guest.Alive() { // Docker calls it unhealthy then
		c.health.Status = sandbox.Unhealthy
		_ = g.snap.SaveHealth(&c.health)
	}
}

func withDefaults(h spec.Health) spec.Health {
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&h.Interval, healthInterval}, {&h.Timeout, healthTimeout}, {&h.StartInterval, healthStartInterval}} {
		if *d.v <= 0 {
			*d.v = d.d
		}
	}
	if h.Retries <= 0 {
		h.Retries = healthRetries
	}
	return h
}

// await waits for the next check; false when there is none any more.
func (c *checker) await(ctx context.Context) bool {
	wait := c.want.Interval
	if c.starting(time.Now()) {
		wait = min(wait, c.want.StartInterval)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// starting tells whether failures do not count yet.
func (c *checker) starting(at time.Time) bool {
	return c.health.Status == sandbox.HealthStarting && at.Sub(c.g.snap.State.Started) < c.want.StartPeriod
}

// check runs one check and records its result.
func (c *checker) check(ctx context.Context) {
	now, err := c.g.snap.Look()
	if err != nil || now.State.Status != sandbox.Running { // paused: nothing can be asked
		return
	}
	r := c.probe(ctx)
	if ctx.Err() != nil || !c.g.snap.State.Guest.Alive() { // a check that the end has cut off says nothing
		return
	}
	before := c.health.Status
	switch {
	case r.ExitCode == 0:
		c.health.Status, c.health.Streak = sandbox.Healthy, 0
	case !c.starting(r.Start):
		if c.health.Streak++; c.health.Streak >= c.want.Retries {
			c.health.Status = sandbox.Unhealthy
		}
	}
	c.health.Log = append(c.health.Log, r)
	c.health.Log = c.health.Log[max(len(c.health.Log)-healthLogs, 0):]
	_ = c.g.snap.SaveHealth(&c.health)
	if before != c.health.Status {
		c.g.env.Dirs.Emit(now.Event("health_status: " + c.health.Status))
	}
}

// probe runs the command of a check in the container.
func (c *checker) probe(ctx context.Context) sandbox.HealthCheck {
	r := sandbox.HealthCheck{Start: time.Now()}
	r.ExitCode, r.Output = c.run(ctx)
	r.End = time.Now()
	return r
}

func (c *checker) run(ctx context.Context) (code int, output string) {
	g, p := c.g, c.g.snap.Spec.Process
	p.Args, p.TTY, p.Stdin, p.OOMScore = c.args(), false, false, 0
	place := Placement{CgroupFD: -1}
	if g.env.Join != nil {
		var err error
		if place, err = g.env.Join(ctx, g.snap); err != nil {
			return -1, err.Error()
		}
		defer place.Close()
	}
	x, err := g.env.Exec(g.snap, &p, [4]uint16{}, place, Attached)
	if err != nil {
		return -1, err.Error()
	}
	defer x.Close()
	limit, cancel := context.WithTimeout(ctx, c.want.Timeout)
	defer cancel()
	stop := context.AfterFunc(limit, func() {
		_ = syscall.Kill(x.PID, syscall.SIGKILL) // it is not reaped before stop
		for _, f := range []*os.File{x.Stdout, x.Stderr} {
			_ = f.SetReadDeadline(time.Now()) // a process of its own may keep it open
		}
	})
	text := collect(x.Stdout, x.Stderr)
	late := !stop()
	code, err = x.Wait()
	switch {
	case late:
		return -1, fmt.Sprintf("Health check exceeded timeout (%v)", c.want.Timeout)
	case err != nil:
		return -1, err.Error()
	}
	return code, text
}

// args is the command of a check.
func (c *checker) args() []string {
	if c.want.Test[0] == "CMD" {
		return c.want.Test[1:]
	}
	shell := c.g.snap.Spec.Config.Shell
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(append([]string{}, shell...), c.want.Test[1:]...)
}

// collect reads both streams to their end and keeps the beginning of what comes.
func collect(streams ...*os.File) string {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var text []byte
	for _, f := range streams {
		wg.Go(func() {
			buf := make([]byte, healthOutput)
			for {
				n, err := f.Read(buf)
				mu.Lock()
				text = append(text, buf[:min(n, healthOutput-len(text))]...)
				mu.Unlock()
				if err != nil {
					_, _ = io.Copy(io.Discard, f)
					return
				}
			}
		})
	}
	wg.Wait()
	return string(text)
}
