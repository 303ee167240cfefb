package engine

import (
	"encoding/json"
	"testing"

	"github.com/moss-sandbox/moss/limits"
)

func TestBudgetIsLoweredOnly(t *testing.T) {
	var c Config
	for _, text := range []string{`{"memory": "4g", "cpus": 2, "pids": 500}`, `{"memory": 1073741824, "cpus": "3.5"}`} {
		c.Budget = json.RawMessage(text)
		if err := c.readBudget("file"); err != nil {
			t.Fatal(err)
		}
	}
	if want := (limits.Budget{Memory: 1 << 30, CPUs: 2 * limits.OneCPU, Pids: 500}); c.Bound() != want {
		t.Errorf("got %+v, want %+v", c.Bound(), want)
	}
}

func TestBudgetIsChecked(t *testing.T) {
	for _, text := range []string{`{"memory": "4x"}`, `{"colour": 1}`, `{"pids": -1}`, `{"cpus": []}`, `7`} {
		if _, err := parseBudget(json.RawMessage(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}
