package cli

import (
	"fmt"
	"net/netip"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/slirp"
)

// networkOptions are the flags of run and create that say what a container has of its network.
type networkOptions struct {
	publish, expose, aliases []string
	publishAll               bool
	ip, ip6, mac, backend    string
}

func (o *networkOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringArrayVarP(&o.publish, "publish", "p", nil, "Publish a container's port(s) to the host")
	fs.BoolVarP(&o.publishAll, "publish-all", "P", false, "Publish all exposed ports to random ports")
	fs.StringArrayVar(&o.expose, "expose", nil, "Expose a port or a range of ports")
	fs.StringArrayVar(&o.aliases, "network-alias", nil, "Add network-scoped alias for the container")
	fs.StringArrayVar(&o.aliases, "net-alias", nil, "")
	_ = fs.MarkHidden("net-alias")
	fs.StringVar(&o.ip, "ip", "", "IPv4 address (e.g., 172.30.100.104)")
	fs.StringVar(&o.ip6, "ip6", "", "IPv6 address (e.g., 2001:db8::33)")
	fs.StringVar(&o.backend, "net-backend", "", "Who carries the network (moss, relay, relay-conntrack, netstack, slirp4netns, pasta)")
	fs.StringVar(&o.mac, "mac-address", "", "Container MAC address (e.g., 92:d0:c6:0a:29:33)")
}

// set checks the words and hands them on. A published port is an exposed one, too.
func (o *networkOptions) set(c *engine.Create) error {
	for _, e := range o.expose {
		ports, err := slirp.ParseExpose(e)
		if err != nil {
			return err
		}
		for _, p := range ports {
			c.Expose = append(c.Expose, p.String())
		}
	}
	for _, p := range o.publish {
		specs, err := slirp.ParsePort(p)
		if err != nil {
			return err
		}
		for _, s := range specs {
			c.Expose = append(c.Expose, s.Port.String())
		}
	}
	if err := o.checkAddresses(); err != nil {
		return err
	}
	h := &c.Host
	h.Ports, h.PublishAll, h.Aliases, h.IP, h.IP6, h.MAC, h.Backend = o.publish, o.publishAll, o.aliases, o.ip, o.ip6, o.mac, o.backend
	return nil
}

func (o *networkOptions) checkAddresses() error {
	if a, err := netip.ParseAddr(o.ip); o.ip != "" && (err != nil || !a.Is4()) {
		return fmt.Errorf("invalid IPv4 address: %s", o.ip)
	}
	if a, err := netip.ParseAddr(o.ip6); o.ip6 != "" && (err != nil || !a.Is6()) {
		return fmt.Errorf("invalid IPv6 address: %s", o.ip6)
	}
	if _, err := slirp.ParseMAC(o.mac); err != nil {
		return fmt.Errorf("%s is not a valid mac address", o.mac)
	}
	return nil
}
