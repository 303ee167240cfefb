package cli

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/pflag"
)

// APIVersion and MinAPIVersion are the versions of Docker's API that moss speaks.
const (
	APIVersion    = "1.51"
	MinAPIVersion = "1.24"
)

var versionCommand = Command{
	Name: "version", Args: "[OPTIONS]", Short: "Show version information", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		format := fs.StringP("format", "f", "", "Format output using a custom template")
		short := fs.Bool("short", false, "")
		_ = fs.MarkHidden("short")
		return func(_ context.Context, app *App, _ []string) error {
			if *format != "" {
				return app.versionFull(*format)
			}
			if *short {
				fmt.Fprintf(app.Out, "%s version %s\n", app.Name, app.Version)
				return nil
			}
			app.version()
			return nil
		}
	},
}

// version prints Docker's two blocks; both are this program.
func (a *App) version() {
	block := func(head string) {
		fmt.Fprintf(a.Out, "%s\n", head)
		for _, l := range [][2]string{
			{" Version:", a.Version}, {" API version:", APIVersion}, {" Go version:", runtime.Version()}, {" OS/Arch:", runtime.GOOS + "/" + runtime.GOARCH},
		} {
			fmt.Fprintf(a.Out, "%-18s%s\n", l[0], l[1])
		}
	}
	block("Client: moss")
	fmt.Fprintln(a.Out)
	fmt.Fprintf(a.Out, "Server: moss (this program; no service runs)\n Engine:\n")
	for _, l := range [][2]string{
		{"  Version:", a.Version}, {"  API version:", APIVersion + " (minimum version " + MinAPIVersion + ")"}, {"  Go version:", runtime.Version()},
		{"  OS/Arch:", runtime.GOOS + "/" + runtime.GOARCH},
	} {
		fmt.Fprintf(a.Out, "%-18s%s\n", l[0], l[1])
	}
}
