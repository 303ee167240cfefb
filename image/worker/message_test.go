package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/image/layer"
)

// TestFailure: an error is after its way through JSON what it was before.
func TestFailure(t *testing.T) {
	for _, err := range []error{
		&layer.EntryError{Name: "../x", Err: layer.ErrEscape}, &layer.EntryError{Name: "f", Err: fmt.Errorf("writing: %w", syscall.ENOSPC)},
		&layer.EntryError{Name: "", Err: layer.ErrName},
		&layer.LimitError{What: "entries", Limit: 3}, fmt.Errorf("%w after 3 entries", layer.ErrHeader), errors.New("something else"),
	} {
		b, _ := json.Marshal(Reply{Failure: failureOf(err)})
		var r Reply
		if e := json.Unmarshal(b, &r); e != nil || r.Err().Error() != err.Error() {
			t.Errorf("%v became %v, %v", err, r.Err(), e)
		}
		for _, s := range append(sentinels, syscall.ENOSPC, syscall.EDQUOT) {
			if errors.Is(err, s) != errors.Is(r.Err(), s) {
				t.Errorf("%v: is %v: %v", err, s, errors.Is(r.Err(), s))
			}
		}
		var a, c *layer.EntryError
		var d, e *layer.LimitError
		if errors.As(err, &a) != errors.As(r.Err(), &c) || errors.As(err, &d) != errors.As(r.Err(), &e) {
			t.Errorf("%v: other type", err)
		}
	}
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	if r := Serve(t.Context(), NewUnpack(dir, layer.Limits{}), bytes.NewReader(sample(t)), nil); r.Err() != nil || r.Stats.Entries != 3 {
		t.Errorf("%+v", r)
	}
	if r := Serve(t.Context(), NewRemove(dir+"/fs"), nil, nil); r.Err() != nil {
		t.Error(r.Err())
	}
	for _, q := range []Request{{}, {V: version}, {V: version + 1, Remove: dir}} {
		if Serve(t.Context(), q, nil, nil).Err() == nil {
			t.Errorf("%+v accepted", q)
		}
	}
}
