package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// healthOptions are the flags of run and create for health checks.
type healthOptions struct {
	command                                       string
	interval, timeout, startPeriod, startInterval time.Duration
	retries                                       int
	none                                          bool
	fs                                            *pflag.FlagSet
}

func (o *healthOptions) addFlags(fs *pflag.FlagSet) {
	o.fs = fs
	fs.StringVar(&o.command, "health-cmd", "", "Command to run to check health")
	fs.DurationVar(&o.interval, "health-interval", 0, "Time between running the check (ms|s|m|h) (default 0s)")
	fs.DurationVar(&o.timeout, "health-timeout", 0, "Maximum time to allow one check to run (ms|s|m|h) (default 0s)")
	fs.DurationVar(&o.startPeriod, "health-start-period", 0, "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)")
	fs.DurationVar(&o.startInterval, "health-start-interval", 0, "Time between running the check during the start period (ms|s|m|h) (default 0s)")
	fs.IntVar(&o.retries, "health-retries", 0, "Consecutive failures needed to report unhealthy")
	fs.BoolVar(&o.none, "no-healthcheck", false, "Disable any container-specified HEALTHCHECK")
}

func (o *healthOptions) set(c *engine.Create) error {
	some := o.command != "" || o.interval != 0 || o.timeout != 0 || o.startPeriod != 0 || o.startInterval != 0 || o.retries != 0
	if o.none {
		if some {
			return errors.New("--no-healthcheck conflicts with --health-* options")
		}
		c.NoHealth = true
		return nil
	}
	for _, x := range []struct {
		name string
		d    time.Duration
	}{{"--health-interval", o.interval}, {"--health-timeout", o.timeout}, {"--health-start-period", o.startPeriod}, {"--health-start-interval", o.startInterval}} {
		if x.d < 0 {
			return fmt.Errorf("%s cannot be negative", x.name)
		}
		if x.d != 0 && x.d < time.Millisecond {
			return fmt.Errorf("%s cannot be less than 1ms", x.name)
		}
	}
	if o.retries < 0 {
		return errors.New("--health-retries cannot be negative")
	}
	if !some {
		return nil
	}
	c.Health = &spec.Health{Interval: o.interval, Timeout: o.timeout, StartPeriod: o.startPeriod, StartInterval: o.startInterval, Retries: o.retries}
	if o.command != "" {
		c.Health.Test = []string{"CMD-SHELL", o.command}
	}
	return nil
}
