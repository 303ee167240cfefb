package tests

import (
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

func TestRun(t *testing.T) {
	play(t, []scene{
		{"prints", `$run ./root echo hello`, "hello\n", "", 0},
		{"keeps the streams apart", `$run ./root sh -c 'echo out; echo err >&2'`, "out\n", "err\n", 0},
		{"keeps the exit code", `$run ./root sh -c 'exit 7'`, "", "", 7},
		{"tells a signal as 128+n", `$run ./root sh -c 'sh -c "kill -9 \$\$"; exit $?'`, "", "~(Killed\n)?", 137},
		{"is pid 1", `$run ./root sh -c 'echo $$'`, "1\n", "", 0},
		{"is root inside", `$run ./root id`, "~uid=0\\(root\\) gid=0(\\(root\\))?.*\n", "", 0},
		{"reads input with -i", `printf 'a\nb\n' | $run -i ./root cat`, "a\nb\n", "", 0},
		{"reads a file with -i", `echo text >in; $run -i ./root cat <in`, "text\n", "", 0},
		{"has no input without -i", `echo a | $run ./root cat`, "", "", 0},
		{"passes megabytes unchanged", `head -c 3000000 /dev/urandom >big; $run -i ./root cat <big | cmp - big && echo same`, "same\n", "", 0},
		{"leaves the container to run when its reader ends", `$moss run --name yy --network none ./root yes | head -n 1; $moss rm -f yy`, "y\nyy\n", "*", 0},
		{"takes flags of the command", `$run ./root ls -d /bin`, "/bin\n", "", 0},
		{"works from an absolute directory", `$run "$PWD/root" echo hi`, "hi\n", "", 0},
		{"is on the bridge", `$moss run --rm ./root ls /sys/class/net`, "eth0\nlo\n", "", 0},
		{"has loopback alone", `$run ./root ls /sys/class/net`, "lo\n", "", 0},
	})
}

func TestRunEnvironment(t *testing.T) {
	play(t, []scene{
		{"variable", `$run -e A=b -e EMPTY= ./root sh -c 'echo $A${EMPTY-unset}'`, "b\n", "", 0},
		{"variable of the caller", `C=d $run -e C ./root sh -c 'echo $C'`, "d\n", "", 0},
		{"caller's variables stay outside", `SECRET=1 $run ./root env`, "~(?:(?:HOME=/root|HOSTNAME=[0-9a-f]{12}|APT_CONFIG=/dev/moss-apt.conf|PATH=[^\n]*)\n)+", "", 0},
		{"hostname", `$run --hostname box ./root hostname`, "box\n", "", 0},
		{"hostname is the short id", `$run ./root hostname`, "~[0-9a-f]{12}\n", "", 0},
		{"working directory", `$run -w /etc ./root pwd`, "/etc\n", "", 0},
		{"working directory is made", `$run -w /made/here ./root pwd`, "/made/here\n", "", 0},
		{"entrypoint", `$run --entrypoint /bin/echo ./root a b`, "a b\n", "", 0},
		{"umask", `$run ./root sh -c umask`, "0022\n", "", 0},
		{"resolv.conf is there", `$run ./root sh -c '[ -f /etc/resolv.conf ] && echo yes'`, "yes\n", "", 0},
		{"tty is none", `$run ./root tty`, "not a tty\n", "", 1},
	})
}

func TestRunRootFileSystem(t *testing.T) {
	play(t, []scene{
		{"is writable and thrown away", `$run ./root sh -c 'echo x >/new; rm /etc/group; ls /new' && ls root/new root/etc/group 2>/dev/null`, "/new\nroot/etc/group\n", "", 2},
		{"has Docker's devices", `$run ./root sh -c 'for d in null zero full random urandom tty; do [ -c /dev/$d ] || echo no $d; done; ls /dev/fd/ >/dev/null; readlink /dev/stdin'`, "/proc/self/fd/0\n", "", 0},
		{"devices work", `$run ./root sh -c 'echo x >/dev/null; head -c 3 /dev/zero | wc -c'`, "3\n", "", 0},
		{"has a private /tmp", `echo host >/tmp/moss-canary-$$; $run ./root sh -c 'ls /tmp | grep -c canary'; rm /tmp/moss-canary-$$`, "0\n", "", 0},
		{"shm is there", `$run ./root sh -c 'echo x >/dev/shm/x && df -k /dev/shm | tail -n 1 | while read a size b; do echo $size; done'`, "65536\n", "", 0},
		{"proc shows its own processes", `$run ./root sh -c 'ls -d /proc/[0-9]* | wc -l'`, "~[1-4]\n", "", 0},
		{"sys is read-only", `$run ./root sh -c 'echo x >/sys/x'`, "", "*Read-only", 1},
		{"chown to another id", `$run ./root sh -c 'touch /f && chown 5:5 /f && echo done'`, "done\n", "", 0},
	})
}

func TestRunVolumes(t *testing.T) {
	play(t, []scene{
		{"bind", `mkdir -p data; echo in >data/f; $run -v "$PWD/data:/data:ro" ./root cat /data/f; rm -rf data`, "in\n", "", 0},
		{"bind read-only", `mkdir -p data; $run -v "$PWD/data:/data:ro" ./root touch /data/f; echo code $?; rm -rf data`, "code 1\n", "*Read-only file system", 0},
		{"bind of a file", `echo text >one; $run -v "$PWD/one:/etc/one:ro" ./root cat /etc/one`, "text\n", "", 0},
		{"named", `$run -v vol-a:/data ./root sh -c 'echo kept >/data/f'; $run -v vol-a:/data ./root cat /data/f`, "kept\n", "", 0},
		{"name that is none", `$run -v 'b!d:/data' ./root true`, "", `*includes invalid characters for a local volume name`, 125},
		{"relative target", `$run -v "$PWD:data" ./root true`, "", `*mount path must be absolute`, 125},
	})
}

// What root in a container writes to a bound directory is the user's own. Real root is nobody's root inside: its containers write
// where their range may, and that they may not here is the point of the range.
func TestRunVolumesBelongToTheUser(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		s := scene{"", `mkdir data; $run -v "$PWD/data:/data" ./root sh -c 'echo out >/data/g'; cat data/g; [ -O data/g ] && echo mine`, "out\nmine\n", "", 0}
		if l.Ids == harness.RootIds {
			s.stdout, s.stderr, s.code = "", `~(?s)moss: .* cannot be written inside: .* chown -R .*Permission denied.*`, 1
		}
		s.play(t, l, "moss")
	})
}

