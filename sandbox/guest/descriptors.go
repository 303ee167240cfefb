package guest

// Descriptors that a birth list is started with, by number. A descriptor that is not needed is closed (-1).
const (
	fdNull   = 0 // /dev/null, also 1 and 2
	fdNS     = 3 // the keeper's process
	fdAlive  = 4 // the container's lock
	fdReport = 5
	fdMapR   = 6 // the guest waits here for its map
	fdMapW   = 7
	fdExecR  = 8 // the maker waits here for the guest's execve
	fdExecW  = 9
	fdStdin  = 10 // becomes 0 of the command
	fdStdout = 11
	fdStderr = 12
	fdHoldIn = 13 // ends that the holder keeps
	fdHoldO  = 14
	fdHoldE  = 15
	fdTTY    = 16 // socket on which the guest sends its terminal's master
	fdTTYIn  = 17 // socket pair on which the maker gets it too
	fdTTYOut = 18
	fdGo     = 19 // the guest waits here until its network is there
	fdCgroup = 20 // the cgroup the guest is born in
	fdJoin   = 21 // the process whose namespaces are shared
	fdUse    = 22 // lock that keeps the user's keeper
	fdEnd    = 23
	fdShm    = 23 // not given: the maker borrows it from another container
)

// MakerNet is the maker's descriptor of the guest's network namespace, until the command runs, where the guest itself
// cannot be looked into: see share.go.
const MakerNet = 24

// Descriptors of a holder, by number: part of the interface between versions, since a supervisor of one version finds the
// holders of another through /proc/HOLDER/fd and pidfd_getfd(2).
const (
	HolderAlive  = 60 // open description with the lock on "alive"
	HolderStdin  = 61 // write end of the command's input, if it stays open without a client
	HolderMaster = 62 // master of the command's terminal
	HolderStdout = 63 // read end of its output
	HolderStderr = 64
	HolderRoot   = 65 // O_PATH descriptor of the root: the last unmount follows the holder's end
	HolderUse    = 66 // open description with the lock that keeps the user's keeper
)

// Files are the descriptors of the process that starts a birth; -1 for none.
type Files struct {
	Null             int
	NS               int
	Alive            int
	Report           int
	MapR, MapW       int
	ExecR, ExecW     int
	Stdin            int
	Stdout, Stderr   int
	HoldIn           int
	HoldOut, HoldErr int
	TTY              int
	TTYIn, TTYOut    int
	Go               int
	Cgroup           int
	Join             int
	Use              int
}

// NoFiles has nothing.
func NoFiles() Files {
	return Files{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}
}

// Order is the files in the list's numbering, for spawn.Options.
func (f Files) Order() []int {
	return []int{
		f.Null, f.Null, f.Null, f.NS, f.Alive, f.Report, f.MapR, f.MapW, f.ExecR, f.ExecW, f.Stdin, f.Stdout, f.Stderr,
		f.HoldIn, f.HoldOut, f.HoldErr, f.TTY, f.TTYIn, f.TTYOut, f.Go, f.Cgroup, f.Join, f.Use,
	}
}

// Report is the number of the report descriptor in birth and exec lists.
const Report = fdReport
