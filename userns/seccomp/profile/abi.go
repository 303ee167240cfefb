package profile

import (
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moss-sandbox/moss/userns/seccomp"
)

// numbers holds one table per ABI, lines of "name number", made by internal/gen.
//
//go:embed numbers
var numbers embed.FS

// abi describes one of the architectures of the OCI specification.
type abi struct {
	name    string
	machine seccomp.Machine
	audit   uint32
	base    uint32
	table   string
	// newest is the last number of the block that all ABIs have in common since Linux 5.0; beyond it lie private blocks.
	private []seccomp.Span
}

// The ABIs in the order their filters are laid out: x32 directly after x86-64, whose audit value it shares.
func abis() []abi {
	return []abi{
		{name: "SCMP_ARCH_X86_64", machine: seccomp.AMD64, audit: seccomp.AuditX86_64, table: "amd64"},
		{
			name: "SCMP_ARCH_X32", machine: seccomp.AMD64, audit: seccomp.AuditX86_64, base: seccomp.X32Bit, table: "x32",
			private: []seccomp.Span{{From: 512, To: 547}},
		},
		{name: "SCMP_ARCH_X86", machine: seccomp.AMD64, audit: seccomp.AuditI386, table: "386"},
		{name: "SCMP_ARCH_AARCH64", machine: seccomp.ARM64, audit: seccomp.AuditAArch64, table: "arm64"},
		{
			name: "SCMP_ARCH_ARM", machine: seccomp.ARM64, audit: seccomp.AuditARM, table: "arm",
			private: []seccomp.Span{{From: 0xf0000, To: 0xf07ff}},
		},
	}
}

// limit is the highest number a call of this ABI can have, without base.
func (a abi) limit(x32 bool) uint32 {
	if a.audit == seccomp.AuditX86_64 && a.base == 0 && x32 {
		return seccomp.X32Bit - 1
	}
	return ^uint32(0) - a.base
}

// table reads the numbers of one ABI.
func (a abi) load() (map[string]uint32, error) {
	text, err := numbers.ReadFile("numbers/" + a.table)
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	table := make(map[string]uint32, 512)
	for line := range strings.Lines(string(text)) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("internal error: number table %s: %w", a.table, err)
		}
		table[name] = uint32(n)
	}
	return table, nil
}

// unnamed lists what lies above the newest named number and outside of the private block.
func (a abi) unnamed(newest uint32, x32 bool) []seccomp.Span {
	spans := []seccomp.Span{}
	from := newest + 1
	for _, p := range a.private {
		spans = append(spans, seccomp.Span{From: from, To: p.From - 1})
		from = p.To + 1
	}
	return append(spans, seccomp.Span{From: from, To: a.limit(x32)})
}

// isPrivate tells whether a number lies in the private block.
func (a abi) isPrivate(number uint32) bool {
	return slices.ContainsFunc(a.private, func(p seccomp.Span) bool { return number >= p.From && number <= p.To })
}
