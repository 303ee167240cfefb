//go:build !hot

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/userns/sys"
)

var pushCommand = Command{
	Name: "push", Aliases: []string{"image push"}, Args: "[OPTIONS] NAME[:TAG]", Short: "Upload an image to a registry", Min: 1, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		all := fs.BoolP("all-tags", "a", false, "Push all tags of an image to the repository")
		quiet := fs.BoolP("quiet", "q", false, "Suppress verbose output")
		return func(ctx context.Context, app *App, args []string) error { return app.push(ctx, args[0], *all, *quiet) }
	},
}

func (a *App) push(ctx context.Context, name string, all, quiet bool) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ref, err := image.ParseRef(name)
	if err != nil {
		return err
	}
	if all && hasTag(name) {
		return errors.New("tag can't be used with --all-tags/-a")
	}
	s, err := a.images()
	if err != nil {
		return err
	}
	var show progress = silent{}
	if !quiet {
		if !all && !hasTag(name) {
			fmt.Fprintf(a.Out, "Using default tag: %s\n", ref.Tag)
		}
		fmt.Fprintf(a.Out, "The push refers to repository [%s]\n", ref.Name())
		show = a.progress()
	}
	_, _, err = s.Push(ctx, name, all, show)
	show.close()
	if err != nil {
		return interrupted(ctx, err)
	}
	if quiet {
		fmt.Fprintln(a.Out, ref.String())
	}
	return nil
}

var loginCommand = Command{
	Name: "login", Args: "[OPTIONS] [SERVER]", Short: "Authenticate to a registry", Min: 0, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		user := fs.StringP("username", "u", "", "Username")
		password := fs.StringP("password", "p", "", "Password")
		stdin := fs.Bool("password-stdin", false, "Take the password from stdin")
		return func(ctx context.Context, app *App, args []string) error {
			server := ""
			if len(args) > 0 {
				server = args[0]
			}
			l := registry.Login{Username: *user, Password: *password}
			if err := app.ask(server, &l, *stdin, fs.Changed("password")); err != nil {
				return err
			}
			return app.login(ctx, server, l)
		}
	},
}

// ask completes a login from standard input or the terminal.
func (a *App) ask(server string, l *registry.Login, stdin, given bool) error {
	switch {
	case stdin && given:
		return errors.New("--password and --password-stdin are mutually exclusive")
	case stdin && l.Username == "":
		return errors.New("the --password-stdin option requires --username to be set")
	case stdin:
		b, err := io.ReadAll(io.LimitReader(a.In, 1<<20))
		if err != nil {
			return err
		}
		l.Password = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
		return nil
	case given:
		a.note("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
	case !isTerminal(a.In):
		return errors.New("cannot perform an interactive login from a non TTY device")
	}
	in := bufio.NewReader(a.In)
	if l.Username == "" {
		if server == "" {
			fmt.Fprintln(a.Out, "Login with your Docker ID to push and pull images from Docker Hub. If you don't have a Docker ID, head over to https://hub.docker.com to create one.")
		}
		fmt.Fprint(a.Out, "Username: ")
		s, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if l.Username = strings.TrimSpace(s); l.Username == "" {
			return errors.New("username is required")
		}
	}
	if l.Password == "" {
		return a.askPassword(in, l)
	}
	return nil
}

// askPassword reads a line without echo. The terminal is given back whatever happens, Ctrl-C included.
func (a *App) askPassword(in *bufio.Reader, l *registry.Login) error {
	fmt.Fprint(a.Out, "Password: ")
	restore, err := noEcho(int(a.In.Fd()))
	if err != nil {
		return err
	}
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	line := make(chan string, 1)
	go func() {
		s, _ := in.ReadString('\n')
		line <- s
	}()
	defer restore()
	defer fmt.Fprintln(a.Out)
	select {
	case s := <-line:
		if l.Password = strings.TrimRight(s, "\r\n"); l.Password == "" {
			return errors.New("password is required")
		}
		return nil
	case <-ch:
		return exit(130)
	}
}

func noEcho(fd int) (restore func(), err error) {
	old, err := sys.GetTermios(fd)
	if err != nil {
		return nil, err
	}
	t := *old
	t.Lflag &^= sys.EchoFlag
	return func() { _ = sys.SetTermios(fd, old) }, sys.SetTermios(fd, &t)
}

func (a *App) login(ctx context.Context, server string, l registry.Login) error {
	s, err := a.images()
	if err != nil {
		return err
	}
	st, err := s.Login(ctx, server, l)
	if err != nil {
		return err
	}
	if st.Helper == "" {
		fmt.Fprintf(a.Err, "WARNING! Your credentials are stored unencrypted in '%s'.\nConfigure a credential helper to remove this warning.\n", st.File)
	}
	fmt.Fprintln(a.Out, "Login Succeeded")
	return nil
}

var logoutCommand = Command{
	Name: "logout", Args: "[SERVER]", Short: "Log out from a registry", Min: 0, Max: 1,
	Setup: func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, args []string) error {
			server := ""
			if len(args) > 0 {
				server = args[0]
			}
			s, err := app.images()
			if err != nil {
				return err
			}
			had, err := s.Logout(ctx, server)
			if err != nil {
				return err
			}
			name := registry.ServerAddress(server)
			if server == "" {
				name = "https://index.docker.io/v1/"
			}
			if !had {
				fmt.Fprintf(app.Out, "Not logged in to %s\n", name)
				return nil
			}
			fmt.Fprintf(app.Out, "Removing login credentials for %s\n", name)
			return nil
		}
	},
}
