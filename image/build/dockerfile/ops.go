package dockerfile

import "time"

// An Op is an instruction with its variables expanded: one of the types below.
type Op interface{ op() }

// A Pair is KEY=VALUE in the order of the file.
type Pair struct{ Key, Value string }

// Arg declares a build argument; Default is nil where the file gives none.
type Arg struct {
	Name    string
	Default *string
}

// A CommandLine is what RUN, CMD and ENTRYPOINT hold: words to execute, or with Shell one text for the stage's shell.
type CommandLine struct {
	Args  []string
	Shell bool
}

type (
	// Env sets environment variables.
	Env struct{ Pairs []Pair }
	// Label sets labels.
	Label struct{ Pairs []Pair }
	// Args declares build arguments, unexpanded: their defaults are expanded one by one with Expander.Word, since the
	// second may use the first.
	Args struct{ Args []Arg }
	// Maintainer sets the image's author.
	Maintainer struct{ Name string }
	// Workdir changes and creates the working directory.
	Workdir struct{ Path string }
	// User sets the user of what follows.
	User struct{ Name string }
	// Volume declares volumes.
	Volume struct{ Paths []string }
	// Expose declares ports, each "80/tcp"; Words is what the file says after expansion.
	Expose struct{ Words, Ports []string }
	// StopSignal sets the signal that ends a container.
	StopSignal struct{ Signal string }
	// Shell sets the shell of what follows.
	Shell struct{ Args []string }
	// OnBuild stores an instruction for builds on top of the image.
	OnBuild struct{ Text string }
	// Cmd sets the default command.
	Cmd struct{ CommandLine }
	// Entrypoint sets the entry point.
	Entrypoint struct{ CommandLine }
	// Healthcheck sets or disables (Test is {"NONE"}) the health check.
	Healthcheck struct {
		Test                                          []string
		Interval, Timeout, StartPeriod, StartInterval time.Duration
		Retries                                       int
	}
)

// Run executes a command.
type Run struct {
	CommandLine
	// Script is a here-document that begins with #!: a file to execute at /dev/pipes/ScriptName; Args is its path.
	Script     string
	ScriptName string
	Mounts     []Mount
	Network    string // "default", "none", "host"
	Security   string // "sandbox", "insecure"
	Devices    []string
}

// MountKind is the type= of RUN --mount.
type MountKind string

// The kinds of mounts.
const (
	MountBind   MountKind = "bind"
	MountCache  MountKind = "cache"
	MountTmpfs  MountKind = "tmpfs"
	MountSecret MountKind = "secret"
	MountSSH    MountKind = "ssh"
)

// Sharing is the sharing= of a cache mount.
type Sharing string

// The ways in which concurrent steps use one cache mount.
const (
	SharingShared  Sharing = "shared"
	SharingPrivate Sharing = "private"
	SharingLocked  Sharing = "locked"
)

// A Mount is one RUN --mount.
type Mount struct {
	Kind     MountKind
	From     string
	Source   string
	Target   string
	ReadOnly bool
	Size     int64
	ID       string
	Sharing  Sharing
	Required bool
	Env      *string
	Mode     *uint32
	UID, GID *uint32
}

// An Inline is a here-document of COPY or ADD: a file and its content.
type Inline struct{ Name, Data string }

// Copy is COPY, or ADD with Add set.
type Copy struct {
	Add      bool
	From     string
	Sources  []string
	Inline   []Inline
	Dest     string
	Chown    string
	Chmod    string
	Link     bool
	Parents  bool
	Excludes []string
	Checksum string
	KeepGit  *bool
	Unpack   *bool
}

func (Env) op()         {}
func (Label) op()       {}
func (Args) op()        {}
func (Maintainer) op()  {}
func (Workdir) op()     {}
func (User) op()        {}
func (Volume) op()      {}
func (Expose) op()      {}
func (StopSignal) op()  {}
func (Shell) op()       {}
func (OnBuild) op()     {}
func (Cmd) op()         {}
func (Entrypoint) op()  {}
func (Healthcheck) op() {}
func (Run) op()         {}
func (Copy) op()        {}
