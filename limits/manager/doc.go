// Package manager is the door to containerd/cgroups: the detailed figures of a container's cgroup that only the API's stats
// document shows.
//
// It belongs to the heavy program; nothing that starts, stops or lists containers imports it, since its protobuf messages
// alone cost more start-up than a container. It refuses to write: limits/cgroup does that, because the module writes one
// line for all controllers, fails on the first that is not delegated, and knows no "max" for memory.
package manager
