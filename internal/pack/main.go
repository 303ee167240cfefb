package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moss-sandbox/moss/internal/payload"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: pack HOT HEAVY OUT")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// pack writes hot, padding, heavy and the trailer to out, executable.
func pack(hot, heavy, out string) error {
	b, err := os.ReadFile(hot)
	if err != nil {
		return err
	}
	h, err := os.ReadFile(heavy)
	if err != nil {
		return err
	}
	if pad := len(b) % payload.Alignment; pad != 0 {
		b = append(b, make([]byte, payload.Alignment-pad)...)
	}
	t := payload.Trailer{Offset: int64(len(b)), Size: int64(len(h)), Sum: sha256.Sum256(h)}
	return replace(out, t.Append(append(b, h...)))
}

// replace writes b under a temporary name beside out and renames it over out.
func replace(out string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(out), ".pack-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // no longer there when all went well
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Chmod(0o755); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), out)
}
