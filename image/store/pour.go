package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/userns/sys"
)

// The path of a layer's bytes, all stages at once:
//
//	network ─ fetch: hash, write ─> unfinished blob file ─ follow: splice ─> pipe ─> worker: inflate, hash, make files
//
// The file stands between so that the download runs at the network's speed, not at the inflater's, and the sync of the
// blob goes on beside the unpacking. A blob that is stored goes file ─ hash ─> pipe.

// source brings a blob's bytes into the worker's pipe and knows whether they are the right ones.
type source interface {
	// pour writes the whole blob and returns when all is written and proved; errNoReader when the worker reads no more.
	pour(ctx context.Context, pipe *os.File) error
	// keep makes the blob visible.
	keep() error
}

const (
	pipeBytes  = 1 << 20
	chunkBytes = 256 << 10
)

var errNoReader = errors.New("internal error: the worker stopped reading")

// unpack makes the tree of a source's blob and shows both once both digests are right.
func (ss *Session) unpack(ctx context.Context, f Fetch, src source) error {
	st, err := ss.newStage(ctx, f.MapKey, f.Worker)
	if err != nil {
		return err
	}
	defer st.drop()
	stats, err := pour(ctx, f, src, ss.s.root+"/"+st.name)
	if err != nil {
		return err
	}
	if stats.DiffID != f.DiffID {
		return &MismatchError{What: "layer", Want: f.DiffID, Got: stats.DiffID}
	}
	if err := src.keep(); err != nil {
		return err
	}
	if err := st.commit(f.DiffID, stats); err != nil {
		return err
	}
	a := ss.s.about(f.Layer.Digest)
	a.Diff, a.Unpacked = f.DiffID, stats.Size
	f.report(Complete, f.Layer.Size)
	return ss.s.setAbout(f.Layer.Digest, a)
}

// pour runs source and worker side by side. The source's verdict goes before the worker's: broken bytes break the
// inflater, too.
func pour(ctx context.Context, f Fetch, src source, target string) (layer.Stats, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return layer.Stats{}, fmt.Errorf("making a pipe: %w", err)
	}
	control(w, func(fd int) { _ = sys.SetPipeSize(fd, pipeBytes) }) // the default does as well, slower
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	poured := make(chan error, 1)
	go func() {
		err := src.pour(ctx, w)
		w.Close()
		poured <- err
	}()
	stats, workErr := f.Worker.Unpack(ctx, target, r, f.Limits)
	r.Close() // a source that still writes sees errNoReader
	if hostile(workErr) {
		cancel(workErr) // no need to download the rest
	}
	srcErr := <-poured
	switch {
	case context.Cause(ctx) != nil:
		return stats, context.Cause(ctx)
	case srcErr != nil && !(workErr != nil && errors.Is(srcErr, errNoReader)):
		return stats, srcErr
	}
	return stats, workErr
}

// hostile tells whether a worker refused what a layer says, rather than failed at reading it.
func hostile(err error) bool {
	var entry *layer.EntryError
	var limit *layer.LimitError
	return errors.As(err, &entry) || errors.As(err, &limit)
}

func control(f *os.File, do func(fd int)) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { do(int(fd)) })
	}
}

// storedSource is a blob that is on disk. It is hashed again: what was not synced, or is another account's, may be anything.
type storedSource struct {
	file   File
	want   image.Descriptor
	report func(Phase, int64)
}

func (s *storedSource) keep() error { return nil }

