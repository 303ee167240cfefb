package registry

import (
	"context"
	"io"

	"github.com/moss-sandbox/moss/image"
)

// Image is an image as it comes out of a registry, before its layers.
type Image struct {
	Ref      image.Ref        // as asked for
	Source   string           // repository the blobs came from, as later pushes mount from: docker.io/library/alpine
	Top      image.Descriptor // what the tag points to: the index if there is one, else the manifest; the "Digest:" of a pull
	Index    []byte           // bytes of the index; nil if the tag points to an image directly
	Manifest Manifest
	Config   []byte
	Parsed   *image.Config
	Layers   []image.Layer // bottom first
}

// ID is the image's id: the digest of its config.
func (im *Image) ID() image.Digest { return image.SumBytes(im.Config) }

// Sink is where a pull puts what it gets. Methods run concurrently for different layers. Their errors end the pull and come back
// to its caller unchanged.
type Sink interface {
	// Begin is called once the image is known and before any layer is asked for: to check free space, to keep the garbage
	// collector away. It is called again for the next endpoint if one fails.
	Begin(context.Context, *Image) error
	// Have tells whether a layer is complete, and everything below it will be.
	Have(context.Context, image.Layer) (bool, error)
	// Receive stores a layer. r connects when it is first read, so a sink that finds the layer finished by somebody else meanwhile
	// returns without reading. r gives io.EOF only after size and digest of the compressed bytes were found right (only the size
	// with PullOptions.SinkHashes); on any other error everything read so far is worthless. r resumes broken connections by itself. extracting may be called with what has been
	// unpacked.
	Receive(ctx context.Context, l image.Layer, r io.Reader, extracting func(current, total int64)) error
	// Put makes the image visible under its name. changed is false if it already was, with the same content.
	Put(context.Context, *Image) (changed bool, err error)
}
