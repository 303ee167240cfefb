//go:build !hot

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine/files"
)

// cpOptions are the flags of cp.
type cpOptions struct{ archive, follow, quiet bool }

var cpCommand = Command{
	Name: "cp", Aliases: []string{"container cp"}, Args: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-  |  [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
	Short: "Copy files/folders between a container and the local filesystem", Min: 2, Max: 2,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &cpOptions{}
		fs.BoolVarP(&o.archive, "archive", "a", false, "Archive mode (copy all uid/gid information)")
		fs.BoolVarP(&o.follow, "follow-link", "L", false, "Always follow symbol link in SRC_PATH")
		fs.BoolVarP(&o.quiet, "quiet", "q", false, "Suppress progress output during copy")
		return o.run
	},
}

func (o *cpOptions) run(ctx context.Context, app *App, args []string) error {
	from, src := splitCopy(args[0])
	to, dst := splitCopy(args[1])
	switch {
	case src == "" || dst == "":
		return errors.New("neither source nor destination may be empty")
	case from != "" && to != "":
		return errors.New("copying between containers is not supported")
	case from == "" && to == "":
		return errors.New("must specify at least one container source")
	}
	e, err := app.Engine()
	if err != nil {
		return err
	}
	app.sudoNote()
	c, err := files.Open(ctx, e, cmp.Or(from, to))
	if err != nil {
		return err
	}
	defer c.Close()
	if from != "" {
		return o.out(ctx, app, c, from, src, dst)
	}
	return o.in(ctx, app, c, src, to, dst)
}

// splitCopy splits CONTAINER:PATH. What begins with a slash or a dot is of this machine, whatever colons it has.
func splitCopy(arg string) (container, p string) {
	if filepath.IsAbs(arg) || strings.HasPrefix(arg, ".") {
		return "", arg
	}
	name, rest, ok := strings.Cut(arg, ":")
	if !ok || name == "" {
		return "", arg
	}
	return name, rest
}

// report tells how much was copied.
func (o *cpOptions) report(app *App, n int64, to string) {
	if !o.quiet {
		fmt.Fprintf(app.Err, "Successfully copied %s to %s\n", units.HumanSizeWithPrecision(float64(n), 3), Quote(to))
	}
}

// counter counts what passes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// out copies from the container.
func (o *cpOptions) out(ctx context.Context, app *App, c *files.Container, name, src, dst string) error {
	src = path.Clean("/"+src) + tail2(src)
	if dst == "-" {
		if f, ok := app.outFile(); ok && isTerminal(f) {
			return errors.New("cowardly refusing to write a tar archive to a terminal: redirect standard output")
		}
		return lost(c.Read(ctx, src, o.follow, app.Out), src, name)
	}
	st, err := c.Stat(ctx, src, o.follow)
	if err != nil {
		return lost(err, src, name)
	}
	dir, as, err := o.place(st, src, dst)
	if err != nil {
		return err
	}
	top := st.Name
	if as == "" || top == "." {
		src, top = strings.TrimSuffix(src, "/.")+"/.", ""
	}
	pr, pw := io.Pipe()
	n := &counter{w: pw}
	go func() { pw.CloseWithError(c.Read(ctx, src, o.follow, n)) }()
	if top == "" && as != "" { // the root itself, under a name
		dir = filepath.Join(dir, as)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := files.Unpack(dir, top, as, pr); err != nil {
		pr.CloseWithError(err)
		return err
	}
	o.report(app, n.n, dst)
	return nil
}

// tail2 keeps what an ending of a path says: "/." for a directory's content, "/" for a directory.
func tail2(p string) string {
	switch {
	case p == "/" || p == "." || p == "":
		return ""
	case strings.HasSuffix(p, "/."):
		return "/."
	case strings.HasSuffix(p, "/"):
		return "/"
	}
	return ""
}

// lost names the container in the error of a path that is not there.
func lost(err error, p, container string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("Could not find the file %s in container %s", p, container)
	}
	return err
}

