package harness

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binary is built or found once per test process.
var binary = sync.OnceValues(publish)

// Binary returns the path of the moss under test, in a directory that every account may enter; `docker` beside it is the same
// file. It is MOSS_TEST_BINARY (set by make) or built here.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// publish copies the binary to a place of its own: the checkout may lie below a directory that others cannot enter, and a
// rebuild must not change it under a running test.
func publish() (string, error) {
	dir, err := os.MkdirTemp("/tmp", "mt-bin-")
	if err != nil {
		return "", err
	}
	atEnd(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "moss")
	if err := errors.Join(os.Chmod(dir, 0o755), obtain(path), os.Symlink("moss", filepath.Join(dir, "docker"))); err != nil {
		return "", fmt.Errorf("moss under test: %w", err)
	}
	return path, nil
}

// obtain puts the binary at path.
func obtain(path string) error {
	if given := os.Getenv("MOSS_TEST_BINARY"); given != "" {
		return copyFile(given, path, 0o755)
	}
	root, err := Root()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=test", "-o", path, ".")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Root is the repository's top directory: the nearest one above that has a go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		dir = filepath.Dir(dir)
	}
	if err == nil {
		err = fs.ErrNotExist
	}
	return "", fmt.Errorf("looking for go.mod above the working directory: %w", err)
}

func copyFile(from, to string, mode os.FileMode) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Chmod(mode), w.Close())
}
