package spawn_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/userns/spawn"
)

// An interpreter is a way to run lists. All pass the same cases.
type interpreter struct {
	name     string
	start    func(*spawn.List, spawn.Options) (int, error)
	emulated bool // by qemu-user, which has threads of its own, lacks clone3(2) and starts no program of its architecture
	private  int  // kB of memory that a list may cost while it rests; Go's heap may have got huge pages
}

// emulatorEnv names a user mode emulator for the test binary of another architecture:
//
//	GOARCH=arm64 go test -c -o arm64.test ./userns/spawn && MOSS_TEST_EMULATOR=$(which qemu-aarch64) qemu-aarch64 ./arm64.test
const emulatorEnv = "MOSS_TEST_EMULATOR"

// interpreters are those that this machine has.
func interpreters() []interpreter {
	if e := os.Getenv(emulatorEnv); e != "" {
		under := func(l *spawn.List, o spawn.Options) (int, error) { return l.StartUnder(e, o) }
		return []interpreter{{name: "emulated assembler", start: under, emulated: true}}
	}
	list := []interpreter{{name: "portable", start: (*spawn.List).Reexecute, private: 8192}}
	if spawn.HasAssembler {
		list = append(list, interpreter{name: "assembler", start: (*spawn.List).Start, private: 64})
	}
	return list
}

// each runs a case over every interpreter.
func each(t *testing.T, run func(t *testing.T, i interpreter)) {
	t.Helper()
	for _, i := range interpreters() {
		t.Run(i.name, func(t *testing.T) { run(t, i) })
	}
}

// native skips what an emulator cannot do.
func (i interpreter) native(t *testing.T, why string) {
	t.Helper()
	if i.emulated {
		t.Skip("the emulator " + why)
	}
}

// An outcome is what a list did.
type outcome struct {
	told []uint64
	err  error
	code int
	pid  int
}

// report is the descriptor on which the lists of this suite report.
const report = 3

// run runs a list to its end; more descriptors become 4, 5, …
func (i interpreter) run(t *testing.T, l *spawn.List, more ...int) (o outcome) {
	t.Helper()
	pid, r := i.begin(t, l, more...)
	o.pid = pid
	o.err = l.Reports(r, func(v uint64) { o.told = append(o.told, v) })
	ws, err := spawn.Wait(pid)
	if err != nil {
		t.Fatal(err)
	}
	o.code = ws.ExitStatus()
	if ws.Signaled() {
		o.code = -int(ws.Signal())
	}
	return o
}

// begin starts a list and returns its reports.
func (i interpreter) begin(t *testing.T, l *spawn.List, more ...int) (int, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	pid, err := i.start(l, spawn.Options{Name: "moss-test", Files: append([]int{0, 1, 2, int(w.Fd())}, more...), Report: report, TmpDir: t.TempDir()})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return pid, r
}

// want compares an outcome without failure.
func (o outcome) want(t *testing.T, code int, told ...uint64) {
	t.Helper()
	if o.err != nil || o.code != code || len(o.told) != len(told) {
		t.Fatalf("%+v, want code %d, told %v", o, code, told)
	}
	for i := range told {
		if o.told[i] != told[i] {
			t.Fatalf("told %v, want %v", o.told, told)
		}
	}
}

// wantFailure compares an outcome with the failure of a call.
func (o outcome) wantFailure(t *testing.T, call string, errno syscall.Errno) {
	t.Helper()
	ce, ok := o.err.(*spawn.CallError)
	if !ok || ce.Call != call || ce.Errno != errno {
		t.Fatalf("%+v, want %s: %v", o, call, errno)
	}
}

const atFdcwd = ^uintptr(99)

func exit(l *spawn.List, code uintptr) spawn.Op {
	return l.Call("exit", syscall.SYS_EXIT_GROUP, code)
}

// openNothing is a call that fails with ENOENT.
func openNothing(l *spawn.List) spawn.Op {
	return l.Call("opening nothing", syscall.SYS_OPENAT, atFdcwd, l.Str("/does/not/exist"), 0)
}

// tell reports a constant.
func tell(l *spawn.List, v uint64) {
	l.Call("telling", syscall.SYS_WRITE, report, uintptr(l.Words(v, spawn.Told)), 16)
}

func TestMain(m *testing.M) {
	switch os.Args[0] { // programs that lists of this suite execute
	case "exits with 7":
		os.Exit(7)
	case "lives until its input ends":
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}
	os.Exit(m.Run())
}
