package engine

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Exec is a command to run in a running container.
type Exec struct {
	Args       []string
	Env        []string
	Dir        string
	User       string
	TTY        bool
	Stdin      bool
	Privileged bool
	Size       [4]uint16
	Detach     bool // nobody follows it: its input and output are nothing
}

// Exec starts a command in a running container as a child of this process. The caller waits for it.
func (e *Engine) Exec(ctx context.Context, name string, x *Exec) (*sandbox.Snapshot, *supervisor.ExecProcess, error) {
	c, err := e.Find(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if err := foreign(c); err != nil {
		return nil, nil, err
	}
	switch c.State.Status {
	case sandbox.Running:
	case sandbox.Paused:
		return nil, nil, stateError("Container %s is paused, unpause the container before exec", name)
	case sandbox.Restarting:
		return nil, nil, stateError("container %s is restarting, wait until the container is running", c.ID)
	case sandbox.Created, sandbox.Exited, sandbox.Removing, sandbox.Dead:
		return nil, nil, stateError("container %s is not running", c.ID)
	}
	p, err := e.execProcess(c, x)
	if err != nil {
		return nil, nil, err
	}
	env, err := e.Env()
	if err != nil {
		return nil, nil, err
	}
	mode := supervisor.Attached
	if x.Detach {
		mode, p.TTY, p.Stdin = supervisor.Detached, false, false
	}
	place, err := e.limits.join(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	defer place.Close()
	proc, err := env.Exec(c, p, x.Size, place, mode)
	return c, proc, err
}

// execProcess lays what was asked for over what the container has.
func (e *Engine) execProcess(c *sandbox.Snapshot, x *Exec) (*spec.Process, error) {
	p := c.Spec.Process
	p.Args, p.TTY, p.Stdin, p.OOMScore = x.Args, x.TTY, x.Stdin, 0
	if x.Dir != "" {
		p.Dir = x.Dir
	}
	if x.Privileged {
		p.Caps, p.Privileged = allCaps, true
	}
	if x.User != "" {
		passwd, group, err := accountFiles(c)
		if err != nil {
			return nil, err
		}
		if p.User, err = resolveUser(x.User, passwd, group, nil); err != nil {
			return nil, err
		}
	}
	p.Env = execEnv(c.Spec, &p, x)
	return &p, nil
}

// execEnv is the container's environment with TERM for a terminal, the command's own variables, and its user's HOME.
func execEnv(s *spec.Spec, p *spec.Process, x *Exec) []string {
	env := append([]string{}, s.Process.Env...)
	if x.TTY && !hasEnv(env, "TERM") {
		env = append(env, "TERM=xterm")
	}
	if x.User != "" && !hasEnv(s.Config.Env, "HOME") {
		env = mergeEnv(env, []string{"HOME=" + cmp.Or(p.User.Home, "/")})
	}
	return mergeEnv(env, x.Env)
}

// accountFiles reads the account files of a running container, within its root.
func accountFiles(c *sandbox.Snapshot) (passwd, group []byte, err error) {
	fd, err := c.State.Guest.Open()
	if err != nil {
		return nil, nil, stateError("container %s is not running", c.ID)
	}
	defer syscall.Close(fd)
	root := "/proc/" + strconv.Itoa(c.State.Guest.PID) + "/root"
	passwd, perr := readInRoot(root, "etc/passwd")
	group, gerr := readInRoot(root, "etc/group")
	if err := sys.PidfdSignal(fd, 0); err != nil { // ended meanwhile: the pid may be another's
		return nil, nil, stateError("container %s is not running", c.ID)
	}
	for _, err := range []error{perr, gerr} {
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return nil, nil, err
		}
	}
	return passwd, group, nil
}
