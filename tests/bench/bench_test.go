//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestSideBySide(t *testing.T) {
	harness.RequireRoot(t)
	harness.RequirePackages(t, harness.BenchPackages()...)
	runtime.LockOSThread() // never unlocked: the thread's mount namespace ends with it
	if err := ownMounts(); err != nil {
		t.Fatal(err)
	}
	rounds := 60
	if n, err := strconv.Atoi(os.Getenv("MOSS_BENCH_ROUNDS")); err == nil {
		rounds = n
	}
	var report strings.Builder
	var missed []string
	for _, name := range []string{"subids", "oneid"} {
		p := newPlace(t, harness.Named(t, name), "2G")
		for _, table := range []*Table{p.starts(), p.execs(), p.programs()} {
			if err := table.Measure(rounds); err != nil {
				t.Errorf("%s: %v", table.Title, err)
				continue
			}
			report.WriteString(table.Markdown())
			missed = append(missed, table.Missed()...)
		}
		report.WriteString(p.idleMemory())
		p.end()
	}
	t.Log("\n" + report.String())
	for _, m := range missed {
		t.Errorf("missed: %s", m)
	}
	write(t, "measured.md", report.String())
}

// write replaces a file in docs.
func write(t *testing.T, name, tables string) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	git := exec.Command("git", "describe", "--always", "--dirty")
	git.Dir = root
	commit, _ := git.Output()
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	load, _ := os.ReadFile("/proc/loadavg")
	head := fmt.Sprintf("# Measured\n\nBy `make bench` on %s at commit %s: Linux %s, %d processors, load %s. Compare ratios within a table; absolute times are this machine's.\n\n",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), strings.TrimSpace(string(commit)), strings.TrimSpace(string(kernel)), runtime.NumCPU(), strings.Fields(string(load))[0])
	if err := os.WriteFile(filepath.Join(root, "docs", name), []byte(head+strings.TrimRight(tables, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// place is an account with its storage on a fresh ext4, a busybox root there, and a detached container of each kind to enter.
type place struct {
	*harness.Login
	t    *testing.T
	root string
	pid  string // pid 1 of the container, outside
}

func newPlace(t *testing.T, account harness.Account, size string) *place {
	l := account.Login(t)
	img := filepath.Join(t.TempDir(), account.Name+".ext4")
	for _, line := range [][]string{
		{"truncate", "-s", size, img},
		{"mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", img},
		{"mount", "-o", "loop", img, l.Home},
		{"chown", account.User + ":", l.Home},
		{"chmod", "700", l.Home},
	} {
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", line, err, out)
		}
	}
	p := &place{Login: l, t: t, root: l.Home + "/root"}
	l.CreateTree(p.root, harness.BusyboxTree(t))
	l.Moss("run", "-d", "--name", "enter", "--network", "none", p.root, "sleep", "100000").OK(t)
	p.pid = l.Moss("inspect", "-f", "{{.State.Pid}}", "enter").OK(t)
	return p
}

func (p *place) end() {
	p.Moss("rm", "-f", "enter").OK(p.t)
	p.Do(p.Command("podman", "rm", "-af", "-t", "0"))
	for _, l := range p.Running("catatonit") { // Podman's pause process pins the mounts
		_ = exec.Command("kill", "-9", strconv.Itoa(l)).Run()
	}
	_ = exec.Command("umount", "-l", p.Home).Run()
}

func (p *place) row(name string, limits []Limit, args ...string) *Row {
	return &Row{Name: name, Limits: limits, Command: func() *exec.Cmd { return p.Command(args[0], args[1:]...) }}
}

// starts is a whole life of a container that runs true.
func (p *place) starts() *Table {
	t := &Table{Title: "run of true, " + p.Name, Rows: []*Row{
		p.row("bwrap, all namespaces", nil, "bwrap", "--unshare-all", "--uid", "0", "--gid", "0", "--bind", p.root, "/", "--proc", "/proc", "--dev", "/dev", "/bin/true"),
		p.row("moss run --rm", []Limit{{1.35, "bwrap, all namespaces"}, {0.6, "crun run"}, {1.0 / 20, "podman run --rm"}},
			"moss", "run", "--rm", "--network", "none", p.root, "/bin/true"),
	}}
	if bundle := p.bundle(); bundle != "" {
		t.Rows = append(t.Rows, p.row("crun run", nil, "crun", "--cgroup-manager=disabled", "run", "-b", bundle, "bench"))
	}
	if p.podman() {
		t.Rows = append(t.Rows, p.row("podman run --rm", nil, "podman", "--cgroup-manager=cgroupfs", "run", "--rm", "--network=none", "bench", "/bin/true"))
	}
	return t
}

// execs is entering a container that runs.
func (p *place) execs() *Table {
	t := &Table{Title: "exec of true, " + p.Name, Rows: []*Row{
		p.row("nsenter, 7 namespaces", nil, "nsenter", "-t", p.pid, "-U", "-m", "-p", "-n", "-i", "-u", "-C", "--preserve-credentials", "/bin/true"),
		p.row("moss exec", []Limit{{1.5, "nsenter, 7 namespaces"}, {1.0 / 40, "podman exec"}}, "moss", "exec", "enter", "/bin/true"),
	}}
	start := p.Command("podman", "--cgroup-manager=cgroupfs", "run", "-d", "--replace", "--name", "enter", "--network=none", "bench", "sleep", "100000")
	if p.podman() && p.Do(start).Code == 0 {
		t.Rows = append(t.Rows, p.row("podman exec", nil, "podman", "--cgroup-manager=cgroupfs", "exec", "enter", "/bin/true"))
	}
	return t
}

// programs is the start of the program alone.
func (p *place) programs() *Table {
	return &Table{Title: "start of the program, " + p.Name, Rows: []*Row{
		p.row("empty Go program", nil, emptyProgram(p.t)),
		p.row("moss version", []Limit{{2, "empty Go program"}}, "moss", "version"),
		p.row("moss ps", nil, "moss", "ps"),
	}}
}

func emptyProgram(t *testing.T) string {
	dir, err := os.MkdirTemp("/tmp", "mt-empty-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/empty", source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	_ = os.Chmod(dir, 0o755)
	return dir + "/empty"
}

// bundle makes an OCI bundle of the same root for crun; empty where crun does not work for this account.
func (p *place) bundle() string {
	dir := p.Home + "/bundle"
	if r := p.Do(p.Command("sh", "-c", "mkdir "+dir+" && cd "+dir+" && crun spec --rootless")); r.Code != 0 {
		return ""
	}
	b, err := os.ReadFile(dir + "/config.json")
	if err != nil {
		return ""
	}
	var config map[string]any
	if err := json.Unmarshal(b, &config); err != nil {
		p.t.Fatal(err)
	}
	config["root"] = map[string]any{"path": p.root, "readonly": false}
	process, _ := config["process"].(map[string]any)
	process["terminal"], process["args"] = false, []string{"/bin/true"}
	if b, err = json.Marshal(config); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/config.json", b, 0o644); err != nil {
		p.t.Fatal(err)
	}
	if r := p.Do(p.Command("crun", "--cgroup-manager=disabled", "run", "-b", dir, "bench")); r.Code != 0 {
		p.t.Logf("crun left out: %s", r)
		return ""
	}
	return dir
}

// podman imports the root as an image; false where Podman does not work for this account.
func (p *place) podman() bool {
	if r := p.Do(p.Command("sh", "-c", "podman image exists bench || tar -C "+p.root+" -c . | podman import -q - bench")); r.Code != 0 {
		p.t.Logf("podman left out: %s", r)
		return false
	}
	if r := p.Do(p.Command("podman", "--cgroup-manager=cgroupfs", "run", "--rm", "--network=none", "bench", "/bin/true")); r.Code != 0 {
		p.t.Logf("podman left out: %s", r)
		return false
	}
	return true
}

// idleMemory is what all moss processes of ten idle detached containers occupy.
func (p *place) idleMemory() string {
	var names []string
	for i := range 10 {
		name := fmt.Sprintf("idle%d", i)
		names = append(names, name)
		p.Moss("run", "-d", "--name", name, "--network", "none", p.root, "sleep", "100000").OK(p.t)
	}
	time.Sleep(2 * time.Second)
	sum, parts := 0, ""
	for _, kind := range []string{"moss-supervisor", "moss-keeper", "moss-holder"} {
		kb := 0
		for _, pid := range p.Running(kind) {
			kb += privateMemory(pid)
		}
		sum += kb
		parts += fmt.Sprintf(" %s %d kB,", kind, kb)
	}
	p.Moss(append([]string{"rm", "-f"}, names...)...).OK(p.t)
	if sum > 3072 {
		p.t.Errorf("missed: ten idle containers occupy %d kB, limit 3072", sum)
	}
	return fmt.Sprintf("## Ten idle containers, %s\n\nPrivate memory of all moss processes (11 containers):%s together %d kB (limit 3072).\n\n", p.Name, parts, sum)
}
