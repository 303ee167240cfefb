package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// runOptions are the flags of run and create.
type runOptions struct {
	detach     bool
	detachKeys string
	sigProxy   bool
	attach     words

	name, user, dir, hostname, domainname, entrypoint, network, pull, cidfile string
	stopSignal, restart, shm, logDriver                                       string
	stopTimeout, oomScore                                                     int
	tty, stdin, rm, readOnly, privileged                                      bool

	env, envFile, label, labelFile, volumes, mounts, tmpfs, addHost, dns, dnsSearch, dnsOption []string
	capAdd, capDrop, securityOpt, device, groupAdd, ulimit, sysctl, logOpt, annotation         []string

	net    networkOptions
	limits limitOptions
	more   hostOptions
	check  healthOptions

	fs *pflag.FlagSet
}

// words is a repeatable flag with a closed set of values.
type words []string

func (w *words) String() string   { return strings.Join(*w, ",") }
func (w *words) Type() string     { return "list" }
func (w words) has(s string) bool { return slices.Contains(w, s) }
func (w *words) Set(s string) error {
	s = strings.ToLower(s)
	if s != "stdin" && s != "stdout" && s != "stderr" {
		return errors.New("valid streams are STDIN, STDOUT and STDERR")
	}
	*w = append(*w, s)
	return nil
}

// addFlags declares what run and create share.
func (o *runOptions) addFlags(fs *pflag.FlagSet) {
	o.fs = fs
	o.addProcessFlags(fs)
	o.addHostFlags(fs)
	o.net.addFlags(fs)
	o.limits.addFlags(fs)
	o.more.addFlags(fs)
	o.check.addFlags(fs)
	o.addSecurityFlags(fs)
}

func (o *runOptions) addProcessFlags(fs *pflag.FlagSet) {
	fs.VarP(&o.attach, "attach", "a", "Attach to STDIN, STDOUT or STDERR")
	fs.StringVar(&o.name, "name", "", "Assign a name to the container")
	fs.BoolVarP(&o.tty, "tty", "t", false, "Allocate a pseudo-TTY")
	fs.BoolVarP(&o.stdin, "interactive", "i", false, "Keep STDIN open even if not attached")
	fs.BoolVar(&o.rm, "rm", false, "Automatically remove the container when it exits")
	fs.StringArrayVarP(&o.env, "env", "e", nil, "Set environment variables")
	fs.StringArrayVar(&o.envFile, "env-file", nil, "Read in a file of environment variables")
	fs.StringVarP(&o.dir, "workdir", "w", "", "Working directory inside the container")
	fs.StringVarP(&o.user, "user", "u", "", "Username or UID (format: <name|uid>[:<group|gid>])")
	fs.StringVar(&o.entrypoint, "entrypoint", "", "Overwrite the default ENTRYPOINT of the image")
	fs.StringArrayVarP(&o.label, "label", "l", nil, "Set meta data on a container")
	fs.StringArrayVar(&o.labelFile, "label-file", nil, "Read in a line delimited file of labels")
	fs.StringVar(&o.restart, "restart", "no", "Restart policy to apply when a container exits")
	fs.StringVar(&o.stopSignal, "stop-signal", "", "Signal to stop the container")
	fs.IntVar(&o.stopTimeout, "stop-timeout", 0, "Timeout (in seconds) to stop a container")
	fs.StringVar(&o.cidfile, "cidfile", "", "Write the container ID to the file")
	fs.StringVar(&o.pull, "pull", "missing", `Pull image before running ("always"|"missing"|"never")`)
	fs.StringVar(&o.logDriver, "log-driver", "json-file", "Logging driver for the container (json-file, local, none)")
	fs.StringArrayVar(&o.logOpt, "log-opt", nil, "Log driver options (max-size, max-file)")
	fs.StringArrayVar(&o.annotation, "annotation", nil, "Add an annotation to the container")
	fs.BoolVar(&o.readOnly, "read-only", false, "Mount the container's root filesystem as read only")
	fs.StringArrayVarP(&o.volumes, "volume", "v", nil, "Bind mount a volume")
	fs.StringArrayVar(&o.mounts, "mount", nil, "Attach a filesystem mount to the container")
	fs.StringArrayVar(&o.tmpfs, "tmpfs", nil, "Mount a tmpfs directory")
	fs.IntVar(&o.oomScore, "oom-score-adj", 0, "Tune host's OOM preferences (-1000 to 1000)")
}

