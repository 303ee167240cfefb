//go:build !hot

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
)

var bootCommand = Command{
	Name: "boot", Args: "[enable|disable|status]", Short: "Start the containers that restart always; or have that done whenever this machine starts", Min: 0, Max: 1,
	Setup: func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return app.boot(ctx, e)
			}
			switch args[0] {
			case "enable":
				return app.bootEnable(e)
			case "disable":
				return e.DisableBoot()
			case "status":
				fmt.Fprintln(app.Out, bootText[e.Boot()])
				return nil
			}
			return &engine.Hint{Err: fmt.Errorf("unknown word %q", args[0]), Remedy: "moss boot enable, moss boot disable, moss boot status, or moss boot alone"}
		}
	},
}

// bootText says in words how containers come back.
var bootText = map[engine.BootWay]string{
	engine.BootSystemd: "enabled: a unit of systemd starts them with this machine",
	engine.BootCron:    "enabled: a line of your crontab starts them with this machine",
	engine.BootNone:    "disabled: containers do not come back after a reboot",
}

func (a *App) bootEnable(e *engine.Engine) error {
	program, err := programPath()
	if err != nil {
		return err
	}
	way, err := e.EnableBoot(program)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.Out, bootText[way])
	return nil
}

// boot starts what is to run.
func (a *App) boot(ctx context.Context, e *engine.Engine) error {
	started, err := e.StartAtBoot(ctx)
	for _, name := range started {
		fmt.Fprintln(a.Out, name)
	}
	return err
}
