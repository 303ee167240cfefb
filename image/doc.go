// Package image holds what an image is, as plain values: its name (Ref), its identity (Digest), its manifest, index and
// configuration, its layers and their chain ids.
//
// It parses bytes that come from strangers and refuses what is malformed, too large or ambiguous; it opens no file,
// speaks to no registry and knows no store. It is part of the hot program: every run resolves a name with it, so it
// imports nothing heavy. It runs in any process and any namespace.
package image
