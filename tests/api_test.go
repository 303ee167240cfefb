package tests

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/moss-sandbox/moss/tests/harness"
)

// An apiServer is a login's moss with its socket answering.
type apiServer struct {
	*harness.Login
	c      *client.Client
	socket string
	image  string // busybox, pulled from a registry on loopback
}

// serveAPI has a login's socket answer, as `eval $(moss env)` does, with the busybox image in its store.
func serveAPI(t *testing.T, l *harness.Login) *apiServer {
	t.Helper()
	line := l.Moss("env").OK(t)
	_, rest, _ := strings.Cut(line, "DOCKER_HOST=unix://")
	socket, _, _ := strings.Cut(rest, " ")
	t.Cleanup(func() {
		l.Moss("env", "--unset").Want(t, harness.Result{Stdout: "unset DOCKER_HOST DOCKER_BUILDKIT\n"})
	})
	c, err := client.New(client.WithHost("unix://" + socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s := &apiServer{Login: l, c: c, socket: socket}
	s.image = harness.ServeRegistry(t, nil).Push(t, "busybox:1", harness.BusyboxImage(t))
	pull, err := c.ImagePull(t.Context(), s.image, client.ImagePullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(pull)
	if err != nil || !strings.Contains(string(b), "Status: Downloaded newer image for "+s.image) || !strings.Contains(string(b), `"status":"Digest: sha256:`) {
		t.Fatalf("pull: %v\n%s", err, b)
	}
	return s
}

// An answer is what a raw request got.
type answer struct {
	code   int
	header http.Header
	body   string
}

// ask sends a raw request.
func (s *apiServer) ask(t *testing.T, method, path, body string) answer {
	t.Helper()
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
	}}, Timeout: harness.Patience}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://moss"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// create makes a container by a raw request and returns its id.
func (s *apiServer) create(t *testing.T, name, config string) string {
	t.Helper()
	a := s.ask(t, "POST", "/containers/create?name="+name, `{"Image":"`+s.image+`","HostConfig":{"NetworkMode":"none"},`+config+`}`)
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.code != 201 || len(made.ID) != 64 {
		t.Fatalf("create: %d %s", a.code, a.body)
	}
	return made.ID
}

// An apiLine is a request and what its answer must be: status, and texts of the body.
type apiLine struct {
	name, method, path, body string
	code                     int
	texts                    []string
}

// TestAPILines checks research/api.md line by line with raw requests: what clients depend on and implementers miss.
func TestAPILines(t *testing.T) {
	s := oneServer(t)
	run := s.create(t, "running", `"Cmd":["sleep","1000"],"Labels":{"a":"b"}`)
	for _, l := range []apiLine{
		{"ping", "GET", "/_ping", "", 200, []string{"OK"}},
		{"ping with a version", "GET", "/v1.24/_ping", "", 200, []string{"OK"}},
		{"too old", "GET", "/v1.23/info", "", 400, []string{"client version 1.23 is too old"}},
		{"too new", "GET", "/v1.52/info", "", 400, []string{"client version 1.52 is too new"}},
		{"no path", "GET", "/v1.41/nosuch", "", 404, []string{`{"message":"page not found"}`}},
		{"version", "GET", "/version", "", 200, []string{`"Name":"Engine"`, `"MinAPIVersion":"1.24"`, `"ApiVersion":"1.51"`, `"KernelVersion"`}},
		{"plugins", "GET", "/plugins", "", 200, []string{"[]"}},
		{"swarm", "GET", "/swarm", "", 503, []string{"not a swarm manager"}},
		{"no JSON", "POST", "/containers/create", "", 400, []string{"message"}},
		{"bad JSON", "POST", "/containers/create", "{", 400, []string{"message"}},
		{"no image", "POST", "/containers/create", `{"Image":"nosuch"}`, 404, []string{"No such image: nosuch:latest"}},
		{"name taken", "POST", "/containers/create?name=running", `{"Image":"` + s.image + `"}`, 409, []string{"Conflict. The container name \\\"/running\\\" is already in use by container"}},
		{"bad name", "POST", "/containers/create?name=a/b", `{"Image":"` + s.image + `"}`, 400, []string{"Invalid container name"}},
		{"refused, not ignored", "POST", "/containers/create", `{"Image":"` + s.image + `","HostConfig":{"Runtime":"kata"}}`, 400, []string{"unknown or invalid runtime name: kata"}},
		{"bind source", "POST", "/containers/create", `{"Image":"` + s.image + `","HostConfig":{"Mounts":[{"Type":"bind","Source":"/nosuch","Target":"/x"}]}}`, 400, []string{"bind source path does not exist"}},
		{"kill of a stopped one", "POST", "/containers/running/kill", "", 409, []string{"is not running"}},
		{"stop of a stopped one", "POST", "/containers/running/stop", "", 304, nil},
		{"exec in a stopped one", "POST", "/containers/running/exec", `{"Cmd":["true"]}`, 409, []string{"is not running"}},
		{"start", "POST", "/containers/running/start", "", 204, nil},
		{"start of a running one", "POST", "/containers/running/start", "", 304, nil},
		{"bad signal", "POST", "/containers/running/kill?signal=NOSUCH", "", 400, []string{"NOSUCH"}},
		{"remove of a running one", "DELETE", "/containers/running", "", 409, []string{"stop the container before"}},
		{"no container", "GET", "/containers/nosuch/json", "", 404, []string{"No such container: nosuch"}},
		{"no exec", "GET", "/exec/nosuch/json", "", 404, []string{"No such exec instance"}},
		{"no image to inspect", "GET", "/images/nosuch/json", "", 404, []string{"No such image: nosuch"}},
		{"no file", "GET", "/containers/running/archive?path=/nosuch", "", 404, []string{"Could not find the file /nosuch in container running"}},
		{"list", "GET", `/containers/json?filters={"name":["running"]}`, "", 200, []string{run, `"State":"running"`}},
		{"filter in the other form", "GET", `/containers/json?filters={"label":{"a=b":true}}`, "", 200, []string{run}},
		{"filter that fits none", "GET", `/containers/json?filters={"label":{"a=c":true}}`, "", 200, []string{"[]"}},
		{"unknown filter", "GET", `/containers/json?filters={"nosuch":["x"]}`, "", 400, []string{"invalid filter"}},
		{"familiar names", "GET", "/images/json", "", 200, []string{`"RepoTags":["` + s.image + `"]`}},
		{"virtual size of old", "GET", "/v1.43/images/json", "", 200, []string{`"VirtualSize":`}},
		{"image as typed", "GET", "/containers/running/json", "", 200, []string{`"Image":"` + s.image + `"`, `"NetworkMode":"none"`}},
		{"built-in networks", "GET", "/networks", "", 200, []string{`"Name":"bridge"`, `"Name":"host"`, `"Name":"none"`}},
		{"a built-in network stays", "DELETE", "/networks/bridge", "", 403, []string{"pre-defined network"}},
		{"nor is it made", "POST", "/networks/create", `{"Name":"bridge"}`, 403, []string{"not permitted on predefined"}},
		{"default is bridge", "GET", "/networks/default", "", 200, []string{`"Name":"bridge"`, `"Containers":{`}},
		{"network", "POST", "/networks/create", `{"Name":"nn","Labels":{"x":"y"}}`, 201, []string{`"Id":"`}},
		{"two of one name", "POST", "/networks/create", `{"Name":"nn"}`, 409, []string{"network with name nn already exists"}},
		{"network gone", "DELETE", "/networks/nn", "", 204, nil},
		{"volume", "POST", "/volumes/create", `{"Name":"vv"}`, 201, []string{`"Name":"vv"`, `"Mountpoint"`}},
		{"volume gone", "DELETE", "/volumes/vv", "", 204, nil},
		{"no volume", "GET", "/volumes/vv", "", 404, []string{"no such volume"}},
		{"past events end", "GET", "/events?since=0&until=" + strconv.FormatInt(time.Now().Unix()+1, 10), "", 200, []string{`"Action":"create"`}},
		{"disk usage", "GET", "/system/df", "", 200, []string{`"LayersSize":`, `"Containers":[`}},
		{"force kills at once", "DELETE", "/containers/running?force=1", "", 204, nil},
		{"removed", "DELETE", "/containers/running?force=1", "", 404, nil},
	} {
		t.Run(l.name, func(t *testing.T) {
			a := s.ask(t, l.method, strings.ReplaceAll(strings.ReplaceAll(l.path, `"`, "%22"), "{", "%7B"), l.body)
			ok := a.code == l.code
			for _, text := range l.texts {
				ok = ok && strings.Contains(a.body, text)
			}
			if !ok {
				t.Errorf("%s %s: %d %s\nwant %d with %q", l.method, l.path, a.code, a.body, l.code, l.texts)
			}
		})
	}
	a := s.ask(t, "HEAD", "/_ping", "")
	for k, v := range map[string]string{
		"Api-Version": "1.51", "Docker-Experimental": "false", "Ostype": "linux", "Builder-Version": "1", "Content-Length": "0", "Pragma": "no-cache",
		"Cache-Control": "no-cache, no-store, must-revalidate",
	} {
		if a.header.Get(k) != v {
			t.Errorf("HEAD /_ping: %s is %q, want %q", k, a.header.Get(k), v)
		}
	}
}

// oneServer is the API of one account.
func oneServer(t *testing.T) *apiServer {
	t.Helper()
	harness.RequireUserNamespaces(t)
	l := harness.Accounts(t)[0].Login(t)
	harness.Nothing(t, l)
	return serveAPI(t, l)
}

// TestAPIWithDockersClient drives moss with Docker's own Go client, as every kind of account.
func TestAPIWithDockersClient(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		s := serveAPI(t, l)
		s.runs(t)
		id := s.create(t, "main", `"Cmd":["sh","-c","echo out; echo err >&2; exec sleep 1000"]`)
		if _, err := s.c.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
			t.Fatal(err)
		}
		s.reads(t, id)
		s.execs(t, id)
		s.copies(t, id)
		s.ends(t, id)
	})
}

