package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/role"
)

// Role is the name of the role.
const Role = "files"

// The operations.
const (
	opRead  = "read"  // tar of a path into the pipe
	opWrite = "write" // tar from the pipe below a path
	opDiff  = "diff"  // what the upper directories change
	opStat  = "stat"  // what a path is
)

// request is the role's message. Files are the answer's pipe, the data's pipe, and for a running container its root.
type request struct {
	Op     string       `json:"op"`
	Path   string       `json:"path,omitempty"`
	Follow bool         `json:"follow,omitempty"` // a link at the end of Path
	Owners bool         `json:"owners,omitempty"` // write: keep those of the archive
	UID    int          `json:"uid"`              // write: else this one's
	GID    int          `json:"gid"`
	Mnt    string       `json:"mnt,omitempty"` // an empty directory to mount on; empty: the root is given
	Kind   spec.Kind    `json:"kind,omitempty"`
	Trees  []spec.Tree  `json:"trees,omitempty"` // with absolute uppers
	Mounts []spec.Mount `json:"mounts,omitempty"`
	Change bool         `json:"change,omitempty"` // mount so that it can be written to
}

// reply is its answer.
type reply struct {
	Error   string   `json:"error,omitempty"`
	Missing bool     `json:"missing,omitempty"` // the path is not there
	Stat    *Stat    `json:"stat,omitempty"`
	Changes []Change `json:"changes,omitempty"`
}

// A Stat is what a path in a container is.
type Stat struct {
	Name string      `json:"name"` // its last part
	Mode os.FileMode `json:"mode"`
	Size int64       `json:"size"`

	ModTime time.Time `json:"modTime"`
	Link    string    `json:"link,omitempty"` // where a link leads
}

// ask runs one request. data becomes the role's second file: the pipe's end it reads or writes; nil for none.
func ask(ctx context.Context, e *engine.Engine, q request, data, root *os.File) (*reply, error) {
	ns, err := e.Namespace()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if data == nil {
		if data, err = os.Open(os.DevNull); err != nil {
			w.Close()
			return nil, err
		}
		defer data.Close()
	}
	cmd := role.Command{Name: Role, Body: q, Files: []*os.File{w, data}, Heavy: true}
	mounts := role.OwnMounts
	if root != nil {
		cmd.Files, mounts = append(cmd.Files, root), role.HostMounts
	}
	p, err := cmd.StartInside(ns, mounts)
	w.Close()
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = p.Kill() })()
	b, _ := io.ReadAll(r)
	_, _ = p.Wait()
	var a reply
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, errors.Join(ctx.Err(), errors.New("the process that works on the container's files was killed"))
	}
	if a.Error != "" {
		return &a, errors.New(a.Error)
	}
	return &a, nil
}

// RunRole serves one request.
func RunRole(_ context.Context, inv *role.Invocation) error {
	var q request
	if err := inv.Decode(&q); err != nil {
		return err
	}
	a, err := q.serve(inv.Files)
	if err != nil {
		a.Error, a.Missing = err.Error(), errors.Is(err, os.ErrNotExist)
	}
	return json.NewEncoder(inv.Files[0]).Encode(a)
}

func (q *request) serve(f []*os.File) (a reply, err error) {
	syscall.Umask(0)
	if q.Op == opDiff {
		a.Changes, err = q.diff()
		return a, err
	}
	var root *os.File
	if len(f) > 2 {
		root = f[2]
	} else if root, err = q.assemble(); err != nil {
		return a, err
	}
	defer root.Close()
	switch q.Op {
	case opStat:
		a.Stat, err = stat(root, q.Path, q.Follow)
	case opRead:
		err = archive(root, q.Path, q.Follow, f[1])
	case opWrite:
		err = q.extract(root, f[1])
	default:
		err = fmt.Errorf("unknown task %q", q.Op)
	}
	return a, err
}
