//go:build !portable && (amd64 || arm64)

package spawn_test

import (
	"bytes"
	"debug/elf"
	"testing"

	"github.com/moss-sandbox/moss/userns/spawn"
)

// Whatever the sizes of calls and data are, the file is an ELF program whose segments are where the list expects them.
func FuzzImage(f *testing.F) {
	f.Add(uint16(0), uint32(0))
	f.Add(uint16(819), uint32(1<<16))
	f.Add(uint16(820), uint32(1<<16+1))
	f.Fuzz(func(t *testing.T, calls uint16, data uint32) {
		l := spawn.New()
		for range calls % 4096 {
			l.Call("x", 1)
		}
		l.Bytes(make([]byte, data%(1<<20)))
		head, ops, at := l.Image(3)
		opsSize, dataSize := l.Sizes()
		whole := make([]byte, int(at)+dataSize+1)
		copy(whole, head)
		p, err := elf.NewFile(bytes.NewReader(whole))
		if err != nil {
			t.Fatal(err)
		}
		if p.Type != elf.ET_EXEC || len(p.Progs) != 4 {
			t.Fatalf("%v, %d segments", p.Type, len(p.Progs))
		}
		text, o, d := p.Progs[0], p.Progs[1], p.Progs[2]
		if p.Entry < text.Vaddr || p.Entry >= text.Vaddr+text.Filesz || text.Flags != elf.PF_R|elf.PF_X {
			t.Errorf("entry %#x, text %+v", p.Entry, text.ProgHeader)
		}
		if o.Off != uint64(ops) || o.Vaddr != 0x10100000 || o.Filesz != uint64(opsSize) || o.Flags != elf.PF_R|elf.PF_W {
			t.Errorf("calls %+v", o.ProgHeader)
		}
		if d.Off != uint64(at) || d.Vaddr != 0x20000000 || d.Filesz != uint64(max(dataSize, 1)) || d.Flags != elf.PF_R|elf.PF_W {
			t.Errorf("data %+v", d.ProgHeader)
		}
		for _, s := range []*elf.Prog{text, o, d} {
			if s.Off%s.Align != s.Vaddr%s.Align || s.Off > 0 && s.Off < text.Filesz || s.Filesz != s.Memsz {
				t.Errorf("segment %+v", s.ProgHeader)
			}
		}
		if o.Off+o.Filesz > d.Off {
			t.Error("calls and data overlap")
		}
	})
}
