package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/delegate"
)

func best() Raw {
	all := []string{"cpu", "cpuset", "io", "memory", "pids"}
	return Raw{User: "ann", Cgroup: "2", Systemd: true, Manager: true, Controllers: all, Available: all, Linger: true, Polkit: true}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Raw)
		want   string // in text, remedy and admin of the only remark
	}{
		{"all is well", func(*Raw) {}, ""},
		{"version 1", func(r *Raw) { r.Cgroup = "1" }, "version 1"},
		{"version 1 without systemd", func(r *Raw) { r.Cgroup, r.Systemd = "hybrid", false }, "version 1"},
		{"no cgroups", func(r *Raw) { r.Cgroup, r.Systemd = "", false }, "no cgroups are mounted"},
		{"no systemd", func(r *Raw) { r.Systemd, r.Manager, r.Controllers = false, false, nil }, "no systemd to ask"},
		{"container with its own cgroup", func(r *Raw) { r.Systemd, r.Manager, r.OwnWritable = false, false, true }, ""},
		{"cron", func(r *Raw) { r.Manager, r.Controllers = false, nil }, "no systemd manager runs for ann"},
		{"no bus", func(r *Raw) { r.Bus = fs.ErrNotExist }, "apt install dbus-user-session"},
		{"stock systemd", func(r *Raw) { r.Controllers = []string{"cpu", "memory", "pids"} }, "cpuset, io are not delegated"},
		{"stock systemd, remedy", func(r *Raw) { r.Controllers = []string{"cpu", "memory", "pids"} }, "Delegate=cpu cpuset io memory pids"},
		{"small kernel", func(r *Raw) { r.Controllers, r.Available = r.Controllers[:4], r.Available[:4] }, "has no cgroup controllers pids"},
		{"no lingering", func(r *Raw) { r.Linger = false }, "moss boot enable"},
		{"no lingering, no polkit", func(r *Raw) { r.Linger, r.Polkit = false, false }, "only root can change it"},
		{"killed at logout", func(r *Raw) { r.Linger, r.KillsAtExit = false, true }, "KillUserProcesses=yes"},
	} {
		r := best()
		c.change(&r)
		got := Explain(r)
		switch {
		case c.want == "" && len(got) != 0:
			t.Errorf("%s: %+v", c.name, got)
		case c.want == "":
		case len(got) != 1 || !strings.Contains(got[0].Text+got[0].Remedy+got[0].Admin, c.want):
			t.Errorf("%s: %+v, want one with %q", c.name, got, c.want)
		}
	}
}

func TestVersion(t *testing.T) {
	const one = "30 25 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
	const two = "31 25 0:27 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	for text, want := range map[string]string{"": "", one: "1", two: "2", one + two: "hybrid"} {
		if got := version(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestFactsOfThisMachine(t *testing.T) {
	f, err := Facts(delegate.Place{Rung: limits.RungNone}, limits.Limits{})
	if err != nil || len(f.CPUs) == 0 || len(f.Nodes) == 0 || f.Memory < 16<<20 || len(f.Controllers) != 0 {
		t.Fatalf("%+v, %v", f, err)
	}
	if err := (limits.Limits{Cpuset: "8000"}).Validate(f); err == nil || !strings.Contains(err.Error(), "Requested CPUs are not available") {
		t.Error(err)
	}
}

func TestFactsNameAMissingDevice(t *testing.T) {
	for path, want := range map[string]error{"/dev/moss-has-no-such": fs.ErrNotExist, "/dev/null": nil} {
		l := limits.Limits{ReadBps: limits.BytesRates{{Path: path, Rate: 1}}}
		if _, err := Facts(delegate.Place{}, l); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestLookAtThisMachineAnswersInTime(t *testing.T) {
	r := Look(context.Background())
	if r.User == "" || r.Cgroup == "" {
		t.Fatalf("%+v", r)
	}
	t.Logf("%+v", r)
	for _, remark := range Explain(r) {
		t.Logf("%+v", remark)
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil && (r.Systemd || r.Manager) {
		t.Fatalf("there is no systemd here: %+v", r)
	}
}

func TestParseMeminfo(t *testing.T) {
	memory, swap := parseMeminfo("MemTotal:       16384 kB\nMemFree: 1 kB\nSwapTotal:         0 kB\n")
	if memory != 16<<20 || swap != 0 {
		t.Fatal(memory, swap)
	}
}
