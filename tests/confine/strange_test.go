package confine

import (
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/moss-sandbox/moss/tests/confine/sight"
)

// Places made for one control each.
const (
	ambient      place = "with inheritable and ambient capabilities"
	strangeUmask place = "with umask 077"
	coreFiles    place = "with core files"
	leakyCaller  place = "with more descriptors, of files"
	raisedScore  place = "run by a caller who goes first when memory runs out"
	// spoilt is a default container's report, changed where no real place here has the fault (a virtual machine has no
	// thermal_throttle, and all its processes are in the cgroup "/").
	spoilt place = "in a report with faults put in"
)

const callersScore = "500"

// strange maps such places to how the probe gets there.
func strange(s *stage) map[place]func(probe []string) *exec.Cmd {
	shell := func(line string) func(probe []string) *exec.Cmd {
		return func(probe []string) *exec.Cmd {
			return s.Command("sh", append([]string{"-c", line + `; exec "$@"`, "sh", s.Work + "/root/probe"}, probe...)...)
		}
	}
	return map[place]func(probe []string) *exec.Cmd{
		ambient: func(probe []string) *exec.Cmd {
			args := []string{"--user", "--map-root-user", "setpriv", "--inh-caps=+net_raw", "--ambient-caps=+net_raw", s.Work + "/root/probe"}
			return s.Command("unshare", append(args, probe...)...)
		},
		strangeUmask: shell("umask 077"),
		coreFiles:    shell("ulimit -c 1000"),
		leakyCaller: func(probe []string) *exec.Cmd {
			cmd := s.Command(s.Work+"/root/probe", probe...)
			dir, err := os.Open("/")
			if err == nil {
				cmd.Stdin, cmd.ExtraFiles = dir, []*os.File{dir}
			}
			return cmd
		},
		raisedScore: func(probe []string) *exec.Cmd {
			line := "echo " + callersScore + ` > /proc/self/oom_score_adj; exec "$@"`
			moss := s.Command("moss").Path
			return s.Command("sh", append([]string{"-c", line, "sh", moss, "run", "--rm", "--network=none", s.root, "/probe"}, probe...)...)
		},
	}
}

func spoil(s sight.Sight) sight.Sight {
	s.Cgroup = "0::/user.slice/moss/c\n"
	paths := map[string]sight.Path{"/sys/devices/system/cpu/cpu0/thermal_throttle": {Mode: "drwxr-xr-x", Entries: []string{"core_throttle_count"}}}
	for path, p := range s.Paths {
		if _, ok := paths[path]; !ok {
			paths[path] = p
		}
	}
	s.Paths = paths
	return s
}

// abstractCanary is the name of a socket of the machine while a test runs.
const abstractCanary = "moss-confine-canary"

func listenAbstract(t *testing.T) {
	t.Helper()
	l, err := net.Listen("unix", "@"+abstractCanary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}
