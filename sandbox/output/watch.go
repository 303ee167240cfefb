package output

import (
	"context"
	"os"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// A Watch waits for changes in a container's directory without holding a thread (inotify(7)), for servers with many waits.
type Watch struct{ f *os.File } // nil where the directory cannot be watched

// NewWatch watches a directory. Changes from now on are seen.
func NewWatch(dir string) *Watch {
	fd, err := sys.WatchDir(dir)
	if err != nil {
		return &Watch{}
	}
	return &Watch{os.NewFile(uintptr(fd), "watch")}
}

// Wait returns after a change, at the latest after limit; with ctx's error when that ends first.
func (w *Watch) Wait(ctx context.Context, limit time.Duration) error {
	if w.f == nil {
		t := time.NewTimer(min(limit, 50*time.Millisecond))
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		return ctx.Err()
	}
	_ = w.f.SetReadDeadline(time.Now().Add(limit))
	defer context.AfterFunc(ctx, func() { _ = w.f.SetReadDeadline(time.Now()) })()
	_, _ = w.f.Read(make([]byte, 4096)) // which change does not matter
	return ctx.Err()
}

// Close ends the watch.
func (w *Watch) Close() {
	if w.f != nil {
		w.f.Close()
	}
}
