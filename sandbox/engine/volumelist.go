package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// A Volume is a named directory that outlives containers.
type Volume struct {
	Name    string
	Labels  map[string]string
	Created time.Time
	Dir     string   // its files
	Users   []string // ids of the containers that have it mounted, running or not
}

// Anonymous tells whether nobody named it: it was made with a container.
func (v *Volume) Anonymous() bool {
	return len(v.Name) == 64 && strings.Trim(v.Name, "0123456789abcdef") == ""
}

// A NoVolumeError says that there is no volume of that name; errors.Is finds fs.ErrNotExist.
type NoVolumeError struct{ Name string }

func (e *NoVolumeError) Error() string        { return "get " + e.Name + ": no such volume" }
func (e *NoVolumeError) Is(target error) bool { return target == fs.ErrNotExist }

// trashPrefix begins the names of volumes that are being removed; no volume's name begins so.
const trashPrefix = ".removed-"

// Volumes lists the volumes by name.
func (e *Engine) Volumes(ctx context.Context) ([]*Volume, error) {
	entries, err := os.ReadDir(e.Dirs.Data + "/volumes")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing volumes: %w", err)
	}
	users := e.volumeUsers(ctx)
	out := []*Volume{}
	for _, d := range entries {
		if d.IsDir() && !strings.HasPrefix(d.Name(), ".") {
			out = append(out, e.readVolume(d.Name(), users))
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// Volume finds one; a *NoVolumeError where there is none.
func (e *Engine) Volume(ctx context.Context, name string) (*Volume, error) {
	if checkName(name) != nil || name == "" {
		return nil, &NoVolumeError{name}
	}
	if _, err := os.Lstat(e.Dirs.Data + "/volumes/" + name); err != nil {
		return nil, &NoVolumeError{name}
	}
	return e.readVolume(name, e.volumeUsers(ctx)), nil
}

// readVolume reads a volume's record; one that a kill left without is a volume all the same.
func (e *Engine) readVolume(name string, users map[string][]string) *Volume {
	v := &Volume{Name: name, Dir: e.volumeDir(name), Users: users[name]}
	dir := e.Dirs.Data + "/volumes/" + name
	var r volumeRecord
	if b, err := os.ReadFile(dir + "/volume.json"); err == nil && json.Unmarshal(b, &r) == nil {
		v.Labels, v.Created = r.Labels, r.Created
	} else if st, err := os.Stat(dir); err == nil {
		v.Created = st.ModTime()
	}
	return v
}

// volumeUsers are the ids of containers by the volumes they mount.
func (e *Engine) volumeUsers(ctx context.Context) map[string][]string {
	out := map[string][]string{}
	all, _ := e.List(ctx) // a container that cannot be read is told of by ps
	for _, c := range all {
		for _, m := range c.Spec.Mounts {
			if m.Type == spec.Volume {
				out[m.Name] = append(out[m.Name], c.ID)
			}
		}
	}
	return out
}

// CreateVolume makes a volume; one that is there already stays as it is. Without a name one is made up.
func (e *Engine) CreateVolume(name string, labels map[string]string) (string, error) {
	if name == "" {
		name = sandbox.NewID()
	}
	if checkName(name) != nil {
		return "", fmt.Errorf("create %s: %q includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path", name, name)
	}
	_, err := e.EnsureVolume(name, labels)
	return name, err
}

// RemoveVolume removes a volume that no container mounts. It is out of sight at once; what a kill leaves, the next removal
// takes away.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	v, err := e.Volume(ctx, name)
	if err != nil {
		return err
	}
	if len(v.Users) > 0 {
		return stateError("remove %s: volume is in use - [%s]", name, strings.Join(v.Users, ", "))
	}
	trash := e.Dirs.Data + "/volumes/" + trashPrefix + sandbox.NewID()[:12]
	if err := os.Rename(e.Dirs.Data+"/volumes/"+name, trash); err != nil {
		return fmt.Errorf("removing volume %q: %w", name, err)
	}
	e.Dirs.Emit(sandbox.Event{Type: "volume", Act: "destroy", ID: name, Attrs: map[string]string{"driver": "local"}})
	return e.sweepVolumes(ctx)
}

// sweepVolumes removes the files of volumes that are out of sight.
func (e *Engine) sweepVolumes(ctx context.Context) error {
	entries, err := os.ReadDir(e.Dirs.Data + "/volumes")
	if err != nil {
		return err
	}
	var errs error
	for _, d := range entries {
		if strings.HasPrefix(d.Name(), trashPrefix) {
			errs = errors.Join(errs, e.Worker().RemoveTree(ctx, e.Dirs.Data+"/volumes/"+d.Name()))
		}
	}
	return errs
}
