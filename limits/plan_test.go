package limits

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func hostV2(controllers ...string) Facts {
	f := twoCPUs()
	f.Rung, f.Controllers, f.SwapFile, f.Userns, f.Filter = RungScope, controllers, true, true, true
	f.Devices = map[string]string{"/dev/sda": "8:0"}
	return f
}

// words prints values in one line.
func words(values []Value) string {
	var out []string
	for _, v := range values {
		out = append(out, v.File+"="+v.Text)
	}
	return strings.Join(out, "; ")
}

// enforced prints a plan's mechanisms in one line.
func enforced(p Plan) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p.Enforced)) {
		out = append(out, fmt.Sprintf("%s=%s", name, p.Enforced[name]))
	}
	return strings.Join(out, " ")
}

func TestDecideWithAllControllers(t *testing.T) {
	f := hostV2("cpuset", "cpu", "io", "memory", "pids")
	f.IOWeight = "io.weight"
	p := Decide(f, everything())
	want := "memory.max=104857600; memory.low=52428800; memory.swap.max=52428800; cpu.max=50000 100000; cpu.weight=49; cpuset.cpus=1; " +
		"cpuset.mems=0; pids.max=20; io.weight=default 4950; io.max=8:0 rbps=1000; io.max=8:0 wiops=5"
	if got := words(p.Values); got != want {
		t.Errorf("values %s", got)
	}
	want = "blkioWeight=cgroup cpus=cgroup cpuset=cgroup deviceRates=cgroup memory=cgroup mems=cgroup pids=cgroup reservation=cgroup " +
		"shares=cgroup storage=sampling swap=cgroup swappiness=none ulimits=rlimit"
	if got := enforced(p); got != want {
		t.Errorf("enforced %s", got)
	}
	if p.Affinity != nil || p.Nproc != 0 || p.Watch != (Watch{}) || p.Duty != 0 || p.Nice != 0 {
		t.Errorf("lower rungs too: %+v", p)
	}
}

func TestDecideAsStockSystemdDelegates(t *testing.T) {
	p := Decide(hostV2("cpu", "memory", "pids"), Limits{Memory: 200 << 20, Shares: 400, Cpuset: "1"})
	if got := words(p.Values); got != "memory.max=209715200; memory.swap.max=209715200; cpu.weight=49" {
		t.Errorf("values %s", got)
	}
	if got := enforced(p); got != "cpuset=affinity memory=cgroup shares=cgroup" || len(p.Weak) != 0 || !slices.Equal(p.Affinity, []int{1}) {
		t.Errorf("enforced %s, weak %v, affinity %v", got, p.Weak, p.Affinity)
	}
}

func TestDecideWithNothing(t *testing.T) {
	f := hostV2()
	f.Rung, f.Autogroup = RungNone, true
	p := Decide(f, everything())
	want := "blkioWeight=none cpus=duty cpuset=affinity deviceRates=none memory=watchdog mems=host pids=rlimit reservation=none " +
		"shares=nice storage=sampling swap=host swappiness=none ulimits=rlimit"
	if got := enforced(p); got != want {
		t.Errorf("enforced %s", got)
	}
	if len(p.Values) != 0 || p.Nproc != 20 || p.Watch.Memory != 100<<20 || p.Duty != OneCPU/2 || p.Nice != 4 || !p.Autogroup {
		t.Errorf("plan %+v", p)
	}
	if i := slices.IndexFunc(p.Rlimits, func(r Rlimit) bool { return r.Resource == RlimitData }); i < 0 || p.Rlimits[i].Soft <= 100<<20 {
		t.Errorf("rlimits %v", p.Rlimits)
	}
}

func TestDecideOnCgroupV1(t *testing.T) {
	f := hostV2("memory", "cpu", "cpuset", "pids", "blkio")
	f.Rung, f.IOWeight = RungV1, "blkio.weight"
	p := Decide(f, everything())
	want := "memory.limit_in_bytes=104857600; memory.soft_limit_in_bytes=52428800; memory.memsw.limit_in_bytes=157286400; memory.swappiness=10; " +
		"cpu.shares=400; cpu.cfs_period_us=100000; cpu.cfs_quota_us=50000; cpuset.cpus=1; cpuset.mems=0; pids.max=20; blkio.weight=500; " +
		"blkio.throttle.read_bps_device=8:0 1000; blkio.throttle.write_iops_device=8:0 5"
	if got := words(p.Values); got != want {
		t.Errorf("values %s", got)
	}
}

