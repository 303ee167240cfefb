package registry

import (
	"net/netip"
	"slices"
	"testing"
)

func TestWhoIsInsecure(t *testing.T) {
	c := New(Config{Insecure: []string{"reg.example", "other.example:5000", "10.9.0.0/16", "[fd00::5]:5000"}})
	cases := []struct {
		host string
		want bool
	}{
		{"localhost", true}, {"localhost:5000", true}, {"127.0.0.1", true}, {"127.0.0.1:5000", true}, {"127.9.8.7:1", true},
		{"[::1]:5000", true}, {"x.localhost", true},
		{"reg.example", true}, {"reg.example:443", true}, {"other.example:5000", true}, {"other.example", false}, {"other.example:5001", false},
		{"10.9.1.2:5000", true}, {"10.8.1.2:5000", false}, {"192.168.1.1", false}, {"172.16.0.1:5000", false}, {"[fd00::5]:5000", true},
		{"docker.io", false}, {"localhost.example", false}, {"127.0.0.1.example", false},
	}
	for _, tc := range cases {
		if got := c.isInsecure(t.Context(), tc.host); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.host, got, tc.want)
		}
	}
}

func TestEndpoints(t *testing.T) {
	mirrors := []string{"http://m1.example:5000", "https://m2.example/"}
	cases := []struct {
		name, registry string
		config         Config
		hosts          []string
		schemes        []string // of the last
	}{
		{"hub", "docker.io", Config{}, []string{hubHost}, onlyHTTPS},
		{"hub by its other name", "index.docker.io", Config{}, []string{hubHost}, onlyHTTPS},
		{"mirrors", "docker.io", Config{Mirrors: mirrors}, []string{"m1.example:5000", "m2.example", hubHost}, onlyHTTPS},
		{"mirrors are for the hub", "quay.io", Config{Mirrors: mirrors}, []string{"quay.io"}, onlyHTTPS},
		{"mirrors of another", "quay.io", Config{Mirrors: mirrors, MirrorsOf: map[string][]string{"quay.io": mirrors[:1]}}, []string{"m1.example:5000", "quay.io"}, onlyHTTPS},
		{"stand-in", "docker.io", Config{DockerIO: "127.0.0.1:5000"}, []string{"127.0.0.1:5000"}, httpsThenHTTP},
		{"stand-in by URL", "docker.io", Config{DockerIO: "http://127.0.0.1:5000"}, []string{"127.0.0.1:5000"}, onlyHTTP},
		{"private", "192.168.1.1:5000", Config{}, []string{"192.168.1.1:5000"}, onlyHTTPS},
		{"local", "localhost:5000", Config{}, []string{"localhost:5000"}, httpsThenHTTP},
		{"insecure", "reg.example", Config{Insecure: []string{"reg.example"}}, []string{"reg.example"}, httpsThenHTTP},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			list, err := New(tc.config).endpoints(t.Context(), tc.registry)
			if err != nil {
				t.Fatal(err)
			}
			var hosts []string
			for _, e := range list {
				hosts = append(hosts, e.host)
			}
			if last := list[len(list)-1]; !slices.Equal(hosts, tc.hosts) || !slices.Equal(last.schemes, tc.schemes) || last.mirror {
				t.Errorf("%v by %v, want %v by %v", hosts, last.schemes, tc.hosts, tc.schemes)
			}
		})
	}
}

func TestClassesOfAddresses(t *testing.T) {
	cases := []struct {
		address string
		want    class
	}{
		{"8.8.8.8", public}, {"2001:4860::1", public}, {"64:ff9b::808:808", public}, {"172.32.0.1", public},
		{"127.0.0.1", loopback}, {"::1", loopback}, {"0.0.0.0", loopback}, {"0.1.2.3", loopback}, {"::", loopback}, {"::ffff:127.0.0.1", loopback},
		{"64:ff9b::7f00:1", loopback}, {"2002:7f00:1::", loopback}, {"::7f00:1", loopback},
		{"169.254.169.254", linkLocal}, {"fe80::1", linkLocal}, {"fe80::1%eth0", linkLocal}, {"::ffff:169.254.0.1", linkLocal},
		{"10.0.0.1", private}, {"172.16.0.1", private}, {"192.168.0.1", private}, {"100.64.0.1", private}, {"fd00:ec2::254", private}, {"fec0::1", private},
		{"224.0.0.1", unroutable}, {"255.255.255.255", unroutable}, {"ff02::1", unroutable},
	}
	for _, tc := range cases {
		if got := classOf(netip.MustParseAddr(tc.address)); got != tc.want {
			t.Errorf("%s is %v, want %v", tc.address, got, tc.want)
		}
	}
	for _, name := range []string{"127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "[::1]", "localhost", "LocalHost.", "a.localhost"} {
		if got := classOfName(name); got != loopback {
			t.Errorf("%q is %v, want loopback", name, got)
		}
	}
	for _, name := range []string{"example.com", "127.0.0.1.example", "1.2.3.4.5", "256.256.256.256", "localhost.example", "", "0x", "1_0"} {
		if got := classOfName(name); got != public {
			t.Errorf("%q is %v, want public: a name", name, got)
		}
	}
}

func TestParseDaemonJSON(t *testing.T) {
	cases := []struct {
		name, text string
		mirrors    int
		ok         bool
	}{
		{"empty", `{}`, 0, true},
		{"both", `{"registry-mirrors":["https://m.example/","http://10.0.0.1:5000"],"insecure-registries":["r:5000","10.0.0.0/8"],"debug":true}`, 2, true},
		{"no JSON", `registry-mirrors: x`, 0, false},
		{"mirror with path", `{"registry-mirrors":["https://m.example/path"]}`, 0, false},
		{"mirror with user", `{"registry-mirrors":["https://u:p@m.example"]}`, 0, false},
		{"mirror without scheme", `{"registry-mirrors":["m.example"]}`, 0, false},
		{"insecure with scheme", `{"insecure-registries":["http://r:5000"]}`, 0, false},
		{"insecure with bad network", `{"insecure-registries":["10.0.0.0/99"]}`, 0, false},
	}
	for _, tc := range cases {
		d, err := ParseDaemonJSON([]byte(tc.text))
		if (err == nil) != tc.ok || len(d.Mirrors) != tc.mirrors {
			t.Errorf("%s: %+v, %v", tc.name, d, err)
		}
	}
}
