package limits

import (
	"fmt"
	"strconv"
)

// The files of cgroup v1 (Documentation/admin-guide/cgroup-v1); what both versions call the same stands in convert.go.

func (l Limits) memoryValues1(facts Facts) []Value {
	values := number1(nil, "memory.limit_in_bytes", int64(l.Memory))
	values = number1(values, "memory.soft_limit_in_bytes", int64(l.Reservation))
	if facts.SwapFile { // after the memory limit, which may not exceed it
		values = number1(values, "memory.memsw.limit_in_bytes", l.SwapTotal())
	}
	if l.Swappiness != nil {
		values = append(values, Value{"memory.swappiness", strconv.FormatInt(*l.Swappiness, 10)})
	}
	return values
}

func (l Limits) cpuValues1() []Value {
	values := number1(nil, "cpu.shares", l.Shares)
	if l.Period > 0 {
		values = number1(values, "cpu.cfs_period_us", l.Period)
	}
	switch {
	case l.CPUs > 0:
		return number1(number1(values, "cpu.cfs_period_us", 100_000), "cpu.cfs_quota_us", int64(l.CPUs)*100_000/int64(OneCPU))
	case l.Quota != 0:
		return number1(values, "cpu.cfs_quota_us", l.Quota)
	}
	return values
}

func (l Limits) ioValues1(facts Facts) []Value {
	var values []Value
	if facts.IOWeight != "" {
		values = number1(values, facts.IOWeight, int64(l.BlkioWeight))
	}
	add := func(rates []Rate, file string) {
		for _, r := range rates {
			values = append(values, Value{"blkio.throttle." + file, fmt.Sprintf("%s %d", facts.Devices[r.Path], r.Rate)})
		}
	}
	add(l.ReadBps, "read_bps_device")
	add(l.WriteBps, "write_bps_device")
	add(l.ReadIOps, "read_iops_device")
	add(l.WriteIOps, "write_iops_device")
	return values
}

// number1 appends a value unless it is zero; version 1 takes -1 as it is.
func number1(values []Value, file string, n int64) []Value {
	if n == 0 {
		return values
	}
	return append(values, Value{file, strconv.FormatInt(n, 10)})
}
