package images

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/archive"
	"github.com/moss-sandbox/moss/image/store"
)

// Save writes images into one archive, under the names they were asked for by; a repository's name means all its tags.
func (s *Service) Save(ctx context.Context, w io.Writer, names []string) error {
	st, err := s.e.Images()
	if err != nil {
		return err
	}
	var items []archive.Item
	for _, name := range names {
		m, err := st.Lookup(name)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("reference does not exist: No such image: %s", name)
		}
		if err != nil {
			return err
		}
		if m, err = st.Inspect(string(m.ID)); err != nil {
			return err
		}
		item := archive.Item{Image: m}
		if r, err := image.ParseRef(name); err == nil && has(m.Names, r) {
			item.Names = []image.Ref{r}
		}
		items = append(items, item)
	}
	return archive.Save(ctx, w, st, items)
}

func has(names []image.Ref, r image.Ref) bool {
	for _, n := range names {
		if n == r {
			return true
		}
	}
	return false
}

// Load takes the images of an archive into the store. Those before an error stay.
func (s *Service) Load(ctx context.Context, r io.Reader) ([]archive.Loaded, error) {
	st, mapKey, limits, err := s.open()
	if err != nil {
		return nil, err
	}
	ss, err := st.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer ss.End()
	out, err := archive.Load(ctx, r, ss, store.Fetch{MapKey: mapKey, Worker: s.Worker(), Limits: limits}, image.HostPlatform())
	s.settle()
	return out, err
}
