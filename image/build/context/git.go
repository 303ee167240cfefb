package context

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/moss-sandbox/moss/image/build/tree"
)

// A GitRef names a tree in a git repository: REMOTE[#REF[:SUBDIR]].
type GitRef struct {
	Remote   string
	Ref      string // branch, tag or commit; "" is the remote's HEAD
	Subdir   string
	Checksum string // beginning of the commit id that Ref must have; "" is any
	KeepGit  bool   // keep .git
}

var scpLike = regexp.MustCompile(`^[a-zA-Z0-9_.-]+@[a-zA-Z0-9.-]+:[^\s]+$`)

// ParseGit tells whether s names a git repository, and which: a URL with the scheme git or ssh, one of http(s) whose path
// ends in .git, git@host:path, or (for contexts) github.com/…. file:// and ext:: never do.
func ParseGit(s string, forContext bool) (GitRef, bool) {
	remote, fragment, _ := strings.Cut(s, "#")
	ref, sub, _ := strings.Cut(fragment, ":")
	g := GitRef{Remote: remote, Ref: ref, Subdir: sub}
	if forContext && strings.HasPrefix(s, "github.com/") {
		g.Remote = "https://" + remote
		return g, true
	}
	if scpLike.MatchString(remote) && !strings.Contains(remote, "://") {
		return g, true
	}
	u, err := url.Parse(remote)
	if err != nil || u.Host == "" || strings.HasPrefix(u.Host, "-") {
		return GitRef{}, false
	}
	switch u.Scheme {
	case "git", "ssh", "git+ssh", "ssh+git":
		return g, true
	case "http", "https":
		return g, strings.HasSuffix(u.Path, ".git")
	}
	return GitRef{}, false
}

// safeRef has no leading dash, which git would take for an option, and nothing git forbids in names.
var safeRef = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9_./+@-]*$`)

func (g GitRef) check() error {
	if strings.HasPrefix(g.Remote, "-") {
		return fmt.Errorf("invalid git remote %q", g.Remote)
	}
	if g.Ref != "" && (!safeRef.MatchString(g.Ref) || strings.Contains(g.Ref, "..")) {
		return fmt.Errorf("invalid git reference %q", g.Ref)
	}
	for _, part := range strings.Split(g.Subdir, "/") {
		if part == ".." {
			return fmt.Errorf("git subdirectory %q leads outside of the repository", g.Subdir)
		}
	}
	return nil
}

// CloneGit fetches one commit into dir, an empty directory, and opens the tree as a context. The git program must be
// installed.
func CloneGit(ctx context.Context, g GitRef, dir string) (*Context, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, &GitError{Remote: g.Remote, Text: "the git program is not installed", Err: err, Hint: "install git, or give the sources as a directory or a tar archive"}
	}
	repo := &gitRepo{program: program, dir: dir, remote: g.Remote}
	if err := repo.checkout(ctx, g); err != nil {
		return nil, err
	}
	if !g.KeepGit {
		if err := os.RemoveAll(filepath.Join(dir, ".git")); err != nil {
			return nil, err
		}
	}
	return g.open(dir)
}

func (g GitRef) open(dir string) (*Context, error) {
	root, err := tree.Open(dir)
	if err != nil || g.Subdir == "" {
		return &Context{Path: dir, Root: root}, err
	}
	defer root.Close()
	real, err := root.Real(path.Clean("/" + g.Subdir))
	if err != nil {
		return nil, err
	}
	sub, err := root.At(real)
	if err != nil {
		return nil, &GitError{Remote: g.Remote, Text: fmt.Sprintf("it has no directory %q", g.Subdir), Err: err}
	}
	return &Context{Path: filepath.Join(dir, real), Root: sub}, nil
}

// GitError is what git says when it cannot fetch.
type GitError struct {
	Remote string
	Text   string
	Err    error
	Hint   string
}

func (e *GitError) Error() string { return fmt.Sprintf("fetching %q: %s", e.Remote, e.Text) }

// Unwrap returns the reason.
func (e *GitError) Unwrap() error { return e.Err }

// Hints returns the remedy, if there is one.
func (e *GitError) Hints() []string {
	if e.Hint == "" {
		return nil
	}
	return []string{e.Hint}
}

type gitRepo struct{ program, dir, remote string }

// hardened are settings no repository may change: no local or helper transports, no hooks.
var hardened = []string{
	"-c", "protocol.file.allow=never", "-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",
	"-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false", "-c", "gc.auto=0",
}

func (r *gitRepo) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, r.program, append(append([]string{}, hardened...), args...)...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=http:https:git:ssh", "LC_ALL=C")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", &GitError{Remote: r.remote, Text: lastLine(errs.String()), Err: err}
	}
	return strings.TrimSpace(out.String()), nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func (r *gitRepo) checkout(ctx context.Context, g GitRef) error {
	if _, err := r.run(ctx, "init", "--quiet", "."); err != nil {
		return err
	}
	if err := r.fetch(ctx, g.Ref); err != nil {
		return err
	}
	commit, err := r.run(ctx, "rev-parse", "--verify", "FETCH_HEAD^{commit}")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(commit, g.Checksum) {
		return &GitError{Remote: r.remote, Text: fmt.Sprintf("expected checksum to match %s, got %s", g.Checksum, commit), Err: errors.New("checksum mismatch")}
	}
	if _, err := r.run(ctx, "checkout", "--quiet", "--force", commit); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(r.dir, ".gitmodules")); err != nil {
		return nil
	}
	if _, err := r.run(ctx, "remote", "add", "origin", "--", g.Remote); err != nil {
		return err
	}
	_, err = r.run(ctx, "submodule", "update", "--init", "--recursive", "--depth", "1", "--quiet")
	return err
}

// fetch takes one commit where the server allows it, else all of them.
func (r *gitRepo) fetch(ctx context.Context, ref string) error {
	want := ref
	if want == "" {
		want = "HEAD"
	}
	_, err := r.run(ctx, "fetch", "--quiet", "--depth", "1", "--no-tags", "--", r.remote, want)
	if err == nil || ref == "" {
		return err
	}
	if _, all := r.run(ctx, "fetch", "--quiet", "--tags", "--", r.remote, "+refs/heads/*:refs/remotes/origin/*"); all != nil {
		return err
	}
	commit, all := r.run(ctx, "rev-parse", "--verify", "--end-of-options", ref+"^{commit}")
	if all != nil {
		return err
	}
	_, all = r.run(ctx, "update-ref", "FETCH_HEAD", commit)
	return all
}
