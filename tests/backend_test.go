package tests

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// Every way of moss's own network can be asked for and carries the same; a network is carried one way at a time, by
// another program where the small one cannot.
func TestOwnBackends(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		outside := hostServer(t, hostAddress(t), "outside")
		l.Moss("network", "create", "nn").OK(t)
		for _, backend := range []string{"netstack", "relay-conntrack", "moss"} {
			port := freePort(t)
			serveWeb(t, l, "aa", "--network", "nn", "--net-backend", backend, "-p", port+":80")
			l.Moss("run", "--rm", "--network", "nn", "./root", "sh", "-c", awaitWeb("aa")+"wget -q -O- http://aa/; exec wget -q -O- http://"+outside+"/").
				Want(t, harness.Result{Stdout: "aa\noutside"})
			if got := get(t, "127.0.0.1:"+port, ""); got != "aa\n" {
				t.Errorf("%s: published: %q", backend, got)
			}
			if backend == "netstack" {
				l.Moss("run", "--rm", "--network", "nn", "--net-backend", "relay", "./root", "true").Fails(t, 125, "is carried by netstack now")
				for _, pid := range l.Running("moss-switch") { // its successor has to be the full program, too
					if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				}
				l.Moss("exec", "aa", "wget", "-q", "-O-", "http://"+outside+"/").Want(t, harness.Result{Stdout: "outside"})
			}
			l.Moss("rm", "-f", "aa").OK(t)
		}
		l.Moss("run", "--rm", "--net-backend", "foo", "./root", "true").Fails(t, 125, `network backend "foo" is not known`, "hint: choose one of moss, relay")
		l.WantNothing()
	})
}

// besideTun prepares moss with a /dev/net/tun that everybody may open, in mounts of its own: what most machines have and the
// machine of these tests has not.
func besideTun(t *testing.T, l *harness.Login) func(args ...string) harness.Result {
	t.Helper()
	harness.RequireRoot(t)
	harness.RequirePackages(t, "slirp4netns", "passt")
	keep := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c",
		"mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && : </dev/net/tun && echo ready && exec sleep 1000")
	out, err := keep.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := keep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keep.Process.Kill(); _ = keep.Wait() })
	if n, _ := out.Read(make([]byte, 6)); n == 0 {
		harness.Missing(t, "/dev/net/tun cannot be opened")
	}
	return func(args ...string) harness.Result {
		t.Helper()
		cmd := l.Command("moss", args...)
		enter := []string{fmt.Sprintf("--mount=/proc/%d/ns/mnt", keep.Process.Pid), fmt.Sprintf("--wdns=%s", l.Work), "--setuid", fmt.Sprint(l.UID), "--setgid", fmt.Sprint(l.GID), cmd.Path}
		in := exec.Command("nsenter", append(enter, args...)...)
		in.Env, in.Dir, in.SysProcAttr = cmd.Env, cmd.Dir, &syscall.SysProcAttr{Setsid: true}
		return l.Do(in)
	}
}

// slirp4netns and pasta are used when asked for; what they need is explained where it is missing.
func TestInstalledBackends(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil || l.UID != 0 {
			f.Close()
			if st, err := os.Stat("/dev/net/tun"); err == nil && st.Mode().Perm()&0o006 != 0o006 {
				l.Moss("run", "--rm", "--net-backend", "slirp4netns", "./root", "true").Fails(t, 125, "starting slirp4netns", "hint: slirp4netns needs /dev/net/tun")
				l.Moss("run", "--rm", "--net-backend", "pasta", "./root", "true").Fails(t, 125, "starting pasta", "hint: pasta needs /dev/net/tun")
			}
		}
		path := l.Env
		l.Env = append(append([]string(nil), l.Env...), "PATH=/nowhere")
		l.Moss("run", "--rm", "--net-backend", "pasta", "./root", "true").Fails(t, 125, "network backend pasta: it is not installed", "hint: install the package passt")
		l.Env = path
		moss := besideTun(t, l)
		outside := hostServer(t, hostAddress(t), "outside")
		for _, backend := range []string{"slirp4netns", "pasta"} {
			port, more := freePort(t), freePort(t)
			moss("run", "-d", "--name", "aa", "--net-backend", backend, "-p", port+":80", "./root", "sh", "-c", web, "aa").OK(t)
			if got := get(t, net.JoinHostPort(hostAddress(t), port), ""); got != "aa\n" {
				t.Errorf("%s: published: %q", backend, got)
			}
			moss("ps", "--format", "{{.Ports}}").Want(t, harness.Result{Stdout: "0.0.0.0:" + port + "->80/tcp\n"})
			if resolv := moss("exec", "aa", "cat", "/etc/resolv.conf").OK(t); strings.Contains(resolv, "127.0.0.11") {
				t.Errorf("%s: a resolver that does not answer: %q", backend, resolv)
			}
			if backend == "slirp4netns" { // pasta's container has this machine's own address
				moss("exec", "aa", "wget", "-q", "-O-", "http://"+outside+"/").Want(t, harness.Result{Stdout: "outside"})
				moss("publish", "aa", more+":80").Want(t, harness.Result{Stdout: "80/tcp -> 0.0.0.0:" + more + "\n"})
				if got := get(t, "127.0.0.1:"+more, ""); got != "aa\n" {
					t.Errorf("published later: %q", got)
				}
				moss("unpublish", "aa", more+":80").Want(t, harness.Result{})
				moss("port", "aa").Want(t, harness.Result{Stdout: "80/tcp -> 0.0.0.0:" + port + "\n"})
			} else {
				moss("publish", "aa", more+":80").Fails(t, 1, "ports of a running container cannot be changed", "hint: ")
			}
			moss("network", "create", "nn").OK(t)
			moss("network", "connect", "nn", "aa").Fails(t, 1, "can be on no other", "hint: ")
			moss("run", "--rm", "--network", "nn", "--net-backend", backend, "./root", "true").Fails(t, 125, "reaches no other container", "hint: ")
			moss("network", "rm", "nn").OK(t)
			moss("run", "--rm", "-p", port+":80", "./root", "true").Fails(t, 125, "failed: port is already allocated")
			moss("rm", "-f", "aa").OK(t)
			l.WantNothing()
		}
	})
}

// The machine tells who carries the networks and what each way lacks.
func TestInfoTellsOfNetworks(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		text := l.Moss("info").OK(t)
		for _, want := range []string{"Network backends (--net-backend, best first):", "relay:           everything works", "slirp4netns:     containers do not reach each other; ", "IPv6", "ping"} {
			if !strings.Contains(text, want) {
				t.Errorf("info lacks %q:\n%s", want, text)
			}
		}
		l.CreateTree(l.Home, "dir .config\ndir .config/moss\nfile .config/moss/config.json {\"netBackend\":\"slirp4netns\"}\n")
		if text := l.Moss("info").OK(t); !strings.Contains(text, "slirp4netns, as your configuration says") && !strings.Contains(text, "and it is not installed") {
			t.Errorf("info does not tell the configured backend:\n%s", text)
		}
	})
}
