package role

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Version is the version of every message between roles. A process that gets another one refuses it by name.
const Version = 1

const (
	prefix    = "moss-"
	messageFD = 3
	firstFile = 4
)

// An Invocation is what a role's process was started with.
type Invocation struct {
	Name  string
	body  json.RawMessage
	Files []*os.File // in the order they were given
}

// envelope is the document on descriptor 3.
type envelope struct {
	V     int             `json:"v"`
	Files int             `json:"files"`
	Body  json.RawMessage `json:"body"`
}

// Invoked tells whether this process was started for a role; it reads the message then.
func Invoked() (*Invocation, error) {
	name, ok := strings.CutPrefix(os.Args[0], prefix)
	if !ok || len(os.Args) != 1 {
		return nil, nil
	}
	sys.SetName(os.Args[0])
	f := os.NewFile(messageFD, "message")
	b, err := io.ReadAll(io.LimitReader(f, 64<<20))
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("role %q: reading its message: %w", name, err)
	}
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("role %q: reading its message: %w", name, err)
	}
	if e.V != Version {
		return nil, fmt.Errorf("role %q: message of version %d, this program speaks %d", name, e.V, Version)
	}
	inv := &Invocation{Name: name, body: e.Body}
	for i := range e.Files {
		syscall.CloseOnExec(firstFile + i)
		inv.Files = append(inv.Files, os.NewFile(uintptr(firstFile+i), fmt.Sprintf("%s file %d", name, i)))
	}
	return inv, nil
}

// Decode puts the message into v.
func (inv *Invocation) Decode(v any) error {
	if err := json.Unmarshal(inv.body, v); err != nil {
		return fmt.Errorf("role %q: reading its message: %w", inv.Name, err)
	}
	return nil
}

// A Command describes a role's process to be started.
type Command struct {
	Name   string
	Body   any        // becomes its message
	Files  []*os.File // become its Files
	Stdout *os.File   // nil: nowhere
	Stderr *os.File   // nil: nowhere
	Env    []string
	Setsid bool
	Heavy  bool // run the full program; see Full
}

// Program returns a descriptor of the file that roles execute: this program's own.
func Program() (*os.File, error) {
	if p := os.Getenv(ProgramEnv); p != "" {
		if f, err := os.Open(p); err == nil {
			return f, nil
		}
	}
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("opening this program: %w", err)
	}
	return f, nil
}

// ProgramEnv is private: it names the small program's file (/proc/self/fd/N) to the heavy one that was executed out of it,
// so that long-lived roles run the small one.
const ProgramEnv = "_MOSS_PROGRAM"

// Message writes the role's message into a memory file, for callers that start the role by a list of their own: it becomes
// descriptor 3, the role's files the next ones.
func (c *Command) Message() (*os.File, error) {
	body, err := json.Marshal(c.Body)
	if err != nil {
		return nil, fmt.Errorf("role %q: %w", c.Name, err)
	}
	b, err := json.Marshal(envelope{V: Version, Files: len(c.Files), Body: body})
	if err != nil {
		return nil, fmt.Errorf("role %q: %w", c.Name, err)
	}
	f, err := sys.MemfdData("moss-message", b)
	if err != nil {
		return nil, fmt.Errorf("role %q: %w", c.Name, err)
	}
	return f, nil
}

// Start starts the role as the user, in the namespaces of this process.
func (c *Command) Start() (*os.Process, error) {
	prog, err := c.program()
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	msg, err := c.Message()
	if err != nil {
		return nil, err
	}
	defer msg.Close()
	cmd := &exec.Cmd{
		Path:        fmt.Sprintf("/proc/self/fd/%d", prog.Fd()),
		Args:        []string{prefix + c.Name},
		Env:         c.environ(),
		Stdout:      c.Stdout,
		Stderr:      c.Stderr,
		ExtraFiles:  append([]*os.File{msg}, c.Files...),
		SysProcAttr: &syscall.SysProcAttr{Setsid: c.Setsid},
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting role %q: %w", c.Name, err)
	}
	return cmd.Process, nil
}

// program is the file to execute, numbered above everything that the child will have.
func (c *Command) program() (*os.File, error) {
	var prog *os.File
	var err error
	if c.Heavy {
		prog, err = Full()
	} else {
		prog, err = Program()
	}
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	fd, err := sys.DupAbove(int(prog.Fd()), 200)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "program"), nil
}

// Argv is the role's command line.
func (c *Command) Argv() []string { return []string{prefix + c.Name} }

func (c *Command) environ() []string {
	if c.Env == nil {
		return []string{"PATH=" + os.Getenv("PATH")}
	}
	return c.Env
}

// An Inside is the namespace that StartInside joins; *userns.Namespace is one.
type Inside interface{ FD() int }

// StartInside starts the role inside the user's namespace: a list joins it, becomes its root and executes this program.
// With OwnMounts it gets a private copy of the mounts as well.
func (c *Command) StartInside(ns Inside, mounts Mounts) (*os.Process, error) {
	prog, err := c.program()
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	msg, err := c.Message()
	if err != nil {
		return nil, err
	}
	defer msg.Close()
	rr, rw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer rr.Close()
	files := []int{-1, fdOf(c.Stdout), fdOf(c.Stderr), int(msg.Fd())}
	for _, f := range c.Files {
		files = append(files, int(f.Fd()))
	}
	at := len(files)
	files = append(files, ns.FD(), int(prog.Fd()), int(rw.Fd()))
	l := c.list(at, mounts)
	pid, err := l.Start(spawn.Options{Name: prefix + c.Name, Files: files, Report: at + 2, Setsid: c.Setsid, TmpDir: os.TempDir()})
	rw.Close()
	if err != nil {
		return nil, err
	}
	if err := l.Reports(rr, func(uint64) {}); err != nil {
		_, _ = spawn.Wait(pid)
		return nil, fmt.Errorf("starting role %q: %w", c.Name, err)
	}
	return os.FindProcess(pid)
}

// Mounts says which mount namespace a role gets.
type Mounts int

// The mount namespaces of a role.
const (
	HostMounts Mounts = iota // the caller's
	OwnMounts                // a private copy
)

// list joins and executes; descriptors from at on are namespace, program, report.
func (c *Command) list(at int, mounts Mounts) *spawn.List {
	l := spawn.New()
	l.Call("joining the user namespace", sys.SYS_SETNS, uintptr(at), sys.NewUser)
	l.Try("dropping groups", syscall.SYS_SETGROUPS, 0, 0)
	l.Call("becoming its root group", syscall.SYS_SETRESGID, 0, 0, 0)
	l.Call("becoming its root", syscall.SYS_SETRESUID, 0, 0, 0)
	if mounts == OwnMounts {
		l.Call("making a mount namespace", syscall.SYS_UNSHARE, sys.NewNS)
		l.Call("making mounts private", syscall.SYS_MOUNT, 0, l.Str("/"), 0, syscall.MS_REC|syscall.MS_PRIVATE, 0)
	}
	l.Call("marking descriptors", sys.SYS_CLOSE_RANGE, uintptr(at), 1<<32-1, sys.CloseRangeCloexec)
	argv, env := uintptr(l.Strings([]string{prefix + c.Name})), uintptr(l.Strings(c.environ()))
	l.Call("executing moss", sys.SYS_EXECVEAT, uintptr(at+1), l.Str(""), argv, env, sys.AtEmptyPath)
	return l
}

func fdOf(f *os.File) int {
	if f == nil {
		return -1
	}
	return int(f.Fd())
}
