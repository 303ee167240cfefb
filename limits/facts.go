package limits

import "slices"

// Rung is the way in which this host lets moss make cgroups, best first.
type Rung string

// The rungs of the ladder.
const (
	RungScope Rung = "scope" // a delegated scope of systemd
	RungOwn   Rung = "own"   // the process's own cgroup, version 2, is writable
	RungV1    Rung = "v1"    // the process's own cgroups, version 1, are writable
	RungNone  Rung = "none"  // nothing: affinity, rlimits, watchdog
)

// Facts is what one host can enforce, for one account. limits/host fills it; tests write it by hand.
type Facts struct {
	Rung        Rung     `json:"rung"`
	Controllers []string `json:"controllers,omitempty"` // really in cgroup.controllers, not what was asked for
	SwapFile    bool     `json:"swapFile,omitempty"`    // memory.swap.max (memory.memsw.limit_in_bytes) exists
	IOWeight    string   `json:"ioWeight,omitempty"`    // the file that takes a weight; empty where none does

	CPUs   []int `json:"cpus"`   // this account may run on
	Nodes  []int `json:"nodes"`  // memory nodes
	Memory int64 `json:"memory"` // bytes of RAM
	Swap   int64 `json:"swap"`   // bytes of swap

	Userns    bool              `json:"userns"`              // a further user namespace can be made for RLIMIT_NPROC
	Filter    bool              `json:"filter"`              // the container runs under moss's filter, which can answer sched_setaffinity
	Autogroup bool              `json:"autogroup,omitempty"` // the scheduler groups tasks by session, so nice counts within one only
	Rlimits   map[string]uint64 `json:"rlimits,omitempty"`   // hard limits of this account by name
	Devices   map[string]string `json:"devices,omitempty"`   // MAJOR:MINOR of the device files that the limits name
}

// Has tells whether a cgroup controller may be used.
func (f Facts) Has(controller string) bool { return slices.Contains(f.Controllers, controller) }
