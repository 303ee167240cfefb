package store

import (
	"context"
	"io"
	"io/fs"
)

// FS is all the store asks of a disk; names are relative to the store's root, with slashes. The operating system's is made
// by Open; the tests have one that forgets and reorders what was not synced.
type FS interface {
	ReadFile(name string) ([]byte, error)
	ReadDir(name string) ([]string, error) // names, in any order
	Stat(name string) (fs.FileInfo, error) // does not follow links
	Open(name string) (File, error)        // for reading
	Create(name string) (File, error)      // a new file, 0600, for writing and reading
	Mkdir(name string) error               // one directory, 0700
	Rename(from, to string) error          // replaces a file, not a directory that has entries
	Remove(name string) error              // a file or an empty directory
	SyncDir(name string) error
	SyncFS() error
	// Lock waits for a lock on a file, made if absent, or on a directory, until ctx ends.
	Lock(ctx context.Context, name string, how LockMode) (Lock, error)
}

// File is an open file of a FS. Sync reports lost data once; a file whose Sync failed is dropped.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	Sync() error
	Close() error
}

// LockMode says how a lock is wanted.
type LockMode int

// The modes. Those that try do not wait: ErrLocked when somebody else holds the lock.
const (
	Shared LockMode = iota
	Exclusive
	TryExclusive
	TryShared
)

// Lock is a lock that is held; Unlock ends it.
type Lock interface{ Unlock() }
