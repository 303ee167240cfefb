package tests

import (
	"archive/tar"
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

// Each option of build does what it says, and comes to the commands of RUN and into the image as it should.
func TestBuildOptions(t *testing.T) {
	registry := harness.ServeRegistry(t, nil)
	registry.Push(t, "library/busybox:latest", harness.BusyboxImage(t))
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		dockerIO(l, registry)
		l.Env = append(l.Env, "SSH_AUTH_SOCK="+agent(t, l))
		buildContext(t, l, `FROM busybox AS first
ARG WHO=nobody
LABEL from=file
RUN echo "arg $WHO" && cat /etc/hosts && ls -l /dev/shm >/dev/null
RUN --mount=type=secret,id=word cat /run/secrets/word
RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && echo agent there
COPY --from=more here /more
COPY --from=tools /bin/busybox /tools
RUN ulimit -n; df -k /dev/shm | tail -n 1 | awk '{print "shm " $2}'
FROM scratch
COPY --from=first /more /only
`)
		l.CreateTree(l.Work, "file more/here from elsewhere\nfile word sesame\n")
		out := l.Moss("build", "--network", "none", "--build-arg", "WHO=me", "--label", "from=line", "--label", "x=y", "--add-host", "far:10.1.2.3",
			"--secret", "id=word,src=word", "--ssh", "default", "--build-context", "more=more", "--build-context", "tools=docker-image://busybox",
			"--ulimit", "nofile=300:300", "--shm-size", "2m", "--target", "first", "--pull", "--platform", "linux/amd64",
			"--progress", "plain", "--iidfile", "id", "-t", "options", "ctx").OK(t)
		for _, want := range []string{"\narg me\n", "10.1.2.3\tfar", "\nsesame\n", "\nagent there\n", "\n300\n", "\nshm 2048\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("build lacks %q:\n%s", want, out)
			}
		}
		id, _ := os.ReadFile(l.Work + "/id")
		if got := l.Moss("inspect", "-f", "{{.Id}} {{.Config.Labels}}", "options").OK(t); got != string(id)+" map[from:line x:y]" {
			t.Errorf("inspect says %q, --iidfile %q", got, id)
		}
		buildOutputs(t, l)
		buildSources(t, l)
		buildCaches(t, l, registry)
		for _, c := range [][2]string{
			{"--output type=local", "invalid output"}, {"--progress blue", "invalid progress"}, {"--secret src=x", "invalid secret"},
			{"--build-context x", "expected key=value"}, {"--cache-to type=nfs,dest=x", "invalid cache"}, {"--platform a/b/c/d", "platform"},
			{"--add-host x", "bad format for add-host"}, {"--target none", `target stage "none" could not be found`}, {"-t UPPER", "must be lowercase"},
		} {
			r := l.Moss(append(append([]string{"build"}, strings.Fields(c[0])...), "ctx")...)
			if r.Code == 0 || !strings.Contains(r.Stderr, c[1]) {
				t.Errorf("build %s: %s", c[0], r)
			}
		}
	})
}

// agent listens where an ssh agent would.
func agent(t *testing.T, l *harness.Login) string {
	t.Helper()
	path := filepath.Join(l.Work, "agent")
	socket, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chown(path, l.UID, l.GID)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return path
}

// buildOutputs: the result as files, as an archive and as an OCI layout, to a file and to standard output.
func buildOutputs(t *testing.T, l *harness.Login) {
	t.Helper()
	build := func(args ...string) string {
		t.Helper()
		return l.Moss(append(append([]string{"build", "--network", "none", "--secret", "id=word,src=word", "--ssh", "default",
			"--build-context", "more=more", "--build-context", "tools=docker-image://busybox"}, args...), "ctx")...).OK(t)
	}
	build("-o", "out")
	if b, err := os.ReadFile(l.Work + "/out/only"); string(b) != "from elsewhere\n" {
		t.Errorf("local output: %q, %v", b, err)
	}
	build("--output", "type=tar,dest=out.tar")
	b, err := os.ReadFile(l.Work + "/out.tar")
	if err != nil {
		t.Fatal(err)
	}
	for name, archive := range map[string]string{"file": string(b), "standard output": build("-o", "-")} {
		if got := tarNames(t, archive); got != "only" {
			t.Errorf("tar to %s: %s", name, got)
		}
	}
	if names := tarNames(t, build("-o", "type=oci")); !strings.Contains(names, "index.json") || !strings.Contains(names, "oci-layout") {
		t.Errorf("oci output: %s", names)
	}
}

