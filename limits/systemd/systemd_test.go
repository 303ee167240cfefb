package systemd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeBus answers each method by a function; it stands for bus and manager.
type fakeBus struct {
	t     *testing.T
	calls []string
	reply map[string]func(body []byte) []byte // encoded message without serials, see answer
}

// serve listens in a directory of the test and returns the socket's path.
func (f *fakeBus) serve() string {
	path := filepath.Join(f.t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		f.talk(bufio.NewReader(c), c)
	}()
	return path
}

func (f *fakeBus) talk(r *bufio.Reader, w io.Writer) {
	if line, _ := r.ReadString('\n'); !strings.HasPrefix(line, "\x00AUTH EXTERNAL ") {
		return
	}
	io.WriteString(w, "OK 0123\r\n")
	r.ReadString('\n') // BEGIN
	for serial := uint32(1); ; serial++ {
		m, err := receive(r)
		if err != nil {
			return
		}
		f.calls = append(f.calls, m.member)
		if answer := f.reply[m.member]; answer != nil {
			w.Write(answer(m.body.b))
			continue
		}
		w.Write(reply(methodDone, serial, "", "", nil))
	}
}

// reply encodes what a bus sends.
func reply(kind byte, serial uint32, member, failure string, body []byte) []byte {
	e := &encoder{b: []byte{'l', kind, 0, 1}}
	e.uint32(uint32(len(body)))
	e.uint32(99)
	e.array(8, func() {
		if serial != 0 {
			e.align(8)
			e.b = append(e.b, fieldReplySerial)
			e.signature("u")
			e.uint32(serial)
		}
		if member != "" {
			e.field(fieldMember, "s", member)
		}
		if failure != "" {
			e.field(fieldError, "s", failure)
		}
	})
	e.align(8)
	return append(e.b, body...)
}

func strs(values ...string) []byte {
	e := &encoder{}
	for _, v := range values {
		e.string(v)
	}
	return e.b
}

