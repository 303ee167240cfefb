package tests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

func TestInfo(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		start(t, l, "up", "sleep", "1000")
		text := l.Moss("info").OK(t)
		for _, want := range []string{
			"Client:", "Server:", "\n Containers: 1\n  Running: 1\n  Paused: 0\n  Stopped: 0\n Images: 0\n", "\n Storage Driver: ", "\n Swarm: inactive\n",
			"\n Security Options:\n  seccomp\n   Profile: builtin\n", "\n OSType: linux\n", "\n Docker Root Dir: " + l.Data() + "\n", "\nHost:\n Ids: ", "\n  You can make sandboxes",
		} {
			if !strings.Contains("\n"+text, want) {
				t.Errorf("info lacks %q:\n%s", want, text)
			}
		}
		if one := strings.Contains(text, "\n Ids: 1, "); one != (l.Ids == harness.OneID) {
			t.Errorf("the id mode is wrong:\n%s", text)
		}
		var v struct {
			ContainersRunning, NCPU int
			OSType, DockerRootDir   string
			Moss                    struct {
				Host []struct{ Name, State string }
			}
		}
		if err := json.Unmarshal([]byte(l.Moss("info", "-f", "json").OK(t)), &v); err != nil || v.ContainersRunning != 1 || v.NCPU < 1 || v.OSType != "linux" ||
			v.DockerRootDir != l.Data() || len(v.Moss.Host) == 0 {
			t.Errorf("info -f json: %+v, %v", v, err)
		}
		l.Moss("system", "info", "-f", "{{.ContainersRunning}} {{.Swarm.LocalNodeState}}").Want(t, harness.Result{Stdout: "1 inactive\n"})
		l.Moss("info", "-f", "{{.NoSuch}}").Fails(t, 1, "template parsing error")
		l.Moss("rm", "-f", "up").OK(t)
	})
}

func TestInfoChecksWhetherRunCanWork(t *testing.T) {
	harness.RequireCommand(t, "unshare")
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Moss("info", "--check").Want(t, harness.Result{})
		r := l.Sh("moss", `unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; MOSS_ROOT=$HOME/inner exec $moss info --check'; c=$?; rm -rf ~/inner; exit $c`)
		oneLine(t, r, 1)
		if !strings.Contains(r.Stderr, "hint: ") || !strings.Contains(r.Stderr, "user namespaces") {
			t.Errorf("neither cause nor remedy: %s", r)
		}
	})
}

func TestInfoPrintsTheAdministratorsScript(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Sh("moss", `$moss info --admin | sh -n`).Want(t, harness.Result{})
		if script := l.Moss("info", "--admin").OK(t); !strings.HasPrefix(script, "#!/bin/sh\n") || !strings.Contains(script, "user='"+l.User+"'") {
			t.Errorf("the script is not for %s:\n%s", l.User, script)
		}
		l.Sh("moss", `MOSS_ROOT=/proc/none $moss info --admin | head -1`).Want(t, harness.Result{Stdout: "#!/bin/sh\n"})
	})
}

// The texts are the same for every account.
func TestHelp(t *testing.T) {
	l := harness.Accounts(t)[0].Login(t)
	harness.Nothing(t, l)
	for _, s := range []scene{
		{"groups", `$moss help | grep -E '^[A-Z].*:$'`, "Common Commands:\nManagement Commands:\nCommands:\nGlobal Options:\n", "", 0},
		{"hidden ones are hidden", `$moss --help | grep -c __`, "0\n", "", 1},
		{"of a command", `$moss help run | head -1`, "Usage:  $moss run [OPTIONS] IMAGE [COMMAND] [ARG...]\n", "", 0},
		{"the same by a flag", `$moss run --help | head -1`, "Usage:  $moss run [OPTIONS] IMAGE [COMMAND] [ARG...]\n", "", 0},
		{"of a noun", `$moss container | grep -E '^  (ls|rm) '`, "  ls          List containers\n  rm          Remove one or more containers\n", "", 0},
		{"no such verb", `$moss container lx`, "", "$moss: unknown command: $moss container lx\nhint: did you mean '$moss container ls'?\nSee '$moss container --help'.\n", 1},
		{"no such command", `$moss help rnu`, "", "*'rnu' is not a $moss command.", 1},
	} {
		for _, tool := range []string{"moss", "docker"} {
			t.Run(tool+" "+s.name, func(t *testing.T) { s.play(t, l, tool) })
		}
	}
	l.Sh("moss", `for c in $($moss __complete -- '') ; do $moss $c --help >/dev/null || echo $c; done`).Want(t, harness.Result{})
}

