package images

import (
	"context"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry"
)

// Search looks for repositories in the registry the term begins with, Docker Hub where it names none. limit 0 is Docker's.
func (s *Service) Search(ctx context.Context, term string, limit int) ([]registry.Found, error) {
	c, err := s.Client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Search(ctx, term, limit)
}

// InspectManifest are the flags of manifest inspect.
type InspectManifest struct {
	Verbose  bool // the manifests an index lists, too
	Insecure bool // this registry's certificate is not verified, plain HTTP is allowed
}

// InspectManifest fetches the manifest behind a name from its registry; the store is not asked.
func (s *Service) InspectManifest(ctx context.Context, ref image.Ref, o InspectManifest) (registry.Inspected, error) {
	config, err := s.registries()
	if err != nil {
		return registry.Inspected{}, err
	}
	if o.Insecure {
		config.Insecure = append(config.Insecure, ref.Domain)
	}
	c := registry.New(config)
	defer c.Close()
	return c.ManifestInspect(ctx, ref, registry.InspectOptions{Children: o.Verbose})
}
