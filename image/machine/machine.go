package machine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// An Owner is who root inside is outside.
type Owner struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
}

// A Source says what an image is made of.
type Source struct {
	Dir      string // absolute, without symbolic links; "/" is this machine
	DataRoot string // absolute; layers are cached below its directory machine, and it never shows in an image
	Owner    Owner
	Mapped   func(uid uint32) bool // which outer user ids exist inside; nil: the owner's alone
}

// A Root says what to mount for the root file system of a container, in order.
type Root struct {
	Overlays []Overlay `json:"overlays"` // parents before children, the first is for "/"
	Binds    []Bind    `json:"binds,omitempty"`
	Cache    string    `json:"cache,omitempty"` // the directory that holds the layers; to keep it, see Collect
}

// An Overlay is mounted with userxattr and an upper directory of its own.
type Overlay struct {
	Target string   `json:"target"` // absolute, inside
	Lower  []string `json:"lower"`  // absolute, outside, top first
}

// A Bind is a single file shown read-only.
type Bind struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"ro"`
}

// Prepare returns what to mount for a container whose image is the directory, and makes the layers if they are not there
// or the directory has changed since. The first time takes about a second for "/", later some milliseconds.
//
// Errors: fs.ErrNotExist and fs.ErrPermission for the directory itself; an OverlapError when the data root is the directory.
func Prepare(ctx context.Context, src Source) (*Root, error) {
	if err := checkDir(src); err != nil {
		return nil, err
	}
	bars, err := findBarriers(src)
	if err != nil {
		return nil, err
	}
	plain, err := isPlain(src, bars)
	if err != nil {
		return nil, err
	}
	if plain {
		return &Root{Overlays: []Overlay{{Target: "/", Lower: []string{src.Dir}}}}, nil
	}
	return cached(ctx, src, bars)
}

// Plain tells whether one overlay is enough for the directory: it is the user's own, with no mount and no data root below it.
func Plain(src Source) (bool, error) {
	bars, err := findBarriers(src)
	if err != nil {
		return false, err
	}
	return isPlain(src, bars)
}

// isPlain looks at the directory, its entries and theirs: a root file system that was unpacked by the user has no foreign owner there,
// and one that was made by somebody else has.
func isPlain(src Source, bars barriers) (bool, error) {
	if src.Dir == "/" || bars.below("") {
		return false, nil
	}
	w := &ownWalk{mapped: src.Mapped}
	if w.mapped == nil {
		w.mapped = func(uid uint32) bool { return int(uid) == src.Owner.UID }
	}
	return w.own(src.Dir, 2)
}

// An OverlapError says that moss's own data would be part of the image.
type OverlapError struct{ Dir, DataRoot string }

func (e *OverlapError) Error() string {
	return fmt.Sprintf("using directory %q as an image: it lies in moss's own data root %q", e.Dir, e.DataRoot)
}

// Hints names the way out.
func (e *OverlapError) Hints() []string {
	return []string{"use a directory outside of the data root, or another data root with --root"}
}

func checkDir(src Source) error {
	if !filepath.IsAbs(src.Dir) || filepath.Clean(src.Dir) != src.Dir {
		return fmt.Errorf("internal error: image directory %q is not a clean absolute path", src.Dir)
	}
	if src.Dir == src.DataRoot || inside(src.Dir, src.DataRoot) {
		return &OverlapError{Dir: src.Dir, DataRoot: src.DataRoot}
	}
	f, err := os.Open(src.Dir)
	if err != nil {
		return fmt.Errorf("using a directory as an image: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("using a directory as an image: %w", err)
	}
	if !st.IsDir() {
		return fmt.Errorf("using %q as an image: it is no directory", src.Dir)
	}
	return nil
}
