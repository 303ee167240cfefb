package profile

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moss-sandbox/moss/userns/seccomp"
	"github.com/moss-sandbox/moss/userns/seccomp/seccomptest"
)

// Random profiles with all operators, compiled, against an interpreter of the document that shares no code with the
// compiler. One call has rules with and without arguments, so the order of rules is tested too.
func TestRandomProfilesEqualTheirInterpreter(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	names := []string{"read", "write", "open", "close", "stat", "fstat", "mmap", "clone", "socket", "personality", "fchmodat2"}
	tables := map[uint32]map[string]uint32{}
	for _, a := range abis() {
		if a.name == "SCMP_ARCH_X86_64" || a.name == "SCMP_ARCH_X86" {
			table, err := a.load()
			if err != nil {
				t.Fatal(err)
			}
			tables[a.audit] = table
		}
	}
	for range 300 {
		d := randomDocument(random, names)
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		filter, err := Compile(text, amd64, 0)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for range 400 {
			audit := []uint32{native, i386}[random.IntN(2)]
			name := names[random.IntN(len(names))]
			call := seccomptest.Call{Arch: audit, Number: tables[audit][name]}
			for i := range call.Arguments {
				call.Arguments[i] = randomValue(random)
			}
			got, _, err := seccomptest.Run(filter, call)
			if want := interpret(d, name, call.Arguments); err != nil || got != want {
				t.Fatalf("%s %#x: filter %#x, %v, profile %#x\n%s", name, call.Arguments, got, err, want, text)
			}
		}
	}
}

func randomValue(random *rand.Rand) uint64 {
	values := []uint64{0, 1, 7, 8, 9, 0xffffffff, 1 << 32, 1<<32 | 8, 1<<33 | 7, ^uint64(0), random.Uint64()}
	return values[random.IntN(len(values))]
}

// randomDocument gives each rule another errno, so that an answer tells which rule it came from.
func randomDocument(random *rand.Rand, names []string) document {
	d := document{DefaultAction: "SCMP_ACT_ALLOW", Architectures: []string{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"}}
	ops := []string{
		"SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_MASKED_EQ",
	}
	for i := range 3 + random.IntN(60) {
		errno := uint16(100 + i)
		r := rule{Names: []string{names[random.IntN(len(names))]}, Action: "SCMP_ACT_ERRNO", Errno: &errno}
		for _, index := range random.Perm(6)[:random.IntN(4)] {
			a := argument{Index: uint8(index), Op: ops[random.IntN(len(ops))], Value: randomValue(random), ValueTwo: randomValue(random)}
			if random.IntN(2) == 0 {
				a.ValueTwo &= a.Value
			}
			r.Args = append(r.Args, a)
		}
		d.Syscalls = append(d.Syscalls, r)
	}
	return d
}

// interpret judges as libseccomp documents it: the first unconditional rule, else the first that matches.
func interpret(d document, name string, args [6]uint64) uint32 {
	var mine []rule
	for _, r := range d.Syscalls {
		if slices.Contains(r.Names, name) {
			mine = append(mine, r)
		}
	}
	for _, r := range mine {
		if len(r.Args) == 0 {
			return 0x00050000 | uint32(*r.Errno)
		}
	}
	for _, r := range mine {
		if !slices.ContainsFunc(r.Args, func(a argument) bool { return !compares(a, args[a.Index]) }) {
			return 0x00050000 | uint32(*r.Errno)
		}
	}
	return seccomp.Allow
}

func compares(a argument, v uint64) bool {
	switch a.Op {
	case "SCMP_CMP_EQ":
		return v == a.Value
	case "SCMP_CMP_NE":
		return v != a.Value
	case "SCMP_CMP_LT":
		return v < a.Value
	case "SCMP_CMP_LE":
		return v <= a.Value
	case "SCMP_CMP_GT":
		return v > a.Value
	case "SCMP_CMP_GE":
		return v >= a.Value
	case "SCMP_CMP_MASKED_EQ":
		return v&a.Value == a.ValueTwo
	}
	panic(fmt.Sprintf("operator %q", a.Op))
}
