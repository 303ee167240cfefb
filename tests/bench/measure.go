package bench

import (
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"syscall"
	"time"
)

// Row is one command of a table.
type Row struct {
	Name    string
	Command func() *exec.Cmd
	Limits  []Limit
	After   func() // not timed; may be nil

	runs []time.Duration
}

// Limit is the most a row may take, as a multiple of another row of the same table. A limit against a row that is not there
// (a peer that is not installed) does not count.
type Limit struct {
	Most    float64
	Against string
}

// Table is a set of rows measured together.
type Table struct {
	Title string
	Rows  []*Row
}

const pause = 20 * time.Millisecond

// Measure runs every row rounds times, interleaved. A row whose command fails is an error: a failure is quick and would look good.
func (t *Table) Measure(rounds int) error {
	for _, r := range t.Rows { // warm, and to see failures with their text
		if out, err := r.Command().CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", r.Name, err, out)
		}
		r.after()
	}
	for round := range rounds {
		for i := range t.Rows {
			if round%2 == 1 {
				i = len(t.Rows) - 1 - i
			}
			if err := t.Rows[i].once(); err != nil {
				return err
			}
		}
	}
	return nil
}

// once times one run from before the fork to after the wait, with all three descriptors at /dev/null.
func (r *Row) once() error {
	cmd := r.Command()
	cmd.SysProcAttr.Setsid = false
	time.Sleep(pause)
	start := time.Now()
	err := cmd.Run()
	r.runs = append(r.runs, time.Since(start))
	r.after()
	if err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	return nil
}

func (r *Row) after() {
	if r.After != nil {
		r.After()
	}
}

// at is a quantile of the row's times, 0.5 the median.
func (r *Row) at(q float64) time.Duration {
	sorted := append([]time.Duration(nil), r.runs...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// named is the row of that name, nil where there is none.
func (t *Table) named(name string) *Row {
	for _, r := range t.Rows {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// verdicts says of each limit of r whether it is met; missed counts those that are not.
func (t *Table) verdicts(r *Row) (texts []string, missed int) {
	for _, l := range r.Limits {
		against := t.named(l.Against)
		if against == nil {
			continue
		}
		ratio, verdict := float64(r.at(0.5))/float64(against.at(0.5)), "met"
		if ratio > l.Most {
			verdict = "**missed**"
			missed++
		}
		texts = append(texts, fmt.Sprintf("%.3g × %s, limit %.3g: %s", ratio, l.Against, l.Most, verdict))
	}
	return texts, missed
}

// Markdown is the table for docs/measured.md and the screen.
func (t *Table) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n| command | median ms | p10–p90 ms | × first row | limits |\n|---|---|---|---|---|\n", t.Title)
	for _, r := range t.Rows {
		texts, _ := t.verdicts(r)
		fmt.Fprintf(&b, "| %s | %.2f | %.2f–%.2f | %.3g | %s |\n", r.Name, ms(r.at(0.5)), ms(r.at(0.1)), ms(r.at(0.9)),
			float64(r.at(0.5))/float64(t.Rows[0].at(0.5)), strings.Join(texts, "; "))
	}
	fmt.Fprintf(&b, "\n%d rounds.\n\n", len(t.Rows[0].runs))
	return b.String()
}

// Missed names the rows above a limit.
func (t *Table) Missed() []string {
	var names []string
	for _, r := range t.Rows {
		if texts, missed := t.verdicts(r); missed > 0 {
			names = append(names, fmt.Sprintf("%s: %s: %s", t.Title, r.Name, strings.Join(texts, "; ")))
		}
	}
	return names
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// privateMemory is what a process alone occupies and cannot give back, in kB: its private dirty pages (smaps_rollup). Clean pages
// of the program's file are the page cache's, and the same for every moss.
func privateMemory(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	sum := 0
	for _, line := range strings.Split(string(b), "\n") {
		var kb int
		name, rest, _ := strings.Cut(line, ":")
		if name == "Private_Dirty" {
			if _, err := fmt.Sscanf(rest, "%d", &kb); err == nil {
				sum += kb
			}
		}
	}
	return sum
}

// ownMounts gives this thread (and what it starts) a mount namespace of its own. The caller must have locked the thread and
// must never unlock it.
func ownMounts() error {
	if err := syscall.Unshare(syscall.CLONE_NEWNS | syscall.CLONE_FS); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	return syscall.Mount("none", "/sys/fs/cgroup", "cgroup2", 0, "")
}
