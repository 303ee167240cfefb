package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns"
)

// A Status is a step in a container's life.
type Status string

// The statuses, with Docker's names.
const (
	Created    Status = "created"
	Running    Status = "running"
	Paused     Status = "paused"
	Restarting Status = "restarting"
	Exited     Status = "exited"
	Removing   Status = "removing"
	Dead       Status = "dead"
)

// Up tells whether a container's processes may live: it is among what `ps` lists.
func (s Status) Up() bool {
	switch s {
	case Running, Paused, Restarting:
		return true
	case Created, Exited, Removing, Dead:
	}
	return false
}

// A State is what became of a container.
type State struct {
	V         int            `json:"v"`
	Status    Status         `json:"status"`
	Guest     userns.Process `json:"guest"`
	Holder    userns.Process `json:"holder"`
	Started   time.Time      `json:"started,omitzero"`
	Finished  time.Time      `json:"finished,omitzero"`
	ExitCode  int            `json:"exitCode"`
	OOMKilled bool           `json:"oomKilled,omitempty"`
	Error     string         `json:"error,omitempty"`
	Restarts  int            `json:"restarts,omitempty"`
	// StoppedByUser keeps a restart policy from bringing it back.
	StoppedByUser bool         `json:"-"`                 // see MarkStopped
	Health        *Health      `json:"-"`                 // see SaveHealth
	Network       []byte       `json:"network,omitempty"` // endpoint as package slirp writes it
	Where         userns.Where `json:"where"`             // who wrote it
}

// Health is the outcome of the last health checks.
type Health struct {
	Status string        `json:"status"` // starting, healthy, unhealthy
	Streak int           `json:"streak"` // failures in a row
	Log    []HealthCheck `json:"log,omitempty"`
}

// A HealthCheck is one of the last five.
type HealthCheck struct {
	Start, End time.Time
	ExitCode   int
	Output     string
}

// A Sandbox is one container's directory.
type Sandbox struct {
	ID   string
	Dir  string
	dirs *Dirs
}

// Errors that callers tell apart.
var (
	ErrForeign = errors.New("container runs on another machine or in another pid namespace")
	ErrCorrupt = errors.New("its file cannot be read")
)

func (s *Sandbox) path(name string) string { return s.Dir + "/" + name }

// Path is a file of the container's directory.
func (s *Sandbox) Path(name string) string { return s.path(name) }

// Dirs are the places of the state it belongs to.
func (s *Sandbox) Dirs() *Dirs { return s.dirs }

// Spec reads the specification; fs.ErrNotExist if the container is not (or no longer) there.
func (s *Sandbox) Spec() (*spec.Spec, error) {
	var sp spec.Spec
	if err := readVersioned(s.path("spec.json"), &sp); err != nil {
		return nil, err
	}
	if sp.V != spec.Version {
		return nil, fmt.Errorf("container %q: specification of version %d, this program knows %d: %w", s.ID, sp.V, spec.Version, ErrCorrupt)
	}
	return &sp, nil
}

// SaveSpec replaces the specification. Precious specifications outlive a power loss once this returns.
func (s *Sandbox) SaveSpec(sp *spec.Spec) error {
	return s.dirs.write(s.path("spec.json"), sp, durability(sp))
}

// durability of a container's files: one that goes at its end is void after a reboot anyway.
func durability(sp *spec.Spec) Durability {
	if sp.AutoRemove {
		return BootBound
	}
	return Precious
}

// readState reads state.json as it is written; a container that was never started has none.
func (s *Sandbox) readState() (State, error) {
	var st State
	err := readVersioned(s.path("state.json"), &st)
	if errors.Is(err, os.ErrNotExist) {
		return State{V: 1, Status: Created}, nil
	}
	return st, err
}

// SaveState replaces the state, bound to this boot.
func (s *Sandbox) SaveState(st State) error {
	st.V, st.Where = 1, userns.Here()
	return s.dirs.write(s.path("state.json"), st, BootBound)
}

// Durability is how much of a crash a file must survive.
type Durability int

// The classes of files.
const (
	BootBound Durability = iota // renamed into place, never half-written; may be lost with the machine's power
	Precious                    // there after a power loss once the write has returned
)

// write replaces a file atomically. The final newline marks its end.
func (d *Dirs) write(path string, v any, class Durability) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	tmp := path + "." + strconv.Itoa(os.Getpid()) + ".new" // several processes may write one at once: the last one wins
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil && class == Precious {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("writing %q: %w", path, err)
	}
	if class == Precious {
		return syncDir(filepath.Dir(path))
	}
	return nil
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// readVersioned reads a file that write made.
func readVersioned(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.HasSuffix(b, []byte("\n")) {
		return fmt.Errorf("%q has no end: %w", path, ErrCorrupt)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%q: %w: %w", path, err, ErrCorrupt)
	}
	return nil
}

// WritePrecious replaces a file of the state so that it is there after a power loss once this returns.
func (d *Dirs) WritePrecious(path string, v any) error { return d.write(path, v, Precious) }

// WriteBootBound replaces a file of the state that may be lost with the machine's power.
func (d *Dirs) WriteBootBound(path string, v any) error { return d.write(path, v, BootBound) }
