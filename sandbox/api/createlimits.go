package api

import (
	"path/filepath"
	"strings"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// resources takes limits, devices and ulimits.
func (c *creation) resources(r *view.CreateRequest) error {
	h := &r.HostConfig.Resources
	for _, u := range h.Ulimits {
		c.Ulimits = append(c.Ulimits, engine.Ulimit{Name: u.Name, Soft: uint64(u.Soft), Hard: uint64(u.Hard)})
	}
	for _, d := range h.Devices {
		dev := spec.Device{Source: d.PathOnHost, Target: d.PathInContainer, Perm: d.CgroupPermissions}
		if dev.Target == "" {
			dev.Target = dev.Source
		}
		if dev.Perm == "" {
			dev.Perm = "rwm"
		}
		if !filepath.IsAbs(dev.Source) || !strings.HasPrefix(filepath.Clean(dev.Target), "/dev/") {
			return badRequest("bad format for path: %s", d.PathOnHost)
		}
		c.Devices = append(c.Devices, dev)
	}
	c.Limits = limitsOf(h)
	return nil
}

// limitsOf are the limits that a request asks for.
func limitsOf(h *view.Resources) limits.Limits {
	l := limits.Limits{
		Memory: limits.Size(h.Memory), Reservation: limits.Size(h.MemoryReservation), Swap: limits.Swap(h.MemorySwap), Swappiness: h.MemorySwappiness,
		NoOOMKill: h.OomKillDisable != nil && *h.OomKillDisable, CPUs: limits.CPUs(h.NanoCPUs), Shares: h.CPUShares, Period: h.CPUPeriod, Quota: h.CPUQuota,
		Cpuset: h.CpusetCpus, Mems: h.CpusetMems, BlkioWeight: h.BlkioWeight,
	}
	if h.MemorySwappiness != nil && *h.MemorySwappiness == -1 { // what older clients send for "not said"
		l.Swappiness = nil
	}
	if h.PidsLimit != nil {
		if l.Pids = *h.PidsLimit; l.Pids == 0 {
			l.Pids = -1
		}
	}
	return l
}

// unsupported refuses, or tells of, everything that is not carried out.
func (c *creation) unsupported(r *view.CreateRequest) error {
	h := r.HostConfig
	for _, x := range []struct {
		set  bool
		text string
	}{
		{h.VolumeDriver != "" && h.VolumeDriver != "local", "error looking up volume plugin " + h.VolumeDriver + ": plugin \"" + h.VolumeDriver + "\" not found"},
		{h.Runtime != "" && h.Runtime != "moss" && h.Runtime != "runc", "unknown or invalid runtime name: " + h.Runtime},
		{h.Isolation != "" && h.Isolation != "default", "invalid isolation \"" + string(h.Isolation) + "\" on linux"},
		{h.UsernsMode != "" && h.UsernsMode != "host" && h.UsernsMode != "private", "invalid user namespace mode"},
		{len(h.DeviceRequests) > 0, "could not select device driver: devices by driver are not supported, name them in Devices"},
		{h.CgroupnsMode != "" && h.CgroupnsMode != "host" && h.CgroupnsMode != "private", "invalid cgroup namespace mode: " + string(h.CgroupnsMode)},
		{h.Umask != nil, "Umask is not supported"},
	} {
		if x.set {
			return badRequest("%s", x.text)
		}
	}
	for _, x := range []struct {
		set  bool
		text string
	}{
		{h.UsernsMode == "host", "UsernsMode host has no effect: a container has always a user namespace of its own"},
		{h.CgroupParent != "", "CgroupParent has no effect"},
		{h.Cgroup != "", "Cgroup has no effect"},
		{len(h.StorageOpt) > 0, "StorageOpt has no effect"},
		{len(h.DeviceCgroupRules) > 0, "DeviceCgroupRules have no effect: no device can be made without root"},
		{len(h.BlkioWeightDevice)+len(h.BlkioDeviceReadBps)+len(h.BlkioDeviceWriteBps)+len(h.BlkioDeviceReadIOps)+len(h.BlkioDeviceWriteIOps) > 0, "limits of single block devices have no effect"},
		{h.CPURealtimePeriod != 0 || h.CPURealtimeRuntime != 0, "real-time limits of processors have no effect"},
		{h.CPUCount != 0 || h.CPUPercent != 0 || h.IOMaximumIOps != 0 || h.IOMaximumBandwidth != 0, "limits of Windows have no effect"},
		{len(h.MaskedPaths) > 0, "MaskedPaths has no effect: the paths are Docker's, or none"},
		{len(h.ReadonlyPaths) > 0, "ReadonlyPaths has no effect: the paths are Docker's, or none"},
		{len(r.OnBuild) > 0, "OnBuild has no effect on a container"},
		{len(r.Shell) > 0, "Shell has no effect on a container"},
	} {
		if x.set {
			c.warn(x.text)
		}
	}
	return nil
}
