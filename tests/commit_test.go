package tests

import (
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

func TestCommit(t *testing.T) {
	ref := harness.ServeRegistry(t, nil).Push(t, "base:1", harness.BusyboxImage(t))
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Moss("run", "--name", "cc", "--network", "none", "-e", "A=b", "-v", "/vol", ref, "sh", "-c", "echo made >/made; rm /bin/uname; echo kept >/vol/file; mkdir -p /d; chmod 700 /d").OK(t)
		start := `$moss run --rm --network none mine `
		for _, s := range []scene{
			{"prints the id", `$moss commit -m why -a who -c 'CMD ["echo","hello"]' -c 'ENV C="d e"' -c 'LABEL l=1' cc mine`, `~sha256:[0-9a-f]{64}\n`, "", 0},
			{"files", start + `cat /made`, "made\n", "", 0},
			{"what was removed", start + `sh -c 'ls /bin/uname 2>/dev/null'`, "", "", 1},
			{"modes", start + `stat -c %a /d`, "700\n", "", 0},
			{"nothing of volumes", start + `ls -A /vol`, "", "", 0},
			{"the command", start, "hello\n", "", 0},
			{"variables", start + `sh -c 'echo $A $C'`, "b d e\n", "", 0},
			{"settings", `$moss image inspect -f '{{.Author}} {{.Comment}} {{.Config.Labels.l}} {{len .RootFS.Layers}}' mine`, "who why 1 2\n", "", 0},
			{"again", `$moss run --name dd --network none mine touch /again && $moss commit dd mine:2 >/dev/null && $moss run --rm --network none mine:2 ls /again /made; $moss rm dd`, "/again\n/made\ndd\n", "", 0},
			{"a running one goes on", `$moss run -d --name ee --network none mine sh -c 'echo x >/x; sleep 1000' >/dev/null; until $moss exec ee cat /x >/dev/null 2>&1; do :; done; $moss commit ee three >/dev/null && $moss exec ee echo on && $moss run --rm --network none three cat /x; $moss rm -f ee`, "on\nx\nee\n", "", 0},
			{"of a directory", `$moss create --name ff --network none ./root true >/dev/null; $moss commit ff; c=$?; $moss rm ff >/dev/null; exit $c`, "", "*hint: ", 1},
			{"bad change", `$moss commit -c 'RUN x' cc`, "", "$moss: RUN is not a valid change command\n", 1},
			{"bad name", `$moss commit cc Bad:Name:1`, "", "*reference format", 1},
			{"no container", `$moss commit nosuch`, "", "*No such container: nosuch", 1},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
		l.Moss("rm", "-v", "cc").OK(t)
		l.Moss("rmi", "-f", "mine", "mine:2", "three", ref).OK(t)
	})
}
