package worker

import (
	"context"
	"errors"
	"io"
	"syscall"

	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/image/store"
)

// version is that of Request and Reply.
const version = 1

// Request is what a worker process is asked to do, exactly one thing. The caller sends it as JSON; Unpack's blob comes on a
// pipe of its own.
type Request struct {
	V      int            `json:"v"`
	Unpack *UnpackRequest `json:"unpack,omitempty"`
	Pack   *PackRequest   `json:"pack,omitempty"`
	Remove string         `json:"remove,omitempty"` // absolute path
}

// PackRequest asks for Pack; the stream goes to a pipe of its own.
type PackRequest struct {
	Tree    string            `json:"tree"` // absolute path
	Options store.PackOptions `json:"options"`
}

// UnpackRequest asks for Unpack.
type UnpackRequest struct {
	Target string       `json:"target"` // absolute path
	Limits layer.Limits `json:"limits"`
}

// Reply is a worker's answer.
type Reply struct {
	V       int         `json:"v"`
	Stats   layer.Stats `json:"stats"`
	Failure *Failure    `json:"failure,omitempty"`
}

// NewUnpack and NewRemove make requests of this version.
func NewUnpack(target string, l layer.Limits) Request {
	return Request{V: version, Unpack: &UnpackRequest{target, l}}
}

// NewRemove asks for RemoveTree.
func NewRemove(path string) Request { return Request{V: version, Remove: path} }

// NewPack asks for Pack.
func NewPack(tree string, o store.PackOptions) Request {
	return Request{V: version, Pack: &PackRequest{tree, o}}
}

// Serve does what a request asks; r is the pipe of Unpack's blob, w that of Pack's stream, nil for others. It belongs into
// the worker process.
func Serve(ctx context.Context, q Request, r io.Reader, w io.Writer) Reply {
	reply := Reply{V: version}
	var err error
	switch {
	case q.V != version:
		err = errors.New("internal error: worker of another version")
	case q.Unpack != nil:
		reply.Stats, err = Unpack(ctx, q.Unpack.Target, r, q.Unpack.Limits)
	case q.Pack != nil:
		reply.Stats, err = Pack(ctx, q.Pack.Tree, w, q.Pack.Options)
	case q.Remove != "":
		err = RemoveTree(ctx, q.Remove)
	default:
		err = errors.New("internal error: worker without a task")
	}
	reply.Failure = failureOf(err)
	return reply
}

// Err returns the failure as the error it was in the worker: errors.As finds *layer.EntryError and *layer.LimitError,
// errors.Is layer's sentinels and errno.
func (r Reply) Err() error {
	if r.Failure == nil {
		return nil
	}
	return r.Failure.err()
}

// Failure is an error on its way between processes.
type Failure struct {
	Text  string            `json:"text"`
	Entry *string           `json:"entry,omitempty"` // of layer.EntryError
	Cause string            `json:"cause,omitempty"` // text of one of layer's sentinels
	Limit *layer.LimitError `json:"limit,omitempty"`
	Errno syscall.Errno     `json:"errno,omitempty"`
}

var sentinels = []error{layer.ErrEscape, layer.ErrAbsolute, layer.ErrName, layer.ErrThrough, layer.ErrWhiteout, layer.ErrHardlink,
	layer.ErrOwner, layer.ErrType, layer.ErrHeader, io.ErrUnexpectedEOF}

func failureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	f := &Failure{Text: err.Error()}
	var entry *layer.EntryError
	if errors.As(err, &entry) {
		f.Entry, f.Text = &entry.Name, entry.Err.Error()
	}
	errors.As(err, &f.Limit)
	errors.As(err, &f.Errno)
	for _, s := range sentinels {
		if errors.Is(err, s) {
			f.Cause = s.Error()
		}
	}
	return f
}

func (f *Failure) err() error {
	if f.Limit != nil {
		return f.Limit
	}
	var err error = told{f}
	if f.Entry != nil {
		err = &layer.EntryError{Name: *f.Entry, Err: err}
	}
	return err
}

// told is an error by its text that remembers what it was.
type told struct{ f *Failure }

func (t told) Error() string { return t.f.Text }

func (t told) Is(target error) bool {
	if e, ok := target.(syscall.Errno); ok {
		return t.f.Errno != 0 && t.f.Errno == e
	}
	for _, s := range sentinels {
		if target == s {
			return t.f.Cause == s.Error()
		}
	}
	return false
}