func (o *runOptions) addHostFlags(fs *pflag.FlagSet) {
	fs.StringVarP(&o.hostname, "hostname", "h", "", "Container host name")
	fs.StringVar(&o.domainname, "domainname", "", "Container NIS domain name")
	fs.StringVar(&o.network, "network", "", "Connect a container to a network")
	fs.StringVar(&o.network, "net", "", "")
	_ = fs.MarkHidden("net")
	fs.StringVar(&o.shm, "shm-size", "", "Size of /dev/shm")
	fs.StringArrayVar(&o.addHost, "add-host", nil, "Add a custom host-to-IP mapping (host:ip)")
	fs.StringArrayVar(&o.dns, "dns", nil, "Set custom DNS servers")
	fs.StringArrayVar(&o.dnsSearch, "dns-search", nil, "Set custom DNS search domains")
	fs.StringArrayVar(&o.dnsOption, "dns-option", nil, "Set DNS options")
	fs.StringArrayVar(&o.sysctl, "sysctl", nil, "Sysctl options")
	fs.StringArrayVar(&o.device, "device", nil, "Add a host device to the container")
}

func (o *runOptions) addSecurityFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.privileged, "privileged", false, "Give all capabilities within the container's own namespaces")
	fs.StringArrayVar(&o.capAdd, "cap-add", nil, "Add Linux capabilities")
	fs.StringArrayVar(&o.capDrop, "cap-drop", nil, "Drop Linux capabilities")
	fs.StringArrayVar(&o.securityOpt, "security-opt", nil, "Security Options")
	fs.StringArrayVar(&o.groupAdd, "group-add", nil, "Add additional groups to join")
	fs.StringArrayVar(&o.ulimit, "ulimit", nil, "Ulimit options")
}

// create turns the flags into what the engine takes.
func (o *runOptions) create(app *App, args []string) (*engine.Create, error) {
	app.platform = o.more.platform
	c := &engine.Create{
		Image: args[0], Args: args[1:], Name: strings.TrimPrefix(o.name, "/"), Dir: o.dir, User: o.user, Hostname: o.hostname,
		Domainname: o.domainname, TTY: o.tty, Stdin: o.stdin, AutoRemove: o.rm, ReadOnly: o.readOnly,
		Privileged: o.privileged, CapAdd: o.capAdd, CapDrop: o.capDrop, StopSignal: o.stopSignal, Groups: o.groupAdd,
		OOMScore: o.oomScore, CIDFile: o.cidfile, Pull: o.pull,
		Host: spec.Host{
			Network: o.network, ExtraHosts: o.addHost, DNS: o.dns, DNSSearch: o.dnsSearch, DNSOptions: o.dnsOption,
		},
	}
	steps := []func(*engine.Create) error{
		o.checkWords, o.setEnv, o.setProxies, o.setLabels, o.setVolumes, o.setRestart, o.setLog, o.setSecurity, o.setUlimits, o.setHost, o.setDevices, o.net.set, o.limits.set,
		o.more.set, o.check.set,
	}
	for _, step := range steps {
		if err := step(c); err != nil {
			return nil, err
		}
	}
	if o.fs.Changed("entrypoint") {
		list := []string{}
		if o.entrypoint != "" {
			list = []string{o.entrypoint}
		}
		c.Entrypoint = &list
	}
	if o.fs.Changed("stop-timeout") {
		c.StopTime = &o.stopTimeout
	}
	return c, nil
}

