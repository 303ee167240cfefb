package host

import (
	"slices"
	"strings"
)

// Remark is one thing a user or an administrator should know, for moss info.
type Remark struct {
	Topic  string `json:"topic"`            // limits, session
	Text   string `json:"text"`             // what is the case, one sentence
	Remedy string `json:"remedy,omitempty"` // what would change it
	Admin  string `json:"admin,omitempty"`  // shell lines for root, for info --admin
}

// Explain draws the conclusions from what was found. It is pure; an empty result means that everything is at its best.
func Explain(r Raw) []Remark {
	var all []Remark
	for _, explain := range []func(Raw) (Remark, bool){explainCgroup, explainManager, explainControllers, explainSession} {
		if remark, ok := explain(r); ok {
			all = append(all, remark)
		}
	}
	return all
}

func explainCgroup(r Raw) (Remark, bool) {
	remark := Remark{Topic: "limits"}
	switch {
	case r.Cgroup == "2":
		return remark, false
	case r.Cgroup == "":
		remark.Text = "no cgroups are mounted, so moss enforces limits itself, as well as it can"
	default:
		remark.Text = "this machine uses version 1 of cgroups, which cannot be given to ordinary accounts, so moss enforces limits itself"
	}
	if r.Systemd {
		remark.Remedy = "boot with version 2: root adds systemd.unified_cgroup_hierarchy=1 to the kernel's command line"
		remark.Admin = `sed -i 's/^GRUB_CMDLINE_LINUX="/&systemd.unified_cgroup_hierarchy=1 /' /etc/default/grub && update-grub  # then reboot`
	}
	return remark, true
}

func explainManager(r Raw) (Remark, bool) {
	remark := Remark{Topic: "limits"}
	switch {
	case r.Cgroup != "2" || r.OwnWritable || r.Manager && r.Bus == nil:
		return remark, false
	case !r.Systemd:
		remark.Text = "no cgroup is delegated to this account, and there is no systemd to ask for one"
		remark.Remedy = "start the container or job that moss runs in with its own writable cgroup"
	case !r.Manager:
		remark.Text = "no systemd manager runs for " + r.User + ", as in su, sudo, cron and batch jobs, so nobody can be asked for a cgroup"
		remark.Remedy = "log in with ssh or at the console, or let root run: loginctl enable-linger " + r.User
		remark.Admin = "loginctl enable-linger " + r.User
	default:
		remark.Text = "your systemd manager does not answer on its bus (" + r.Bus.Error() + ")"
		remark.Remedy = "root installs the user's bus: apt install dbus-user-session, then log in again"
		remark.Admin = "apt-get install -y dbus-user-session"
	}
	return remark, true
}

// explainControllers compares what is delegated with what moss has a use for. Only the file cgroup.controllers is the truth;
// systemctl show prints what was asked for.
func explainControllers(r Raw) (Remark, bool) {
	if r.Cgroup != "2" || !r.OwnWritable && (!r.Manager || r.Bus != nil) {
		return Remark{}, false
	}
	var missing, unknown []string
	for _, c := range []string{"cpu", "cpuset", "io", "memory", "pids"} {
		switch {
		case slices.Contains(r.Controllers, c):
		case slices.Contains(r.Available, c):
			missing = append(missing, c)
		default:
			unknown = append(unknown, c)
		}
	}
	switch {
	case len(missing) > 0:
		return Remark{
			Topic:  "limits",
			Text:   "the kernel's controllers " + strings.Join(missing, ", ") + " are not delegated to this account",
			Remedy: "root runs the lines of moss info --admin, then you log in again",
			Admin:  dropIn,
		}, true
	case len(unknown) > 0:
		return Remark{Topic: "limits", Text: "this kernel has no cgroup controllers " + strings.Join(unknown, ", ")}, true
	}
	return Remark{}, false
}

// dropIn hands all controllers to every account's manager; a manager that runs keeps what it has until it is started anew.
const dropIn = `mkdir -p /etc/systemd/system/user@.service.d
printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >/etc/systemd/system/user@.service.d/moss.conf
systemctl daemon-reload  # accounts log in again, or the machine is rebooted`

func explainSession(r Raw) (Remark, bool) {
	remark := Remark{Topic: "session", Admin: "loginctl enable-linger " + r.User}
	switch {
	case !r.Systemd || r.Linger || r.User == "root":
		return Remark{}, false
	case r.KillsAtExit:
		remark.Text = "this machine ends all your processes at logout (KillUserProcesses=yes), containers too"
	default:
		remark.Text = "lingering is off: containers do not come back after a reboot, and end when your last process of a login ends"
	}
	remark.Remedy = "moss boot enable, or: loginctl enable-linger"
	if !r.Polkit {
		remark.Remedy = "only root can change it here, there is no polkit: loginctl enable-linger " + r.User
	}
	return remark, true
}
