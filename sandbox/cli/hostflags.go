package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// hostOptions are the flags of run and create that say what a container shares with the machine and with other containers.
type hostOptions struct {
	pid, ipc, uts, cgroupns, userns string
	platform                        string
	volumesFrom, links              []string
	init                            bool
	fs                              *pflag.FlagSet
}

func (o *hostOptions) addFlags(fs *pflag.FlagSet) {
	o.fs = fs
	fs.StringVar(&o.pid, "pid", "", "PID namespace to use")
	fs.StringVar(&o.ipc, "ipc", "", "IPC mode to use")
	fs.StringVar(&o.uts, "uts", "", "UTS namespace to use")
	fs.StringVar(&o.cgroupns, "cgroupns", "", "Cgroup namespace to use (host|private)")
	fs.StringVar(&o.userns, "userns", "", "User namespace to use")
	fs.StringVar(&o.platform, "platform", "", "Set platform if server is multi-platform capable")
	fs.StringArrayVar(&o.volumesFrom, "volumes-from", nil, "Mount volumes from the specified container(s)")
	fs.StringArrayVar(&o.links, "link", nil, "Add link to another container")
	fs.BoolVar(&o.init, "init", false, "Run an init inside the container that forwards signals and reaps processes")
}

// set checks the words and hands them on.
func (o *hostOptions) set(c *engine.Create) error {
	h := &c.Host
	for _, x := range []struct {
		name, value string
		to          *spec.Share
		words       string // that are allowed beside host
	}{
		{"PID", o.pid, &h.PID, "container:"}, {"IPC", o.ipc, &h.IPC, "container: private shareable none"},
		{"UTS", o.uts, &h.UTS, ""}, {"CGROUP", o.cgroupns, &h.Cgroup, "private"},
	} {
		share, err := parseShare(x.name, x.value, x.words)
		if err != nil {
			return err
		}
		*x.to = share
	}
	if o.userns != "" {
		return &engine.Hint{Err: fmt.Errorf("--userns: invalid USER mode"), Remedy: "every container has a user namespace of its own; leave the flag out"}
	}
	for _, l := range o.links {
		if name, alias, _ := strings.Cut(l, ":"); name == "" || strings.Contains(alias, ":") {
			return fmt.Errorf("invalid argument %q for \"--link\" flag: bad format for links: %s", l, l)
		}
	}
	h.Links = o.links
	c.Init, c.Platform, c.VolumesFrom = o.init, o.platform, o.volumesFrom
	if c.OOMScore < -1000 || c.OOMScore > 1000 {
		return fmt.Errorf("Invalid value %d, range for oom score adj is [-1000, 1000]", c.OOMScore)
	}
	return nil
}

// parseShare reads whose namespace is to be used, with Docker's sentence for what it does not know.
func parseShare(name, value, words string) (spec.Share, error) {
	bad := fmt.Errorf("--%s: invalid %s mode", strings.ToLower(name), name)
	if name == "CGROUP" {
		bad = fmt.Errorf("--cgroupns: invalid CGROUP mode")
	}
	kind, id, _ := strings.Cut(value, ":")
	switch {
	case value == "" || value == string(spec.FromHost):
		return spec.Share(value), nil
	case kind == "container" && strings.Contains(words, "container:"):
		if id == "" {
			return "", bad
		}
		return spec.Share(value), nil
	}
	for w := range strings.FieldsSeq(words) {
		if w == value {
			return spec.Share(value), nil
		}
	}
	return "", bad
}

// harmless takes the other values of --security-opt: those that ask for less than a container of moss has anyway, and
// systempaths. Profiles of AppArmor and labels of SELinux are the administrator's to load.
func harmless(c *engine.Create, key, value, typed string) error {
	switch {
	case key == "apparmor" && value == "unconfined", key == "label" && value == "disable":
	case key == "systempaths" && value == "unconfined":
		c.Unmasked = true
	case key == "apparmor", key == "label":
		return &engine.Hint{Err: fmt.Errorf("invalid --security-opt: %q: an ordinary user cannot have it set", typed),
			Remedy: "apparmor=unconfined, label=disable, seccomp=FILE|unconfined, no-new-privileges and systempaths=unconfined are possible"}
	default:
		return fmt.Errorf("invalid --security-opt: %q", typed)
	}
	return nil
}
