package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry/registrytest"
)

// quick is patience for tests: everything as in life, only sooner.
var quick = Patience{
	Retries: 3, Backoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond, Dial: 20 * time.Second, Answer: 20 * time.Second,
	Stall: 20 * time.Second, MinRate: 256, RateLimit: time.Second,
}

// hasty is quick for tests of stalls: on a busy machine it would see some where there are none.
func hasty() Patience {
	p := quick
	p.Stall = 500 * time.Millisecond
	return p
}

func newClient(t *testing.T, config Config) *Client {
	t.Helper()
	if config.Patience == (Patience{}) {
		config.Patience = quick
	}
	if config.Proxy == nil {
		config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	}
	c := New(config)
	t.Cleanup(c.Close)
	return c
}

func ref(t *testing.T, s string) image.Ref {
	t.Helper()
	r, err := image.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// internet gives names and public addresses to servers on loopback: the client dials registry.example:443, believes to reach
// 203.0.113.1 and reaches the server.
type internet map[string]site

type site struct {
	address string // what the client believes
	host    string // where it really goes; "" accepts nobody
}

func (n internet) join(c *Client) *Client {
	c.dial = func(ctx context.Context, network, addr string, allow func(netip.Addr) error) (net.Conn, error) {
		s, ok := n[addr]
		if !ok {
			return nil, &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}
		}
		if err := allow(netip.MustParseAddr(s.address)); err != nil {
			return nil, err
		}
		if s.host == "" {
			return nil, errors.New("nobody is at " + addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, s.host)
	}
	return c
}

// memSink keeps what a pull brings.
type memSink struct {
	mu     sync.Mutex
	begun  int
	layers map[image.Digest][]byte // by diff id
	images map[string]*Image       // by familiar name
	fail   map[string]error        // by method
}

var _ Sink = (*memSink)(nil)

func newSink() *memSink {
	return &memSink{layers: map[image.Digest][]byte{}, images: map[string]*Image{}, fail: map[string]error{}}
}

func (s *memSink) Begin(context.Context, *Image) error {
	s.begun++
	return s.fail["Begin"]
}

func (s *memSink) Have(_ context.Context, l image.Layer) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, have := s.layers[l.DiffID]
	return have, s.fail["Have"]
}

func (s *memSink) Receive(_ context.Context, l image.Layer, r io.Reader, extracting func(int64, int64)) error {
	if err := s.fail["Receive"]; err != nil {
		return err
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	extracting(1, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.layers[l.DiffID] = b
	return nil
}

func (s *memSink) Put(_ context.Context, im *Image) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.images[im.Ref.Familiar()]
	s.images[im.Ref.Familiar()] = im
	return old == nil || old.ID() != im.ID(), s.fail["Put"]
}

// holds fails the test unless the sink has the image, byte by byte.
func (s *memSink) holds(t *testing.T, name string, want *registrytest.Image) {
	t.Helper()
	got := s.images[name]
	if got == nil {
		t.Fatalf("image %s was not put", name)
	}
	if !bytes.Equal(got.Manifest.Bytes, want.Manifest) || !bytes.Equal(got.Config, want.Config) {
		t.Errorf("image %s: manifest or config differs", name)
	}
	for _, l := range want.Layers {
		if !bytes.Equal(s.layers[l.DiffID], want.Blobs[l.Digest]) {
			t.Errorf("layer %s differs", l.Digest.Short())
		}
	}
}

// empty fails the test if anything has reached the sink.
func (s *memSink) empty(t *testing.T) {
	t.Helper()
	if len(s.images) != 0 || len(s.layers) != 0 {
		t.Errorf("the sink has %d images and %d layers, want none", len(s.images), len(s.layers))
	}
}

// eventLog keeps what a Progress is told.
type eventLog struct {
	mu     sync.Mutex
	events []Event
}

func (l *eventLog) Event(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// phases lists the phases of one id, each once in a row.
func (l *eventLog) phases(id string) []Phase {
	var list []Phase
	for _, e := range l.events {
		if e.ID == id && (len(list) == 0 || list[len(list)-1] != e.Phase) {
			list = append(list, e.Phase)
		}
	}
	return list
}

func (l *eventLog) has(want Event) bool { return slices.Contains(l.events, want) }

// wantKind fails the test unless err is of the kind, fits a line and can be told to a user.
func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error %v (%T), want one that is %q", err, err, kind)
	}
	t.Logf("%v", err) // to be read by whoever changes texts
	for _, r := range err.Error() {
		if r < ' ' || r == 0x7f {
			t.Errorf("error %q has control characters", err)
		}
	}
}

func wantHint(t *testing.T, err error) {
	t.Helper()
	var h interface{ Hints() []string }
	if !errors.As(err, &h) || len(h.Hints()) == 0 {
		t.Errorf("error %q has no hints", err)
	}
}
