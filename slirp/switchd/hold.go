package switchd

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// perHolder bounds the descriptors of one holder; the numbers above are the starting list's own.
const perHolder = 64

// holder is a process that keeps descriptors while there is no switch. The descriptor numbers are part of the state file's
// version.
type holder struct {
	Process userns.Process `json:"process"`
	Names   []string       `json:"names"` // of descriptor firstHeld, firstHeld+1, …
}

const firstHeld = 3

// named is a descriptor with the name under which a successor finds it.
type named struct {
	name string
	fd   int
}

// hold starts holders for the descriptors; they keep duplicates.
func hold(files []named) ([]holder, error) {
	var l []holder
	for part := range slices.Chunk(files, perHolder) {
		h, err := startHolder(part)
		if err != nil {
			release(l)
			return nil, err
		}
		l = append(l, h)
	}
	return l, nil
}

func startHolder(files []named) (h holder, err error) {
	pause := spawn.New()
	again := pause.Next()
	pause.Try("pausing", syscall.SYS_PPOLL, 0, 0, 0, 0)
	pause.Jump(again)
	fds := []int{-1, -1, -1}
	for _, f := range files {
		fds = append(fds, f.fd)
		h.Names = append(h.Names, f.name)
	}
	pid, err := pause.Start(spawn.Options{Name: "moss-net-holder", Files: fds, Report: 2, Setsid: true, TmpDir: os.TempDir()})
	if err != nil {
		return h, fmt.Errorf("starting a holder of descriptors: %w", err)
	}
	if h.Process, err = userns.Observe(pid); err != nil {
		return h, fmt.Errorf("starting a holder of descriptors: %w", err)
	}
	return h, nil
}

// take duplicates everything that holders keep into this process.
func take(list []holder) (map[string]int, error) {
	files := map[string]int{}
	for _, h := range list {
		if err := h.take(files); err != nil {
			for _, fd := range files {
				syscall.Close(fd)
			}
			return nil, err
		}
	}
	return files, nil
}

func (h holder) take(files map[string]int) error {
	pidfd, err := h.Process.Open()
	if err != nil {
		return fmt.Errorf("taking descriptors of holder %d: %w", h.Process.PID, err)
	}
	defer syscall.Close(pidfd)
	for i, name := range h.Names {
		fd, err := sys.PidfdGetfd(pidfd, firstHeld+i)
		if err != nil {
			return err
		}
		files[name] = fd
	}
	return nil
}

// release ends holders.
func release(list []holder) {
	for _, h := range list {
		pidfd, err := h.Process.Open()
		if err != nil {
			continue
		}
		if sys.PidfdSignal(pidfd, syscall.SIGKILL) == nil {
			go spawn.Wait(h.Process.PID) //nolint:errcheck // ECHILD when a former switch has started it
		}
		syscall.Close(pidfd)
	}
}
