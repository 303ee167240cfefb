package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/view"
	"github.com/moss-sandbox/moss/slirp"
)

// mount takes one of HostConfig.Mounts.
func (c *creation) mount(m *view.Mount) (engine.VolumeSpec, error) {
	v := engine.VolumeSpec{Type: spec.MountType(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
	if v.Type == "" {
		return v, badRequest("invalid mount config for type \"\": mount type unknown")
	}
	if m.Target == "" {
		return v, badRequest("invalid mount config for type %q: field Target must not be empty", m.Type)
	}
	switch v.Type {
	case spec.Bind:
		return v, c.bindOptions(m, &v)
	case spec.Volume:
		return v, c.volumeOptions(m, &v)
	case spec.Tmpfs:
		return v, tmpfsOptions(m, &v)
	}
	return v, badRequest("invalid mount config for type %q: mount type unknown", m.Type)
}

func (c *creation) bindOptions(m *view.Mount, v *engine.VolumeSpec) error {
	if m.Source == "" {
		return badRequest("invalid mount config for type \"bind\": field Source must not be empty")
	}
	o := m.BindOptions
	if o == nil {
		return nil
	}
	v.MakeDir = o.CreateMountpoint
	switch o.Propagation {
	case "", "private", "rprivate":
	default:
		return badRequest("invalid mount config for type \"bind\": propagation %q is not possible without root", o.Propagation)
	}
	if o.NonRecursive || o.ReadOnlyNonRecursive {
		c.warn("mounts below " + m.Source + " are seen too: binds that are not recursive are not possible without root")
	}
	return nil
}

func (c *creation) volumeOptions(m *view.Mount, v *engine.VolumeSpec) error {
	o := m.VolumeOptions
	if o == nil {
		return nil
	}
	v.NoCopy = o.NoCopy
	switch {
	case o.Subpath != "":
		return badRequest("invalid mount config for type \"volume\": subpath is not supported")
	case o.DriverConfig != nil && o.DriverConfig.Name != "" && o.DriverConfig.Name != "local":
		return badRequest("error looking up volume plugin %s: plugin %q not found", o.DriverConfig.Name, o.DriverConfig.Name)
	case o.DriverConfig != nil && len(o.DriverConfig.Options) > 0:
		return badRequest("options of the volume driver are not supported")
	case len(o.Labels) > 0:
		c.warn("labels of a volume that is made with a container are not kept")
	}
	return nil
}

func tmpfsOptions(m *view.Mount, v *engine.VolumeSpec) error {
	if m.Source != "" {
		return badRequest("invalid mount config for type \"tmpfs\": field Source must not be specified")
	}
	o := m.TmpfsOptions
	if o == nil {
		return nil
	}
	if o.SizeBytes > 0 {
		v.Options = append(v.Options, "size="+strconv.FormatInt(o.SizeBytes, 10))
	}
	if o.Mode != 0 {
		v.Options = append(v.Options, fmt.Sprintf("mode=%o", uint32(o.Mode.Perm())))
	}
	for _, kv := range o.Options {
		v.Options = append(v.Options, strings.Join(kv, "="))
	}
	return nil
}

// logging takes the log's driver and options.
func (c *creation) logging(r *view.CreateRequest) error {
	l := r.HostConfig.LogConfig
	c.Log = spec.Log{Driver: cmp.Or(l.Type, "json-file"), Options: map[string]string{}}
	if !slices.Contains([]string{"json-file", "local", "none"}, c.Log.Driver) {
		return badRequest("logger: no log driver named '%s' is registered", l.Type)
	}
	for k, v := range l.Config {
		switch k {
		case "max-size":
			n, err := units.RAMInBytes(v)
			if err != nil {
				return badRequest("invalid max-size for log driver: %q", v)
			}
			v = strconv.FormatInt(n, 10)
		case "max-file":
			if n, err := strconv.Atoi(v); err != nil || n < 1 {
				return badRequest("max-file cannot be less than 1: %q", v)
			}
		default:
			return badRequest("unknown log opt '%s' for %s log driver", k, c.Log.Driver)
		}
		c.Log.Options[k] = v
	}
	return nil
}

// security takes SecurityOpt. A seccomp profile comes as its text: clients read the file.
func (c *creation) security(r *view.CreateRequest) error {
	c.Security = r.HostConfig.SecurityOpt
	masked, readOnly := r.HostConfig.MaskedPaths, r.HostConfig.ReadonlyPaths
	c.Unmasked = masked != nil && len(masked) == 0 && readOnly != nil && len(readOnly) == 0 // systempaths=unconfined
	for _, o := range r.HostConfig.SecurityOpt {
		k, v, has := strings.Cut(o, "=")
		if !has {
			k, v, _ = strings.Cut(o, ":")
		}
		switch {
		case k == "no-new-privileges":
			on := v == ""
			if !on {
				var err error
				if on, err = strconv.ParseBool(v); err != nil {
					return badRequest("invalid --security-opt: %q", o)
				}
			}
			c.NoNewPrivs = on
		case k == "seccomp" && v == "unconfined":
			c.Seccomp.Unconfined = true
		case k == "seccomp" && v != "builtin":
			if !json.Valid([]byte(v)) {
				return badRequest("Decoding seccomp profile failed: it is no JSON")
			}
			c.Seccomp.Profile = []byte(v)
		case k == "seccomp":
		case k == "label" && v == "disable", k == "apparmor" && v == "unconfined":
		case k == "systempaths" && v == "unconfined":
			c.Unmasked = true
		default:
			return badRequest("invalid --security-opt 2: %q", o)
		}
	}
	return nil
}

// sharing takes what is shared with the machine or another container, and what of the host's things is shown.
func (c *creation) sharing(r *view.CreateRequest) error {
	h, k := r.HostConfig, &c.Host
	k.PID, k.UTS = spec.Share(h.PidMode), spec.Share(h.UTSMode)
	k.IPC, k.Cgroup, c.VolumesFrom = spec.Share(h.IpcMode), spec.Share(h.CgroupnsMode), h.VolumesFrom
	for name, mode := range map[string]spec.Share{"PID": k.PID, "IPC": k.IPC, "UTS": k.UTS} {
		words := name == "IPC" && slices.Contains([]spec.Share{spec.Private, spec.Shareable, spec.None}, mode)
		if mode != spec.Own && mode != spec.FromHost && !words && (mode.Of() == "" || name == "UTS") {
			return badRequest("invalid %s mode: %s", name, mode)
		}
	}
	if h.ShmSize < 0 {
		return badRequest("SHM size can not be less than 0")
	}
	k.ShmSize, k.Sysctls, k.ExtraHosts, k.DNSSearch, k.DNSOptions = h.ShmSize, h.Sysctls, h.ExtraHosts, h.DNSSearch, h.DNSOptions
	for _, a := range h.DNS {
		k.DNS = append(k.DNS, a.String())
	}
	for _, e := range h.ExtraHosts {
		if name, addr, ok := strings.Cut(e, ":"); !ok || name == "" || addr == "" {
			return badRequest("bad format for add-host: %q", e)
		}
	}
	for name := range h.Sysctls {
		if !engine.NamespacedSysctl(name) {
			return badRequest("sysctl %q is not in a namespace of the container's own", name)
		}
	}
	return nil
}

// network takes networks and ports.
func (c *creation) network(r *view.CreateRequest) error {
	h, k := r.HostConfig, &c.Host
	k.Network, k.PublishAll, k.Links = string(h.NetworkMode), h.PublishAllPorts, h.Links
	if k.Network == "default" {
		k.Network = ""
	}
	if r.NetworkDisabled {
		k.Network = string(spec.None)
	}
	if r.NetworkingConfig != nil {
		if err := c.endpoints(r.NetworkingConfig.EndpointsConfig); err != nil {
			return err
		}
	}
	for port, list := range h.PortBindings {
		if len(list) == 0 {
			c.Host.Ports = append(c.Host.Ports, port.String())
		}
		for _, b := range list {
			host := ""
			if b.HostIP.IsValid() {
				host = b.HostIP.String()
				if b.HostIP.Is6() {
					host = "[" + host + "]"
				}
				host += ":"
			}
			c.Host.Ports = append(c.Host.Ports, portText(host, b.HostPort, port.String()))
		}
	}
	slices.Sort(c.Host.Ports)
	for _, p := range c.Host.Ports {
		specs, err := slirp.ParsePort(p)
		if err != nil {
			return badRequest("%v", err)
		}
		for _, s := range specs {
			c.Expose = append(c.Expose, s.Port.String())
		}
	}
	return nil
}

// portText is -p's form; host ports "" and "0" mean any.
func portText(host, hostPort, port string) string {
	if hostPort == "" || hostPort == "0" {
		if host == "" {
			return port
		}
		return host + ":" + port
	}
	return host + hostPort + ":" + port
}

// endpoints takes the settings of networks: the one that NetworkMode names, or else the first, and further ones.
func (c *creation) endpoints(all map[string]*view.EndpointSettings) error {
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	k := &c.Host
	if len(names) == 1 && (k.Network == "" || k.Network == slirp.NameBridge) && names[0] != "default" {
		k.Network = names[0]
	}
	for _, name := range names {
		at, err := connection(name, all[name])
		if err != nil {
			return err
		}
		if name == k.Network || name == "default" || k.Network == "" && name == slirp.NameBridge {
			k.Aliases, k.IP, k.IP6, k.MAC = at.Aliases, at.IP, at.IP6, cmp.Or(at.MAC, k.MAC)
			continue
		}
		k.Connected = append(k.Connected, at)
	}
	return nil
}

// connection reads the settings of one network.
func connection(name string, e *view.EndpointSettings) (spec.Connection, error) {
	at := spec.Connection{Network: name}
	if e == nil {
		return at, nil
	}
	at.Aliases, at.MAC = e.Aliases, e.MacAddress.String()
	if i := e.IPAMConfig; i != nil {
		if i.IPv4Address.IsValid() {
			at.IP = i.IPv4Address.String()
		}
		if i.IPv6Address.IsValid() {
			at.IP6 = i.IPv6Address.String()
		}
		if len(i.LinkLocalIPs) > 0 {
			return at, badRequest("link-local addresses of an endpoint are not supported")
		}
	}
	if len(e.DriverOpts) > 0 {
		return at, badRequest("driver options of an endpoint are not supported")
	}
	return at, nil
}
