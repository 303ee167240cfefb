package layer

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Record is what a file is meant to be where its tree cannot say so.
type Record struct {
	UID   int    `json:"uid"`             // -1: as the file's own
	GID   int    `json:"gid"`             // -1: as the file's own
	Mode  uint32 `json:"mode,omitempty"`  // type and permission bits; 0: as the file's own
	Major uint32 `json:"major,omitempty"` // of a device
	Minor uint32 `json:"minor,omitempty"`
}

// Owners is the seam between those who make trees and those who make layers of them: extraction records here what it
// cannot set, everything that writes a layer reads it back, so that no owner is lost by an account without a range of ids.
type Owners interface {
	// Record notes a file's record. fd is the open file or directory, -1 for what cannot be opened; name is its path below
	// the root, without "./".
	Record(fd int, name string, r Record) error
	// Lookup returns a file's record.
	Lookup(fd int, name string) (Record, bool, error)
	// Forget drops the records of name and of all below it, because it is being replaced.
	Forget(name string) error
}

// ownerXattr holds a Record as rootlesscontainers.Resource of github.com/rootless-containers/proto, which umoci and
// others read: uint32 uid = 1, gid = 2, 0xffffffff for "no change". Fields 3 to 5 are ours: mode, major, minor.
const ownerXattr = "user.rootlesscontainers"

const noID = 0xffffffff

// marshal encodes r in protobuf's wire format: each field a key byte (number<<3, type varint) and a varint.
func (r Record) marshal() []byte {
	var b []byte
	fields := [...]uint64{uint64(uint32(r.UID)), uint64(uint32(r.GID)), uint64(r.Mode), uint64(r.Major), uint64(r.Minor)}
	for i, v := range fields {
		if v != 0 {
			b = binary.AppendUvarint(append(b, byte(i+1)<<3), v)
		}
	}
	return b
}

var errRecord = errors.New("malformed " + ownerXattr + " attribute")

// unmarshalRecord decodes what marshal or umoci wrote; unknown varint fields are passed over, anything else is an error.
func unmarshalRecord(b []byte) (Record, error) {
	var f [6]uint64
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 || key&7 != 0 || key>>3 == 0 {
			return Record{}, errRecord
		}
		v, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return Record{}, errRecord
		}
		if key>>3 < uint64(len(f)) {
			f[key>>3] = v
		}
		b = b[n+m:]
	}
	id := func(v uint64) int {
		if v == noID {
			return -1
		}
		return int(uint32(v))
	}
	return Record{UID: id(f[1]), GID: id(f[2]), Mode: uint32(f[3]), Major: uint32(f[4]), Minor: uint32(f[5])}, nil
}

// Recorder is the Owners of one tree on disk: an extended attribute where the file takes one, else a line in a side index
// beside the tree. It is for one goroutine.
type Recorder struct {
	dirfd int
	name  string
	out   *os.File
	w     *bufio.Writer
	index map[string]Record // read on first Lookup
}

var _ Owners = (*Recorder)(nil)

// NewRecorder returns the recorder whose side index is the file name in dirfd, which stays the caller's; -1 stands for no
// side index. The file is made when the first line is written. Close it.
func NewRecorder(dirfd int, name string) *Recorder { return &Recorder{dirfd: dirfd, name: name} }

// line is one line of the side index; the last one for a path counts.
type line struct {
	Path string  `json:"path"`
	Gone bool    `json:"gone,omitempty"` // path and all below it
	Rec  *Record `json:"rec,omitempty"`
}

// Record implements Owners.
func (o *Recorder) Record(fd int, name string, r Record) error {
	if fd >= 0 {
		err := sys.Fsetxattr(fd, ownerXattr, r.marshal())
		if err == nil || !lacksXattrs(err) {
			return err
		}
	}
	return o.append(line{Path: name, Rec: &r})
}

func lacksXattrs(err error) bool {
	return err == syscall.EOPNOTSUPP || err == syscall.EPERM || err == syscall.ENOSPC || err == syscall.EACCES
}

// Forget implements Owners.
func (o *Recorder) Forget(name string) error {
	if o.out == nil && o.index == nil { // nothing was recorded here
		return nil
	}
	return o.append(line{Path: name, Gone: true})
}

func (o *Recorder) append(l line) error {
	if o.out == nil {
		fd, err := sys.OpenBeside(o.dirfd, o.name, syscall.O_RDWR|syscall.O_CREAT|syscall.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("recording owners: %w", err)
		}
		o.out = os.NewFile(uintptr(fd), o.name)
		o.w = bufio.NewWriter(o.out)
	}
	if o.index != nil {
		o.apply(l)
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = o.w.Write(append(b, '\n'))
	return err
}

// Lookup implements Owners.
func (o *Recorder) Lookup(fd int, name string) (Record, bool, error) {
	if fd >= 0 {
		var b [64]byte
		n, err := sys.Fgetxattr(fd, ownerXattr, b[:])
		if err == nil {
			r, err := unmarshalRecord(b[:n])
			return r, err == nil, err
		}
		if err != syscall.ENODATA && err != syscall.EOPNOTSUPP && err != syscall.EPERM && err != syscall.EACCES {
			return Record{}, false, fmt.Errorf("reading owner of %q: %w", name, err)
		}
	}
	if err := o.load(); err != nil {
		return Record{}, false, err
	}
	r, ok := o.index[name]
	return r, ok, nil
}

// load reads the side index. A last line that is cut off was not finished and does not count.
func (o *Recorder) load() error {
	if o.index != nil {
		return nil
	}
	if o.w != nil {
		if err := o.w.Flush(); err != nil {
			return err
		}
	}
	o.index = map[string]Record{}
	if o.dirfd < 0 {
		return nil
	}
	fd, err := sys.OpenBeside(o.dirfd, o.name, syscall.O_RDONLY, 0)
	if err == syscall.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading owners: %w", err)
	}
	f := os.NewFile(uintptr(fd), o.name)
	defer f.Close()
	for dec := json.NewDecoder(f); ; {
		var l line
		err := dec.Decode(&l)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading owners: %w", err)
		}
		o.apply(l)
	}
}

func (o *Recorder) apply(l line) {
	if l.Gone {
		for p := range o.index {
			if p == l.Path || strings.HasPrefix(p, l.Path+"/") {
				delete(o.index, p)
			}
		}
	}
	if l.Rec != nil {
		o.index[l.Path] = *l.Rec
	}
}

// Close writes out the side index.
func (o *Recorder) Close() error {
	if o.out == nil {
		return nil
	}
	return errors.Join(o.w.Flush(), o.out.Close())
}

// Stack is the Owners of a merged tree: the first of its members that knows a name answers, top layer first. It records
// with the first.
type Stack []Owners

var _ Owners = Stack(nil)

// Record implements Owners.
func (s Stack) Record(fd int, name string, r Record) error { return s[0].Record(fd, name, r) }

// Forget implements Owners.
func (s Stack) Forget(name string) error { return s[0].Forget(name) }

// Lookup implements Owners.
func (s Stack) Lookup(fd int, name string) (Record, bool, error) {
	for _, o := range s {
		if r, ok, err := o.Lookup(fd, name); ok || err != nil {
			return r, ok, err
		}
	}
	return Record{}, false, nil
}