// place decides where on this machine a copy goes: a directory that is there, and the name in it; no name for a directory's
// content.
func (o *cpOptions) place(st *files.Stat, src, dst string) (dir, as string, err error) {
	content := strings.HasSuffix(src, "/.") && st.Mode.IsDir()
	have, err := os.Stat(dst)
	switch {
	case err == nil && have.IsDir():
		if content {
			return dst, "", nil
		}
		if st.Name == "." {
			return dst, "", nil
		}
		return dst, st.Name, nil
	case err == nil && st.Mode.IsDir():
		return "", "", errors.New("cannot copy directory")
	case err == nil:
		real, err := filepath.EvalSymlinks(dst)
		return filepath.Dir(real), filepath.Base(real), err
	case !errors.Is(err, fs.ErrNotExist):
		return "", "", err
	}
	if strings.HasSuffix(dst, "/") && !st.Mode.IsDir() {
		return "", "", fmt.Errorf("no such directory: %s", dst)
	}
	clean := filepath.Clean(dst)
	dir = filepath.Dir(clean)
	if p, err := os.Stat(dir); err != nil || !p.IsDir() {
		return "", "", fmt.Errorf("invalid output path: directory %q does not exist", dir)
	}
	if content {
		return clean, "", os.Mkdir(clean, 0o755)
	}
	return dir, filepath.Base(clean), nil
}

// in copies into the container.
func (o *cpOptions) in(ctx context.Context, app *App, c *files.Container, src, name, dst string) error {
	dst = path.Clean("/"+dst) + tail2(dst)
	if src == "-" {
		st, err := c.Stat(ctx, dst, true)
		if err != nil {
			return lost(err, dst, name)
		}
		if !st.Mode.IsDir() {
			return fmt.Errorf("destination \"%s:%s\" must be a directory", name, dst)
		}
		return c.Write(ctx, dst, app.In, true)
	}
	st, err := os.Lstat(src)
	if err == nil && (o.follow || strings.HasSuffix(src, "/") || strings.HasSuffix(src, "/.")) {
		st, err = os.Stat(src)
	}
	if err != nil {
		return err
	}
	dir, as, err := o.inside(ctx, c, st, src, name, dst)
	if err != nil {
		return err
	}
	pr, pw := io.Pipe()
	n := &counter{w: pw}
	go func() { pw.CloseWithError(c.Pack(src, o.follow || strings.HasSuffix(src, "/"), as, n)) }()
	err = c.Write(ctx, dir, pr, o.archive)
	pr.CloseWithError(err)
	if err != nil {
		return lost(err, dst, name)
	}
	o.report(app, n.n, name+":"+dst)
	return nil
}

// inside decides where in the container a copy goes, as place does here.
func (o *cpOptions) inside(ctx context.Context, c *files.Container, st os.FileInfo, src, name, dst string) (dir, as string, err error) {
	content := (strings.HasSuffix(src, "/.") || src == ".") && st.IsDir()
	have, err := c.Stat(ctx, dst, true)
	switch {
	case err == nil && have.Mode.IsDir():
		if content {
			return dst, "", nil
		}
		abs, err := filepath.Abs(src)
		return dst, filepath.Base(abs), err
	case err == nil && st.IsDir():
		return "", "", errors.New("cannot copy directory")
	case err == nil:
		return path.Dir(path.Clean(dst)), path.Base(dst), nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", "", err
	}
	if strings.HasSuffix(dst, "/") && !st.IsDir() {
		return "", "", fmt.Errorf("no such directory: %s:%s", name, dst)
	}
	clean := path.Clean(dst)
	dir = path.Dir(clean)
	if p, err := c.Stat(ctx, dir, true); err != nil || !p.Mode.IsDir() {
		return "", "", fmt.Errorf("Could not find the file %s in container %s", dir, name)
	}
	return dir, path.Base(clean), nil
}
