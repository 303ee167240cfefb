package harness

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// MustRun says that a missing precondition is a failure (MOSS_TEST_MUST_RUN=1, set by CI).
func MustRun() bool { return os.Getenv("MOSS_TEST_MUST_RUN") == "1" }

// Missing ends the test because of a precondition: a skip with its reason, a failure where MustRun.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if MustRun() {
		t.Fatalf("MOSS_TEST_MUST_RUN=1: "+format, args...)
	}
	t.Skipf(format, args...)
}

// Require goes on only where ok.
func Require(t testing.TB, ok bool, reason string) {
	t.Helper()
	if !ok {
		Missing(t, "%s", reason)
	}
}

// RequireRoot goes on only as root. It is a property of the caller, not of the machine: never a failure, since `make test`
// as a user is promised to run that account's part.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// RequirePackages goes on only where the Debian packages are installed; as root it installs them first.
func RequirePackages(t testing.TB, packages ...string) {
	t.Helper()
	if err := Install(packages...); err != nil {
		Missing(t, "%v", err)
	}
}

// RequireUserNamespaces goes on only where an ordinary process may make one.
func RequireUserNamespaces(t testing.TB) {
	t.Helper()
	for file, forbidden := range map[string]string{
		"/proc/sys/kernel/unprivileged_userns_clone":             "0",
		"/proc/sys/user/max_user_namespaces":                     "0",
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
	} {
		if b, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(b)) == forbidden {
			Missing(t, "user namespaces are off: %s says %s", file, forbidden)
		}
	}
}

// RequireCommand returns the path of an installed program.
func RequireCommand(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, "%v", err)
	}
	return path
}
