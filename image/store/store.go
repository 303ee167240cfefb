package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Store is one store on disk. It is safe for use by several goroutines and processes at once.
type Store struct {
	fs     FS
	root   string // "" for a simulated disk
	shared []*Store
	bootID func() string
	inUse  func() ([]Use, error)
	wait   time.Duration

	mu      sync.Mutex
	scratch []byte // of withFile
}

// Options of Open. The zero value is the right one for an ordinary account.
type Options struct {
	Owner   *Owner        // who owns the root and what is made; nil: this process
	Shared  []string      // roots of read-only stores beside, course stores; one that cannot be read is left out
	LockFor time.Duration // how long to wait for the store's lock, default 5 s
	// InUse lists what containers need. It is called with the store locked and must not come back to the store.
	InUse func() ([]Use, error)
}

// Owner is a pair of ids outside of any user namespace.
type Owner struct{ UID, GID int }

// dirs are made on first use.
var dirs = [...]string{"blobs", "blobs/sha256", "images", "names", "about", "layers", "sessions", "locks", "quarantine"}

// Open opens the store below root, making what is missing. root is made 0700 or set to it, and must be its owner's:
// otherwise a *RootError (ErrRoot). It costs the hot path two system calls.
func Open(root string, opts Options) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("finding data root: %w", err)
	}
	d := disk{root: root, uid: os.Geteuid(), gid: os.Getegid()}
	if opts.Owner != nil {
		d.uid, d.gid = opts.Owner.UID, opts.Owner.GID
	}
	if err := d.checkRoot(); err != nil {
		return nil, err
	}
	s := open(d, opts)
	s.root = root
	if _, err := d.Stat(dirs[len(dirs)-1]); err != nil {
		if err := s.makeDirs(); err != nil {
			return nil, fmt.Errorf("making data root: %w", err)
		}
	}
	for _, dir := range opts.Shared {
		s.shared = append(s.shared, openShared(dir))
	}
	return s, nil
}

func open(f FS, opts Options) *Store {
	s := &Store{fs: f, bootID: readBootID, inUse: opts.InUse, wait: opts.LockFor}
	if s.wait == 0 {
		s.wait = 5 * time.Second
	}
	return s
}

// makeDirs makes the directories in order, so that the last one says that all are there.
func (s *Store) makeDirs() error {
	for _, name := range dirs {
		if err := s.fs.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return errors.Join(s.fs.SyncDir("blobs"), s.fs.SyncDir("."))
}

// Root returns the absolute path of the store.
func (s *Store) Root() string { return s.root }

// checkRoot makes the root directory and checks owner and mode.
func (d disk) checkRoot() error {
	var st syscall.Stat_t
	err := syscall.Lstat(d.root, &st)
	if err == syscall.ENOENT {
		if err := d.makeRoot(); err != nil {
			return err
		}
		err = syscall.Lstat(d.root, &st)
	}
	if err != nil {
		return fmt.Errorf("opening data root: %w", &os.PathError{Op: "lstat", Path: d.root, Err: err})
	}
	elsewhere := "set MOSS_ROOT, or give --root, to a directory of your own"
	switch {
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
		return &RootError{d.root, "it is no directory", elsewhere}
	case int(st.Uid) != d.uid:
		return &RootError{d.root, fmt.Sprintf("it belongs to uid %d, not to uid %d", st.Uid, d.uid), elsewhere}
	case st.Mode&0o077 != 0:
		if err := os.Chmod(d.root, 0o700); err != nil {
			return &RootError{d.root, fmt.Sprintf("others may enter it (mode %o)", st.Mode&0o777), "chmod 700 " + d.root}
		}
	}
	return nil
}

func (d disk) makeRoot() error {
	if err := os.MkdirAll(filepath.Dir(d.root), 0o755); err != nil {
		return fmt.Errorf("making data root: %w", err)
	}
	if err := os.Mkdir(d.root, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making data root: %w", err)
	}
	if d.uid == os.Geteuid() {
		return nil
	}
	return os.Lchown(d.root, d.uid, d.gid)
}

func syncfs(fd int) error { return sys.Syncfs(fd) }

// readBootID returns the id of this boot (random(4)), and something that never repeats where /proc does not tell.
func readBootID() string {
	b, err := readFile("/proc/sys/kernel/random/boot_id", make([]byte, 0, 64))
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}
