package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dockerDir is where Debian's docker command lies: taken out of its package, since installing that would start a daemon.
const dockerDir = "/var/cache/moss-test/docker.io"

// DockerCommand returns the path of Docker's own command-line client, to be pointed at moss's socket. As root it is fetched
// once per machine.
func DockerCommand(t testing.TB) string {
	t.Helper()
	path := dockerDir + "/usr/bin/docker"
	if Exists(path) {
		return path
	}
	if os.Getuid() != 0 {
		Missing(t, "Docker's command is not there (as root: run the tests once)")
	}
	unlock, err := machineLock("docker")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if Exists(path) {
		return path
	}
	if err := unpackPackage("docker.io", dockerDir); err != nil {
		Missing(t, "%v", err)
	}
	return path
}

// unpackPackage downloads a Debian package and unpacks it below dir, without installing it.
func unpackPackage(name, dir string) error {
	tmp, err := os.MkdirTemp("", "moss-deb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil { // apt downloads as a user of its own
		return err
	}
	script := `cd "$1" && { apt-get -q download "$2" || { apt-get -q update && apt-get -q download "$2"; }; } && dpkg-deb -x ./*.deb out`
	if out, err := exec.Command("sh", "-c", script, "sh", tmp, name).CombinedOutput(); err != nil {
		return &exec.Error{Name: "apt-get download " + name + ": " + tail(strings.TrimSpace(string(out)), 3), Err: err}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return exec.Command("cp", "-a", tmp+"/out", dir).Run()
}
