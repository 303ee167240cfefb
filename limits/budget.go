package limits

// Budget is a ceiling on all of a user's containers together; zero fields bound nothing. It guards against mistakes: the user
// owns the processes and could run them without moss.
type Budget struct {
	Memory Size  `json:"memory,omitempty"`
	CPUs   CPUs  `json:"cpus,omitempty"`
	Pids   int64 `json:"pids,omitempty"`
}

// Lowered returns the budget with the user's own wishes, which can only make it smaller.
func (b Budget) Lowered(user Budget) Budget {
	return Budget{Memory: lower(b.Memory, user.Memory), CPUs: lower(b.CPUs, user.CPUs), Pids: lower(b.Pids, user.Pids)}
}

// Bound lowers one container's limits to the budget, for hosts where no cgroup bounds the sum: a container that asks for
// nothing gets the ceiling itself.
func (b Budget) Bound(l Limits) Limits {
	l.Memory = lower(l.Memory, b.Memory)
	if b.Pids > 0 {
		l.Pids = lower(max(l.Pids, 0), b.Pids)
	}
	if b.CPUs > 0 && (l.CPULimit() == 0 || l.CPULimit() > b.CPUs) {
		l.CPUs, l.Quota, l.Period = b.CPUs, 0, 0
	}
	return l
}

// lower is the smaller of two bounds, where zero is none.
func lower[T int64 | Size | CPUs](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
