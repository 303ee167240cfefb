package build

import (
	"io"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build/tree"
)

// Options is one build, as the command line or the API asks for it.
type Options struct {
	Source     Source
	Dockerfile string    // -f: a path of the caller, or one in the context; "" is Dockerfile
	Text       io.Reader // the Dockerfile itself, instead (-f -)
	InContext  bool      // Dockerfile is a path in the context only (the API)

	Tags      []image.Ref
	Target    string
	BuildArgs map[string]string // of ARG; also proxies and SOURCE_DATE_EPOCH
	Proxies   map[string]string // HTTP_PROXY and the like from the client's configuration; neither history nor cache key
	Labels    map[string]string
	Platform  image.Platform // zero is the host's
	Pull      Pull
	NoCache   bool
	Secrets   map[string]Secret
	SSH       map[string]string // id → path of an agent's socket
	Contexts  map[string]string // --build-context: a path, a git URL, docker-image://NAME

	Network    string // of RUN: "default" or "", "none", "host"
	Hosts      []string
	Resources  Resources
	Sequential bool // one stage after the other, for output in the file's order

	CacheFrom []CacheSpec
	CacheTo   []CacheSpec
	Outputs   []Output // none: the image stays in the store
	Limits    tree.Limits

	// Progress receives events, one at a time; it must not block for long. May be nil.
	Progress func(Event)
}

// A Source is where the build context comes from; exactly one field is set, or none for an empty context.
type Source struct {
	Dir    string
	Stream io.Reader // a tar archive, compressed or not; or, when it is none, a Dockerfile for an empty context
	URL    string    // a git repository, or an archive or Dockerfile behind http(s)
}

// A Secret is the value of RUN --mount=type=secret: exactly one field.
type Secret struct {
	File string
	Env  string // name of a variable of the caller
	Data []byte
}

// A CacheSpec is one --cache-to or --cache-from.
type CacheSpec struct {
	Type string // "local", "registry"
	Ref  string // directory or image name; with type=registry of --cache-from also any image built with the classic history
}

// OutputKind is the form of a build's result outside of the store.
type OutputKind string

// The forms.
const (
	OutputLocal OutputKind = "local" // files below a directory
	OutputTar   OutputKind = "tar"   // the files as an archive
	OutputOCI   OutputKind = "oci"   // an OCI layout as an archive
)

// An Output is one --output.
type Output struct {
	Kind OutputKind
	Dest string    // directory or file
	To   io.Writer // instead of Dest, for tar and oci: standard output
}

// A Result is a finished build.
type Result struct {
	ID       image.Digest
	Image    Image
	Tagged   []image.Ref
	Warnings []Warned
}