func tarNames(t *testing.T, archive string) string {
	t.Helper()
	var names []string
	r := tar.NewReader(strings.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatalf("after %q: %v", names, err)
		}
		names = append(names, strings.TrimPrefix(h.Name, "./"))
	}
}

// buildSources: Dockerfile and context on standard input, and a git repository.
func buildSources(t *testing.T, l *harness.Login) {
	t.Helper()
	with := func(stdin []byte, args ...string) {
		t.Helper()
		cmd := l.Command("moss", append([]string{"build", "-q", "--network", "none", "-t", "source"}, args...)...)
		cmd.Stdin = bytes.NewReader(stdin)
		l.Do(cmd).OK(t)
		if got := l.Moss("run", "--rm", "--network", "none", "source", "cat", "/g").OK(t); got != "hello" {
			t.Errorf("%v made an image with %q", args, got)
		}
	}
	with([]byte("FROM busybox\nCOPY app/greeting /g\n"), "-f", "-", "ctx")
	with([]byte("FROM busybox\nRUN echo hello > /g\n"), "-")
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, text := range map[string]string{"sub/Build": "FROM busybox\nCOPY x /g\n", "x": "hello\n"} {
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
		_, _ = io.WriteString(w, text)
	}
	_ = w.Close()
	with(archive.Bytes(), "-f", "sub/Build", "-")
	harness.RequireCommand(t, "git")
	l.CreateTree(l.Work+"/repo", "dir sub\nfile sub/y hello\n")
	line := `printf 'FROM busybox\nCOPY y /g\n' >repo/sub/Dockerfile && cd repo && git init -q -b main && git add . && git -c user.name=x -c user.email=x@y commit -qm x`
	if r := l.Sh("moss", line); r.Code != 0 {
		t.Fatal(r)
	}
	daemon := serveGit(t, l)
	with(nil, daemon+"#main:sub")
}

// serveGit serves the login's ./repo by git's own daemon on loopback.
func serveGit(t *testing.T, l *harness.Login) string {
	t.Helper()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, number, _ := net.SplitHostPort(port.Addr().String())
	_ = port.Close()
	cmd := l.Command("git", "daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", "--port="+number, "--base-path="+l.Work, l.Work)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	harness.Eventually(t, 20*time.Second, "git daemon answers", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+number)
		return err == nil && c.Close() == nil
	})
	return "git://127.0.0.1:" + number + "/repo"
}

// buildCaches: a cache in a directory and in a registry lets another account's first build run nothing.
func buildCaches(t *testing.T, l *harness.Login, registry harness.Registry) {
	t.Helper()
	buildContext(t, l, "FROM busybox\nRUN echo made > /made\nCOPY app /app\n")
	name := registry.Host + "/" + l.Account.Name + "/cache"
	for _, c := range [][2]string{{"type=local,dest=cache", "type=local,src=cache"}, {"type=registry,ref=" + name, "type=registry,ref=" + name}} {
		id := l.Moss("build", "-q", "--network", "none", "--no-cache", "--cache-to", c[0], "ctx").OK(t)
		l.Moss("rmi", "-f", id).OK(t)
		l.Moss("builder", "prune", "-af")
		if err := os.RemoveAll(l.Data() + "/buildcache"); err != nil {
			t.Fatal(err)
		}
		out := l.Moss("build", "--network", "none", "--cache-from", c[1], "ctx").OK(t)
		if strings.Contains(out, "Running in") || strings.Count(out, "Using cache") != 2 || !strings.Contains(out, strings.TrimPrefix(id, "sha256:")[:12]) {
			t.Errorf("with --cache-from %s, want %s:\n%s", c[1], id, out)
		}
	}
	_ = filepath.WalkDir(l.Work+"/cache", func(path string, d os.DirEntry, err error) error {
		if info, infoErr := d.Info(); infoErr == nil && int(info.Sys().(*syscall.Stat_t).Uid) != l.UID {
			t.Errorf("%s belongs to %d", path, info.Sys().(*syscall.Stat_t).Uid)
		}
		return err
	})
}

