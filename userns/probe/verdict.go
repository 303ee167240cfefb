package probe

import (
	"fmt"

	"github.com/moss-sandbox/moss/userns"
)

// A verdict is why nothing can run, and the exact remedy.
type verdict struct{ cause, remedy string }

// forbidden tells the causes apart by how they look (measured on Debian 12 and 13 and Linux 6.18; research/hosts.md g):
//
//	cause                                   clone    unshare   tell by
//	kernel.unprivileged_userns_clone=0      EPERM    EINVAL    the file says 0
//	user.max_user_namespaces=0              ENOSPC   EINVAL    the file says 0
//	seccomp (RestrictNamespaces, Docker)    EPERM…   EPERM     a filter answers before the kernel looks; clone3 ENOSYS
//	AppArmor (Ubuntu 23.10 and later)       ok       EINVAL    no right inside
//	no CONFIG_USER_NS                       EINVAL   EINVAL    /proc/self/ns/user is missing
//
// clone3 ENOSYS alone is no sign of an old kernel. nil: nothing is forbidden.
func forbidden(f Facts) *verdict {
	u := f.UserNS
	switch {
	case u.Clone.OK() && u.Rights.OK():
		return nil
	case u.Clone.OK() && u.AppArmor == "1":
		return &verdict{"AppArmor takes all rights from new user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)",
			"an administrator can allow this program: " + adminCommand}
	case u.Clone.OK() && u.Rights != Untried:
		return &verdict{fmt.Sprintf("a security module takes all rights from new user namespaces (a mount inside: %s)", u.Rights),
			"an administrator can allow user namespaces for " + f.Binary}
	case u.Clone.OK():
		return nil
	case !u.Exists:
		return &verdict{"this kernel is built without user namespaces", "a kernel with CONFIG_USER_NS, such as every distribution's, can do it"}
	case u.Clone == "ENOSPC" && u.Max == "0":
		return &verdict{"user namespaces are switched off (user.max_user_namespaces is 0)",
			"an administrator can switch them on: sysctl -w user.max_user_namespaces=15000"}
	case u.Clone == "ENOSPC":
		return &verdict{"the number of user namespaces is used up (user.max_user_namespaces is " + u.Max + ")",
			"an administrator can raise it: sysctl -w user.max_user_namespaces=15000; or the machine that this container runs on limits them"}
	case u.Clone == "EUSERS":
		return &verdict{"user namespaces are nested too deep here", "start moss further outside"}
	case u.Allowed == "0" && u.Clone == "EPERM":
		return &verdict{"user namespaces are switched off for ordinary accounts (kernel.unprivileged_userns_clone is 0)",
			"an administrator can switch them on: sysctl -w kernel.unprivileged_userns_clone=1"}
	case u.Unshare == "EPERM" || u.Clone3 == "ENOSYS" && !older(f.Kernel, 5, 3):
		return &verdict{"a filter of this session forbids user namespaces (a container, or a service with RestrictNamespaces=)",
			"start moss outside of it, or allow namespaces there (Docker: --security-opt seccomp=unconfined; systemd: RestrictNamespaces=no)"}
	case u.AppArmor == "1":
		return &verdict{"AppArmor forbids user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)",
			"an administrator can allow this program: " + adminCommand}
	}
	return &verdict{fmt.Sprintf("the kernel refuses user namespaces (%s)", u.Clone), "this happens inside chroot(2) and under some security modules: start moss outside of it"}
}

// A CannotRunError says that `run` cannot work on this machine: one cause, and the exact remedy.
type CannotRunError struct {
	Cause    string
	Remedies []string
	err      error
}

func (e *CannotRunError) Error() string { return "containers cannot run here: " + e.Cause }

// Unwrap returns userns.ErrForbidden where user namespaces are the cause.
func (e *CannotRunError) Unwrap() error { return e.err }

// Hints are the remedies.
func (e *CannotRunError) Hints() []string { return e.Remedies }

// Check returns a CannotRunError where `run` cannot work, else nil: everything else has a second way.
func Check(f Facts) error {
	if why := forbidden(f); why != nil {
		return &CannotRunError{Cause: why.cause, Remedies: []string{why.remedy}, err: userns.ErrForbidden}
	}
	for _, l := range []Line{dataRoot(f), programs(f)} {
		if l.State == Missing {
			return &CannotRunError{Cause: lower(l.Sentence), Remedies: []string{l.Remedy}}
		}
	}
	if f.Kern.Openat2.Failed() {
		return &CannotRunError{Cause: fmt.Sprintf("the call openat2 is missing (%s; Linux %s)", f.Kern.Openat2, f.Kernel), Remedies: []string{openat2Remedy(f)}}
	}
	return nil
}

func openat2Remedy(f Facts) string {
	if older(f.Kernel, 5, 6) {
		return "Linux 5.6 or newer has it"
	}
	return "a filter of this session hides it: start moss outside of it, or update the program that made this container"
}

// lower makes an error text of a sentence.
func lower(sentence string) string {
	b := []byte(sentence)
	if len(b) > 0 && 'A' <= b[0] && b[0] <= 'Z' {
		b[0] += 'a' - 'A'
	}
	if n := len(b); n > 0 && b[n-1] == '.' {
		b = b[:n-1]
	}
	return string(b)
}
