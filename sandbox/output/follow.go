package output

import (
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// A Follower waits for changes in a container's directory (inotify(7)); where it cannot, it waits a little.
type Follower struct{ fd int }

// NewFollower watches a directory.
func NewFollower(dir string) *Follower {
	fd, err := sys.WatchDir(dir)
	if err != nil {
		return &Follower{fd: -1}
	}
	return &Follower{fd: fd}
}

// Wait returns after a change, at the latest after limit.
func (f *Follower) Wait(limit time.Duration) {
	if f.fd < 0 {
		time.Sleep(min(limit, 50*time.Millisecond))
		return
	}
	sys.AwaitChange(f.fd, int(limit/time.Millisecond))
}

// Close ends the watch.
func (f *Follower) Close() { sys.Close(f.fd) }