// RUN has the limits that were asked for: a command that takes more memory is killed, and the build says so.
func TestBuildLimits(t *testing.T) {
	registry := harness.ServeRegistry(t, nil)
	registry.Push(t, "library/busybox:latest", harness.BusyboxImage(t))
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		dockerIO(l, registry)
		buildContext(t, l, "FROM busybox\nRUN [ $(head -c 300m /dev/zero | tail -c 300m | wc -c) = 314572800 ]\n")
		if r := l.Moss("build", "--network", "none", "--memory", "64m", "--cpus", "1", "ctx"); r.Code == 0 {
			t.Errorf("with a limit of 64 MB: %s", r)
		}
		l.Moss("build", "--network", "none", "ctx").OK(t) // the control
	})
}

// A build that is interrupted leaves its complete steps in the cache and nothing else, whether it was asked to end or killed.
func TestBuildInterrupted(t *testing.T) {
	registry := harness.ServeRegistry(t, nil)
	registry.Push(t, "library/busybox:latest", harness.BusyboxImage(t))
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		dockerIO(l, registry)
		l.Env = append(l.Env, "WORD=sesame")
		buildContext(t, l, `FROM busybox
RUN echo one > /one
RUN --mount=type=secret,id=word echo two && sleep 1000
`)
		args := []string{"build", "--network", "none", "--secret", "id=word,env=WORD", "-t", "interrupted"}
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
			cmd := l.Command("moss", append(args, "ctx")...)
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			hang := time.AfterFunc(l.Patience, func() { _ = cmd.Process.Kill() })
			for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "two"; {
			}
			if !hang.Stop() {
				t.Fatal("the second command has never run")
			}
			_ = cmd.Process.Signal(signal)
			_, _ = io.Copy(io.Discard, out)
			_ = cmd.Wait()
			if r := l.Moss("images", "-q", "interrupted"); r.Stdout != "" {
				t.Errorf("after %v something is tagged: %s", signal, r)
			}
		}
		buildContext(t, l, "FROM busybox\nRUN echo one > /one\nRUN echo three\n")
		age(t, l) // what lies there is taken for a build that has just begun, else
		r := l.Moss(append(args, "ctx")...).OK(t)
		if strings.Count(r, "Using cache") != 1 {
			t.Errorf("the complete step is not in the cache:\n%s", r)
		}
		l.Moss("image", "prune", "-f").OK(t) // sessions of dead builds go with the garbage
		for _, pattern := range []string{l.Data() + "/tmp/*", l.Data() + "/uppers/*", l.Data() + "/images/uppers/*", l.Runtime + "/moss/moss-secret-*", "/dev/shm/moss-secret-*"} {
			left, _ := filepath.Glob(pattern)
			for _, f := range left {
				if st, err := os.Stat(f); err == nil && int(st.Sys().(*syscall.Stat_t).Uid) == l.UID {
					t.Errorf("left behind: %s", f)
				}
			}
		}
	})
}

// age makes what a killed build has left old enough to be swept.
func age(t *testing.T, l *harness.Login) {
	t.Helper()
	past := time.Now().Add(-time.Minute)
	for _, pattern := range []string{l.Data() + "/tmp/*", l.Runtime + "/moss/moss-secret-*", "/dev/shm/moss-secret-*"} {
		left, _ := filepath.Glob(pattern)
		for _, f := range left {
			_ = os.Chtimes(f, past, past)
		}
	}
}

// What a cache mount shows of itself is looked up inside it when it is mounted: a link that a command has left there leads to a place
// in the cache, never to the machine's (the race is closed by that, CVE-2024-23651; sandbox/guest tests the calls).
func TestBuildCacheLinks(t *testing.T) {
	registry := harness.ServeRegistry(t, nil)
	registry.Push(t, "library/busybox:latest", harness.BusyboxImage(t))
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		dockerIO(l, registry)
		l.CreateTree(l.Work, "file canary/canary secret\n")
		dir := l.Work + "/canary"
		buildContext(t, l, "FROM busybox\nRUN --mount=type=cache,id=c,target=/c mkdir -p /c"+dir+" && touch /c"+dir+"/inside && ln -s "+dir+` /c/absolute && ln -s ../../../../../../..`+dir+` /c/up
RUN --mount=type=cache,id=c,source=absolute,target=/m echo absolute $(ls /m)
RUN --mount=type=cache,id=c,source=up,target=/m echo up $(ls /m)
`)
		out := l.Moss("build", "--network", "none", "ctx").OK(t)
		if !strings.Contains(out, "\nabsolute inside\n") || !strings.Contains(out, "\nup inside\n") {
			t.Errorf("a link in a cache leads elsewhere:\n%s", out)
		}
	})
}
