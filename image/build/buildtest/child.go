package buildtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/build/task"
	"github.com/moss-sandbox/moss/image/layer"
)

// A request goes to a child as JSON on descriptor 3; the reply comes back on descriptor 4.
type request struct {
	Kind    string // "task", "run", "pack", "extract", "remove"
	Dir     string
	Task    *task.Task
	Lowers  []string
	Options build.CommitOptions
	Run     *runRequest
}

type runRequest struct {
	Root   task.Stack
	Args   []string
	Env    []string
	Dir    string
	User   string
	Mounts []build.Mount
}

type reply struct {
	Result task.Result
	Stats  layer.Stats
	Err    string
}

const childVariable = "MOSS_BUILDTEST_CHILD"

// Main runs the tests, or in a child what the child is for. A TestMain passes its result to os.Exit.
func Main(m *testing.M) int {
	if os.Getenv(childVariable) != "" {
		return childMain()
	}
	return m.Run()
}

func namespaces() *syscall.SysProcAttr {
	size := 1
	if os.Geteuid() == 0 {
		size = 65536
	}
	return &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: size}},
		GidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: size}},
		GidMappingsEnableSetgroups: size > 1,
		Pdeathsig:                  syscall.SIGKILL,
	}
}

func requireNamespaces(t testing.TB) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{childVariable + "=probe"}
	cmd.SysProcAttr = namespaces()
	if err := cmd.Run(); err != nil {
		if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
			t.Fatalf("no user namespace: %v", err)
		}
		t.Skipf("no user namespace: %v", err)
	}
}

func (e *Engine) child(ctx context.Context, req request, in io.Reader, out, errs io.Writer) (reply, error) {
	var rep reply
	reqR, reqW, err := os.Pipe()
	if err != nil {
		return rep, err
	}
	repR, repW, err := os.Pipe()
	if err != nil {
		return rep, err
	}
	defer repR.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = []string{childVariable + "=" + req.Kind, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + e.mounts}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
	cmd.ExtraFiles = []*os.File{reqR, repW}
	cmd.SysProcAttr = namespaces()
	err = cmd.Start()
	reqR.Close()
	repW.Close()
	if err != nil {
		reqW.Close()
		return rep, err
	}
	go func() {
		_ = json.NewEncoder(reqW).Encode(req)
		reqW.Close()
	}()
	decodeErr := json.NewDecoder(repR).Decode(&rep)
	waitErr := cmd.Wait()
	if ctx.Err() != nil {
		return rep, context.Cause(ctx)
	}
	if rep.Err != "" {
		return rep, errors.New(rep.Err)
	}
	if req.Kind == "run" && errors.Is(decodeErr, io.EOF) {
		return rep, waitErr
	}
	if decodeErr != nil {
		return rep, fmt.Errorf("child %s: %w, %w", req.Kind, decodeErr, waitErr)
	}
	return rep, nil
}

// Do implements build.Worker.
func (e *Engine) Do(ctx context.Context, t task.Task, out io.Writer) (task.Result, error) {
	e.mu.Lock()
	e.Tasks++
	e.mu.Unlock()
	if out == nil {
		out = io.Discard
	}
	rep, err := e.child(ctx, request{Kind: "task", Task: &t}, nil, out, os.Stderr)
	return rep.Result, err
}

// Run implements build.Runner.
func (e *Engine) Run(ctx context.Context, c build.Command) error {
	e.mu.Lock()
	e.Runs = append(e.Runs, c)
	e.mu.Unlock()
	if e.Refuse != nil {
		if err := e.Refuse(c); err != nil {
			return err
		}
	}
	req := request{Kind: "run", Run: &runRequest{Root: c.Root, Args: c.Args, Env: c.Env, Dir: c.Dir, User: c.User, Mounts: c.Mounts}}
	_, err := e.child(ctx, req, nil, c.Stdout, c.Stderr)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code := exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			code = 128 + int(ws.Signal())
		}
		return &build.ExitError{Code: code}
	}
	return err
}

func (e *Engine) pack(ctx context.Context, dir string, lowers []string, o build.CommitOptions, w io.Writer) (layer.Stats, error) {
	rep, err := e.child(ctx, request{Kind: "pack", Dir: dir, Lowers: lowers, Options: o}, nil, w, os.Stderr)
	return rep.Stats, err
}

func (e *Engine) remove(dir string) {
	_, _ = e.child(context.Background(), request{Kind: "remove", Dir: dir}, nil, io.Discard, io.Discard)
	os.RemoveAll(dir)
}

// clean removes what only root of the namespace may remove.
func (e *Engine) clean() {
	all, _ := filepath.Glob(filepath.Join(e.Dir, "*"))
	for _, dir := range all {
		e.remove(dir)
	}
}
