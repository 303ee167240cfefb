package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		os.Args = append(os.Args, "see")
	}
	answer, err := answer(os.Args[1], os.Args[2:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func answer(mode string, args []string) (any, error) {
	switch mode {
	case "see":
		return see(args), nil
	case "try":
		return try(), nil
	case "write":
		return writable("/proc", "/sys"), nil
	case "tty":
		return terminalTricks(), nil
	case "reach":
		if len(args) < 2 {
			return nil, errors.New("reach needs a token and paths")
		}
		return reach(args[0], args[1:]), nil
	case "signal":
		return signalAll(args)
	case "connect":
		return connect(args), nil
	case "attack":
		seconds, err := strconv.ParseFloat(args[0], 64)
		if err != nil {
			return nil, err
		}
		return attack(time.Duration(seconds * float64(time.Second))), nil
	case "keys":
		return keys(args), nil
	case "withkey":
		return nil, withKey(args[0], args[1:])
	case "sleep":
		time.Sleep(time.Hour) // not select{}: without other goroutines that is a deadlock
	}
	return nil, fmt.Errorf("unknown mode %q", mode)
}

// word is an errno's name, "ok" for none.
func word(err error) string {
	var errno syscall.Errno
	if err == nil || errors.As(err, &errno) && errno == 0 {
		return "ok"
	}
	if !errors.As(err, &errno) {
		return err.Error()
	}
	if name, ok := map[syscall.Errno]string{
		syscall.EPERM: "EPERM", syscall.ENOSYS: "ENOSYS", syscall.EACCES: "EACCES", syscall.EROFS: "EROFS",
		syscall.EINVAL: "EINVAL", syscall.EFAULT: "EFAULT", syscall.EBADF: "EBADF", syscall.ENOENT: "ENOENT",
		syscall.ESRCH: "ESRCH", syscall.ENOTTY: "ENOTTY", syscall.EIO: "EIO", syscall.ENODEV: "ENODEV",
		syscall.EAFNOSUPPORT: "EAFNOSUPPORT", syscall.ENXIO: "ENXIO", syscall.EEXIST: "EEXIST",
		syscall.EPROTONOSUPPORT: "EPROTONOSUPPORT", syscall.ECONNREFUSED: "ECONNREFUSED", syscall.EOPNOTSUPP: "EOPNOTSUPP",
	}[errno]; ok {
		return name
	}
	return "errno " + strconv.Itoa(int(errno))
}
