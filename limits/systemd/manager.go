package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

const (
	managerName  = "org.freedesktop.systemd1"
	managerPath  = "/org/freedesktop/systemd1"
	managerIface = "org.freedesktop.systemd1.Manager"
)

// Infinity is systemd's notion of no limit in properties of type t.
const Infinity = ^uint64(0)

// Scope is the request for a delegated scope.
type Scope struct {
	Name        string // with .scope
	Description string
	PIDs        []int             // its first processes; at least one
	Numbers     map[string]uint64 // properties of type t: MemoryMax, CPUQuotaPerSecUSec, TasksMax, TimeoutStopUSec
}

// UserBus is the path of the bus of this process's user: in XDG_RUNTIME_DIR, or where logind puts it when the variable is
// missing (su, cron). Root asks the system's bus, whose manager can delegate every controller.
func UserBus() string {
	if os.Getuid() == 0 {
		return SystemBus()
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		path := filepath.Join(dir, "bus")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "bus")
}

// SystemBus is the path of the system's bus.
func SystemBus() string { return "/run/dbus/system_bus_socket" }

// StartScope creates the scope and returns when its processes are in it. ErrExists when a unit of this name is there.
func (b *Bus) StartScope(ctx context.Context, s Scope) error {
	results := map[string]string{} // of jobs, by object path
	b.seen = func(m message) {
		if m.member == "JobRemoved" { // (u id, o job, s unit, s result)
			m.body.uint32()
			job := m.body.string()
			m.body.string()
			results[job] = m.body.string()
		}
	}
	defer func() { b.seen = nil }()
	if err := b.subscribe(ctx); err != nil {
		return err
	}
	reply, err := b.manager(ctx, "StartTransientUnit", "ssa(sv)a(sa(sv))", s.encode())
	if err != nil {
		return err
	}
	job := reply.body.string()
	for results[job] == "" {
		m, err := receive(b.r)
		if err != nil {
			return fmt.Errorf("waiting for %q: %w", s.Name, err)
		}
		b.seen(m)
	}
	if results[job] != "done" {
		return fmt.Errorf("starting %q: systemd's job is %s", s.Name, results[job])
	}
	return nil
}

// subscribe has the manager send its signals to us.
func (b *Bus) subscribe(ctx context.Context) error {
	e := &encoder{}
	e.string("type='signal',sender='" + managerName + "',interface='" + managerIface + "',member='JobRemoved'")
	if _, err := b.call(ctx, b.daemon("AddMatch", "s", e.b)); err != nil {
		return err
	}
	_, err := b.manager(ctx, "Subscribe", "", nil)
	return err
}

// encode writes the arguments of StartTransientUnit: name, mode, properties, auxiliary units.
func (s Scope) encode() []byte {
	e := &encoder{}
	e.string(s.Name)
	e.string("fail")
	e.array(8, func() {
		e.property("Description", "s", func() { e.string(s.Description) })
		e.property("PIDs", "au", func() { e.pids(s.PIDs) })
		e.property("Delegate", "b", func() { e.bool(true) })
		e.property("CollectMode", "s", func() { e.string("inactive-or-failed") })
		e.numbers(s.Numbers)
	})
	e.array(8, func() {})
	return e.b
}

// property writes one (sv).
func (e *encoder) property(name, signature string, value func()) {
	e.align(8)
	e.string(name)
	e.signature(signature)
	value()
}

func (e *encoder) numbers(numbers map[string]uint64) {
	for name, n := range numbers {
		e.property(name, "t", func() { e.uint64(n) })
	}
}

func (e *encoder) pids(pids []int) {
	e.array(4, func() {
		for _, pid := range pids {
			e.uint32(uint32(pid))
		}
	})
}

// Attach moves processes of this user into a scope's subgroup, which must exist, from wherever they are (systemd 238).
// Preconditions: the unit is running and delegated.
func (b *Bus) Attach(ctx context.Context, unit, subgroup string, pids ...int) error {
	e := &encoder{}
	e.string(unit)
	e.string(subgroup)
	e.pids(pids)
	_, err := b.manager(ctx, "AttachProcessesToUnit", "ssau", e.b)
	return err
}

// SetNumbers changes properties of a running unit until the next boot.
func (b *Bus) SetNumbers(ctx context.Context, unit string, numbers map[string]uint64) error {
	e := &encoder{}
	e.string(unit)
	e.bool(true)
	e.array(8, func() { e.numbers(numbers) })
	_, err := b.manager(ctx, "SetUnitProperties", "sba(sv)", e.b)
	return err
}

// ControlGroup returns the cgroup path of a scope below the root of the hierarchy, ErrNoUnit when it is not loaded. The path
// cannot be built from the name: systemd escapes names that begin like a controller.
func (b *Bus) ControlGroup(ctx context.Context, unit string) (string, error) {
	e := &encoder{}
	e.string(unit)
	reply, err := b.manager(ctx, "GetUnit", "s", e.b)
	if err != nil {
		return "", err
	}
	object := reply.body.string()
	path, err := b.property(ctx, managerName, object, "org.freedesktop.systemd1.Scope", "ControlGroup")
	if err != nil {
		return "", err
	}
	group := path.string()
	if path.err != nil || group == "" {
		return "", fmt.Errorf("cgroup of %q: %w", unit, errors.Join(ErrNoUnit, path.err))
	}
	return group, nil
}

// property reads one property and returns its value, behind the variant's signature.
func (b *Bus) property(ctx context.Context, destination, object, iface, name string) (*decoder, error) {
	e := &encoder{}
	e.string(iface)
	e.string(name)
	reply, err := b.call(ctx, method{destination, object, "org.freedesktop.DBus.Properties", "Get", "ss", e.b})
	if err != nil {
		return nil, err
	}
	reply.body.signature()
	return &reply.body, reply.body.err
}

// KillsUserProcesses tells whether logind kills a user's processes at logout (KillUserProcesses=yes). It is asked on the
// system's bus.
func (b *Bus) KillsUserProcesses(ctx context.Context) (bool, error) {
	value, err := b.property(ctx, "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "KillUserProcesses")
	if err != nil {
		return false, err
	}
	return value.uint32() == 1, value.err
}

// Stop ends a unit with everything in it; it does not wait.
func (b *Bus) Stop(ctx context.Context, unit string) error {
	e := &encoder{}
	e.string(unit)
	e.string("replace")
	_, err := b.manager(ctx, "StopUnit", "ss", e.b)
	return err
}

func (b *Bus) manager(ctx context.Context, member, signature string, body []byte) (message, error) {
	return b.call(ctx, method{managerName, managerPath, managerIface, member, signature, body})
}