func (o *runOptions) checkWords(c *engine.Create) error {
	switch o.pull {
	case "always", "missing", "never":
	default:
		return fmt.Errorf("invalid pull option: '%s': must be one of \"always\", \"missing\" or \"never\"", o.pull)
	}
	if o.detach && len(o.attach) > 0 {
		return errors.New("conflicting options: cannot specify both --attach and --detach")
	}
	if o.rm && o.restart != "no" && o.restart != "" {
		return errors.New("conflicting options: cannot specify both --restart and --rm")
	}
	if _, err := parseKeys(o.detachKeys); err != nil {
		return err
	}
	if o.stopSignal != "" {
		if _, err := engine.ParseSignal(o.stopSignal); err != nil {
			return err
		}
	}
	return nil
}

// setEnv reads --env-file and -e; a name alone takes the caller's value, or nothing if there is none.
func (o *runOptions) setEnv(c *engine.Create) error {
	for _, f := range o.envFile {
		lines, err := readLines(f)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if strings.ContainsAny(strings.SplitN(l, "=", 2)[0], " \t") {
				return fmt.Errorf("invalid env file (%s): variable '%s' contains whitespaces", f, strings.SplitN(l, "=", 2)[0])
			}
			c.Env = appendEnv(c.Env, l)
		}
	}
	for _, v := range o.env {
		if v == "" || v[0] == '=' {
			return fmt.Errorf("invalid environment variable: %s", v)
		}
		c.Env = appendEnv(c.Env, v)
	}
	return nil
}

func appendEnv(env []string, v string) []string {
	if strings.Contains(v, "=") {
		return append(env, v)
	}
	if value, ok := os.LookupEnv(v); ok {
		return append(env, v+"="+value)
	}
	return append(env, v)
}

// readLines reads a file of settings: empty lines and those that begin with # are comments.
func readLines(name string) (out []string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 4<<20)
	for s.Scan() {
		if l := strings.TrimLeft(s.Text(), " \t"); l != "" && l[0] != '#' {
			out = append(out, l)
		}
	}
	return out, s.Err()
}

func (o *runOptions) setLabels(c *engine.Create) error {
	c.Labels = map[string]string{}
	for _, f := range o.labelFile {
		lines, err := readLines(f)
		if err != nil {
			return err
		}
		o.label = append(lines, o.label...)
	}
	for _, l := range o.label {
		k, v, _ := strings.Cut(l, "=")
		c.Labels[k] = v
	}
	c.Annotation = map[string]string{}
	for _, l := range o.annotation {
		k, v, ok := strings.Cut(l, "=")
		if !ok {
			return fmt.Errorf("invalid argument %q for \"--annotation\" flag: missing value", l)
		}
		c.Annotation[k] = v
	}
	return nil
}

func (o *runOptions) setVolumes(c *engine.Create) error {
	for _, v := range o.volumes {
		s, err := parseVolume(v)
		if err != nil {
			return err
		}
		c.Volumes = append(c.Volumes, s)
	}
	for _, m := range o.mounts {
		s, err := parseMount(m)
		if err != nil {
			return err
		}
		c.Volumes = append(c.Volumes, s)
	}
	for _, t := range o.tmpfs {
		target, opts, _ := strings.Cut(t, ":")
		s := engine.VolumeSpec{Type: spec.Tmpfs, Target: target}
		if opts != "" {
			s.Options = strings.Split(opts, ",")
		}
		c.Volumes = append(c.Volumes, s)
	}
	return nil
}

