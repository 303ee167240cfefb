package seccomp

import "fmt"

// KeepAffinity returns the filter that answers sched_setaffinity(2) with success and no effect: a container that was put on
// some CPUs without a cgroup stays there. A refusal would break OpenMP and taskset, and a filter cannot read the mask that
// the call points at. It allows all else, so load it as Join(KeepAffinity, container's filter).
//
// It fails with ErrMachine only.
func KeepAffinity(machine Machine) (Filter, error) {
	call := func(audit, base, number uint32) ABI {
		return ABI{Audit: audit, Base: base, Spans: []Span{{From: number, To: number}}}
	}
	p := Policy{Default: Allow, Groups: []Group{{Answer: Errno(0)}}}
	switch machine {
	case AMD64:
		p.ABIs = []ABI{call(AuditI386, 0, 241), call(AuditX86_64, 0, 203), call(AuditX86_64, X32Bit, 203)}
	case ARM64:
		p.ABIs = []ABI{call(AuditARM, 0, 241), call(AuditAArch64, 0, 122)}
	default:
		return nil, fmt.Errorf("affinity filter for %q: %w", machine, ErrMachine)
	}
	return p.Compile(0)
}
