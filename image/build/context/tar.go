package context

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/moss-sandbox/moss/image/build/tree"
)

// ErrNotArchive says that a stream is no tar archive, so it may be a Dockerfile.
var ErrNotArchive = errors.New("not a tar archive")

// FromTar unpacks a tar stream, compressed or not, into dir, an empty directory of the caller, and opens it as a context.
// All files become the caller's and readable; devices are refused; limits bound the rest.
func FromTar(r io.Reader, dir string, limits tree.Limits) (*Context, error) {
	counted := &counter{r: r}
	plain, err := tree.Decompress(counted)
	if err != nil {
		return nil, fmt.Errorf("reading context: %w", err)
	}
	defer plain.Close()
	root, err := tree.Open(dir)
	if err != nil {
		return nil, err
	}
	u := tree.Unpacking{Dest: "/", Limits: limits, Plain: true}
	if _, err := tree.Unpack(root, plain, u, plainOwners{}, func() int64 { return counted.n }); err != nil {
		root.Close()
		return nil, fmt.Errorf("reading context: %w", err)
	}
	return &Context{Path: dir, Root: root}, nil
}

// plainOwners leaves files the caller's, directories that no entry names included.
type plainOwners struct{ tree.Kernel }

// Set implements tree.Owners.
func (plainOwners) Set(dir *tree.Dir, name string, _ tree.Owner, mode uint32) error {
	return tree.Kernel{}.Set(dir, name, tree.Owner{UID: os.Geteuid(), GID: os.Getegid()}, mode)
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
