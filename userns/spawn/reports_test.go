package spawn_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/userns/spawn"
)

// Whatever comes out of the report descriptor is told, or is an error; the first failure counts.
func FuzzReports(f *testing.F) {
	rec := func(words ...uint64) (b []byte) {
		for _, w := range words {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
		return b
	}
	f.Add(rec(42, spawn.Told))
	f.Add(rec(2, 0x10100020, 42, spawn.Told, 13, 0x10100020))
	f.Add(rec(2, 0x10100010, 2)) // no call's address, then half a record
	f.Add(rec(2, 1<<63))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := spawn.New()
		l.Call("only", syscall.SYS_GETPID)
		var want []uint64
		failed := false
		for r := b; len(r) >= 16; r = r[16:] {
			if v, kind := binary.LittleEndian.Uint64(r), binary.LittleEndian.Uint64(r[8:]); kind == spawn.Told {
				want = append(want, v)
			} else {
				failed = true
			}
		}
		var told []uint64
		err := l.Reports(bytes.NewReader(b), func(v uint64) { told = append(told, v) })
		if len(told) != len(want) {
			t.Fatalf("told %v, want %v", told, want)
		}
		if (err != nil) != (failed || len(b)%16 != 0) {
			t.Fatalf("%v", err)
		}
		if cut := len(b)%16 != 0; cut != errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut %t: %v", cut, err)
		}
	})
}
