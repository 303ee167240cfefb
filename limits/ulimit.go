package limits

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Ulimit is one resource limit of each process (setrlimit(2)); -1 is unlimited.
type Ulimit struct {
	Name string `json:"name"`
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

// String prints in the notation of --ulimit.
func (u Ulimit) String() string { return fmt.Sprintf("%s=%d:%d", u.Name, u.Soft, u.Hard) }

// RlimitNumbers are the names docker knows with the kernel's numbers (include/uapi/asm-generic/resource.h; the same on
// every architecture Go runs on except MIPS, where moss does not run).
func RlimitNumbers() map[string]int {
	return map[string]int{"core": 4, "cpu": 0, "data": 2, "fsize": 1, "locks": 10, "memlock": 8, "msgqueue": 12, "nice": 13,
		"nofile": 7, "nproc": 6, "rss": 5, "rtprio": 14, "rttime": 15, "sigpending": 11, "stack": 3}
}

// Resource numbers that moss sets itself.
const (
	RlimitData  = 2
	RlimitNproc = 6
)

// ParseUlimit reads NAME=SOFT[:HARD], with the words of docker/go-units.
func ParseUlimit(text string) (Ulimit, error) {
	name, values, ok := strings.Cut(text, "=")
	if !ok {
		return Ulimit{}, fmt.Errorf("invalid ulimit argument: %s", text)
	}
	if _, ok := RlimitNumbers()[name]; !ok {
		return Ulimit{}, fmt.Errorf("invalid ulimit type: %s", name)
	}
	if strings.Count(values, ":") > 1 {
		return Ulimit{}, fmt.Errorf("too many limit value arguments - %s, can only have up to two, `soft[:hard]`", values)
	}
	first, second, both := strings.Cut(values, ":")
	if !both {
		second = first
	}
	hard, err := strconv.ParseInt(second, 10, 64)
	if err != nil {
		return Ulimit{}, err
	}
	soft, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return Ulimit{}, err
	}
	return Ulimit{Name: name, Soft: soft, Hard: hard}, checkUlimit(soft, hard)
}

func checkUlimit(soft, hard int64) error {
	switch {
	case hard == -1:
		return nil
	case soft == -1:
		return fmt.Errorf("ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: %d", hard)
	case soft > hard:
		return fmt.Errorf("ulimit soft limit must be less than or equal to hard limit: %d > %d", soft, hard)
	}
	return nil
}

// Ulimits is the flag value of a repeated --ulimit; a later one of the same name replaces the earlier.
type Ulimits []Ulimit

// Set adds one.
func (l *Ulimits) Set(text string) error {
	u, err := ParseUlimit(text)
	if err != nil {
		return err
	}
	*l = slices.DeleteFunc(*l, func(old Ulimit) bool { return old.Name == u.Name })
	*l = append(*l, u)
	return nil
}

// String prints all in brackets, as docker's help shows the default.
func (l Ulimits) String() string {
	words := make([]string, len(l))
	for i, u := range l {
		words[i] = u.String()
	}
	return "[" + strings.Join(words, " ") + "]"
}

// Type names the value in help texts.
func (Ulimits) Type() string { return "ulimit" }
