package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// Each scene of cp is played with a running and with a stopped container, both of which have the same tree.
func TestCopy(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		make := "mkdir -p /d/sub; echo hi >/d/f; echo deep >/d/sub/g; ln -s f /d/l; ln -s /d /dd"
		start(t, l, "up", "sh", "-c", make+"; sleep 1000")
		start(t, l, "down", "sh", "-c", make)
		ended(t, l, "down")
		harness.Eventually(t, harness.Patience, "the tree is there", func() bool { return l.Moss("exec", "up", "ls", "/dd").Code == 0 })
		for _, c := range []string{"up", "down"} {
			for _, s := range []scene{
				{"file to a name", `$moss cp C:/d/f out && cat out; rm out`, "hi\n", "~Successfully copied \\S+kB to out\n", 0},
				{"file to a directory", `$moss cp -q C:/d/f . && cat f; rm f`, "hi\n", "", 0},
				{"quiet", `$moss cp -q C:/d/f out; rm out`, "", "", 0},
				{"directory to a new name", `$moss cp -q C:/d new && ls -R new; rm -r new`, "new:\nf\nl\nsub\n\nnew/sub:\ng\n", "", 0},
				{"directory into a directory", `mkdir old; $moss cp -q C:/d old && ls old old/d; rm -r old`, "old:\nd\n\nold/d:\nf\nl\nsub\n", "", 0},
				{"content of a directory", `mkdir old; $moss cp -q C:/d/. old && ls old; rm -r old`, "f\nl\nsub\n", "", 0},
				{"a link stays one", `$moss cp -q C:/d/l . && readlink l; rm l`, "f\n", "", 0},
				{"a link is followed", `$moss cp -qL C:/d/l . && cat f; rm f`, "hi\n", "", 0},
				{"through a link", `$moss cp -q C:/dd/f . && cat f; rm f`, "hi\n", "", 0},
				{"as a stream", `$moss cp C:/d - | tar t`, "d/\nd/f\nd/l\nd/sub/\nd/sub/g\n", "", 0},
				{"missing", `$moss cp C:/nosuch .`, "", "$moss: Could not find the file /nosuch in container C\n", 1},
				{"no such target", `$moss cp C:/d/f no/such/x`, "", "*does not exist", 1},
				{"no such target directory", `$moss cp C:/d/f nosuch/`, "", "$moss: no such directory: nosuch/\n", 1},
				{"directory onto a file", `touch file; $moss cp C:/d file; c=$?; rm file; exit $c`, "", "$moss: cannot copy directory\n", 1},
				{"a directory of ours stays", `mkdir -p x/f; $moss cp C:/d/. x; c=$?; ls x | head -1; rm -r x; exit $c`, "f\n", "*cannot overwrite directory", 1},
				{"file in", `echo new >n; $moss cp -q n C:/d && $moss cp C:/d/n - | tar xO; rm n`, "new\n", "", 0},
				{"file in by a name", `echo new >n; $moss cp n C:/d/sub/m && $moss cp C:/d/sub/m - | tar xO; rm n`, "new\n", "~Successfully copied \\S+kB to C:/d/sub/m\n", 0},
				{"belongs to root", `echo new >n; $moss cp -q n C:/d && $moss cp C:/d/n - | tar tv --numeric-owner | cut -d' ' -f2; rm n`, "0/0\n", "", 0},
				{"directory in", `mkdir -p t/u; touch t/u/v; $moss cp -q t C:/d/sub; $moss cp C:/d/sub/t - | tar t; rm -r t`, "t/\nt/u/\nt/u/v\n", "", 0},
				{"content in", `mkdir -p t/u; touch t/u/v; $moss cp -q t/. C:/d/sub; $moss cp C:/d/sub/u - | tar t; rm -r t`, "u/\nu/v\n", "", 0},
				{"stream in", `echo s >s; tar c s | $moss cp - C:/d; $moss cp C:/d/s - | tar xO; rm s`, "s\n", "", 0},
				{"stream onto a file", `tar c -T /dev/null | $moss cp - C:/d/f`, "", "$moss: destination \"C:/d/f\" must be a directory\n", 1},
				{"directory onto a file in", `mkdir t; $moss cp t C:/d/f; c=$?; rm -r t; exit $c`, "", "$moss: cannot copy directory\n", 1},
				{"no parent inside", `touch n; $moss cp n C:/no/such; c=$?; rm n; exit $c`, "", "$moss: Could not find the file /no in container C\n", 1},
				{"between containers", `$moss cp C:/d other:/d`, "", "$moss: copying between containers is not supported\n", 1},
				{"no container", `$moss cp ./a ./b`, "", "$moss: must specify at least one container source\n", 1},
				{"unknown container", `$moss cp nosuch:/d .`, "", "*No such container: nosuch", 1},
			} {
				s.line, s.stderr = strings.ReplaceAll(s.line, "C:", c+":"), strings.ReplaceAll(s.stderr, "C:", c+":")
				s.stderr = strings.ReplaceAll(s.stderr, "container C", "container "+c)
				t.Run(c+" "+s.name, func(t *testing.T) { s.play(t, l, "moss") })
			}
		}
		l.Moss("start", "down").OK(t) // the upper directory is as good as before
		l.Moss("rm", "-f", "up", "down").OK(t)
	})
}

