package seccomp_test

import (
	"errors"
	"testing"

	"github.com/moss-sandbox/moss/userns/seccomp"
	"github.com/moss-sandbox/moss/userns/seccomp/seccomptest"
)

func TestMachineWithoutTablesIsAnError(t *testing.T) {
	if _, err := seccomp.Default("riscv64", 0); !errors.Is(err, seccomp.ErrMachine) {
		t.Errorf("Default: %v", err)
	}
	if _, err := seccomp.SingleID("riscv64"); !errors.Is(err, seccomp.ErrMachine) {
		t.Errorf("SingleID: %v", err)
	}
}

// A ready filter that differs from the compiled one would confine by an old profile.
func TestReadyFilterEqualsTheCompiledOne(t *testing.T) {
	for _, machine := range []seccomp.Machine{seccomp.AMD64, seccomp.ARM64} {
		ready, err := seccomp.Default(machine, seccomp.DefaultCaps)
		if err != nil {
			t.Fatal(err)
		}
		const wakeAlarm = 1 << 35 // no rule asks for it, so the program must be the same
		compiled, err := seccomp.Default(machine, seccomp.DefaultCaps|wakeAlarm)
		if err != nil {
			t.Fatal(err)
		}
		if string(ready) != string(compiled) {
			t.Errorf("%s: %d instructions ready, %d compiled", machine, ready.Instructions(), compiled.Instructions())
		}
	}
}

// Loading costs by the instruction (research/core.md, pitfall 10); the first compiler needed 702 for amd64.
func TestFilterIsShort(t *testing.T) {
	for _, machine := range []seccomp.Machine{seccomp.AMD64, seccomp.ARM64} {
		if f := joined(t, machine); f.Instructions() > 480 {
			t.Errorf("%s: %d instructions", machine, f.Instructions())
		}
	}
}

func TestJoinRefusesWhatTheKernelWould(t *testing.T) {
	long := make(seccomp.Filter, 8*2049)
	if _, err := seccomp.Join(long, long); !errors.Is(err, seccomp.ErrTooLong) {
		t.Errorf("joining 4098 instructions: %v", err)
	}
}

