//go:build !hot

package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine/files"
)

var exportCommand = Command{
	Name: "export", Aliases: []string{"container export"}, Args: "[OPTIONS] CONTAINER", Short: "Export a container's filesystem as a tar archive", Min: 1, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		output := fs.StringP("output", "o", "", "Write to a file, instead of STDOUT")
		return func(ctx context.Context, app *App, args []string) error {
			if f, ok := app.outFile(); *output == "" && ok && isTerminal(f) {
				return errors.New("cowardly refusing to save to a terminal. Use the -o flag or redirect")
			}
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			c, err := e.Find(ctx, args[0])
			if err != nil {
				return err
			}
			return toFile(*output, app.Out, func(w io.Writer) error { return files.Export(ctx, e, c, w) })
		}
	},
}

// toFile writes a file that is there only when it is whole; without a name, or to what is no regular file, it writes at once.
func toFile(name string, out io.Writer, write func(io.Writer) error) error {
	if name == "" {
		return write(out)
	}
	if st, err := os.Stat(name); err == nil && !st.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".export-*")
	if err != nil {
		return err
	}
	err = write(f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
