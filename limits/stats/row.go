package stats

import (
	"fmt"

	"github.com/moss-sandbox/moss/limits"
)

// Row is the numbers of one line of docker stats.
type Row struct {
	CPU      float64 // percent of one CPU
	Memory   uint64
	Limit    uint64
	Percent  float64 // of the limit
	Received uint64
	Sent     uint64
	Read     uint64
	Written  uint64
	Pids     uint64
}

// Compute makes a row of two samples of the same container; the rates are over the time between them. With the zero Sample
// before, CPU is 0.
func Compute(before, now Sample) Row {
	r := Row{CPU: cpuPercent(before, now), Memory: now.Memory, Limit: now.Limit, Read: now.Read, Written: now.Write, Pids: now.Pids}
	if now.Limit > 0 {
		r.Percent = float64(now.Memory) / float64(now.Limit) * 100
	}
	for _, n := range now.Nets {
		r.Received, r.Sent = r.Received+n.RxBytes, r.Sent+n.TxBytes
	}
	return r
}

// cpuPercent is docker's formula: the container's share of the time all CPUs had, times their number.
func cpuPercent(before, now Sample) float64 {
	if before.Time.IsZero() || now.CPU <= before.CPU || now.Machine.CPU <= before.Machine.CPU {
		return 0
	}
	return float64(now.CPU-before.CPU) / float64(now.Machine.CPU-before.Machine.CPU) * float64(now.Machine.CPUs) * 100
}

// The texts are those of docker stats' columns, with its units.

// CPUText is the column CPU %.
func (r Row) CPUText() string { return fmt.Sprintf("%.2f%%", r.CPU) }

// MemoryText is the column MEM USAGE / LIMIT.
func (r Row) MemoryText() string {
	return limits.BytesSize(float64(r.Memory)) + " / " + limits.BytesSize(float64(r.Limit))
}

// PercentText is the column MEM %.
func (r Row) PercentText() string { return fmt.Sprintf("%.2f%%", r.Percent) }

// NetText is the column NET I/O.
func (r Row) NetText() string { return pair(r.Received, r.Sent) }

// BlockText is the column BLOCK I/O.
func (r Row) BlockText() string { return pair(r.Read, r.Written) }

// PidsText is the column PIDS.
func (r Row) PidsText() string { return fmt.Sprint(r.Pids) }

func pair(in, out uint64) string {
	return limits.HumanSize(float64(in)) + " / " + limits.HumanSize(float64(out))
}
