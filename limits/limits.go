package limits

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Limits is what a user asked for, by docker's flags; the zero value asks for nothing. A zero field is a limit not given.
type Limits struct {
	Memory      Size   `json:"memory,omitempty"`
	Reservation Size   `json:"reservation,omitempty"`
	Swap        Swap   `json:"swap,omitempty"` // memory and swap together, as docker's --memory-swap; see SwapTotal
	Swappiness  *int64 `json:"swappiness,omitempty"`
	NoOOMKill   bool   `json:"noOOMKill,omitempty"`

	CPUs   CPUs   `json:"cpus,omitempty"`
	Shares int64  `json:"shares,omitempty"`
	Period int64  `json:"period,omitempty"` // microseconds
	Quota  int64  `json:"quota,omitempty"`  // microseconds; -1 is no limit
	Cpuset string `json:"cpuset,omitempty"`
	Mems   string `json:"mems,omitempty"`

	Pids int64 `json:"pids,omitempty"` // -1 is no limit; a 0 typed by the user is stored as -1

	BlkioWeight uint16     `json:"blkioWeight,omitempty"`
	ReadBps     BytesRates `json:"readBps,omitempty"`
	WriteBps    BytesRates `json:"writeBps,omitempty"`
	ReadIOps    CountRates `json:"readIOps,omitempty"`
	WriteIOps   CountRates `json:"writeIOps,omitempty"`

	Ulimits Ulimits `json:"ulimits,omitempty"`
	Storage Storage `json:"storage,omitzero"`
}

// Empty tells whether nothing is asked for.
func (l Limits) Empty() bool { return reflect.ValueOf(l).IsZero() }

// SwapTotal is the bound on memory and swap together that docker derives: twice the memory where only that is given.
// -1 is no limit, 0 is not set.
func (l Limits) SwapTotal() int64 {
	if l.Swap == 0 && l.Memory > 0 {
		return 2 * int64(l.Memory)
	}
	return int64(l.Swap)
}

// CPULimit is the bound on CPU time whichever way it was given, 0 for none.
func (l Limits) CPULimit() CPUs {
	if l.CPUs != 0 {
		return l.CPUs
	}
	if l.Quota <= 0 {
		return 0
	}
	return CPUs(l.Quota) * OneCPU / CPUs(l.period())
}

// period is the scheduler's period in microseconds; docker's and the kernel's default is 100 ms.
func (l Limits) period() int64 {
	if l.Period == 0 {
		return 100_000
	}
	return l.Period
}

// Updated returns the limits with those of change that are given put in their place, as docker update does. Conflicts
// between old and new ways to give CPU time are errors with docker's words.
func (l Limits) Updated(change Limits) (Limits, error) {
	if err := l.conflict(change); err != nil {
		return l, err
	}
	replace(&l.Memory, change.Memory)
	replace(&l.Reservation, change.Reservation)
	replace(&l.Swap, change.Swap)
	replace(&l.CPUs, change.CPUs)
	replace(&l.Shares, change.Shares)
	replace(&l.Period, change.Period)
	replace(&l.Quota, change.Quota)
	replace(&l.Cpuset, change.Cpuset)
	replace(&l.Mems, change.Mems)
	replace(&l.Pids, change.Pids)
	replace(&l.BlkioWeight, change.BlkioWeight)
	replace(&l.Storage, change.Storage)
	return l, nil
}

func replace[T comparable](old *T, change T) {
	var unset T
	if change != unset {
		*old = change
	}
}

func (l Limits) conflict(change Limits) error {
	switch {
	case change.CPUs > 0 && l.Period > 0:
		return errors.New("Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set")
	case change.CPUs > 0 && l.Quota > 0:
		return errors.New("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set")
	case change.Period > 0 && l.CPUs > 0:
		return errors.New("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set")
	case change.Quota > 0 && l.CPUs > 0:
		return errors.New("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
	case l.Swap > 0 && change.Swap == 0 && int64(change.Memory) > int64(l.Swap):
		return errors.New("Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
	}
	return nil
}

// Storage bounds what a container may write to its own root file system.
type Storage struct {
	Size  Size `json:"size,omitempty"`
	Tmpfs bool `json:"tmpfs,omitempty"` // hard: what is written lies in a memory file system of that size
}

// Set reads one --storage-opt: size=SIZE, or size=SIZE,tmpfs.
func (s *Storage) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("invalid storage option")
	}
	if key != "size" {
		return fmt.Errorf("unknown option %s", key)
	}
	size, kind, hasKind := strings.Cut(value, ",")
	if hasKind && kind != "tmpfs" {
		return fmt.Errorf("unknown option %s", kind)
	}
	n, err := ParseSize(size)
	if err != nil {
		return err
	}
	*s = Storage{Size: Size(n), Tmpfs: hasKind}
	return nil
}

// String prints in the notation of Set; nothing when no size is set.
func (s Storage) String() string {
	switch {
	case s.Size == 0:
		return ""
	case s.Tmpfs:
		return fmt.Sprintf("size=%d,tmpfs", int64(s.Size))
	}
	return fmt.Sprintf("size=%d", int64(s.Size))
}

// Type names the value in help texts.
func (Storage) Type() string { return "list" }