func TestRunErrors(t *testing.T) {
	play(t, []scene{
		{"no such command", `$run ./root nosuch`, "", `*exec: "nosuch": executable file not found in $PATH`, 127},
		{"no such path", `$run ./root /no/such`, "", `*no such file or directory`, 127},
		{"not executable", `$run ./root /etc/passwd`, "", `*permission denied`, 126},
		{"a directory", `$run ./root /etc`, "", `*"/etc"`, 126},
		{"unknown flag", `$moss run --nosuch ./root`, "", `*unknown flag: --nosuch`, 125},
		{"no image", `$moss run`, "", "*requires at least 1 argument", 1},
		{"no such directory", `$run ./nosuch true`, "", "*./nosuch", 125},
		{"a file as image", `$run ./root/etc/passwd true`, "", "*not a directory", 125},
		{"bad image name", `$run upper/CASE true`, "", "*invalid reference format", 125},
		{"bad container name", `$run --name 'a b' ./root true`, "", "*Invalid container name (a b)", 125},
		{"bad user", `$run -u nosuchuser ./root true`, "", "*unable to find user nosuchuser", 125},
		{"unknown network", `$moss run --rm --network nosuch ./root true`, "", "*network nosuch not found", 125},
		{"one line and a hint", `$run ./nosuch true`, "", "~$moss: [^\n]+\n(hint: [^\n]+\n)*", 125},
		{"unknown command", `$moss nosuch`, "", "*'nosuch' is not a $moss command", 1},
	})
}

func TestRunImageWithoutAnything(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.CreateTree(l.Work+"/static", "exe busybox @/usr/bin/busybox")
		l.Moss("run", "--rm", "--network", "none", "./static", "/busybox", "echo", "alone").Want(t, harness.Result{Stdout: "alone\n"})
		l.CreateTree(l.Work+"/nothing", "dir etc")
		l.Moss("run", "--rm", "--network", "none", "./nothing", "sh").Fails(t, 127, "executable file not found in $PATH")
	})
}

func TestRunForwardsSignals(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		cmd := l.Command("moss", "run", "--rm", "--name", "sig", "--network", "none", "./root", "sh", "-c",
			`trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done`)
		out := &notifyWriter{want: "ready", seen: make(chan struct{})}
		cmd.Stdout = out
		go func() {
			select {
			case <-out.seen:
			case <-time.After(harness.Patience / 2):
			}
			_ = cmd.Process.Signal(terminate)
		}()
		if r := l.Do(cmd); r.Code != 5 || !strings.Contains(out.String(), "got") {
			t.Errorf("after SIGTERM: %s, stdout %q", r, out.String())
		}
	})
}

func TestRunWithoutRuntimeDirectory(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Unset("XDG_RUNTIME_DIR")
		l.Moss("run", "--rm", "--network", "none", "./root", "echo", "hello").Want(t, harness.Result{Stdout: "hello\n"})
		l.Moss("run", "-d", "--name", "dd", "--network", "none", "./root", "sleep", "1000").OK(t)
		l.Moss("exec", "dd", "echo", "in").Want(t, harness.Result{Stdout: "in\n"})
		l.Moss("rm", "-f", "dd").Want(t, harness.Result{Stdout: "dd\n"})
	})
}