func TestDecideDetails(t *testing.T) {
	full := hostV2("cpu", "memory", "pids")
	none := hostV2()
	weaker := none
	weaker.Userns, weaker.Filter = false, false
	tight := none
	tight.Rlimits = map[string]uint64{"nofile": 150, "data": 1 << 40}
	for _, c := range []struct {
		name   string
		facts  Facts
		limits Limits
		check  func(Plan) bool
	}{
		{"unlimited swap", full, Limits{Memory: 64 << 20, Swap: -1}, func(p Plan) bool { return words(p.Values) == "memory.max=67108864; memory.swap.max=max" }},
		{"no swap at all", full, Limits{Memory: 64 << 20, Swap: 64 << 20}, func(p Plan) bool { return words(p.Values) == "memory.max=67108864; memory.swap.max=0" }},
		{"quota and period", full, Limits{Quota: 25000, Period: 50000}, func(p Plan) bool { return words(p.Values) == "cpu.max=25000 50000" && p.Enforced["cpus"] == ByCgroup }},
		{"quota taken away", full, Limits{Quota: -1}, func(p Plan) bool { return words(p.Values) == "cpu.max=max 100000" }},
		{"pids taken away", full, Limits{Pids: -1}, func(p Plan) bool { return words(p.Values) == "pids.max=max" }},
		{"quota without cgroup", none, Limits{Quota: 25000, Period: 50000}, func(p Plan) bool { return p.Duty == OneCPU/2 }},
		{"all CPUs without cgroup", none, Limits{CPUs: 2 * OneCPU}, func(p Plan) bool { return p.Duty == 0 && p.Enforced["cpus"] == ByHost && len(p.Weak) == 0 }},
		{"default shares without cgroup", none, Limits{Shares: 2048}, func(p Plan) bool { return p.Enforced["shares"] == ByNothing }},
		{"pids without a namespace", weaker, Limits{Pids: 5}, func(p Plan) bool { return p.Nproc == 0 && p.Enforced["pids"] == ByNothing }},
		{"cpuset without a filter", weaker, Limits{Cpuset: "1"}, func(p Plan) bool { return len(p.Affinity) == 1 && len(p.Weak) == 1 }},
		{"ulimit above the own", tight, Limits{Ulimits: Ulimits{{"nofile", 100, 200}}}, func(p Plan) bool { return p.Rlimits[0] == Rlimit{7, 100, 150} && len(p.Weak) == 1 }},
		{"ulimit unlimited", none, Limits{Ulimits: Ulimits{{"core", -1, -1}}}, func(p Plan) bool { return p.Rlimits[0] == Rlimit{4, ^uint64(0), ^uint64(0)} }},
		{"own data limit below the fuse", none, Limits{Memory: 64 << 20, Ulimits: Ulimits{{"data", 1 << 20, 1 << 20}}}, func(p Plan) bool { return reflect.DeepEqual(p.Rlimits, []Rlimit{{RlimitData, 1 << 20, 1 << 20}}) }},
		{"own data limit above the fuse", none, Limits{Memory: 64 << 20, Ulimits: Ulimits{{"data", -1, -1}}}, func(p Plan) bool { return len(p.Rlimits) == 1 && p.Rlimits[0].Soft == fuse(64<<20) }},
		{"fuse within the own limit", tight, Limits{Memory: 64 << 20}, func(p Plan) bool { return p.Rlimits[0] == Rlimit{RlimitData, fuse(64 << 20), 1 << 40} }},
		{"hard storage", none, Limits{Storage: Storage{Size: 1, Tmpfs: true}}, func(p Plan) bool { return p.Enforced["storage"] == ByTmpfs && len(p.Weak) == 0 }},
		{"nothing asked", none, Limits{}, func(p Plan) bool { return len(p.Enforced) == 0 && len(p.Weak) == 0 }},
	} {
		if p := Decide(c.facts, c.limits); !c.check(p) {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
}

func TestMask(t *testing.T) {
	if mask := (Plan{}).Mask(); mask != nil {
		t.Error(mask)
	}
	mask := Plan{Affinity: []int{1, 65}}.Mask()
	if len(mask) != 16 || binary.NativeEndian.Uint64(mask) != 2 || binary.NativeEndian.Uint64(mask[8:]) != 2 {
		t.Error(mask)
	}
}

func TestWarningIsOneLine(t *testing.T) {
	p := Decide(hostV2(), Limits{Memory: 64 << 20})
	if got := Warning(p.Weak); got != "memory limit is watched by moss, not by the kernel; see moss info" {
		t.Error(got)
	}
	p = Decide(hostV2(), Limits{Memory: 64 << 20, Shares: 20})
	got := Warning(p.Weak, "the container ends with your last login")
	if got != "memory limit is watched by moss, not by the kernel, CPU shares are only a nice value; see moss info, the container ends with your last login" {
		t.Error(got)
	}
	if got := Warning(nil); got != "" {
		t.Error(got)
	}
}

func TestStrict(t *testing.T) {
	if err := Strict(nil); err != nil {
		t.Error(err)
	}
	err := Strict(Decide(hostV2(), Limits{Memory: 64 << 20, BlkioWeight: 100}).Weak)
	if err == nil || err.Error() != "this host does not enforce --memory (here: watchdog), --blkio-weight (here: none)" {
		t.Error(err)
	}
	var strict *StrictError
	if !errors.As(err, &strict) || len(strict.Hints()) == 0 {
		t.Errorf("%#v", err)
	}
}

func TestKeepingWhatBirthFixed(t *testing.T) {
	f := hostV2()
	old := Decide(f, Limits{Memory: 64 << 20, Pids: 20})
	p := Decide(f, Limits{Memory: 128 << 20, Pids: 20}).Keeping(old)
	if p.Late || p.Watch.Memory != 128<<20 || p.Nproc != 20 {
		t.Errorf("memory: %+v", p)
	}
	if p := Decide(f, Limits{Memory: 64 << 20, Pids: 30}).Keeping(old); !p.Late || p.Nproc != 20 {
		t.Errorf("pids: %+v", p)
	}
}
