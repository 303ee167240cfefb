package stats

import (
	"errors"
	"io/fs"
	"time"

	"github.com/moss-sandbox/moss/limits/cgroup"
	"github.com/moss-sandbox/moss/limits/procs"
)

// Counter is a cgroup that counts for us, of either version.
type Counter interface {
	Usage() (cgroup.Usage, error)
}

// Container says where to read one container.
type Container struct {
	Pid    int     // its first process, on the host
	Group  Counter // nil where there is none
	Limit  int64   // memory limit that is not in a cgroup; 0 for none
	Shared bool    // its pid namespace is not its own
	NoNet  bool    // it is on the host's network, which is not counted as its own
}

// Source reads one container again and again; for one goroutine at a time.
type Source struct {
	container Container
	set       *procs.Set
	share     share
}

// Open prepares reading. The caller closes it. fs.ErrNotExist when the container has ended.
func Open(c Container) (*Source, error) {
	open := procs.Open
	if c.Shared {
		open = procs.OpenTree
	}
	set, err := open(c.Pid)
	if errors.Is(err, procs.ErrForeign) {
		set, err = procs.OpenTree(c.Pid)
	}
	if err != nil {
		return nil, err
	}
	return &Source{container: c, set: set}, nil
}

// Close ends the use of the source.
func (s *Source) Close() error { return s.set.Close() }

// Sample reads now. fs.ErrNotExist when the container has ended.
func (s *Source) Sample(machine Machine) (Sample, error) {
	pids, err := s.set.Pids()
	if err != nil {
		return Sample{}, err
	}
	if len(pids) == 0 {
		return Sample{}, fs.ErrNotExist
	}
	sample := Sample{Time: time.Now(), Machine: machine}
	if !s.container.NoNet {
		sample.Nets = s.set.Network(pids[0])
	}
	has, err := s.fromGroup(&sample)
	s.fromProcesses(&sample, has, pids)
	if sample.Limit == 0 || sample.Limit > machine.Memory {
		sample.Limit = machine.Memory
	}
	return sample, err
}

// fromGroup takes over what the cgroup counts and tells what that is.
func (s *Source) fromGroup(sample *Sample) (cgroup.Has, error) {
	if s.container.Group == nil {
		return cgroup.Has{}, nil
	}
	u, err := s.container.Group.Usage()
	sample.CPU, sample.CPUUser, sample.CPUSystem = u.CPU, u.CPUUser, u.CPUSystem
	sample.Memory, sample.Raw, sample.Inactive, sample.Limit, sample.OOMKills = u.Memory, u.Raw, u.Inactive, u.Max, u.OOMKills
	sample.Read, sample.Write, sample.Pids = u.Read, u.Write, u.Pids
	return u.Has, err
}

// fromProcesses sums what the cgroup does not count.
func (s *Source) fromProcesses(sample *Sample, has cgroup.Has, pids []int) {
	if !has.Pids {
		sample.Pids = uint64(len(pids))
	}
	if !has.CPU {
		for _, pid := range pids {
			st, _ := s.set.Status(pid)
			sample.CPU += st.Ticks * nanosecondsPerTick
			sample.CPUUser += st.User * nanosecondsPerTick
		}
		sample.CPUSystem = sample.CPU - sample.CPUUser
	}
	if !has.IO {
		for _, pid := range pids {
			read, written := s.set.IO(pid)
			sample.Read, sample.Write = sample.Read+read, sample.Write+written
		}
	}
	if !has.Memory {
		sample.Memory = uint64(s.share.memory(s.set, pids))
		sample.Raw, sample.Limit = sample.Memory, uint64(s.container.Limit)
	}
}

// share estimates the proportional set size from the resident one, which is cheap to read: their ratio is measured now and
// then, since it changes only when processes come and go or memory is shared anew.
type share struct {
	ratio    float64
	resident int64
	age      int
}

// renew is after how many samples the ratio is measured again.
const renew = 10

func (s *share) memory(set *procs.Set, pids []int) int64 {
	var resident int64
	for _, pid := range pids {
		resident += set.Resident(pid)
	}
	s.age++
	change := resident - s.resident
	if s.ratio == 0 || s.age >= renew || change > s.resident/4 || -change > s.resident/4 {
		s.measure(set, pids)
	}
	return int64(float64(resident) * s.ratio)
}

func (s *share) measure(set *procs.Set, pids []int) {
	var proportional int64
	s.resident, s.age = 0, 0
	for _, pid := range pids {
		m := set.Memory(pid)
		proportional, s.resident = proportional+m.Proportional, s.resident+m.Resident
	}
	s.ratio = 1
	if s.resident > 0 {
		s.ratio = float64(proportional) / float64(s.resident)
	}
}
