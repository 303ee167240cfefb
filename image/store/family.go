package store

import "github.com/moss-sandbox/moss/image"

// family is how a store's images stand to each other, counted once for a removal and kept up to date by it.
type family struct {
	images   map[image.Digest]*Image
	chains   map[image.Digest]int  // images by the chain ids of their layers
	children map[image.Digest]int  // images by what they were made of
	used     map[image.Digest]bool // by a container
	needed   map[image.Digest]bool // by a name or a container
}

func (s *Store) family(uses []Use) (*family, error) {
	ids, err := s.ids("")
	if err != nil {
		return nil, err
	}
	names, err := s.allNames()
	if err != nil {
		return nil, err
	}
	f := &family{images: map[image.Digest]*Image{}, chains: map[image.Digest]int{}, children: map[image.Digest]int{},
		used: map[image.Digest]bool{}, needed: map[image.Digest]bool{}}
	for _, n := range names {
		f.needed[n.ID] = true
	}
	for _, u := range uses {
		f.used[u.Image], f.needed[u.Image] = true, true
	}
	for _, id := range ids {
		m, err := s.load(id)
		if err != nil {
			return nil, err
		}
		f.images[id] = m
		f.children[m.Parent]++
		for _, l := range m.Layers {
			f.chains[l.ChainID]++
		}
	}
	return f, nil
}

// Intermediate are the images that only serve as steps of others: without a name, and something was made of them. images
// and prune pass them over.
func Intermediate(all []*Image) map[image.Digest]bool {
	made := map[image.Digest]bool{}
	for _, m := range all {
		made[m.Parent] = true
	}
	steps := map[image.Digest]bool{}
	for _, m := range all {
		if made[m.ID] && len(m.Names)+len(m.Digests) == 0 {
			steps[m.ID] = true
		}
	}
	return steps
}
