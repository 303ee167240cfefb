package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moby/sys/user"

	"github.com/moss-sandbox/moss/sandbox"
)

// A BootWay is what brings containers back when the machine has started.
type BootWay string

// The ways, best first.
const (
	BootSystemd BootWay = "systemd" // a unit of the user's manager, which lingers
	BootCron    BootWay = "crontab" // an @reboot line
	BootNone    BootWay = "none"
)

const (
	bootUnit = "moss.service"
	bootMark = "# moss boot" // ends the line of a crontab
)

// unitDir is where a user's units lie.
func unitDir() (string, error) {
	if x := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(x) {
		return x + "/systemd/user", nil
	}
	home, err := os.UserHomeDir()
	return home + "/.config/systemd/user", err
}

// Boot tells how containers come back after a start of the machine.
func (e *Engine) Boot() BootWay {
	if dir, err := unitDir(); err == nil && e.lingers() {
		if _, err := os.Lstat(dir + "/default.target.wants/" + bootUnit); err == nil {
			return BootSystemd
		}
	}
	if strings.Contains(crontab(), bootMark) {
		return BootCron
	}
	return BootNone
}

// lingers tells whether the user's manager is started with the machine.
func (e *Engine) lingers() bool {
	_, err := os.Lstat("/var/lib/systemd/linger/" + userName())
	return err == nil
}

// userName is the account's name.
func userName() string {
	if u, err := user.CurrentUser(); err == nil {
		return u.Name
	}
	return os.Getenv("USER")
}

// crontab is the user's table; empty where there is none.
func crontab() string {
	b, err := exec.Command("crontab", "-l").Output()
	if err != nil {
		return ""
	}
	return string(b)
}

func writeCrontab(text string) error {
	cmd := exec.Command("crontab", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("writing the crontab: %s: %w", strings.TrimSpace(string(out)), err)
	}
	return nil
}

// EnableBoot makes containers with a restart policy come back when the machine has started: by a unit of systemd where the
// user's manager can be made to linger, else by a line of the crontab. Program is the path of moss.
func (e *Engine) EnableBoot(program string) (BootWay, error) {
	systemd := e.enableUnit(program)
	if systemd == nil {
		return BootSystemd, nil
	}
	cron := e.enableCron(program)
	if cron == nil {
		return BootCron, nil
	}
	return BootNone, &Hint{
		Err:    fmt.Errorf("nothing on this machine starts your programs at boot: systemd: %w; cron: %w", systemd, cron),
		Remedy: "ask the administrator for: loginctl enable-linger " + userName() + ", or to install cron; or type moss boot after each start",
	}
}

// command is what is started at boot.
func (e *Engine) bootCommand(program string) string {
	return fmt.Sprintf("%q --root %q boot", program, e.Dirs.Data)
}

func (e *Engine) enableUnit(program string) error {
	if st, err := os.Stat("/run/systemd/system"); err != nil || !st.IsDir() {
		return errors.New("it does not run here")
	}
	if !e.lingers() {
		if out, err := exec.Command("loginctl", "enable-linger").CombinedOutput(); err != nil {
			return fmt.Errorf("asking logind for lingering: %s: %w", strings.TrimSpace(string(out)), err)
		}
		if !e.lingers() {
			return errors.New("logind did not keep the wish to linger")
		}
	}
	dir, err := unitDir()
	if err != nil {
		return err
	}
	unit := "[Unit]\nDescription=Containers of moss\nAfter=default.target\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nKillMode=process\nDelegate=yes\nExecStart=" +
		e.bootCommand(program) + "\n\n[Install]\nWantedBy=default.target\n"
	if err := os.MkdirAll(dir+"/default.target.wants", 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(dir+"/"+bootUnit, []byte(unit), 0o644); err != nil {
		return err
	}
	err = os.Symlink("../"+bootUnit, dir+"/default.target.wants/"+bootUnit)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return err
}

func (e *Engine) enableCron(program string) error {
	if _, err := exec.LookPath("crontab"); err != nil {
		return errors.New("crontab is not installed")
	}
	table := crontab()
	if strings.Contains(table, bootMark) {
		return nil
	}
	if table != "" && !strings.HasSuffix(table, "\n") {
		table += "\n"
	}
	return writeCrontab(table + "@reboot " + e.bootCommand(program) + " " + bootMark + "\n")
}

// DisableBoot takes away what EnableBoot has made. Lingering stays: other programs may need it.
func (e *Engine) DisableBoot() error {
	var errs error
	if dir, err := unitDir(); err == nil {
		for _, f := range []string{dir + "/default.target.wants/" + bootUnit, dir + "/" + bootUnit} {
			if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = errors.Join(errs, err)
			}
		}
	}
	table := crontab()
	if !strings.Contains(table, bootMark) {
		return errs
	}
	kept := ""
	for line := range strings.Lines(table) {
		if !strings.Contains(line, bootMark) {
			kept += line
		}
	}
	return errors.Join(errs, writeCrontab(kept))
}

// StartAtBoot starts the containers that are to run always, and those that run unless they were stopped.
func (e *Engine) StartAtBoot(ctx context.Context) (started []string, errs error) {
	all, bad := e.List(ctx)
	errs = errors.Join(bad...)
	for _, c := range all {
		if running(c) || !atBoot(c) {
			continue
		}
		if _, _, err := e.Start(ctx, c.ID); err != nil {
			errs = errors.Join(errs, fmt.Errorf("container %s: %w", c.Spec.Name, err))
			continue
		}
		started = append(started, c.Spec.Name)
	}
	return started, errs
}

// atBoot tells whether a container comes back at boot. One that was never started does not.
func atBoot(c *sandbox.Snapshot) bool {
	if c.State.Status == sandbox.Created {
		return false
	}
	p := c.Spec.Restart.Policy
	return p == "always" || p == "unless-stopped" && !c.State.StoppedByUser
}

// BootNote is what the user of a restart policy is to know, once: that the container does not come back by itself.
func (e *Engine) BootNote(policy string) (note string, remedy string) {
	if policy != "always" && policy != "unless-stopped" || e.Boot() != BootNone {
		return "", ""
	}
	told := e.Dirs.Data + "/boot" // removed by a reset
	if err := os.Mkdir(told, 0o700); err != nil {
		return "", ""
	}
	_ = e.Dirs.Own(told)
	return "containers of this account do not come back after a reboot of this machine yet", "make them: moss boot enable"
}
