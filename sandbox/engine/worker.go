package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/userns/role"
)

// WorkerRole is the name of the role that works on files of mapped ids, inside the user's namespace.
const WorkerRole = "worker"

// A Worker has things done inside the user's namespace, each in a process of its own that ends with it.
type Worker struct{ e *Engine }

// Worker returns the engine's worker.
func (e *Engine) Worker() Worker { return Worker{e} }

// task is a worker's message: what to do in which directory.
type task struct {
	Op     string   `json:"op"` // remove, copy-layers, copy-up
	Dir    string   `json:"dir"`
	Lower  []string `json:"lower,omitempty"` // top first
	Target string   `json:"target,omitempty"`
}

// outcome is a worker's answer.
type outcome struct {
	Error string `json:"error,omitempty"`
}

// RemoveTree removes a directory and all below it, whoever owns it. It implements store.Worker and supervisor.Env.
func (w Worker) RemoveTree(ctx context.Context, dir string) error {
	return w.do(ctx, task{Op: "remove", Dir: dir})
}

// CopyLayers copies layers (top first) over each other into a directory.
func (w Worker) CopyLayers(ctx context.Context, lower []string, dir string) error {
	return w.do(ctx, task{Op: "copy-layers", Dir: dir, Lower: lower, Target: "/"})
}

// CopyUp copies what layers have at target into a directory; nothing where they have no directory there.
func (w Worker) CopyUp(ctx context.Context, lower []string, target, dir string) error {
	return w.do(ctx, task{Op: "copy-layers", Dir: dir, Lower: lower, Target: target})
}

// do runs one task and waits for its outcome.
func (w Worker) do(ctx context.Context, t task) error {
	ns, err := w.e.Namespace()
	if err != nil {
		return err
	}
	r, pw, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := role.Command{Name: WorkerRole, Body: t, Files: []*os.File{pw}}
	p, err := cmd.StartInside(ns, role.HostMounts)
	pw.Close()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.Kill() })
	defer stop()
	b, _ := io.ReadAll(r)
	_, _ = p.Wait()
	var o outcome
	if err := json.Unmarshal(b, &o); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("working inside the user namespace (%s %q): it was killed", t.Op, t.Dir))
	}
	if o.Error != "" {
		return errors.New(o.Error)
	}
	return nil
}

// RunWorker is the worker's role: one task, one outcome. It runs as root of the user's namespace.
func RunWorker(inv *role.Invocation) error {
	var t task
	if err := inv.Decode(&t); err != nil {
		return err
	}
	var o outcome
	if err := t.run(); err != nil {
		o.Error = err.Error()
	}
	return json.NewEncoder(inv.Files[0]).Encode(o)
}

func (t *task) run() error {
	parent, err := os.Open(filepath.Dir(t.Dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	switch t.Op {
	case "remove":
		return layer.RemoveTree(int(parent.Fd()), filepath.Base(t.Dir))
	case "copy-layers":
		return copyLayers(t.Lower, t.Target, t.Dir)
	}
	return fmt.Errorf("unknown task %q", t.Op)
}
