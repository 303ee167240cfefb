package tests

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

// hostServer serves text by HTTP on an address of this machine and returns host:port.
func hostServer(t *testing.T, addr, text string) string {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })}
	go s.Serve(ln) //nolint:errcheck // it ends with the listener
	t.Cleanup(func() { _ = s.Close() })
	return ln.Addr().String()
}

// hostAddress is an IPv4 address of this machine that is not its loopback.
func hostAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	harness.Missing(t, "this machine has no address but its loopback")
	return ""
}

// lastPort makes the accounts, which run side by side, take different ports.
var lastPort atomic.Int32

// freePort is a TCP port of this machine that nobody has, and that the kernel gives to nobody (ip_local_port_range).
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(20000 + (os.Getpid()*37+int(lastPort.Add(1)))%10000)
		if ln, err := net.Listen("tcp", ":"+port); err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// get fetches a page as a browser on this machine would, waiting for its server to be up.
func get(t *testing.T, hostPort, page string) (body string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	harness.Eventually(t, harness.Patience, "http://"+hostPort+"/"+page+" answers", func() bool {
		r, err := client.Get("http://" + hostPort + "/" + page)
		if err != nil {
			return false
		}
		defer r.Body.Close()
		b := make([]byte, 100)
		n, _ := r.Body.Read(b)
		body = string(b[:n])
		return r.StatusCode == 200
	})
	return body
}

const web = "echo $0 >/tmp/index.html; exec httpd -f -p 80 -h /tmp"

// awaitWeb is the beginning of a shell line that waits until a web server is up.
func awaitWeb(name string) string {
	return "until wget -q -O /dev/null http://" + name + "/ 2>/dev/null; do sleep 0.1; done; "
}

// serveWeb starts a container that serves its name.
func serveWeb(t *testing.T, l *harness.Login, name string, flags ...string) {
	t.Helper()
	l.Moss(append(append([]string{"run", "-d", "--name", name}, flags...), "./root", "sh", "-c", web, name)...).OK(t)
}

func TestContainersReachTheWorldButNotTheHostsLoopback(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		outside, loopback := hostServer(t, hostAddress(t), "outside"), hostServer(t, "127.0.0.1", "secret")
		_, port, _ := net.SplitHostPort(loopback)
		l.Moss("run", "--rm", "./root", "wget", "-q", "-O-", "http://"+outside+"/").Want(t, harness.Result{Stdout: "outside"})
		for _, at := range []string{"127.0.0.1", "$(ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p')"} {
			l.Moss("run", "--rm", "./root", "sh", "-c", "wget -q -O- http://"+at+":"+port+"/").Fails(t, 1, "Connection refused")
		}
		l.Moss("run", "--rm", "--network", "none", "./root", "wget", "-q", "-O-", "http://"+outside+"/").Fails(t, 1, "unreachable")
	})
}

func TestContainersFindEachOtherByName(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		for _, name := range []string{"nn", "other"} {
			if id := l.Moss("network", "create", name).OK(t); !id64.MatchString(id) {
				t.Errorf("network create printed %q", id)
			}
		}
		serveWeb(t, l, "aa", "--network", "nn", "--network-alias", "alpha")
		l.Moss("run", "--rm", "--network", "nn", "./root", "sh", "-c", awaitWeb("aa")+"for n in aa alpha aa.nn; do wget -q -O- http://$n/; done; ping -c 1 aa >/dev/null && echo pong").
			Want(t, harness.Result{Stdout: "aa\naa\naa\npong\n"})
		address := l.Moss("inspect", "-f", "{{.NetworkSettings.Networks.nn.IPAddress}}", "aa").OK(t)
		l.Moss("run", "--rm", "--network", "other", "./root", "wget", "-q", "-O-", "http://aa/").Fails(t, 1, "bad address")
		l.Moss("run", "--rm", "--network", "other", "./root", "wget", "-q", "-O-", "http://"+address+"/").Fails(t, 1, "unreachable")
		l.Moss("network", "rm", "nn").Fails(t, 1, "network nn has active endpoints (aa)")
		l.Moss("rm", "-f", "aa").OK(t)
		l.Moss("network", "rm", "nn", "other").Want(t, harness.Result{Stdout: "nn\nother\n"})
		l.Moss("run", "--rm", "--network", "nn", "./root", "true").Fails(t, 125, "network nn not found", "hint: ")
	})
}

