package spawn_test

import (
	"io"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/userns/spawn"
)

func TestExitCode(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		exit(l, 7)
		i.run(t, l).want(t, 7)
	})
}

func TestFailureNamesTheCall(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		l.Call("getpid", syscall.SYS_GETPID)
		openNothing(l)
		exit(l, 0)
		o := i.run(t, l)
		o.wantFailure(t, "opening nothing", syscall.ENOENT)
		if o.code != 127 {
			t.Fatalf("code %d", o.code)
		}
	})
}

func TestTryGoesOn(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		l.Try("opening nothing", syscall.SYS_OPENAT, atFdcwd, l.Str("/does/not/exist"), 0)
		exit(l, 3)
		i.run(t, l).want(t, 3)
	})
}

func TestErrorsJump(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		op := openNothing(l)
		tell(l, 1)
		l.OnError(op, l.Next())
		tell(l, 2)
		skip := l.Jump(0)
		tell(l, 3)
		l.IfNotZero(skip, l.Next())
		exit(l, 0)
		i.run(t, l).want(t, 0, 2)
	})
}

// A loop: descriptor 0 is closed once, and the second time the error leads out.
func TestJumpsGoBack(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		again := l.Next()
		op := l.Call("closing", syscall.SYS_CLOSE, 0)
		tell(l, 5)
		l.Jump(again)
		l.OnError(op, l.Next())
		exit(l, 0)
		i.run(t, l).want(t, 0, 5)
	})
}

func TestZeroDoesNotJump(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		zero, one := l.Words(0), l.Words(1)
		l.IfNotZero(l.Load(zero), l.Next()+1) // goes on at the next
		tell(l, 1)
		l.IfNotZero(l.Load(one), l.Next()+1)
		tell(l, 2)
		exit(l, 0)
		i.run(t, l).want(t, 0, 1)
	})
}

func TestResultsAreSaved(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		word := l.Words(0, spawn.Told)
		l.Save(l.Call("getpid", syscall.SYS_GETPID), word)
		l.Call("telling", syscall.SYS_WRITE, report, uintptr(word), 16)
		exit(l, 0)
		o := i.run(t, l)
		o.want(t, 0, uint64(o.pid))
	})
}

func TestResultsAreFed(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		open := l.Call("opening", syscall.SYS_OPENAT, atFdcwd, l.Str("/dev/null"), syscall.O_WRONLY)
		closing := l.Call("closing", syscall.SYS_CLOSE, 9999)
		l.Feed(open, closing, 0)
		l.SetArg(closing, 1, 1)
		l.Call("closing again", syscall.SYS_CLOSE, 4)
		i.run(t, l, -1).wantFailure(t, "closing again", syscall.EBADF) // 4 was the lowest free number
	})
}

func TestLoadFeedsSeveralCalls(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		fd := l.Words(0)
		l.Save(l.Call("opening", syscall.SYS_OPENAT, atFdcwd, l.Str("/dev/null"), syscall.O_WRONLY), fd)
		l.CallWith(fd, 0, "writing", syscall.SYS_WRITE, 0, l.Str("x"), 1)
		l.CallWith(fd, 0, "closing", syscall.SYS_CLOSE, 0)
		l.CallWith(fd, 0, "closing again", syscall.SYS_CLOSE, 0)
		i.run(t, l).wantFailure(t, "closing again", syscall.EBADF)
	})
}

func TestSixArguments(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		file := l.Words(0)
		l.Save(l.Call("opening", syscall.SYS_OPENAT, atFdcwd, l.Str("/proc/self/exe"), syscall.O_RDONLY), file)
		mem := l.Words(0)
		m := l.CallWith(file, 4, "mapping", syscall.SYS_MMAP, 0, 1, syscall.PROT_READ, syscall.MAP_PRIVATE, 0, 0)
		l.Save(m, mem)
		l.CallWith(mem, 1, "writing some bytes of it", syscall.SYS_WRITE, 4, 0, 4)
		exit(l, 0)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		o := i.run(t, l, int(w.Fd()))
		w.Close()
		o.want(t, 0)
		if b, err := io.ReadAll(r); err != nil || string(b) != "\x7fELF" {
			t.Fatalf("%q, %v", b, err)
		}
	})
}

func TestDecimal(t *testing.T) {
	for _, c := range []struct {
		n    uint64
		want string
	}{{0, "/////0"}, {7, "/////7"}, {10, "////10"}, {123456, "123456"}} {
		each(t, func(t *testing.T, i interpreter) {
			l := spawn.New()
			at := l.String("//////")
			d := l.Next() + 1
			l.Feed(l.Load(l.Words(c.n)), d, 0)
			l.Decimal("in decimal", at+6)
			l.Call("writing", syscall.SYS_WRITE, 4, uintptr(at), 6)
			exit(l, 0)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			o := i.run(t, l, int(w.Fd()))
			w.Close()
			o.want(t, 0)
			if b, _ := io.ReadAll(r); string(b) != c.want {
				t.Fatalf("%q, want %q", b, c.want)
			}
		})
	}
}

func TestRecordsComeInOrder(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		var want []uint64
		for n := range uint64(200) {
			want = append(want, n<<32|n)
			tell(l, n<<32|n)
		}
		openNothing(l)
		o := i.run(t, l)
		o.wantFailure(t, "opening nothing", syscall.ENOENT)
		if !slices.Equal(o.told, want) {
			t.Fatalf("told %v", o.told)
		}
	})
}
