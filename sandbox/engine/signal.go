package engine

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// signals by name, signal(7).
var signals = map[string]syscall.Signal{
	"ABRT": 6, "ALRM": 14, "BUS": 7, "CHLD": 17, "CLD": 17, "CONT": 18, "FPE": 8, "HUP": 1, "ILL": 4, "INT": 2, "IO": 29, "IOT": 6,
	"KILL": 9, "PIPE": 13, "POLL": 29, "PROF": 27, "PWR": 30, "QUIT": 3, "SEGV": 11, "STKFLT": 16, "STOP": 19, "SYS": 31, "TERM": 15,
	"TRAP": 5, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "USR1": 10, "USR2": 12, "VTALRM": 26, "WINCH": 28, "XCPU": 24, "XFSZ": 25,
	"RTMIN": 34, "RTMAX": 64,
}

// ParseSignal reads a signal's name, with or without SIG, or number.
func ParseSignal(s string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("invalid signal: %s", s)
		}
		return syscall.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	base, offset, plus := strings.Cut(name, "+")
	sig, ok := signals[base]
	if offset != "" {
		n, err := strconv.Atoi(offset)
		ok = ok && err == nil && base == "RTMIN" && n <= 30
		sig += syscall.Signal(n)
	}
	if !ok || plus && offset == "" {
		return 0, fmt.Errorf("invalid signal: %s", s)
	}
	return sig, nil
}
