package tests

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

// A world is a machine and what lies outside of it, in network namespaces of the test:
//
//	host    the machine: 198.51.100.1 and 2001:db8:1::1, a resolv.conf of its own; moss runs here
//	world   198.51.100.2, 2001:db8:1::2 and 169.254.169.254, with nginx, dnsmasq and iperf3
type world struct {
	t     *testing.T
	login *harness.Login
	dir   string
	host  int // pids that keep the namespaces
	far   int
}

// newWorld makes a world whose machine is the login's.
func newWorld(t *testing.T, l *harness.Login) *world {
	t.Helper()
	harness.RequireRoot(t)
	harness.RequirePackages(t, "nginx-light", "dnsmasq-base", "iperf3", "iproute2", "iputils-ping")
	w := &world{t: t, login: l, dir: t.TempDir()}
	if err := os.Chmod(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.write("resolv.conf", "nameserver 198.51.100.2\n")
	w.host = w.keep("mount --bind " + w.dir + "/resolv.conf /etc/resolv.conf")
	w.far = w.keep("true")
	w.outside(w.host, "ip link set lo up; ip link add h0 type veth peer name w0; ip link set w0 netns %d", w.far)
	w.outside(w.far, `ip link set lo up; ip link set w0 up; ip addr add 198.51.100.2/24 dev w0; ip addr add 169.254.169.254/32 dev lo
		ip -6 addr add 2001:db8:1::2/64 dev w0 nodad`)
	w.outside(w.host, `ip addr add 198.51.100.1/24 dev h0; ip link set h0 up; ip -6 addr add 2001:db8:1::1/64 dev h0 nodad
		ip route add default via 198.51.100.2; ip -6 route add default via 2001:db8:1::2; ip route add 169.254.0.0/16 via 198.51.100.2
		ip route add unreachable 203.0.113.0/24; echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range`)
	w.write("nginx.conf", w.nginx("80; listen [::]:80", "world"))
	w.serve(w.far, "nginx", "-c", w.dir+"/nginx.conf", "-p", w.dir, "-e", w.dir+"/error.log")
	w.serve(w.far, "dnsmasq", "-k", "-p", "53", "-C", "/dev/null", "-h", "-R", "--user=root", "--address=/far.example/198.51.100.2", "--address=/six.example/2001:db8:1::2")
	w.serve(w.far, "iperf3", "-s")
	return w
}

// nginx is a configuration that answers with a text and the client's address.
func (w *world) nginx(listen, text string) string {
	return fmt.Sprintf("daemon off; user root; worker_processes 1; pid %[1]s/%[2]s.pid;\nevents {}\nhttp { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\nserver { listen %[3]s; location / { return 200 \"%[2]s $remote_addr\"; } } }\n", w.dir, text, listen)
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.dir+"/"+name, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// keep makes a network and a mount namespace, as a process that ends with the test.
func (w *world) keep(line string) int {
	w.t.Helper()
	cmd := exec.Command("unshare", "-n", "-m", "--propagation", "private", "sh", "-c", line+" && echo ready && exec sleep 1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if n, _ := out.Read(make([]byte, 6)); n == 0 {
		harness.Missing(w.t, "network namespaces cannot be made here")
	}
	return cmd.Process.Pid
}

func (w *world) enter(pid int, name string, args ...string) *exec.Cmd {
	at := []string{"--net=/proc/" + fmt.Sprint(pid) + "/ns/net", "--mount=/proc/" + fmt.Sprint(pid) + "/ns/mnt", "--wdns=" + w.login.Work}
	return exec.Command("nsenter", append(append(at, name), args...)...)
}

// outside runs a shell line as root in a namespace.
func (w *world) outside(pid int, line string, args ...any) string {
	w.t.Helper()
	out, err := w.enter(pid, "sh", "-ec", fmt.Sprintf(line, args...)).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

// serve starts a server in a namespace until the test ends.
func (w *world) serve(pid int, name string, args ...string) {
	w.t.Helper()
	cmd := w.enter(pid, name, args...)
	log, err := os.CreateTemp(w.dir, "*.log")
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
}

// moss runs moss as the login on the world's machine.
func (w *world) moss(args ...string) harness.Result {
	w.t.Helper()
	cmd := w.login.Command("moss", args...)
	var as []string
	if w.login.UID != 0 {
		as = []string{"--reuid", fmt.Sprint(w.login.UID), "--regid", fmt.Sprint(w.login.GID), "--clear-groups"}
	}
	in := w.enter(w.host, "setpriv", append(append(append(as, "--"), cmd.Path), args...)...)
	in.Env, in.SysProcAttr = cmd.Env, &syscall.SysProcAttr{Setsid: true}
	return w.login.Do(in)
}

// fetches wants that the world's client gets a text.
func (w *world) fetches(pid int, url, want string) {
	w.t.Helper()
	got := ""
	defer func() { w.t.Logf("%s: %q", url, got) }()
	harness.Eventually(w.t, 10*time.Second, url+" answers "+want, func() bool {
		out, err := w.enter(pid, "timeout", "5", "/usr/bin/busybox", "wget", "-q", "-O-", url).CombinedOutput()
		got = string(out)
		return err == nil && got == want
	})
}

// A machine with real servers outside: names by the resolver of the moment, TCP, UDP, ping, IPv6, both ways.
func TestTheWorld(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		w := newWorld(t, l)
		busy := func(line string) harness.Result { t.Helper(); return w.moss("exec", "aa", "sh", "-c", line) }
		w.moss("network", "create", "--ipv6", "--opt", "mtu=1400", "nn").OK(t)
		w.moss("run", "-d", "--name", "aa", "--network", "nn", "-p", "8080:80", "--add-host", "me:host-gateway", "./root", "sh", "-c",
			`mkdir /tmp/cgi-bin; printf '#!/bin/sh\necho; echo -n inside $REMOTE_ADDR | tr -d "[]" | sed s/::ffff://' >/tmp/cgi-bin/who; chmod 755 /tmp/cgi-bin/who; exec httpd -f -p 80 -h /tmp`).OK(t)
		w.fetches(w.host, "http://198.51.100.2/", "world 198.51.100.1") // nginx is up
		busy("wget -q -O- http://far.example/").Want(t, harness.Result{Stdout: "world 198.51.100.1"})
		busy("wget -q -O- http://[2001:db8:1::2]/").Want(t, harness.Result{Stdout: "world 2001:db8:1::1"})
		busy("cat /sys/class/net/eth0/mtu").Want(t, harness.Result{Stdout: "1400\n"})
		busy("ping -c 1 -W 5 198.51.100.2 >/dev/null && echo pong").Want(t, harness.Result{Stdout: "pong\n"})
		busy("wget -q -O- http://198.51.100.2:81/").Fails(t, 1, "Connection refused")
		busy("wget -q -O- http://203.0.113.1/").Fails(t, 1, "No route to host")
		busy("wget -q -O- http://169.254.169.254/").Fails(t, 1, "unreachable")
		w.fetches(w.far, "http://198.51.100.1:8080/cgi-bin/who", "inside 198.51.100.2")
		w.loopback(busy)
		w.laptop(busy)
		w.iperf()
		w.closedPing()
		w.moss("rm", "-f", "aa").OK(t)
		w.moss("network", "rm", "nn").OK(t)
		w.options()
	})
}

// loopback: the machine's own loopback cannot be reached, its names lead to its address.
func (w *world) loopback(busy func(string) harness.Result) {
	w.t.Helper()
	for name, listen := range map[string]string{"secret": "127.0.0.1:90", "machine": "91"} {
		w.write(name+".conf", w.nginx(listen, name))
		w.serve(w.host, "nginx", "-c", w.dir+"/"+name+".conf", "-p", w.dir, "-e", w.dir+"/error.log")
	}
	w.fetches(w.host, "http://127.0.0.1:90/", "secret 127.0.0.1")
	w.fetches(w.host, "http://127.0.0.1:91/", "machine 127.0.0.1")
	for _, to := range []string{"127.0.0.1", "198.51.100.1", "me", "host.docker.internal"} {
		busy("wget -q -O- http://"+to+":90/").Fails(w.t, 1, "Connection refused")
	}
	for _, to := range []string{"me", "host.docker.internal", "gateway.docker.internal"} {
		busy("wget -q -O- http://"+to+":91/").Want(w.t, harness.Result{Stdout: "machine 198.51.100.1"})
	}
}

// laptop: the machine goes to another network; the resolver that counts is the one of the moment, systemd-resolved's stub too.
func (w *world) laptop(busy func(string) harness.Result) {
	w.t.Helper()
	w.serve(w.host, "dnsmasq", "-k", "-p", "53", "-C", "/dev/null", "-h", "-R", "--user=root", "--listen-address=127.0.0.53", "--bind-interfaces", "--address=/stub.example/198.51.100.2")
	if r := busy("nslookup stub.example"); r.Code == 0 {
		w.t.Errorf("a resolver that nobody has named: %s", r)
	}
	w.write("resolv.conf", "nameserver 127.0.0.53\n")
	harness.Eventually(w.t, 10*time.Second, "the new resolver is asked", func() bool { return busy("wget -q -O- http://stub.example/").Stdout == "world 198.51.100.1" })
	w.write("resolv.conf", "nameserver 198.51.100.2\n")
}

// iperf carries TCP and UDP both ways with a program that nobody here has written, and nothing gets lost on the way of TCP.
func (w *world) iperf() {
	w.t.Helper()
	for _, how := range [][]string{{"-n", "20M"}, {"-R", "-n", "20M"}, {"-u", "-b", "10M", "-t", "1"}, {"-6", "-n", "1M"}} {
		to := "198.51.100.2"
		if how[0] == "-6" {
			to = "2001:db8:1::2"
		}
		r := w.moss(append([]string{"run", "--rm", "--network", "nn", "/", "iperf3", "-J", "-c", to}, how...)...)
		if r.Code != 0 || !strings.Contains(r.Stdout, `"sum_received"`) && !strings.Contains(r.Stdout, `"jitter_ms"`) {
			w.t.Errorf("iperf3 %v: %s", how, r)
		}
	}
}

// closedPing: where the machine lets nobody ping, containers are told so at once.
func (w *world) closedPing() {
	w.t.Helper()
	w.outside(w.host, "echo 1 0 >/proc/sys/net/ipv4/ping_group_range")
	r := w.moss("run", "--rm", "--network", "nn", "/", "ping", "-c", "1", "-W", "20", "198.51.100.2")
	if r.Code != 1 || !strings.Contains(r.Stdout, "Packet filtered") || r.Took > 15*time.Second {
		w.t.Errorf("ping where it is closed: %s after %v", r, r.Took)
	}
	if text := w.moss("info").OK(w.t); !strings.Contains(text, "not to the outside") {
		w.t.Errorf("info does not tell that ping is closed:\n%s", text)
	}
}

// options of networks: none to the outside, to the machine's loopback, and to its link-local neighbours.
func (w *world) options() {
	w.t.Helper()
	t := w.t
	w.moss("network", "create", "--internal", "in").OK(t)
	w.moss("network", "create", "--network-opt", "host-loopback", "--network-opt", "link-local", "lo").OK(t)
	w.moss("run", "--rm", "--network", "in", "./root", "wget", "-q", "-O-", "http://198.51.100.2/").Fails(t, 1, "unreachable")
	if r := w.moss("run", "--rm", "--network", "in", "./root", "nslookup", "far.example"); r.Code == 0 {
		t.Errorf("a name of the outside on an internal network: %s", r)
	}
	w.moss("run", "--rm", "--network", "lo", "./root", "sh", "-c", "wget -q -O- http://$(ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p'):90/; echo; wget -q -O- http://169.254.169.254/").
		Want(t, harness.Result{Stdout: "secret 127.0.0.1\nworld 198.51.100.1"})
	w.moss("network", "rm", "in", "lo").OK(t)
}
