//go:build !hot

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

var saveCommand = Command{
	Name: "save", Aliases: []string{"image save"}, Args: "[OPTIONS] IMAGE [IMAGE...]", Short: "Save one or more images to a tar archive (streamed to STDOUT by default)", Min: 1, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		output := fs.StringP("output", "o", "", "Write to a file, instead of STDOUT")
		return func(ctx context.Context, app *App, args []string) error {
			ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
			defer stop()
			s, err := app.images()
			if err != nil {
				return err
			}
			if *output == "" {
				if f, ok := app.outFile(); ok && isTerminal(f) {
					return errors.New("cowardly refusing to save to a terminal. Use the -o flag or redirect")
				}
				return interrupted(ctx, s.Save(ctx, app.Out, args))
			}
			return interrupted(ctx, writeFile(*output, func(w io.Writer) error { return s.Save(ctx, w, args) }))
		}
	},
}

// writeFile writes a file under a temporary name beside it, and shows it when it is whole.
func writeFile(name string, write func(io.Writer) error) error {
	tmp := fmt.Sprintf("%s.%d.tmp", name, os.Getpid())
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}

var loadCommand = Command{
	Name: "load", Aliases: []string{"image load"}, Args: "[OPTIONS]", Short: "Load an image from a tar archive or STDIN", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		input := fs.StringP("input", "i", "", "Read from tar archive file, instead of STDIN")
		quiet := fs.BoolP("quiet", "q", false, "Suppress the load output")
		return func(ctx context.Context, app *App, _ []string) error {
			ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
			defer stop()
			in := app.In
			if *input != "" {
				f, err := os.Open(*input)
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			} else if isTerminal(in) {
				return errors.New("requested load from stdin, but stdin is empty")
			}
			s, err := app.images()
			if err != nil {
				return err
			}
			loaded, err := s.Load(ctx, in)
			for _, l := range loaded {
				if *quiet {
					continue
				}
				if len(l.Names) == 0 {
					fmt.Fprintf(app.Out, "Loaded image ID: %s\n", l.Image.ID)
				}
				for _, n := range l.Names {
					fmt.Fprintf(app.Out, "Loaded image: %s\n", Quote(n.Familiar()))
				}
			}
			return interrupted(ctx, err)
		}
	},
}
