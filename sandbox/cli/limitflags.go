package cli

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/sandbox/engine"
)

// limitOptions are the flags for limits of run, create and update.
type limitOptions struct {
	limits.Limits
	swappiness int64
	strict     bool

	fs *pflag.FlagSet
}

// addShared declares what run and update share.
func (o *limitOptions) addShared(fs *pflag.FlagSet) {
	o.fs = fs
	fs.VarP(&o.Memory, "memory", "m", "Memory limit")
	fs.Var(&o.Reservation, "memory-reservation", "Memory soft limit")
	fs.Var(&o.Swap, "memory-swap", "Swap limit equal to memory plus swap: -1 to enable unlimited swap")
	fs.Var(&o.CPUs, "cpus", "Number of CPUs")
	fs.Int64VarP(&o.Shares, "cpu-shares", "c", 0, "CPU shares (relative weight)")
	fs.Int64Var(&o.Period, "cpu-period", 0, "Limit CPU CFS (Completely Fair Scheduler) period")
	fs.Int64Var(&o.Quota, "cpu-quota", 0, "Limit CPU CFS (Completely Fair Scheduler) quota")
	fs.StringVar(&o.Cpuset, "cpuset-cpus", "", "CPUs in which to allow execution (0-3, 0,1)")
	fs.StringVar(&o.Mems, "cpuset-mems", "", "MEMs in which to allow execution (0-3, 0,1)")
	fs.Int64Var(&o.Pids, "pids-limit", 0, "Tune container pids limit (set -1 for unlimited)")
	fs.Uint16Var(&o.BlkioWeight, "blkio-weight", 0, "Block IO (relative weight), between 10 and 1000, or 0 to disable")
	fs.BoolVar(&o.strict, "strict", false, "Fail where this machine cannot enforce a limit as Docker would")
}

// addFlags declares the flags of run and create.
func (o *limitOptions) addFlags(fs *pflag.FlagSet) {
	o.addShared(fs)
	fs.Int64Var(&o.swappiness, "memory-swappiness", -1, "Tune container memory swappiness (0 to 100)")
	fs.BoolVar(&o.NoOOMKill, "oom-kill-disable", false, "Disable OOM Killer (not possible here)")
	fs.Var(&o.ReadBps, "device-read-bps", "Limit read rate (bytes per second) from a device")
	fs.Var(&o.WriteBps, "device-write-bps", "Limit write rate (bytes per second) to a device")
	fs.Var(&o.ReadIOps, "device-read-iops", "Limit read rate (IO per second) from a device")
	fs.Var(&o.WriteIOps, "device-write-iops", "Limit write rate (IO per second) to a device")
	fs.Var(&o.Storage, "storage-opt", "Storage driver options for the container (size=SIZE[,tmpfs])")
}

// asked are the limits that the flags ask for.
func (o *limitOptions) asked() (limits.Limits, error) {
	l := o.Limits
	if o.fs.Changed("pids-limit") && l.Pids <= 0 {
		l.Pids = -1
	}
	if l.Memory < 0 || l.Reservation < 0 {
		return l, errors.New("Minimum memory limit allowed is 6MB")
	}
	if o.fs.Changed("memory-swappiness") && o.swappiness != -1 {
		l.Swappiness = &o.swappiness
	}
	return l, nil
}

// set is a step of making a container.
func (o *limitOptions) set(c *engine.Create) (err error) {
	c.Limits, err = o.asked()
	c.Strict = o.strict
	return err
}
