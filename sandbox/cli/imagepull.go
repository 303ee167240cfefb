//go:build !hot

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/sandbox/engine/images"
)

// images opens the image service.
func (a *App) images() (*images.Service, error) {
	e, err := a.Engine()
	if err != nil {
		return nil, err
	}
	return images.New(e), nil
}

var pullCommand = Command{
	Name: "pull", Aliases: []string{"image pull"}, Args: "[OPTIONS] NAME[:TAG|@DIGEST]", Short: "Download an image from a registry", Min: 1, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		p := images.Pull{}
		fs.BoolVarP(&p.AllTags, "all-tags", "a", false, "Download all tagged images in the repository")
		quiet := fs.BoolP("quiet", "q", false, "Suppress verbose output")
		fs.StringVar(&p.Platform, "platform", "", "Set platform if server is multi-platform capable")
		forRun := fs.Bool("for-run", false, "")
		_ = fs.MarkHidden("for-run")
		fs.Bool("disable-content-trust", true, "")
		_ = fs.MarkHidden("disable-content-trust")
		return func(ctx context.Context, app *App, args []string) error {
			if *forRun {
				app.platform = p.Platform
				return app.pullForRun(ctx, args[0])
			}
			p.Name = args[0]
			return app.pull(ctx, p, *quiet)
		}
	},
}

// pull prints Docker's report of a pull.
func (a *App) pull(ctx context.Context, p images.Pull, quiet bool) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ref, err := image.ParseRef(p.Name)
	if err != nil {
		return err
	}
	if p.AllTags && hasTag(p.Name) {
		return errors.New("tag can't be used with --all-tags/-a")
	}
	s, err := a.images()
	if err != nil {
		return err
	}
	if !quiet && !p.AllTags && !hasTag(p.Name) {
		fmt.Fprintf(a.Out, "Using default tag: %s\n", ref.Tag)
	}
	var show progress = silent{}
	if !quiet {
		show = a.progress()
	}
	done, err := s.Pull(ctx, p, show)
	show.close()
	if err != nil {
		return interrupted(ctx, err)
	}
	for _, d := range done {
		if d.From != "" {
			a.note("the registry could not be asked (%s): taken from %s", Quote(d.Why.Error()), d.From)
		}
		if !quiet && !p.AllTags {
			fmt.Fprintf(a.Out, "Digest: %s\nStatus: %s\n", d.Digest, d.Status())
		}
	}
	if p.AllTags {
		var all []registry.Pulled
		for _, d := range done {
			all = append(all, d.Pulled)
		}
		if !quiet {
			fmt.Fprintln(a.Out, "Status: "+registry.StatusAll(ref, all))
		}
		fmt.Fprintln(a.Out, ref.Name())
		return nil
	}
	fmt.Fprintln(a.Out, ref.String())
	return nil
}

// interrupted makes the error of a command that Ctrl-C ended: code 130 and no word.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return exit(130)
	}
	return err
}

// hasTag tells whether a name says its tag or digest.
func hasTag(name string) bool {
	for i := len(name) - 1; i >= 0 && name[i] != '/'; i-- {
		if name[i] == ':' || name[i] == '@' {
			return true
		}
	}
	return false
}

// pullForRun fetches an image that run did not find, or unpacks one that is not unpacked for this account's ids. All it
// prints goes to standard error.
func (a *App) pullForRun(ctx context.Context, name string) error {
	out := a.Out
	a.Out = a.Err
	defer func() { a.Out = out }()
	s, err := a.images()
	if err != nil {
		return err
	}
	if a.platform == "" && s.Ensure(ctx, name) == nil {
		return nil
	}
	ref, err := image.ParseRef(name)
	if err != nil {
		return &ExitError{Code: 125, Err: err}
	}
	fmt.Fprintf(a.Err, "Unable to find image '%s' locally\n", ref.Familiar())
	show := a.progress()
	done, err := s.Pull(ctx, images.Pull{Name: name, Platform: a.platform}, show)
	show.close()
	if err != nil {
		var x *ExitError
		if errors.As(err, &x) {
			return err
		}
		return &ExitError{Code: 125, Err: err}
	}
	for _, d := range done {
		if d.From != "" {
			a.note("the registry could not be asked (%s): taken from %s", Quote(d.Why.Error()), d.From)
		}
		fmt.Fprintf(a.Err, "Digest: %s\nStatus: %s\n", d.Digest, d.Status())
	}
	return nil
}
