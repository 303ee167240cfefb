package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/moss-sandbox/moss/image"
)

// Session is one pull, build, load or commit: what writes to the store. The digests it has named are safe from garbage
// collection until End, or until its process is gone; what no image refers to by then is removed.
type Session struct {
	s    *Store
	name string
	lock Lock
	list File

	mu      sync.Mutex
	made    map[image.Digest]bool // blobs and trees that were not there before
	dirty   bool                  // blobs were renamed and their directory not synced
	put     bool                  // an image was put
	workers []Worker              // of its trees, to remove them
}

// Hold keeps garbage collection away for the moments between finding an image and making what uses it visible. It stops
// other commands that remove: release within milliseconds, or use a Session.
func (s *Store) Hold(ctx context.Context) (release func(), err error) {
	l, err := s.fs.Lock(ctx, "lock", TryShared) // nearly always: it spares run the first timer of its process
	if err == ErrLocked {
		l, err = s.lock(ctx, Shared)
	}
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}

// lock takes the store's lock, with a deadline.
func (s *Store) lock(ctx context.Context, how LockMode) (Lock, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.wait, fmt.Errorf("no answer for %v", s.wait))
	defer cancel()
	return s.fs.Lock(ctx, "lock", how)
}

// Begin starts a session. End it.
func (s *Store) Begin(ctx context.Context) (*Session, error) {
	release, err := s.Hold(ctx) // an unlocked session would look abandoned
	if err != nil {
		return nil, err
	}
	defer release()
	ss := &Session{s: s, name: "sessions/" + randomID(), made: map[image.Digest]bool{}}
	if ss.list, err = s.fs.Create(ss.name); err != nil {
		return nil, fmt.Errorf("beginning: %w", err)
	}
	if ss.lock, err = s.fs.Lock(ctx, ss.name, Exclusive); err != nil {
		return nil, errors.Join(err, ss.list.Close(), s.fs.Remove(ss.name))
	}
	return ss, nil
}

// Store returns the store the session writes to.
func (ss *Session) Store() *Store { return ss.s }

// Add names digests, of blobs, layers or images, that the session needs from now on. After it has returned, what exists
// stays; look for existence only then.
func (ss *Session) Add(ctx context.Context, digests ...image.Digest) error {
	var b []byte
	for _, d := range digests {
		if !d.Valid() {
			return &image.DigestError{Text: string(d)}
		}
		b = append(append(b, d...), '\n')
	}
	release, err := ss.s.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if _, err := ss.list.Write(b); err != nil {
		return fmt.Errorf("noting what is needed: %w", err)
	}
	return nil
}

// End gives up what the session named. If it has put no image, what it made goes too, unless somebody else names it.
func (ss *Session) End() error {
	err := ss.list.Close()
	rm := ss.s.fs.Remove(ss.name)
	ss.lock.Unlock()
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.put || len(ss.made) == 0 {
		return errors.Join(err, rm)
	}
	ctx := context.Background() // an interrupted pull is cleaned up as well
	_, gc := ss.s.collect(ctx, collection{only: ss.made, workers: ss.workers})
	if errors.Is(gc, ErrLocked) { // the next collection will do it
		gc = nil
	}
	return errors.Join(err, rm, gc)
}

func (ss *Session) note(d image.Digest, w Worker) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.made[d] = true
	if w != nil && len(ss.workers) == 0 {
		ss.workers = append(ss.workers, w)
	}
}
