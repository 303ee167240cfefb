package watchdog

import (
	"context"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// Disk watches how much a container has written to its own root file system, where that is a plain directory. What lies in
// directories that this account cannot read (an id inside made them 0700) is not counted.
type Disk struct {
	dir   string
	limit atomic.Int64
	full  func(used int64)
}

// NewDisk watches a directory, usually the upper one of an overlay. full is called in Run's goroutine when more than limit
// bytes are used, and again only when it has become more since.
func NewDisk(dir string, limit int64, full func(used int64)) *Disk {
	d := &Disk{dir: dir, full: full}
	d.SetLimit(limit)
	return d
}

// SetLimit changes the limit; any goroutine may call it.
func (d *Disk) SetLimit(limit int64) { d.limit.Store(limit) }

// Bounds of the time between two looks at the disk; a look that had to wait for a busy machine must not put off the next for
// minutes.
const (
	diskWait    = 2 * time.Second
	maxDiskWait = 30 * time.Second
)

// Run watches until the context is done or the directory is gone.
func (d *Disk) Run(ctx context.Context) {
	told := int64(0)
	for {
		start := time.Now()
		used, err := diskUsage(ctx, d.dir)
		if err != nil {
			return
		}
		if limit := d.limit.Load(); limit > 0 && used > max(limit, told) {
			told = used
			d.full(used)
		}
		if !sleep(ctx, min(maxDiskWait, max(diskWait, thrift*time.Since(start)))) {
			return
		}
	}
}

// diskUsage sums the blocks below a directory; a file with several names counts once.
func diskUsage(ctx context.Context, dir string) (int64, error) {
	const block = 512 // of st_blocks, whatever the file system's own size (stat(2))
	linked := map[uint64]bool{}
	var used int64
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case path == dir && err != nil:
			return err
		case err != nil: // unreadable, or removed meanwhile
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return nil
		}
		st := info.Sys().(*syscall.Stat_t)
		if st.Nlink > 1 && !entry.IsDir() {
			if linked[st.Ino] {
				return nil
			}
			linked[st.Ino] = true
		}
		used += st.Blocks * block
		return ctx.Err()
	})
	return used, err
}
