package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Role is the name of the role that tries things inside; main dispatches it to RunInside.
const Role = "probe"

// deadline bounds the child: an overlay on a dead network file system hangs.
const deadline = 10 * time.Second

// namespaces are those of a container.
const namespaces = sys.NewUser | sys.NewNS | sys.NewPID | sys.NewNet | sys.NewIPC | sys.NewUTS | sys.NewCgroup

// An order is the child's message.
type order struct {
	Scratch string `json:"scratch"` // empty: no try that needs files
}

// A reply is what the child found out.
type reply struct {
	Rights  Outcome `json:"rights"`
	Overlay Outcome `json:"overlay"`
	Inside  Inside  `json:"inside"`
}

func untried() Inside {
	return Inside{Proc: Untried, Sysfs: Untried, Veth: Untried, Bridge: Untried, Packet: Untried, Nft: Untried, Tun: Untried, Ping: Untried}
}

// inspect starts the child, maps its ids, and takes its reply. The steps:
//
//	parent                      child
//	clone, all namespaces   →   waits at standard input
//	newuidmap, newgidmap        (no id is mapped yet)
//	pidfd_getfd
//	one byte                →   becomes root, tries, writes a reply, ends
func inspect(ctx context.Context, req Request, scratch string, f *Facts) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var out bytes.Buffer
	c, err := newChild(ctx, scratch, &out)
	if err == nil {
		defer c.close()
		err = c.cmd.Start()
	}
	if f.UserNS.Clone = outcome(err); err != nil {
		return
	}
	pid := c.cmd.Process.Pid
	if f.IDs.Map = writeMap(ctx, req.Identity, pid); !f.IDs.Map.OK() {
		writeMap(ctx, ownID(req.Identity), pid)
	}
	f.Kern.Getfd = getfd(pid)
	_, _ = c.gate.Write([]byte{'\n'}) // a child that is gone has no reply either
	_ = c.cmd.Wait()
	r := reply{Rights: "the child gave no answer", Overlay: Untried, Inside: untried()}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil && ctx.Err() != nil {
		r.Rights = "the child did not end"
	}
	f.UserNS.Rights, f.Storage.Overlay, f.Inside = r.Rights, r.Overlay, r.Inside
}

// A child is the process inside; what is written to gate lets it go.
type child struct {
	cmd  *exec.Cmd
	gate *os.File
	kept []*os.File // open until the end
}

func (c *child) close() {
	for _, f := range c.kept {
		f.Close()
	}
}

func newChild(ctx context.Context, scratch string, out *bytes.Buffer) (*child, error) {
	prog, err := program()
	if err != nil {
		return nil, err
	}
	c := &child{kept: []*os.File{prog}}
	asked := role.Command{Name: Role, Body: order{Scratch: scratch}}
	msg, err := asked.Message()
	if err != nil {
		c.close()
		return nil, err
	}
	wait, gate, err := os.Pipe()
	if err != nil {
		msg.Close()
		c.close()
		return nil, err
	}
	c.gate, c.kept = gate, append(c.kept, msg, wait, gate)
	c.cmd = exec.CommandContext(ctx, fmt.Sprintf("/proc/self/fd/%d", sys.FD(prog)))
	c.cmd.Args = asked.Argv()
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.ExtraFiles = wait, out, []*os.File{msg}
	c.cmd.WaitDelay = time.Second
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, AmbientCaps: allCaps()}
	return c, nil
}

// program is this program's file, numbered above the descriptors that the child gets.
func program() (*os.File, error) {
	f, err := role.Program()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fd, err := sys.DupAbove(sys.FD(f), 100)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// allCaps keeps the child's capabilities across its execve, which happens before an id is mapped (capabilities(7)).
func allCaps() []uintptr {
	last, err := strconv.Atoi(sysctl("kernel/cap_last_cap"))
	if err != nil {
		return nil
	}
	out := make([]uintptr, last+1)
	for i := range out {
		out[i] = uintptr(i)
	}
	return out
}

// writeMap maps the child's ids as moss would map a container's.
func writeMap(ctx context.Context, id userns.Identity, pid int) Outcome {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	if id.Means == userns.Helpers {
		if o := help(ctx, "newuidmap", pid, id.Map.UID); !o.OK() {
			return o
		}
		return help(ctx, "newgidmap", pid, id.Map.GID)
	}
	if id.Map.Single() {
		if err := os.WriteFile(filepath.Join(proc, "setgroups"), []byte("deny"), 0); err != nil {
			return outcome(err)
		}
	}
	if err := os.WriteFile(filepath.Join(proc, "uid_map"), []byte(lines(id.Map.UID)), 0); err != nil {
		return outcome(err)
	}
	return outcome(os.WriteFile(filepath.Join(proc, "gid_map"), []byte(lines(id.Map.GID)), 0))
}

// help runs newuidmap or newgidmap; its own words are the outcome.
func help(ctx context.Context, tool string, pid int, ext []userns.Extent) Outcome {
	args := []string{strconv.Itoa(pid)}
	for _, e := range ext {
		args = append(args, fmt.Sprint(e.Inside), fmt.Sprint(e.Outside), fmt.Sprint(e.Size))
	}
	out, err := exec.CommandContext(ctx, tool, args...).CombinedOutput()
	if err == nil {
		return ""
	}
	if words := bytes.TrimSpace(out); len(words) > 0 {
		return Outcome(words)
	}
	return outcome(err)
}

func lines(ext []userns.Extent) (s string) {
	for _, e := range ext {
		s += fmt.Sprintln(e.Inside, e.Outside, e.Size)
	}
	return s
}

// ownID is the rung below subordinate ids, so that the rest can be tried when their helpers fail.
func ownID(id userns.Identity) userns.Identity {
	one := func(own int) []userns.Extent { return []userns.Extent{{Outside: uint32(own), Size: 1}} }
	return userns.Identity{Means: userns.OwnID, Map: userns.Map{UID: one(id.UID), GID: one(id.GID)}}
}

// getfd takes a descriptor of the child, as a successor takes them of holders (pidfd_getfd(2)).
func getfd(pid int) Outcome {
	p, err := sys.PidfdOpen(pid)
	if err != nil {
		return outcome(err)
	}
	defer syscall.Close(p)
	fd, err := sys.PidfdGetfd(p, 1)
	if err == nil {
		syscall.Close(fd)
	}
	return outcome(err)
}
