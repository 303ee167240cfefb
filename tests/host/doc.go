// Package host tests moss on real hosts: Debian 12 and 13 with systemd, cgroup v2 and ordinary logins, in virtual machines.
// `make test-host` runs it (root, build tag host); all that can be tested without a machine of one's own is in tests/.
package host
