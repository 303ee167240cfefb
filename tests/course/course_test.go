package course

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "3") // three accounts at once, however few processors there are
	os.Exit(harness.Main(m))
}

// A student has an account and types lines.
type student struct {
	*harness.Login
	t     *testing.T
	hub   *hub
	index string // of Python packages
	port  string // what the course calls 1234: three students share a machine, so each takes another
}

// The parts of the course, in its order: later ones use what earlier ones have left.
var parts = []struct {
	name string
	play func(*student)
}{
	{"files between containers", (*student).files},
	{"limits and stats", (*student).limits},
	{"restart policy", (*student).restarts},
	{"building Flask", (*student).flask},
	{"sharing", (*student).sharing},
	{"two stages", (*student).stages},
	{"networks", (*student).networks},
}

func TestCourse(t *testing.T) {
	harness.RequireUserNamespaces(t)
	harness.RequireRoot(t)
	hub, index := openHub(t), packageIndex(t)
	for i, account := range []string{"subids", "oneid", "root"} {
		t.Run(account, func(t *testing.T) {
			t.Parallel()
			l := harness.Named(t, account).Login(t)
			harness.Nothing(t, l)
			s := &student{Login: l, t: t, hub: hub, index: index, port: []string{"1234", "1235", "1236"}[i]}
			s.enrol()
			for _, part := range parts {
				t.Run(part.name, func(t *testing.T) { s.during(t, part.play) })
			}
		})
	}
}

// during lets the student's failures count for a part.
func (s *student) during(t *testing.T, play func(*student)) {
	whole := s.t
	s.t = t
	defer func() { s.t = whole }()
	play(s)
}

// enrol makes the command docker, as a student's first lines do, and has Docker Hub and gcr.io stand on loopback.
func (s *student) enrol() {
	s.t.Helper()
	s.Patience = 15 * harness.Patience // an apt of three at once, on a busy machine
	s.Env = append(s.Env, "MOSS_DOCKER_IO="+s.hub.Host)
	s.write(s.Home+"/.config/moss/config.json", `{"registries":{"gcr.io":{"mirrors":["http://`+s.hub.Host+`"]}}}`)
	bin := s.Home + "/bin"
	s.sh("mkdir " + bin)
	s.Moss("alias", bin).OK(s.t)
	s.Unset("PATH")
	s.Env = append(s.Env, "PATH="+bin+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

// write makes a file of the student's.
func (s *student) write(path, text string) {
	s.t.Helper()
	must(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(s.t, os.WriteFile(path, []byte(text), 0o644))
	for p := filepath.Dir(path); len(p) > len(s.Home) || p == s.Work; p = filepath.Dir(p) {
		must(s.t, os.Chown(p, s.UID, s.GID))
	}
	must(s.t, os.Chown(path, s.UID, s.GID))
}

// sh types a line without a terminal and wants it to succeed; it returns what it printed without the last newline.
func (s *student) sh(line string) string {
	s.t.Helper()
	r := s.try(line)
	if r.Code != 0 {
		s.t.Fatalf("%s\ngot %s", line, r)
	}
	return r.OK(s.t)
}

// try types a line that may fail.
func (s *student) try(line string) harness.Result { return s.Do(s.Command("sh", "-c", line)) }

// at types a line at a terminal.
func (s *student) at(line string) *harness.Terminal { return s.TerminalSh(line) }

// must ends the test with an error of its own preparations.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
