package images

import "time"

// A Step is one row of an image's history, newest first.
type Step struct {
	ID        string // the image after this step, or "<missing>"
	Created   time.Time
	CreatedBy string
	Comment   string
	Size      int64 // bytes of the step's files
}

// missing stands for a step whose image is not here: pulled images have one id only.
const missing = "<missing>"

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
	var out []Step
	for _, h := range m.Config.History {
		step := Step{ID: missing, CreatedBy: h.CreatedBy, Comment: h.Comment}
		if h.Created != nil {
			step.Created = *h.Created
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
