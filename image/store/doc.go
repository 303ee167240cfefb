// Package store keeps images on disk: blobs by digest, image records, names, unpacked layers by id map, and what holds
// them. It refuses bytes it has not hashed, names that are not references and digests that are not digests.
//
// Below its root, which is 0700 and its owner's (a set-id file in a tree is set-id of the user outside):
//
//	lock                        readers of the hot path take it shared for moments, garbage collection exclusively
//	blobs/sha256/HEX            content; never changed, only made and removed
//	images/HEX.json             record of an image: manifest, layers, configuration; HEX is the config's digest
//	names/NAME                  one file a name, "/" written as "%"; a name points to a record
//	about/HEX                   of a layer blob: its diff id, once proved, its unpacked size, repositories it is in (for mounts at push)
//	layers/MAP/HEX/{fs,owners,mark}  tree of the layer whose diff id is HEX, unpacked under the id map MAP
//	sessions/ID                 digests that a running pull or build needs, locked by it
//	locks/HEX                   who downloads a blob holds it
//	quarantine/                 files that could not be parsed
//
// Trees are keyed by diff id, not chain id: extraction depends on the layer's bytes alone, so a layer that stands on
// different parents is unpacked once.
//
// Durability (reliability.md 5): blobs, records and names are precious: temporary name, fsync, rename, fsync of the
// directory, in the order blobs, record, name, so that no name is ever without its bytes. Trees are marked
// "unsynced BOOTID" until Settle has synced the file system; with another boot's mark they count as absent and are
// unpacked again from their blob. Sessions and locks are void after a boot by themselves.
//
// Readers take no lock and see each file whole. The order of locks is store, image, container. A second store may be read
// beside (Options.Shared): blobs and names only, hashed before use, never trees.
//
// The package runs outside of the user namespace, in any process of the user; unpacking and removing trees is done by a
// Worker inside. Its read path is part of the hot program.
package store