// parseVolume reads [SOURCE:]TARGET[:OPTIONS] of -v.
func parseVolume(v string) (engine.VolumeSpec, error) {
	s := engine.VolumeSpec{MakeDir: true}
	parts := strings.Split(v, ":")
	switch {
	case len(parts) > 3 || slices.Contains(parts[:min(2, len(parts))], ""):
		return s, fmt.Errorf("invalid volume specification: '%s': invalid mount config for type \"volume\": field Target must not be empty", v)
	case len(parts) == 1:
		s.Type, s.Target = spec.Volume, parts[0]
		return s, nil
	}
	s.Source, s.Target = parts[0], parts[1]
	s.Type = spec.Volume
	if strings.HasPrefix(s.Source, ".") || strings.HasPrefix(s.Source, "/") || strings.HasPrefix(s.Source, "~") {
		s.Type = spec.Bind
		abs, err := filepath.Abs(s.Source)
		if err != nil {
			return s, err
		}
		s.Source = abs
	}
	if len(parts) == 3 {
		s.Mode = parts[2]
		for m := range strings.SplitSeq(parts[2], ",") {
			switch m {
			case "ro", "readonly":
				s.ReadOnly = true
			case "nocopy":
				s.NoCopy = true
			case "rw", "z", "Z", "cached", "delegated", "consistent", "private", "rprivate":
			default:
				return s, fmt.Errorf("invalid volume specification: '%s': invalid mode: %s", v, parts[2])
			}
		}
	}
	return s, nil
}

// parseMount reads the key=value list of --mount.
func parseMount(m string) (engine.VolumeSpec, error) {
	s := engine.VolumeSpec{Type: spec.Volume}
	for field := range strings.SplitSeq(m, ",") {
		key, value, set := strings.Cut(field, "=")
		switch strings.ToLower(key) {
		case "type":
			s.Type = spec.MountType(strings.ToLower(value))
		case "source", "src":
			s.Source = value
			if strings.HasPrefix(value, ".") {
				abs, err := filepath.Abs(value)
				if err != nil {
					return s, err
				}
				s.Source = abs
			}
		case "target", "dst", "destination":
			s.Target = value
		case "readonly", "ro":
			on := true
			if set {
				var err error
				if on, err = strconv.ParseBool(value); err != nil {
					return s, fmt.Errorf("invalid value for %s: %s", key, value)
				}
			}
			s.ReadOnly = on
		case "volume-nocopy":
			s.NoCopy = value != "false"
		case "tmpfs-size":
			n, err := units.RAMInBytes(value)
			if err != nil {
				return s, fmt.Errorf("invalid value for %s: %s", key, value)
			}
			s.Options = append(s.Options, "size="+strconv.FormatInt(n, 10))
		case "tmpfs-mode":
			s.Options = append(s.Options, "mode="+value)
		case "bind-propagation", "consistency", "bind-recursive":
			if value != "" && value != "rprivate" && value != "private" && value != "default" && value != "consistent" && value != "cached" && value != "delegated" && value != "enabled" {
				return s, fmt.Errorf("--mount %s=%s is not possible without root", key, value)
			}
		default:
			return s, fmt.Errorf("invalid argument %q for \"--mount\" flag: unexpected key '%s' in '%s'", m, key, field)
		}
	}
	if s.Target == "" {
		return s, fmt.Errorf("invalid argument %q for \"--mount\" flag: target is required", m)
	}
	if s.Type == spec.Bind && s.Source == "" {
		return s, fmt.Errorf("invalid argument %q for \"--mount\" flag: source is required", m)
	}
	return s, nil
}

func (o *runOptions) setRestart(c *engine.Create) error {
	r, err := parseRestart(o.restart)
	c.Restart = r
	return err
}

// parseRestart reads a restart policy.
func parseRestart(s string) (spec.Restart, error) {
	name, count, has := strings.Cut(s, ":")
	r := spec.Restart{Policy: name}
	switch name {
	case "":
		r.Policy = "no"
	case "no", "always", "unless-stopped", "on-failure":
	default:
		return r, fmt.Errorf("invalid restart policy: unknown policy '%s'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'", name)
	}
	if !has {
		return r, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return r, errors.New("maximum retry count must be an integer")
	}
	if name != "on-failure" {
		return r, errors.New("invalid restart policy: maximum retry count can only be used with 'on-failure'")
	}
	r.Max = n
	return r, nil
}

