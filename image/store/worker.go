package store

import (
	"context"
	"io"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
)

// Worker does what needs the ids of the user namespace: it runs in a process inside it, confined to one directory.
// image/worker has the functions such a process calls, and a Worker for callers that are inside already.
type Worker interface {
	// Unpack reads a layer's blob, compressed or not, to its end from r and makes target/fs and target/owners of it.
	// target is an empty directory, an absolute path. r is a pipe (*os.File); the caller closes it. The result's DiffID is
	// the digest of the uncompressed stream. Errors of the stream are layer.EntryError, layer.LimitError or what the
	// decompressor says; on any error, and when ctx ends, target may hold anything.
	Unpack(ctx context.Context, target string, r io.Reader, limits layer.Limits) (layer.Stats, error)
	// RemoveTree removes path and all below it, whoever owns it.
	RemoveTree(ctx context.Context, path string) error
}

// Phase is where a layer stands in a pull.
type Phase int

// The phases, in order; Exists instead of all others for a layer that is there.
const (
	Waiting     Phase = iota // another pull downloads it
	Downloading              // Current of Total compressed bytes
	Downloaded               // and its digest is right
	Extracting               // Current of Total compressed bytes have gone to the worker; often while still Downloading
	Complete                 // visible to others
	Exists
)

// Event is one step of one layer. Several goroutines report, and often: whoever shows it thins it out.
type Event struct {
	Layer          image.Digest // of the blob
	Phase          Phase
	Current, Total int64
}