// runs is docker run: create, attach, wait, start, and everything of the output, also of a container that is gone at once.
func (s *apiServer) runs(t *testing.T) {
	t.Helper()
	for range 5 {
		made, err := s.c.ContainerCreate(t.Context(), client.ContainerCreateOptions{
			Config: &container.Config{
				Image: s.image, Cmd: []string{"sh", "-c", "cat; echo err >&2; exit 7"}, OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
			},
			HostConfig: &container.HostConfig{AutoRemove: true, NetworkMode: "none"},
		})
		if err != nil {
			t.Fatal(err)
		}
		at, err := s.c.ContainerAttach(t.Context(), made.ID, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
		if err != nil {
			t.Fatal(err)
		}
		wait := s.c.ContainerWait(t.Context(), made.ID, client.ContainerWaitOptions{Condition: container.WaitConditionRemoved})
		if _, err := s.c.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(at.Conn, "typed")
		_ = at.CloseWrite()
		var out, errs bytes.Buffer
		if _, err := stdcopy.StdCopy(&out, &errs, at.Reader); err != nil || out.String() != "typed" || errs.String() != "err\n" {
			t.Fatalf("attach: %q, %q, %v", &out, &errs, err)
		}
		at.Close()
		select {
		case r := <-wait.Result:
			if r.StatusCode != 7 {
				t.Errorf("wait: %d, want 7", r.StatusCode)
			}
		case err := <-wait.Error:
			t.Fatal(err)
		}
	}
	_, err := s.c.ContainerStart(t.Context(), s.create(t, "bad", `"Cmd":["nosuch"]`), client.ContainerStartOptions{})
	if err == nil || !strings.Contains(err.Error(), "executable file not found") {
		t.Errorf("start of what is not there: %v", err)
	}
	if _, err := s.c.ContainerRemove(t.Context(), "bad", client.ContainerRemoveOptions{}); err != nil {
		t.Error(err)
	}
}

// reads asks for everything that can be known of a running container.
func (s *apiServer) reads(t *testing.T, id string) {
	t.Helper()
	in, err := s.c.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{Size: true})
	if err != nil || !in.Container.State.Running || in.Container.Name != "/main" || in.Container.SizeRw == nil {
		t.Errorf("inspect: %+v, %v", in.Container.State, err)
	}
	list, err := s.c.ContainerList(t.Context(), client.ContainerListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].ID != id || !strings.HasPrefix(list.Items[0].Status, "Up ") {
		t.Errorf("list: %+v, %v", list.Items, err)
	}
	want := func() bool {
		logs, err := s.c.ContainerLogs(t.Context(), id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "all"})
		if err != nil {
			t.Fatal(err)
		}
		defer logs.Close()
		var out, errs bytes.Buffer
		_, err = stdcopy.StdCopy(&out, &errs, logs)
		return err == nil && out.String() == "out\n" && errs.String() == "err\n"
	}
	harness.Eventually(t, harness.Patience, "both streams of the log", want)
	top, err := s.c.ContainerTop(t.Context(), id, client.ContainerTopOptions{})
	if err != nil || len(top.Processes) != 1 || top.Titles[1] != "PID" {
		t.Errorf("top: %+v, %v", top, err)
	}
	if _, err := s.c.ContainerRename(t.Context(), id, client.ContainerRenameOptions{NewName: "other"}); err != nil {
		t.Error(err)
	}
	if _, err := s.c.ContainerRename(t.Context(), "other", client.ContainerRenameOptions{NewName: "main"}); err != nil {
		t.Error(err)
	}
	images, err := s.c.ImageList(t.Context(), client.ImageListOptions{})
	if err != nil || len(images.Items) != 1 || images.Items[0].RepoTags[0] != s.image {
		t.Errorf("images: %+v, %v", images.Items, err)
	}
}

