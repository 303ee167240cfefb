package userns

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// An Extent maps Size ids that start at Inside to those that start at Outside.
type Extent struct {
	Inside  uint32 `json:"in"`
	Outside uint32 `json:"out"`
	Size    uint32 `json:"n"`
}

// A Map says which ids a namespace has.
type Map struct {
	UID []Extent `json:"uid"`
	GID []Extent `json:"gid"`
}

// Single tells whether only one id is mapped: owners cannot be kept then, and setgroups(2) is denied.
func (m Map) Single() bool {
	return len(m.UID) == 1 && m.UID[0].Size == 1
}

// Key names the map in paths: trees unpacked under one map are never mounted under another. "own" is the single id.
func (m Map) Key() string {
	if m.Single() {
		return "own"
	}
	h := sha256.Sum256([]byte(lines(m.UID) + "/" + lines(m.GID)))
	return hex.EncodeToString(h[:6])
}

// Owner returns the ids outside that are uid 0 and gid 0 inside.
func (m Map) Owner() (uid, gid int) {
	return int(m.UID[0].Outside), int(m.GID[0].Outside)
}

// Nested returns uid_map and gid_map content for a namespace below this one that has the same ids: one line per extent of
// the parent, since a line must lie inside one of them (user_namespaces(7)).
func (m Map) Nested() (uidMap, gidMap string) {
	return nested(m.UID), nested(m.GID)
}

func nested(ext []Extent) string {
	var b strings.Builder
	for _, e := range ext {
		fmt.Fprintf(&b, "%d %d %d\n", e.Inside, e.Inside, e.Size)
	}
	return b.String()
}

// lines is the content of a uid_map file.
func lines(ext []Extent) string {
	var b strings.Builder
	for _, e := range ext {
		fmt.Fprintf(&b, "%d %d %d\n", e.Inside, e.Outside, e.Size)
	}
	return b.String()
}

// args are the arguments of newuidmap(1) and newgidmap(1) behind the pid.
func args(ext []Extent) []string {
	return strings.Fields(lines(ext))
}

// parseMap reads the content of a uid_map file.
func parseMap(s string) ([]Extent, error) {
	var out []Extent
	for line := range strings.Lines(s) {
		f := strings.Fields(line)
		if len(f) != 3 {
			return nil, fmt.Errorf("parsing id map line %q", line)
		}
		var v [3]uint64
		for i := range v {
			n, err := strconv.ParseUint(f[i], 10, 32)
			if err != nil {
				return nil, fmt.Errorf("parsing id map line %q: %w", line, err)
			}
			v[i] = n
		}
		out = append(out, Extent{Inside: uint32(v[0]), Outside: uint32(v[1]), Size: uint32(v[2])})
	}
	return out, nil
}

// Identical tells whether both map the same ids.
func (m Map) Identical(o Map) bool {
	return lines(m.UID) == lines(o.UID) && lines(m.GID) == lines(o.GID)
}

// HasUID tells whether a user id of the machine exists inside.
func (m Map) HasUID(outside uint32) bool {
	for _, e := range m.UID {
		if outside >= e.Outside && outside-e.Outside < e.Size {
			return true
		}
	}
	return false
}

// LastGID is the highest group id inside.
func (m Map) LastGID() (last int64) {
	for _, e := range m.GID {
		last = max(last, int64(e.Inside)+int64(e.Size)-1)
	}
	return last
}
