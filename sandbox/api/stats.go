package api

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/moss-sandbox/moss/limits/stats"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// statsInterval is the time between two samples, as Docker's.
const statsInterval = time.Second

// stats serves GET /containers/{name}/stats: a document a second, or one with stream=0, of a single sample with one-shot=1.
func (s *Server) stats(q *request) error {
	ctx := q.r.Context()
	c, err := s.engine.Find(ctx, q.vars["name"])
	if err != nil {
		return err
	}
	streams := !q.query.Has("stream") || q.flag("stream")
	if !c.State.Status.Up() {
		return q.stream().send(view.StatsOf(c, stats.Sample{}, stats.Sample{}))
	}
	src, err := s.engine.OpenStats(c)
	if err != nil {
		return err
	}
	defer src.Close()
	out := q.stream()
	before, err := src.Sample(stats.ReadMachine())
	if err == nil && q.flag("one-shot") {
		return out.send(view.StatsOf(c, stats.Sample{}, before))
	}
	for err == nil && pause(ctx, statsInterval) {
		var now stats.Sample
		if now, err = src.Sample(stats.ReadMachine()); err != nil {
			break
		}
		if err := out.send(view.StatsOf(c, before, now)); err != nil || !streams {
			return err
		}
		before = now
	}
	return s.statsEnd(c, err)
}

// statsEnd: a container that has ended ends the stream.
func (s *Server) statsEnd(c *sandbox.Snapshot, err error) error {
	if errors.Is(err, fs.ErrNotExist) || !c.State.Guest.Alive() {
		return nil
	}
	return err
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
