package watchdog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func writeMegabytes(t *testing.T, path string, n int) {
	t.Helper()
	if err := os.WriteFile(path, make([]byte, n<<20), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDiskUsage(t *testing.T) {
	dir := t.TempDir()
	writeMegabytes(t, filepath.Join(dir, "a"), 2)
	err := errors.Join(os.Mkdir(filepath.Join(dir, "sub"), 0o700), os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "sub/same")))
	if err != nil {
		t.Fatal(err)
	}
	writeMegabytes(t, filepath.Join(dir, "sub/b"), 1)
	if used, err := diskUsage(context.Background(), dir); err != nil || used < 3<<20 || used > 3<<20+64<<10 {
		t.Fatal(used, err)
	}
	if _, err := diskUsage(context.Background(), filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestDiskTellsOnceAndAgainWhenItGrows(t *testing.T) {
	dir := t.TempDir()
	writeMegabytes(t, filepath.Join(dir, "a"), 2)
	told := make(chan int64, 10)
	d := NewDisk(dir, 1<<20, func(used int64) { told <- used })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { d.Run(ctx); close(done) }()
	first := <-told
	select {
	case used := <-told:
		t.Fatalf("told %d again without growth", used)
	case <-time.After(diskWait + 500*time.Millisecond):
	}
	writeMegabytes(t, filepath.Join(dir, "b"), 1)
	if second := <-told; second <= first {
		t.Fatal(first, second)
	}
	cancel()
	<-done
}
