//go:build hot

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/moss-sandbox/moss/internal/payload"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/sys"
)

// commandTable is what this program has; everything else is the full one's.
func commandTable() []Command { return fast() }

// errHeavy says that a command cannot do what its flags ask for without the full program.
var errHeavy = errors.New("needs the full program")

// heavyOr executes the full program, which lies in this file behind the small one, with the same arguments. A program that
// has none (a build with this tag alone) does what the fallback says.
func (a *App) heavyOr(_ []string, fallback func() error) error {
	prog, env, err := fullProgram()
	if errors.Is(err, payload.ErrNone) {
		return fallback()
	}
	if err != nil {
		return err
	}
	err = syscall.Exec(prog, os.Args, env)
	return fmt.Errorf("executing the full program: %w", err)
}

// fullProgram copies the full program into a sealed memory file and returns its path, and an environment that tells it
// where the small one is. Both stay open across execve.
func fullProgram() (path string, env []string, err error) {
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", nil, fmt.Errorf("opening this program: %w", err)
	}
	r, err := payload.Open(exe)
	if err != nil {
		return "", nil, err
	}
	b := make([]byte, r.Size())
	if _, err := io.ReadFull(r, b); err != nil {
		return "", nil, fmt.Errorf("reading the full program: %w", err)
	}
	fd, err := sys.MemfdProgram("moss-full", os.TempDir(), []sys.Part{{Data: b}})
	if err != nil {
		return "", nil, err
	}
	self, err := sys.DupAbove(int(exe.Fd()), 250)
	if err != nil {
		return "", nil, err
	}
	if err := sys.KeepOpen(self); err != nil {
		return "", nil, err
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), append(os.Environ(), role.ProgramEnv+"=/proc/self/fd/"+strconv.Itoa(self)), nil
}

// pullMissing has the full program pull an image; its progress goes to standard error, as Docker's does in run.
func (a *App) pullMissing(ctx context.Context, ref string) error {
	prog, env, err := fullProgram()
	if err != nil {
		return err
	}
	args := []string{a.Name}
	if a.Root != "" {
		args = append(args, "--root", a.Root)
	}
	args = append(args, "pull", "--for-run")
	if a.platform != "" {
		args = append(args, "--platform", a.platform)
	}
	cmd := &exec.Cmd{Path: prog, Args: append(args, "--", ref), Env: env, Stdout: os.Stderr, Stderr: os.Stderr}
	if err := cmd.Run(); err != nil {
		return &ExitError{Code: 125} // it has said why
	}
	return ctx.Err()
}

func (a *App) psFull(context.Context, psOptions) error { return errHeavy }
func (a *App) versionFull(string) error                { return errHeavy }
