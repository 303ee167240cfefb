package onstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/build/inside"
	"github.com/moss-sandbox/moss/image/build/onstore"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/image/worker"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/role"
)

const layersRole = "layers"

func TestMain(m *testing.M) {
	inv, err := role.Invoked()
	if err == nil && inv != nil {
		err = serve(inv)
	}
	switch {
	case err != nil:
		os.Exit(1)
	case inv != nil:
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serve(inv *role.Invocation) error {
	if inv.Name == inside.Role {
		return inside.RunRole(inv)
	}
	var q worker.Request
	if err := inv.Decode(&q); err != nil {
		return err
	}
	return json.NewEncoder(inv.Files[0]).Encode(worker.Serve(context.Background(), q, inv.Files[1], inv.Files[1]))
}

// layers is a worker of the store.
type layers struct{ ns *userns.Namespace }

func (w layers) Unpack(ctx context.Context, target string, r io.Reader, l layer.Limits) (layer.Stats, error) {
	return w.do(ctx, worker.NewUnpack(target, l), r.(*os.File))
}

func (w layers) Pack(ctx context.Context, tree string, out io.Writer, o store.PackOptions) (layer.Stats, error) {
	return w.do(ctx, worker.NewPack(tree, o), out.(*os.File))
}

func (w layers) RemoveTree(ctx context.Context, path string) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	_, err = w.do(ctx, worker.NewRemove(path), null)
	return err
}

func (w layers) do(_ context.Context, q worker.Request, data *os.File) (layer.Stats, error) {
	r, pw, err := os.Pipe()
	if err != nil {
		return layer.Stats{}, err
	}
	defer r.Close()
	cmd := role.Command{Name: layersRole, Body: q, Files: []*os.File{pw, data}, Heavy: true}
	p, err := cmd.StartInside(w.ns, role.HostMounts)
	pw.Close()
	if err != nil {
		return layer.Stats{}, err
	}
	var reply worker.Reply
	err = json.NewDecoder(r).Decode(&reply)
	_, _ = p.Wait()
	return reply.Stats, errors.Join(err, reply.Err())
}

// noRunner refuses RUN: its own tests have a sandbox.
type noRunner struct{}

func (noRunner) Run(context.Context, build.Command) error { return errors.New("no commands here") }

type site struct {
	t    *testing.T
	st   *store.Store
	conf onstore.Config
	deps build.Deps
}

func newSite(t *testing.T) *site {
	t.Helper()
	uid, gid, _, err := userns.Owner()
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.MkdirTemp("", "onstore-")
	if err != nil {
		t.Fatal(err)
	}
	run, data := filepath.Join(base, "run"), filepath.Join(base, "data")
	if err := errors.Join(os.Chmod(base, 0o755), os.Mkdir(run, 0o700)); err != nil {
		t.Fatal(err)
	}
	ns, err := userns.Ensure(run, func() []userns.Survivor { return nil })
	if err != nil {
		if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no user namespace: %v", err)
	}
	owner := &store.Owner{UID: uid, GID: gid}
	st, err := store.Open(data, store.Options{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, st: st}
	tasks := inside.Worker{Namespace: func() (inside.Namespace, error) { return ns, nil }}
	s.conf = onstore.Config{Store: st, MapKey: ns.Map.Key(), Worker: layers{ns}, Tasks: tasks, Owner: owner}
	s.deps = build.Deps{Runner: noRunner{}, Worker: tasks, CacheDir: filepath.Join(base, "cache"), TempDir: filepath.Join(base, "tmp")}
	t.Cleanup(func() {
		_ = layers{ns}.RemoveTree(context.Background(), data)
		os.RemoveAll(base)
		ns.Close()
	})
	return s
}

func (s *site) build(text string, o build.Options) (build.Result, *onstore.Session) {
	s.t.Helper()
	ss, err := onstore.Begin(s.t.Context(), s.conf)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { ss.Close() })
	o.Text = strings.NewReader(strings.ReplaceAll(text, "; ", "\n"))
	d := s.deps
	d.Images, d.Trees = ss, ss
	r, err := build.Build(s.t.Context(), o, d)
	if err != nil {
		s.t.Fatal(err)
	}
	return r, ss
}

func TestBuildOnStore(t *testing.T) {
	s := newSite(t)
	ctx := t.TempDir()
	for name, data := range map[string]string{"a": "A", "d/b": "B", "etc/passwd": "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n"} {
		p := filepath.Join(ctx, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(data), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	name, err := image.ParseRef("made:1")
	if err != nil {
		t.Fatal(err)
	}
	o := build.Options{Source: build.Source{Dir: ctx}, Tags: []image.Ref{name}}
	const text = "FROM scratch AS one; COPY etc /etc; COPY --chown=web a d/b /x/; WORKDIR /w; ENV A=1; FROM one; COPY --from=one /x /y; COPY d /x"
	r, ss := s.build(text, o)
	if err := ss.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.st.Root(), "uppers", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	m, err := s.st.Lookup("made:1")
	if err != nil || m.ID != r.ID || len(m.Layers) != 5 {
		t.Fatalf("got %+v %v", m, err)
	}
	dest := t.TempDir()
	cached := 0
	again, _ := s.build(text, build.Options{Source: build.Source{Dir: ctx}, Outputs: []build.Output{{Kind: build.OutputLocal, Dest: dest}}, Progress: func(e build.Event) {
		if f, ok := e.(build.Finished); ok && f.Cached {
			cached++
		}
	}})
	if again.ID != r.ID || cached != 8 {
		t.Errorf("%d steps were cached, the image is %s", cached, again.ID)
	}
	for name, want := range map[string]string{"y/a": "A", "y/b": "B", "x/b": "B"} {
		if b, err := os.ReadFile(filepath.Join(dest, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
}

func TestSweep(t *testing.T) {
	s := newSite(t)
	_, ss := s.build("FROM scratch; ENV a=1", build.Options{})
	dead := filepath.Join(s.st.Root(), "uppers", "dead")
	if err := errors.Join(os.Mkdir(dead, 0o755), os.WriteFile(filepath.Join(dead, "lock"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{dead, filepath.Join(dead, "lock")} {
		if err := os.Lchown(p, s.conf.Owner.UID, s.conf.Owner.GID); err != nil {
			t.Fatal(err)
		}
	}
	other, err := onstore.Begin(t.Context(), s.conf)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := os.Stat(dead); err == nil {
		t.Error("what a killed build has left stays")
	}
	if _, err := ss.NewUpper(t.Context()); err != nil {
		t.Errorf("a living build lost its directory: %v", err)
	}
}