func TestNetworksAreConnectedAndDisconnected(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Moss("network", "create", "--subnet", "10.66.0.0/24", "--ip-range", "10.66.0.128/25", "--gateway", "10.66.0.9", "nn").OK(t)
		serveWeb(t, l, "aa")
		const addresses = "{{range $n, $e := .NetworkSettings.Networks}}{{$n}}={{$e.IPAddress}} {{end}}"
		before := l.Moss("inspect", "-f", addresses, "aa").OK(t)
		l.Moss("network", "connect", "--alias", "beta", "nn", "aa").Want(t, harness.Result{})
		l.Moss("inspect", "-f", addresses, "aa").Want(t, harness.Result{Stdout: before + "nn=10.66.0.128 \n"})
		l.Moss("network", "connect", "nn", "aa").Fails(t, 1, "endpoint with name aa already exists in network nn")
		l.Moss("run", "--rm", "--network", "nn", "./root", "sh", "-c", awaitWeb("beta")+"wget -q -O- http://beta/").Want(t, harness.Result{Stdout: "aa\n"})
		l.Moss("restart", "-t", "0", "aa").OK(t)
		l.Moss("inspect", "-f", addresses, "aa").Want(t, harness.Result{Stdout: before + "nn=10.66.0.128 \n"})
		l.Moss("network", "disconnect", "nn", "aa").Want(t, harness.Result{})
		l.Moss("inspect", "-f", addresses, "aa").Want(t, harness.Result{Stdout: before + "\n"})
		l.Moss("rm", "-f", "aa").OK(t)
		l.Moss("network", "prune", "-f").Want(t, harness.Result{Stdout: "Deleted Networks:\nnn\n\n"})
	})
}

// The first network can be left: the next one takes over the way out, the published ports and the container's own name. A
// container that is renamed is found by its new name.
func TestFirstNetworkIsLeft(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		port, outside := freePort(t), hostServer(t, hostAddress(t), "outside")
		l.Moss("network", "create", "--subnet", "10.67.0.0/24", "nn").OK(t)
		serveWeb(t, l, "aa", "-p", port+":80")
		l.Moss("network", "connect", "nn", "aa").Want(t, harness.Result{})
		l.Moss("network", "disconnect", "bridge", "aa").Want(t, harness.Result{})
		if got := get(t, "127.0.0.1:"+port, ""); got != "aa\n" {
			t.Errorf("published on the other network: %q", got)
		}
		l.Moss("port", "aa", "80").Want(t, harness.Result{Stdout: "0.0.0.0:" + port + "\n[::]:" + port + "\n"})
		l.Moss("exec", "aa", "sh", "-c", "wget -q -O- http://"+outside+"/; tail -1 /etc/hosts | cut -f1").Want(t, harness.Result{Stdout: "outside10.67.0.2\n"})
		l.Moss("rename", "aa", "cc").OK(t)
		l.Moss("run", "--rm", "--network", "nn", "./root", "sh", "-c", "wget -q -O- http://cc/; wget -q -O- http://aa/ || exit 7").Want(t,
			harness.Result{Stdout: "aa\n", Stderr: "wget: bad address 'aa'\n", Code: 7})
		l.Moss("network", "disconnect", "nn", "cc").Want(t, harness.Result{})
		l.Moss("exec", "cc", "wget", "-q", "-O-", "http://"+outside+"/").Fails(t, 1, "unreachable")
		l.Moss("network", "connect", "bridge", "cc").Want(t, harness.Result{})
		if got := get(t, "127.0.0.1:"+port, ""); got != "aa\n" {
			t.Errorf("published on the first network again: %q", got)
		}
		l.Moss("exec", "cc", "wget", "-q", "-O-", "http://"+outside+"/").Want(t, harness.Result{Stdout: "outside"})
		l.Moss("rm", "-f", "cc").OK(t)
		l.Moss("network", "rm", "nn").OK(t)
	})
}

// network inspect prints Docker's keys in Docker's order, and an account's networks keep their ids.
func TestNetworkInspect(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Moss("run", "-d", "--name", "aa", "./root", "sleep", "1000").OK(t)
		text := l.Moss("network", "inspect", "bridge").OK(t)
		var keys []string
		for _, line := range strings.Split(text, "\n") {
			if key, ok := strings.CutPrefix(line, `        "`); ok {
				keys = append(keys, key[:strings.IndexByte(key, '"')])
			}
		}
		const want = "Name Id Created Scope Driver EnableIPv4 EnableIPv6 IPAM Internal Attachable Ingress ConfigFrom ConfigOnly Containers Options Labels"
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("keys %q\nwant %q", got, want)
		}
		for _, part := range []string{`"Options": null,`, `"Name": "aa"`, `"IPv4Address": "172.`, `"com.docker.network.bridge.default_bridge": "true"`, `"com.docker.network.driver.mtu": "1500"`} {
			if !strings.Contains(text, part) {
				t.Errorf("network inspect bridge lacks %s:\n%s", part, text)
			}
		}
		l.Moss("network", "inspect", "-f", "{{.Driver}} {{.Scope}}", "none").Want(t, harness.Result{Stdout: "null local\n"})
		ids := l.Moss("network", "ls", "-q", "--no-trunc").OK(t)
		if err := os.RemoveAll(l.Data() + "/networks"); err != nil {
			t.Fatal(err)
		}
		if again := l.Moss("network", "ls", "-q", "--no-trunc").OK(t); again != ids {
			t.Errorf("ids %q, then %q", ids, again)
		}
		l.Moss("rm", "-f", "aa").OK(t)
	})
}

