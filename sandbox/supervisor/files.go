package supervisor

import (
	"fmt"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox/guest"
)

// filesNeeded is how many descriptors a birth needs: a holder's numbers, and room above them.
const filesNeeded = guest.HolderUse + 16

// A filesError says that the account may not open enough files.
type filesError struct{ hard uint64 }

func (e *filesError) Error() string {
	return fmt.Sprintf("this session may open %d files, moss needs %d for a container", e.hard, filesNeeded)
}

func (e *filesError) Hints() []string {
	return []string{"the limit is lowered by `ulimit -n` or in /etc/security/limits.conf; a new login without it has more"}
}

// raiseFiles lets lists have as many descriptors as this process: Go raises the soft limit of open files for itself and gives
// children the caller's, unless it was set (syscall.Setrlimit). The command's own limit is in its specification.
func raiseFiles() error {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	if lim.Max < filesNeeded {
		return &filesError{lim.Max}
	}
	lim.Cur = max(lim.Cur, filesNeeded)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("raising the limit of open files: %w", err)
	}
	return nil
}
