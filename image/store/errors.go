package store

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/image"
)

// Conditions that callers tell apart.
var (
	ErrLocked      = errors.New("locked by another process")
	ErrNotFound    = errors.New("no such image")
	ErrAmbiguous   = errors.New("ambiguous image id")
	ErrNotUnpacked = errors.New("image is not unpacked")
	ErrNoBlob      = errors.New("no such blob")
	ErrConflict    = errors.New("conflict")
	ErrCorrupt     = errors.New("corrupt file")
	ErrMismatch    = errors.New("content does not match its digest")
	ErrRoot        = errors.New("unusable data root")
)

// NotFoundError is ErrNotFound with Docker's text.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string        { return "No such image: " + e.Name }
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// AmbiguousError is ErrAmbiguous: a beginning of several ids.
type AmbiguousError struct {
	Prefix string
	IDs    []image.Digest
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("image id %q is ambiguous: %d images begin with it", e.Prefix, len(e.IDs))
}
func (e *AmbiguousError) Is(target error) bool { return target == ErrAmbiguous }

// NotUnpackedError is ErrNotUnpacked: which layers lack a usable tree under this id map.
type NotUnpackedError struct{ Layers []image.Layer }

func (e *NotUnpackedError) Error() string {
	return fmt.Sprintf("%d layers are not unpacked", len(e.Layers))
}
func (e *NotUnpackedError) Is(target error) bool { return target == ErrNotUnpacked }

// ConflictError is ErrConflict: why an image cannot be removed, in Docker's words.
type ConflictError struct{ Text string }

func (e *ConflictError) Error() string        { return "conflict: " + e.Text }
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// MismatchError is ErrMismatch: bytes are not what their name says. Nothing of them is kept.
type MismatchError struct {
	What      string // "blob", "layer"
	Want, Got image.Digest
	WantSize  int64 // compared when Got is empty
	GotSize   int64
}

func (e *MismatchError) Error() string {
	if e.Got == "" {
		return fmt.Sprintf("%s %s has %d bytes, want %d", e.What, e.Want, e.GotSize, e.WantSize)
	}
	return fmt.Sprintf("%s %s has the digest %s", e.What, e.Want, e.Got)
}
func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }

// CorruptError is ErrCorrupt: a file of the store that cannot be parsed. Check with Repair puts it into quarantine.
type CorruptError struct {
	File string // relative to the root
	Err  error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("store file %q is damaged: %v", e.File, e.Err)
}
func (e *CorruptError) Unwrap() error { return e.Err }

// Is makes it ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Hints names the remedy.
func (e *CorruptError) Hints() []string {
	return []string{"run `moss system check --repair`: it sets the file aside, the image can be pulled again"}
}

// LockedError says that waiting for a lock has ended, and who holds it.
type LockedError struct {
	Name string
	Pid  int // 0: not known
	Err  error
}

func (e *LockedError) Error() string {
	if e.Pid == 0 {
		return fmt.Sprintf("waiting for %q: %v", e.Name, e.Err)
	}
	return fmt.Sprintf("waiting for %q, held by pid %d%s: %v", e.Name, e.Pid, stopped(e.Pid), e.Err)
}
func (e *LockedError) Unwrap() error        { return e.Err }
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

func stopped(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	if _, rest, ok := strings.Cut(string(b), ") "); ok && strings.HasPrefix(rest, "T") {
		return " (stopped)"
	}
	return ""
}

// lockHolder finds who holds a lock of flock(2) on a file, from /proc/locks (proc_locks(5)); 0 when it cannot tell.
func lockHolder(path string) int {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	b, err := os.ReadFile("/proc/locks")
	if !ok || err != nil {
		return 0
	}
	return parseLocks(string(b), st.Ino)
}

// parseLocks returns the pid of the first FLOCK line for an inode. A line is
// "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF"; waiting ones have "->" in the second field.
func parseLocks(text string, ino uint64) int {
	suffix := ":" + strconv.FormatUint(ino, 10)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || !strings.HasSuffix(f[5], suffix) {
			continue
		}
		pid, _ := strconv.Atoi(f[4])
		return max(pid, 0)
	}
	return 0
}

// RootError is ErrRoot: why a directory cannot hold a store.
type RootError struct {
	Dir, Why string
	Remedy   string
}

func (e *RootError) Error() string        { return fmt.Sprintf("data root %q: %s", e.Dir, e.Why) }
func (e *RootError) Is(target error) bool { return target == ErrRoot }

// Hints names the remedy.
func (e *RootError) Hints() []string { return []string{e.Remedy} }
