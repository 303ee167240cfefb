package view

import (
	"net/netip"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/storage"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/guest"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// A Container is the answer of inspect: Docker's structure with the network fields that later versions dropped.
type Container struct {
	container.InspectResponse
	NetworkSettings *NetworkSettings
	Moss            Moss
}

// Moss is what Docker has no field for.
type Moss struct {
	Enforced map[string]string // limit or right → what carries it
	Note     string            `json:",omitempty"`
}

// NetworkSettings is Docker's before API 1.52: the first network's values at the top as well.
type NetworkSettings struct {
	Bridge                 string
	SandboxID              string
	SandboxKey             string
	Ports                  network.PortMap
	HairpinMode            bool
	LinkLocalIPv6Address   string
	LinkLocalIPv6PrefixLen int
	SecondaryIPAddresses   []string
	SecondaryIPv6Addresses []string
	EndpointID             string
	Gateway                string
	GlobalIPv6Address      string
	GlobalIPv6PrefixLen    int
	IPAddress              string
	IPPrefixLen            int
	IPv6Gateway            string
	MacAddress             string
	Networks               map[string]*network.EndpointSettings
}

// Inspect makes the answer of inspect. A size that is not asked for is nil.
func Inspect(c *sandbox.Snapshot) *Container {
	s := c.Spec
	out := &Container{NetworkSettings: settings(c), Moss: Moss{Enforced: engine.Enforced(c), Note: s.Limits.Warning}}
	r := &out.InspectResponse
	r.ID, r.Created, r.Name = c.ID, stamp(s.Created), "/"+s.Name
	r.Path, r.Args = s.Process.Args[0], append([]string{}, s.Process.Args[1:]...)
	r.State, r.Image = State(c), s.ImageID
	r.ResolvConfPath, r.HostnamePath, r.HostsPath = c.Path("etc/resolv.conf"), c.Path("etc/hostname"), c.Path("etc/hosts")
	r.RestartCount, r.Driver, r.Platform = c.State.Restarts, string(s.Root.Kind), "linux"
	r.HostConfig, r.Config, r.Mounts = hostConfig(c), config(c), Mounts(c)
	r.GraphDriver = graph(c)
	return out
}

// stamp is a time as Docker writes it; one that never was is year 1.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// State is the container's state.
func State(c *sandbox.Snapshot) *container.State {
	st := &c.State
	out := &container.State{
		Status: container.ContainerState(st.Status), Running: st.Status == sandbox.Running || st.Status == sandbox.Paused || st.Status == sandbox.Restarting,
		Paused: st.Status == sandbox.Paused, Restarting: st.Status == sandbox.Restarting, OOMKilled: engine.OOMKilled(c), Dead: st.Status == sandbox.Dead,
		ExitCode: st.ExitCode, Error: st.Error, StartedAt: stamp(st.Started), FinishedAt: stamp(st.Finished),
	}
	if st.Status == sandbox.Running || st.Status == sandbox.Paused {
		out.Pid, out.ExitCode = st.Guest.PID, 0
	}
	if h := st.Health; h != nil {
		out.Health = &container.Health{Status: container.HealthStatus(h.Status), FailingStreak: h.Streak}
		for _, l := range h.Log {
			out.Health.Log = append(out.Health.Log, &container.HealthcheckResult{Start: l.Start, End: l.End, ExitCode: l.ExitCode, Output: l.Output})
		}
	}
	return out
}

func hostConfig(c *sandbox.Snapshot) *container.HostConfig {
	s := c.Spec
	h := &container.HostConfig{
		Binds: s.Config.Binds, ContainerIDFile: s.Config.CIDFile, LogConfig: container.LogConfig{Type: s.Log.Driver, Config: notNil(s.Log.Options)},
		NetworkMode: container.NetworkMode(s.Host.Network), RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(s.Restart.Policy), MaximumRetryCount: s.Restart.Max},
		AutoRemove: s.AutoRemove, CapAdd: s.Config.CapAdd, CapDrop: s.Config.CapDrop, CgroupnsMode: "private", DNS: addresses(s.Host.DNS),
		DNSOptions: list(s.Host.DNSOptions), DNSSearch: list(s.Host.DNSSearch), ExtraHosts: s.Host.ExtraHosts, GroupAdd: s.Config.GroupAdd,
		IpcMode: container.IpcMode(ipcMode(s.Host.IPC)), OomScoreAdj: s.Process.OOMScore, PidMode: container.PidMode(s.Host.PID),
		Privileged: s.Process.Privileged, PublishAllPorts: s.Host.PublishAll, ReadonlyRootfs: s.Root.ReadOnly, SecurityOpt: s.Config.SecurityOpt,
		UTSMode: container.UTSMode(s.Host.UTS), ShmSize: s.Host.ShmSize, Sysctls: s.Host.Sysctls, Annotations: s.Config.Annotations, Runtime: "moss",
		MaskedPaths: guest.MaskedPaths(), ReadonlyPaths: guest.ReadOnlyPaths(), PortBindings: portBindings(s),
	}
	if s.Process.Privileged {
		h.MaskedPaths, h.ReadonlyPaths = nil, nil
	}
	for _, d := range s.Host.Devices {
		h.Devices = append(h.Devices, container.DeviceMapping{PathOnHost: d.Source, PathInContainer: d.Target, CgroupPermissions: d.Perm})
	}
	for _, r := range s.Process.Rlimits {
		h.Ulimits = append(h.Ulimits, &container.Ulimit{Name: r.Name, Soft: int64(r.Soft), Hard: int64(r.Hard)})
	}
	h.Resources = resources(s, h.Resources)
	if s.Process.Init {
		h.Init = &s.Process.Init
	}
	return h
}

