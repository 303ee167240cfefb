package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// numberTables makes profile/numbers/*.
func numberTables() (map[string][]byte, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		return nil, fmt.Errorf("finding golang.org/x/sys: %w", err)
	}
	files := map[string][]byte{}
	for _, arch := range []string{"amd64", "386", "arm64", "arm"} {
		table, err := readNumbers(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_"+arch+".go"))
		if err != nil {
			return nil, err
		}
		switch arch {
		case "amd64":
			files["profile/numbers/x32"] = print(x32(table))
		case "arm":
			maps.Copy(table, armPrivate())
		}
		files["profile/numbers/"+arch] = print(table)
	}
	return files, nil
}

func readNumbers(path string) (map[string]uint32, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	table := map[string]uint32{}
	for _, m := range regexp.MustCompile(`(?m)^\tSYS_(\w+)\s*=\s*(\d+)`).FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.ParseUint(m[2], 10, 32)
		if err != nil {
			return nil, err
		}
		table[strings.ToLower(m[1])] = uint32(n)
	}
	if len(table) < 300 {
		return nil, fmt.Errorf("%s: only %d numbers found", path, len(table))
	}
	return table, nil
}

func print(table map[string]uint32) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(table)) {
		fmt.Fprintf(&b, "%s %d\n", name, table[name])
	}
	return b.Bytes()
}

// armPrivate lists ARM's private calls (__ARM_NR_BASE, asm/unistd.h) and the second name of number 341.
func armPrivate() map[string]uint32 {
	return map[string]uint32{
		"breakpoint": 0xf0001, "cacheflush": 0xf0002, "usr26": 0xf0003, "usr32": 0xf0004, "set_tls": 0xf0005,
		"sync_file_range2": 341,
	}
}

// x32 derives the numbers of x32 from those of x86-64: the calls whose structures differ have numbers of their own, and
// some do not exist (arch/x86/entry/syscalls/syscall_64.tbl, ABIs "64" and "x32").
func x32(amd64 map[string]uint32) map[string]uint32 {
	table := maps.Clone(amd64)
	for _, name := range []string{
		"uselib", "_sysctl", "create_module", "get_kernel_syms", "query_module", "nfsservctl", "set_thread_area",
		"get_thread_area", "epoll_ctl_old", "epoll_wait_old", "vserver",
	} {
		delete(table, name)
	}
	for i, name := range []string{
		"rt_sigaction", "rt_sigreturn", "ioctl", "readv", "writev", "recvfrom", "sendmsg", "recvmsg", "execve", "ptrace",
		"rt_sigpending", "rt_sigtimedwait", "rt_sigqueueinfo", "sigaltstack", "timer_create", "mq_notify", "kexec_load",
		"waitid", "set_robust_list", "get_robust_list", "vmsplice", "move_pages", "preadv", "pwritev",
		"rt_tgsigqueueinfo", "recvmmsg", "sendmmsg", "process_vm_readv", "process_vm_writev", "setsockopt", "getsockopt",
		"io_setup", "io_submit", "execveat", "preadv2", "pwritev2",
	} {
		table[name] = uint32(512 + i)
	}
	return table
}
