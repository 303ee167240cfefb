package view

import (
	"fmt"
	"net/netip"
	"runtime"
	"sort"
	"time"

	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"

	"github.com/moss-sandbox/moss/sandbox/engine"
)

// An Info is the answer of info: the API's, what the client adds, and moss's own.
type Info struct {
	system.Info
	ClientInfo ClientInfo
	Moss       HostInfo
}

// ClientInfo is what Docker's client tells about itself.
type ClientInfo struct {
	Debug    bool
	Version  string
	Context  string
	Plugins  []string
	Warnings []string
}

// HostInfo is what Docker has no field for.
type HostInfo struct {
	IDs     string            // how ids are mapped: newuidmap, direct or own
	IDCount uint32            // users of a container
	Host    []engine.HostLine // what this machine lets the account do
	Socket  string            // where Docker's API is answered after moss env, or by moss serve
}

// SystemInfo makes the answer of info.
func SystemInfo(i *engine.Info, version string) *Info {
	out := &Info{
		ClientInfo: ClientInfo{Version: version, Context: "default", Plugins: []string{}},
		Moss:       HostInfo{IDs: i.IDs, IDCount: i.IDCount, Host: i.Host},
	}
	s := &out.Info
	s.ID, s.Name, s.ServerVersion, s.SystemTime = i.ID, i.Name, version, stamp(time.Now())
	s.Containers = i.Running + i.Paused + i.Stopped
	s.ContainersRunning, s.ContainersPaused, s.ContainersStopped, s.Images = i.Running, i.Paused, i.Stopped, i.Images
	s.Driver, s.DriverStatus, s.LoggingDriver = i.Storage, [][2]string{{"Backing Filesystem", i.FileSystem}}, "json-file"
	s.CgroupDriver, s.CgroupVersion = "none", i.CgroupVersion
	if i.Limits {
		s.CgroupDriver, s.MemoryLimit, s.PidsLimit, s.CPUSet, s.CPUCfsPeriod, s.CPUCfsQuota = "cgroupfs", true, true, true, true, true
	}
	s.Plugins = system.PluginsInfo{Volume: []string{"local"}, Network: []string{"host", "null"}, Log: []string{"json-file", "local", "none"}}
	if i.Networks {
		s.Plugins.Network = []string{"bridge", "host", "null"}
	}
	s.KernelVersion, s.OperatingSystem, s.OSVersion, s.OSType = i.Kernel, i.OS, i.OSVersion, "linux"
	s.Architecture, s.NCPU, s.MemTotal, s.DockerRootDir = machine(), i.CPUs, i.Memory, i.DataRoot
	s.HTTPProxy, s.HTTPSProxy, s.NoProxy = i.HTTPProxy, i.HTTPSProxy, i.NoProxy
	s.IndexServerAddress, s.RegistryConfig = "https://index.docker.io/v1/", registries(i.Registries)
	s.Runtimes, s.DefaultRuntime = map[string]system.RuntimeWithStatus{"moss": {Runtime: system.Runtime{Path: "moss"}}}, "moss"
	s.Swarm, s.LiveRestoreEnabled = swarm.Info{LocalNodeState: swarm.LocalNodeStateInactive}, true
	s.SecurityOptions, s.Labels, s.CDISpecDirs, s.Warnings = security(i), []string{}, []string{}, warnings(i)
	return out
}

// security is what confines a container. Real root's containers are not root's of this machine: userns is Docker's word.
func security(i *engine.Info) []string {
	out := []string{"name=seccomp,profile=builtin"}
	if i.RealRoot {
		out = append(out, "name=userns")
	} else {
		out = append(out, "name=rootless")
	}
	return append(out, "name=cgroupns")
}

func warnings(i *engine.Info) []string {
	out := []string{}
	for _, err := range i.Bad {
		out = append(out, fmt.Sprintf("WARNING: %v", err))
	}
	return out
}

// registries is the client's configuration; addresses of this machine need no TLS, as with Docker.
func registries(named map[string]engine.Registry) *registry.ServiceConfig {
	hub := &registry.IndexInfo{Name: "docker.io", Mirrors: []string{}, Secure: true, Official: true}
	local := []netip.Prefix{netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("127.0.0.0/8")}
	out := &registry.ServiceConfig{InsecureRegistryCIDRs: local, IndexConfigs: map[string]*registry.IndexInfo{"docker.io": hub}, Mirrors: []string{}}
	names := make([]string, 0, len(named))
	for name := range named {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		r := named[name]
		if name == "docker.io" {
			hub.Mirrors, hub.Secure, out.Mirrors = list(r.Mirrors), !r.Insecure, list(r.Mirrors)
			continue
		}
		out.IndexConfigs[name] = &registry.IndexInfo{Name: name, Mirrors: list(r.Mirrors), Secure: !r.Insecure}
	}
	return out
}

// machine is the architecture in uname's word.
func machine() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}
