package view

import (
	"github.com/moby/moby/api/types/container"

	"github.com/moss-sandbox/moss/limits/stats"
	"github.com/moss-sandbox/moss/sandbox"
)

// Stats are two samples of what a container uses, in the API's form: clients compute the rates themselves.
type Stats = container.StatsResponse

// StatsOf makes the document of two samples; before is the zero Sample where there is one only.
func StatsOf(c *sandbox.Snapshot, before, now stats.Sample) *Stats {
	out := &Stats{ID: c.ID, Name: "/" + c.Spec.Name, OSType: "linux", Read: now.Time, PreRead: before.Time}
	out.CPUStats, out.PreCPUStats = cpuStats(now), cpuStats(before)
	out.MemoryStats = container.MemoryStats{Usage: now.Raw, Limit: now.Limit, Stats: map[string]uint64{"inactive_file": now.Inactive}, Failcnt: now.OOMKills}
	out.PidsStats.Current = now.Pids
	out.BlkioStats.IoServiceBytesRecursive = []container.BlkioStatEntry{{Op: "read", Value: now.Read}, {Op: "write", Value: now.Write}}
	for _, n := range now.Nets {
		if out.Networks == nil {
			out.Networks = map[string]container.NetworkStats{}
		}
		out.Networks[n.Name] = container.NetworkStats{
			RxBytes: n.RxBytes, RxPackets: n.RxPackets, TxBytes: n.TxBytes, TxPackets: n.TxPackets,
		}
	}
	return out
}

func cpuStats(s stats.Sample) container.CPUStats {
	return container.CPUStats{
		CPUUsage:    container.CPUUsage{TotalUsage: s.CPU, UsageInUsermode: s.CPUUser, UsageInKernelmode: s.CPUSystem},
		SystemUsage: s.Machine.CPU, OnlineCPUs: uint32(s.Machine.CPUs),
	}
}
