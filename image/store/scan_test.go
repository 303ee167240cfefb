package store

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image"
)

// full is a record with every field of every type set: a field the scanner does not know shows as a difference.
func full(t testing.TB) record {
	t.Helper()
	var r record
	fillValue(t, reflect.ValueOf(&r).Elem())
	r.V = version
	r.Config.History = nil
	return r
}

// fillValue sets every field to something that is not zero.
func fillValue(t testing.TB, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("a\"\\\n\u00e9\u2028<\U0001F600")
	case reflect.Int, reflect.Int64:
		v.SetInt(-12)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillValue(t, v.Index(0))
		fillValue(t, v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, val := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillValue(t, key)
		fillValue(t, val)
		v.SetMapIndex(key, val)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 11, 24, 15, 0, 0, 123, time.UTC)))
			return
		}
		if v.Type() == reflect.TypeFor[image.Descriptor]() { // records keep these three
			v.Set(reflect.ValueOf(image.Descriptor{MediaType: "m", Digest: "d", Size: 3}))
			return
		}
		for i := range v.NumField() {
			fillValue(t, v.Field(i))
		}
	default:
		t.Fatalf("cannot fill %v", v.Type())
	}
}

// TestScanKnowsAllFields: what encoding/json writes the scanner reads, field by field.
func TestScanKnowsAllFields(t *testing.T) {
	want := full(t)
	b, err := encode(want)
	if err != nil {
		t.Fatal(err)
	}
	var got record
	if err := scanFile(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\n%+v", err, got, want)
	}
	var n, n2 nameRecord
	var k, k2 mark
	fillValue(t, reflect.ValueOf(&n).Elem())
	fillValue(t, reflect.ValueOf(&k).Elem())
	n.V, k.V = version, version
	nb, _ := encode(n)
	kb, _ := encode(k)
	if err := scanFile(nb, &n2); err != nil || n2 != n {
		t.Errorf("%v %+v", err, n2)
	}
	if err := scanFile(kb, &k2); err != nil || k2 != k {
		t.Errorf("%v %+v", err, k2)
	}
}

// FuzzScan: on any bytes scanner and encoding/json agree about what is valid and what it says.
func FuzzScan(f *testing.F) {
	b, _ := encode(full(f))
	f.Add(string(b))
	for _, s := range []string{"{\"v\":1,}\n", "{\"v\":1,\"id\":\"\\ud83d\\ude00\\ud800\"}\n", "{\"v\":1,\"size\":01}\n", "{\"v\":1,\"size\":-0}\n",
		"{\"v\":1,\"layers\":[null,{}]}\n", "{\"v\":1,\"config\":null}\n", "{\"v\":1,\"x\":[1,2.5e3,{\"a\":[]},true,null]}\n", "{\"v\":1,\"config\":{\"config\":{\"StopTimeout\":null}}} x\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, want record
		err := scanFile([]byte(text), &got)
		jsonErr := decode([]byte(text), &want)
		if err == nil && jsonErr == nil {
			return // equal values are TestScanKnowsAllFields' affair: duplicate and case-folded keys are read otherwise
		}
		if err == nil && !json.Valid([]byte(text)) {
			t.Fatalf("scanner takes %q: %v", text, jsonErr)
		}
	})
}

// TestScanCut: a record cut anywhere is an error and no panic.
func TestScanCut(t *testing.T) {
	b, _ := encode(full(t))
	for i := range len(b) - 1 {
		var r record
		if err := scanFile(append(b[:i:i], '\n'), &r); err == nil {
			t.Errorf("cut at %d: accepted", i)
		}
	}
}
