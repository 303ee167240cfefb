package main

import (
	"math/rand/v2"
	"slices"
	"testing"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/moss-sandbox/moss/userns/seccomp"
	"github.com/moss-sandbox/moss/userns/seccomp/seccomptest"
)

// The reference judges a call by walking moby's profile, with no code of the compiler or the profile reader.
type reference struct {
	arch   string
	caps   []string
	abi    string
	audit  uint32
	base   uint32
	table  map[string]uint32
	names  map[uint32][]string
	newest uint32
	rules  map[string][]*moby.Syscall // that apply, by name
}

func newReference(arch, abi string, audit, base uint32, caps []string, table map[string]uint32) *reference {
	r := &reference{arch: arch, caps: caps, abi: abi, audit: audit, base: base, table: table, names: map[uint32][]string{}}
	r.rules = map[string][]*moby.Syscall{}
	for name, n := range table {
		r.names[n] = append(r.names[n], name)
	}
	for _, s := range moby.DefaultProfile().Syscalls {
		for _, name := range s.Names {
			if n, ok := table[name]; ok && n < 512 && r.onThisMachine(s) {
				r.newest = max(r.newest, n)
			}
			if r.applies(s) {
				r.rules[name] = append(r.rules[name], s)
			}
		}
	}
	return r
}

func (r *reference) onThisMachine(s *moby.Syscall) bool {
	return (s.Includes == nil || len(s.Includes.Arches) == 0 || slices.Contains(s.Includes.Arches, r.arch)) &&
		(s.Excludes == nil || !slices.Contains(s.Excludes.Arches, r.arch))
}

func (r *reference) applies(s *moby.Syscall) bool {
	if !r.onThisMachine(s) {
		return false
	}
	if s.Includes != nil {
		for _, c := range s.Includes.Caps {
			if !slices.Contains(r.caps, c) {
				return false
			}
		}
	}
	if s.Excludes != nil {
		for _, c := range s.Excludes.Caps {
			if slices.Contains(r.caps, c) {
				return false
			}
		}
	}
	return true
}

const (
	allow  = 0x7fff0000
	eperm  = 0x00050001
	enosys = 0x00050026
)

func (r *reference) judge(number uint32, args [6]uint64) uint32 {
	names := r.names[number]
	if answer := r.own(names, args); answer != 0 {
		return answer
	}
	for _, name := range names {
		for _, s := range r.rules[name] {
			if slices.ContainsFunc(s.Args, func(a specs.LinuxSeccompArg) bool { return !holds(a, args[a.Index]) }) {
				continue
			}
			if s.Action == specs.ActAllow {
				return allow
			}
			return 0x00050000 | uint32(*s.ErrnoRet)
		}
	}
	if number > r.newest && !r.private(number) {
		return enosys
	}
	return eperm
}

func (r *reference) private(number uint32) bool {
	return r.abi == "arm" && number >= 0xf0000 && number < 0xf0800 || r.abi == "x32" && number >= 512 && number <= 547
}

// own are moss's additions, 0 where they say nothing.
func (r *reference) own(names []string, args [6]uint64) uint32 {
	switch {
	case slices.Contains(names, "socketcall"):
		return enosys
	case slices.Contains(names, "socket") && (uint32(args[0]) == 38 || uint32(args[0]) == 40):
		return eperm
	case slices.Contains(names, "ioctl") && (uint32(args[1]) == 0x5412 || uint32(args[1]) == 0x541c):
		return eperm
	}
	return 0
}

func holds(a specs.LinuxSeccompArg, v uint64) bool {
	switch a.Op {
	case specs.OpEqualTo:
		return v == a.Value
	case specs.OpLessThan:
		return v < a.Value
	case specs.OpGreaterThan:
		return v > a.Value
	case specs.OpMaskedEqual:
		return v&a.Value == a.ValueTwo
	}
	panic("operator " + a.Op + " is new in the profile")
}

func TestDefaultFilterEqualsTheProfile(t *testing.T) {
	tables, err := numberTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		machine   seccomp.Machine
		abi       string
		audit     uint32
		base, top uint32
	}{
		{seccomp.AMD64, "amd64", 0xc000003e, 0, 0x3fffffff},
		{seccomp.AMD64, "x32", 0xc000003e, 0x40000000, 0xbfffffff},
		{seccomp.AMD64, "386", 0x40000003, 0, 0xffffffff},
		{seccomp.ARM64, "arm64", 0xc00000b7, 0, 0xffffffff},
		{seccomp.ARM64, "arm", 0x40000028, 0, 0xffffffff},
	} {
		t.Run(m.abi, func(t *testing.T) {
			checked := 0
			for _, caps := range capabilitySets() {
				filter, err := seccomp.Default(m.machine, mask(t, caps))
				if err != nil {
					t.Fatal(err)
				}
				r := newReference(string(m.machine), m.abi, m.audit, m.base, caps, parseTable(t, tables["profile/numbers/"+m.abi]))
				checked += compare(t, filter, r, m.top)
			}
			if checked < 100_000 {
				t.Errorf("only %d calls were compared", checked)
			}
		})
	}
}

