package profile

import "slices"

// multiplexers returns the numbers of i386's socketcall and ipc where the profile names one of the calls they stand for but
// not them: the rules cannot see through a pointer, and C libraries fall back to the single calls on ENOSYS.
func (t *translation) multiplexers(table map[string]uint32) []uint32 {
	var numbers []uint32
	for _, m := range []struct {
		name  string
		calls []string
	}{
		{"socketcall", []string{
			"socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send", "recv",
			"sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg",
			"sendmmsg",
		}},
		{"ipc", []string{
			"semop", "semget", "semctl", "semtimedop", "msgsnd", "msgrcv", "msgget", "msgctl", "shmat", "shmdt", "shmget",
			"shmctl",
		}},
	} {
		if n, exists := table[m.name]; exists && !t.named(m.name) && slices.ContainsFunc(m.calls, t.named) {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func (t *translation) named(call string) bool {
	return slices.ContainsFunc(t.names, func(names []string) bool { return slices.Contains(names, call) })
}
