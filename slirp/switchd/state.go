package switchd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/dns"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/publish"
	"github.com/moss-sandbox/moss/userns"
)

// saved is switch.json: what a successor needs. It is bound to the boot, so it is renamed into place without fsync.
type saved struct {
	Version    int              `json:"version"`
	Where      userns.Where     `json:"where"`
	Networks   []savedNetwork   `json:"networks"`
	Containers []savedContainer `json:"containers"`
}

type savedNetwork struct {
	Network slirp.Network `json:"network"`
	Rules   gateway.Rules `json:"rules"`
	Held    []holder      `json:"held"`
}

type savedContainer struct {
	ID        string          `json:"id"`
	Held      []holder        `json:"held"`
	Endpoints []savedEndpoint `json:"endpoints"`
}

type savedEndpoint struct {
	Config slirp.EndpointConfig `json:"config"`
	Value  slirp.Endpoint       `json:"value"`
	Port   string               `json:"port"`
}

// save writes the state. Must hold mu.
func (s *service) save() error {
	st := saved{Version: Version, Where: userns.Here()}
	for _, n := range s.networks {
		st.Networks = append(st.Networks, savedNetwork{n.value, n.gw.Rules, n.held})
	}
	for _, box := range s.containers {
		c := savedContainer{ID: box.id, Held: box.held}
		for _, e := range box.endpoints {
			c.Endpoints = append(c.Endpoints, savedEndpoint{e.config, e.value, e.port})
		}
		st.Containers = append(st.Containers, c)
	}
	data, err := json.Marshal(st)
	if err != nil {
		return err
	}
	path := filepath.Join(s.cfg.Dir, stateName)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return fmt.Errorf("writing the switch's state: %w", err)
	}
	return os.Rename(path+".new", path)
}

// load takes over what a former switch has left. Something whose holder has died is dropped; the rest goes on.
func (s *service) load() error {
	data, err := os.ReadFile(filepath.Join(s.cfg.Dir, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the switch's state: %w", err)
	}
	var st saved
	if err := json.Unmarshal(data, &st); err != nil {
		return fmt.Errorf("reading the switch's state: %w", err)
	}
	if st.Version != Version {
		return fmt.Errorf("reading the switch's state: version %d is not known to this moss", st.Version)
	}
	if st.Where != userns.Here() {
		return nil // another boot's: nothing of it is alive
	}
	for _, n := range st.Networks {
		if err := s.adopt(n); err != nil {
			release(n.Held)
		}
	}
	for _, c := range st.Containers {
		if err := s.adoptContainer(c); err != nil {
			release(c.Held)
		}
	}
	return s.save()
}

// NeedsFull tells whether the switch of a directory has left a network that only the full program can carry.
func NeedsFull(dir string) bool {
	data, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		return false
	}
	var st struct {
		Networks []struct{ Rules gateway.Rules }
	}
	return json.Unmarshal(data, &st) == nil && slices.ContainsFunc(st.Networks, func(n struct{ Rules gateway.Rules }) bool { return n.Rules == gateway.RulesNone })
}

// gatewayFiles are a gateway's descriptors that must outlive the switch.
func gatewayFiles(g *gateway.Gateway) []named {
	l := []named{{"ns", g.Namespace()}, {"packet", g.Sockets.Packet}, {"journal", g.Sockets.Journal}}
	for i, family := range []string{"4", "6"} {
		if g.Sockets.TCP[i] >= 0 {
			l = append(l, named{"tcp" + family, g.Sockets.TCP[i]}, named{"udp" + family, g.Sockets.UDP[i]})
		}
	}
	return l
}

func (s *service) adopt(n savedNetwork) error {
	files, err := take(n.Held)
	if err != nil {
		return err
	}
	at := func(name string) int {
		if fd, ok := files[name]; ok {
			return fd
		}
		return -1
	}
	none := [2]int{-1, -1}
	held := gateway.Sockets{Packet: at("packet"), TCP: [2]int{at("tcp4"), at("tcp6")}, UDP: [2]int{at("udp4"), at("udp6")}, Inject: none, Answer: none, Journal: at("journal")}
	gw, err := gateway.Adopt(n.Network, n.Rules, at("ns"), held)
	if err != nil {
		return err
	}
	served, err := s.serve(gw, n.Held)
	if err != nil {
		gw.Close()
		return err
	}
	return s.ready(served)
}

func (s *service) adoptContainer(c savedContainer) error {
	files, err := take(c.Held)
	if err != nil {
		return err
	}
	box := &container{id: c.ID, pidfd: -1, held: c.Held, sockets: dns.Sockets{UDP: files["dns-udp"], TCP: files["dns-tcp"]}}
	if fd, ok := files["pidfd"]; ok {
		box.pidfd = fd
	}
	box.view.service = s
	for _, x := range c.Endpoints {
		n := s.networks[x.Value.Network]
		if n == nil {
			continue
		}
		e := &endpoint{config: x.Config, value: x.Value, net: n, port: x.Port}
		s.adoptPorts(e, files)
		n.members[box.id] = e
		n.rename()
		box.endpoints = append(box.endpoints, e)
	}
	s.containers[box.id] = box
	box.view.store(box)
	if len(box.endpoints) == 0 {
		s.bury(box)
		return nil
	}
	if err := s.resolve(box); err != nil {
		return err
	}
	s.watch(box)
	s.watchContainer(box)
	return nil
}

func (s *service) adoptPorts(e *endpoint, files map[string]int) {
	ports := e.value.Ports
	e.value.Ports = nil
	for _, p := range ports {
		fd, ok := files[portKey(p)]
		if !ok {
			continue
		}
		x := &served{listener: publish.Listener{Published: p, FD: fd}}
		if err := s.serveListener(e, x); err != nil {
			syscall.Close(fd)
			continue
		}
		e.ports = append(e.ports, x)
		e.value.Ports = append(e.value.Ports, p)
	}
}
