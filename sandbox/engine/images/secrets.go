package images

import (
	"context"

	"github.com/moss-sandbox/moss/image/build/scratch"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/userns/sys"
)

// tmpfsMagic is TMPFS_MAGIC, statfs(2).
const tmpfsMagic = 0x01021994

// secretPrefix begins the names of directories in memory that hold the secrets of a step.
const secretPrefix = "moss-secret-"

// secretPlaces are where a directory in memory may be made.
func secretPlaces(d *sandbox.Dirs) (out []string) {
	for _, place := range []string{d.Run, "/dev/shm"} {
		if magic, _, _, err := sys.Statfs(place); err == nil && magic == tmpfsMagic {
			out = append(out, place)
		}
	}
	return out
}

// memory makes a directory of the namespace's root in memory, removed with the step.
func (m *mounts) memory() (string, error) {
	d := &m.r.e.Dirs
	for _, place := range secretPlaces(d) {
		dir, release, err := scratch.Make(place, secretPrefix)
		if err != nil {
			continue
		}
		m.undoing = append(m.undoing, func() {
			_ = m.r.e.Worker().RemoveTree(context.Background(), dir)
			release()
		})
		return dir, d.Own(dir)
	}
	return "", &noMemoryError{}
}

// sweepSecrets removes the directories of builds that were killed.
func (s *Service) sweepSecrets(ctx context.Context) {
	for _, place := range secretPlaces(&s.e.Dirs) {
		scratch.Sweep(place, secretPrefix, func(dir string) { _ = s.e.Worker().RemoveTree(ctx, dir) })
	}
}

// A noMemoryError says that there is no place for secrets.
type noMemoryError struct{}

func (*noMemoryError) Error() string { return "there is no directory in memory for secrets" }

// Hints tells how to get one.
func (*noMemoryError) Hints() []string {
	return []string{"set XDG_RUNTIME_DIR to a directory of your own on a tmpfs; /dev/shm is none here"}
}