// compare judges every number with interesting and random arguments, both ways.
func compare(t *testing.T, filter seccomp.Filter, r *reference, top uint32) (checked int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, uint64(r.audit)))
	numbers := []uint32{0xeffff, 0xf0000, 0xf0001, 0xf0002, 0xf0005, 0xf0006, 0xf07ff, 0xf0800, top, top - 1}
	for n := range uint32(620) {
		numbers = append(numbers, n)
	}
	for _, n := range numbers {
		for range 60 {
			var args [6]uint64
			for i := range args {
				args[i] = interesting(random)
			}
			got, steps, err := seccomptest.Run(filter, seccomptest.Call{Number: r.base + n, Arch: r.audit, Arguments: args})
			if err != nil {
				t.Fatal(err)
			}
			if want := r.judge(n, args); got != want {
				t.Fatalf("%s %d %v %#x with %v: filter %#x, profile %#x", r.abi, n, r.names[n], args, r.caps, got, want)
			}
			if steps > 40 {
				t.Fatalf("%s %d takes %d steps", r.abi, n, steps)
			}
			checked++
		}
	}
	return checked
}

func interesting(random *rand.Rand) uint64 {
	values := []uint64{
		0, 1, 2, 8, 0x20000, 0x20008, 0xffffffff, 10, 37, 38, 39, 40, 41, 0x5412, 0x541c, 0x5413, 0x7e020000, 0x10000000,
		0x01200011, 1 << 40, ^uint64(0), random.Uint64(), uint64(random.Uint32()),
	}
	v := values[random.IntN(len(values))]
	if random.IntN(4) == 0 {
		v |= 0x123 << 32
	}
	return v
}

func capabilitySets() [][]string {
	docker := []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
	sets := [][]string{docker, nil, {"CAP_SYS_ADMIN"}, append(slices.Clone(docker), "CAP_SYS_PTRACE"), names()}
	random := rand.New(rand.NewPCG(2, 2))
	for range 3 {
		var set []string
		for _, name := range names() {
			if random.IntN(2) == 0 {
				set = append(set, name)
			}
		}
		sets = append(sets, set)
	}
	return sets
}

// names lists the capabilities by number, written down again so that an error in the profile reader's list shows.
func names() []string {
	return []string{
		0: "CAP_CHOWN", 1: "CAP_DAC_OVERRIDE", 2: "CAP_DAC_READ_SEARCH", 3: "CAP_FOWNER", 4: "CAP_FSETID", 5: "CAP_KILL",
		6: "CAP_SETGID", 7: "CAP_SETUID", 8: "CAP_SETPCAP", 9: "CAP_LINUX_IMMUTABLE", 10: "CAP_NET_BIND_SERVICE",
		11: "CAP_NET_BROADCAST", 12: "CAP_NET_ADMIN", 13: "CAP_NET_RAW", 14: "CAP_IPC_LOCK", 15: "CAP_IPC_OWNER",
		16: "CAP_SYS_MODULE", 17: "CAP_SYS_RAWIO", 18: "CAP_SYS_CHROOT", 19: "CAP_SYS_PTRACE", 20: "CAP_SYS_PACCT",
		21: "CAP_SYS_ADMIN", 22: "CAP_SYS_BOOT", 23: "CAP_SYS_NICE", 24: "CAP_SYS_RESOURCE", 25: "CAP_SYS_TIME",
		26: "CAP_SYS_TTY_CONFIG", 27: "CAP_MKNOD", 28: "CAP_LEASE", 29: "CAP_AUDIT_WRITE", 30: "CAP_AUDIT_CONTROL",
		31: "CAP_SETFCAP", 32: "CAP_MAC_OVERRIDE", 33: "CAP_MAC_ADMIN", 34: "CAP_SYSLOG", 35: "CAP_WAKE_ALARM",
		36: "CAP_BLOCK_SUSPEND", 37: "CAP_AUDIT_READ", 38: "CAP_PERFMON", 39: "CAP_BPF", 40: "CAP_CHECKPOINT_RESTORE",
	}
}

func mask(t *testing.T, caps []string) (set uint64) {
	t.Helper()
	for _, c := range caps {
		n := slices.Index(names(), c)
		if n < 0 {
			t.Fatalf("capability %q", c)
		}
		set |= 1 << n
	}
	return set
}

func TestUnknownArchitectureIsKilled(t *testing.T) {
	for _, machine := range []seccomp.Machine{seccomp.AMD64, seccomp.ARM64} {
		filter, err := seccomp.Default(machine, seccomp.DefaultCaps)
		if err != nil {
			t.Fatal(err)
		}
		for _, audit := range []uint32{0, 0xc00000f3, 0x80000016, 0x4000003e, 0xc0000003} {
			if got, _, err := seccomptest.Run(filter, seccomptest.Call{Arch: audit}); got != 0x80000000 || err != nil {
				t.Errorf("%s, architecture %#x: %#x, %v", machine, audit, got, err)
			}
		}
	}
}
