package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/moss-sandbox/moss/tests/confine/sight"
)

// Numbers and special ids of keyctl(2) on x86-64; the special ids are negative.
const (
	sysAddKey       = 248
	sysKeyctl       = 250
	keyctlJoin      = 1
	keyctlSearch    = 10
	sessionKeyring  = ^uintptr(2) // KEY_SPEC_SESSION_KEYRING, -3
	userKeyring     = ^uintptr(3) // KEY_SPEC_USER_KEYRING, -4
	userSessionRing = ^uintptr(4)
)

func cString(s string) uintptr {
	b, err := syscall.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(b))
}

// kept holds the strings that calls point at.
var kept []*byte

// withKey runs a command in a new session keyring that holds a key; the user's keyring holds it too.
func withKey(name string, command []string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall(sysKeyctl, keyctlJoin, 0, 0); errno != 0 {
		return fmt.Errorf("joining a session keyring: %w", errno)
	}
	payload := []byte("secret")
	for _, ring := range []uintptr{sessionKeyring, userKeyring} {
		_, _, errno := syscall.RawSyscall6(sysAddKey, cString("user"), cString(name), uintptr(unsafe.Pointer(&payload[0])), uintptr(len(payload)), ring, 0)
		if errno != 0 {
			return fmt.Errorf("adding a key: %w", errno)
		}
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, command, os.Environ())
}

// keys searches the keyrings of this process.
func keys(names []string) sight.Attempts {
	seen := sight.Attempts{}
	for _, name := range names {
		for ring, id := range map[string]uintptr{"session": sessionKeyring, "user": userKeyring, "user session": userSessionRing} {
			_, _, errno := syscall.RawSyscall6(sysKeyctl, keyctlSearch, id, cString("user"), cString(name), 0, 0)
			seen[ring+" "+name] = word(errno)
		}
	}
	return seen
}
