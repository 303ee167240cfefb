package registrytest

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// User and Password are known to a Docker registry that wants one.
const (
	User     = "moss"
	Password = "geheim wort"
	// passwordHash is bcrypt of Password, made with htpasswd -nbB.
	passwordHash = "$2y$05$67RVt5cGjHUnEcv2UtJl2eXTLwqqTEvtNHjnGGz.Q7nb3duUiyFEO"
)

// DockerOptions describe a run of Debian's docker-registry.
type DockerOptions struct {
	TLS      *Authority // nil: plain HTTP
	Password bool       // ask for User and Password
}

// StartDocker runs Debian's docker-registry (distribution 2.8) on loopback until the test ends and returns host:port. Without the
// program the test is skipped; with MOSS_TEST_MUST_RUN=1 it fails.
func StartDocker(t testing.TB, opts DockerOptions) string {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		Missing(t, "docker-registry is not installed (Debian package docker-registry)")
	}
	dir := t.TempDir()
	host := freeAddress(t)
	config := filepath.Join(dir, "config.yml")
	Write(t, config, []byte(opts.config(t, dir, host)))
	var output bytes.Buffer
	cmd := exec.Command(program, "serve", config)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Env = []string{"HOME=" + dir, "OTEL_TRACES_EXPORTER=none"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("docker-registry said:\n%s", output.String())
		}
	})
	waitForListener(t, host)
	return host
}

// Missing skips a test whose precondition does not hold, or fails it where everything must run.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func (o DockerOptions) config(t testing.TB, dir, host string) string {
	t.Helper()
	text := fmt.Sprintf("version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n", filepath.Join(dir, "data"), host)
	if o.TLS != nil {
		cert, key := o.TLS.pair(t, x509.ExtKeyUsageServerAuth)
		Write(t, filepath.Join(dir, "cert.pem"), cert)
		Write(t, filepath.Join(dir, "key.pem"), key)
		text += fmt.Sprintf("  tls:\n    certificate: %s/cert.pem\n    key: %s/key.pem\n", dir, dir)
	}
	if o.Password {
		Write(t, filepath.Join(dir, "htpasswd"), []byte(User+":"+passwordHash+"\n"))
		text += fmt.Sprintf("auth:\n  htpasswd:\n    realm: test\n    path: %s/htpasswd\n", dir)
	}
	return text
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was accepted
	return l.Addr().String()
}

func waitForListener(t testing.TB, host string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.DialTimeout("tcp", host, time.Second); err == nil {
			_ = conn.Close()
			return
		}
	}
	t.Fatalf("docker-registry does not listen on %s", host)
}
