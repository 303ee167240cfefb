package limits

import (
	"fmt"
	"math"
	"slices"
)

// Each function here is the ladder of one limit, best rung first.

func (p *planner) memory() {
	l := p.limits
	if p.facts.Has("memory") {
		p.Values = append(p.Values, p.values(l.memoryValues(p.facts), l.memoryValues1(p.facts))...)
	}
	if l.Memory > 0 {
		p.memoryLimit()
	}
	if l.Reservation > 0 {
		if p.facts.Has("memory") {
			p.by("reservation", ByCgroup)
		} else {
			p.weak("reservation", "--memory-reservation", ByNothing, "memory reservation has no effect")
		}
	}
	if l.Swappiness != nil {
		if p.facts.Rung == RungV1 && p.facts.Has("memory") {
			p.by("swappiness", ByCgroup)
		} else {
			p.weak("swappiness", "--memory-swappiness", ByNothing, "memory swappiness has no effect")
		}
	}
}

func (p *planner) memoryLimit() {
	if p.facts.Has("memory") {
		p.by("memory", ByCgroup)
		return
	}
	p.Watch.Memory = int64(p.limits.Memory)
	p.Rlimits = append(p.Rlimits, Rlimit{Resource: RlimitData, Soft: fuse(int64(p.limits.Memory)), Hard: p.most("data")})
	p.weak("memory", "--memory", ByWatchdog, "memory limit is watched by moss, not by the kernel")
}

// fuse stops one process that allocates faster than the watchdog measures. RLIMIT_DATA counts address space a process may
// write to privately (Linux 4.7), touched or not; thread stacks and arenas make that several times what is used, so the
// fuse lies far above the limit. It is a soft limit, since a hard one could not be raised by moss update.
func fuse(memory int64) uint64 {
	const slack = 2 << 30
	return uint64(4*memory + slack)
}

// most is the highest hard limit this account may set.
func (p *planner) most(name string) uint64 {
	if most, known := p.facts.Rlimits[name]; known {
		return most
	}
	return math.MaxUint64
}

func (p *planner) swap() {
	l := p.limits
	switch {
	case l.Swap == 0:
	case p.facts.Has("memory") && p.facts.SwapFile:
		p.by("swap", ByCgroup)
	case p.facts.Swap == 0:
		p.by("swap", ByHost)
	case l.Swap > 0 && !p.facts.Has("memory"):
		p.Watch.Total = int64(l.Swap)
		p.weak("swap", "--memory-swap", ByWatchdog, "swap limit is watched by moss")
	case l.Swap > 0:
		p.weak("swap", "--memory-swap", ByNothing, "swap limit has no effect")
	}
}

func (p *planner) cpu() {
	l := p.limits
	limit := l.CPULimit()
	if p.facts.Has("cpu") {
		p.Values = append(p.Values, p.values(l.cpuValues(), l.cpuValues1())...)
	}
	switch {
	case limit == 0:
	case p.facts.Has("cpu"):
		p.by("cpus", ByCgroup)
	case limit >= CPUs(len(p.facts.CPUs))*OneCPU:
		p.by("cpus", ByHost)
	default:
		p.Duty = limit
		p.weak("cpus", "--cpus", ByDuty, "CPU limit is kept by stopping and continuing the processes")
	}
}

func (p *planner) shares() {
	shares := p.limits.Shares
	switch {
	case shares == 0:
	case p.facts.Has("cpu"):
		p.by("shares", ByCgroup)
	case shares > 1024:
		p.weak("shares", "--cpu-shares", ByNothing, "CPU shares above 1024 have no effect")
	default:
		p.Nice, p.Autogroup = NiceFor(shares), p.facts.Autogroup
		p.weak("shares", "--cpu-shares", ByNice, "CPU shares are only a nice value")
	}
}

func (p *planner) cpuset() {
	l := p.limits
	if p.facts.Has("cpuset") {
		p.Values = append(p.Values, l.cpusetValues()...)
	}
	if l.Cpuset != "" {
		p.cpus()
	}
	nodes, _ := ParseSet(l.Mems) // validated
	switch {
	case l.Mems == "":
	case p.facts.Has("cpuset"):
		p.by("mems", ByCgroup)
	case slices.Equal(nodes, p.facts.Nodes):
		p.by("mems", ByHost)
	default:
		p.weak("mems", "--cpuset-mems", ByNothing, "memory nodes are not limited")
	}
}