func TestPublishedPorts(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		port, more := freePort(t), freePort(t)
		serveWeb(t, l, "aa", "-p", port+":80")
		host := hostAddress(t)
		for _, at := range []string{"127.0.0.1", host} {
			if got := get(t, net.JoinHostPort(at, port), ""); got != "aa\n" {
				t.Errorf("http://%s:%s: %q", at, port, got)
			}
		}
		l.Moss("port", "aa", "80").Want(t, harness.Result{Stdout: "0.0.0.0:" + port + "\n[::]:" + port + "\n"})
		l.Moss("ps", "--format", "{{.Ports}}").Want(t, harness.Result{Stdout: "0.0.0.0:" + port + "->80/tcp, [::]:" + port + "->80/tcp\n"})
		l.Moss("inspect", "-f", `{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}`, "aa").Want(t, harness.Result{Stdout: port + "\n"})

		const taken = "failed: port is already allocated"
		l.Moss("run", "--rm", "-p", port+":80", "./root", "true").Fails(t, 125, "Bind for 0.0.0.0:"+port+" "+taken, `belongs to container "aa"`)
		l.Moss("run", "--name", "bb", "-p", port+":80", "./root", "true").Fails(t, 125, taken)
		l.Moss("ps", "-a", "--format", "{{.Names}} {{.State}}").Want(t, harness.Result{Stdout: "bb created\naa running\n"})

		l.Moss("publish", "aa", more+":80").OK(t)
		if got := get(t, "127.0.0.1:"+more, ""); got != "aa\n" {
			t.Errorf("published later: %q", got)
		}
		l.Moss("unpublish", "aa", more+":80").Want(t, harness.Result{})
		if c, err := net.Dial("tcp", "127.0.0.1:"+more); err == nil {
			c.Close()
			t.Errorf("port %s still answers", more)
		}
		l.Moss("rm", "-f", "aa", "bb").OK(t)
	})
}

// The container sees who calls: the client's own address, not the gateway's.
func TestPublishedPortsShowTheSource(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		port, host := freePort(t), hostAddress(t)
		l.Moss("run", "-d", "--name", "aa", "-p", port+":80", "./root", "sh", "-c",
			`mkdir /tmp/cgi-bin; printf '#!/bin/sh\necho; echo $REMOTE_ADDR' >/tmp/cgi-bin/who; chmod 755 /tmp/cgi-bin/who; exec httpd -f -p 80 -h /tmp`).OK(t)
		said := get(t, net.JoinHostPort(host, port), "cgi-bin/who")
		if strings.TrimPrefix(strings.Trim(strings.TrimSpace(said), "[]"), "::ffff:") != host {
			t.Errorf("called from %s, the container saw %q", host, said)
		}
		l.Moss("rm", "-f", "aa").OK(t)
	})
}

func TestNetworkSurvivesItsSwitch(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		port := freePort(t)
		l.Moss("network", "create", "nn").OK(t)
		serveWeb(t, l, "aa", "--network", "nn", "-p", port+":80")
		get(t, "127.0.0.1:"+port, "")
		before := l.Moss("inspect", "-f", "{{.NetworkSettings.Networks.nn.IPAddress}}", "aa").OK(t)
		old := l.Running("moss-switch")
		if len(old) != 1 {
			t.Fatalf("switches: %v", old)
		}
		if err := syscall.Kill(old[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if got := get(t, "127.0.0.1:"+port, ""); got != "aa\n" {
			t.Errorf("after the switch's death: %q", got)
		}
		l.Moss("run", "--rm", "--network", "nn", "./root", "sh", "-c", awaitWeb("aa")+"wget -q -O- http://aa/").Want(t, harness.Result{Stdout: "aa\n"})
		l.Moss("inspect", "-f", "{{.NetworkSettings.Networks.nn.IPAddress}}", "aa").Want(t, harness.Result{Stdout: before + "\n"})
		l.Moss("rm", "-f", "aa").OK(t)
		l.WantNothing()
		l.Moss("network", "rm", "nn").OK(t)
	})
}

func TestFilesOfTheNetworkInside(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		hosts := l.Moss("run", "--rm", "-h", "hh", "./root", "cat", "/etc/hosts").OK(t)
		if lines := strings.Split(hosts, "\n"); !strings.HasSuffix(lines[len(lines)-1], "\thh") {
			t.Errorf("/etc/hosts: %q", hosts)
		}
		resolv := l.Moss("run", "--rm", "--dns-search", "example.org", "./root", "cat", "/etc/resolv.conf").OK(t)
		if want := "nameserver 127.0.0.11\nsearch example.org\noptions ndots:0"; resolv != want {
			t.Errorf("/etc/resolv.conf: %q, want %q", resolv, want)
		}
		if _, err := os.Stat(l.Data() + "/networks/bridge.json"); err != nil {
			t.Errorf("the default network has no file: %v", err)
		}
	})
}
