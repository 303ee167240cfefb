package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
)

// execOptions are the flags of exec.
type execOptions struct {
	x          engine.Exec
	detachKeys string
	envFile    []string
	env        []string
}

var execCommand = Command{
	Name: "exec", Aliases: []string{"container exec"}, Args: "[OPTIONS] CONTAINER COMMAND [ARG...]",
	Short: "Execute a command in a running container", Min: 2, Max: -1, Ordered: true,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &execOptions{}
		fs.BoolVarP(&o.x.Stdin, "interactive", "i", false, "Keep STDIN open even if not attached")
		fs.BoolVarP(&o.x.TTY, "tty", "t", false, "Allocate a pseudo-TTY")
		fs.StringArrayVarP(&o.env, "env", "e", nil, "Set environment variables")
		fs.StringArrayVar(&o.envFile, "env-file", nil, "Read in a file of environment variables")
		fs.StringVarP(&o.x.User, "user", "u", "", "Username or UID (format: \"<name|uid>[:<group|gid>]\")")
		fs.StringVarP(&o.x.Dir, "workdir", "w", "", "Working directory inside the container")
		fs.BoolVar(&o.x.Privileged, "privileged", false, "Give extended privileges to the command")
		fs.BoolVarP(&o.x.Detach, "detach", "d", false, "Detached mode: run command in the background")
		fs.StringVar(&o.detachKeys, "detach-keys", "", "Override the key sequence for detaching a container")
		return o.run
	},
}

func (o *execOptions) run(ctx context.Context, app *App, args []string) error {
	err := o.exec(ctx, app, args)
	var ce *supervisor.CommandError
	if errors.As(err, &ce) { // Docker prints this one as it is, without the program's name
		fmt.Fprintln(app.Out, Quote(ce.Error()))
		return exit(ce.Code)
	}
	return err
}

func (o *execOptions) exec(ctx context.Context, app *App, args []string) error {
	ro := runOptions{env: o.env, envFile: o.envFile}
	var c engine.Create
	if err := ro.setEnv(&c); err != nil {
		return &ExitError{Code: 125, Err: err}
	}
	o.x.Args, o.x.Env = args[1:], c.Env
	if o.x.TTY && o.x.Stdin && !o.x.Detach && !isTerminal(app.In) {
		return errors.New("the input device is not a TTY")
	}
	e, err := app.Engine()
	if err != nil {
		return err
	}
	s := &session{app: app, in: o.x.Stdin, keys: o.detachKeys, detached: make(chan struct{})}
	if o.x.TTY {
		o.x.Size = s.terminalSize()
	}
	_, p, err := e.Exec(ctx, args[0], &o.x)
	if err != nil {
		return err
	}
	if o.x.Detach {
		return nil
	}
	code, err := s.follow(p)
	if err != nil {
		return err
	}
	return exit(code)
}

// follow moves an exec'd command's input and output until its end.
func (s *session) follow(p *supervisor.ExecProcess) (int, error) {
	defer p.Close()
	if err := s.begin(p.Master); err != nil {
		return 0, err
	}
	defer s.end()
	if p.Master != nil {
		defer s.signals(p.Master, func(sig syscall.Signal) { _ = syscall.Kill(p.PID, sig) })()
	}
	if s.in {
		go s.input(p.Stdin, p.Master)
	}
	moved := make(chan struct{}, 2)
	streams := 0
	for _, x := range []struct{ from, to *os.File }{{p.Stdout, os.Stdout}, {p.Stderr, os.Stderr}, {p.Master, os.Stdout}} {
		if x.from != nil {
			streams++
			go func() {
				copyOut(x.to, x.from)
				moved <- struct{}{}
			}()
		}
	}
	code := make(chan int, 1)
	go func() {
		for ; streams > 0; streams-- { // a command in the background keeps the streams open, as with Docker
			<-moved
		}
		n, _ := p.Wait()
		code <- n
	}()
	select {
	case n := <-code:
		return n, nil
	case <-s.detached:
		s.end()
		return 0, nil
	}
}

// copyOut copies until the end of from: end of file, or EIO of a terminal that nobody has open.
func copyOut(to, from *os.File) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				_, _ = io.Copy(io.Discard, from)
				return
			}
		}
		if err != nil {
			return
		}
	}
}