func (o *runOptions) setLog(c *engine.Create) error {
	c.Log = spec.Log{Driver: o.logDriver, Options: map[string]string{}}
	switch o.logDriver {
	case "json-file", "local", "none":
	default:
		return fmt.Errorf("logger: no log driver named '%s' is registered", o.logDriver)
	}
	for _, l := range o.logOpt {
		k, v, _ := strings.Cut(l, "=")
		switch k {
		case "max-size":
			n, err := units.RAMInBytes(v)
			if err != nil {
				return fmt.Errorf("invalid max-size for log driver: %q", v)
			}
			v = strconv.FormatInt(n, 10)
		case "max-file":
			if n, err := strconv.Atoi(v); err != nil || n < 1 {
				return fmt.Errorf("max-file cannot be less than 1: %q", v)
			}
		default:
			return fmt.Errorf("unknown log opt '%s' for %s log driver", k, o.logDriver)
		}
		c.Log.Options[k] = v
	}
	return nil
}

func (o *runOptions) setSecurity(c *engine.Create) error {
	c.Security = o.securityOpt
	for _, s := range o.securityOpt {
		k, v, has := strings.Cut(s, "=")
		if !has {
			k, v, _ = strings.Cut(s, ":")
		}
		switch k {
		case "no-new-privileges":
			on := v == ""
			if !on {
				var err error
				if on, err = strconv.ParseBool(v); err != nil {
					return fmt.Errorf("invalid --security-opt: %q", s)
				}
			}
			c.NoNewPrivs = on
		case "seccomp":
			if v == "unconfined" {
				c.Seccomp.Unconfined = true
				continue
			}
			b, err := os.ReadFile(v)
			if err != nil {
				return fmt.Errorf("opening seccomp profile (%s) failed: %w", v, err)
			}
			c.Seccomp.Profile = b
		default:
			if err := harmless(c, k, v, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *runOptions) setUlimits(c *engine.Create) error {
	for _, s := range o.ulimit {
		u, err := units.ParseUlimit(s)
		if err != nil {
			return fmt.Errorf("invalid argument %q for \"--ulimit\" flag: %w", s, err)
		}
		c.Ulimits = append(c.Ulimits, engine.Ulimit{Name: u.Name, Soft: uint64(u.Soft), Hard: uint64(u.Hard)})
	}
	return nil
}

func (o *runOptions) setHost(c *engine.Create) error {
	if o.shm != "" {
		n, err := units.RAMInBytes(o.shm)
		if err != nil || n < 0 {
			return fmt.Errorf("invalid size: '%s'", o.shm)
		}
		c.Host.ShmSize = n
	}
	for _, s := range o.sysctl {
		k, v, ok := strings.Cut(s, "=")
		if !ok || !engine.NamespacedSysctl(k) {
			return fmt.Errorf("invalid argument %q for \"--sysctl\" flag: sysctl '%s' is not allowed", s, k)
		}
		if c.Host.Sysctls == nil {
			c.Host.Sysctls = map[string]string{}
		}
		c.Host.Sysctls[k] = v
	}
	for _, h := range o.addHost {
		if name, addr, ok := strings.Cut(strings.Replace(h, "=", ":", 1), ":"); !ok || name == "" || addr == "" {
			return fmt.Errorf("invalid argument %q for \"--add-host\" flag: bad format for add-host: %q", h, h)
		}
	}
	return nil
}

func (o *runOptions) setDevices(c *engine.Create) error {
	for _, d := range o.device {
		parts := strings.Split(d, ":")
		dev := spec.Device{Source: parts[0], Target: parts[0], Perm: "rwm"}
		if len(parts) > 1 {
			dev.Target = parts[1]
		}
		if len(parts) > 2 {
			dev.Perm = parts[2]
		}
		if len(parts) > 3 || !filepath.IsAbs(dev.Source) || !strings.HasPrefix(filepath.Clean(dev.Target), "/dev/") {
			return fmt.Errorf("invalid argument %q for \"--device\" flag: bad format for path: %s", d, d)
		}
		if _, err := os.Stat(dev.Source); err != nil {
			return fmt.Errorf("error gathering device information while adding custom device %q: no such file or directory", dev.Source)
		}
		c.Devices = append(c.Devices, dev)
	}
	return nil
}
