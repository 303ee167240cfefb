package images

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/archive"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox"
)

// An Import is an image to be made of a root file system's tar.
type Import struct {
	Name     string // repository[:tag]; empty for none
	Message  string
	Changes  []string // Dockerfile instructions
	Platform string   // empty: this machine's
}

// Import makes an image of one layer and returns its id.
func (s *Service) Import(ctx context.Context, in io.Reader, o Import) (image.Digest, error) {
	opts := archive.ImportOptions{Platform: image.HostPlatform(), Message: o.Message, Created: time.Now().UTC()}
	if err := o.read(&opts); err != nil {
		return "", err
	}
	st, mapKey, limits, err := s.open()
	if err != nil {
		return "", err
	}
	ss, err := st.Begin(ctx)
	if err != nil {
		return "", err
	}
	defer ss.End()
	m, err := archive.Import(ctx, in, ss, store.Fetch{MapKey: mapKey, Worker: s.Worker(), Limits: limits}, opts)
	if err != nil {
		return "", err
	}
	s.settle()
	s.e.Dirs.Emit(sandbox.Event{Type: "image", Act: "import", ID: string(m.ID), Attrs: map[string]string{"name": o.Name}})
	return m.ID, nil
}

// read parses what the user gave.
func (o *Import) read(opts *archive.ImportOptions) (err error) {
	if o.Platform != "" {
		if opts.Platform, err = image.ParsePlatform(o.Platform); err != nil {
			return err
		}
	}
	for _, line := range o.Changes {
		if err := change(&opts.Settings, line); err != nil {
			return err
		}
	}
	if o.Name == "" {
		return nil
	}
	r, err := image.ParseRef(o.Name)
	if err == nil && r.Digest != "" {
		err = fmt.Errorf("cannot import digest reference")
	}
	opts.Names = []image.Ref{r}
	return err
}

// OpenSource opens what import reads: "-" for stdin, a URL, or a file. The caller closes it.
func OpenSource(ctx context.Context, name string, stdin io.Reader) (io.ReadCloser, error) {
	switch {
	case name == "-":
		return io.NopCloser(stdin), nil
	case !strings.HasPrefix(name, "http://") && !strings.HasPrefix(name, "https://"):
		return os.Open(name)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, name, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("downloading %q: %s", name, resp.Status)
	}
	return resp.Body, nil
}
