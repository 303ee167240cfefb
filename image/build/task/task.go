package task

import (
	"io"
	"time"

	"github.com/moss-sandbox/moss/image/build/tree"
)

// A Stack is a tree made of layers. With an Upper it is an overlay that collects changes there (without Lowers the upper
// itself, with no overlay); without one it is read only (a single lower needs no overlay).
type Stack struct {
	Lowers []string `json:"lowers,omitempty"` // directories, top first
	Upper  string   `json:"upper,omitempty"`
	Work   string   `json:"work,omitempty"` // overlay's work directory, beside Upper
	Host   bool     `json:"host,omitempty"` // the one lower is a directory of the caller, not of the store
}

// A Task is done in order on one tree; it stops at the first error.
type Task struct {
	Root    Stack    `json:"root"`
	Sources []Stack  `json:"sources,omitempty"`
	Actions []Action `json:"actions"`
}

// An Action is exactly one of its fields.
type Action struct {
	Copy   *Copy   `json:"copy,omitempty"`
	Unpack *Unpack `json:"unpack,omitempty"`
	Write  *Write  `json:"write,omitempty"`
	Mkdir  *Mkdir  `json:"mkdir,omitempty"`
	Sum    *Sum    `json:"sum,omitempty"`
	Prune  *Prune  `json:"prune,omitempty"`
	Export *Export `json:"export,omitempty"`
}

// Who says whom files belong to.
type Who struct {
	Chown string `json:"chown,omitempty"` // user[:group] of the tree's own files; "" is Default
	Keep  bool   `json:"keep,omitempty"`  // "" keeps the source's owner instead of root's
	Users *int   `json:"users,omitempty"` // the source whose passwd is read instead of the root's (COPY --link)
}

// Copy copies what Select takes from a source into the root.
type Copy struct {
	Source int            `json:"source"`
	Select tree.Selection `json:"select"`
	Dest   string         `json:"dest"` // absolute; a final "/" means a directory
	Chmod  string         `json:"chmod,omitempty"`
	Time   *time.Time     `json:"time,omitempty"` // of directories made on the way
	Who
}

// Unpack extracts a tar archive, compressed or not, that is a file of a source.
type Unpack struct {
	Source int         `json:"source"`
	Path   string      `json:"path"`
	Dest   string      `json:"dest"`
	Chmod  string      `json:"chmod,omitempty"`
	Limits tree.Limits `json:"limits"`
	Who
}

// Write makes a file with a content, mode 0644 unless Chmod says otherwise: a here-document.
type Write struct {
	Name  string     `json:"name"`
	Data  string     `json:"data"`
	Dest  string     `json:"dest"`
	Chmod string     `json:"chmod,omitempty"`
	Time  *time.Time `json:"time,omitempty"`
	Who
}

// Mkdir makes a directory and what leads to it; one that exists stays as it is.
type Mkdir struct {
	Path string     `json:"path"`
	Mode uint32     `json:"mode"`
	Time *time.Time `json:"time,omitempty"`
	Who
}

// Sum asks for the digest of what Select takes from a source, owners included.
type Sum struct {
	Source int            `json:"source"`
	Select tree.Selection `json:"select"`
}

// Prune removes from the upper the mount points that running a command has left behind: each path that is an empty file or
// directory and is not in the lowers, and the directories above it that have become empty and are not in the lowers.
// The root of its task is the upper without lowers, its sources are those lowers, top first.
type Prune struct {
	Paths []string `json:"paths"`
}

// Export writes the whole root as a tar stream to the worker's output.
type Export struct {
	Time    *time.Time `json:"time,omitempty"`    // no file is newer
	Devices bool       `json:"devices,omitempty"` // devices too
}

// A Result says what was done.
type Result struct {
	Counts  []int    `json:"counts,omitempty"` // files written by each action
	Sums    []string `json:"sums,omitempty"`   // of the Sum actions, in order
	Failure *Failure `json:"failure,omitempty"`
}

// Err returns the error that stopped the task, if any.
func (r Result) Err() error {
	if r.Failure == nil {
		return nil
	}
	return r.Failure
}

// Written tells how many files the task wrote.
func (r Result) Written() (n int) {
	for _, c := range r.Counts {
		n += c
	}
	return n
}

// Roots are the opened trees of a task. The owner of the Roots closes them.
type Roots struct {
	Root    *tree.Dir
	Sources []*tree.Dir
	Owners  tree.Owners   // of Root: tree.Kernel{} with subordinate ids, Recording with the single id
	From    []tree.Owners // of Sources; nil: as Owners
	Out     io.Writer     // of Export
}
