package profile

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/userns/seccomp"
	"github.com/moss-sandbox/moss/userns/seccomp/seccomptest"
)

var amd64 = Host{Machine: seccomp.AMD64, Kernel: "6.18.5-cloud"}

func TestProfilesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no json", `{`, "unexpected end"},
		{"notify", `{"defaultAction":"SCMP_ACT_NOTIFY"}`, "SCMP_ACT_NOTIFY is not supported"},
		{"listener", `{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"}`, "user notification"},
		{"unknown default", `{"defaultAction":"ALLOW"}`, `unknown action "ALLOW"`},
		{"no default", `{"syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}`, `unknown action ""`},
		{"unknown action", rules(`{"names":["read"],"action":"SCMP_ACT_DENY"}`), `syscalls[0] (read): unknown action`},
		{"unknown operator", rules(`{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"op":"EQ"}]}`), `unknown operator "EQ"`},
		{"seventh argument", rules(`{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}`), "arguments 0 to 5"},
		{"unknown capability", rules(`{"names":["read"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_FLY"]}}`), `unknown capability "CAP_FLY"`},
		{"kernel", rules(`{"names":["read"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8.1"}}`), "not MAJOR.MINOR"},
		{"both names", rules(`{"name":"read","names":["write"],"action":"SCMP_ACT_ALLOW"}`), "both name"},
		{"no names", rules(`{"action":"SCMP_ACT_ALLOW"}`), "no name"},
		{"big errno", rules(`{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":5000}`), "above 4095"},
		{"errno of allow", rules(`{"names":["read"],"action":"SCMP_ACT_ALLOW","errnoRet":5}`), "takes no errnoRet"},
		{"flag", `{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"]}`, "FLAG_LOG"},
		{"two kinds of arches", `{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}`, "both architectures and archMap"},
	} {
		if _, err := Compile([]byte(c.text), amd64, 0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestEmptyProfileMeansUnconfined(t *testing.T) {
	if f, err := Compile([]byte(`{}`), amd64, 0); err != nil || f != nil {
		t.Errorf("%d bytes, %v", len(f), err)
	}
}

// rules makes a refusing profile for amd64 and i386.
func rules(list ...string) string {
	return `{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],"syscalls":[` +
		strings.Join(list, ",") + `]}`
}

const (
	native = seccomp.AuditX86_64
	i386   = seccomp.AuditI386
	eAcces = 13
)

func TestWhatProfilesMean(t *testing.T) {
	read := `{"names":["read"],"action":"SCMP_ACT_ALLOW"`
	cond := func(args string) string { return read + `,"args":[` + args + `]}` }
	one := `{"index":0,"value":1,"op":"SCMP_CMP_EQ"}`
	two := `{"index":0,"value":2,"op":"SCMP_CMP_EQ"}`
	acces := `{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":13`
	newCalls := rules(`{"names":["fchmodat2"],"action":"SCMP_ACT_ALLOW"}`)
	socket := `{"names":["socket"],"action":"SCMP_ACT_ALLOW"}`
	for _, c := range []struct {
		name string
		text string
		call seccomptest.Call
		want uint32
	}{
		{"named", rules(read + `}`), seccomptest.Call{Arch: native}, seccomp.Allow},
		{"not named", rules(read + `}`), seccomptest.Call{Arch: native, Number: 1}, seccomp.Errno(38)},
		{"below the newest", newCalls, seccomptest.Call{Arch: native, Number: 1}, seccomp.Errno(1)},
		{"the newest", newCalls, seccomptest.Call{Arch: native, Number: 452}, seccomp.Allow},
		{"newer", newCalls, seccomptest.Call{Arch: native, Number: 453}, seccomp.Errno(38)},
		{"newer, i386", newCalls, seccomptest.Call{Arch: i386, Number: 453}, seccomp.Errno(38)},
		{"x32 not listed", rules(read + `}`), seccomptest.Call{Arch: native, Number: seccomp.X32Bit}, seccomp.KillProcess},
		{"cancelled by a tracer", rules(read + `}`), seccomptest.Call{Arch: native, Number: ^uint32(0)}, seccomp.Errno(38)},
		{"foreign architecture", rules(read + `}`), seccomptest.Call{Arch: seccomp.AuditARM}, seccomp.KillProcess},
		{"argument", rules(cond(one)), seccomptest.Call{Arch: native, Arguments: [6]uint64{1}}, seccomp.Allow},
		{"other argument", rules(cond(one)), seccomptest.Call{Arch: native, Arguments: [6]uint64{3}}, seccomp.Errno(1)},
		{"argument twice is or", rules(cond(one + "," + two)), seccomptest.Call{Arch: native, Arguments: [6]uint64{2}}, seccomp.Allow},
		{"unconditional beats earlier", rules(acces+`,"args":[`+one+`]}`, read+`}`), seccomptest.Call{Arch: native, Arguments: [6]uint64{1}}, seccomp.Allow},
		{"unconditional beats later", rules(acces+`}`, cond(one)), seccomptest.Call{Arch: native, Arguments: [6]uint64{1}}, seccomp.Errno(eAcces)},
		{"first match answers", rules(cond(one), acces+`,"args":[`+one+`]}`), seccomptest.Call{Arch: native, Arguments: [6]uint64{1}}, seccomp.Allow},
		{"default repeated is left out", rules(`{"names":["read"],"action":"SCMP_ACT_ERRNO"}`, cond(one)), seccomptest.Call{Arch: native, Arguments: [6]uint64{1}}, seccomp.Allow},
		{"capability missing", rules(read + `,"includes":{"caps":["CAP_SYS_TIME"]}}`), seccomptest.Call{Arch: native}, seccomp.Errno(1)},
		{"other arch", rules(read + `,"includes":{"arches":["arm64"]}}`), seccomptest.Call{Arch: native}, seccomp.Errno(1)},
		{"excluded arch", rules(read + `,"excludes":{"arches":["amd64"]}}`), seccomptest.Call{Arch: native}, seccomp.Errno(1)},
		{"old kernel", rules(read + `,"includes":{"minKernel":"6.19"}}`), seccomptest.Call{Arch: native}, seccomp.Errno(1)},
		{"new kernel", rules(read + `,"includes":{"minKernel":"6.18"}}`), seccomptest.Call{Arch: native}, seccomp.Allow},
		{"excluded kernel", rules(read + `,"excludes":{"minKernel":"5.0"}}`), seccomptest.Call{Arch: native}, seccomp.Errno(1)},
		{"old form", rules(`{"name":"read","action":"SCMP_ACT_ALLOW"}`), seccomptest.Call{Arch: native}, seccomp.Allow},
		{"unknown name is skipped", rules(`{"names":["read","fly"],"action":"SCMP_ACT_ALLOW"}`), seccomptest.Call{Arch: native}, seccomp.Allow},
		{"trap", rules(`{"names":["read"],"action":"SCMP_ACT_TRAP"}`), seccomptest.Call{Arch: native}, seccomp.Trap},
		{"trace", rules(`{"names":["read"],"action":"SCMP_ACT_TRACE","errnoRet":7}`), seccomptest.Call{Arch: native}, seccomp.Trace | 7},
		{"kill", rules(`{"names":["read"],"action":"SCMP_ACT_KILL"}`), seccomptest.Call{Arch: native}, seccomp.KillThread},
		{"kill process", rules(`{"names":["read"],"action":"SCMP_ACT_KILL_PROCESS"}`), seccomptest.Call{Arch: native}, seccomp.KillProcess},
		{"log", rules(`{"names":["read"],"action":"SCMP_ACT_LOG"}`), seccomptest.Call{Arch: native}, seccomp.Log},
		{"socketcall unnamed", rules(socket, `{"names":["fchmodat2"],"action":"SCMP_ACT_ALLOW"}`), seccomptest.Call{Arch: i386, Number: 102}, seccomp.Errno(38)},
		{"socketcall named", rules(socket, `{"names":["socketcall"],"action":"SCMP_ACT_ALLOW"}`), seccomptest.Call{Arch: i386, Number: 102}, seccomp.Allow},
	} {
		filter, err := Compile([]byte(c.text), amd64, seccomp.DefaultCaps)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, _, err := seccomptest.Run(filter, c.call); err != nil || got != c.want {
			t.Errorf("%s: %#x, %v, want %#x", c.name, got, err, c.want)
		}
	}
}

// A profile that allows by default and refuses socket must not leave i386's other door to it open.
func TestAllowingProfileClosesTheMultiplexer(t *testing.T) {
	text := `{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
		"syscalls":[{"names":["socket"],"action":"SCMP_ACT_ERRNO"}]}`
	filter, err := Compile([]byte(text), amd64, 0)
	if err != nil {
		t.Fatal(err)
	}
	for number, want := range map[uint32]uint32{102: seccomp.Errno(38), 117: seccomp.Allow, 359: seccomp.Errno(1), 600: seccomp.Allow} {
		if got, _, err := seccomptest.Run(filter, seccomptest.Call{Arch: i386, Number: number}); err != nil || got != want {
			t.Errorf("%d: %#x, %v, want %#x", number, got, err, want)
		}
	}
}

// Podman's and Debian's own profile file is real input of the same format.
func TestProfileOfContainersCommonCompiles(t *testing.T) {
	text, err := os.ReadFile("/usr/share/containers/seccomp.json")
	if err != nil {
		t.Skip("golang-github-containers-common is not installed: ", err)
	}
	filter, err := Compile(text, amd64, seccomp.DefaultCaps)
	if err != nil {
		t.Fatal(err)
	}
	for number, want := range map[uint32]uint32{0: seccomp.Allow, 246: seccomp.Errno(1), 600: seccomp.Errno(38)} {
		if got, _, err := seccomptest.Run(filter, seccomptest.Call{Arch: native, Number: number}); err != nil || got != want {
			t.Errorf("%d: %#x, %v, want %#x", number, got, err, want)
		}
	}
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte(rules(`{"names":["read"],"action":"SCMP_ACT_ALLOW"}`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		filter, err := Compile(text, amd64, seccomp.DefaultCaps)
		if err == nil && filter != nil && !json.Valid(text) {
			t.Error("a filter came of what is no json")
		}
		if filter == nil {
			return
		}
		if _, _, err := seccomptest.Run(filter, seccomptest.Call{Arch: native}); err != nil {
			t.Error(err)
		}
	})
}
