package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/userns/role"
)

// Role is the name of the supervisor's role; RoleMessage is its message.
const Role = "supervisor"

// RoleMessage tells a supervisor where its user's state is.
type RoleMessage struct {
	Root    string `json:"root"` // --root as the client has it
	Env     []string
	Guarded bool `json:"guarded,omitempty"` // it was a guard, and has one from its birth on
}

// startTimeout is how long a client waits for a supervisor to be there.
const startTimeout = 10 * time.Second

// A Client asks the user's supervisor.
type Client struct {
	Dirs *sandbox.Dirs
	Root string
}

// Start has a container started by the supervisor, which is started itself if it is not there. The errors are those of
// Birth.
func (c *Client) Start(ctx context.Context, id string, size [4]uint16) error {
	r, err := c.ask(ctx, request{V: protocolVersion, Op: "start", ID: id, Size: size})
	if err != nil {
		return err
	}
	return r.err()
}

// Ensure makes sure that a supervisor is there and has looked at every container.
func (c *Client) Ensure(ctx context.Context) error {
	_, err := c.ask(ctx, request{V: protocolVersion, Op: "ping"})
	return err
}

// RemoteError is an error of the supervisor's side.
type RemoteError struct {
	Text string
	Hint string
}

func (e *RemoteError) Error() string { return e.Text }

// Hints are what the supervisor said would help.
func (e *RemoteError) Hints() []string {
	if e.Hint == "" {
		return nil
	}
	return []string{e.Hint}
}

func (r *reply) err() error {
	switch {
	case r.Error == "":
		return nil
	case r.Code != 0:
		return &CommandError{Code: r.Code, text: r.Error}
	}
	return &RemoteError{Text: r.Error, Hint: r.Hint}
}

// ask sends one request and waits for its answer. A supervisor that is ending when it is asked hangs up: a new one is
// started then.
func (c *Client) ask(ctx context.Context, q request) (*reply, error) {
	deadline := time.Now().Add(startTimeout)
	for {
		r, err := try(c.Dirs.Supervisor(), q)
		if err == nil {
			return r, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, fmt.Errorf("asking the background process of moss: %w", err)
		}
		if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
			if err := c.launch(); err != nil {
				return nil, err
			}
		} else {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// try sends one request to a socket.
func try(path string, q request) (*reply, error) {
	f, err := dial(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := send(f, q); err != nil {
		return nil, err
	}
	var r reply
	if err := receive(f, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// launch starts a supervisor and waits until it listens, or has found that another one does.
func (c *Client) launch() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := command(c.Root)
	cmd.Files = []*os.File{w}
	p, err := cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	_ = r.SetReadDeadline(time.Now().Add(startTimeout))
	_, _ = r.Read(make([]byte, 1)) // its end of file says that the supervisor listens, or has ended
	go func() { _, _ = p.Wait() }()
	return nil
}

// command is the supervisor's role. It leads a session of its own and has no standard descriptors of the caller's.
func command(root string) *role.Command {
	return &role.Command{Name: Role, Body: RoleMessage{Root: root}, Setsid: true, Env: Environ()}
}

// Environ is what a supervisor keeps of the environment: what decides where the state is.
func Environ() (out []string) {
	for _, name := range []string{
		"HOME", "PATH", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "MOSS_ROOT", "MOSS_STORES", "MOSS_STORAGE",
		"DBUS_SESSION_BUS_ADDRESS", "DOCKER_CONFIG", role.ProgramEnv,
	} {
		if v, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+v)
		}
	}
	return out
}
