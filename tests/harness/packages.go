package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Packages are the Debian packages the tests use. `make test` installs them once.
func Packages() []string {
	return []string{
		"uidmap",          // newuidmap, newgidmap: accounts with subordinate ids
		"busybox-static",  // the small image
		"mmdebstrap",      // the Debian image
		"docker-registry", // a registry that is not go-containerregistry's
		"skopeo",          // reads and writes what moss pushed and saved
		"qemu-user",       // the arm64 interpreter
		"slirp4netns",     // networks of installed programs, like passt
		"passt",
		"git", "apache2-utils", "iproute2", "gcc", "libc6-dev",
		"fuse-overlayfs",   // a rung of the layers ladder
		"tmux",             // a terminal that somebody else wrote
		"strace", "procps", // tests that look from outside
	}
}

// BenchPackages are the peers that `make bench` measures beside moss.
func BenchPackages() []string { return []string{"bubblewrap", "crun", "podman", "e2fsprogs"} }

// Install installs those of packages that are missing. As root it asks apt, one process at a time on the whole machine;
// as a user it says what is missing.
func Install(packages ...string) error {
	missing := notInstalled(packages)
	if len(missing) == 0 {
		return nil
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("Debian packages missing: %s (as root: make test-setup)", strings.Join(missing, " "))
	}
	unlock, err := machineLock("apt")
	if err != nil {
		return err
	}
	defer unlock()
	if missing = notInstalled(packages); len(missing) == 0 {
		return nil
	}
	if apt("install", missing) == nil {
		return nil
	}
	// The lists may be older than the mirror: the second error is the one that counts.
	return errors.Join(apt("update", nil), apt("install", missing))
}

// notInstalled asks dpkg; a package in any state but "install ok installed" is missing.
func notInstalled(packages []string) []string {
	var missing []string
	for _, p := range packages {
		out, err := exec.Command("dpkg-query", "-W", "-f", "${Status}", p).Output()
		if err != nil || string(out) != "install ok installed" {
			missing = append(missing, p)
		}
	}
	return missing
}

// apt runs one apt-get verb without questions and with patience for another apt's lock.
func apt(verb string, packages []string) error {
	args := append([]string{verb, "-y", "-q", "-o", "DPkg::Lock::Timeout=300"}, packages...)
	if verb == "install" {
		args = append(args, "--no-install-recommends")
	}
	cmd := exec.Command("apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s %s: %w\n%s", verb, strings.Join(packages, " "), err, tail(out.String(), 10))
	}
	return nil
}

// machineLock keeps test processes that run side by side from doing the same set-up twice. The lock file stays.
func machineLock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(fmt.Sprintf("/tmp/moss-test-%s-%d.lock", name, os.Getuid()), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("locking %q: %w", f.Name(), err)
	}
	return func() { _ = f.Close() }, nil
}

// tail returns the last n lines of s.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
