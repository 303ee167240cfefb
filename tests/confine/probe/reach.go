package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/tests/confine/sight"
)

const up = "/../../../../../../../../../../../../../../../.."

// reach looks for a file of the host by every way that a process has out of its root.
func reach(token string, paths []string) sight.Reached {
	found := sight.Reached{}
	try := func(way string) {
		if holds(way, token) {
			found = append(found, way)
		}
	}
	for _, path := range paths {
		for _, base := range bases() {
			try(base + path)
			try(base + up + path)
		}
	}
	for _, file := range openFiles() {
		try(file)
	}
	return found
}

// holds tells whether what can be read there, of a file or of a directory's names, has the token.
func holds(path, token string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	if names, err := f.Readdirnames(4096); err == nil {
		return strings.Contains(strings.Join(names, "\n"), token)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return false
	}
	b, _ := io.ReadAll(io.LimitReader(f, 1<<20))
	return bytes.Contains(b, []byte(token))
}

// bases are directories of which one may lie outside of this root.
func bases() []string {
	bases := []string{"", "."}
	for _, pid := range pids() {
		dir := "/proc/" + strconv.Itoa(pid)
		bases = append(bases, dir+"/root", dir+"/cwd")
		for _, fd := range names(dir + "/fd") {
			bases = append(bases, dir+"/fd/"+fd)
		}
		for _, task := range names(dir + "/task") {
			bases = append(bases, dir+"/task/"+task+"/root", dir+"/task/"+task+"/cwd")
		}
	}
	for fd := range 256 {
		bases = append(bases, "/proc/self/fd/"+strconv.Itoa(fd))
	}
	return bases
}

// openFiles are the descriptors and mapped files of every process.
func openFiles() (all []string) {
	for _, pid := range pids() {
		for _, kind := range []string{"/fd", "/map_files"} {
			dir := "/proc/" + strconv.Itoa(pid) + kind
			for _, name := range names(dir) {
				all = append(all, dir+"/"+name)
			}
		}
		all = append(all, "/proc/"+strconv.Itoa(pid)+"/exe")
	}
	return all
}

func names(dir string) []string {
	entries, _ := os.ReadDir(dir)
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Name()
	}
	return out
}

// signalAll tries what one process can do to another, with signal 0 and for reading only. "-1" means every process.
func signalAll(args []string) (sight.Attempts, error) {
	seen := sight.Attempts{}
	for _, arg := range args {
		pid, err := strconv.Atoi(arg)
		if err != nil {
			return nil, err
		}
		seen["kill "+arg] = word(syscall.Kill(pid, 0))
		if pid > 0 {
			_, _, errno := syscall.RawSyscall(sysPidfdOpen, uintptr(pid), 0, 0)
			seen["pidfd_open "+arg] = word(errno)
			_, err := os.ReadFile("/proc/" + arg + "/environ")
			seen["environ "+arg] = word(err)
		}
	}
	return seen, nil
}

// connect dials abstract sockets.
func connect(names []string) sight.Attempts {
	seen := sight.Attempts{}
	for _, name := range names {
		c, err := net.Dial("unix", "@"+name)
		if err == nil {
			c.Close()
		}
		seen[name] = word(err)
	}
	return seen
}
