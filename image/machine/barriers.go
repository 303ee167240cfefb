package machine

import (
	"strings"

	"github.com/moss-sandbox/moss/userns/sys"
)

// barriers are what keeps a tree from being one overlay: mounts below it, which are locked in a user namespace (EINVAL), and
// the data root, since an upper directory may not lie below its lower one (ELOOP). Paths are relative to the source.
type barriers map[string]barrier

// A barrier is one such place.
type barrier struct {
	hidden  bool // never shown: the data root
	virtual bool // no files worth showing: proc, sysfs, autofs, …
	remote  bool // walking it is slow: used in place without a skeleton
}

const (
	virtualTypes = `autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue
		nsfs proc pstore rpc_pipefs securityfs sysfs tracefs`
	remoteTypes = "9p afs beegfs ceph cifs coda gpfs lustre ncpfs nfs nfs4 ocfs2 smb3 virtiofs"
)

// findBarriers reads the mount table.
func findBarriers(src Source) (barriers, error) {
	mounts, err := sys.MountsBelow(src.Dir)
	if err != nil {
		return nil, err
	}
	b := make(barriers)
	for _, m := range mounts {
		if rel, ok := relative(src.Dir, m.Point); ok && rel != "" {
			b[rel] = barrier{
				virtual: listed(virtualTypes, m.FSType),
				remote:  listed(remoteTypes, m.FSType) || strings.HasPrefix(m.FSType, "fuse"),
			}
		}
	}
	if rel, ok := relative(src.Dir, src.DataRoot); ok && rel != "" {
		b[rel] = barrier{hidden: true}
	}
	return b, nil
}

// below tells whether a barrier lies below path (not at it).
func (b barriers) below(path string) bool {
	for p := range b {
		if path == "" || strings.HasPrefix(p, path+"/") {
			return true
		}
	}
	return false
}

// relative returns path as seen from dir.
func relative(dir, path string) (string, bool) {
	if path == dir {
		return "", true
	}
	if dir == "/" {
		return strings.TrimPrefix(path, "/"), strings.HasPrefix(path, "/")
	}
	rel, ok := strings.CutPrefix(path, dir+"/")
	return rel, ok
}

// inside tells whether path lies below dir.
func inside(path, dir string) bool {
	rel, ok := relative(dir, path)
	return dir != "" && ok && rel != ""
}

// join puts a name behind a relative path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}
