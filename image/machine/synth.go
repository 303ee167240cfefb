package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// synthesise makes what cannot be copied or would be wrong: password files without passwords, an identity of the container's
// own, and what lets Debian's package tools work in a view of a machine.
//
// Must run after the walk: a name that exists already is left alone.
func (b *builder) synthesise(base int) error {
	m := maker{b: b, base: base}
	m.passwords()
	m.identity()
	if b.rules["run"].do == fresh {
		m.freshPlaces()
	}
	if m.has("etc/dpkg") {
		m.text("etc/dpkg/moss-adopt", adoptScript, 0o755)
		m.dir("etc/dpkg/dpkg.cfg.d", 0o755)
		m.text("etc/dpkg/dpkg.cfg.d/zz-moss", dpkgConfig, 0o644)
		m.policy()
	}
	return m.err
}

// A maker adds to the base layer; the first error stays.
type maker struct {
	b    *builder
	base int
	err  error
}

// at opens the directory that holds path in the base layer.
func (m *maker) at(path string) (int, string, bool) {
	dir, name := filepath.Split(path)
	if m.err != nil {
		return noFD, name, false
	}
	fd, err := sys.OpenAt(m.base, "./"+strings.TrimSuffix(dir, "/"), syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	return fd, name, err == nil
}

func (m *maker) has(path string) bool {
	fd, name, ok := m.at(path)
	if !ok {
		return false
	}
	defer syscall.Close(fd)
	_, err := sys.LstatAt(fd, name)
	return err == nil
}

func (m *maker) text(path, content string, mode uint32) {
	fd, name, ok := m.at(path)
	if !ok {
		return
	}
	defer syscall.Close(fd)
	if err := m.b.write(fd, name, strings.NewReader(content), mode, time.Time{}); err != nil && !errors.Is(err, fs.ErrExist) {
		m.err = fmt.Errorf("making %q: %w", path, err)
	}
}

func (m *maker) dir(path string, mode uint32) {
	at, name, ok := m.at(path)
	if !ok {
		return
	}
	defer syscall.Close(at)
	fd, err := m.b.mkdir(at, name, mode)
	if err == nil {
		syscall.Close(fd)
	} else if !errors.Is(err, fs.ErrExist) {
		m.err = fmt.Errorf("making %q: %w", path, err)
	}
}

func (m *maker) read(path string) string {
	fd, name, ok := m.at(path)
	if !ok {
		return ""
	}
	defer syscall.Close(fd)
	in, err := sys.OpenAt(fd, name, syscall.O_RDONLY, 0)
	if err != nil {
		return ""
	}
	f := os.NewFile(uintptr(in), path)
	defer f.Close()
	var buf strings.Builder
	if _, err := f.WriteTo(&buf); err != nil {
		m.err = err
	}
	return buf.String()
}

// passwords writes shadow files in which no account has a password.
func (m *maker) passwords() {
	if passwd := m.read("etc/passwd"); passwd != "" {
		m.text("etc/shadow", locked(passwd, "*:19000:0:99999:7:::"), 0o600)
	}
	if group := m.read("etc/group"); group != "" {
		m.text("etc/gshadow", locked(group, "*::"), 0o600)
	}
}

// locked makes a line for each name of a passwd or group file.
func locked(names, rest string) string {
	var out strings.Builder
	for line := range strings.Lines(names) {
		name, _, ok := strings.Cut(line, ":")
		if ok && name != "" && !strings.HasPrefix(name, "#") && !strings.HasPrefix(name, "+") {
			out.WriteString(name + ":" + rest + "\n")
		}
	}
	return out.String()
}

// identity writes a machine-id that is not this machine's, and files for the engine to mount over.
func (m *maker) identity() {
	if uuid, err := os.ReadFile("/proc/sys/kernel/random/uuid"); err == nil { // a new one at each reading (random(4))
		m.text("etc/machine-id", strings.ReplaceAll(string(uuid), "-", ""), 0o444)
	}
	for f := range strings.FieldsSeq(engineFiles) {
		m.text(f, "", 0o644)
	}
}

// freshPlaces makes what programs expect in the fresh directories of "/".
func (m *maker) freshPlaces() {
	m.dir("run/lock", 0o1777)
	for _, f := range []string{".bashrc", ".profile"} {
		if skel := m.read("etc/skel/" + f); skel != "" {
			m.text("root/"+f, skel, 0o644)
		}
	}
	if target, err := os.Readlink("/run/current-system"); err == nil { // NixOS: PATH leads through it
		fd, _, ok := m.at("run/x")
		if ok {
			_ = sys.SymlinkAt(target, fd, "current-system")
			syscall.Close(fd)
		}
	}
}

// policy keeps maintainer scripts from starting services, as Debian's own container images do; a machine that has a policy
// keeps its own.
func (m *maker) policy() {
	if _, err := os.Lstat(m.b.outside("usr/sbin/policy-rc.d")); err == nil || m.err != nil {
		return
	}
	for i, o := range m.b.root.Overlays {
		layer, dir := filepath.Join(m.b.stage, strconv.Itoa(i)), "sbin"
		switch o.Target {
		case "/":
			layer, dir = filepath.Join(m.b.stage, "base"), "usr/sbin"
		case "/usr":
		default:
			continue
		}
		fd, err := sys.OpenAt(sys.AtFdcwd, filepath.Join(layer, dir), syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
		if err != nil {
			continue
		}
		m.err = m.b.write(fd, "policy-rc.d", strings.NewReader(policyScript), 0o755, time.Time{})
		syscall.Close(fd)
		return
	}
}
