package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// Sealed tells whether the content of a memory file can never change (fcntl(2), F_GET_SEALS).
func Sealed(f *os.File) bool {
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	return err == nil && seals&unix.F_SEAL_WRITE != 0
}
