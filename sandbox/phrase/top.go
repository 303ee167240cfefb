package phrase

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/sandbox/engine"
)

// A Table is the columns of a list of processes, as ps(1) has them.
type Table []psColumn

// Rows are the heads and, for each process, its cells.
func (t Table) Rows(list []engine.Process) [][]string {
	head := make([]string, len(t))
	for i, c := range t {
		head[i] = c.head
	}
	rows := [][]string{head}
	for i := range list {
		cells := make([]string, len(t))
		for j, c := range t {
			cells[j] = c.cell(&list[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// A psColumn is one column of ps(1).
type psColumn struct {
	name, head string
	cell       func(*engine.Process) string
}

// psCells are the columns that can be asked for with -o, by the names of ps(1).
var psCells = []psColumn{
	{"pid", "PID", func(p *engine.Process) string { return strconv.Itoa(p.PID) }},
	{"ppid", "PPID", func(p *engine.Process) string { return strconv.Itoa(p.Parent) }},
	{"user", "USER", func(p *engine.Process) string { return p.User }},
	{"euser", "EUSER", func(p *engine.Process) string { return p.User }},
	{"uid", "UID", func(p *engine.Process) string { return strconv.Itoa(p.UID) }},
	{"comm", "COMMAND", func(p *engine.Process) string { return p.Name }},
	{"ucmd", "CMD", func(p *engine.Process) string { return p.Name }},
	{"args", "COMMAND", func(p *engine.Process) string { return p.Command }},
	{"command", "COMMAND", func(p *engine.Process) string { return p.Command }},
	{"cmd", "CMD", func(p *engine.Process) string { return p.Command }},
	{"stat", "STAT", func(p *engine.Process) string { return p.State }},
	{"state", "S", func(p *engine.Process) string { return p.State }},
	{"s", "S", func(p *engine.Process) string { return p.State }},
	{"tty", "TT", func(p *engine.Process) string { return p.Terminal }},
	{"time", "TIME", func(p *engine.Process) string { return cpuTime(p.CPU) }},
	{"etime", "ELAPSED", func(p *engine.Process) string { return elapsed(time.Since(p.Started)) }},
	{"stime", "STIME", func(p *engine.Process) string { return startTime(p.Started) }},
	{"start", "STARTED", func(p *engine.Process) string { return p.Started.Format("15:04:05") }},
	{"rss", "RSS", func(p *engine.Process) string { return strconv.FormatInt(p.Resident>>10, 10) }},
	{"vsz", "VSZ", func(p *engine.Process) string { return strconv.FormatInt(p.Virtual>>10, 10) }},
	{"c", "C", func(p *engine.Process) string { return strconv.Itoa(int(share(p))) }},
	{"pcpu", "%CPU", func(p *engine.Process) string { return fmt.Sprintf("%.1f", share(p)) }},
}

// psForms are the formats of ps(1) that have names, as columns with other heads where need be.
var psForms = map[string]string{
	"-ef": "user=UID,pid,ppid,c,stime,tty=TTY,time,cmd",
	"-f":  "user=UID,pid,ppid,c,stime,tty=TTY,time,cmd",
	"aux": "user,pid,pcpu,vsz,rss,tty=TTY,stat,stime=START,time,args",
	"ax":  "pid,tty=TTY,stat,time,args",
	"-e":  "pid,tty=TTY,time,ucmd", "-A": "pid,tty=TTY,time,ucmd", "a": "pid,tty=TTY,stat,time,args", "x": "pid,tty=TTY,stat,time,args",
}

// Columns reads the options of ps(1) that choose columns; the choice of processes is the container.
func Columns(args []string) (Table, error) {
	form := psForms["-ef"]
	for i := 0; i < len(args); i++ {
		a := args[i]
		list, joined := strings.CutPrefix(a, "-o")
		switch {
		case a == "-o" || a == "-eo" || a == "-Ao" || a == "-axo" || a == "axo" || a == "o" || a == "--format":
			if i++; i == len(args) {
				return nil, fmt.Errorf("ps option %q needs a list of columns", a)
			}
			form = args[i]
		case joined:
			form = list
		case psForms[a] != "":
			form = psForms[a]
		case psForms[strings.TrimPrefix(a, "-")] != "":
			form = psForms[strings.TrimPrefix(a, "-")]
		default:
			return nil, &engine.Hint{Err: fmt.Errorf("ps option %q is not known", a), Remedy: "there are -ef, aux, ax, -e and -o COLUMN,… (pid, ppid, user, args, comm, stat, time, etime, rss, vsz, pcpu, …)"}
		}
	}
	return parseColumns(form)
}

func parseColumns(form string) (out Table, err error) {
	for word := range strings.SplitSeq(form, ",") {
		name, head, renamed := strings.Cut(strings.TrimSpace(word), "=")
		found := false
		for _, c := range psCells {
			if c.name == name {
				if renamed {
					c.head = head
				}
				out, found = append(out, c), true
				break
			}
		}
		if !found {
			return nil, fmt.Errorf("ps has no column %q", name)
		}
	}
	return out, nil
}

// share is the part of a processor since the process was started, in percent.
func share(p *engine.Process) float64 {
	if life := time.Since(p.Started); life > 0 {
		return 100 * float64(p.CPU) / float64(life)
	}
	return 0
}

func cpuTime(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// elapsed is [[DD-]hh:]mm:ss.
func elapsed(d time.Duration) string {
	s := max(int(d.Seconds()), 0)
	switch {
	case s >= 86400:
		return fmt.Sprintf("%d-%02d:%02d:%02d", s/86400, s/3600%24, s/60%60, s%60)
	case s >= 3600:
		return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

func startTime(t time.Time) string {
	if time.Since(t) < 24*time.Hour {
		return t.Format("15:04")
	}
	return t.Format("Jan02")
}
