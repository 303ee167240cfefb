package socket

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Inherited is the descriptor on which a server finds the socket that was kept for it.
const Inherited = 3

const program = 4 // what the list executes

// Keep leaves the socket to a process of its own, which becomes `moss args…` when a client comes, and notes which process
// that is. The server has the socket as descriptor Inherited. f stays the caller's.
func Keep(d *sandbox.Dirs, f *os.File, args []string) error {
	prog, err := role.Program()
	if err != nil {
		return err
	}
	defer prog.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	n := int(null.Fd())
	l := list(args)
	pid, err := l.Start(spawn.Options{Name: "moss-socket", Files: []int{n, n, n, sys.FD(f), int(prog.Fd())}, Report: 2, Setsid: true, TmpDir: d.Run})
	if err != nil {
		return err
	}
	who, err := userns.Observe(pid)
	if err == nil {
		err = note(d, who)
	}
	if err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = spawn.Wait(pid)
	}
	return err
}

// list waits for a client and executes moss.
func list(args []string) *spawn.List {
	l := spawn.New()
	l.Name("moss-socket")
	poll := make([]byte, 8) // struct pollfd
	binary.LittleEndian.PutUint32(poll, Inherited)
	binary.LittleEndian.PutUint16(poll[4:], sys.PollIn)
	at := l.Bytes(poll)
	wait := l.Next()
	op := l.Call("waiting for a client", sys.SYS_PPOLL, uintptr(at), 1, 0, 0, 8)
	l.OnError(op, wait)
	l.Call("marking descriptors", sys.SYS_CLOSE_RANGE, program, 1<<32-1, sys.CloseRangeCloexec)
	argv, env := l.Strings(args), l.Strings(environ())
	l.Call("becoming the server", sys.SYS_EXECVEAT, program, l.Str(""), uintptr(argv), uintptr(env), sys.AtEmptyPath)
	return l
}

// environ is what the server keeps of the environment: where the state is, and how registries are reached.
func environ() (out []string) {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch up := strings.ToUpper(name); {
		case name == role.ProgramEnv:
		case strings.HasPrefix(name, "MOSS_"), strings.HasPrefix(name, "XDG_"), strings.HasSuffix(up, "_PROXY"), strings.HasPrefix(name, "SSL_CERT_"),
			name == "HOME", name == "PATH", name == "USER", name == "LOGNAME", name == "DOCKER_CONFIG", name == "DBUS_SESSION_BUS_ADDRESS", name == "TZ":
			out = append(out, v)
		}
	}
	return out
}

func record(d *sandbox.Dirs) string { return d.Run + "/docker.sock.json" }

// note writes which process keeps or serves the socket.
func note(d *sandbox.Dirs, who userns.Process) error { return d.WriteBootBound(record(d), who) }

// Kept tells whether some process keeps or serves the socket.
func Kept(d *sandbox.Dirs) bool {
	who, err := noted(d)
	return err == nil && who.Alive()
}

func noted(d *sandbox.Dirs) (who userns.Process, err error) {
	b, err := os.ReadFile(record(d))
	if err != nil {
		return who, err
	}
	return who, json.Unmarshal(b, &who)
}

// Unset ends whoever keeps or serves the socket, and takes it away; false where nobody did.
func Unset(d *sandbox.Dirs) (bool, error) {
	who, err := noted(d)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	was := end(who)
	for _, p := range []string{Path(d), record(d)} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return was, err
		}
	}
	return was, nil
}

// end asks a process to end, and kills it if it does not.
func end(who userns.Process) bool {
	fd, err := who.Open()
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	_ = sys.PidfdSignal(fd, syscall.SIGTERM)
	poll := []sys.PollFd{{Fd: int32(fd), Events: sys.PollIn}}
	if n, _ := sys.Poll(poll, int(2*time.Second/time.Millisecond)); n == 0 {
		_ = sys.PidfdSignal(fd, syscall.SIGKILL)
		_, _ = sys.Poll(poll, 1000)
	}
	return true
}
