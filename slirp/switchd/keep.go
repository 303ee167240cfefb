package switchd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Keep sees to it that a switch serves dir for as long as it has containers: whenever one goes away and leaves some, start
// is called for the next. It returns nil when a switch has ended with nothing attached, when none serves, or when ctx ends;
// the error of start otherwise. It waits without a thread.
func Keep(ctx context.Context, dir string, start func() error) error {
	path := filepath.Join(dir, SocketName)
	c, err := Dial(path)
	for {
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			c.gone(ctx)
		case !none(err):
			return err
		}
		if ctx.Err() != nil || !left(dir) {
			return nil
		}
		if err := start(); err != nil {
			return err
		}
		c, err = dialServing(path)
		if none(err) {
			return err
		}
	}
}

// left tells whether a switch has left containers to a successor.
func left(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, stateName))
	return !errors.Is(err, fs.ErrNotExist)
}

// gone waits for the end of the conversation and closes it.
func (c *Client) gone(ctx context.Context) {
	syscall.SetNonblock(c.fd, true) //nolint:errcheck // then it costs a thread
	f := os.NewFile(uintptr(c.fd), "switch")
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	defer f.Close()
	for {
		if n, err := f.Read(make([]byte, 1)); n == 0 || err != nil {
			return
		}
	}
}
