package context

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moss-sandbox/moss/image/build/dockerfile"
	"github.com/moss-sandbox/moss/image/build/tree"
)

// A Context is a directory to build from.
type Context struct {
	Path     string    // absolute; the caller's own
	Root     *tree.Dir // Close closes it
	Ignore   []string  // patterns of .dockerignore
	Remember bool      // digests of its files may be kept for the next build: it is not a temporary copy
}

// Open opens a directory as a build context.
func Open(dir string) (*Context, error) {
	path, err := filepath.Abs(dir)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, &PathError{Path: dir, Err: errors.New("path not found")}
	}
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(path); err == nil && !st.IsDir() {
		return nil, &PathError{Path: dir, Err: errors.New("context must be a directory"), Hint: "give the directory that holds the Dockerfile, and the file itself with -f"}
	}
	root, err := tree.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening build context: %w", err)
	}
	return &Context{Path: path, Root: root, Remember: true}, nil
}

// Close closes the context's directory.
func (c *Context) Close() error { return c.Root.Close() }

// A PathError says what is wrong with the context that was asked for.
type PathError struct {
	Path string
	Err  error
	Hint string
}

func (e *PathError) Error() string {
	return fmt.Sprintf("unable to prepare context: path %q: %v", e.Path, e.Err)
}

// Unwrap returns the reason.
func (e *PathError) Unwrap() error { return e.Err }

// Hints returns the remedy, if there is one.
func (e *PathError) Hints() []string {
	if e.Hint == "" {
		return nil
	}
	return []string{e.Hint}
}

// ReadIgnore reads the exclusions: the file beside the Dockerfile with .dockerignore added to its name, else .dockerignore.
// dockerfile is relative to the context, or "" when it comes from elsewhere.
func (c *Context) ReadIgnore(dockerfile string) error {
	names := []string{".dockerignore"}
	if dockerfile != "" {
		names = append([]string{dockerfile + ".dockerignore"}, names...)
	}
	for _, name := range names {
		b, err := c.Root.ReadSmall(name, tree.MaxIgnoreSize)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading %q: %w", name, err)
		}
		p, err := tree.ReadIgnore(bytes.NewReader(b))
		if err != nil {
			return err
		}
		c.Ignore = p.Words()
		return nil
	}
	return nil
}

// Dockerfile opens the Dockerfile. name "" is Dockerfile, or dockerfile where there is only that. A name is looked for in
// the context first and then, when outside is allowed, as a path of the caller; inContext is its name in the context, "" for
// one outside.
func (c *Context) Dockerfile(name string, outside bool) (r io.Reader, inContext string, err error) {
	if name == "" {
		return c.defaultDockerfile()
	}
	if outside {
		if b, in, err := c.callersFile(name); err == nil || !errors.Is(err, os.ErrNotExist) {
			return bytes.NewReader(b), in, err
		}
	}
	if b, err := c.Root.ReadSmall(name, dockerfile.MaxSize); err == nil {
		return bytes.NewReader(b), name, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, "", fmt.Errorf("reading Dockerfile: %w", err)
	}
	return nil, "", c.noDockerfile(name)
}

func (c *Context) defaultDockerfile() (io.Reader, string, error) {
	for _, name := range []string{"Dockerfile", "dockerfile", "Containerfile"} {
		b, err := c.Root.ReadSmall(name, dockerfile.MaxSize)
		if err == nil {
			return bytes.NewReader(b), name, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, "", fmt.Errorf("reading Dockerfile: %w", err)
		}
	}
	return nil, "", c.noDockerfile("Dockerfile")
}

// callersFile reads -f as a path of the caller, as the docker command does.
func (c *Context) callersFile(name string) ([]byte, string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, "", err
	}
	st, err := os.Stat(abs)
	if err != nil {
		return nil, "", err
	}
	if !st.Mode().IsRegular() {
		return nil, "", &tree.NotRegularError{Path: name}
	}
	f, err := os.Open(abs)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, dockerfile.MaxSize+1))
	in, relErr := filepath.Rel(c.Path, abs)
	if relErr != nil || in == ".." || strings.HasPrefix(in, "../") {
		in = ""
	}
	return b, in, err
}

func (c *Context) noDockerfile(name string) error {
	e := &PathError{Path: filepath.Join(c.Path, name), Err: errors.New("unable to evaluate symlinks in Dockerfile path: no such file or directory")}
	names, _ := c.Root.Names()
	var like []string
	for _, n := range names {
		if low := strings.ToLower(n); strings.Contains(low, "dockerfile") || strings.Contains(low, "containerfile") {
			like = append(like, n)
		}
	}
	if near := dockerfile.Nearest(name, names); near != "" && len(like) == 0 {
		like = append(like, near)
	}
	if len(like) > 0 {
		e.Hint = fmt.Sprintf("the context holds %s: name it with -f", strings.Join(like, ", "))
	}
	return e
}
