package payload

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packed writes hot, padding, heavy and trailer to a file and opens it.
func packed(t *testing.T, heavy string, change func([]byte) []byte) *os.File {
	t.Helper()
	b := append([]byte("hot program"), make([]byte, Alignment-len("hot program"))...)
	b = append(b, heavy...)
	b = Trailer{Offset: Alignment, Size: int64(len(heavy)), Sum: sha256.Sum256([]byte(heavy))}.Append(b)
	name := filepath.Join(t.TempDir(), "moss")
	if err := os.WriteFile(name, change(b), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func same(b []byte) []byte { return b }

func TestOpenReturnsTheHeavyProgram(t *testing.T) {
	f := packed(t, "heavy program", same)
	r, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || string(got) != "heavy program" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := Verify(f); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

func TestFilesWithoutATrailer(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"empty":         func([]byte) []byte { return nil },
		"shorter":       func(b []byte) []byte { return b[:trailerSize-1] },
		"other ending":  func(b []byte) []byte { return append(b, 0) },
		"only the half": func(b []byte) []byte { return b[:len(b)-trailerSize/2] },
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Open(packed(t, "heavy", change)); !errors.Is(err, ErrNone) {
				t.Errorf("got %v, want ErrNone", err)
			}
		})
	}
}

func TestDamagedFilesAreTold(t *testing.T) {
	cutMiddle := func(b []byte) []byte { return append(bytes.Clone(b[:100]), b[200:]...) }
	newer := func(b []byte) []byte { b[len(b)-trailerSize+8] = 9; return b }
	if _, err := Open(packed(t, "heavy", cutMiddle)); err == nil || !strings.Contains(err.Error(), "cut or damaged") {
		t.Errorf("cut file: %v", err)
	}
	if _, err := Open(packed(t, "heavy", newer)); err == nil || !strings.Contains(err.Error(), "version 9") {
		t.Errorf("newer trailer: %v", err)
	}
	flip := func(b []byte) []byte { b[Alignment] ^= 1; return b }
	if err := Verify(packed(t, "heavy", flip)); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("flipped bit: %v", err)
	}
}
