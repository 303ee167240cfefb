package probe

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/sys"
)

// RunInside is the role "probe": it waits for its id map, becomes root of its namespaces, tries everything and writes the
// reply to standard output. Runs in namespaces of its own, which end with it.
func RunInside(inv *role.Invocation) error {
	var o order
	if err := inv.Decode(&o); err != nil {
		return err
	}
	if _, err := bufio.NewReader(os.Stdin).ReadByte(); err != nil {
		return fmt.Errorf("waiting for the id map: %w", err)
	}
	return json.NewEncoder(os.Stdout).Encode(try(o.Scratch))
}

// try goes from the plainest right to the finest; each outcome is independent of the others.
func try(scratch string) reply {
	r := reply{Overlay: Untried, Inside: untried()}
	if r.Rights = becomeRoot(); !r.Rights.OK() {
		return r
	}
	r.Inside.Packet = outcome(sys.ProbePacket())
	r.Inside.Veth = outcome(addLink("mossprobe0", "veth"))
	r.Inside.Bridge = outcome(addLink("mossprobe1", "bridge"))
	r.Inside.Nft = outcome(askNftables())
	r.Inside.Tun = outcome(sys.ProbeTun())
	r.Inside.Ping = outcome(os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0))
	if scratch == "" {
		return r
	}
	r.Overlay = outcome(tryOverlay(scratch))
	r.Inside.Proc = outcome(tryMount(scratch, "proc"))
	r.Inside.Sysfs = outcome(tryMount(scratch, "sysfs"))
	return r
}

// becomeRoot takes the mapped ids and tries a first mount: where a security module denies the capabilities of new user
// namespaces (Ubuntu from 23.10 on), making the namespace succeeds and this does not.
func becomeRoot() Outcome {
	if err := syscall.Setresgid(0, 0, 0); err != nil {
		return outcome(err)
	}
	if err := syscall.Setresuid(0, 0, 0); err != nil {
		return outcome(err)
	}
	return outcome(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
}

// tryOverlay does what a container's root does: mount, create, and delete a file of the lower layer, which needs a whiteout
// (a device 0:0, Linux 5.8) and user xattrs.
func tryOverlay(scratch string) error {
	dirs := map[string]string{}
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		dirs[d] = filepath.Join(scratch, d)
		if err := os.Mkdir(dirs[d], 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dirs["lower"], "file"), nil, 0o644); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,userxattr", dirs["lower"], dirs["upper"], dirs["work"])
	if err := syscall.Mount("overlay", dirs["merged"], "overlay", 0, options); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(dirs["merged"], "file"))
	if err == nil {
		err = os.Mkdir(filepath.Join(dirs["merged"], "dir"), 0o755)
	}
	if uerr := syscall.Unmount(dirs["merged"], syscall.MNT_DETACH); err == nil {
		err = uerr
	}
	return cleanOverlay(dirs["work"], err)
}

// cleanOverlay opens overlay's own directory, which has no permission bits, so that the parent can remove it.
func cleanOverlay(work string, err error) error {
	if cerr := os.RemoveAll(filepath.Join(work, "work")); err == nil {
		err = cerr
	}
	return err
}

func tryMount(scratch, fsType string) error {
	at := filepath.Join(scratch, fsType)
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	return syscall.Mount(fsType, at, fsType, syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, "")
}
