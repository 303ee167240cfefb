package confine

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moss-sandbox/moss/tests/confine/sight"
	"github.com/moss-sandbox/moss/tests/harness"
)

func TestMain(m *testing.M) {
	code := harness.Main(m)
	if path, err := builtProbe(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// builtProbe is the probe, built once per test process.
var builtProbe = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("/tmp", "mt-probe-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "probe")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", errors.New("building the probe: " + string(out))
	}
	return path, os.Chmod(dir, 0o755)
})

// stage is an account's login with a root file system in which the probe lies.
type stage struct {
	*harness.Login
	root string // the IMAGE argument
}

func onStage(t *testing.T, account harness.Account) *stage {
	t.Helper()
	harness.RequireUserNamespaces(t)
	s := &stage{Login: account.Login(t)}
	s.root = s.BusyboxRoot()
	s.putProbe(t, s.Work+"/root")
	return s
}

func (s *stage) putProbe(t *testing.T, root string) {
	t.Helper()
	built, err := builtProbe()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "probe")
	if err := errors.Join(os.WriteFile(path, b, 0o755), os.Chmod(path, 0o755), os.Chown(path, s.UID, s.GID)); err != nil {
		t.Fatal(err)
	}
}

// inside runs the probe in a container with moss's options.
func (s *stage) inside(options []string, probe ...string) harness.Result {
	args := append([]string{"run", "--rm", "--network=none"}, options...)
	return s.Moss(append(append(args, s.root, "/probe"), probe...)...)
}

// joined runs the probe in a container that runs already.
func (s *stage) joined(options []string, probe ...string) harness.Result {
	name := "joined"
	if r := s.Moss("run", "-d", "--name", name, "--network=none", s.root, "/probe", "sleep"); r.Code != 0 {
		return r
	}
	defer s.Moss("rm", "-f", name)
	args := append(append([]string{"exec"}, options...), name, "/probe")
	return s.Moss(append(args, probe...)...)
}

// pid is the number of a container's first process on the machine.
func (s *stage) pid(t *testing.T, name string) string {
	t.Helper()
	pid := s.Moss("inspect", "-f", "{{.State.Pid}}", name).OK(t)
	if pid == "" || pid == "0" {
		t.Fatalf("container %s has pid %q", name, pid)
	}
	return pid
}

// outside runs the probe as the account, without any confinement.
func (s *stage) outside(probe ...string) harness.Result {
	return s.Do(s.Command(s.Work+"/root/probe", probe...))
}

// weak runs the probe in namespaces made by hand, with all capabilities in them, no filter, no masks, no root of its own.
func (s *stage) weak(probe ...string) harness.Result {
	args := []string{"--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--mount-proc", s.Work + "/root/probe"}
	return s.Do(s.Command("unshare", append(args, probe...)...))
}

// tell decodes what the probe printed.
func tell[T any](t *testing.T, r harness.Result) (v T) {
	t.Helper()
	if r.Code != 0 {
		t.Fatalf("the probe did not run: %s", r)
	}
	if err := json.Unmarshal([]byte(r.Stdout), &v); err != nil {
		t.Fatalf("the probe's report: %v in %q", err, r.Stdout)
	}
	return v
}

// each runs a test for every account.
func each(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	for _, account := range harness.Accounts(t) {
		t.Run(account.Name, func(t *testing.T) { f(t, onStage(t, account)) })
	}
}

// place is where a probe looks around.
type place string

const (
	outside place = "outside"
	weak    place = "in a weak sandbox"
)

// with is a container with options, split at blanks; with("") is the default.
func with(options string) place { return place("run " + options) }

// join is a command that joins a running container, with options of exec.
func join(options string) place { return place("exec " + options) }

// viewer looks around in each place once.
type viewer struct {
	t     *testing.T
	s     *stage
	paths []string
	seen  map[place]sight.Sight
}

func (v *viewer) from(p place) sight.Sight {
	v.t.Helper()
	if s, ok := v.seen[p]; ok {
		return s
	}
	if v.seen == nil {
		v.seen = map[place]sight.Sight{}
	}
	if p == spoilt {
		v.seen[p] = spoil(v.from(with("")))
	} else {
		v.seen[p] = tell[sight.Sight](v.t, v.run(p, append([]string{"see"}, v.paths...)))
	}
	return v.seen[p]
}

func (v *viewer) run(p place, probe []string) harness.Result {
	switch p {
	case outside:
		return v.s.outside(probe...)
	case weak:
		return v.s.weak(probe...)
	}
	if options, ok := strings.CutPrefix(string(p), "exec"); ok {
		return v.s.joined(strings.Fields(options), probe...)
	}
	if through, ok := strange(v.s)[p]; ok {
		return v.s.Do(through(probe))
	}
	return v.s.inside(strings.Fields(strings.TrimPrefix(string(p), "run")), probe...)
}

// line is one line of the checklist: what must hold in a place, and where the same check must fail.
type line struct {
	name    string
	in      place
	check   func(v *viewer, s sight.Sight) string // the complaint, empty if all is well
	control place
}

func (v *viewer) assert(t *testing.T, l line) {
	t.Helper()
	t.Run(strings.ReplaceAll(l.name, " ", "_"), func(t *testing.T) {
		if complaint := l.check(v, v.from(l.in)); complaint != "" {
			t.Error(complaint)
		}
		if l.check(v, v.from(l.control)) == "" {
			t.Errorf("control: the check also holds %s, so it shows nothing", l.control)
		}
	})
}
