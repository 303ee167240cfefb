package engine

import "time"

// volumeRecord is volume.json.
type volumeRecord struct {
	V       int               `json:"v"`
	Name    string            `json:"name"`
	Labels  map[string]string `json:"labels,omitempty"`
	Created time.Time         `json:"created"`
}

func now() time.Time { return time.Now() }
