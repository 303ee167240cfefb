package seccomp

import _ "embed" // the ready filters are strings of this binary

//go:generate go run ./internal/gen

// The default policy compiled for DefaultCaps, and the single-id policy, per machine.
var (
	//go:embed default_x86.bpf
	defaultX86 string
	//go:embed default_arm.bpf
	defaultARM string
	//go:embed single_x86.bpf
	singleX86 string
	//go:embed single_arm.bpf
	singleARM string
)

func defaultPolicy(machine Machine) (*Policy, string) {
	switch machine {
	case AMD64:
		return &policyX86, defaultX86
	case ARM64:
		return &policyARM, defaultARM
	}
	return nil, ""
}
