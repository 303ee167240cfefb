//go:build !portable && amd64

package spawn_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The suite over the interpreter for arm64, as far as a user mode emulator goes: it has no clone3(2) and cannot join.
func TestOnArm64UnderEmulator(t *testing.T) {
	emulator := requireCommand(t, "qemu-aarch64", "qemu-aarch64-static")
	gotool := requireCommand(t, "go")
	file := filepath.Join(t.TempDir(), "arm64.test")
	build := exec.Command(gotool, "test", "-c", "-o", file, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compiling the suite: %v\n%s", err, out)
	}
	run := exec.Command(emulator, file, "-test.v", "-test.run=^Test")
	run.Env = append(os.Environ(), emulatorEnv+"="+emulator)
	out, err := run.CombinedOutput()
	if passed := strings.Count(string(out), "--- PASS: Test"); err != nil || passed < 10 {
		t.Fatalf("%d passed, %v\n%s", passed, err, out)
	}
}

// requireCommand is the path of the first of several programs that is installed.
func requireCommand(t *testing.T, names ...string) string {
	t.Helper()
	for _, n := range names {
		if p, err := exec.LookPath(n); err == nil {
			return p
		}
	}
	if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
		t.Fatalf("no %s", names[0])
	}
	t.Skipf("no %s", names[0])
	return ""
}