// A link that leads out of the container leads to the container's own file, in both directions; the control shows that it
// would reach the host's.
func TestCopyStaysInside(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		canary := filepath.Join(l.Work, "canary")
		if err := os.WriteFile(canary, []byte("host\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		plant := "ln -s " + l.Work + " /out; ln -s " + canary + " /steal"
		start(t, l, "up", "sh", "-c", plant+"; sleep 1000")
		start(t, l, "down", "sh", "-c", plant)
		ended(t, l, "down")
		harness.Eventually(t, harness.Patience, "the links are there", func() bool { return strings.Contains(l.Moss("exec", "up", "ls", "/").Stdout, "steal") })
		for _, c := range []string{"up", "down"} {
			l.Moss("cp", "-L", c+":/steal", "got").Fails(t, 1, "Could not find the file /steal")
			l.Sh("moss", `echo bad >bad; $moss cp -q bad `+c+`:/out/canary; cat canary`).Want(t, harness.Result{Stdout: "host\n", Stderr: "moss: Could not find the file /out in container " + c + "\n"})
		}
		l.Sh("moss", `cat `+canary).Want(t, harness.Result{Stdout: "host\n"})
		// The control: who follows the links by joined strings reaches the host's file from either container.
		l.Sh("moss", `cat `+l.Data()+`/containers/*/upper/steal; cat `+l.Data()+`/containers/*/upper/out/canary`).Want(t, harness.Result{Stdout: strings.Repeat("host\n", 4)})
		l.Moss("rm", "-f", "up", "down").OK(t)
	})
}

func TestDiffAndExport(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		change := "rm /bin/uname; mkdir -p /new/dir; echo one >/new/dir/file; echo more >>/etc/passwd; sync"
		start(t, l, "up", "sh", "-c", change+"; touch /ready; sleep 1000")
		start(t, l, "down", "sh", "-c", change+"; touch /ready")
		l.Moss("create", "--name", "fresh", "--network", "none", "./root", "true").OK(t)
		ended(t, l, "down")
		harness.Eventually(t, harness.Patience, "the changes are made", func() bool { return l.Moss("exec", "up", "ls", "/ready").Code == 0 })
		for _, c := range []string{"up", "down"} {
			l.Moss("diff", c).Want(t, harness.Result{Stdout: "C /bin\nD /bin/uname\nC /etc\nC /etc/passwd\nA /new\nA /new/dir\nA /new/dir/file\nA /ready\n"})
			l.Sh("moss", `$moss export `+c+` | tar xO new/dir/file`).Want(t, harness.Result{Stdout: "one\n"})
			l.Sh("moss", `$moss export -o all.tar `+c+` && tar tf all.tar | grep -cE '^bin/(uname|sh)$'; rm all.tar`).Want(t, harness.Result{Stdout: "1\n"})
		}
		l.Moss("diff", "fresh").Want(t, harness.Result{})
		l.Moss("diff", "nosuch").Fails(t, 1, "No such container: nosuch")
		l.Moss("export", "nosuch").Fails(t, 1, "No such container: nosuch")
		l.Moss("export", "-o", "/nonexistent/x", "up").Fails(t, 1, "no such file or directory")
		l.Moss("rm", "-f", "up", "down", "fresh").OK(t)
	})
}
