package sight

// Sight is what a process sees of itself and its surroundings.
type Sight struct {
	Status     map[string]string    // lines of /proc/self/status
	UIDMap     string               // /proc/self/uid_map, blanks joined
	GIDMap     string               // gid_map
	SetGroups  string               // setgroups
	Namespaces map[string]string    // kind → "mnt:[4026531841]"
	PIDs       []int                // directories of /proc
	Paths      map[string]Path      // of the lists in Masked and ReadOnly, and what was asked for besides
	Mounts     []Mount              // /proc/self/mountinfo
	Devices    map[string]Path      // all below /dev
	FDs        map[int]Path         // open descriptors
	Sysctls    map[string]string    // those whose values the confinement promises
	Limits     map[string][2]uint64 // soft, hard
	Umask      int
	OOMScore   string // oom_score_adj
	Env        []string
	Dir        string
	Hostname   string
	Cgroup     string   // /proc/self/cgroup
	Keys       string   // /proc/keys
	Abstract   []string // names in /proc/net/unix that begin with @
	Interfaces []string
	Groups     []int
	Parent     int    // getppid
	Exe        string // /proc/self/exe
	InitExe    string // /proc/1/exe
}

// Path is a file as seen from inside.
type Path struct {
	Err     string   // why it could not be looked at
	Mode    string   // as fs.FileMode prints it
	Perm    uint32   // permission bits with set-id and sticky
	Rdev    string   // major:minor of a device
	Size    int64    // bytes that can be read (at most 64 kB are tried)
	Entries []string // of a directory
	Link    string   // what a descriptor or link names
	Write   string   // answer of an open for writing, "ok" if it opens; only where asked for
	UID     int
	GID     int
	Same    string // device and inode, to compare
}

// Mount is a line of mountinfo.
type Mount struct {
	Root, Target, Type string
	Options, Super     []string
}

// Attempts are calls by name ("keyctl", "x32 keyctl") and their answers: "ok" or the name of an errno.
type Attempts map[string]string

// Reached are the ways by which the content of a forbidden file was read, empty as it should be.
type Reached []string

// Wins count what an attacker got during its time.
type Wins struct {
	Seen    int            // processes that appeared
	Tried   int            // attempts on them
	Refused int            // attempts that were refused
	Won     map[string]int // what succeeded against a process that was not yet the container's own program
	Example string         // of the first win
}

// Total is the number of wins.
func (w Wins) Total() (n int) {
	for _, v := range w.Won {
		n += v
	}
	return n
}
