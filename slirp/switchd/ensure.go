package switchd

import (
	"errors"
	"path/filepath"
	"syscall"
	"time"
)

const (
	startLimit = 5 * time.Second // for a switch to answer, on a busy machine
	tries      = 8
)

// With calls f with a client of the switch that serves dir. Where none serves, start is called first; it starts the role and
// need not wait. When the switch goes away meanwhile (ErrGone), all is done again: f must be such that it can be.
func With(dir string, start func() error, f func(*Client) error) (err error) {
	for try := range tries {
		var c *Client
		if c, err = ensure(dir, start); err != nil {
			return err
		}
		err = f(c)
		c.Close()
		if !errors.Is(err, ErrGone) {
			return err
		}
		time.Sleep(2 * time.Millisecond << try) // one that has been killed can be connected to until it is quite dead
	}
	return err
}

func ensure(dir string, start func() error) (*Client, error) {
	path := filepath.Join(dir, SocketName)
	c, err := Dial(path)
	if !none(err) {
		return c, err
	}
	if err := start(); err != nil {
		return nil, err
	}
	return dialServing(path)
}

// dialServing waits for a switch that has just been started and makes sure that it is not its dying predecessor.
func dialServing(path string) (*Client, error) {
	for end := time.Now().Add(startLimit); ; time.Sleep(time.Millisecond) {
		c, err := DialWait(path, time.Until(end))
		if err != nil {
			return nil, err
		}
		if _, err = c.Status(); err == nil || time.Now().After(end) {
			return c, nil
		}
		c.Close()
	}
}

// none tells that no switch listens.
func none(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}
