package tests

import (
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

// prompt is busybox's: it asks the terminal where the cursor is.
const prompt = `# (\x1b\[6n)?$`

func TestTerminalShell(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		for _, tool := range []string{"moss", "docker"} {
			t.Run(tool, func(t *testing.T) {
				term := l.Terminal(tool, "run", "-it", "--rm", "--name", "sh", "--network", "none", "./root", "sh")
				term.Expect(prompt)
				term.Type("tty; stty size\r")
				term.Expect(`/dev/pts/0\s+24 80`)
				term.Resize(50, 132)
				harness.Eventually(t, harness.Patience, "the new size arrives", func() bool {
					term.Type("stty size\r")
					return strings.Contains(term.Expect(`(\d+ \d+)\s`)[1], "50 132")
				})
				term.Type("sleep 100\r")
				time.Sleep(300 * time.Millisecond)
				term.Type("\x03") // Ctrl-C ends sleep, not the shell
				term.Type("echo alive $((6*7))\r")
				term.Expect(`alive 42`)
				term.Type("\x04") // Ctrl-D ends the shell
				if code := term.Wait(); code != 130 && code != 0 {
					t.Errorf("code %d after Ctrl-D\n%s", code, term.Shown())
				}
			})
		}
	})
}

func TestTerminalDetachAndAttachByExec(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		term := l.Terminal("moss", "run", "-it", "--name", "keep", "--network", "none", "./root", "sh")
		term.Expect(prompt)
		term.Type("X=stays\r")
		term.Expect(prompt)
		term.Type("\x10\x11") // Ctrl-P Ctrl-Q
		if code := term.Wait(); code != 0 {
			t.Errorf("code %d after detaching", code)
		}
		l.Moss("ps", "--format", "{{.Names}}").Want(t, harness.Result{Stdout: "keep\n"})
		in := l.Terminal("moss", "exec", "-it", "keep", "sh")
		in.Expect(prompt)
		in.Type("tty; exit 6\r")
		in.Expect(`/dev/pts/\d`)
		if code := in.Wait(); code != 6 {
			t.Errorf("exec -it: code %d", code)
		}
		l.Moss("rm", "-f", "keep").OK(t)
	})
}

func TestTerminalIsRestored(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		term := l.TerminalSh(`stty -a >before; $moss run -it --rm --network none ./root sh -c 'stty raw -echo; exit 3'; echo "code $?"; stty -a >after; cmp before after && echo same`)
		term.Expect(`code 3\s+same`)
		term.Wait()
	})
}

func TestTerminalNeedsOne(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Moss("run", "--rm", "-it", "--network", "none", "./root", "sh").Fails(t, 1, "the input device is not a TTY")
	})
}

// Closing the window ends the client; the container goes on, as with Docker.
func TestHangUp(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		term := l.Terminal("moss", "run", "-it", "--name", "hup", "--network", "none", "./root", "sh", "-c", "trap '' HUP; echo up; sleep 1000")
		term.Expect(`up`)
		term.Close()
		time.Sleep(300 * time.Millisecond)
		l.Moss("inspect", "-f", "{{.State.Status}}", "hup").Want(t, harness.Result{Stdout: "running\n"})
		l.Moss("rm", "-f", "hup").OK(t)
	})
}