func joined(t *testing.T, machine seccomp.Machine) seccomp.Filter {
	t.Helper()
	single, err := seccomp.SingleID(machine)
	if err != nil {
		t.Fatal(err)
	}
	base, err := seccomp.Default(machine, seccomp.DefaultCaps)
	if err != nil {
		t.Fatal(err)
	}
	f, err := seccomp.Join(single, base)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const faked = 0x00050000

func TestSingleIDFakesOnEveryABI(t *testing.T) {
	const x86, x32, i386, a64, arm = 0xc000003e, 0x40000000, 0x40000003, 0xc00000b7, 0x40000028
	const char, block, fifo = 0o020600, 0o060600, 0o010600
	cases := []struct {
		name    string
		machine seccomp.Machine
		arch    uint32
		number  uint32
		args    [6]uint64
		faked   bool
	}{
		{"chown", seccomp.AMD64, x86, 92, [6]uint64{}, true},
		{"fchown", seccomp.AMD64, x86, 93, [6]uint64{}, true},
		{"lchown", seccomp.AMD64, x86, 94, [6]uint64{}, true},
		{"fchownat", seccomp.AMD64, x86, 260, [6]uint64{}, true},
		{"setuid", seccomp.AMD64, x86, 105, [6]uint64{33}, true},
		{"setgid", seccomp.AMD64, x86, 106, [6]uint64{33}, true},
		{"setreuid", seccomp.AMD64, x86, 113, [6]uint64{}, true},
		{"setregid", seccomp.AMD64, x86, 114, [6]uint64{}, true},
		{"setgroups", seccomp.AMD64, x86, 116, [6]uint64{}, true},
		{"setresuid", seccomp.AMD64, x86, 117, [6]uint64{}, true},
		{"setresgid", seccomp.AMD64, x86, 119, [6]uint64{}, true},
		{"getuid", seccomp.AMD64, x86, 102, [6]uint64{}, false},
		{"getgid", seccomp.AMD64, x86, 104, [6]uint64{}, false},
		{"setfsuid", seccomp.AMD64, x86, 122, [6]uint64{33}, false},
		{"capset", seccomp.AMD64, x86, 126, [6]uint64{}, false},
		{"mknod char", seccomp.AMD64, x86, 133, [6]uint64{0, char, 0x103}, true},
		{"mknod whiteout", seccomp.AMD64, x86, 133, [6]uint64{0, char, 0}, false},
		{"mknod char, high bits", seccomp.AMD64, x86, 133, [6]uint64{0, 1<<32 | char, 0x103}, true},
		{"mknod block", seccomp.AMD64, x86, 133, [6]uint64{0, block, 0x801}, true},
		{"mknod fifo", seccomp.AMD64, x86, 133, [6]uint64{0, fifo, 0}, false},
		{"mknod file", seccomp.AMD64, x86, 133, [6]uint64{0, 0o100600, 5}, false},
		{"mknodat char", seccomp.AMD64, x86, 259, [6]uint64{0, 0, char, 0x103}, true},
		{"mknodat block", seccomp.AMD64, x86, 259, [6]uint64{0, 0, block, 0}, true},
		{"mknodat socket", seccomp.AMD64, x86, 259, [6]uint64{0, 0, 0o140600, 5}, false},
		{"x32 chown", seccomp.AMD64, x86, x32 | 92, [6]uint64{}, true},
		{"x32 setresuid", seccomp.AMD64, x86, x32 | 117, [6]uint64{}, true},
		{"x32 mknodat char", seccomp.AMD64, x86, x32 | 259, [6]uint64{0, 0, char, 0x103}, true},
		{"i386 chown", seccomp.AMD64, i386, 182, [6]uint64{}, true},
		{"i386 lchown16", seccomp.AMD64, i386, 16, [6]uint64{}, true},
		{"i386 chown32", seccomp.AMD64, i386, 212, [6]uint64{}, true},
		{"i386 setuid16", seccomp.AMD64, i386, 23, [6]uint64{}, true},
		{"i386 setuid32", seccomp.AMD64, i386, 213, [6]uint64{}, true},
		{"i386 setgroups32", seccomp.AMD64, i386, 206, [6]uint64{}, true},
		{"i386 setresgid32", seccomp.AMD64, i386, 210, [6]uint64{}, true},
		{"i386 mknod block", seccomp.AMD64, i386, 14, [6]uint64{0, block, 0x801}, true},
		{"i386 mknodat char", seccomp.AMD64, i386, 297, [6]uint64{0, 0, char, 0x103}, true},
		{"arm64 fchownat", seccomp.ARM64, a64, 54, [6]uint64{}, true},
		{"arm64 fchown", seccomp.ARM64, a64, 55, [6]uint64{}, true},
		{"arm64 setgroups", seccomp.ARM64, a64, 159, [6]uint64{}, true},
		{"arm64 mknodat char", seccomp.ARM64, a64, 33, [6]uint64{0, 0, char, 0x103}, true},
		{"arm64 mknodat fifo", seccomp.ARM64, a64, 33, [6]uint64{0, 0, fifo, 0}, false},
		{"arm setuid32", seccomp.ARM64, arm, 213, [6]uint64{}, true},
		{"arm chown32", seccomp.ARM64, arm, 212, [6]uint64{}, true},
		{"arm mknod char", seccomp.ARM64, arm, 14, [6]uint64{0, char, 0x103}, true},
	}
	for _, c := range cases {
		call := seccomptest.Call{Arch: c.arch, Number: c.number, Arguments: c.args}
		got, _, err := seccomptest.Run(joined(t, c.machine), call)
		want := uint32(seccomp.Allow)
		if c.faked {
			want = faked
		}
		if err != nil || got != want {
			t.Errorf("%s: %#x, %v", c.name, got, err)
		}
	}
}

// What single-id does not fake, the joined filter judges as the container's filter alone: faking must not open anything.
func TestSingleIDOpensNothing(t *testing.T) {
	arches := map[seccomp.Machine][]uint32{seccomp.AMD64: {0xc000003e, 0x40000003, 0xdead}, seccomp.ARM64: {0xc00000b7, 0x40000028, 0xdead}}
	for machine, audits := range arches {
		both := joined(t, machine)
		base, err := seccomp.Default(machine, seccomp.DefaultCaps)
		if err != nil {
			t.Fatal(err)
		}
		for _, arch := range audits {
			fakes := 0
			for n := range uint32(1400) {
				number := n%700 + n/700*seccomp.X32Bit
				for _, args := range [][6]uint64{{}, {38, 0x5412}, {1 << 28, 0o020600, 0o020600, 7}, {^uint64(0), ^uint64(0)}} {
					call := seccomptest.Call{Arch: arch, Number: number, Arguments: args}
					with, _, err := seccomptest.Run(both, call)
					without, _, err2 := seccomptest.Run(base, call)
					if err != nil || err2 != nil {
						t.Fatal(err, err2)
					}
					if with == faked && without == seccomp.Allow {
						fakes++
					} else if with != without {
						t.Fatalf("%s %#x %#x %#x: joined %#x, alone %#x", machine, arch, number, args, with, without)
					}
				}
			}
			if known := arch != 0xdead; known != (fakes > 0) {
				t.Errorf("%s %#x: %d calls faked", machine, arch, fakes)
			}
		}
	}
}
