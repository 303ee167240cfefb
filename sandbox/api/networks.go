package api

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/sandbox/filter"
	"github.com/moss-sandbox/moss/sandbox/view"
	"github.com/moss-sandbox/moss/slirp"
)

// networkList serves GET /networks.
func (s *Server) networkList(q *request) error {
	f, err := q.filters("driver", "id", "label", "name", "scope", "type", "dangling")
	if err != nil {
		return err
	}
	list, err := s.engine.Networks().List()
	if err != nil {
		return err
	}
	used := s.engine.UsedNetworks(q.r.Context())
	out := []any{}
	for i := range list {
		if keepsNetwork(&list[i], f, used[list[i].Name]) {
			out = append(out, view.Network(&list[i], nil))
		}
	}
	return q.ok(out)
}

func keepsNetwork(n *slirp.Network, f filters, used bool) bool {
	kind := "custom"
	if slirp.BuiltIn(n.Name) {
		kind = "builtin"
	}
	dangling, err := f.on("dangling", false)
	return err == nil && f.Labels(n.Labels) &&
		f.Any("driver", func(v string) bool { return v == n.Driver }) &&
		f.Any("id", func(v string) bool { return strings.HasPrefix(n.ID, v) }) &&
		f.Any("name", func(v string) bool { return filter.NameMatches(n.Name, v) }) &&
		f.Any("scope", func(v string) bool { return v == "local" }) &&
		f.Any("type", func(v string) bool { return v == kind }) &&
		f.Any("dangling", func(string) bool { return dangling == (kind == "custom" && !used) })
}

// networkName is what a name stands for: default is the network bridge.
func networkName(name string) string {
	if name == "default" {
		return slirp.NameBridge
	}
	return name
}

// networkInspect serves GET /networks/{name}.
func (s *Server) networkInspect(q *request) error {
	n, in, err := s.engine.Network(q.r.Context(), networkName(q.vars["name"]))
	if err != nil {
		return err
	}
	return q.ok(view.Network(n, in))
}

// networkRequest is the document of POST /networks/create; CheckDuplicate is of before API 1.44, and always true here.
type networkRequest struct {
	Name, Driver, Scope string
	CheckDuplicate      bool
	EnableIPv4          *bool
	EnableIPv6          *bool
	IPAM                *view.NetworkIPAM
	Internal            bool
	Attachable          bool
	Ingress             bool
	ConfigOnly          bool
	ConfigFrom          *struct{ Network string }
	Options             map[string]string
	Labels              map[string]string
}

// networkCreate serves POST /networks/create.
func (s *Server) networkCreate(q *request) error {
	var r networkRequest
	if err := q.body(&r, false); err != nil {
		return err
	}
	n, warning, err := r.network()
	if err != nil {
		return err
	}
	made, err := s.engine.CreateNetwork(n)
	if err != nil {
		return otherwise(http.StatusBadRequest, err)
	}
	q.json(http.StatusCreated, view.NetworkCreated{ID: made.ID, Warning: warning})
	return nil
}

// network turns the document into a value.
func (r *networkRequest) network() (n slirp.Network, warning string, err error) {
	n = slirp.Network{
		Name: r.Name, Driver: r.Driver, Internal: r.Internal, IPv6: r.EnableIPv6 != nil && *r.EnableIPv6, Labels: r.Labels, Options: r.Options,
	}
	if n.Driver == "" || n.Driver == "default" {
		n.Driver = slirp.DriverBridge
	}
	switch {
	case r.Name == "":
		return n, "", badRequest("network name can't be empty")
	case r.Ingress || r.ConfigOnly || r.ConfigFrom != nil && r.ConfigFrom.Network != "":
		return n, "", badRequest("networks of swarms and configuration networks are not supported")
	case r.Scope != "" && r.Scope != "local":
		return n, "", badRequest("scope %q is not supported", r.Scope)
	case r.EnableIPv4 != nil && !*r.EnableIPv4:
		return n, "", badRequest("a network without IPv4 is not supported")
	case n.Driver != slirp.DriverBridge:
		return n, "", notFound("could not find plugin %s in v1 plugin registry: plugin not found", r.Driver)
	}
	if r.IPAM == nil {
		return n, "", nil
	}
	if d := r.IPAM.Driver; d != "" && d != "default" {
		return n, "", notFound("invalid ipam driver: %s", d)
	}
	for _, c := range r.IPAM.Config {
		if len(c.AuxAddress) > 0 {
			return n, "", badRequest("auxiliary addresses are not supported")
		}
		if c.Subnet == (netip.Prefix{}) {
			continue
		}
		if c.Subnet != c.Subnet.Masked() {
			return n, "", badRequest("invalid subnet %s: it should be %s", c.Subnet, c.Subnet.Masked())
		}
		n.Subnets = append(n.Subnets, slirp.Subnet{Subnet: c.Subnet, Range: c.IPRange, Gateway: c.Gateway})
		n.IPv6 = n.IPv6 || c.Subnet.Addr().Is6()
	}
	slices.SortStableFunc(n.Subnets, func(a, b slirp.Subnet) int { return a.Subnet.Addr().BitLen() - b.Subnet.Addr().BitLen() })
	return n, "", nil
}

// networkRemove serves DELETE /networks/{name}.
func (s *Server) networkRemove(q *request) error {
	err := s.engine.RemoveNetwork(q.r.Context(), networkName(q.vars["name"]))
	if err != nil {
		return otherwise(http.StatusForbidden, err)
	}
	return q.none()
}

// networkConnect serves POST /networks/{name}/connect.
func (s *Server) networkConnect(q *request) error {
	var r view.NetworkConnect
	if err := q.body(&r, false); err != nil {
		return err
	}
	want, err := connection(q.vars["name"], r.EndpointConfig)
	if err != nil {
		return err
	}
	want.Network = ""
	if err := s.engine.Connect(q.r.Context(), networkName(q.vars["name"]), r.Container, want); err != nil {
		return otherwise(http.StatusForbidden, err)
	}
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// networkDisconnect serves POST /networks/{name}/disconnect.
func (s *Server) networkDisconnect(q *request) error {
	var r view.NetworkDisconnect
	if err := q.body(&r, false); err != nil {
		return err
	}
	if err := s.engine.Disconnect(q.r.Context(), networkName(q.vars["name"]), r.Container); err != nil {
		return otherwise(http.StatusForbidden, err)
	}
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// pruneNetworks serves POST /networks/prune.
func (s *Server) pruneNetworks(q *request) error {
	f, err := q.filters("until", "label", "label!")
	if err != nil {
		return err
	}
	until, err := f.until()
	if err != nil {
		return err
	}
	gone, err := s.engine.PruneNetworks(q.r.Context(), func(n *slirp.Network) bool {
		return !f.Labels(n.Labels) || !until.IsZero() && n.Created.After(until)
	})
	if err != nil {
		return err
	}
	return q.ok(map[string]any{"NetworksDeleted": orNone(gone)})
}
