package profile

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// document is Docker's profile file (github.com/moby/profiles/seccomp, type Seccomp).
type document struct {
	DefaultAction    string    `json:"defaultAction"`
	DefaultErrno     *uint16   `json:"defaultErrnoRet"`
	Architectures    []string  `json:"architectures"`
	ArchMap          []archMap `json:"archMap"`
	Flags            []string  `json:"flags"`
	ListenerPath     string    `json:"listenerPath"`
	ListenerMetadata string    `json:"listenerMetadata"`
	Syscalls         []rule    `json:"syscalls"`
}

type archMap struct {
	Architecture     string   `json:"architecture"`
	SubArchitectures []string `json:"subArchitectures"`
}

type rule struct {
	Name     string     `json:"name"`
	Names    []string   `json:"names"`
	Action   string     `json:"action"`
	Errno    *uint16    `json:"errnoRet"`
	Args     []argument `json:"args"`
	Includes *condition `json:"includes"`
	Excludes *condition `json:"excludes"`
}

type argument struct {
	Index    uint8  `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo"`
	Op       string `json:"op"`
}

// condition limits a rule to hosts and containers.
type condition struct {
	Caps      []string `json:"caps"`
	Arches    []string `json:"arches"`
	MinKernel string   `json:"minKernel"`
}

func parse(text []byte) (*document, error) {
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("reading seccomp profile: %w", err)
	}
	for i := range d.Syscalls {
		if err := d.Syscalls[i].settle(); err != nil {
			return nil, fmt.Errorf("seccomp profile, syscalls[%d]: %w", i, err)
		}
	}
	return &d, d.check()
}

// settle turns the old form with one name into the new one.
func (r *rule) settle() error {
	switch {
	case r.Name != "" && len(r.Names) > 0:
		return fmt.Errorf("both name %q and names are given", r.Name)
	case r.Name != "":
		r.Names = []string{r.Name}
	case len(r.Names) == 0:
		return fmt.Errorf("no name is given")
	}
	return nil
}

// check refuses what would silently have no effect.
func (d *document) check() error {
	if d.ListenerPath != "" {
		return fmt.Errorf("seccomp profile: listenerPath %q: user notification is not supported", d.ListenerPath)
	}
	if len(d.Architectures) > 0 && len(d.ArchMap) > 0 {
		return fmt.Errorf("seccomp profile: both architectures and archMap are given")
	}
	for _, flag := range d.Flags {
		switch flag {
		case "SECCOMP_FILTER_FLAG_TSYNC": // the process that loads the filter has one thread
		case "SECCOMP_FILTER_FLAG_SPEC_ALLOW": // what the kernel does since Linux 5.16
		default:
			return fmt.Errorf("seccomp profile: flag %q is not supported", flag)
		}
	}
	return nil
}

// atLeast tells whether the kernel is at least the wanted "MAJOR.MINOR"; an empty wish is met by every kernel.
func atLeast(kernel, wanted string) (bool, error) {
	have, err := version(kernel)
	if err != nil {
		return false, err
	}
	want, err := version(wanted)
	if err != nil || strings.Count(wanted, ".") != 1 {
		return false, fmt.Errorf("minKernel %q is not MAJOR.MINOR", wanted)
	}
	return have[0] > want[0] || have[0] == want[0] && have[1] >= want[1], nil
}

// version reads the first two numbers of a release such as 6.18.5-cloud or 3.12-rc5.
func version(release string) (v [2]int, err error) {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return v, fmt.Errorf("kernel version %q is not MAJOR.MINOR", release)
	}
	for i := range v {
		digits := parts[i]
		if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end > 0 {
			digits = digits[:end]
		}
		if v[i], err = strconv.Atoi(digits); err != nil {
			return v, fmt.Errorf("kernel version %q is not MAJOR.MINOR", release)
		}
	}
	return v, nil
}
