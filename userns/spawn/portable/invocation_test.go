package portable

import "testing"

func TestInvocationIsReadAsWritten(t *testing.T) {
	p := &Program{Files: []int{-1, 7, 8, -1, 300}, Setsid: true, Layout: Layout{Ops: 1 << 28, First: 1<<28 + 32, Data: 1 << 29, OpsSize: 112, DataSize: 5, Report: 4}}
	inv, ok := decode(p.encode())
	if !ok || inv.field != [fields]uintptr{5, 1, 1 << 28, 1<<28 + 32, 1 << 29, 112, 5, 4} || inv.closed[0] != 1|1<<3 || inv.list() != 5 || inv.pipe() != 6 {
		t.Fatalf("%+v, %t of %q", inv, ok, p.encode())
	}
}

func TestForeignInvocationsAreNone(t *testing.T) {
	for _, s := range []string{"", ",", "1", "1,2,3,4,5,6,7", "1,2,3,4,5,6,7,", "1,2,3,4,5,6,7,x", "2000,0,1,1,1,1,1,1", "1,0,1,1,1,1,1,1,99999", "1,0,1,1,1,1,1,-1", "99999999999999999999,0,1,1,1,1,1,1"} {
		if inv, ok := decode(s); ok {
			t.Errorf("%q is %+v", s, inv)
		}
	}
}

func FuzzInvocation(f *testing.F) {
	f.Add("5,1,268435456,268435488,536870912,112,5,4,0,3")
	f.Add("1,2,3,4,5,6,7,8,")
	f.Fuzz(func(t *testing.T, s string) {
		inv, ok := decode(s)
		if ok && inv.field[fieldCount] > maxFiles {
			t.Fatalf("%d descriptors", inv.field[fieldCount])
		}
	})
}
