package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/image"
)

// mark is layers/MAP/HEX/mark: that the tree beside it is whole, and since which boot it is not yet known to be on disk.
type mark struct {
	V        int    `json:"v"`
	Unsynced string `json:"unsynced,omitempty"` // boot id; empty once synced
	Size     int64  `json:"size"`
	Entries  int64  `json:"entries"`
	Opaque   bool   `json:"opaque,omitempty"` // hides all layers below it, which overlayfs would not see
}

func layerDir(mapKey string, diff image.Digest) string { return "layers/" + mapKey + "/" + diff.Hex() }

// validMapKey keeps map keys to what is a plain file name.
func validMapKey(k string) bool {
	return k != "" && len(k) <= 64 && strings.Trim(k, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && k[0] != '-'
}

// Lowers returns the directories of an image's layers unpacked under an id map, top first as overlay wants them. A
// *NotUnpackedError (ErrNotUnpacked) names the layers that lack a usable tree. It takes no lock: hold the image (Hold)
// until what you start is visible to garbage collection.
func (s *Store) Lowers(m *Image, mapKey string) ([]string, error) {
	return s.LowersOf(m.Layers, mapKey)
}

// LowersOf is Lowers for layers that are no image yet, bottom first. A layer that an image has twice is there once, at its
// upper place, which hides the lower one entirely: overlay refuses the same directory twice (ELOOP).
func (s *Store) LowersOf(layers []image.Layer, mapKey string) ([]string, error) {
	if !validMapKey(mapKey) {
		return nil, fmt.Errorf("internal error: map key %q", mapKey)
	}
	var missing []image.Layer
	lowers := make([]string, 0, len(layers))
	boot, seen := "", make(map[image.Digest]bool, len(layers))
	for _, l := range slices.Backward(layers) {
		dir := layerDir(mapKey, l.DiffID)
		if seen[l.DiffID] {
			continue
		}
		seen[l.DiffID] = true
		k, ok := s.usable(dir, &boot)
		if !ok {
			missing = append(missing, l)
			continue
		}
		lowers = append(lowers, s.root+"/"+dir+"/fs")
		if k.Opaque {
			break
		}
	}
	if missing != nil {
		return nil, &NotUnpackedError{missing}
	}
	return lowers, nil
}

// LayerDir returns where the tree of a layer is, or would be, with its fs and owners.
func (s *Store) LayerDir(mapKey string, diff image.Digest) string {
	return s.root + "/" + layerDir(mapKey, diff)
}

// usable tells whether the tree in dir is whole: marked as synced, or made in this boot. boot caches the boot's id.
func (s *Store) usable(dir string, boot *string) (mark, bool) {
	k, err := s.readMark(dir)
	if err != nil {
		return k, false
	}
	if k.Unsynced != "" && *boot == "" {
		*boot = s.bootID()
	}
	return k, k.Unsynced == "" || k.Unsynced == *boot
}

// whole is usable for one tree.
func (s *Store) whole(dir string) bool {
	boot := ""
	_, ok := s.usable(dir, &boot)
	return ok
}

func (s *Store) readMark(dir string) (mark, error) {
	var k mark
	err := s.withFile(dir+"/mark", func(b []byte) error { return scanFile(b, &k) })
	return k, err
}
