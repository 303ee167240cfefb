package userns

import (
	"errors"
	"os"
	"strings"
	"syscall"
)

// ErrForbidden says that this machine does not let the user make a user namespace.
var ErrForbidden = errors.New("this machine does not allow user namespaces")

// A forbiddenError carries the cause that was found and its remedy.
type forbiddenError struct {
	cause  string
	remedy string
	err    error
}

func (e *forbiddenError) Error() string   { return ErrForbidden.Error() + ": " + e.cause }
func (e *forbiddenError) Unwrap() []error { return []error{ErrForbidden, e.err} }
func (e *forbiddenError) Hints() []string { return []string{e.remedy} }

// forbidden finds the cause of a refusal. How each cause looks was measured on Debian 12 and 13 and Linux 6.18; clone3
// says ENOSYS under a seccomp filter where unshare says EPERM, so that a missing call is no sign of an old kernel.
func forbidden(err error) error {
	var ce syscall.Errno
	if !errors.As(err, &ce) {
		return err
	}
	switch {
	case ce == syscall.ENOSPC && sysctl("user/max_user_namespaces") == "0":
		return &forbiddenError{"user.max_user_namespaces is 0", "an administrator can allow them: sysctl -w user.max_user_namespaces=15000", err}
	case ce == syscall.ENOSPC:
		return &forbiddenError{"their number is used up (user.max_user_namespaces)", "an administrator can raise it: sysctl -w user.max_user_namespaces=15000", err}
	case ce == syscall.EPERM && sysctl("kernel/unprivileged_userns_clone") == "0":
		return &forbiddenError{"kernel.unprivileged_userns_clone is 0", "an administrator can allow them: sysctl -w kernel.unprivileged_userns_clone=1", err}
	case (ce == syscall.EPERM || ce == syscall.EACCES) && sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return &forbiddenError{"AppArmor restricts them (kernel.apparmor_restrict_unprivileged_userns is 1)", "an administrator can allow this program: moss info --admin | sudo sh", err}
	case ce == syscall.EPERM || ce == syscall.ENOSYS:
		return &forbiddenError{"a filter of this session forbids the call (seccomp; a service with RestrictNamespaces=, or a container)", "start moss outside of it, or allow namespaces there (Docker: --security-opt seccomp=unconfined)", err}
	}
	return err
}

func sysctl(name string) string {
	b, _ := os.ReadFile("/proc/sys/" + name)
	return strings.TrimSpace(string(b))
}
