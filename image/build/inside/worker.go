package inside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/build/task"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Role is the name of the role.
const Role = "build"

// A Namespace is the user's namespace; *userns.Namespace is one.
type Namespace interface {
	FD() int
	PID() int
}

// Worker implements build.Worker.
type Worker struct {
	Namespace func() (Namespace, error)
}

var _ build.Worker = Worker{}

// message is what the role is started with. Its files are: the reply's pipe, the output, then the caller's directories.
type message struct {
	Task  task.Task `json:"task"`
	Hosts []int     `json:"hosts"` // for each source its file, 0 for none
}

// Do implements build.Worker.
func (w Worker) Do(ctx context.Context, t task.Task, out io.Writer) (task.Result, error) {
	ns, err := w.Namespace()
	if err != nil {
		return task.Result{}, err
	}
	j := &job{ctx: ctx, ns: ns}
	defer j.close()
	res, err := j.run(t, out)
	if err != nil && ctx.Err() != nil {
		return res, context.Cause(ctx)
	}
	return res, err
}

// A job is one process of the worker.
type job struct {
	ctx   context.Context
	ns    Namespace
	files []*os.File // passed on and closed
}

func (j *job) close() {
	for _, f := range j.files {
		f.Close()
	}
}

func (j *job) run(t task.Task, out io.Writer) (task.Result, error) {
	reply, replyEnd, err := os.Pipe()
	if err != nil {
		return task.Result{}, err
	}
	defer reply.Close()
	j.files = append(j.files, replyEnd)
	copied, err := j.output(out)
	if err != nil {
		return task.Result{}, err
	}
	m := message{Task: t}
	if m.Hosts, err = j.hosts(t); err != nil {
		return task.Result{}, err
	}
	cmd := role.Command{Name: Role, Body: m, Files: j.files, Heavy: true}
	p, err := cmd.StartInside(j.ns, role.OwnMounts)
	j.close()
	j.files = nil
	if err != nil {
		return task.Result{}, err
	}
	stop := context.AfterFunc(j.ctx, func() { _ = p.Kill() })
	defer stop()
	b, readErr := io.ReadAll(reply)
	_, waitErr := p.Wait()
	copyErr := <-copied
	var res task.Result
	if err := json.Unmarshal(b, &res); err != nil {
		return res, errors.Join(errors.New("the process that works on files of the build was killed"), readErr, waitErr)
	}
	return res, copyErr
}

// output makes the pipe that an Export writes to; /dev/null stands for no output.
func (j *job) output(out io.Writer) (copied chan error, err error) {
	copied = make(chan error, 1)
	if out == nil {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		j.files = append(j.files, null)
		copied <- nil
		return copied, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	j.files = append(j.files, w)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{r}, make([]byte, 256<<10))
		r.Close() // a writer without a reader ends
		copied <- err
	}()
	return copied, nil
}

// hosts opens the caller's directories among the sources.
func (j *job) hosts(t task.Task) ([]int, error) {
	at := make([]int, len(t.Sources))
	for i, s := range t.Sources {
		if !s.Host {
			continue
		}
		f, err := j.open(s.Lowers[0])
		if err != nil {
			return nil, err
		}
		at[i] = len(j.files)
		j.files = append(j.files, f)
	}
	return at, nil
}

func (j *job) open(dir string) (*os.File, error) {
	if os.Geteuid() == 0 {
		if f, err := j.mapped(dir); err == nil {
			return f, nil
		}
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("opening build context: %w", err)
	}
	return f, nil
}

// mapped makes the machine's root the namespace's below dir. It is tried as root only; a file system that cannot leaves the
// directory as it is: then files for root alone are refused by name.
func (j *job) mapped(dir string) (*os.File, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", j.ns.PID()))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	return sys.IdmappedTree(dir, int(ns.Fd()))
}
