package layer

import (
	"errors"
	"fmt"

	"github.com/moss-sandbox/moss/image"
)

// Limits bound what one stream may ask for. A zero field means its default.
type Limits struct {
	Entries    int64 `json:"entries,omitempty"`    // names in the stream, default 1,048,576
	Depth      int   `json:"depth,omitempty"`      // components of a path, default 255
	PathBytes  int   `json:"pathBytes,omitempty"`  // of a name or link target, default 4095 (PATH_MAX)
	XattrBytes int   `json:"xattrBytes,omitempty"` // names and values of one entry, default 256 KiB
	Size       int64 `json:"size,omitempty"`       // all files together, holes counted, default 512 GiB
	Ratio      int64 `json:"ratio,omitempty"`      // unpacked to packed bytes beyond RatioFloor, default 250
	RatioFloor int64 `json:"ratioFloor,omitempty"` // what any stream may unpack to, whatever its ratio, default 1 GiB
}

// Filled returns l with its defaults in place.
func (l Limits) Filled() Limits {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	depth, path, xattr := int64(l.Depth), int64(l.PathBytes), int64(l.XattrBytes)
	def(&l.Entries, 1<<20)
	def(&depth, 255)
	def(&path, 4095)
	def(&xattr, 256<<10)
	def(&l.Size, 512<<30)
	def(&l.Ratio, 250)
	def(&l.RatioFloor, 1<<30)
	l.Depth, l.PathBytes, l.XattrBytes = int(depth), int(path), int(xattr)
	return l
}

// Stats says what a stream held.
type Stats struct {
	DiffID  image.Digest `json:"diffID"`  // of the uncompressed stream; set by who hashes it
	Size    int64        `json:"size"`    // bytes of regular files, hard links counted once
	Entries int64        `json:"entries"` // names
	Devices int64        `json:"devices"` // recorded, not made
	Owners  int64        `json:"owners"`  // owners recorded because they could not be set
	Dropped int64        `json:"dropped"` // extended attributes that could not or must not be set
	// OpaqueRoot: the layer hides everything below it. Overlay does not look at this mark on a layer's root.
	OpaqueRoot bool `json:"opaqueRoot,omitempty"`
}

// LimitError says which limit a stream exceeds.
type LimitError struct {
	What  string
	Limit int64
}

func (e *LimitError) Error() string { return fmt.Sprintf("layer has more than %d %s", e.Limit, e.What) }

// EntryError is what is wrong with one entry of a stream; Name is the stream's text, Err one of the errors below or what
// the kernel said.
type EntryError struct {
	Name string
	Err  error
}

func (e *EntryError) Error() string { return fmt.Sprintf("layer entry %q: %v", cut(e.Name), e.Err) }
func (e *EntryError) Unwrap() error { return e.Err }

// What makes an entry hostile or broken.
var (
	ErrEscape   = errors.New("name leads outside of the layer")
	ErrAbsolute = errors.New("name is absolute")
	ErrName     = errors.New("name is empty or has a NUL byte")
	ErrThrough  = errors.New("name leads through something that is no directory")
	ErrWhiteout = errors.New("whiteout of nothing that can be named")
	ErrHardlink = errors.New("hard link to what is not in the layer, or no file")
	ErrOwner    = errors.New("owner or device number out of range")
	ErrType     = errors.New("unknown entry type")
	ErrHeader   = errors.New("malformed tar stream")
)

func cut(s string) string {
	if len(s) > 120 {
		return s[:117] + "..."
	}
	return s
}