func dialed(t *testing.T, f *fakeBus) *Bus {
	t.Helper()
	b, err := Dial(context.Background(), f.serve())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestStartScopeWaitsForItsJob(t *testing.T) {
	for result, fails := range map[string]bool{"done": false, "failed": true} {
		f := &fakeBus{t: t}
		f.reply = map[string]func([]byte) []byte{"StartTransientUnit": func(body []byte) []byte {
			if !bytes.Contains(body, []byte("TasksMax\x00")) || !bytes.Contains(body, []byte("x.scope\x00")) {
				t.Errorf("asked for %q", body)
			}
			removed := func(job, result string) []byte {
				e := &encoder{}
				e.uint32(7)
				e.string(job)
				e.string("x.scope")
				e.string(result)
				return reply(signal, 0, "JobRemoved", "", e.b)
			}
			other := removed("/job/1", "done") // arrives before the reply
			return append(append(other, reply(methodDone, 4, "", "", strs("/job/2"))...), removed("/job/2", result)...)
		}}
		err := dialed(t, f).StartScope(context.Background(), Scope{Name: "x.scope", PIDs: []int{1}, Numbers: map[string]uint64{"TasksMax": Infinity}})
		if (err != nil) != fails {
			t.Errorf("%s: %v", result, err)
		}
		if got := strings.Join(f.calls, " "); got != "Hello AddMatch Subscribe StartTransientUnit" {
			t.Error(got)
		}
	}
}

func TestErrorsCanBeToldApart(t *testing.T) {
	for name, want := range map[string]error{"org.freedesktop.systemd1.UnitExists": ErrExists, "org.freedesktop.systemd1.NoSuchUnit": ErrNoUnit} {
		f := &fakeBus{t: t}
		f.reply = map[string]func([]byte) []byte{"AttachProcessesToUnit": func([]byte) []byte { return reply(methodFail, 2, "", name, strs("in words")) }}
		err := dialed(t, f).Attach(context.Background(), "x.scope", "/supervisor", 1)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "in words") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestControlGroup(t *testing.T) {
	f := &fakeBus{t: t}
	f.reply = map[string]func([]byte) []byte{
		"GetUnit": func([]byte) []byte { return reply(methodDone, 2, "", "", strs("/unit/x")) },
		"Get": func([]byte) []byte {
			e := &encoder{}
			e.signature("s")
			e.string("/user.slice/_x.scope")
			return reply(methodDone, 3, "", "", e.b)
		},
	}
	if group, err := dialed(t, f).ControlGroup(context.Background(), "x.scope"); err != nil || group != "/user.slice/_x.scope" {
		t.Fatal(group, err)
	}
}

func TestASilentManagerIsAnError(t *testing.T) {
	f := &fakeBus{t: t}
	f.reply = map[string]func([]byte) []byte{"SetUnitProperties": func([]byte) []byte { return nil }}
	b := dialed(t, f)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := b.SetNumbers(ctx, "x.scope", nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestDialErrors(t *testing.T) {
	if _, err := Dial(context.Background(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "refuses")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { c, _ := l.Accept(); io.WriteString(c, "REJECTED EXTERNAL\r\n"); c.Close() }()
	if _, err := Dial(context.Background(), path); err == nil || !strings.Contains(err.Error(), "REJECTED") {
		t.Error(err)
	}
}

// A daemon may refuse and close before it has heard anything: our writing fails, its answer counts all the same.
func TestStartHearsWhoHasClosed(t *testing.T) {
	for said, want := range map[string]string{"REJECTED EXTERNAL\r\n": "REJECTED", "": "broken pipe"} {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
		io.WriteString(theirs, said)
		theirs.Close()
		b := &Bus{socket: ours, r: bufio.NewReader(ours)}
		if err := b.start(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q and closed: got %v, want %q", said, err, want)
		}
		b.Close()
	}
}

func TestReceiveRefusesBrokenMessages(t *testing.T) {
	good := reply(methodDone, 1, "Member", "", strs("body"))
	if m, err := receive(bytes.NewReader(good)); err != nil || m.member != "Member" || m.body.string() != "body" {
		t.Fatalf("%+v, %v", m, err)
	}
	huge := bytes.Clone(good)
	huge[7] = 0xff // length of the body
	bent := bytes.Clone(good)
	bent[30] = 0xff // length of the member's name
	foreign := bytes.Clone(good)
	foreign[0] = 'B'
	for name, text := range map[string][]byte{"short": good[:20], "no body": good[:len(good)-1], "huge": huge, "bent": bent, "big endian": foreign} {
		if m, err := receive(bytes.NewReader(text)); err == nil {
			t.Errorf("%s: accepted as %+v", name, m)
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add(reply(methodFail, 1, "Member", "Failure", strs("body")))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := receive(bytes.NewReader(text))
		if err == nil {
			m.body.string()
			m.body.signature()
			m.body.uint32()
		}
	})
}

// TestHelloOnTheWire is the first call as libdbus sends it, but for the order of the fields.
func TestHelloOnTheWire(t *testing.T) {
	const dbus = "org.freedesktop.DBus"
	got := method{dbus, "/org/freedesktop/DBus", dbus, "Hello", "", nil}.encode(1)
	want := "6c010001" + "00000000" + "01000000" + "6d000000" +
		"01016f0015000000" + hex.EncodeToString([]byte("/org/freedesktop/DBus\x00\x00\x00")) +
		"0201730014000000" + hex.EncodeToString([]byte(dbus+"\x00\x00\x00\x00")) +
		"0301730005000000" + hex.EncodeToString([]byte("Hello\x00\x00\x00")) +
		"0601730014000000" + hex.EncodeToString([]byte(dbus+"\x00\x00\x00\x00"))
	if hex.EncodeToString(got) != want {
		t.Fatalf("\n%x\n%s", got, want)
	}
}
