package build

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build/task"
)

// Deps is what a build needs from the engine.
type Deps struct {
	Runner Runner
	Images Images
	Trees  Trees
	Worker Worker
	Remote Remote       // for --cache-to and --cache-from type=registry; may be nil
	HTTP   *http.Client // for ADD of URLs; nil is http.DefaultClient

	CacheDir string // the build cache's directory, of the caller, for ever
	TempDir  string // for downloads and contexts from streams, of the caller, on a disk; a directory is made in it and removed
}

// A Runner runs the commands of RUN in sandboxes.
type Runner interface {
	// Run runs a command to its end. A command that ran and failed is an *ExitError; any other error says that it could not
	// be run. When ctx ends, everything the command started is killed before Run returns. The upper directory then holds
	// exactly what the command changed, apart from empty mount points, which Trees.Commit removes.
	Run(ctx context.Context, c Command) error
}

// A Command is what a Runner runs. Standard input is /dev/null; there is no terminal.
type Command struct {
	Root      task.Stack // Lowers top first (none on scratch), Upper and Work
	Args      []string   // complete, the shell included
	Env       []string   // KEY=VALUE; PATH is among them, HOME is the Runner's to add
	Dir       string     // absolute
	User      string     // as in the image, looked up in the root
	Mounts    []Mount    // in order
	Network   string     // "default", "none", "host"
	Hosts     []string   // --add-host, NAME:IP
	Resources Resources
	Labels    map[string]string // for those who list what runs; private
	Stdout    io.Writer
	Stderr    io.Writer
}

// MountKind is what a Mount is made of.
type MountKind string

// The kinds of mounts.
const (
	MountTree   MountKind = "tree"   // Path inside Tree
	MountFile   MountKind = "file"   // a file with content Data, in memory
	MountTmpfs  MountKind = "tmpfs"  // empty, Size bytes at most
	MountSocket MountKind = "socket" // the socket Host of the caller
)

// A Mount is one thing the command sees beside its root. Its target is made when it is missing, in-root, by handle.
type Mount struct {
	Kind     MountKind
	Target   string // absolute, clean
	ReadOnly bool

	// Tree is mounted (an overlay when it has lowers and an upper, read only without an upper; one directory as it is when it
	// has only one). Path is then resolved inside it as if it were "/" (openat2, RESOLVE_IN_ROOT): it is foreign text.
	Tree task.Stack
	Path string

	Data     []byte // MountFile: secrets and scripts, never written to disk
	Mode     uint32 // MountFile, MountTmpfs and MountSocket
	UID, GID uint32
	Size     int64  // MountTmpfs, 0 is the default
	Host     string // MountSocket: absolute path on the host
}

// Resources are the limits of each RUN, as Docker's options of the same names; zero means none.
type Resources struct {
	Memory     int64   // bytes
	MemorySwap int64   // bytes, -1 unlimited
	CPUs       float64 // number of
	CPUShares  int64
	CPUPeriod  int64
	CPUQuota   int64
	CPUSet     string
	MemSet     string
	ShmSize    int64 // bytes
	Ulimits    []string
}

// An Image is an image of the store as a build sees it.
type Image struct {
	ID     image.Digest
	Config *image.Config
	Layers []image.Layer // bottom first
}

// Pull says when FROM fetches an image.
type Pull int

// The policies.
const (
	PullMissing Pull = iota // when it is not in the store
	PullAlways              // to see whether there is a newer one
	PullNever
)

// Images finds and stores images. What it has returned or stored during a build is kept from garbage collection until
// Release.
type Images interface {
	// Image finds the image of a FROM or --from in the store or fetches it, and lists what it fetched under its name.
	Image(ctx context.Context, name string, p Pull, platform image.Platform) (Image, error)
	// Load returns an image by its id; an error for one that is not there, or whose layers are not.
	Load(ctx context.Context, id image.Digest) (Image, error)
	// Put stores an image made by a step. parent is the image it stands on, "" for none; the image it returns has id
	// image.SumBytes(config).
	Put(ctx context.Context, config []byte, layers []image.Layer, parent image.Digest) (image.Digest, error)
	// Tag gives a finished image a name; the name leaves the image it had.
	Tag(ctx context.Context, id image.Digest, name image.Ref) error
}

// An Upper is a new directory pair for an overlay, on the store's file system. Dir belongs to root of the user namespace and
// has mode 0755.
type Upper struct{ Dir, Work string }

// CommitOptions say how an upper becomes a layer.
type CommitOptions struct {
	Lowers []image.Layer // what it was the upper of, bottom first
	Newest *time.Time    // file times later than this are set to it, in the tar
	Prune  []string      // mount points: each that is an empty file or directory and not in the lowers is left out (task.Prune)
}

// Trees keeps layers as directories.
type Trees interface {
	// Lowers returns the directories of layers, top first, and unpacks what is not unpacked.
	Lowers(ctx context.Context, layers []image.Layer) ([]string, error)
	// NewUpper makes an empty upper.
	NewUpper(ctx context.Context) (Upper, error)
	// Commit makes the upper a layer of the store: tar stream in a fixed order, diff id, blob, directory. nil when nothing
	// has changed. The upper is gone afterwards, whatever happened.
	Commit(ctx context.Context, u Upper, o CommitOptions) (*image.Layer, error)
	// Discard removes an upper.
	Discard(u Upper)
	// Volume returns a persistent directory of root of the user namespace for a cache mount, made on first use. The name has
	// only hex digits, points and dashes.
	Volume(ctx context.Context, name string) (string, error)
	// Tar returns a layer's uncompressed tar stream.
	Tar(ctx context.Context, l image.Layer) (io.ReadCloser, error)
	// Ingest stores a layer from its uncompressed tar stream, whose digest must be diffID.
	Ingest(ctx context.Context, r io.Reader, diffID image.Digest) (image.Layer, error)
}

// A Worker carries out tasks inside the user namespace: it mounts each Stack, opens its root, calls task.Apply, and unmounts.
// Lowers of contexts are directories of the caller, all others the store's.
type Worker interface {
	// Do returns the task's result; the error says that the worker itself could not work. out receives what an Export writes
	// and may be nil without one.
	Do(ctx context.Context, t task.Task, out io.Writer) (task.Result, error)
}

// Remote moves a build cache, an OCI layout with one image manifest, from and to a registry.
type Remote interface {
	PushLayout(ctx context.Context, name string, dir string) error
	PullLayout(ctx context.Context, name string, dir string) error
}
