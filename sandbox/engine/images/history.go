package images

import (
	"slices"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/store"
)

// A Step is one row of an image's history, newest first.
type Step struct {
	ID        string // the image after this step, or "<missing>"
	Created   time.Time
	CreatedBy string
	Comment   string
	Size      int64 // bytes of the step's files
}

// Missing stands for a step whose image is not here: pulled images have one id only.
const Missing = "<missing>"

// History returns the steps of an image's making.
func (s *Service) History(name string) ([]Step, error) {
	st, err := s.e.Images()
	if err != nil {
		return nil, err
	}
	m, err := st.Inspect(name)
	if err != nil {
		return nil, err
	}
	layers := m.Layers
	ids := made(st, m)
	var out []Step
	for i, h := range m.Config.History {
		step := Step{ID: Missing, CreatedBy: h.CreatedBy, Comment: h.Comment}
		if h.Created != nil {
			step.Created = *h.Created
		}
		if id, ok := ids[i+1]; ok {
			step.ID = string(id)
		}
		if !h.EmptyLayer && len(layers) > 0 {
			step.Size = layers[0].Unpacked
			layers = layers[1:]
		}
		out = append([]Step{step}, out...)
	}
	if len(out) > 0 {
		out[0].ID = string(m.ID)
	}
	return out, nil
}

// made finds the images that an image was made of: the ids of those whose history is the beginning of its own, by their
// number of steps.
func made(st *store.Store, m *store.Image) map[int]image.Digest {
	out := map[int]image.Digest{}
	all, _ := st.List() // what is damaged is no step to show
	for _, c := range all {
		if c.ID == m.ID || !beginsWith(m.Layers, c.Layers, sameLayer) {
			continue
		}
		b, err := st.ReadBlob(c.ID, image.MaxConfigBytes)
		if err != nil {
			continue
		}
		config, err := image.ParseConfig(b)
		if err == nil && len(config.History) < len(m.Config.History) && beginsWith(m.Config.History, config.History, sameStep) {
			out[len(config.History)] = c.ID
		}
	}
	return out
}

func beginsWith[T any](all, beginning []T, same func(a, b T) bool) bool {
	return len(beginning) <= len(all) && slices.EqualFunc(all[:len(beginning)], beginning, same)
}

func sameLayer(a, b image.Layer) bool { return a.DiffID == b.DiffID }

func sameStep(a, b image.History) bool {
	if a.Created != nil && b.Created != nil && !a.Created.Equal(*b.Created) {
		return false
	}
	return a.CreatedBy == b.CreatedBy && a.EmptyLayer == b.EmptyLayer && (a.Created == nil) == (b.Created == nil)
}
