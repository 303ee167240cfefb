package api

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/sandbox/filter"
)

// filters are what a request narrows a list with.
type filters struct{ filter.Set }

// filters reads the parameter in both of its forms, {"name":{"x":true}} and {"name":["x"]}, and refuses names that this
// list does not know.
func (q *request) filters(known ...string) (filters, error) {
	text := q.query.Get("filters")
	f := filters{filter.Set{}}
	if text == "" {
		return f, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return f, badRequest("invalid filter: %v", err)
	}
	for name, value := range raw {
		if !slices.Contains(known, name) {
			return f, badRequest("invalid filter '%s'", name)
		}
		values, err := filterValues(value)
		if err != nil {
			return f, badRequest("invalid filter '%s': %v", name, err)
		}
		f.Set[name] = values
	}
	return f, nil
}

func filterValues(value json.RawMessage) (out []string, err error) {
	if json.Unmarshal(value, &out) == nil {
		return out, nil
	}
	var set map[string]bool
	if err := json.Unmarshal(value, &set); err != nil {
		return nil, err
	}
	for v, on := range set {
		if on {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out, nil
}

// until is the time of the filter of that name; zero for none.
func (f filters) until() (t time.Time, err error) {
	for _, v := range f.Set["until"] {
		if t, err = parseTime(v); err != nil {
			return t, badRequest("invalid filter 'until=%s'", v)
		}
	}
	return t, nil
}

// on reads a filter that is a yes-or-no; what it means otherwise.
func (f filters) on(name string, otherwise bool) (bool, error) {
	for _, v := range f.Set[name] {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return false, badRequest("invalid filter '%s=[%s]'", name, v)
		}
		return b, nil
	}
	return otherwise, nil
}

// parseTime reads seconds after 1970 with a fraction, RFC 3339, or a duration ago.
func parseTime(s string) (time.Time, error) {
	if s == "" || s == "0" {
		return time.Time{}, nil
	}
	sec, frac, _ := strings.Cut(s, ".")
	if n, err := strconv.ParseInt(sec, 10, 64); err == nil {
		ns, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		if err != nil {
			return time.Time{}, badRequest("invalid time: %q", s)
		}
		return time.Unix(n, ns), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(-d), nil
	}
	return time.Time{}, badRequest("invalid time: %q", s)
}

// time reads a parameter that is a time; zero for none.
func (q *request) time(name string) (time.Time, error) { return parseTime(q.query.Get(name)) }
