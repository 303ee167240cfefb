package pump

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp/reactor"
)

// joined returns two connections whose far ends a loop joins.
func joined(t *testing.T, env *Env) (a, b *net.TCPConn) {
	t.Helper()
	return joinedIn(t, env, loop(t))
}

func loop(t *testing.T) *reactor.Loop {
	t.Helper()
	l, err := reactor.New()
	if err != nil {
		t.Fatal(err)
	}
	go l.Run()
	t.Cleanup(l.Close)
	return l
}

func joinedIn(t *testing.T, env *Env, l *reactor.Loop) (a, b *net.TCPConn) {
	t.Helper()
	a, x := connected(t)
	b, y := connected(t)
	if err := l.Call(func() { env.Join(l, x, y) }); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// connected returns one end of a connection over loopback and a descriptor of the other.
func connected(t *testing.T) (*net.TCPConn, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := other.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	fd, err := syscall.Dup(int(f.Fd()))
	f.Close()
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn), fd
}

func TestBytesArriveBothWays(t *testing.T) {
	for _, size := range []int{1, 1000, 64 << 10, 6 << 20} {
		a, b := joined(t, &Env{})
		var wg sync.WaitGroup
		for _, way := range [][2]*net.TCPConn{{a, b}, {b, a}} {
			data := make([]byte, size)
			rand.Read(data)
			wg.Go(func() { way[0].Write(data); way[0].CloseWrite() })
			wg.Go(func() {
				if got, err := io.ReadAll(way[1]); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d of %d bytes arrived, %v", len(got), size, err)
				}
			})
		}
		wg.Wait()
	}
}

func TestSpreadMovesPairs(t *testing.T) {
	other := loop(t)
	moved := make(chan bool, 100)
	a, b := joined(t, &Env{Spread: func() *reactor.Loop { moved <- true; return other }})
	data := make([]byte, 16<<20)
	rand.Read(data)
	go func() { time.Sleep(100 * time.Millisecond); a.Write(data); a.CloseWrite() }()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d of %d bytes arrived, %v", len(got), len(data), err)
	}
}

func TestResetIsPassedOn(t *testing.T) {
	a, b := joined(t, &Env{})
	a.SetLinger(0)
	a.Close()
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset arrived as %v", err)
	}
}

func TestResetAfterEndOfFileIsPassedOn(t *testing.T) {
	a, b := joined(t, &Env{})
	a.CloseWrite()
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("end of file arrived as %v", err)
	}
	a.SetLinger(0)
	a.Close()
	end := time.Now().Add(20 * time.Second)
	for time.Now().Before(end) {
		if _, err := b.Write([]byte("x")); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("writing goes on after the reset")
}

func TestSlowReaderGetsEverything(t *testing.T) {
	a, b := joined(t, &Env{})
	data := make([]byte, 8<<20)
	rand.Read(data)
	go func() { a.Write(data); a.CloseWrite() }()
	var got []byte
	buf := make([]byte, 300<<10)
	for {
		n, err := b.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("%d of %d bytes arrived", len(got), len(data))
	}
}

func TestNothingIsLeftOpen(t *testing.T) {
	l := loop(t)
	before := open(t)
	for range 20 {
		a, b := joinedIn(t, &Env{}, l)
		a.Close()
		io.ReadAll(b)
		b.Close()
	}
	for end := time.Now().Add(20 * time.Second); open(t) > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors before, %d after", before, open(t))
		}
	}
}

func open(t *testing.T) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}
