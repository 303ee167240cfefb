package userns

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"github.com/rootless-containers/rootlesskit/v3/pkg/parent/idtools"
)

// Means is how a map gets written.
type Means string

// The ladder of ids, best first.
const (
	Helpers Means = "newuidmap" // subordinate ranges, by the set-uid programs newuidmap and newgidmap
	Direct  Means = "direct"    // this process may write any map itself: root
	OwnID   Means = "own"       // the user's own id alone
)

// An Identity is who this process is for the kernel, and which ids it may map.
type Identity struct {
	UID, GID int
	RealRoot bool // uid 0 of the machine itself
	Map      Map
	Means    Means
	Why      string // why it is not a better one, in a sentence; empty for the best
}

// rootRange is where real root's containers live when /etc/subuid gives root no range: high enough to be nobody's.
var rootRange = Extent{Inside: 0, Outside: 1879048192, Size: 65536}

// Identify finds out which ids this process may map. It reads files and starts getsubids(1) where it is installed.
func Identify() (Identity, error) {
	id := Identity{UID: os.Geteuid(), GID: os.Getegid()}
	here, err := currentMap()
	if err != nil {
		return id, err
	}
	whole := here.whole()
	switch {
	case id.UID == 0 && whole:
		id.RealRoot, id.Means, id.Map = true, Direct, rootMap()
	case id.UID == 0 && !here.Single():
		id.Means, id.Map = Direct, all(here)
	case id.UID == 0:
		id.own("this user namespace has no other id")
	default:
		id.subordinate()
	}
	return id, nil
}

// currentMap reads the map of the namespace that this process is in.
func currentMap() (Map, error) {
	var m Map
	for path, ext := range map[string]*[]Extent{"/proc/self/uid_map": &m.UID, "/proc/self/gid_map": &m.GID} {
		b, err := os.ReadFile(path)
		if err != nil {
			return m, fmt.Errorf("reading the id map: %w", err)
		}
		if *ext, err = parseMap(string(b)); err != nil {
			return m, err
		}
	}
	return m, nil
}

// all maps every id of the present namespace onto itself.
func all(here Map) Map {
	self := func(ext []Extent) (out []Extent) {
		for _, e := range ext {
			out = append(out, Extent{Inside: e.Inside, Outside: e.Inside, Size: e.Size})
		}
		return out
	}
	return Map{UID: self(here.UID), GID: self(here.GID)}
}

// rootMap is real root's range: from /etc/subuid, else the fixed one.
func rootMap() Map {
	u, g, err := idtools.GetSubIDRanges(0, "root")
	if err == nil && len(u) > 0 && len(g) > 0 && u[0].Start > 0 && g[0].Start > 0 {
		return Map{
			UID: []Extent{{Outside: uint32(u[0].Start), Size: uint32(u[0].Length)}},
			GID: []Extent{{Outside: uint32(g[0].Start), Size: uint32(g[0].Length)}},
		}
	}
	return Map{UID: []Extent{rootRange}, GID: []Extent{rootRange}}
}

func (id *Identity) own(why string) {
	id.Means, id.Why = OwnID, why
	id.Map = Map{
		UID: []Extent{{Outside: uint32(id.UID), Size: 1}},
		GID: []Extent{{Outside: uint32(id.GID), Size: 1}},
	}
}

// subordinate maps 0 to the user's own id and 1… to the subordinate ranges, or the own id alone.
func (id *Identity) subordinate() {
	u, g, err := ranges(id.UID)
	if err != nil {
		id.own("no subordinate ids for this account in /etc/subuid and /etc/subgid")
		return
	}
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			id.own(tool + " is not installed (Debian and Ubuntu: package uidmap)")
			return
		}
	}
	id.Means = Helpers
	id.Map = Map{UID: stack(id.UID, u), GID: stack(id.GID, g)}
}

// stack lays the ranges behind the own id.
func stack(own int, ranges []idtools.SubIDRange) []Extent {
	out := []Extent{{Inside: 0, Outside: uint32(own), Size: 1}}
	next := uint32(1)
	for _, r := range ranges {
		if r.Length <= 0 || r.Start <= 0 {
			continue
		}
		out = append(out, Extent{Inside: next, Outside: uint32(r.Start), Size: uint32(r.Length)})
		next += uint32(r.Length)
	}
	return out
}

// ranges asks the files first, then getsubids(1), which knows the sources of nsswitch.conf (LDAP, sssd).
func ranges(uid int) (u, g []idtools.SubIDRange, err error) {
	name := userName(uid)
	if u, g, err = idtools.GetSubIDRanges(uid, name); err == nil {
		return u, g, nil
	}
	path, missing := exec.LookPath("getsubids")
	if missing != nil || name == "" {
		return nil, nil, err
	}
	if u = getsubids(path, name); len(u) == 0 {
		return nil, nil, err
	}
	if g = getsubids(path, "-g", name); len(g) == 0 {
		return nil, nil, err
	}
	return u, g, nil
}

// getsubids parses lines such as "0: ann 100000 65536".
func getsubids(path string, args ...string) (out []idtools.SubIDRange) {
	b, err := exec.Command(path, args...).Output()
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(b) {
		f := strings.Fields(string(line))
		if len(f) != 4 {
			continue
		}
		start, err1 := strconv.Atoi(f[2])
		length, err2 := strconv.Atoi(f[3])
		if err1 == nil && err2 == nil {
			out = append(out, idtools.SubIDRange{Start: start, Length: length})
		}
	}
	return out
}

// userName is the account's name; accounts that are in no file (LDAP without cgo) have it in the environment.
func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	if n := os.Getenv("USER"); n != "" {
		return n
	}
	return os.Getenv("LOGNAME")
}

// Owner is who owns the state of this process's user: the user, or for real root the first id of root's range.
func Owner() (uid, gid int, realRoot bool, err error) {
	uid, gid = os.Geteuid(), os.Getegid()
	if uid != 0 {
		return uid, gid, false, nil
	}
	here, err := currentMap()
	if err != nil {
		return uid, gid, false, err
	}
	if !here.whole() {
		return uid, gid, false, nil
	}
	uid, gid = rootMap().Owner()
	return uid, gid, true, nil
}

// whole tells whether a namespace has every id of the machine.
func (m Map) whole() bool {
	return len(m.UID) == 1 && m.UID[0].Inside == 0 && m.UID[0].Size == 1<<32-1
}
