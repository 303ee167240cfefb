package confine

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/confine/sight"
	"github.com/moss-sandbox/moss/tests/harness"
)

// joins is how often a process joins the attacked container: 1,000 times in CI with the default rights and with SYS_PTRACE, the
// dangerous one, as an ordinary account of either kind of ids.
func joins(s *stage, options []string) int {
	switch {
	case !harness.MustRun():
		return 60
	case s.Ids == harness.RootIds || len(options) == 1:
		return 200
	}
	return 1000
}

// Rows 1 and 2 (CVE-2019-5736, CVE-2016-9962, CVE-2026-41163): a process that joins a container must be out of reach of those
// inside until it has become the container's own command, whatever capabilities they have.
func TestJoiningProcessesCannotBeAttacked(t *testing.T) {
	for _, options := range [][]string{nil, {"--cap-add", "SYS_PTRACE"}, {"--privileged"}} {
		name := strings.Join(append([]string{"default"}, options...), "_")
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *stage) {
				binary := harness.Binary(t)
				before := hash(t, binary)
				wins := attacked(t, s, options, func() *exec.Cmd { return s.Command("moss", "exec", "victim", "/bin/true") })
				if wins.Total() > 0 {
					t.Errorf("the attacker won %v, for example %s", wins.Won, wins.Example)
				}
				if n := joins(s, options); wins.Seen < n/10 {
					t.Errorf("the attacker saw only %d processes of %d", wins.Seen, n)
				}
				if hash(t, binary) != before {
					t.Error("moss's own file has changed")
				}
			})
		})
	}
}

// The control: nsenter joins while it can be traced.
func TestControlOfTheAttack(t *testing.T) {
	nsenter := harness.RequireCommand(t, "nsenter")
	each(t, func(t *testing.T, s *stage) {
		if s.Ids == harness.RootIds {
			t.Skip("root's nsenter keeps capabilities of the machine")
		}
		wins := attacked(t, s, []string{"--cap-add", "SYS_PTRACE"}, func() *exec.Cmd {
			return s.Command(nsenter, "-t", s.pid(t, "victim"), "-U", "--preserve-credentials", "-m", "-p", "-i", "-u", "-n", "/bin/true")
		})
		if wins.Total() == 0 {
			t.Errorf("the attacker won nothing of nsenter, having seen %d processes and tried %d times", wins.Seen, wins.Tried)
		}
	})
}

// attacked starts a container with the attacker as its first process, has join enter it again and again, and returns
// what the attacker got.
func attacked(t *testing.T, s *stage, options []string, join func() *exec.Cmd) sight.Wins {
	t.Helper()
	args := append([]string{"run", "-d", "--name", "victim", "--network=none"}, options...)
	s.Moss(append(args, s.root, "/probe", "attack", "1800")...).OK(t) // until it is told that it is enough
	defer s.Moss("rm", "-f", "victim")
	failed, times := 0, joins(s, options)
	for range times {
		// Killed by a tracer's detach or not, the join itself must end.
		if r := s.Do(join()); r.Code != 0 {
			failed++
		}
	}
	if failed > times/10 {
		t.Errorf("%d of %d joins failed", failed, times)
	}
	s.Moss("exec", "victim", "/bin/touch", "/tmp/enough").OK(t)
	harness.Eventually(t, harness.Patience, "the attacker ends", func() bool {
		return strings.Contains(s.Moss("logs", "victim").Stdout, "Seen")
	})
	return tell[sight.Wins](t, s.Moss("logs", "victim"))
}

func hash(t *testing.T, path string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

// Row 1: a command that is /proc/self/exe, or a script for it, executes what moss was on the way. That must not be moss's file.
func TestProcSelfExeIsNotMoss(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.CreateTree(s.Work+"/root", `
			file evil mode=755 #!/proc/self/exe
		`)
		binary := harness.Binary(t)
		before := hash(t, binary)
		for _, command := range []string{"/proc/self/exe", "/evil"} {
			r := s.Moss("run", "--rm", "--network=none", s.root, command)
			if strings.Contains(strings.ToLower(r.Stdout+r.Stderr), "usage") {
				t.Errorf("%s runs moss inside: %s", command, r)
			}
		}
		if hash(t, binary) != before {
			t.Error("moss's own file has changed")
		}
		if got := s.Moss("run", "--rm", "--network=none", s.root, "readlink", "/proc/1/exe").OK(t); got != "/bin/busybox" {
			t.Errorf("the program of process 1 is %q", got)
		}
	})
}
