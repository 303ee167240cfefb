package host

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/limits/cgroup"
	"github.com/moss-sandbox/moss/limits/delegate"
	"github.com/moss-sandbox/moss/limits/systemd"
)

// Raw is what was found on the machine, before anybody draws conclusions from it.
type Raw struct {
	User        string   // account name
	Cgroup      string   // "2", "1", "hybrid" (version 2 beside version 1) or "" for none
	Own         string   // this process's cgroup directory, if version 2 is mounted
	OwnWritable bool     // and may be used
	Systemd     bool     // the machine was booted by it
	Manager     bool     // this account's manager runs
	Bus         error    // nil: the bus of that manager answers
	Controllers []string // delegated to the manager, or in Own
	Available   []string // known to the kernel at all
	Linger      bool     // the manager runs without a session
	Polkit      bool     // which lets an account ask for lingering itself
	KillsAtExit bool     // logind ends all processes of a session at its end
}

// bussing bounds each question on a bus.
const bussing = 2 * time.Second

// Look gathers Raw. It connects to the buses of user and system, with a deadline, and changes nothing.
func Look(ctx context.Context) Raw {
	r := Raw{User: accountName(), Cgroup: version(readText("/proc/self/mountinfo"))}
	r.Own, _ = cgroup.Own()
	r.OwnWritable = r.Own != "" && delegate.Writable(r.Own) == nil
	r.Systemd = exists("/run/systemd", "system")
	dir, manager := managerDir()
	r.Manager = manager
	r.Bus = answers(ctx, systemd.UserBus())
	switch {
	case manager:
		r.Controllers = readWords(filepath.Join(dir, "cgroup.controllers"))
	case r.OwnWritable:
		r.Controllers = readWords(filepath.Join(r.Own, "cgroup.controllers"))
	}
	if point, ok := cgroup.MountPoint(readText("/proc/self/mountinfo")); ok {
		r.Available = readWords(filepath.Join(point, "cgroup.controllers"))
	}
	r.Linger = exists("/var/lib/systemd/linger", r.User)
	r.Polkit = polkit()
	r.KillsAtExit = killsAtExit(ctx)
	return r
}

// managerDir finds the cgroup of this account's systemd manager: the system's for real root.
func managerDir() (string, bool) {
	point, ok := cgroup.MountPoint(readText("/proc/self/mountinfo"))
	if !ok || !exists("/run/systemd", "system") || delegate.Useful(point) != nil {
		return "", false
	}
	dir := filepath.Join(point, "system.slice")
	if uid := strconv.Itoa(os.Getuid()); uid != "0" {
		dir = filepath.Join(point, "user.slice", "user-"+uid+".slice", "user@"+uid+".service")
	}
	if !exists(dir, "cgroup.controllers") || !exists(systemd.UserBus(), "") {
		return "", false
	}
	return dir, true
}

// version tells the layout from a mountinfo file: version 2 alone, version 1, or both.
func version(mountinfo string) string {
	_, two := cgroup.MountPoint(mountinfo)
	one := strings.Contains(mountinfo, " - cgroup ")
	switch {
	case one && two:
		return "hybrid"
	case one:
		return "1"
	case two:
		return "2"
	}
	return ""
}

func accountName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

func answers(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, bussing)
	defer cancel()
	bus, err := systemd.Dial(ctx, path)
	if err != nil {
		return err
	}
	return bus.Close()
}

// polkit looks for the daemon's program: asking its name on the bus would start it.
func polkit() bool {
	for _, path := range []string{"/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd", "/usr/lib/policykit-1/polkitd"} {
		if exists(path, "") {
			return true
		}
	}
	return false
}

func killsAtExit(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, bussing)
	defer cancel()
	bus, err := systemd.Dial(ctx, systemd.SystemBus())
	if err != nil {
		return false
	}
	defer bus.Close()
	kills, err := bus.KillsUserProcesses(ctx)
	return err == nil && kills
}
