package switchd

import (
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// longestPath is what fits into sun_path with its final zero (unix(7)).
const longestPath = 107

// atSocket calls f with a name of a socket file that fits into an address: a longer one is named by its directory's
// descriptor.
func atSocket(path string, f func(name string) error) error {
	if len(path) <= longestPath {
		return f(path)
	}
	dir, err := syscall.Open(filepath.Dir(path), sys.OPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(dir)
	return f(fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path)))
}
