package output

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// put writes s into a pipe and moves it to the log.
func put(t *testing.T, w *Writer, stream Stream, s string) {
	t.Helper()
	r, p, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(r)
	if _, err := syscall.Write(p, []byte(s)); err != nil {
		t.Fatal(err)
	}
	syscall.Close(p)
	for {
		n, err := w.Move(r, stream, 1<<16, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// all reads what is there, one string per stream.
func all(t *testing.T, r *Reader) (out, errs string) {
	t.Helper()
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, errs
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.Stream == Stdout {
			out += string(p.Data)
		} else {
			errs += string(p.Data)
		}
	}
}

func TestStreamsStayApart(t *testing.T) {
	w := &Writer{Dir: t.TempDir()}
	put(t, w, Stdout, "a\n")
	put(t, w, Stderr, "b\n")
	put(t, w, Stdout, "c\n")
	r := Open(w.Dir)
	if out, errs := all(t, r); out != "a\nc\n" || errs != "b\n" {
		t.Fatalf("%q %q", out, errs)
	}
	put(t, w, Stderr, "d\n")
	if out, errs := all(t, r); out != "" || errs != "d\n" {
		t.Fatalf("what came later: %q %q", out, errs)
	}
}

func TestRecordWithoutBytesIsPassedOver(t *testing.T) {
	w := &Writer{Dir: t.TempDir()}
	put(t, w, Stdout, "a")
	if err := w.record(Stderr, time.Now()); err != nil { // the writer dies before the splice
		t.Fatal(err)
	}
	w.Close()
	put(t, &Writer{Dir: w.Dir}, Stdout, "b")
	if out, errs := all(t, Open(w.Dir)); out != "ab" || errs != "" {
		t.Fatalf("%q %q", out, errs)
	}
}

func TestRotationKeepsTheNewest(t *testing.T) {
	w := &Writer{Dir: t.TempDir(), MaxSize: 10, MaxFile: 2}
	r := Open(w.Dir)
	var followed string
	for _, s := range []string{"0123456789", "abcdefghij", "ABCDEFGHIJ", "z"} {
		put(t, w, Stdout, s)
		out, _ := all(t, r)
		followed += out
	}
	if out, _ := all(t, Open(w.Dir)); out != "ABCDEFGHIJz" {
		t.Fatalf("kept %q", out)
	}
	if followed != "0123456789abcdefghijABCDEFGHIJz" {
		t.Fatalf("followed %q", followed)
	}
}

func TestLinesJoinAndCut(t *testing.T) {
	w := &Writer{Dir: t.TempDir()}
	put(t, w, Stdout, "one\ntw")
	put(t, w, Stderr, "err")
	put(t, w, Stdout, "o\nthree")
	var got []string
	l := Lines{Emit: func(ln Line) error {
		got = append(got, string(rune('0'+ln.Stream))+string(ln.Data))
		return nil
	}}
	r := Open(w.Dir)
	for {
		p, err := r.Next()
		if err != nil {
			break
		}
		if err := l.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	if s := strings.Join(got, "|"); s != "1one\n|1two\n|1three|2err" {
		t.Fatalf("%q", s)
	}
}

func TestReaderBeforeTheFirstByte(t *testing.T) {
	w := &Writer{Dir: t.TempDir()}
	r := Open(w.Dir)
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	put(t, w, Stdout, "x")
	if out, _ := all(t, r); out != "x" {
		t.Fatalf("%q", out)
	}
	if err := os.RemoveAll(w.Dir); err != nil {
		t.Fatal(err)
	}
}
