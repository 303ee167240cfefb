package sandbox

import (
	"encoding/json"
	"os"
	"syscall"
	"time"
)

// An Event is one transition of an object, in Docker's words.
type Event struct {
	Time  time.Time         `json:"t"`
	Type  string            `json:"type"` // container, image, volume, network
	Act   string            `json:"act"`  // create, start, die, …
	ID    string            `json:"id"`
	Attrs map[string]string `json:"attrs,omitempty"`
}

// eventsLimit is the size in bytes at which the events file is renamed to events.1.
const eventsLimit = 4 << 20

// Emit appends an event. It is lazy: on a full disk it is lost. One write of one line is atomic under O_APPEND.
func (d *Dirs) Emit(e Event) {
	e.Time = time.Now()
	b, err := json.Marshal(e)
	if err != nil {
		return
	}
	path := d.Data + "/events"
	fd, err := syscall.Open(path, syscall.O_APPEND|syscall.O_CREAT|syscall.O_WRONLY|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	_, _ = syscall.Write(fd, append(b, '\n'))
	var st syscall.Stat_t
	if syscall.Fstat(fd, &st) == nil && st.Size > eventsLimit {
		_ = os.Rename(path, path+".1")
	}
}

// Event makes a container's event.
func (n *Snapshot) Event(act string, attrs ...string) Event {
	a := map[string]string{"name": n.Spec.Name, "image": n.Spec.Image}
	for k, v := range n.Spec.Labels {
		a[k] = v
	}
	for i := 0; i+1 < len(attrs); i += 2 {
		a[attrs[i]] = attrs[i+1]
	}
	return Event{Type: "container", Act: act, ID: n.ID, Attrs: a}
}
