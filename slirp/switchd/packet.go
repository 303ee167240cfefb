package switchd

import (
	"encoding/json"
	"fmt"
	"syscall"
)

const (
	maxPacket = 192 << 10 // below net.core.wmem_default, which bounds a packet
	maxFiles  = 4
)

// send writes one message as a packet, with descriptors beside it.
func send(fd int, v any, files ...int) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing a message of the switch: %w", err)
	}
	if len(data) > maxPacket {
		return fmt.Errorf("writing a message of the switch: %d bytes are too many", len(data))
	}
	var oob []byte
	if len(files) > 0 {
		oob = syscall.UnixRights(files...)
	}
	for {
		err = syscall.Sendmsg(fd, data, oob, nil, syscall.MSG_NOSIGNAL)
		if err != syscall.EINTR {
			return err
		}
	}
}

// receive reads one packet into v and returns the descriptors beside it; on an error it has closed them. The end of the
// conversation is ErrGone. A non-blocking socket without a packet gives EAGAIN.
func receive(fd int, v any) ([]int, error) {
	size, err := waiting(fd)
	if err != nil {
		return nil, err
	}
	data, oob := make([]byte, min(size, maxPacket)), make([]byte, syscall.CmsgSpace(4*maxFiles))
	n, on, flags, err := recvmsg(fd, data, oob)
	if err != nil {
		return nil, err
	}
	files := rights(oob[:on])
	switch {
	case n == 0:
		err = ErrGone
	case flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0:
		err = fmt.Errorf("reading a message of the switch: it is too long")
	default:
		err = json.Unmarshal(data[:n], v)
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

// waiting returns the length of the next packet and leaves it there (recv(2), MSG_PEEK with MSG_TRUNC), at least 1.
func waiting(fd int) (int, error) {
	for {
		n, _, err := syscall.Recvfrom(fd, nil, syscall.MSG_PEEK|syscall.MSG_TRUNC)
		if err == syscall.ECONNRESET {
			err = ErrGone
		}
		if err != syscall.EINTR {
			return max(n, 1), err
		}
	}
}

func recvmsg(fd int, data, oob []byte) (n, on, flags int, err error) {
	for {
		n, on, flags, _, err = syscall.Recvmsg(fd, data, oob, syscall.MSG_CMSG_CLOEXEC)
		if err == syscall.ECONNRESET {
			err = ErrGone
		}
		if err != syscall.EINTR {
			return n, on, flags, err
		}
	}
}

func rights(oob []byte) (files []int) {
	list, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range list {
		if l, err := syscall.ParseUnixRights(&list[i]); err == nil {
			files = append(files, l...)
		}
	}
	return files
}

func closeAll(files []int) {
	for _, fd := range files {
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
}
