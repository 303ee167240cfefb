package seccomp

// Answers of a filter, the values of SECCOMP_RET_* (linux/seccomp.h).
const (
	KillProcess uint32 = 0x80000000
	KillThread  uint32 = 0x00000000
	Trap        uint32 = 0x00030000
	Trace       uint32 = 0x7ff00000
	Log         uint32 = 0x7ffc0000
	Allow       uint32 = 0x7fff0000
)

// Errno is the answer that fails a call with the error number, without executing it; 0 fakes success.
func Errno(number uint16) uint32 { return 0x00050000 | uint32(number) }

// Policy is a resolved profile: which system calls get which answer, on each ABI. Where several groups name a call, the first
// that applies and matches answers.
type Policy struct {
	// Default answers calls that no group matches.
	Default uint32
	Groups  []Group
	ABIs    []ABI
}

// Group is one rule of a profile: it applies when the bounding set has all of Need and none of Not, and matches when all
// Conditions hold.
type Group struct {
	Need, Not  uint64
	Answer     uint32
	Conditions []Condition
}

// applies tells whether the group counts for a container with these capabilities.
func (g Group) applies(caps uint64) bool { return g.Need&^caps == 0 && g.Not&caps == 0 }

// Condition compares a 64-bit argument with Value; MaskedEqual compares argument & Mask.
type Condition struct {
	Argument    uint8
	Operator    Operator
	Value, Mask uint64
}

// Operator is a comparison of the OCI runtime specification.
type Operator uint8

// The comparisons.
const (
	Equal Operator = iota
	NotEqual
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
	MaskedEqual
)

// ABI is one calling convention with its spans. X32 shares its audit value with x86-64 and is told by bit 30 of the number.
type ABI struct {
	// Audit is the AUDIT_ARCH_* value of seccomp_data.arch.
	Audit uint32
	// Base is added to all numbers of the spans: X32Bit or 0.
	Base  uint32
	Spans []Span
}

// X32Bit marks the system call numbers of x32 (__X32_SYSCALL_BIT).
const X32Bit uint32 = 0x40000000

// Span says that Policy.Groups[Group] names the calls From to To, both included, without the ABI's Base.
type Span struct {
	From, To uint32
	Group    uint16
}

// AUDIT_ARCH_* values (linux/audit.h).
const (
	AuditX86_64  uint32 = 0xc000003e
	AuditI386    uint32 = 0x40000003
	AuditAArch64 uint32 = 0xc00000b7
	AuditARM     uint32 = 0x40000028
)
