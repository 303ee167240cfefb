package manager

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/cgroups/v3/cgroup2"
	"github.com/containerd/cgroups/v3/cgroup2/stats"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/moss-sandbox/moss/limits/cgroup"
)

// Details is what docker's API shows of a container beyond the columns of docker stats.
type Details struct {
	Memory    map[string]uint64 // memory.stat by the kernel's names; numbers that are zero are left out
	Peak      uint64            // most memory ever used, bytes; 0 before Linux 5.19
	Throttled Throttled
	Devices   []Device
	PidsLimit uint64 // 0 for none
}

// Throttled is how the CPU limit has worked.
type Throttled struct {
	Periods   uint64 // with a limit in force
	Throttled uint64 // of them
	Time      uint64 // nanoseconds
}

// Device is the traffic of one block device.
type Device struct {
	Major, Minor          uint64
	ReadBytes, WriteBytes uint64
	ReadCount, WriteCount uint64
}

// Read collects the details of a container; fs.ErrNotExist when its group is gone. What a missing controller would have
// counted is zero or absent.
func Read(group cgroup.Group) (Details, error) {
	leaf := group.Container()
	if _, err := os.Stat(filepath.Join(leaf, "cgroup.controllers")); err != nil { // the module takes any path for a cgroup
		return Details{}, fmt.Errorf("reading cgroup: %w", err)
	}
	m, err := cgroup2.Load("/"+filepath.Base(leaf), cgroup2.WithMountpoint(filepath.Dir(leaf)))
	if err != nil {
		return Details{}, fmt.Errorf("reading cgroup %q: %w", leaf, err)
	}
	metrics, err := m.StatFiltered(cgroup2.StatCPU | cgroup2.StatMemory | cgroup2.StatIO | cgroup2.StatPids)
	if err != nil {
		return Details{}, fmt.Errorf("reading cgroup %q: %w", leaf, err)
	}
	return details(metrics), nil
}

func details(m *stats.Metrics) Details {
	const unlimited = ^uint64(0)
	d := Details{Memory: named(m.GetMemory()), Peak: m.GetMemory().GetMaxUsage(), PidsLimit: m.GetPids().GetLimit()}
	if d.PidsLimit == unlimited {
		d.PidsLimit = 0
	}
	cpu := m.GetCPU()
	d.Throttled = Throttled{cpu.GetNrPeriods(), cpu.GetNrThrottled(), 1000 * cpu.GetThrottledUsec()}
	for _, e := range m.GetIo().GetUsage() {
		d.Devices = append(d.Devices, Device{e.GetMajor(), e.GetMinor(), e.GetRbytes(), e.GetWbytes(), e.GetRios(), e.GetWios()})
	}
	return d
}

// own are numbers of the module's message that are no lines of memory.stat.
func own(name protoreflect.Name) bool {
	switch name {
	case "usage", "usage_limit", "max_usage", "swap_usage", "swap_limit", "swap_max_usage":
		return true
	}
	return false
}

// named turns the message into a map: its fields are called as the kernel calls its lines.
func named(m *stats.MemoryStat) map[string]uint64 {
	all := map[string]uint64{}
	m.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Kind() == protoreflect.Uint64Kind && !own(field.Name()) {
			all[string(field.Name())] = value.Uint()
		}
		return true
	})
	return all
}
