package limits

import (
	"encoding/binary"
	"slices"
)

// Mechanism is what carries a limit; inspect shows it as .Moss.Enforced.NAME.
type Mechanism string

// The mechanisms.
const (
	ByCgroup   Mechanism = "cgroup"
	ByAffinity Mechanism = "affinity" // sched_setaffinity before exec, answered without effect inside
	ByRlimit   Mechanism = "rlimit"
	ByNice     Mechanism = "nice"
	ByWatchdog Mechanism = "watchdog" // the supervisor measures and kills
	ByDuty     Mechanism = "duty"     // the supervisor stops and continues
	ByTmpfs    Mechanism = "tmpfs"
	BySampling Mechanism = "sampling" // the supervisor measures the disk
	ByHost     Mechanism = "host"     // the host itself cannot give more
	ByNothing  Mechanism = "none"
)

// Plan is how one container's limits are carried on one host: data for the birth list and for the supervisor.
type Plan struct {
	Enforced map[string]Mechanism `json:"enforced,omitempty"` // by the names of the JSON fields of Limits

	Values []Value `json:"values,omitempty"` // for limits/cgroup or limits/cgroup1

	Affinity  []int    `json:"affinity,omitempty"`  // birth: sched_setaffinity, and the filter answers that call with 0
	Nice      int      `json:"nice,omitempty"`      // birth: setpriority, added to the nice value moss was started with
	Autogroup bool     `json:"autogroup,omitempty"` // supervisor: procs.SetAutogroup with Nice too
	Nproc     int64    `json:"nproc,omitempty"`     // birth: RLIMIT_NPROC in a user namespace of this container alone
	Rlimits   []Rlimit `json:"rlimits,omitempty"`   // birth: setrlimit before exec

	Watch Watch   `json:"watch,omitzero"` // supervisor: watchdog
	Duty  CPUs    `json:"duty,omitempty"` // supervisor: watchdog
	Upper Storage `json:"upper,omitzero"` // birth: tmpfs of that size for upper and work, or supervisor: sampling
	Weak  []Weak  `json:"weak,omitempty"` // what is carried by less than docker would
	Late  bool    `json:"late,omitempty"` // after an update: something takes effect at the next start only
}

// Rlimit is one setrlimit call; ^uint64(0) is RLIM_INFINITY.
type Rlimit struct {
	Resource int    `json:"resource"`
	Soft     uint64 `json:"soft"`
	Hard     uint64 `json:"hard"`
}

// Watch bounds the memory of a container by measuring; zero is no bound.
type Watch struct {
	Memory int64 `json:"memory,omitempty"` // proportional set size, bytes
	Total  int64 `json:"total,omitempty"`  // with swap
}

// Decide finds for each limit the best mechanism the host has.
//
// The limits must have passed Validate with the same facts. The result's Weak is empty when the kernel enforces everything
// as docker would; the caller turns it into one warning (Warning) or, under --strict, into an error (Strict).
func Decide(facts Facts, l Limits) Plan {
	p := planner{facts: facts, limits: l, Plan: Plan{Enforced: map[string]Mechanism{}}}
	p.memory()
	p.swap()
	p.cpu()
	p.shares()
	p.cpuset()
	p.pids()
	p.io()
	p.ulimits()
	p.storage()
	return p.Plan
}

// Keeping is the plan of a changed container that runs: what was fixed at birth stays as the old plan had it, and Late is
// set when that makes the change wait for the next start.
func (p Plan) Keeping(old Plan) Plan {
	tmpfs := p.Upper.Tmpfs || old.Upper.Tmpfs
	freed := len(p.Affinity) > 0 && len(old.Affinity) == 0 // the filter that keeps programs in their set is not there
	p.Late = p.Nproc != old.Nproc || freed || tmpfs && p.Upper != old.Upper
	if p.Nproc = old.Nproc; tmpfs {
		p.Upper = old.Upper
	}
	return p
}

// Mask is Affinity in the form that sched_setaffinity(2) takes, nil when nothing is to be set.
func (p Plan) Mask() []byte {
	if len(p.Affinity) == 0 {
		return nil
	}
	const word = 8 // bytes of the kernel's unsigned long
	mask := make([]byte, (slices.Max(p.Affinity)/64+1)*word)
	for _, cpu := range p.Affinity {
		binary.NativeEndian.PutUint64(mask[cpu/64*word:], binary.NativeEndian.Uint64(mask[cpu/64*word:])|1<<(cpu%64))
	}
	return mask
}

type planner struct {
	Plan
	facts  Facts
	limits Limits
}

// by notes a mechanism that is as strong as docker's.
func (p *planner) by(name string, m Mechanism) { p.Enforced[name] = m }

// weak notes a mechanism that is not, with the words for the warning.
func (p *planner) weak(name, flag string, m Mechanism, words string) {
	p.Enforced[name] = m
	p.Weak = append(p.Weak, Weak{Name: name, Flag: flag, Mechanism: m, Words: words})
}

// cgroup takes over values when the controller is there.
func (p *planner) cgroup(controller, name string, values []Value) bool {
	if !p.facts.Has(controller) {
		return false
	}
	p.Values = append(p.Values, values...)
	p.by(name, ByCgroup)
	return true
}
