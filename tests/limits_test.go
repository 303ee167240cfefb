package tests

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

func TestLimitsAreRefusedAsByDocker(t *testing.T) {
	const unseen = "must not run"
	refuse := func(name, flags, words string) scene {
		return scene{name, "$run " + flags + " ./root echo " + unseen, "", "*" + words, 125}
	}
	play(t, []scene{
		refuse("too little memory", "-m 4m", "Minimum memory limit allowed is 6MB"),
		refuse("a suffix that is none", "-m 10x", "invalid suffix: 'x'"),
		refuse("swap below memory", "-m 100m --memory-swap 50m", "Minimum memoryswap limit should be larger than memory limit, see usage"),
		refuse("swap alone", "--memory-swap 50m", "You should always set the Memory limit when using Memoryswap limit, see usage"),
		refuse("reservation above memory", "-m 50m --memory-reservation 60m", "Minimum memory limit can not be less than memory reservation limit, see usage"),
		refuse("swappiness", "--memory-swappiness 101", "Valid memory swappiness range is 0-100"),
		refuse("no killing", "--oom-kill-disable", "--oom-kill-disable is not possible"),
		refuse("CPUs that are not there", "--cpuset-cpus 4000", "Requested CPUs are not available - requested 4000, available: "),
		refuse("nodes that are not there", "--cpuset-mems 900", "Requested memory nodes are not available - requested 900, available: "),
		refuse("more CPUs than there are", "--cpus 4000", "range of CPUs is from 0.01 to "),
		refuse("a number that is none", "--cpus abc", `invalid argument "abc" for "--cpus" flag: failed to parse abc as a rational number`),
		refuse("period", "--cpu-period 1", "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
		refuse("two ways to bound time", "--cpus 0.5 --cpu-quota 5000", "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
		refuse("weight", "--blkio-weight 5", "Range of blkio weight is from 10 to 1000"),
		refuse("a device that is not there", "--device-read-bps /dev/nosuch:1mb", "no such file or directory"),
		refuse("a storage option", "--storage-opt colour=red", "unknown option colour"),
	})
}

func TestLimitsHold(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		for _, s := range []scene{
			{"memory", `$moss run --name hog --network none -m 50m ./root tail -c 300000000 /dev/zero`, "", `~([a-z]+: memory limit is watched[^\n]*\n)?[^\n]*50MiB[^\n]*\n`, 137},
			{"memory is told", `$moss inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}' hog; $moss inspect -f '{{.Moss.Enforced.memory}}' hog; $moss rm hog >/dev/null`,
				"~true 137 52428800 104857600\n(watchdog|cgroup)\n", "", 0},
			{"oom is an event before die", `$moss events --since 1h --until 0s --filter container=hog --format '{{.Action}}' | grep -A1 oom`, "oom\ndie\n", "", 0},
			{"fork bomb", `$run --pids-limit 20 ./root sh -c '(while :; do sleep 60 & done) 2>/dev/null; set -- /proc/[0-9]*; echo $#'`, `~([2-9]|1\d|20)\n`, "", 0},
			{"one CPU, for good", `$run --cpuset-cpus 0 ./root sh -c 'nproc; taskset -p 3 $$ >/dev/null; nproc'`, "1\n1\n", "", 0},
			{"shares", `$run --cpu-shares 2 ./root true`, "", `~([a-z]+: CPU shares are only a nice value; see moss info\n)?`, 0},
			{"ulimit", `$run --ulimit nofile=70:80 ./root sh -c 'ulimit -n; ulimit -Hn'`, "70\n80\n", "", 0},
			{"one note for all", `$run -m 100m --cpus 0.5 --cpu-shares 100 ./root true 2>&1 | grep -c : | grep -v '[2-9]'`, "~[01]\n", "", 0},
			{"a config key silences it", `mkdir -p cfg/moss && echo '{"quiet":true}' >cfg/moss/config.json && XDG_CONFIG_HOME=$PWD/cfg $run -m 100m ./root true`, "", "", 0},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
	})
}

// TestLimitsOfARunningContainer has one container paused, changed and measured.
func TestLimitsOfARunningContainer(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Moss("run", "-d", "--name", "spinner", "--network", "none", "-m", "100m", "./root", "sh", "-c", "while :; do :; done").OK(t)
		l.Moss("run", "-d", "--name", "sleeper", "--network", "none", "./root", "sleep", "1000").OK(t)
		head := "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT"
		wantRow(t, l, `spinner +\d+\.\d\d% +[0-9.]+(KiB|MiB) / 100MiB +\d+\.\d\d% +0B / 0B +\S+ / \S+ +1$`, head, "spinner")
		wantRow(t, l, `sleeper +\d+\.\d\d% +[0-9.]+(KiB|MiB) / [0-9.]+GiB +\d+\.\d\d% +0B / 0B +\S+ / \S+ +1$`, head, "sleeper")
		l.Moss("stats", "--no-stream", "nosuch").Fails(t, 1, "No such container: nosuch")
		live := l.Terminal("moss", "stats")
		live.Expect(`CONTAINER ID   NAME      CPU % `) // at once, with dashes
		live.Expect(`spinner +--  `)
		live.Expect(`spinner +\d+\.\d\d% `)
		live.Type("\x03") // Ctrl-C is the usual end
		if code := live.Wait(); code != 0 {
			t.Errorf("code %d after Ctrl-C\n%s", code, live.Shown())
		}

		l.Moss("pause", "spinner", "sleeper").Want(t, harness.Result{Stdout: "spinner\nsleeper\n"})
		l.Moss("pause", "spinner").Fails(t, 1, "is already paused")
		l.Moss("exec", "spinner", "true").Fails(t, 1, "Container spinner is paused, unpause the container before exec")
		l.Moss("rm", "spinner").Fails(t, 1, "container is paused and must be unpaused first")
		l.Moss("start", "spinner").Fails(t, 1, "cannot start a paused container, try unpause instead")
		if out := l.Moss("ps", "--format", "{{.Status}}").OK(t); strings.Count(out, " (Paused)") != 2 {
			t.Errorf("ps: %q", out)
		}
		used := cpuTime(t, l, "spinner")
		time.Sleep(100 * time.Millisecond)
		if now := cpuTime(t, l, "spinner"); now != used {
			t.Errorf("a paused container ran: %s, then %s", used, now)
		}
		l.Moss("container", "unpause", "spinner").Want(t, harness.Result{Stdout: "spinner\n"})
		l.Moss("unpause", "spinner").Fails(t, 1, "is not paused")
		harness.Eventually(t, 30*time.Second, "the spinner goes on", func() bool { return cpuTime(t, l, "spinner") != used })

		l.Moss("update", "-m", "200m", "--restart", "on-failure:3", "spinner").OK(t)
		l.Moss("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy}}", "spinner").Want(t, harness.Result{Stdout: "209715200 {on-failure 3}\n"})
		wantRow(t, l, `/ 200MiB `, head, "spinner")
		l.Moss("update", "spinner").Fails(t, 1, "you must provide one or more flags when using this command")
		l.Moss("update", "--cpuset-cpus", "4000", "spinner").Fails(t, 1, "Requested CPUs are not available")
		l.Moss("unpause", "sleeper").OK(t)
		l.Moss("update", "-m", "20m", "sleeper").OK(t) // it had no limit
		for _, pid := range l.Running("moss-supervisor") {
			_ = syscall.Kill(pid, syscall.SIGKILL) // its successor goes on with the limits
		}
		if r := l.Moss("exec", "sleeper", "tail", "-c", "100000000", "/dev/zero"); r.Code != 137 {
			t.Errorf("a limit set later does not hold: %s", r)
		}
		actions := l.Moss("events", "--since", "1h", "--until", "0s", "--filter", "container=sleeper", "--format", "{{.Action}}").OK(t)
		if want := "pause\nunpause\nupdate\noom"; !strings.HasSuffix(strings.TrimSpace(actions), want) {
			t.Errorf("events: %q", actions)
		}
		l.Moss("pause", "sleeper").OK(t)
		l.Moss("rm", "-f", "spinner", "sleeper").OK(t)
	})
}

// wantRow wants a row of stats below a heading.
func wantRow(t *testing.T, l *harness.Login, row, head, name string) {
	t.Helper()
	out := l.Moss("stats", "--no-stream", name).OK(t)
	if !strings.HasPrefix(out, head) || !regexp.MustCompile(row).MatchString(out) {
		t.Errorf("stats: %s\nwant %s", out, row)
	}
}

// cpuTime is what top shows of a container's first process.
func cpuTime(t *testing.T, l *harness.Login, name string) string {
	t.Helper()
	pid := strings.TrimSpace(l.Moss("inspect", "-f", "{{.State.Pid}}", name).OK(t))
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	stat := string(b)
	f := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	return f[11] + "+" + f[12]
}
