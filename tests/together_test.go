package tests

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

// What a container shares with another one, with the machine, and what its init does.
func TestTogether(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		id := startDonor(t, l)
		host, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		rights := `sh -c 'for p in 1 self; do grep -E "^(CapPrm|CapEff|CapBnd|Seccomp):" /proc/$p/status; done | sort | uniq -c | grep -vc "^ *2 "'`
		for _, s := range []scene{
			{"init ends as the command", `$run --init ./root sh -c 'exit 7'`, "", "", 7},
			{"by a signal, too", `$run --init ./root sh -c 'kill -TERM $$'`, "", "", 143},
			{"init is no program of the image", `$run --init ./root cat /proc/1/comm`, "moss-init\n", "", 0},
			{"init has the command's rights", `$run --init ./root ` + rights, "0\n", "", 1},
			{"init of another user", `$run --init --user 7:7 ./root ` + rights, "0\n", "~.*", 1},
			{"init reaps", `$run --init ./root sh -c '(sleep 0.1 &); sleep 0.5; grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null | wc -l'`, "0\n", "", 0},
			{"init without a command", `$run --init ./root nosuch`, "", "*executable file not found in $PATH", 127},
			{"processes of another", `$run --pid container:don ./root sh -c 'tr "\000" " " </proc/1/cmdline'`, "sleep 1000 ", "", 0},
			{"with an init", `$run --init --pid container:don ./root sh -c 'exit 4'`, "", "", 4},
			{"own processes otherwise", `$run ./root sh -c 'tr "\000" " " </proc/1/cmdline'`, "~tr .*", "", 0},
			{"memory of another", `$moss exec don touch /dev/shm/f; $run --ipc container:don ./root ls /dev/shm`, "f\n", "", 0},
			{"own memory otherwise", `$run ./root ls /dev/shm`, "", "", 0},
			{"network of another", `$moss run --rm --network container:don ./root hostname`, id[:12] + "\n", "", 0},
			{"host name of the machine", `$run --uts host ./root hostname`, host + "\n", "", 0},
			{"no shared memory", `$run --ipc none ./root sh -c 'grep -c " /dev/shm " /proc/mounts'`, "0\n", "", 1},
			{"nothing of --pid host stays", `$run --pid host ./root sh -c 'sleep 4321 & exit 3'`, "", "", 3},
			{"no such container", `$run --pid container:nosuch ./root true`, "", "$moss: No such container: nosuch\n", 125},
			{"bad mode", `$run --pid bad ./root true`, "", "$moss: --pid: invalid PID mode\n", 125},
			{"volumes", `$moss exec don touch /data/f; $run --volumes-from don:ro ./root sh -c 'ls /data; touch /data/g'`, "f\n", "*Read-only file system", 1},
			{"volumes of nobody", `$run --volumes-from nosuch ./root true`, "", "*No such container: nosuch", 125},
			{"privileged is told", `$run --privileged ./root grep CapEff /proc/self/status`, "CapEff:\t000001ffffffffff\n", "$moss: --privileged gives all capabilities within the container's own namespaces, none over this machine\n", 0},
			{"security options", `$run --security-opt apparmor=unconfined --security-opt label=disable ./root true`, "", "", 0},
			{"exec in the background", `$moss exec -d don sh -c 'echo x >/made'; for i in 1 2 3 4 5 6 7 8 9; do $moss exec don cat /made 2>/dev/null && break; sleep 0.2; done`, "x\n", "", 0},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
		l.Moss("kill", "don").OK(t)
		l.Moss("run", "--rm", "--network", "container:don", "./root", "true").Fails(t, 125, "cannot join network of a non running container: "+id)
		l.Moss("rm", "-v", "don").OK(t)
	})
}

func TestHealth(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Moss("run", "-d", "--name", "hh", "--network", "none", "--health-cmd", "test -e /ok || { echo ill; exit 3; }", "--health-interval", "200ms",
			"--health-retries", "2", "./root", "sleep", "1000").OK(t)
		status := func(want string) {
			t.Helper()
			harness.Eventually(t, 20*time.Second, want, func() bool { return strings.Contains(l.Moss("ps").Stdout, "("+want+")") })
		}
		status("unhealthy")
		l.Moss("exec", "hh", "touch", "/ok").OK(t)
		l.Moss("wait", "--condition", "healthy", "hh").Want(t, harness.Result{Stdout: "0\n"})
		status("healthy")
		for _, s := range []scene{
			{"inspect", `$moss inspect -f '{{.State.Health.Status}} {{.State.Health.FailingStreak}} {{lt 0 (len .State.Health.Log)}}' hh`, "healthy 0 true\n", "", 0},
			{"filter", `$moss ps -q --filter health=unhealthy`, "", "", 0},
			{"events", `$moss events --since 1h --until 0s --filter event=health_status --format '{{.Action}}'`, "health_status: unhealthy\nhealth_status: healthy\n", "", 0},
			{"renamed while it runs", `$moss rename hh hx && $moss kill hx && $moss events --since 1h --until 0s --filter event=die --format '{{.Actor.Attributes.name}}'`, "hx\nhx\n", "", 0},
			{"bad condition", `$moss wait --condition x hx`, "", "*invalid condition", 1},
			{"switched off", `$run --no-healthcheck --health-retries 2 ./root true`, "", "*--no-healthcheck conflicts with --health-* options", 125},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
		l.Moss("rm", "-f", "hx").OK(t)
	})
}

// A file that cannot be read is told once and keeps nobody else from being used; a name goes with its container.
func TestUnreadableAndRenamed(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		bad := l.Moss("create", "--name", "bad", "--network", "none", "./root", "true").OK(t)
		l.Moss("create", "--name", "good", "--network", "none", "./root", "true").OK(t)
		if err := os.WriteFile(l.Data()+"/containers/"+bad+"/spec.json", []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := l.Moss("ps", "-a", "--format", "{{.Names}}"); r.Stdout != "good\n" || !strings.Contains(r.Stderr, "put aside as") {
			t.Errorf("first: %s", r)
		}
		l.Moss("ps", "-a", "--format", "{{.Names}}").Want(t, harness.Result{Stdout: "good\n"})
		l.Moss("start", "good").OK(t)
		ended(t, l, "good")
		l.Moss("rm", "good").OK(t)

		l.Moss("run", "-d", "--rm", "--name", "first", "-v", "/data", "--network", "none", "./root", "sleep", "1000").OK(t)
		l.Moss("rename", "first", "second").OK(t)
		l.Moss("kill", "second").OK(t)
		harness.Eventually(t, 10*time.Second, "it is removed", func() bool { return l.Moss("ps", "-aq").Stdout == "" })
		harness.Eventually(t, 10*time.Second, "its volume, too", func() bool { return l.Moss("volume", "ls", "-q").Stdout == "" })
		if names, err := os.ReadDir(l.Data() + "/container-names"); err != nil || len(names) != 0 {
			t.Errorf("names left: %v, %v", names, err)
		}
		l.Sh("moss", `rm -r `+l.Data()+`/quarantine`).OK(t)
	})
}

// startDonor runs the container that the others share with.
func startDonor(t *testing.T, l *harness.Login) string {
	t.Helper()
	return l.Moss("run", "-d", "--network", "none", "--name", "don", "-v", "/data", "./root", "sleep", "1000").OK(t)
}