func (p *planner) cpus() {
	set, _ := ParseSet(p.limits.Cpuset) // validated
	switch {
	case p.facts.Has("cpuset"):
		p.by("cpuset", ByCgroup)
	case p.facts.Filter:
		p.Affinity = set
		p.by("cpuset", ByAffinity)
	default:
		p.Affinity = set
		p.weak("cpuset", "--cpuset-cpus", ByAffinity, "programs inside can leave their CPU set")
	}
}

func (p *planner) pids() {
	n := p.limits.Pids
	switch {
	case n == 0:
	case p.cgroup("pids", "pids", p.limits.pidsValues()):
	case n < 0:
		p.by("pids", ByHost)
	case p.facts.Userns:
		p.Nproc = n
		p.by("pids", ByRlimit)
	default:
		p.weak("pids", "--pids-limit", ByNothing, "number of processes is not limited")
	}
}

func (p *planner) io() {
	l := p.limits
	if p.facts.Has("io") || p.facts.Has("blkio") {
		p.Values = append(p.Values, p.values(l.ioValues(p.facts), l.ioValues1(p.facts))...)
	}
	have := p.facts.Has("io") || p.facts.Has("blkio")
	switch {
	case l.BlkioWeight == 0:
	case have && p.facts.IOWeight != "":
		p.by("blkioWeight", ByCgroup)
	default:
		p.weak("blkioWeight", "--blkio-weight", ByNothing, "block device weight has no effect")
	}
	switch {
	case !l.hasRates():
	case have:
		p.by("deviceRates", ByCgroup)
	default:
		p.weak("deviceRates", "--device-read-bps and the like", ByNothing, "block device rates are not limited")
	}
}

func (p *planner) ulimits() {
	for _, u := range p.limits.Ulimits {
		p.ulimit(u)
	}
}

func (p *planner) ulimit(u Ulimit) {
	r := Rlimit{Resource: RlimitNumbers()[u.Name], Soft: unlimited(u.Soft), Hard: unlimited(u.Hard)}
	if _, lowered := p.Enforced["ulimits"]; !lowered {
		p.by("ulimits", ByRlimit)
	}
	if most := p.most(u.Name); r.Hard > most {
		r.Soft, r.Hard = min(r.Soft, most), most
		p.weak("ulimits", "--ulimit "+u.Name, ByRlimit, fmt.Sprintf("ulimit %s is lowered to %d, which is all your account may have", u.Name, most))
	}
	i := slices.IndexFunc(p.Rlimits, func(old Rlimit) bool { return old.Resource == r.Resource })
	if i < 0 {
		p.Rlimits = append(p.Rlimits, r)
		return
	}
	r.Soft = min(r.Soft, p.Rlimits[i].Soft) // the fuse
	p.Rlimits[i] = r
}

// unlimited turns -1 into RLIM_INFINITY.
func unlimited(n int64) uint64 { return uint64(n) }

func (p *planner) storage() {
	p.Upper = p.limits.Storage
	switch {
	case p.Upper.Size == 0:
	case p.Upper.Tmpfs:
		p.by("storage", ByTmpfs)
	default:
		p.weak("storage", "--storage-opt size", BySampling, "disk limit is checked by moss from time to time")
	}
}

// values picks by the version of the cgroups.
func (p *planner) values(v2, v1 []Value) []Value {
	if p.facts.Rung == RungV1 {
		return v1
	}
	return v2
}

// Mechanisms tells for each kind of limit what would carry it on this host, for moss info.
func Mechanisms(facts Facts) map[string]Mechanism {
	swappiness := int64(60)
	one := []Rate{{Path: "any", Rate: 1}}
	sample := Limits{
		Memory: 64 << 20, Reservation: 32 << 20, Swap: 64 << 20, Swappiness: &swappiness, CPUs: OneCPU / 2, Shares: 512, Cpuset: "0",
		Mems: FormatSet(facts.Nodes), Pids: 100, BlkioWeight: 100, ReadBps: one, Ulimits: Ulimits{{"core", 0, 0}}, Storage: Storage{Size: 1 << 30},
	}
	return Decide(facts, sample).Enforced
}
