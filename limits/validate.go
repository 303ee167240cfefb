package limits

import (
	"errors"
	"fmt"
)

// minMemory is docker's: less leaves no room to start anything.
const minMemory = 6 << 20

// Validate tells the first thing wrong with the limits, in dockerd's words. The CPUs and memory nodes of the host come from
// facts; devices are looked up when the plan is made.
func (l Limits) Validate(facts Facts) error {
	for _, check := range []func(Facts) error{l.checkMemory, l.checkSwap, l.checkCPU, l.checkSets, l.checkIO} {
		if err := check(facts); err != nil {
			return err
		}
	}
	return nil
}

func (l Limits) checkMemory(Facts) error {
	switch {
	case l.Memory != 0 && l.Memory < minMemory:
		return errors.New("Minimum memory limit allowed is 6MB")
	case l.Reservation != 0 && l.Reservation < minMemory:
		return errors.New("Minimum memory reservation allowed is 6MB")
	case l.Memory > 0 && l.Reservation > 0 && l.Memory < l.Reservation:
		return errors.New("Minimum memory limit can not be less than memory reservation limit, see usage")
	case l.NoOOMKill:
		return noOOMKillError{}
	}
	return nil
}

func (l Limits) checkSwap(Facts) error {
	switch {
	case l.Memory > 0 && l.Swap > 0 && int64(l.Swap) < int64(l.Memory):
		return errors.New("Minimum memoryswap limit should be larger than memory limit, see usage")
	case l.Memory == 0 && l.Swap > 0:
		return errors.New("You should always set the Memory limit when using Memoryswap limit, see usage")
	case l.Swappiness != nil && (*l.Swappiness < 0 || *l.Swappiness > 100):
		return fmt.Errorf("invalid value: %d. Valid memory swappiness range is 0-100", *l.Swappiness)
	}
	return nil
}

func (l Limits) checkCPU(facts Facts) error {
	n := len(facts.CPUs)
	switch {
	case l.CPUs > 0 && l.Period > 0:
		return errors.New("Conflicting options: Nano CPUs and CPU Period cannot both be set")
	case l.CPUs > 0 && l.Quota > 0:
		return errors.New("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
	case l.CPUs != 0 && (l.CPUs < OneCPU/100 || l.CPUs > CPUs(n)*OneCPU):
		return fmt.Errorf("range of CPUs is from 0.01 to %d.00, as there are only %d CPUs available", n, n)
	case l.Period != 0 && (l.Period < 1000 || l.Period > 1_000_000):
		return errors.New("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
	case l.Quota > 0 && l.Quota < 1000:
		return errors.New("CPU cfs quota can not be less than 1ms (i.e. 1000)")
	case l.Shares < 0:
		return fmt.Errorf("invalid CPU shares (%d): value must be a positive integer", l.Shares)
	}
	return nil
}

func (l Limits) checkSets(facts Facts) error {
	cpus, err := ParseSet(l.Cpuset)
	if err != nil {
		return fmt.Errorf("Invalid value %s for cpuset cpus: %w", l.Cpuset, err)
	}
	if !subset(cpus, facts.CPUs) {
		return fmt.Errorf("Requested CPUs are not available - requested %s, available: %s", l.Cpuset, FormatSet(facts.CPUs))
	}
	nodes, err := ParseSet(l.Mems)
	if err != nil {
		return fmt.Errorf("Invalid value %s for cpuset mems: %w", l.Mems, err)
	}
	if !subset(nodes, facts.Nodes) {
		return fmt.Errorf("Requested memory nodes are not available - requested %s, available: %s", l.Mems, FormatSet(facts.Nodes))
	}
	return nil
}

func (l Limits) checkIO(Facts) error {
	if l.BlkioWeight != 0 && (l.BlkioWeight < 10 || l.BlkioWeight > 1000) {
		return errors.New("Range of blkio weight is from 10 to 1000")
	}
	return nil
}

// noOOMKillError refuses --oom-kill-disable.
type noOOMKillError struct{}

func (noOOMKillError) Error() string {
	return "--oom-kill-disable is not possible: version 2 of cgroups has no such setting, and without it a full container would hang"
}

// Hints names what to do instead.
func (noOOMKillError) Hints() []string {
	return []string{"leave the flag away; give the container more with --memory, or restart it with --restart on-failure"}
}
