package main

import "syscall"

// call is a system call with arguments that do nothing: where it is let through it fails.
type call struct {
	native uintptr // number on x86-64, also x32's but for
	x32    uintptr // another number there, 0 for the same
	i386   uintptr // 0 for none
	args   [5]uintptr
	only   string // one ABI alone
}

func (c call) number(abi string) (uintptr, bool) {
	if c.only != "" && c.only != abi {
		return 0, false
	}
	switch abi {
	case "i386":
		return c.i386, c.i386 != 0
	case "x32":
		if c.x32 != 0 {
			return c.x32 | x32Bit, true
		}
		return c.native | x32Bit, true
	}
	return c.native, true
}

const (
	x32Bit  = 0x40000000
	nowhere = ^uintptr(0)
	newUser = syscall.CLONE_NEWUSER
	// The kernel refuses these flags with EINVAL: signal handlers cannot be shared without memory (clone(2)).
	impossible = syscall.CLONE_SIGHAND
)

// calls are what the confinement refuses, and what it must let through.
func calls() map[string]call {
	return map[string]call{
		// refused
		"keyctl":             {native: 250, i386: 288, args: [5]uintptr{nowhere}},
		"add_key":            {native: 248, i386: 286},
		"request_key":        {native: 249, i386: 287},
		"userfaultfd":        {native: 323, i386: 374, args: [5]uintptr{nowhere}},
		"io_uring_setup":     {native: 425, i386: 425},
		"io_uring_enter":     {native: 426, i386: 426, args: [5]uintptr{nowhere}},
		"io_uring_register":  {native: 427, i386: 427, args: [5]uintptr{nowhere}},
		"mount":              {native: 165, i386: 21},
		"umount2":            {native: 166, i386: 52},
		"fsopen":             {native: 430, i386: 430},
		"fsconfig":           {native: 431, i386: 431, args: [5]uintptr{nowhere}},
		"fsmount":            {native: 432, i386: 432, args: [5]uintptr{nowhere}},
		"fspick":             {native: 433, i386: 433, args: [5]uintptr{nowhere}},
		"move_mount":         {native: 429, i386: 429, args: [5]uintptr{nowhere, 0, nowhere}},
		"open_tree":          {native: 428, i386: 428, args: [5]uintptr{nowhere}},
		"open_tree_attr":     {native: 467, i386: 467, args: [5]uintptr{nowhere}},
		"mount_setattr":      {native: 442, i386: 442, args: [5]uintptr{nowhere}},
		"setns":              {native: 308, i386: 346, args: [5]uintptr{nowhere}},
		"unshare user":       {native: 272, i386: 310, args: [5]uintptr{newUser}},
		"unshare mount":      {native: 272, i386: 310, args: [5]uintptr{syscall.CLONE_NEWNS | 0x80000000}},
		"clone user":         {native: 56, i386: 120, args: [5]uintptr{newUser | impossible}},
		"clone net":          {native: 56, i386: 120, args: [5]uintptr{syscall.CLONE_NEWNET | impossible}},
		"clone3":             {native: 435, i386: 435},
		"bpf":                {native: 321, i386: 357, args: [5]uintptr{nowhere}},
		"perf_event_open":    {native: 298, i386: 336},
		"kexec_load":         {native: 246, x32: 528, i386: 283},
		"kexec_file_load":    {native: 320, args: [5]uintptr{nowhere, nowhere}},
		"pivot_root":         {native: 155, i386: 217},
		"swapon":             {native: 167, i386: 87},
		"reboot":             {native: 169, i386: 88},
		"init_module":        {native: 175, i386: 128},
		"finit_module":       {native: 313, i386: 350, args: [5]uintptr{nowhere}},
		"iopl":               {native: 172, i386: 110, args: [5]uintptr{9}},
		"ioperm":             {native: 173, i386: 101, args: [5]uintptr{1 << 30, 1, 1}},
		"settimeofday":       {native: 164, i386: 79, args: [5]uintptr{1}},
		"acct":               {native: 163, i386: 51, args: [5]uintptr{1}},
		"quotactl":           {native: 179, i386: 131, args: [5]uintptr{nowhere}},
		"syslog":             {native: 103, i386: 103, args: [5]uintptr{3}},
		"open_by_handle_at":  {native: 304, i386: 342, args: [5]uintptr{nowhere}},
		"move_pages":         {native: 279, x32: 533, i386: 317, args: [5]uintptr{nowhere}},
		"migrate_pages":      {native: 256, i386: 294, args: [5]uintptr{nowhere}},
		"mbind":              {native: 237, i386: 274, args: [5]uintptr{1}},
		"kcmp":               {native: 312, i386: 349, args: [5]uintptr{nowhere}},
		"pidfd_getfd":        {native: 438, i386: 438, args: [5]uintptr{nowhere}},
		"process_madvise":    {native: 440, i386: 440, args: [5]uintptr{nowhere}},
		"fanotify_init":      {native: 300, i386: 338, args: [5]uintptr{nowhere}},
		"sethostname":        {native: 170, i386: 74, args: [5]uintptr{0, nowhere}},
		"setdomainname":      {native: 171, i386: 121, args: [5]uintptr{0, nowhere}},
		"personality bad":    {native: 135, i386: 136, args: [5]uintptr{0x0400000}},
		"uselib":             {native: 134, only: "native"},
		"ustat":              {native: 136, i386: 62},
		"sysfs":              {native: 139, i386: 135, args: [5]uintptr{nowhere}},
		"_sysctl":            {native: 156, i386: 149},
		"nfsservctl":         {native: 180, i386: 169},
		"vm86":               {i386: 113, only: "i386"},
		"socket alg":         {native: 41, i386: 359, args: [5]uintptr{38, syscall.SOCK_SEQPACKET}},
		"socket alg bits":    {native: 41, args: [5]uintptr{1<<32 | 38, syscall.SOCK_SEQPACKET}},
		"socket vsock":       {native: 41, i386: 359, args: [5]uintptr{40, syscall.SOCK_STREAM}},
		"socket vsock bits":  {native: 41, args: [5]uintptr{1<<32 | 40, syscall.SOCK_STREAM}},
		"socketcall":         {i386: 102, only: "i386", args: [5]uintptr{1, 0}},
		"file_getattr":       {native: 468, i386: 468, args: [5]uintptr{nowhere}},
		"listns":             {native: 470, i386: 470},
		"a call of tomorrow": {native: 500, i386: 500},
		"tiocsti":            {native: 16, x32: 514, i386: 54, args: [5]uintptr{nowhere, 0x5412}},
		"tiocsti bits":       {native: 16, x32: 514, args: [5]uintptr{nowhere, 0x123_0000_5412}},
		"tioclinux":          {native: 16, x32: 514, i386: 54, args: [5]uintptr{nowhere, 0x541c}},
		// let through
		"tcgets":            {native: 16, i386: 54, args: [5]uintptr{nowhere, 0x5401}, only: "native"},
		"socket inet":       {native: 41, args: [5]uintptr{2, 99}, only: "native"},
		"clone thread":      {native: 56, args: [5]uintptr{impossible}, only: "native"},
		"ptrace":            {native: 101, args: [5]uintptr{0x4200, nowhere}, only: "native"},
		"process_vm_readv":  {native: 310, args: [5]uintptr{nowhere}, only: "native"},
		"personality query": {native: 135, args: [5]uintptr{0xffffffff}, only: "native"},
		"mknod":             {native: 133, only: "native"},
		"name_to_handle_at": {native: 303, args: [5]uintptr{nowhere}, only: "native"},
		"vmsplice":          {native: 278, args: [5]uintptr{nowhere}, only: "native"},
		"memfd_create":      {native: 319, only: "native"},
		"seccomp":           {native: 317, args: [5]uintptr{nowhere}, only: "native"},
		"landlock":          {native: 444, args: [5]uintptr{1, 1, 1}, only: "native"},
		"statmount":         {native: 457, only: "native"},
		"listmount":         {native: 458, only: "native"},
		"chroot":            {native: 161, only: "native"},
		"setxattr":          {native: 188, only: "native"},
	}
}
