package role

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/moss-sandbox/moss/internal/payload"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Full returns a descriptor of the full program: a sealed copy in memory of what lies behind the small one in this
// program's file, or this program where it is the full one itself.
func Full() (*os.File, error) {
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("opening this program: %w", err)
	}
	r, err := payload.Open(exe)
	if errors.Is(err, payload.ErrNone) {
		return exe, nil
	}
	defer exe.Close()
	if err != nil {
		return nil, err
	}
	b := make([]byte, r.Size())
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("reading the full program: %w", err)
	}
	fd, err := sys.MemfdProgram("moss-full", os.TempDir(), []sys.Part{{Data: b}})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "full program"), nil
}
