package view

import (
	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// resources fills in what was asked for of limits; memory and swap together are twice the memory where only that was given,
// as Docker records it.
func resources(s *spec.Spec, r container.Resources) container.Resources {
	l, err := engine.Limits(s)
	if err != nil { // told wherever it matters
		return r
	}
	r.Memory, r.MemoryReservation, r.MemorySwap, r.MemorySwappiness = int64(l.Memory), int64(l.Reservation), l.SwapTotal(), l.Swappiness
	r.NanoCPUs, r.CPUShares, r.CPUPeriod, r.CPUQuota = int64(l.CPUs), l.Shares, l.Period, l.Quota
	r.CpusetCpus, r.CpusetMems, r.BlkioWeight = l.Cpuset, l.Mems, l.BlkioWeight
	if l.Pids != 0 {
		r.PidsLimit = &l.Pids
	}
	r.BlkioDeviceReadBps, r.BlkioDeviceWriteBps = throttles(l.ReadBps), throttles(l.WriteBps)
	r.BlkioDeviceReadIOps, r.BlkioDeviceWriteIOps = throttles(l.ReadIOps), throttles(l.WriteIOps)
	return r
}

func throttles(rates []limits.Rate) (out []*blkiodev.ThrottleDevice) {
	for _, r := range rates {
		out = append(out, &blkiodev.ThrottleDevice{Path: r.Path, Rate: r.Rate})
	}
	return out
}
