package tree

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// An Owner is whom a file belongs to, as ids inside the container.
type Owner struct{ UID, GID int }

// Owners sets and tells owners, modes and devices. With subordinate ids it is the kernel's own (Kernel); with the single id
// what cannot be set is recorded, so that the layer written later has it.
type Owners interface {
	// Set gives name in dir, which is no directory's "." but any file just made, its owner and then its mode (a change of
	// owner clears set-id bits). Links have no mode.
	Set(dir *Dir, name string, o Owner, mode uint32) error
	// Device makes a device or, where that is not allowed, what stands for it.
	Device(dir *Dir, name string, o Owner, mode uint32, dev uint64) error
	// Get tells owner and mode of a file whose stat is st.
	Get(dir *Dir, name string, st *sys.Stat) (Owner, uint32)
}

// Kernel sets owners by chown(2) and chmod(2).
type Kernel struct{}

var _ Owners = Kernel{}

// Set implements Owners.
func (Kernel) Set(dir *Dir, name string, o Owner, mode uint32) error {
	st, err := dir.Stat(name)
	if err != nil {
		return err
	}
	if int(st.Uid) != o.UID || int(st.Gid) != o.GID {
		if err := sys.LchownAt(dir.fd(), name, o.UID, o.GID); err != nil {
			return dir.in(err)
		}
		st.Mode &^= syscall.S_ISUID | syscall.S_ISGID
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFLNK || st.Mode&0o7777 == mode&0o7777 {
		return nil
	}
	return dir.in(sys.ChmodAt(dir.fd(), name, mode))
}

// Device implements Owners.
func (k Kernel) Device(dir *Dir, name string, o Owner, mode uint32, dev uint64) error {
	if err := sys.MknodAt(dir.fd(), name, mode, dev); err != nil {
		return dir.in(err)
	}
	return k.Set(dir, name, o, mode)
}

// Get implements Owners.
func (Kernel) Get(_ *Dir, _ string, st *sys.Stat) (Owner, uint32) {
	return Owner{int(st.Uid), int(st.Gid)}, st.Mode
}

const maxID = 1<<31 - 2

// ErrUnknownUser is wrapped when a name is not in the image's files.
var ErrUnknownUser = errors.New("unknown user or group")

// LookupOwner reads --chown: user[:group], each a name of the tree's /etc/passwd and /etc/group or a number. Without a
// group it is the user's, as Docker does: the number itself for a numeric user. Numbers that do not fit are refused and
// never wrapped to 0 (CVE-2024-40635).
func LookupOwner(root *Dir, s string) (Owner, error) {
	user, group, hasGroup := strings.Cut(s, ":")
	var o Owner
	var err error
	if user != "" {
		if o, err = lookupUser(root, user); err != nil {
			return o, err
		}
	}
	if hasGroup && group != "" {
		o.GID, err = lookupID(root, "/etc/group", group, 2)
	}
	return o, err
}

func lookupUser(root *Dir, user string) (Owner, error) {
	fields, err := passwdLine(root, "/etc/passwd", user)
	if err != nil {
		return Owner{}, err
	}
	if fields == nil {
		id, err := parseID(user)
		return Owner{id, id}, err
	}
	if len(fields) < 4 {
		return Owner{}, fmt.Errorf("user %q: malformed line in /etc/passwd", user)
	}
	uid, err := parseID(fields[2])
	if err != nil {
		return Owner{}, err
	}
	gid, err := parseID(fields[3])
	if _, numeric := parseID(user); numeric == nil {
		gid = uid // docker: a numeric user has the group of the same number
	}
	return Owner{uid, gid}, err
}

func lookupID(root *Dir, file, name string, field int) (int, error) {
	fields, err := passwdLine(root, file, name)
	if err != nil {
		return 0, err
	}
	if fields == nil {
		return parseID(name)
	}
	if len(fields) <= field {
		return 0, fmt.Errorf("%q: malformed line in %s", name, file)
	}
	return parseID(fields[field])
}

// passwdLine finds a name in a colon-separated file; nil when it is a number or not there.
func passwdLine(root *Dir, file, name string) ([]string, error) {
	if strings.Trim(name, "0123456789") == "" {
		return nil, nil // a number, of whatever size
	}
	b, err := root.ReadSmall(file, 16<<20)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%w: %q: the image has no %s", ErrUnknownUser, name, file)
	}
	if err != nil {
		return nil, fmt.Errorf("looking up %q: %w", name, err)
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if fields := strings.Split(strings.TrimSpace(line), ":"); fields[0] == name {
			return fields, nil
		}
	}
	return nil, fmt.Errorf("%w: %q is not in %s", ErrUnknownUser, name, file)
}

func parseID(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || s[0] == '+' {
		return 0, fmt.Errorf("%w: %q", ErrUnknownUser, s)
	}
	if n < 0 || n > maxID {
		return 0, fmt.Errorf("id %s is not between 0 and %d", s, maxID)
	}
	return int(n), nil
}
