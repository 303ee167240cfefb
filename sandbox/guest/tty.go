package guest

import (
	"encoding/binary"
	"strconv"
	"syscall"

	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// terminal makes a pseudo terminal of the container's own devpts the command's controlling terminal, and sends its master
// to whoever waits on fdTTY. The other side must check what it gets: the container's root owns the mounts here.
func (w *writer) terminal(ptmx string, size [4]uint16) {
	openTerminal(w.List, ptmx, size, []uintptr{fdTTY, fdTTYOut})
}

func openTerminal(l *spawn.List, ptmx string, size [4]uint16, sockets []uintptr) {
	master, slave := l.Words(0), l.Words(0)
	l.Save(l.Call("opening a terminal", syscall.SYS_OPENAT, atFdcwd, l.Str(ptmx), syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0), master)
	l.CallWith(master, 0, "unlocking the terminal", syscall.SYS_IOCTL, 0, tiocsptlck, uintptr(l.Words(0)))
	if size[0] != 0 {
		b := make([]byte, 8)
		for i, v := range size {
			binary.LittleEndian.PutUint16(b[2*i:], v)
		}
		l.CallWith(master, 0, "sizing the terminal", syscall.SYS_IOCTL, 0, tiocswinsz, uintptr(l.Bytes(b)))
	}
	l.Save(l.CallWith(master, 0, "opening the terminal's other side", syscall.SYS_IOCTL, 0, tiocgptpeer, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC), slave)
	for _, s := range sockets {
		sendFD(l, s, master)
	}
	l.CallWith(slave, 0, "taking the terminal", syscall.SYS_IOCTL, 0, tiocsctty, 0)
	for fd := range uintptr(3) {
		l.CallWith(slave, 0, "taking the terminal as "+strconv.Itoa(int(fd)), sys.SYS_DUP3, 0, fd, 0)
	}
	l.CallWith(master, 0, "closing the master", syscall.SYS_CLOSE, 0)
}

// message is a struct msghdr with one byte of data and room for one descriptor (unix(7)); it returns where the descriptor
// lies.
func message(l *spawn.List) (hdr, fd spawn.Addr) {
	const rights = uint64(syscall.SCM_RIGHTS)<<32 | syscall.SOL_SOCKET
	control := l.Words(20, rights, 0) // cmsg_len, level and type, the descriptor
	vec := l.Words(uint64(l.Words(0)), 1)
	return l.Words(0, 0, uint64(vec), 1, uint64(control), 24, 0), control + 16
}

func sendFD(l *spawn.List, socket uintptr, word spawn.Addr) {
	hdr, at := message(l)
	l.Save(l.Load(word), at)
	l.Call("handing out the terminal", sys.SYS_SENDMSG, socket, uintptr(hdr), 0)
}

// receiveTTY: the maker gets the master as its lowest free descriptor, 0.
func (w *writer) receiveTTY() {
	hdr, _ := message(w.List)
	w.Call("making room for the terminal", syscall.SYS_CLOSE, 0)
	w.Call("closing the guest's end of the terminal", syscall.SYS_CLOSE, fdTTYOut)
	w.Call("receiving the terminal", sys.SYS_RECVMSG, fdTTYIn, uintptr(hdr), 0)
}

// console shows the terminal as /dev/console.
func (w *writer) console() {
	const c = "/dev/console"
	w.Call("making "+c, syscall.SYS_MKNODAT, atFdcwd, w.Str(c), syscall.S_IFREG|0o600, 0)
	w.Call("mounting "+c, syscall.SYS_MOUNT, w.Str("/proc/self/fd/0"), w.Str(c), 0, syscall.MS_BIND, 0)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