func ipcMode(s spec.Share) string {
	if s == spec.Own {
		return "private"
	}
	return string(s)
}

func addresses(s []string) []netip.Addr {
	out := []netip.Addr{}
	for _, a := range s {
		if p, err := netip.ParseAddr(a); err == nil {
			out = append(out, p)
		}
	}
	return out
}

func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func notNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func config(c *sandbox.Snapshot) *container.Config {
	s := c.Spec
	out := &container.Config{
		Hostname: s.Host.Hostname, Domainname: s.Config.Domainname, User: s.Process.User.Spec, AttachStdin: s.Config.AttachStdin,
		AttachStdout: s.Config.AttachStdout, AttachStderr: s.Config.AttachStderr, Tty: s.Process.TTY, OpenStdin: s.Process.Stdin,
		StdinOnce: s.Process.StdinOnce, Env: environment(s), Cmd: s.Config.Cmd, Image: s.Image, Volumes: s.Config.Volumes, WorkingDir: s.Process.Dir,
		Entrypoint: s.Config.Entrypoint, OnBuild: s.Config.OnBuild, Labels: notNil(s.Labels), StopSignal: s.Process.StopSignal,
		StopTimeout: s.Process.StopTimeout, Shell: s.Config.Shell,
	}
	if h := s.Health; h != nil {
		out.Healthcheck = &container.HealthConfig{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, StartInterval: h.StartInterval, Retries: h.Retries}
	}
	for p := range s.Config.ExposedPorts {
		if port, err := network.ParsePort(p); err == nil {
			if out.ExposedPorts == nil {
				out.ExposedPorts = network.PortSet{}
			}
			out.ExposedPorts[port] = struct{}{}
		}
	}
	return out
}

// environment is the image's and the user's, with PATH, as Docker's Config.Env has it.
func environment(s *spec.Spec) []string {
	for _, v := range s.Config.Env {
		if strings.HasPrefix(v, "PATH=") {
			return s.Config.Env
		}
	}
	for _, v := range s.Process.Env {
		if strings.HasPrefix(v, "PATH=") {
			return append(append([]string{}, s.Config.Env...), v)
		}
	}
	return list(s.Config.Env)
}

// Mounts are what the user or the image had mounted.
func Mounts(c *sandbox.Snapshot) []container.MountPoint {
	out := []container.MountPoint{}
	for _, m := range c.Spec.Mounts {
		p := container.MountPoint{Type: mount.Type(m.Type), Source: m.Source, Destination: m.Target, RW: !m.ReadOnly}
		switch m.Type {
		case spec.Volume:
			p.Name, p.Driver = m.Name, "local"
		case spec.Bind:
			p.Propagation = mount.PropagationRPrivate
		case spec.Tmpfs:
			p.Source = ""
		}
		out = append(out, p)
	}
	return out
}

// graph tells where the root comes from.
func graph(c *sandbox.Snapshot) *storage.DriverData {
	t := c.Spec.Root.Trees[0]
	d := &storage.DriverData{Name: string(c.Spec.Root.Kind), Data: map[string]string{
		"LowerDir": strings.Join(t.Lower, ":"), "UpperDir": c.Path(t.Upper), "WorkDir": c.Path(t.Work), "ID": c.ID,
	}}
	if c.Spec.Root.Kind == spec.Copy {
		delete(d.Data, "WorkDir")
	}
	return d
}

// Summary is one container of a list.
func Summary(c *sandbox.Snapshot, status string) *container.Summary {
	s := c.Spec
	out := &container.Summary{
		ID: c.ID, Names: []string{"/" + s.Name}, Image: s.Image, ImageID: s.ImageID, Command: strings.Join(s.Process.Args, " "),
		Created: s.Created.Unix(), Ports: portSummaries(c), Labels: notNil(s.Labels), State: container.ContainerState(c.State.Status), Status: status,
		NetworkSettings: &container.NetworkSettingsSummary{Networks: settings(c).Networks}, Mounts: Mounts(c),
	}
	out.HostConfig.NetworkMode = s.Host.Network
	return out
}
