package harness

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A tree is written in words, an entry a line; a later entry may lie in an earlier one:
//
//	dir   bin                   a directory, 0755
//	file  etc/motd  hello       a file with this content and a newline, 0644
//	exe   bin/true  @PATH       a file with the content of the host's PATH, 0755
//	link  bin/sh    busybox     a symbolic link
//	hard  bin/cat   bin/busybox a hard link to an earlier entry
//	fifo  run/pipe
//	char  dev/null  1:3         a device (tar only)
//
// Words mode=… uid=… gid=… may stand at the end of a line.
type entry struct {
	kind, path, arg string
	mode            int64
	uid, gid        int
}

// parseTree reads a tree in words. It panics on a misspelt one: a test's own text.
func parseTree(words string) []entry {
	var entries []entry
	for _, line := range strings.Split(words, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		e := entry{kind: fields[0], path: fields[1], mode: defaultMode(fields[0])}
		var rest []string
		for _, f := range fields[2:] {
			if !e.attribute(f) {
				rest = append(rest, f)
			}
		}
		e.arg = strings.Join(rest, " ")
		entries = append(entries, e)
	}
	return entries
}

func defaultMode(kind string) int64 {
	switch kind {
	case "dir", "exe":
		return 0o755
	case "link":
		return 0o777
	}
	return 0o644
}

// attribute takes a word of the form name=value and says whether it was one.
func (e *entry) attribute(word string) bool {
	name, value, _ := strings.Cut(word, "=")
	base := 10
	if name == "mode" {
		base = 8
	}
	n, err := strconv.ParseInt(value, base, 64)
	switch {
	case err != nil:
		return false
	case name == "mode":
		e.mode = n
	case name == "uid":
		e.uid = int(n)
	case name == "gid":
		e.gid = int(n)
	default:
		return false
	}
	return true
}

// content is what a file entry holds.
func (e entry) content() ([]byte, error) {
	if path, isPath := strings.CutPrefix(e.arg, "@"); isPath {
		return os.ReadFile(path)
	}
	if e.arg == "" {
		return nil, nil
	}
	return []byte(e.arg + "\n"), nil
}

// CreateTree makes the tree below dir, owned by the login.
func (l *Login) CreateTree(dir, words string) {
	l.t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.t.Fatal(err)
	}
	for _, e := range parseTree(words) {
		if err := e.create(dir); err != nil {
			l.t.Fatalf("tree entry %q: %v", e.path, err)
		}
	}
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
		return os.Lchown(path, l.UID, l.GID)
	})
}

func (e entry) create(dir string) error {
	path := filepath.Join(dir, e.path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	switch e.kind {
	case "dir":
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	case "file", "exe":
		b, err := e.content()
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
	case "link":
		return os.Symlink(e.arg, path)
	case "hard":
		return os.Link(filepath.Join(dir, e.arg), path)
	default:
		return fmt.Errorf("kind %q is for layers only", e.kind)
	}
	return os.Chmod(path, os.FileMode(e.mode&0o777)|setIDs(e.mode))
}

// setIDs translates the special bits, which os.FileMode keeps elsewhere.
func setIDs(mode int64) os.FileMode {
	var m os.FileMode
	for bit, flag := range map[int64]os.FileMode{0o4000: os.ModeSetuid, 0o2000: os.ModeSetgid, 0o1000: os.ModeSticky} {
		if mode&bit != 0 {
			m |= flag
		}
	}
	return m
}

// Layer makes a tar of the tree, byte for byte the same for the same words.
func Layer(t testing.TB, words string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range parseTree(words) {
		if err := e.write(w); err != nil {
			t.Fatalf("layer entry %q: %v", e.path, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (e entry) write(w *tar.Writer) error {
	h := &tar.Header{Name: e.path, Mode: e.mode, Uid: e.uid, Gid: e.gid, ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX}
	var body []byte
	switch e.kind {
	case "dir":
		h.Typeflag, h.Name = tar.TypeDir, e.path+"/"
	case "file", "exe":
		b, err := e.content()
		if err != nil {
			return err
		}
		h.Typeflag, h.Size, body = tar.TypeReg, int64(len(b)), b
	case "link":
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.arg
	case "hard":
		h.Typeflag, h.Linkname = tar.TypeLink, e.arg
	case "fifo":
		h.Typeflag = tar.TypeFifo
	case "char":
		h.Typeflag = tar.TypeChar
		if _, err := fmt.Sscanf(e.arg, "%d:%d", &h.Devmajor, &h.Devminor); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown kind %q", e.kind)
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}
