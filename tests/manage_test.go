package tests

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

func TestRename(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		id := start(t, l, "old", "sleep", "1000")
		other := l.Moss("create", "--name", "other", "--network", "none", "./root", "true").OK(t)
		for _, s := range []scene{
			{"taken", `$moss rename old other`, "", "$moss: Error when allocating new name: Conflict. The container name \"/other\" is already in use by container \"" + other + "\". You have to remove (or rename) that container to be able to reuse that name.\n", 1},
			{"the same", `$moss rename old old`, "", "$moss: Renaming a container with the same name as its current name\n", 1},
			{"no name", `$moss rename old 'a/b'`, "", "*only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", 1},
			{"no container", `$moss rename nosuch new`, "", "*No such container: nosuch", 1},
			{"works while it runs", `$moss rename old new`, "", "", 0},
			{"the new name leads to it", `$moss inspect -f '{{.Name}} {{.Id}}' new`, "/new " + id + "\n", "", 0},
			{"the old one does not", `$moss rename old third`, "", "*No such container: old", 1},
			{"the old one is free", `$moss container rename other old`, "", "", 0},
			{"it is an event", `$moss events --since 1h --until 0s --filter event=rename --format '{{.Actor.Attributes.oldName}} {{.Actor.Attributes.name}}'`, "/old new\n/other old\n", "", 0},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
		l.Moss("rm", "-f", "new", "old").OK(t)
	})
}

func TestTop(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		start(t, l, "tt", "sh", "-c", "sleep 1001 & sleep 1002")
		row := func(cmd string) string {
			return l.User + ` +\d+ +\d+ +\d+ +\d\d:\d\d +\? +00:00:00 +` + cmd + `\n`
		}
		if l.UID == 0 || l.Ids == harness.RootIds {
			row = func(cmd string) string { return `\S+ +\d+ +\d+ +\d+ +\d\d:\d\d +\? +00:00:00 +` + cmd + `\n` }
		}
		harness.Eventually(t, harness.Patience, "both run", func() bool { return strings.Count(l.Moss("top", "tt").Stdout, "sleep 100") >= 2 })
		for _, s := range []scene{
			{"as ps -ef", `$moss top tt`, `~UID +PID +PPID +C +STIME +TTY +TIME +CMD\n(` + row(".*") + `)*` + row("sleep 100[12]"), "", 0},
			{"as ps aux", `$moss top tt aux | head -1`, `~USER +PID +%CPU +VSZ +RSS +TTY +STAT +START +TIME +COMMAND\n`, "", 0},
			{"columns", `$moss top tt -o pid,args | grep -c 'sleep 100[12]$'`, "2\n", "", 0},
			{"only its own", `$moss top tt -o comm | grep -cvE '^(COMMAND|sh|sleep)$'`, "0\n", "", 1},
			{"bad option", `$moss top tt --nosuch`, "", "*hint: ", 1},
			{"no container", `$moss top nosuch`, "", "*No such container: nosuch", 1},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
		l.Moss("kill", "tt").OK(t)
		l.Moss("top", "tt").Fails(t, 1, "is not running")
		l.Moss("rm", "tt").OK(t)
	})
}

func TestEvents(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		out, followed := &notifyWriter{want: "destroy\n", seen: make(chan struct{})}, make(chan harness.Result, 1)
		cmd := l.Command("moss", "events", "--since", time.Now().Format(time.RFC3339), "--filter", "container=ev", "--format", "{{.Action}}")
		cmd.Stdout = out
		go func() { followed <- l.Do(cmd) }()
		id := l.Moss("run", "-d", "--name", "ev", "--label", "colour=red", "--network", "none", "./root", "sh", "-c", "exit 3").OK(t)
		ended(t, l, "ev")
		l.Moss("rm", "ev").OK(t)
		select {
		case <-out.seen:
		case <-time.After(harness.Patience / 2):
		}
		_ = cmd.Process.Signal(terminate)
		if r := <-followed; r.Stderr != "" || !strings.HasPrefix(out.String(), "create\nstart\n") || !strings.HasSuffix(out.String(), "destroy\n") {
			t.Errorf("followed: %s, stdout %q", r, out)
		}
		for _, s := range []scene{
			{"Docker's form", `$moss events --since 1h --until 0s --filter event=start`, `~\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\S+ container start ` + id + ` \(colour=red, image=\./root, name=ev\)\n`, "", 0},
			{"exit code", `$moss events --since 1h --until 0s --filter event=die --format '{{.Actor.Attributes.exitCode}}'`, "3\n", "", 0},
			{"by label", `$moss events --since 1h --until 0s --filter label=colour=blue`, "", "", 0},
			{"by type", `$moss events --since 1h --until 0s --filter type=volume`, "", "", 0},
			{"until a moment to come", `$moss events --since 0s --until $(date -d '+1 second' +%s)`, "", "", 0},
			{"before it", `$moss events --until 1h`, "", "", 0},
			{"bad filter", `$moss events --filter x=y`, "", "*invalid filter 'x'", 1},
			{"bad time", `$moss events --since yesterday`, "", "*failed to parse value as time or duration", 1},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
		var m struct {
			Type, Action string
			Actor        struct{ ID string }
			TimeNano     int64 `json:"timeNano"`
		}
		line := l.Moss("events", "--since", "1h", "--until", "0s", "--filter", "event=create", "--format", "json").OK(t)
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.Type != "container" || m.Action != "create" || m.Actor.ID != id || m.TimeNano == 0 {
			t.Errorf("json: %s: %+v, %v", line, m, err)
		}
	})
}

