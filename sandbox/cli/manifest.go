//go:build !hot

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/sandbox/engine/images"
)

var manifestInspectCommand = Command{
	Name: "manifest inspect", Args: "[OPTIONS] MANIFEST", Short: "Display an image manifest, or manifest list", Min: 1, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := images.InspectManifest{}
		fs.BoolVarP(&o.Verbose, "verbose", "v", false, "Output additional info including layers and platform")
		fs.BoolVar(&o.Insecure, "insecure", false, "Allow communication with an insecure registry")
		return func(ctx context.Context, app *App, args []string) error { return app.inspectManifest(ctx, args[0], o) }
	},
}

func (a *App) inspectManifest(ctx context.Context, name string, o images.InspectManifest) error {
	ref, err := image.ParseRef(name)
	if err != nil {
		return err
	}
	s, err := a.images()
	if err != nil {
		return err
	}
	m, err := s.InspectManifest(ctx, ref, o)
	if errors.Is(err, registry.ErrNotFound) {
		return fmt.Errorf("no such manifest: %s", ref.String())
	}
	if err != nil {
		return err
	}
	var out bytes.Buffer
	switch {
	case o.Verbose:
		err = verboseManifest(&out, ref, m)
	case m.Index: // Docker indents the two kinds so
		err = json.Indent(&out, m.Bytes, "", "   ")
	default:
		err = json.Indent(&out, m.Bytes, "", "\t")
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(a.Out, Quote(out.String()))
	return nil
}

// verboseEntry is an image in manifest inspect --verbose.
type verboseEntry struct {
	Ref        string
	Descriptor image.Descriptor
	Raw        []byte          `json:",omitempty"`
	SchemaV2   json.RawMessage `json:"SchemaV2Manifest,omitempty"`
	OCI        json.RawMessage `json:"OCIManifest,omitempty"`
}

func verboseManifest(out *bytes.Buffer, ref image.Ref, m registry.Inspected) error {
	entry := func(c registry.Manifest, name string) verboseEntry {
		e := verboseEntry{Ref: name, Descriptor: c.Descriptor, Raw: c.Bytes, SchemaV2: c.Bytes}
		if c.Descriptor.MediaType == image.TypeOCIManifest {
			e.SchemaV2, e.OCI = nil, c.Bytes
		}
		return e
	}
	var v any = entry(m.Manifest, ref.String())
	if m.Index {
		list := []verboseEntry{}
		for _, c := range m.Children {
			list = append(list, entry(c, ref.String()+"@"+string(c.Descriptor.Digest)))
		}
		v = list
	}
	b, err := json.MarshalIndent(v, "", "\t")
	out.Write(b)
	return err
}
