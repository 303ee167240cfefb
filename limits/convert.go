package limits

import (
	"fmt"
	"math"
	"strconv"
)

// Value is one write to a file of a cgroup directory.
type Value struct {
	File string `json:"file"`
	Text string `json:"text"`
}

// Weight converts docker's cpu shares to cpu.weight of cgroup v2 as runc and crun do since 2025
// (opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value): a quadratic in log2 through the fixed points 2→1, 1024→100 and
// 262144→10000. 0 is 0, not set.
func Weight(shares int64) uint64 {
	switch {
	case shares <= 0:
		return 0
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// IOWeight converts docker's blkio weight (10–1000) to io.weight of cgroup v2 (1–10000), as runc does. 0 is 0, not set.
func IOWeight(weight uint16) uint64 {
	if weight == 0 {
		return 0
	}
	return 1 + (uint64(weight)-10)*9999/990
}

// NiceFor is the nice value whose weight comes nearest to docker's cpu shares: each step is a factor of 1.25 from 1024
// (kernel/sched/core.c, sched_prio_to_weight). An ordinary account can only go down, so more than 1024 shares is 0.
func NiceFor(shares int64) int {
	if shares <= 0 || shares >= 1024 {
		return 0
	}
	return min(19, int(math.Round(math.Log(1024/float64(shares))/math.Log(1.25))))
}

// memoryValues are the files of the memory controller. Docker sets neither memory.high nor memory.oom.group.
func (l Limits) memoryValues(facts Facts) []Value {
	values := number(nil, "memory.max", int64(l.Memory))
	values = number(values, "memory.low", int64(l.Reservation))
	total := l.SwapTotal()
	if !facts.SwapFile || total == 0 {
		return values
	}
	if total > 0 {
		total -= int64(l.Memory) // memory.swap.max counts swap alone
		return append(values, Value{"memory.swap.max", strconv.FormatInt(total, 10)})
	}
	return append(values, Value{"memory.swap.max", "max"})
}

func (l Limits) cpuValues() []Value {
	var values []Value
	switch {
	case l.CPUs > 0:
		values = append(values, Value{"cpu.max", fmt.Sprintf("%d 100000", int64(l.CPUs)*100_000/int64(OneCPU))})
	case l.Quota > 0:
		values = append(values, Value{"cpu.max", fmt.Sprintf("%d %d", l.Quota, l.period())})
	case l.Quota < 0, l.Period > 0:
		values = append(values, Value{"cpu.max", fmt.Sprintf("max %d", l.period())})
	}
	return number(values, "cpu.weight", int64(Weight(l.Shares)))
}

func (l Limits) cpusetValues() []Value {
	var values []Value
	if l.Cpuset != "" {
		values = append(values, Value{"cpuset.cpus", l.Cpuset})
	}
	if l.Mems != "" {
		values = append(values, Value{"cpuset.mems", l.Mems})
	}
	return values
}

func (l Limits) pidsValues() []Value { return number(nil, "pids.max", l.Pids) }

// ioValues writes io.max device by device; facts.Devices has the numbers of each path.
func (l Limits) ioValues(facts Facts) []Value {
	var values []Value
	switch {
	case l.BlkioWeight == 0:
	case facts.IOWeight == "io.bfq.weight": // the BFQ scheduler takes docker's own range
		values = number(values, facts.IOWeight, int64(l.BlkioWeight))
	case facts.IOWeight != "":
		values = append(values, Value{facts.IOWeight, fmt.Sprintf("default %d", IOWeight(l.BlkioWeight))})
	}
	add := func(rates []Rate, key string) {
		for _, r := range rates {
			values = append(values, Value{"io.max", fmt.Sprintf("%s %s=%d", facts.Devices[r.Path], key, r.Rate)})
		}
	}
	add(l.ReadBps, "rbps")
	add(l.WriteBps, "wbps")
	add(l.ReadIOps, "riops")
	add(l.WriteIOps, "wiops")
	return values
}

// number appends a value unless it is zero; negative is the kernel's "max".
func number(values []Value, file string, n int64) []Value {
	switch {
	case n == 0:
		return values
	case n < 0:
		return append(values, Value{file, "max"})
	}
	return append(values, Value{file, strconv.FormatInt(n, 10)})
}

// hasRates tells whether any device is bounded.
func (l Limits) hasRates() bool {
	return len(l.ReadBps)+len(l.WriteBps)+len(l.ReadIOps)+len(l.WriteIOps) > 0
}

// Paths lists the device files that the limits name, for Facts.Devices.
func (l Limits) Paths() []string {
	var paths []string
	for _, rates := range [][]Rate{l.ReadBps, l.WriteBps, l.ReadIOps, l.WriteIOps} {
		for _, r := range rates {
			paths = append(paths, r.Path)
		}
	}
	return paths
}
