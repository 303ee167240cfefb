package images

import (
	"context"

	"github.com/moss-sandbox/moss/image/store"
)

// Check hashes everything in the store, compares the unpacked layers with their blobs, and with SetAside repairs what can be
// repaired without a registry.
func (s *Service) Check(ctx context.Context, r store.Repair) ([]store.Problem, error) {
	st, mapKey, limits, err := s.open()
	if err != nil {
		return nil, err
	}
	found, err := st.Check(ctx, r, s.Worker())
	if err != nil {
		return found, err
	}
	trees, err := st.CheckTrees(ctx, store.TreeCheck{MapKey: mapKey, Worker: s.Worker(), Limits: limits, Repair: r})
	if r == store.SetAside {
		s.settle()
	}
	return append(found, trees...), err
}
