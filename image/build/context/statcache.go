package context

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A StatCache remembers the digests of a directory's files by what stat(2) says of them: inode, size, modification and
// change time. A build of an unchanged context then reads metadata only. The change time cannot be set by anybody, so a file
// that was rewritten with its old times is still noticed.
//
// It is a file of lines below the build cache, one file a context; losing it costs time only.
type StatCache struct {
	file  string
	mu    sync.Mutex
	old   map[string]entry
	used  map[string]entry
	dirty bool
}

type entry struct {
	stamp  string
	digest string
}

var _ tree.Digests = (*StatCache)(nil)

const statHeader = "moss stat cache 1"

// racy is how old a file's change time must be when its digest is remembered, after it was read and found unchanged: a
// later change within the same tick of the kernel's clock (4 ms, 10 at most) would not show.
const racy = 20 * time.Millisecond

// OpenStatCache reads the cache of a context below dir. What cannot be read counts as empty.
func OpenStatCache(dir, contextPath string) *StatCache {
	sum := sha256.Sum256([]byte(contextPath))
	c := &StatCache{file: filepath.Join(dir, hex.EncodeToString(sum[:16])), old: map[string]entry{}, used: map[string]entry{}}
	b, err := os.ReadFile(c.file)
	if err != nil {
		return c
	}
	lines := strings.Split(string(b), "\n")
	if lines[0] != statHeader {
		return c
	}
	for _, l := range lines[1:] {
		if f := strings.SplitN(l, "\t", 3); len(f) == 3 && len(f[0]) == 64 {
			c.old[f[2]] = entry{digest: f[0], stamp: f[1]}
		}
	}
	return c
}

func stamp(st *sys.Stat) string {
	return fmt.Sprintf("%x:%x:%x:%x.%x:%x.%x", st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
}

// Get implements tree.Digests.
func (c *StatCache) Get(path string, st *sys.Stat) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.old[path]
	if !ok || e.stamp != stamp(st) {
		return "", false
	}
	c.used[path] = e
	return e.digest, true
}

// Put implements tree.Digests.
func (c *StatCache) Put(path string, st *sys.Stat, digest string) {
	if strings.ContainsAny(path, "\n\t") || time.Since(time.Unix(st.Ctim.Sec, st.Ctim.Nsec)) < racy {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := entry{stamp: stamp(st), digest: digest}
	c.used[path], c.old[path], c.dirty = e, e, true
}

// Save writes what was used or learnt, under another name first. Files that are gone are forgotten.
func (c *StatCache) Save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.file), ".new-")
	if err != nil {
		return err
	}
	_, err = tmp.Write(c.encode())
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), c.file)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("remembering the context's digests: %w", err)
	}
	return nil
}

func (c *StatCache) encode() []byte {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	fmt.Fprintln(w, statHeader)
	for path, e := range c.used {
		fmt.Fprintf(w, "%s\t%s\t%s\n", e.digest, e.stamp, path)
	}
	w.Flush()
	return b.Bytes()
}
