package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/moss-sandbox/moss/image/imagetest"
)

// TestPowerLossExt4 does on a real ext4 in a loop file what TestPowerLoss does on a simulated disk: the file system is shut
// down under a running scenario without flushing anything (FS_IOC_SHUTDOWN, flag 2), mounted again and looked at. Two trials,
// or as many as MOSS_TEST_POWER says.
func TestPowerLossExt4(t *testing.T) {
	if os.Geteuid() != 0 || imagetest.Inside() {
		t.Skip("loop devices are for real root")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("no mkfs.ext4")
	}
	trials, _ := strconv.Atoi(os.Getenv("MOSS_TEST_POWER"))
	seed := time.Now().UnixNano()
	for i := range max(trials, 2) {
		if msg := powerTrial(t, rand.New(rand.NewSource(seed+int64(i)))); msg != "" {
			t.Fatalf("trial %d of seed %d: %s", i, seed, msg)
		}
	}
}

// powerTrial runs in a mount namespace of its own, as the dead file system would otherwise live on in others'.
func powerTrial(t *testing.T, r *rand.Rand) string {
	dir := t.TempDir()
	file, mnt := dir+"/disk", dir+"/mnt"
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 64<<20), os.Mkdir(mnt, 0o700)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-J", "size=8", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	result := make(chan string)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread's mount namespace is its own
		result <- powerThread(file, mnt, r)
	}()
	return <-result
}

func powerThread(file, mnt string, r *rand.Rand) string {
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return err.Error()
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err.Error()
	}
	if out, err := exec.Command("mount", "-o", "loop", file, mnt).CombinedOutput(); err != nil {
		return fmt.Sprintf("mount: %v: %s", err, out)
	}
	// The work is done by the loop over goroutines of other threads, in the first namespace: they reach the mount through a
	// descriptor of this thread.
	fd, err := syscall.Open(mnt, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	promised, err := scenarioUntil(fd, time.Duration(r.Intn(60_000))*time.Microsecond)
	syscall.Close(fd)
	if err != nil {
		return err.Error()
	}
	if err := syscall.Unmount(mnt, 0); err != nil {
		return fmt.Sprintf("unmounting: %v, open: %q", err, openBelow(mnt))
	}
	if out, err := exec.Command("mount", "-o", "loop", file, mnt).CombinedOutput(); err != nil {
		return fmt.Sprintf("mounting again: %v: %s", err, out)
	}
	defer syscall.Unmount(mnt, syscall.MNT_DETACH)
	fd, err = syscall.Open(mnt, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer syscall.Close(fd)
	return survivedOn(throughFd(fd), promised)
}

// openBelow lists what this process still has open there.
func openBelow(dir string) (names []string) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, f := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + f.Name()); strings.HasPrefix(to, dir) || strings.Contains(to, "data") {
			names = append(names, to)
		}
	}
	return names
}

func throughFd(fd int) string { return fmt.Sprintf("/proc/self/fd/%d/data", fd) }

// scenarioUntil runs the scenario again and again and shuts the file system down after a while.
func scenarioUntil(fd int, after time.Duration) (promised map[string]string, err error) {
	s, err := Open(throughFd(fd), Options{})
	if err != nil {
		return nil, err
	}
	gone := make(chan struct{})
	defer func() { <-gone }()
	time.AfterFunc(after, func() {
		defer close(gone)
		flags := uint32(2)                                                                                                           // EXT4_GOING_FLAGS_NOLOGFLUSH
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), 0x8004587d, uintptr(unsafe.Pointer(&flags))); errno != 0 { // FS_IOC_SHUTDOWN
			panic(errno)
		}
	})
	promised = map[string]string{}
	for i := 0; ; i++ {
		p := newSample(i, fmt.Sprintf("x%d:1", i%3), "base", fmt.Sprint(i))
		name := fmt.Sprintf("x%d:1", i%3)
		delete(promised, name)
		if err := realPull(s, p); err != nil {
			return promised, nil
		}
		promised[name] = string(p.id())
		if i%4 == 3 {
			delete(promised, name)
			if _, err := s.Remove(context.Background(), name, RemoveOptions{Worker: plainWorker{}}); err != nil {
				return promised, nil
			}
		}
	}
}

func realPull(s *Store, p sample) error {
	ss, err := s.Begin(context.Background())
	if err != nil {
		return err
	}
	defer ss.End()
	for _, l := range p.layers {
		if err := ss.Receive(context.Background(), fetch(l)); err != nil {
			return err
		}
	}
	_, err = ss.PutImage(context.Background(), p.NewImage)
	return err
}

func survivedOn(root string, promised map[string]string) string {
	s, err := Open(root, Options{})
	if err != nil {
		return err.Error()
	}
	s.bootID = func() string { return "after" }
	for name, id := range promised {
		if m, err := s.Lookup(name); err != nil || string(m.ID) != id {
			return fmt.Sprintf("promised name %s: %v", name, err)
		}
	}
	if msg := namesWithBytes(s); msg != "" {
		return msg
	}
	for range 2 {
		if _, err := s.Check(context.Background(), SetAside, plainWorker{}); err != nil {
			return fmt.Sprintf("check: %v", err)
		}
	}
	if _, err := s.Collect(context.Background(), plainWorker{}); err != nil {
		return fmt.Sprintf("collect: %v", err)
	}
	p := newSample(1, "again:1", "base", "again")
	if err := realPull(s, p); err != nil {
		return fmt.Sprintf("second pull: %v", err)
	}
	m, err := s.Lookup("again:1")
	if err != nil {
		return err.Error()
	}
	dirs, err := s.Lowers(m, "own")
	if err != nil {
		return err.Error()
	}
	for i, want := range []string{"again", "base"} {
		if b, err := os.ReadFile(filepath.Join(dirs[i], "content")); err != nil || string(b) != want {
			return fmt.Sprintf("tree holds %q, %v", b, err)
		}
	}
	return ""
}
