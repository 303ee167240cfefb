package probe

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moss-sandbox/moss/userns/sys"
)

// scratchDir measures the data root's file system and makes a directory in it, or in the nearest directory above that
// is there, for further tries. Root inside the namespace can reach it.
func scratchDir(req Request, s *Storage) (string, error) {
	near := nearest(req.DataRoot)
	s.measure(near)
	dir, err := os.MkdirTemp(near, ".moss-probe-")
	s.Write = outcome(err)
	if err != nil {
		return "", err
	}
	if req.Identity.RealRoot {
		uid, gid := req.Identity.Map.Owner()
		if err := os.Chown(dir, uid, gid); err != nil {
			return dir, err
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return dir, err
		}
	}
	s.Tmpfile = outcome(sys.ProbeTmpfile(dir))
	f, err := os.Open(dir)
	if err != nil {
		return dir, err
	}
	defer f.Close()
	s.Xattr = outcome(sys.ProbeXattr(f))
	return dir, nil
}

// nearest returns the directory, or the first one above it that is there.
func nearest(dir string) string {
	for dir != "/" && dir != "." {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func (s *Storage) measure(dir string) {
	s.Xattr, s.Tmpfile, s.FuseDev = Untried, Untried, outcome(openable("/dev/fuse"))
	if path, err := exec.LookPath("fuse-overlayfs"); err == nil {
		s.FuseTool = path
	}
	magic, free, _, err := sys.Statfs(dir)
	if err != nil {
		return
	}
	s.FreeMB = free >> 20
	s.FSType, s.Network = fileSystem(magic, dir)
	s.ReadOnly, s.NoExec, _ = sys.MountFlags(dir) // statfs has just succeeded
}

func openable(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	return err
}

// fileSystem names a file system by the longest mount that the directory lies below; statfs(2)'s magic number is the answer
// where the table cannot be read.
func fileSystem(magic int64, dir string) (name string, network bool) {
	name = magicName(magic)
	if mounts, err := sys.MountsBelow("/"); err == nil {
		longest := -1
		for _, m := range mounts {
			if holds(m.Point, dir) && len(m.Point) >= longest {
				longest, name = len(m.Point), m.FSType
			}
		}
	}
	return name, isNetwork(name)
}

func holds(point, dir string) bool {
	return point == "/" || dir == point || strings.HasPrefix(dir, point+"/")
}

func magicName(magic int64) string {
	switch uint32(magic) {
	case 0xef53:
		return "ext4"
	case 0x58465342:
		return "xfs"
	case 0x9123683e:
		return "btrfs"
	case 0x01021994:
		return "tmpfs"
	case 0x6969:
		return "nfs"
	case 0x794c7630:
		return "overlay"
	case 0x65735546:
		return "fuse"
	}
	return "unknown"
}

// isNetwork tells whether files there live on another machine: overlay's upper directory cannot, and locks are not certain.
func isNetwork(fsType string) bool {
	switch fsType {
	case "nfs", "nfs4", "cifs", "smb3", "afs", "ceph", "lustre", "gpfs", "beegfs", "9p", "ncpfs", "coda", "ocfs2", "fuse.sshfs":
		return true
	}
	return false
}

func outcome(err error) Outcome { return Outcome(sys.ErrnoName(err)) }