// execs: streams, exit codes that are known when the stream ends, and no lost byte of a command that is short.
func (s *apiServer) execs(t *testing.T, id string) {
	t.Helper()
	for i := range 10 {
		x, err := s.c.ExecCreate(t.Context(), id, client.ExecCreateOptions{Cmd: []string{"sh", "-c", "echo out; echo err >&2; exit " + strconv.Itoa(i)}, AttachStdout: true, AttachStderr: true})
		if err != nil {
			t.Fatal(err)
		}
		at, err := s.c.ExecAttach(t.Context(), x.ID, client.ExecAttachOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		_, err = stdcopy.StdCopy(&out, &errs, at.Reader)
		at.Close()
		if err != nil || out.String() != "out\n" || errs.String() != "err\n" {
			t.Errorf("exec: %q %q %v", &out, &errs, err)
		}
		if in, err := s.c.ExecInspect(t.Context(), x.ID, client.ExecInspectOptions{}); err != nil || in.Running || in.ExitCode != i {
			t.Errorf("exec inspect: %+v, %v, want code %d", in, err, i)
		}
	}
	x, err := s.c.ExecCreate(t.Context(), id, client.ExecCreateOptions{Cmd: []string{"sh", "-c", "read a; tty; echo $a"}, AttachStdin: true, AttachStdout: true, TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	at, err := s.c.ExecAttach(t.Context(), x.ID, client.ExecAttachOptions{TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	_, _ = io.WriteString(at.Conn, "word\n")
	b, err := io.ReadAll(at.Reader)
	if err != nil || !strings.Contains(string(b), "/dev/pts/") || !strings.HasSuffix(string(b), "word\r\n") {
		t.Errorf("exec with a terminal: %q, %v", b, err)
	}
}

// copies puts a file in and gets it out again.
func (s *apiServer) copies(t *testing.T, id string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "put", Mode: 0o640, Size: 4})
	_, _ = io.WriteString(w, "text")
	_ = w.Close()
	if _, err := s.c.CopyToContainer(t.Context(), id, client.CopyToContainerOptions{DestinationPath: "/tmp", Content: &b}); err != nil {
		t.Fatal(err)
	}
	got, err := s.c.CopyFromContainer(t.Context(), id, client.CopyFromContainerOptions{SourcePath: "/tmp/put"})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Content.Close()
	r := tar.NewReader(got.Content)
	h, err := r.Next()
	if err != nil || h.Name != "put" || got.Stat.Name != "put" || got.Stat.Size != 4 || got.Stat.Mode.Perm() != 0o640 {
		t.Fatalf("copied: %+v, %+v, %v", h, got.Stat, err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "text" {
		t.Errorf("copied: %q, %v", text, err)
	}
	a := s.ask(t, "HEAD", "/containers/"+id+"/archive?path=/bin/sh", "")
	stat, _ := base64.StdEncoding.DecodeString(a.header.Get("X-Docker-Container-Path-Stat"))
	if !strings.Contains(string(stat), `"linkTarget":"busybox"`) {
		t.Errorf("the last part of a path is not followed: %d %s", a.code, stat)
	}
	diff, err := s.c.ContainerDiff(t.Context(), id, client.ContainerDiffOptions{})
	if err != nil || fmt.Sprint(diff.Changes) != "[{C /tmp} {A /tmp/put}]" {
		t.Errorf("changes: %v, %v", diff.Changes, err)
	}
}

// ends stops and removes, with the events in their order.
func (s *apiServer) ends(t *testing.T, id string) {
	t.Helper()
	zero := 0
	if _, err := s.c.ContainerStop(t.Context(), id, client.ContainerStopOptions{Timeout: &zero}); err != nil {
		t.Error(err)
	}
	if _, err := s.c.ContainerRemove(t.Context(), id, client.ContainerRemoveOptions{}); err != nil {
		t.Error(err)
	}
	ev := s.c.Events(t.Context(), client.EventsListOptions{
		Since: "0", Until: strconv.FormatInt(time.Now().Unix()+1, 10), Filters: client.Filters{}.Add("container", id),
	})
	var acts []string
	for done := false; !done; {
		select {
		case m := <-ev.Messages:
			if act := string(m.Action); !strings.HasPrefix(act, "exec_") && act != "kill" && act != "stop" {
				acts = append(acts, act)
			}
		case <-ev.Err:
			done = true
		}
	}
	if got := strings.Join(acts, " "); got != "create start rename rename die destroy" {
		t.Errorf("events: %s", got)
	}
}

// TestAPIWithTheDockerCommand uses moss through Debian's docker command.
func TestAPIWithTheDockerCommand(t *testing.T) {
	docker := harness.DockerCommand(t)
	s := oneServer(t)
	registry, _, _ := strings.Cut(s.image, "/")
	s.Sh("moss", "mkdir ctx bad && printf 'FROM %s\\nRUN echo built > /built\\nCMD cat /built\\n' "+s.image+" > ctx/Dockerfile && printf 'FROM %s\\nRUN exit 9\\n' "+s.image+" > bad/Dockerfile").OK(t)
	s.Env = append(s.Env, "DOCKER_HOST=unix://"+s.socket, "DOCKER_BUILDKIT=0")
	for _, x := range []scene{
		{"run", "$d run --rm --network none " + s.image + " echo hi", "hi\n", "", 0},
		{"input and code", "echo in | $d run --rm -i --network none " + s.image + " sh -c 'cat; exit 3'", "in\n", "", 3},
		{"not found", "$d run --rm --network none " + s.image + " nosuch", "", "*executable file not found", 127},
		{"not executable", "$d run --rm --network none " + s.image + " /etc", "", "*permission denied", 126},
		{"detached", "$d run -d --name dd --network none -v vol:/v " + s.image + " sh -c 'echo logged; exec sleep 1000'", "~[0-9a-f]{64}\n", "", 0},
		{"ps", "$d ps --format '{{.Names}} {{.Image}} {{.State}}'", "dd " + s.image + " running\n", "", 0},
		{"inspect", "$d inspect -f '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}' dd", "true no\n", "", 0},
		{"logs", "until [ \"$($d logs dd)\" = logged ]; do sleep 0.1; done", "", "", 0},
		{"exec", "$d exec -i dd sh -c 'cat; exit 4' </etc/hostname >/dev/null", "", "", 4},
		{"exec detached", "$d exec -d dd touch /v/f && until $d exec dd test -e /v/f; do sleep 0.1; done", "", "", 0},
		{"cp out", "$d cp dd:/v/f . && ls f", "~(?s).*f\n", "~(?s).*", 0},
		{"cp in", "echo text > g && $d cp g dd:/tmp/g && $d exec dd cat /tmp/g", "text\n", "~(?s).*", 0},
		{"diff", "$d diff dd | grep /tmp/g", "A /tmp/g\n", "", 0},
		{"top", "$d top dd | grep -c 'sleep 1000'", "1\n", "", 0},
		{"pause", "$d pause dd && $d inspect -f '{{.State.Status}}' dd && $d unpause dd", "dd\npaused\ndd\n", "", 0},
		{"stats", "$d stats --no-stream --format '{{.Name}}' dd", "dd\n", "", 0},
		{"rename", "$d rename dd ee && $d ps -q -f name=^/ee$ | wc -l", "1\n", "", 0},
		{"kill and wait", "$d kill ee && $d wait ee", "ee\n137\n", "", 0},
		{"rm", "$d rm ee", "ee\n", "", 0},
		{"events", "until $d events --since 1h --until 0s --filter event=destroy --format '{{.Actor.Attributes.name}}' | grep -q '^ee$'; do sleep 0.2; done", "", "", 0}, // docker sends whole seconds
		{"build", "$d build -q -t " + registry + "/built:1 ctx", "~sha256:[0-9a-f]{64}\n", "~(?s).*", 0},
		{"run what was built", "$d run --rm --network none " + registry + "/built:1", "built\n", "", 0},
		{"build that fails", "$d build bad", "~(?s).*Step 2/2 : RUN exit 9\n.*", "*The command '/bin/sh -c exit 9' returned a non-zero code: 9", 9},
		{"push", "$d push " + registry + "/built:1 | tail -1", "~1: digest: sha256:[0-9a-f]{64} size: \\d+\n", "", 0},
		{"rmi and pull", "$d rmi " + registry + "/built:1 >/dev/null && $d pull -q " + registry + "/built:1", registry + "/built:1\n", "", 0},
		{"save and load", "$d save " + registry + "/built:1 | $d load", "Loaded image: " + registry + "/built:1\n", "", 0},
		{"commit", "$d create --name cc --network none " + s.image + " true >/dev/null && $d commit cc made", "~sha256:[0-9a-f]{64}\n", "", 0},
		{"prune", "$d container prune -f | grep -c '^[0-9a-f]\\{64\\}$'", "1\n", "", 0},
		{"network", "$d network create nw >/dev/null && $d network ls -q -f name=nw | wc -l && $d network rm nw", "1\nnw\n", "", 0},
		{"volume", "$d volume ls -q && $d volume rm vol", "vol\nvol\n", "", 0},
		{"info", "$d info --format '{{.ServerVersion}} {{.Swarm.LocalNodeState}}' 2>/dev/null | grep -c inactive", "1\n", "", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			x.line = strings.ReplaceAll(x.line, "$d ", docker+" ")
			x.play(t, s.Login, "moss")
		})
	}
	term := s.TerminalSh(docker + " run --rm -it --network none " + s.image + " sh")
	term.Expect(`# `)
	term.Type("stty size; exit 5\r")
	term.Expect(`24 80`)
	if code := term.Wait(); code != 5 {
		t.Errorf("run -it: code %d, want 5:\n%s", code, term.Shown())
	}
}

// TestAPIClientsThatVanish opens the requests that last, a thousand times, and goes away in their middle: nothing waits for
// the client and nothing stays open.
func TestAPIClientsThatVanish(t *testing.T) {
	s := oneServer(t)
	id := s.create(t, "stays", `"Cmd":["sleep","1000"],"OpenStdin":true`)
	if _, err := s.c.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	before := s.open(t)
	const times, atOnce = 200, 20
	for _, path := range []string{
		"POST /containers/stays/attach?stream=1&stdin=1&stdout=1&stderr=1", "POST /containers/stays/wait", "GET /containers/stays/logs?stdout=1&follow=1", "GET /events", "exec",
	} {
		var all sync.WaitGroup
		slots := make(chan struct{}, atOnce)
		for range times {
			all.Go(func() {
				slots <- struct{}{}
				s.vanish(t, path)
				<-slots
			})
		}
		all.Wait()
	}
	harness.Eventually(t, harness.Patience, "everything is closed", func() bool { return s.open(t) <= before+4 })
	harness.Eventually(t, harness.Patience, "nothing is left in the container", func() bool {
		top, err := s.c.ContainerTop(t.Context(), id, client.ContainerTopOptions{})
		return err == nil && len(top.Processes) == 1
	})
	if _, err := s.c.ContainerRemove(t.Context(), id, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Error(err)
	}
}

// open is the number of descriptors of the server.
func (s *apiServer) open(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(s.socket + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var who struct{ PID int }
	if err := json.Unmarshal(b, &who); err != nil {
		t.Fatal(err)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", who.PID))
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// vanish sends a request, reads the beginning of the answer, and hangs up.
func (s *apiServer) vanish(t *testing.T, what string) {
	body := ""
	if what == "exec" {
		var x struct{ ID string }
		a := s.ask(t, "POST", "/containers/stays/exec", `{"Cmd":["cat"],"AttachStdin":true,"AttachStdout":true}`)
		if err := json.Unmarshal([]byte(a.body), &x); err != nil || a.code != 201 {
			t.Errorf("exec: %d %s", a.code, a.body)
			return
		}
		what, body = "POST /exec/"+x.ID+"/start", "{}"
	}
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	method, path, _ := strings.Cut(what, " ")
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: moss\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
	_ = c.SetReadDeadline(time.Now().Add(harness.Patience))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.Contains(line, " 200 ") && !strings.Contains(line, " 101 ") {
		t.Errorf("%s: %q, %v", what, line, err)
	}
}
