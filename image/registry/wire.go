package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// dialFunc connects to addr ("host:port") after allow has approved of the address that was chosen. Tests replace the real one to
// give names to their registries.
type dialFunc func(ctx context.Context, network, addr string, allow func(netip.Addr) error) (net.Conn, error)

// wire is the transport of one endpoint with one scheme. Its dialler is the last line of defence of row 27: whatever name a
// registry gave us, it is here that the name has become an address.
type wire struct {
	end       endpoint
	scheme    string
	transport *http.Transport
	dial      dialFunc
	ownClass  atomic.Int32 // class of the address the registry was last reached at
	proxies   sync.Map     // host:port of each proxy the user configured → true
}

// wire returns the connections to an endpoint, shared by everything the client does there.
func (c *Client) wire(e endpoint, scheme string) (*wire, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := fmt.Sprint(scheme, "://", e.host, e.uploads)
	if w := c.wires[key]; w != nil {
		return w, nil
	}
	w, err := c.newWire(e, scheme)
	if err == nil {
		c.wires[key] = w
	}
	return w, err
}

func (c *Client) newWire(e endpoint, scheme string) (*wire, error) {
	config, err := c.tlsConfig(e)
	if err != nil {
		return nil, err
	}
	w := &wire{end: e, scheme: scheme, dial: c.dial}
	w.ownClass.Store(int32(classOfName(hostname(e.host))))
	w.transport = &http.Transport{
		Proxy:                 w.proxy(c.config.Proxy),
		DialContext:           w.dialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   c.config.Patience.Dial,
		ResponseHeaderTimeout: c.config.Patience.answer(e),
		MaxIdleConnsPerHost:   c.config.Jobs + 1,
		ForceAttemptHTTP2:     true, // a dialler of one's own switches it off
		DisableCompression:    true, // layers are compressed already, and a range of a re-compressed body means nothing
		ReadBufferSize:        64 << 10,
		WriteBufferSize:       64 << 10,
	}
	return w, nil
}

// answer is how long the header of an answer may take once the request is out.
func (p Patience) answer(e endpoint) time.Duration {
	if e.uploads {
		return 20 * p.Answer
	}
	return p.Answer
}

// proxy remembers what the user's proxies are called, so that they may live on private addresses.
func (w *wire) proxy(choose func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		u, err := choose(req)
		if u != nil {
			w.proxies.Store(hostPort(u), true)
		}
		return u, err
	}
}

func (w *wire) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if addr != hostPort(&url.URL{Scheme: w.scheme, Host: w.end.host}) {
		if _, isProxy := w.proxies.Load(addr); isProxy {
			return w.dial(ctx, network, addr, anyAddress)
		}
		return w.dial(ctx, network, addr, func(a netip.Addr) error { return w.allow(addr, classOf(a)) })
	}
	return w.dial(ctx, network, addr, func(a netip.Addr) error {
		w.ownClass.Store(int32(classOf(a)))
		return nil
	})
}

func anyAddress(netip.Addr) error { return nil }

// allow says whether the registry may send us to where, which is of the given class.
func (w *wire) allow(where string, k class) error {
	if k == public || k == class(w.ownClass.Load()) {
		return nil
	}
	return fail(ErrUnsafe, "registry %s sends us to %q, which is a %s address", w.end.host, foreign(where), k).
		hint("a registry may name public addresses and, if its own address is of that kind, %s ones; this looks like an attack or a misconfigured registry", k)
}

// netDial is the dialFunc of real life. Control runs once per address tried, before connect(2).
func (c *Client) netDial(ctx context.Context, network, addr string, allow func(netip.Addr) error) (net.Conn, error) {
	d := net.Dialer{
		Timeout: c.config.Patience.Dial,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return allow(ap.Addr())
		},
	}
	return d.DialContext(ctx, network, addr)
}

// hostPort is the address of a URL with its port written out.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
