package engine

import "strings"

// NamespacedSysctl tells whether a sysctl belongs to a container's own namespaces: Docker's list.
func NamespacedSysctl(k string) bool {
	if strings.ContainsAny(k, "/+ ") || strings.Contains(k, "..") {
		return false
	}
	switch k {
	case "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced":
		return true
	}
	return strings.HasPrefix(k, "net.") || strings.HasPrefix(k, "fs.mqueue.")
}
