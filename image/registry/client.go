package registry

import (
	"sync"

	"github.com/moss-sandbox/moss/image"
)

// Client speaks with registries. It is safe for concurrent use; Close gives the connections back.
type Client struct {
	config Config
	dial   dialFunc
	mu     sync.Mutex
	wires  map[string]*wire // by scheme, host and purpose
}

// New makes a client; it calls nobody yet.
func New(config Config) *Client {
	c := &Client{config: config.withDefaults(), wires: map[string]*wire{}}
	c.dial = c.netDial
	return c
}

// Close closes idle connections. The client may be used afterwards.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.wires {
		w.transport.CloseIdleConnections()
	}
}

// Credentials is the store of passwords this client uses.
func (c *Client) Credentials() *Credentials { return &Credentials{dir: c.config.DockerConfig} }

// Manifest is a manifest or index as a registry gave it: hashed, typed, not interpreted.
type Manifest struct {
	Descriptor image.Descriptor // digest and length of Bytes, and the media type the registry gave
	Bytes      []byte
	Index      bool // an index of platforms, not an image
}
