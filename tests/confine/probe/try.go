package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"github.com/moss-sandbox/moss/tests/confine/sight"
)

// try makes every call of the tables, and those that need a file or a socket.
func try() sight.Attempts {
	seen := sight.Attempts{}
	for _, d := range doors() {
		for name, c := range calls() {
			number, exists := c.number(d.abi)
			if !exists {
				continue
			}
			seen[d.prefix+name] = word(d.call(number, c.args))
		}
	}
	nodes(seen)
	return seen
}

// nodes makes device files. Whether a call that says ok made one is told apart.
func nodes(seen sight.Attempts) {
	dir, err := os.MkdirTemp("", "probe-")
	if err != nil {
		seen["mknod"] = "no place: " + word(err)
		return
	}
	defer os.RemoveAll(dir)
	for _, n := range []struct {
		name string
		mode uint32
		dev  int
	}{
		{"char 1:3", syscall.S_IFCHR | 0o600, 1<<8 | 3}, {"char 10:229", syscall.S_IFCHR | 0o600, 10<<8 | 229},
		{"block 8:0", syscall.S_IFBLK | 0o600, 8 << 8}, {"fifo", syscall.S_IFIFO | 0o600, 0},
	} {
		path := fmt.Sprintf("%s/%x", dir, n.mode)
		answer := word(syscall.Mknod(path, n.mode, n.dev))
		if answer == "ok" {
			if _, err := os.Lstat(path); err != nil {
				answer = "faked"
			}
		}
		seen["mknod "+n.name] = answer
		os.Remove(path)
	}
	path := dir + "/own"
	if err := os.WriteFile(path, nil, 0o600); err == nil {
		answer := word(os.Chown(path, 33, 33))
		var st syscall.Stat_t
		if answer == "ok" && syscall.Stat(path, &st) == nil && st.Uid != 33 {
			answer = "faked"
		}
		seen["chown 33"] = answer
	}
}

// terminalTricks pushes characters into the terminal that standard input is, as a hostile program would.
func terminalTricks() sight.Attempts {
	seen := sight.Attempts{}
	c := byte('x')
	for name, request := range map[string]uintptr{"TIOCSTI": 0x5412, "TIOCSTI high bits": 0x123_0000_5412, "TIOCLINUX": 0x541c, "TCGETS": 0x5401} {
		var room [64]byte
		room[0] = c
		if name == "TIOCLINUX" {
			room[0] = 3 // paste
		}
		_, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, 0, request, uintptr(unsafe.Pointer(&room)))
		seen[name] = word(errno)
	}
	return seen
}
