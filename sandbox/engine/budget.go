package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/moss-sandbox/moss/limits"
)

// parseBudget reads the key budget of a configuration: memory and cpus as the flags take them or as numbers, pids a number.
func parseBudget(raw json.RawMessage) (b limits.Budget, err error) {
	if len(raw) == 0 {
		return b, nil
	}
	var in struct {
		Memory, CPUs word
		Pids         int64
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return b, err
	}
	if in.Memory != "" {
		if err := b.Memory.Set(string(in.Memory)); err != nil {
			return b, fmt.Errorf("memory: %w", err)
		}
	}
	if in.CPUs != "" {
		if err := b.CPUs.Set(string(in.CPUs)); err != nil {
			return b, fmt.Errorf("cpus: %w", err)
		}
	}
	if b.Pids = in.Pids; b.Memory < 0 || b.CPUs < 0 || b.Pids < 0 {
		return b, fmt.Errorf("a bound is less than 0")
	}
	return b, nil
}

// word is a JSON string, or a number as it is written.
type word string

// UnmarshalJSON implements json.Unmarshaler.
func (w *word) UnmarshalJSON(b []byte) error {
	if s, err := strconv.Unquote(string(b)); err == nil {
		*w = word(s)
		return nil
	}
	var n json.Number
	err := json.Unmarshal(b, &n)
	*w = word(n)
	return err
}

// readBudget takes over the budget that was just read from a file: the user's can only lower the course's.
func (c *Config) readBudget(path string) error {
	b, err := parseBudget(c.Budget)
	if err != nil {
		return &ConfigError{path, fmt.Errorf("budget: %w", err)}
	}
	c.bound, c.Budget = c.bound.Lowered(b), nil
	return nil
}
