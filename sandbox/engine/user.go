package engine

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/moby/sys/user"

	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/sys"
)

// user finds out who runs the command. With a single id everybody is that id: an image's USER then stands in place of 0.
func (e *Engine) user(o *Create, b *base, sp *spec.Spec) (warnings []string, err error) {
	u := &sp.Process.User
	u.Spec = cmp.Or(o.User, b.config.User)
	passwd, group := b.file("etc/passwd"), b.file("etc/group")
	if *u, err = resolveUser(u.Spec, passwd, group, o.Groups); err != nil {
		return nil, err
	}
	if u.UID == 0 && u.GID == 0 || !e.single() {
		return nil, nil
	}
	if sp.Limits.Enforced == nil {
		sp.Limits.Enforced = map[string]string{}
	}
	sp.Limits.Enforced["user"] = "single-id"
	return []string{fmt.Sprintf("this account has one user id, so inside everything belongs to user %d and there is no root", u.UID)}, nil
}

// resolveUser turns "", "uid", "name", "uid:gid" and the like into ids, as Docker does, with what the image's files say.
func resolveUser(name string, passwd, group []byte, more []string) (spec.User, error) {
	u := spec.User{Spec: name}
	ex, err := user.GetExecUser(name, &user.ExecUser{Home: "/"}, reader(passwd), reader(group))
	if err != nil {
		return u, fmt.Errorf("unable to find user %s: %w", cmp.Or(strings.SplitN(name, ":", 2)[0], name), err)
	}
	u.UID, u.GID, u.Groups, u.Home = ex.Uid, ex.Gid, ex.Sgids, ex.Home
	if len(more) > 0 {
		extra, err := user.GetAdditionalGroups(more, reader(group))
		if err != nil {
			return u, fmt.Errorf("unable to find group: %w", err)
		}
		u.Groups = append(u.Groups, extra...)
	}
	u.Groups = withGroup(u.GID, u.Groups)
	for _, id := range append([]int{u.UID}, u.Groups...) {
		if id < 0 || id > maxID { // the kernel takes 32 bits: 4294967296 would be root (CVE-2024-40635)
			return u, fmt.Errorf("unable to find user %s: id %d is out of range 0-%d", name, id, maxID)
		}
	}
	return u, nil
}

// maxID is the highest user or group id that Docker takes.
const maxID = 1<<31 - 1

// withGroup puts the primary group in front, as Docker's setgroups call has it.
func withGroup(gid int, groups []int) []int {
	out := []int{gid}
	for _, g := range groups {
		if g != gid {
			out = append(out, g)
		}
	}
	return out
}

func reader(b []byte) io.Reader {
	if b == nil {
		return nil
	}
	return strings.NewReader(string(b))
}

// fileLimit is how much of an account file is read.
const fileLimit = 4 << 20

// file reads a small file of the image, from the uppermost layer that has it; nil where there is none. A layer is hostile:
// the name is resolved inside it, and only a regular file is read.
func (b *base) file(name string) []byte {
	for _, dir := range b.trees[0].Lower {
		data, err := readInRoot(dir, name)
		if err == nil {
			return data
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return nil
}

// readInRoot reads a small regular file below a directory as if that were "/".
func readInRoot(dir, name string) ([]byte, error) {
	root, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := sys.OpenInRoot(int(root.Fd()), name, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > fileLimit {
		return nil, fmt.Errorf("%q is no file to read", name)
	}
	return io.ReadAll(io.LimitReader(f, fileLimit))
}