func TestVolumes(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		for _, s := range []scene{
			{"create", `$moss volume create vol --label a=b`, "vol\n", "", 0},
			{"twice is no error", `$moss volume create vol`, "vol\n", "", 0},
			{"without a name", `$moss volume create | wc -c; $moss volume prune -f | grep -c ^Deleted`, "65\n1\n", "", 0},
			{"bad name", `$moss volume create a/b`, "", "*includes invalid characters for a local volume name", 1},
			{"ls", `$moss volume ls`, `~DRIVER +VOLUME NAME\nlocal +vol\n`, "", 0},
			{"ls by label", `$moss volume ls -q --filter label=a=b --filter name=vo`, "vol\n", "", 0},
			{"inspect", `$moss volume inspect -f '{{.Name}} {{.Driver}} {{.Scope}} {{.Labels.a}}' vol`, "vol local local b\n", "", 0},
			{"inspect of nothing", `$moss volume inspect nosuch`, "[]\n", "$moss: get nosuch: no such volume\n", 1},
			{"is written to", `$run -v vol:/data ./root sh -c 'echo kept >/data/file'`, "", "", 0},
			{"is kept", `$run -v vol:/data ./root cat /data/file`, "kept\n", "", 0},
			{"in use", `$moss create --name user -v vol:/data --network none ./root true >/dev/null; $moss volume rm vol`, "", `~$moss: remove vol: volume is in use - \[[0-9a-f]{64}\]\n`, 1},
			{"prune keeps what has a name", `$moss rm user >/dev/null; $moss volume prune -f`, "Total reclaimed space: 0B\n", "", 0},
			{"prune asks", `echo n | $moss volume prune -a`, "WARNING! This will remove all local volumes not used by at least one container.\nAre you sure you want to continue? [y/N] ", "", 0},
			{"prune of all", `$moss volume prune -af`, "Deleted Volumes:\nvol\n\nTotal reclaimed space: 5B\n", "", 0},
			{"rm of nothing", `$moss volume rm vol`, "", "$moss: get vol: no such volume\n", 1},
			{"rm by force", `$moss volume rm -f vol`, "vol\n", "", 0},
			{"nothing is left", `ls -A ` + l.Data() + `/volumes`, "", "", 0},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
	})
}

func TestContainerPrune(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		start(t, l, "runs", "sleep", "1000")
		id := l.Moss("create", "--name", "stopped", "--label", "x=1", "--network", "none", "./root", "true").OK(t)
		for _, s := range []scene{
			{"no answer", `$moss container prune </dev/null`, "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ", "", 0},
			{"younger ones stay", `$moss container prune -f --filter until=1h`, "Total reclaimed space: 0B\n", "", 0},
			{"labelled ones stay", `$moss container prune -f --filter 'label!=x=1'`, "Total reclaimed space: 0B\n", "", 0},
			{"removes", `$moss container prune -f`, "Deleted Containers:\n" + id + "\n\nTotal reclaimed space: 0B\n", "", 0},
			{"keeps what runs", `$moss ps -a --format '{{.Names}}'`, "runs\n", "", 0},
			{"bad filter", `$moss container prune -f --filter colour=red`, "", "*invalid filter 'colour'", 1},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
		l.Moss("rm", "-f", "runs").OK(t)
	})
}
