package harness

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// Terminal is a program running under a pty of its own, as a person at a keyboard would have it.
type Terminal struct {
	t    testing.TB
	cmd  *exec.Cmd
	pty  *os.File
	done chan struct{} // closed when the program has ended and all its output is in

	mu   sync.Mutex
	out  bytes.Buffer // all that was shown
	seen int          // how much of it Expect has passed
}

// Terminal runs "moss" or "docker" with args under a new terminal of 80 columns and 24 rows.
func (l *Login) Terminal(name string, args ...string) *Terminal {
	l.t.Helper()
	cmd := l.Command(name, args...)
	cmd.Env = append(append([]string(nil), cmd.Env...), "TERM=xterm")
	return l.terminal(cmd)
}

func (l *Login) terminal(cmd *exec.Cmd) *Terminal {
	l.t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		l.t.Fatal(err)
	}
	defer slave.Close()
	// As login does: the terminal belongs to who sits at it, so that its name can be opened again.
	if err := errors.Join(slave.Chown(l.UID, -1), pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80})); err != nil {
		l.t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr.Setctty = true
	if err := cmd.Start(); err != nil {
		l.t.Fatalf("%v: %v", cmd.Args, err)
	}
	term := &Terminal{t: l.t, cmd: cmd, pty: master, done: make(chan struct{})}
	go term.read()
	l.t.Cleanup(term.hangUp)
	return term
}

// read collects what is shown until the last process has closed the terminal.
func (term *Terminal) read() {
	defer close(term.done)
	b := make([]byte, 4096)
	for {
		n, err := term.pty.Read(b)
		term.mu.Lock()
		term.out.Write(b[:n])
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Type sends keys: "ls\r", "\x03" for Ctrl-C, "\x10\x11" for Docker's detach keys.
func (term *Terminal) Type(keys string) {
	term.t.Helper()
	if _, err := term.pty.WriteString(keys); err != nil {
		term.t.Fatalf("typing %q: %v", keys, err)
	}
}

// Expect waits until the regular expression is shown behind what the last Expect saw, and returns its submatches.
func (term *Terminal) Expect(pattern string) []string {
	term.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		term.mu.Lock()
		text := term.out.String()[term.seen:]
		at := re.FindStringSubmatchIndex(text)
		if at != nil {
			term.seen += at[1]
			term.mu.Unlock()
			return re.FindStringSubmatch(text[at[0]:at[1]])
		}
		term.mu.Unlock()
	}
	term.t.Fatalf("%v: no %q on the terminal within %v, which shows %q", term.cmd.Args, pattern, Patience, term.Shown())
	return nil
}

// Shown is all that appeared so far.
func (term *Terminal) Shown() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return strings.ReplaceAll(term.out.String(), "\r\n", "\n")
}

// Resize changes the window; the program gets SIGWINCH.
func (term *Terminal) Resize(rows, cols uint16) {
	term.t.Helper()
	if err := pty.Setsize(term.pty, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
		term.t.Fatal(err)
	}
}

// Wait returns the exit code of the program.
func (term *Terminal) Wait() int {
	term.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- term.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(Patience):
		term.t.Fatalf("%v: still running after %v, the terminal shows %q", term.cmd.Args, Patience, term.Shown())
	}
	return exitCode(term.cmd.ProcessState)
}

// TerminalSh runs a shell line, in which $moss is the tool, under a new terminal.
func (l *Login) TerminalSh(line string) *Terminal {
	l.t.Helper()
	cmd := l.Command("sh", "-c", line)
	cmd.Env = append(append([]string(nil), l.Env...), "TERM=xterm", "moss="+l.Command("moss").Path)
	return l.terminal(cmd)
}

// Close closes the terminal, as closing its window would.
func (term *Terminal) Close() { _ = term.pty.Close() }

// hangUp closes the terminal, as closing its window would, and reaps the program.
func (term *Terminal) hangUp() {
	_ = term.pty.Close()
	<-term.done
	if term.cmd.ProcessState == nil {
		_ = term.cmd.Process.Kill()
		_ = term.cmd.Wait()
	}
}
