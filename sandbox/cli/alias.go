//go:build !hot

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/sys"
)

var aliasCommand = Command{
	Name: "alias", Args: "DIR", Short: "Make the command docker in DIR: a link to this program", Min: 1, Max: 1,
	Setup: func(*pflag.FlagSet) Runner {
		return func(_ context.Context, app *App, args []string) error { return app.alias(args[0]) }
	},
}

// alias makes DIR/docker a link to this program, never in the place of somebody else's docker.
func (a *App) alias(dir string) error {
	program, err := programPath()
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return &engine.Hint{Err: fmt.Errorf("%q is no directory", dir), Remedy: "make it first: mkdir -p " + dir}
	}
	link := filepath.Join(dir, "docker")
	if err := makeAlias(program, link); err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "%s -> %s\n", Quote(link), Quote(program))
	if found, err := exec.LookPath("docker"); err != nil || !sameFile(found, link) {
		a.aliasNote(found, dir)
	}
	return nil
}

// aliasNote tells why typing docker does not start the link.
func (a *App) aliasNote(found, dir string) {
	if found == "" {
		a.note("%s is not in PATH: the word docker is not found yet", Quote(dir))
	} else {
		a.note("another docker comes first in PATH: %s", Quote(found))
	}
	fmt.Fprintf(a.Err, "hint: PATH=%s:$PATH\n", Quote(dir))
}

// makeAlias makes link lead to program. What stands there already is replaced only if it is moss.
func makeAlias(program, link string) error {
	err := os.Symlink(program, link)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if sameFile(program, link) {
		return nil
	}
	old, err := os.Readlink(link)
	if err != nil || filepath.Base(old) != filepath.Base(program) {
		return &engine.Hint{Err: fmt.Errorf("%q is another program's and stays as it is", link), Remedy: "choose another directory that comes earlier in PATH"}
	}
	next := link + ".new" // a link to a moss that was moved or upgraded
	if err := os.Symlink(program, next); err != nil {
		return err
	}
	if err := os.Rename(next, link); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return nil
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// programPath is where this program's file lies; the full program itself is executed from memory.
func programPath() (string, error) {
	f, err := role.Program()
	if err != nil {
		return "", err
	}
	defer f.Close()
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", sys.FD(f)))
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	if strings.HasSuffix(path, " (deleted)") {
		return "", errors.New("this program's file has been removed or replaced meanwhile")
	}
	return path, nil
}
