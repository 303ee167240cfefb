package harness

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestTreesInWords(t *testing.T) {
	login := self(t).Login(t)
	login.CreateTree(login.Work, `
		dir  a mode=700
		file a/text two words
		link b a/text
		exe  bin/true @/bin/true
		hard c a/text
	`)
	b, err := os.ReadFile(login.Work + "/b")
	if err != nil || string(b) != "two words\n" {
		t.Errorf("link reads %q, %v", b, err)
	}
	if info, err := os.Stat(login.Work + "/a"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of a: %v, %v", info, err)
	}
	if r := login.Do(login.Command(login.Work + "/bin/true")); r.Code != 0 {
		t.Errorf("copied program: %s", r)
	}
}

func TestLayersAreReproducible(t *testing.T) {
	words := "dir a\nfile a/b text uid=5\nfifo f\nchar n 1:3\n"
	if !bytes.Equal(Layer(t, words), Layer(t, words)) {
		t.Error("the same words gave two layers")
	}
}

func TestCommandsRunAsTheAccount(t *testing.T) {
	for _, account := range Accounts(t) {
		t.Run(account.Name, func(t *testing.T) {
			login := account.Login(t)
			Nothing(t, login)
			login.Do(login.Command("sh", "-c", "whoami; pwd; echo $HOME >&2; exit 3")).
				Want(t, Result{Stdout: account.User + "\n" + login.Work + "\n", Stderr: login.Home + "\n", Code: 3})
			login.Do(login.Command("sh", "-c", "kill -TERM $$")).Want(t, Result{Code: 143})
		})
	}
}

func TestAccountsHaveTheIdsTheyAreMeantToHave(t *testing.T) {
	RequireRoot(t)
	for name, want := range map[string]Ids{"subids": Ranges, "subids2": Ranges, "oneid": OneID, "root": RootIds} {
		if got := Named(t, name).Ids; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// The control of every leak check: what is left is seen.
func TestLeaksAreSeen(t *testing.T) {
	RequireRoot(t)
	login := Named(t, "subids").Login(t)
	cmd := login.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	login.CreateTree(login.Runtime, "file sock")
	login.CreateTree(login.Data(), "file containers/x/spec.json\nfile blobs/kept")
	leaks := strings.Join(login.Leaks(), "\n")
	for _, want := range []string{"sleep 100", login.Runtime + "/sock", "containers/x"} {
		if !strings.Contains(leaks, want) {
			t.Errorf("leaks lack %q:\n%s", want, leaks)
		}
	}
	if strings.Contains(leaks, "kept") {
		t.Errorf("a blob counts as a leak:\n%s", leaks)
	}
	_ = cmd.Process.Kill()
	Eventually(t, Patience, "a zombie counts as a leak", func() bool { return strings.Contains(strings.Join(login.Leaks(), "\n"), "state Z") })
	_ = cmd.Wait()
	_ = os.RemoveAll(login.Runtime + "/sock")
	_ = os.RemoveAll(login.Data() + "/containers")
	login.WantNothing()
}

func TestTerminal(t *testing.T) {
	login := self(t).Login(t)
	term := login.terminal(login.Command("sh", "-c", `tty; read line; stty size; echo "<$line>"; exit 4`))
	term.Expect(`/dev/pts/\d+`)
	term.Resize(40, 100)
	term.Type("hello\r")
	term.Expect(`40 100\s+<hello>`)
	if code := term.Wait(); code != 4 {
		t.Errorf("code %d", code)
	}
}

func TestCrashAtEverySystemCall(t *testing.T) {
	RequireRoot(t)
	login := Named(t, "subids").Login(t)
	whole := login.CrashAt(0, "sh", "-c", "id -u; echo done")
	if whole.Killed || whole.Code != 0 || !strings.HasSuffix(whole.Stdout, "done\n") || whole.Calls < 10 {
		t.Fatalf("uncrashed: %d calls, killed %v, %s", whole.Calls, whole.Killed, whole.Result)
	}
	for n := 1; n <= whole.Calls; n += whole.Calls / 10 {
		c := login.CrashAt(n, "sh", "-c", "id -u; echo done")
		if !c.Killed || c.Code != 128+int(syscall.SIGKILL) || c.Calls != n {
			t.Errorf("call %d: killed %v after %d, %s", n, c.Killed, c.Calls, c.Result)
		}
	}
	// newuidmap must keep its rights under the launcher: no_new_privs is off.
	if c := login.CrashAt(0, "grep", "NoNewPrivs", "/proc/self/status"); c.Stdout != "NoNewPrivs:\t0\n" {
		t.Errorf("under the launcher: %s", c.Result)
	}
}

func TestRegistriesServeWhatWasPushed(t *testing.T) {
	img := MakeImage(t, Config{Cmd: []string{"true"}}, Layer(t, "dir etc\nfile etc/motd hello"))
	for name, r := range map[string]Registry{"in process": ServeRegistry(t, nil), "Debian's": DebianRegistry(t)} {
		t.Run(name, func(t *testing.T) {
			ref := r.Push(t, "library/small:1", img)
			digest, err := img.Digest()
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("curl", "-fsSI", "-H", "Accept: application/vnd.docker.distribution.manifest.v2+json",
				"http://"+r.Host+"/v2/library/small/manifests/1").Output()
			if err != nil || !strings.Contains(string(out), digest.String()) {
				t.Errorf("%s: %v, headers %s", ref, err, out)
			}
		})
	}
}

func TestDebianImageHasWhatMakesLayersHard(t *testing.T) {
	layers, err := DebianImage(t).Layers()
	if err != nil || len(layers) != 3 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	r, err := layers[2].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen := map[string]*tar.Header{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err != nil {
			break
		}
		seen[h.Name] = h
	}
	if seen["usr/share/.wh.doc"] == nil {
		t.Error("no whiteout of /usr/share/doc")
	}
	if h := seen["usr/bin/hello"]; h == nil || h.Linkname != "/usr/bin/false" {
		t.Errorf("hello is no link: %v", h)
	}
	if h := seen["home/student/"]; h == nil || h.Uid != 1234 {
		t.Errorf("no home of uid 1234: %v", h)
	}
}
