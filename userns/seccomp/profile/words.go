package profile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/userns/seccomp"
)

const eperm = 1

// answerOf translates an action of the OCI specification.
func answerOf(action string, errno *uint16) (uint32, error) {
	number := uint16(eperm)
	if errno != nil {
		number = *errno
	}
	switch action {
	case "SCMP_ACT_ALLOW":
		return seccomp.Allow, withoutErrno(action, errno)
	case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD":
		return seccomp.KillThread, withoutErrno(action, errno)
	case "SCMP_ACT_KILL_PROCESS":
		return seccomp.KillProcess, withoutErrno(action, errno)
	case "SCMP_ACT_TRAP":
		return seccomp.Trap, withoutErrno(action, errno)
	case "SCMP_ACT_LOG":
		return seccomp.Log, withoutErrno(action, errno)
	case "SCMP_ACT_ERRNO":
		if number > 4095 { // MAX_ERRNO: the kernel would cut it
			return 0, fmt.Errorf("errnoRet %d is above 4095", number)
		}
		return seccomp.Errno(number), nil
	case "SCMP_ACT_TRACE":
		return seccomp.Trace | uint32(number), nil
	case "SCMP_ACT_NOTIFY":
		return 0, fmt.Errorf("action %s is not supported: moss serves no user notification", action)
	}
	return 0, fmt.Errorf("unknown action %q", action)
}

func withoutErrno(action string, errno *uint16) error {
	if errno != nil && *errno != 0 {
		return fmt.Errorf("action %s takes no errnoRet", action)
	}
	return nil
}

// comparisons translates a rule's tests.
func comparisons(args []argument) ([]seccomp.Condition, error) {
	var out []seccomp.Condition
	for _, a := range args {
		if a.Index > 5 {
			return nil, fmt.Errorf("argument %d: a system call has arguments 0 to 5", a.Index)
		}
		c := seccomp.Condition{Argument: a.Index, Value: a.Value}
		switch a.Op {
		case "SCMP_CMP_EQ":
			c.Operator = seccomp.Equal
		case "SCMP_CMP_NE":
			c.Operator = seccomp.NotEqual
		case "SCMP_CMP_LT":
			c.Operator = seccomp.Less
		case "SCMP_CMP_LE":
			c.Operator = seccomp.LessOrEqual
		case "SCMP_CMP_GT":
			c.Operator = seccomp.Greater
		case "SCMP_CMP_GE":
			c.Operator = seccomp.GreaterOrEqual
		case "SCMP_CMP_MASKED_EQ":
			c.Operator, c.Mask, c.Value = seccomp.MaskedEqual, a.Value, a.ValueTwo
		default:
			return nil, fmt.Errorf("argument %d: unknown operator %q", a.Index, a.Op)
		}
		out = append(out, c)
	}
	return out, nil
}

// split makes one group per test where an argument is tested twice (runc, libcontainer/seccomp/seccomp_linux.go: libseccomp
// takes one test an argument).
func split(g seccomp.Group) []seccomp.Group {
	seen := map[uint8]bool{}
	twice := slices.ContainsFunc(g.Conditions, func(c seccomp.Condition) bool {
		again := seen[c.Argument]
		seen[c.Argument] = true
		return again
	})
	if !twice {
		return []seccomp.Group{g}
	}
	var out []seccomp.Group
	for _, c := range g.Conditions {
		one := g
		one.Conditions = []seccomp.Condition{c}
		out = append(out, one)
	}
	return out
}

// capabilities turns names into a set.
func capabilities(names []string) (set uint64, err error) {
	for _, name := range names {
		n := slices.Index(capabilityNames(), strings.ToUpper(name))
		if n < 0 {
			return 0, fmt.Errorf("unknown capability %q", name)
		}
		set |= 1 << n
	}
	return set, nil
}

// capabilityNames lists the names by number (linux/capability.h).
func capabilityNames() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
		"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
		"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
		"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
		"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
		"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
	}
}
