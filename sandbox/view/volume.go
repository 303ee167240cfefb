package view

import (
	"time"

	"github.com/moby/moby/api/types/volume"

	"github.com/moss-sandbox/moss/sandbox/engine"
)

// Volume makes the answer of inspect for a volume.
func Volume(v *engine.Volume) *volume.Volume {
	return &volume.Volume{
		CreatedAt: v.Created.Format(time.RFC3339), Driver: "local", Labels: v.Labels, Mountpoint: v.Dir, Name: v.Name, Scope: "local",
	}
}
