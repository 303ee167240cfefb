package registry

import (
	"encoding/json"
	"fmt"
	"net/url"
)

// Daemon is the part of Docker's daemon.json that concerns registries.
type Daemon struct {
	Mirrors  []string `json:"registry-mirrors"`
	Insecure []string `json:"insecure-registries"`
}

// ParseDaemonJSON reads Docker's daemon.json; other keys are left alone. Mirrors must be http or https URLs without user, query and
// fragment, as Docker demands.
func ParseDaemonJSON(b []byte) (Daemon, error) {
	var d Daemon
	if err := json.Unmarshal(b, &d); err != nil {
		return Daemon{}, fmt.Errorf("reading daemon.json: %w", err)
	}
	for _, mirror := range d.Mirrors {
		if _, err := parseMirror(mirror); err != nil {
			return Daemon{}, fmt.Errorf("reading daemon.json: %w", err)
		}
	}
	for _, entry := range d.Insecure {
		if err := checkInsecureEntry(entry); err != nil {
			return Daemon{}, fmt.Errorf("reading daemon.json: %w", err)
		}
	}
	return d, nil
}

func parseMirror(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("mirror %q: %w", s, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("mirror %q: must begin with http:// or https://", s)
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/"):
		return nil, fmt.Errorf("mirror %q: only scheme, host and port are allowed", s)
	}
	return u, nil
}
