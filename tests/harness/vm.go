package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Machine is a virtual machine with systemd, cgroup v2 and the accounts ann, bob (65,536 subordinate ids each), nosub (none) and
// root, all with key logins. tests/harness/vm/vm makes and drives it. Everything in it is 40 to 70 times slower than outside.
type Machine struct {
	Release string // Debian "12" or "13"
	dir     string
	t       testing.TB
}

// machineCache keeps built disks: a build takes a minute, a boot half of one.
const machineCache = "/var/cache/moss-test"

// BootMachine boots Debian of this release on a throw-away copy of its disk, building it first where there is none yet. It
// needs root.
func BootMachine(t testing.TB, release string) *Machine {
	t.Helper()
	RequireRoot(t)
	unlock, err := machineLock("vm-" + release)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	m := &Machine{Release: release, dir: filepath.Join(machineCache, "debian-"+release), t: t}
	if _, err := os.Stat(m.dir + "/built"); err != nil {
		m.vm(nil, "build", release, m.dir)
		if err := os.WriteFile(m.dir+"/built", nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { m.vm(nil, "down", m.dir) })
	m.vm([]string{"VM_SNAPSHOT=1"}, "up", m.dir)
	return m
}

// vm runs the script; its failure ends the test.
func (m *Machine) vm(env []string, args ...string) {
	m.t.Helper()
	cmd := m.script(args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("vm %s: %v\n%s", strings.Join(args, " "), err, tail(string(out), 20))
	}
}

func (m *Machine) script(args ...string) *exec.Cmd {
	m.t.Helper()
	root, err := Root()
	if err != nil {
		m.t.Fatal(err)
	}
	return exec.Command(filepath.Join(root, "tests/harness/vm/vm"), args...)
}

// Copy puts a file of ours into the machine as root, readable by all.
func (m *Machine) Copy(from, to string) {
	m.t.Helper()
	m.vm(nil, "cp", m.dir, "root", from, to)
}

// Reboot boots the machine again and waits until it answers.
func (m *Machine) Reboot() {
	m.t.Helper()
	m.vm(nil, "reboot", m.dir)
}

// Run runs a shell line as user over ssh and waits for it.
func (m *Machine) Run(user, line string) Result {
	m.t.Helper()
	cmd := m.script("ssh", m.dir, user, line)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		m.t.Fatalf("ssh: %v", err)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: exitCode(cmd.ProcessState)}
}
