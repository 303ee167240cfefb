package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/moss-sandbox/moss/image/build/inside"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/image/worker"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/userns/role"
)

// Role is the name of the role that works on layers.
const Role = "layers"

// A Worker has layers unpacked, packed and removed inside the user's namespace, each in a process that ends with it.
type Worker struct{ e *engine.Engine }

var (
	_ store.Worker = Worker{}
	_ store.Packer = Worker{}
)

// Unpack implements store.Worker; r must be a pipe.
func (w Worker) Unpack(ctx context.Context, target string, r io.Reader, limits layer.Limits) (layer.Stats, error) {
	f, ok := r.(*os.File)
	if !ok {
		return layer.Stats{}, errors.New("internal error: a layer to unpack comes from no pipe")
	}
	return w.do(ctx, worker.NewUnpack(target, limits), f)
}

// Pack implements store.Packer; out must be a pipe.
func (w Worker) Pack(ctx context.Context, tree string, out io.Writer, o store.PackOptions) (layer.Stats, error) {
	f, ok := out.(*os.File)
	if !ok {
		return layer.Stats{}, errors.New("internal error: a packed layer goes to no pipe")
	}
	return w.do(ctx, worker.NewPack(tree, o), f)
}

// RemoveTree implements store.Worker.
func (w Worker) RemoveTree(ctx context.Context, path string) error {
	return w.e.Worker().RemoveTree(ctx, path)
}

// do runs one request in a worker process. data is the pipe of the layer's bytes.
func (w Worker) do(ctx context.Context, q worker.Request, data *os.File) (layer.Stats, error) {
	ns, err := w.e.Namespace()
	if err != nil {
		return layer.Stats{}, err
	}
	r, pw, err := os.Pipe()
	if err != nil {
		return layer.Stats{}, err
	}
	defer r.Close()
	cmd := role.Command{Name: Role, Body: q, Files: []*os.File{pw, data}, Heavy: true}
	p, err := cmd.StartInside(ns, role.HostMounts)
	pw.Close()
	if err != nil {
		return layer.Stats{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.Kill() })
	defer stop()
	b, _ := io.ReadAll(r)
	_, _ = p.Wait()
	var reply worker.Reply
	if err := json.Unmarshal(b, &reply); err != nil {
		return layer.Stats{}, errors.Join(ctx.Err(), errors.New("the process that unpacks a layer was killed"))
	}
	return reply.Stats, reply.Err()
}

// RunRole runs a role of the full program.
func RunRole(ctx context.Context, inv *role.Invocation) error {
	if inv.Name == inside.Role {
		return inside.RunRole(inv)
	}
	if inv.Name == SettleRole {
		return runSettle(ctx, inv)
	}
	if inv.Name != Role {
		return fmt.Errorf("unknown role %q", inv.Name)
	}
	var q worker.Request
	if err := inv.Decode(&q); err != nil {
		return err
	}
	reply := worker.Serve(ctx, q, inv.Files[1], inv.Files[1])
	return json.NewEncoder(inv.Files[0]).Encode(reply)
}
