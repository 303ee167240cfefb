package view

import (
	"github.com/moby/moby/api/types/events"

	"github.com/moss-sandbox/moss/sandbox"
)

// An Event is one message of events, with the three fields that older clients read.
type Event struct {
	Status string `json:"status,omitempty"`
	ID     string `json:"id,omitempty"`
	From   string `json:"from,omitempty"`
	events.Message
}

// Message makes a message of an event.
func Message(e sandbox.Event) *Event {
	out := &Event{Message: events.Message{
		Type: events.Type(e.Type), Action: events.Action(e.Act), Actor: events.Actor{ID: e.ID, Attributes: notNil(e.Attrs)},
		Scope: "local", Time: e.Time.Unix(), TimeNano: e.Time.UnixNano(),
	}}
	if e.Type == "container" || e.Type == "image" {
		out.Status, out.ID, out.From = e.Act, e.ID, e.Attrs["image"]
	}
	return out
}