func (s *storedSource) pour(ctx context.Context, pipe *os.File) error {
	h, buf, n := sha256.New(), make([]byte, chunkBytes), int64(0)
	var pipeErr error
	for ctx.Err() == nil {
		k, err := s.file.Read(buf)
		h.Write(buf[:k])
		n += int64(k)
		if pipeErr == nil && k > 0 {
			_, pipeErr = pipe.Write(buf[:k])
			s.report(Extracting, n)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("reading blob %s: %w", s.want.Digest, err)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if got := image.DigestOf(h.Sum(nil)); got != s.want.Digest {
		return &MismatchError{What: "blob", Want: s.want.Digest, Got: got}
	}
	return noReader(pipeErr)
}

func noReader(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		return errNoReader
	}
	return err
}

// netSource is a blob that is being downloaded into w.
type netSource struct {
	w *BlobWriter
	f Fetch

	mu      sync.Mutex
	more    *sync.Cond
	written int64
	ended   bool
}

func newNetSource(w *BlobWriter, f Fetch) *netSource {
	s := &netSource{w: w, f: f}
	s.more = sync.NewCond(&s.mu)
	return s
}

func (s *netSource) keep() error { return s.w.publish(s.f.Layer.Digest) }

func (s *netSource) pour(ctx context.Context, pipe *os.File) error {
	fetched := make(chan error, 1)
	go func() {
		err := s.fetch(ctx)
		s.advance(0, true)
		fetched <- err
	}()
	followed := s.follow(pipe)
	if err := <-fetched; err != nil {
		return err
	}
	return noReader(followed)
}

// fetch downloads, hashes and stores, and syncs once the digest is right.
func (s *netSource) fetch(ctx context.Context) error {
	body, err := s.f.Open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	stop := context.AfterFunc(ctx, func() { body.Close() })
	defer stop()
	want := s.f.Layer
	if err := s.copy(ctx, io.LimitReader(body, want.Size+1)); err != nil {
		return err
	}
	if s.w.Size() != want.Size {
		return &MismatchError{What: "blob", Want: want.Digest, WantSize: want.Size, GotSize: s.w.Size()}
	}
	if got := s.w.Digest(); got != want.Digest {
		return &MismatchError{What: "blob", Want: want.Digest, Got: got}
	}
	s.advance(0, true) // the follower need not wait for the sync
	s.f.report(Downloaded, want.Size)
	if err := s.w.f.Sync(); err != nil {
		return fmt.Errorf("syncing blob: %w", err)
	}
	return nil
}

func (s *netSource) copy(ctx context.Context, body io.Reader) error {
	buf, fill := make([]byte, chunkBytes), 0
	for {
		n, err := body.Read(buf[fill:])
		if fill += n; fill < len(buf) && err == nil {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := s.w.Write(buf[:fill]); err != nil {
			return err
		}
		s.advance(int64(fill), false)
		s.f.report(Downloading, s.w.Size())
		fill = 0
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("downloading %s: %w", s.f.Layer.Digest, err)
		}
	}
}

func (s *netSource) advance(n int64, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written += n
	s.ended = s.ended || ended
	s.more.Broadcast()
}

// await waits for bytes behind off and returns how far there are any; off itself at the end.
func (s *netSource) await(off int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.written == off && !s.ended {
		s.more.Wait()
	}
	return s.written
}

// follow moves the file's bytes into the pipe as they come.
func (s *netSource) follow(pipe *os.File) error {
	for off := int64(0); ; {
		end := s.await(off)
		if end == off {
			return nil
		}
		n, err := move(s.w.f, off, end-off, pipe)
		if off += n; err != nil {
			return err
		}
		s.f.report(Extracting, off)
	}
}

// move copies part of a file into a pipe, by splice where the file is a real one.
func move(file File, off, n int64, pipe *os.File) (int64, error) {
	f, ok := file.(*os.File)
	if !ok {
		return io.Copy(pipe, io.NewSectionReader(file, off, n))
	}
	from, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	to, err := pipe.SyscallConn()
	if err != nil {
		return 0, err
	}
	var moved int64
	var opErr error
	err = from.Control(func(in uintptr) {
		ctlErr := to.Write(func(out uintptr) bool {
			moved, opErr = sys.SpliceFile(int(in), int(out), &off, int(min(n, pipeBytes)))
			return opErr != syscall.EAGAIN
		})
		opErr = errors.Join(opErr, ctlErr)
	})
	if err == nil && opErr == nil && moved == 0 {
		err = io.ErrUnexpectedEOF
	}
	return max(moved, 0), errors.Join(err, opErr)
}