func TestCompletion(t *testing.T) {
	harness.RequireCommand(t, "bash")
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		start(t, l, "runner", "sleep", "1000")
		l.Moss("create", "--name", "sleeper", "--network", "none", "./root", "true").OK(t)
		for _, tool := range []string{"moss", "docker"} {
			for _, s := range []scene{
				{"bash accepts it", `$moss completion bash | bash -n`, "", "", 0},
				{"no such shell", `$moss completion csh`, "", "*hint: there are bash, zsh and fish", 1},
				{"commands", `$moss __complete -- in`, "info\ninspect\n", "", 0},
				{"verbs of a noun", `$moss __complete -- container ex`, "exec\nexport\n", "", 0},
				{"flags", `$moss __complete -- run --net`, "--net-backend\n--network\n--network-alias\n", "", 0},
				{"containers that run", `$moss __complete -- stop ''`, "runner\n", "", 0},
				{"containers that do not", `$moss __complete -- start ''`, "sleeper\n", "", 0},
				{"all containers", `$moss __complete -- rm -f ''`, "runner\nsleeper\n", "", 0},
				{"after one", `$moss __complete -- rm runner s`, "sleeper\n", "", 0},
				{"networks", `$moss __complete -- run --network h`, "host\n", "", 0},
				{"words of the command inside", `$moss __complete -- exec runner l`, "", "", 0},
				{"in bash", `$moss completion bash >c; bash -c '. ./c; COMP_LINE="'$moss' rm sl"; COMP_POINT=${#COMP_LINE}; _'$(basename $moss)'_complete; echo "${COMPREPLY[@]}"'; rm c`, "sleeper\n", "", 0},
			} {
				t.Run(tool+" "+s.name, func(t *testing.T) { s.play(t, l, tool) })
			}
		}
		l.Moss("rm", "-f", "runner", "sleeper").OK(t)
	})
}

func TestAlias(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		moss := l.Command("moss").Path
		l.CreateTree(l.Work, "dir aliases\ndir foreign\nexe foreign/docker hello\ndir stale\nlink stale/docker /nowhere/moss")
		path := filepath.Join(l.Work, "aliases", "docker")
		for range 2 { // the second time there is nothing to do
			if r := l.Moss("alias", "aliases"); r.Code != 0 || r.Stdout != path+" -> "+moss+"\n" {
				t.Errorf("alias: %s", r)
			}
		}
		if r := l.Sh("moss", `PATH=$PWD/foreign:$PWD/aliases:$PATH $moss alias aliases`); !strings.Contains(r.Stderr, "another docker comes first in PATH: "+l.Work+"/foreign/docker") {
			t.Errorf("another docker: %s", r)
		}
		l.Sh("moss", `PATH=$PWD/aliases:$PATH $moss alias aliases >/dev/null`).Want(t, harness.Result{})
		l.Sh("moss", `PATH=$PWD/aliases:$PATH; docker version | head -1`).Want(t, harness.Result{Stdout: "Client: moss\n"})
		l.Sh("moss", `PATH=$PWD/aliases:$PATH; docker info | grep 'word docker'`).Want(t, harness.Result{Stdout: "  The word docker means moss here.\n"})
		l.Moss("alias", "foreign").Fails(t, 1, "another program's", "hint: ")
		if r := l.Sh("moss", "./foreign/docker"); strings.Contains(r.Stdout, "moss") || !harness.Exists(filepath.Join(l.Work, "foreign/docker")) {
			t.Errorf("the foreign docker was touched: %s", r)
		}
		l.Moss("alias", "stale").OK(t)
		if to, err := os.Readlink(filepath.Join(l.Work, "stale/docker")); err != nil || to != moss {
			t.Errorf("a stale link leads to %q, %v", to, err)
		}
		l.Moss("alias", "nosuch").Fails(t, 1, "no directory", "hint: make it first: mkdir -p ")
	})
}

func TestSudoIsTold(t *testing.T) {
	harness.RequireRoot(t)
	l := harness.Named(t, "root").Login(t)
	r := l.Sh("moss", `SUDO_UID=1000 $moss info`)
	if r.Code != 0 || !regexp.MustCompile(`(?m)^moss: these are root's containers; moss needs no sudo`).MatchString(r.Stderr) {
		t.Errorf("got %s", r)
	}
}
