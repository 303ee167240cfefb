//go:build host

package host

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// limitCase is a shell line of ann's and what its output must match.
type limitCase struct{ name, line, want string }

// inLeaf is the cgroup directory of the container whose name is in $1.
const inLeaf = `leaf() { id=$(moss inspect -f '{{.Id}}' "$1"); find /sys/fs/cgroup/user.slice -type d -name "$id" 2>/dev/null; }; `

// limitCases are what a delegated cgroup must do. Each cleans up after itself.
var limitCases = []limitCase{
	{"memory kills", `moss run --name hog --memory 100m /srv/root sh -c 'exec tail -c 200000000 /dev/zero'; echo code $?; moss inspect -f '{{.State.OOMKilled}} {{.Moss.Enforced.memory}}' hog; moss rm hog`,
		`code 137\ntrue cgroup\nhog\n`},
	{"a detached one has a leaf", inLeaf + `moss run -d --name leafy /srv/root sleep 1000 >/dev/null; d=$(leaf leafy); [ -d "$d/c" ] && [ -d "$d/holder" ] && grep -c . "$d/c/cgroup.procs"; moss rm -f leafy; [ -e "$d" ] || echo gone`,
		`1\nleafy\ngone\n`},
	{"exec is born there", inLeaf + `moss run -d --name leafy /srv/root sleep 1000 >/dev/null; moss exec leafy cat /proc/self/cgroup; moss rm -f leafy`, `0::/\nleafy\n`},
	{"pids", `moss run --rm --pids-limit 20 /srv/root sh -c '(while :; do sleep 60 & done) 2>/dev/null; set -- /proc/[0-9]*; echo $#'`, `(1\d|20|[5-9])\n`},
	{"cpuset", `moss run --rm --cpuset-cpus 1 /srv/root sh -c 'nproc; taskset -p 3 $$ >/dev/null 2>&1; nproc'`, `1\n1\n`},
	{"pause, update, stats", inLeaf + `moss run -d --name changed -m 100m /srv/root sleep 1000 >/dev/null; d=$(leaf changed)
		moss pause changed; cat "$d/c/cgroup.freeze"; moss ps --format '{{.Status}}' | grep -o Paused; moss unpause changed
		moss update -m 200m --pids-limit 33 changed; cat "$d/memory.max" "$d/pids.max"
		moss stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' changed; moss rm -f changed`,
		`changed\n1\nPaused\nchanged\nchanged\n209715200\n33\n\S+ / 200MiB 1\nchanged\n`},
	{"a foreground one is changed too", inLeaf + `moss run --name fore -m 100m /srv/root sleep 1000 >/dev/null 2>&1 & until moss exec fore true 2>/dev/null; do sleep 0.2; done
		moss update -m 50m fore; cat "$(leaf fore)/memory.max"; moss rm -f fore; wait`, `fore\n52428800\nfore\n`},
}

// limited is what limits must do for ann.
func limited(t *testing.T, m *harness.Machine) {
	for _, c := range limitCases {
		t.Run(c.name, func(t *testing.T) {
			if r := m.Run("ann", c.line); !regexp.MustCompile("^(?:" + c.want + ")$").MatchString(r.Stdout) {
				t.Errorf("%s\n got %s\nwant %s", c.line, r, c.want)
			}
		})
	}
	t.Run("shares divide one CPU", func(t *testing.T) { sharesDivide(t, m) })
	t.Run("a second user sees nothing", func(t *testing.T) {
		m.Run("ann", "moss run -d --name private /srv/root sleep 1000").OK(t)
		if out := m.Run("bob", "moss ps -aq; moss stats --no-stream --format '{{.Name}}'").OK(t); out != "" {
			t.Errorf("bob sees %q", out)
		}
		m.Run("bob", "moss exec private true").Fails(t, 1, "No such container")
		m.Run("ann", "moss rm -f private").OK(t)
	})
	t.Run("nothing remains", func(t *testing.T) {
		if r := m.Run("root", `for i in $(seq 40); do left=$(find /sys/fs/cgroup -path '*moss.scope*' -type d); [ -z "$left" ] && break; sleep 0.5; done; echo -n "$left"`); r.Stdout != "" {
			t.Errorf("left: %s", r.Stdout)
		}
	})
}

// sharesDivide has two containers with shares 400 and 1600 spin on one CPU: their weights are 49 and 143 (convert.go).
func sharesDivide(t *testing.T, m *harness.Machine) {
	const spin = `moss run -d --name s%d --cpuset-cpus 1 --cpu-shares %d /srv/root sh -c 'while :; do :; done' >/dev/null; `
	line := inLeaf + fmt.Sprintf(spin+spin, 400, 400, 1600, 1600) +
		`use() { for n in 400 1600; do grep -o 'usage_usec [0-9]*' "$(leaf s$n)/cpu.stat"; done; }; sleep 3; use; sleep 12; use; moss rm -f s400 s1600 >/dev/null`
	var n []float64
	for _, f := range strings.Fields(strings.ReplaceAll(m.Run("ann", line).OK(t), "usage_usec", "")) {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil {
			t.Fatal(err)
		}
		n = append(n, v)
	}
	if len(n) != 4 {
		t.Fatalf("read %v", n)
	}
	small, large := n[2]-n[0], n[3]-n[1]
	if part := 100 * small / (small + large); part < 22.5 || part > 28.5 {
		t.Errorf("400 of 2000 shares got %.1f %% of a CPU, want 25.5 ± 3", part)
	}
}
