package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// forbiddenTargets may not be covered: what moss itself mounts there would be lost, and with it the confinement.
var forbiddenTargets = []string{"/", "/proc", "/sys", "/dev", "/dev/pts", "/dev/mqueue"}

// mounts decides what is mounted: the user's volumes, the image's, parents before children.
func (e *Engine) mounts(ctx context.Context, o *Create, b *base) ([]spec.Mount, error) {
	out := append([]spec.Mount{}, b.binds...)
	for i := range o.Volumes {
		m, err := e.volume(&o.Volumes[i])
		if err != nil {
			return nil, err
		}
		for _, have := range out {
			if have.Target == m.Target {
				return nil, fmt.Errorf("Duplicate mount point: %s", m.Target)
			}
		}
		out = append(out, m)
	}
	from, err := e.volumesFrom(ctx, o.VolumesFrom)
	if err != nil {
		return nil, err
	}
	for _, m := range from { // the user's own win
		if !taken(out, m.Target) {
			out = append(out, m)
		}
	}
	for target := range b.config.Volumes {
		target = path.Clean("/" + target)
		if !taken(out, target) && !forbidden(target) {
			out = append(out, spec.Mount{Type: spec.Volume, Name: sandbox.NewID(), Target: target, Anon: true})
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Target < out[j].Target })
	for i := range out {
		if out[i].Type == spec.Volume {
			out[i].Source = e.volumeDir(out[i].Name)
		}
	}
	return out, nil
}

func taken(m []spec.Mount, target string) bool {
	for _, x := range m {
		if x.Target == target {
			return true
		}
	}
	return false
}

func forbidden(target string) bool {
	for _, f := range forbiddenTargets {
		if target == f {
			return true
		}
	}
	for _, own := range []string{"/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/ptmx", "/dev/pts", "/dev/console"} {
		if target == own || strings.HasPrefix(target, own+"/") { // links and nodes that the container makes itself
			return true
		}
	}
	return strings.HasPrefix(target, "/proc/") || strings.HasPrefix(target, "/sys/")
}

// volume checks one wish.
func (e *Engine) volume(v *VolumeSpec) (spec.Mount, error) {
	m := spec.Mount{Type: v.Type, Target: path.Clean(v.Target), ReadOnly: v.ReadOnly, NoCopy: v.NoCopy, Options: v.Options}
	if !path.IsAbs(v.Target) {
		return m, fmt.Errorf("invalid mount config for type %q: invalid mount path: '%s' mount path must be absolute", v.Type, v.Target)
	}
	if m.Target == "/" {
		return m, fmt.Errorf("invalid mount config for type %q: invalid specification: destination can't be '/'", v.Type)
	}
	if forbidden(m.Target) {
		return m, fmt.Errorf("invalid mount config for type %q: %q belongs to the container itself", v.Type, m.Target)
	}
	switch v.Type {
	case spec.Tmpfs:
	case spec.Volume:
		m.Name = v.Source
		if m.Name == "" {
			m.Name, m.Anon = sandbox.NewID(), true
		} else if checkName(m.Name) != nil {
			return m, fmt.Errorf("create %s: %q includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path", m.Name, m.Name)
		}
	case spec.Bind:
		return m, e.bind(v, &m)
	default:
		return m, fmt.Errorf("invalid mount config: unknown type %q", v.Type)
	}
	return m, nil
}

// bind checks a path of the host; -v makes a missing directory, as Docker does.
func (e *Engine) bind(v *VolumeSpec, m *spec.Mount) error {
	var err error
	if m.Source, err = filepath.Abs(v.Source); err != nil {
		return err
	}
	st, err := os.Stat(m.Source)
	if errors.Is(err, fs.ErrNotExist) && v.MakeDir {
		if err = os.MkdirAll(m.Source, 0o755); err == nil {
			st, err = os.Stat(m.Source)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("invalid mount config for type \"bind\": bind source path does not exist: %s", m.Source)
	}
	if err != nil {
		return fmt.Errorf("invalid mount config for type \"bind\": %w", err)
	}
	m.File = !st.IsDir()
	return nil
}

// volumeDir is where a volume's files are.
func (e *Engine) volumeDir(name string) string { return e.Dirs.Data + "/volumes/" + name + "/_data" }

// makeVolumes makes the directories of volumes that are not there, and fills them with what the image has in their place.
func (e *Engine) makeVolumes(ctx context.Context, c *Created, b *base) error {
	for i := range c.Spec.Mounts {
		m := &c.Spec.Mounts[i]
		if m.Type != spec.Volume {
			continue
		}
		made, err := e.EnsureVolume(m.Name, nil)
		if err != nil {
			return err
		}
		if !made && !empty(m.Source) || m.NoCopy {
			continue
		}
		if err := e.Worker().CopyUp(ctx, c.Spec.Root.Trees[0].Lower, m.Target, m.Source); err != nil {
			return fmt.Errorf("filling volume %q: %w", m.Name, err)
		}
	}
	return nil
}

func empty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) == 0
}

// EnsureVolume makes a volume if it is not there, and tells whether it did.
func (e *Engine) EnsureVolume(name string, labels map[string]string) (made bool, err error) {
	dir := e.Dirs.Data + "/volumes"
	if err := e.Dirs.Ensure(dir); err != nil {
		return false, err
	}
	err = e.Dirs.Mkdir(dir+"/"+name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return false, e.Dirs.Ensure(e.volumeDir(name))
	}
	if err != nil {
		return false, err
	}
	if err := e.Dirs.Mkdir(e.volumeDir(name), 0o755); err != nil {
		return false, err
	}
	if err := e.Dirs.WritePrecious(dir+"/"+name+"/volume.json", volumeRecord{V: 1, Name: name, Labels: labels, Created: now()}); err != nil {
		return false, err
	}
	e.Dirs.Emit(sandbox.Event{Type: "volume", Act: "create", ID: name, Attrs: map[string]string{"driver": "local"}})
	return true, nil
}
