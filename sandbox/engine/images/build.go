package images

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/build/inside"
	"github.com/moss-sandbox/moss/image/build/onstore"
	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox"
)

// Build makes an image of a Dockerfile. Pulls of base images report to pulls. Errors are build.Build's.
func (s *Service) Build(ctx context.Context, o build.Options, pulls registry.Progress) (build.Result, error) {
	d, ss, err := s.buildDeps(ctx, pulls)
	if err != nil {
		return build.Result{}, err
	}
	limits, err := s.e.Config.Unpack()
	if err != nil {
		return build.Result{}, errors.Join(err, ss.Close())
	}
	if o.Limits == (tree.Limits{}) {
		o.Limits = tree.Limits{Entries: limits.Entries, Size: limits.Size, Ratio: limits.Ratio}
	}
	res, err := build.Build(ctx, o, d)
	if closeErr := ss.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return res, err
	}
	for _, name := range res.Tagged {
		s.e.Dirs.Emit(sandbox.Event{Type: "image", Act: "tag", ID: string(res.ID), Attrs: map[string]string{"name": name.Familiar()}})
	}
	return res, nil
}

// buildDeps is what a build needs of the engine, and the session to be closed after it.
func (s *Service) buildDeps(ctx context.Context, pulls registry.Progress) (build.Deps, *onstore.Session, error) {
	st, mapKey, limits, err := s.open()
	if err != nil {
		return build.Deps{}, nil, err
	}
	d := build.Deps{CacheDir: filepath.Join(s.e.Dirs.Data, "buildcache"), TempDir: filepath.Join(s.e.Dirs.Data, "tmp")}
	for _, dir := range []string{d.CacheDir, d.TempDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return d, nil, err
		}
	}
	tasks := inside.Worker{Namespace: func() (inside.Namespace, error) { return s.e.Namespace() }}
	ss, err := onstore.Begin(ctx, onstore.Config{
		Store: st, MapKey: mapKey, Worker: s.Worker(), Tasks: tasks, Owner: &store.Owner{UID: s.e.Dirs.UID, GID: s.e.Dirs.GID}, Limits: limits,
		Pull: func(ctx context.Context, name string, p image.Platform) error {
			_, err := s.Pull(ctx, Pull{Name: name, Platform: p.String()}, pulls)
			return err
		},
	})
	if err != nil {
		return d, nil, err
	}
	_ = s.e.Sweep(ctx) // the steps of killed builds; what cannot be swept now is found again
	s.sweepSecrets(ctx)
	d.Remote = &remoteCache{s}
	d.Runner, d.Images, d.Trees, d.Worker = &runner{s.e, ss, tasks}, ss, ss, tasks
	return d, ss, nil
}

// Proxies are the proxy variables that ~/.docker/config.json has for containers and builds.
func Proxies() map[string]string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(home, ".docker")
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil // a machine without it has none
	}
	var file struct {
		Proxies map[string]struct {
			HTTPProxy  string `json:"httpProxy"`
			HTTPSProxy string `json:"httpsProxy"`
			NoProxy    string `json:"noProxy"`
			FTPProxy   string `json:"ftpProxy"`
			AllProxy   string `json:"allProxy"`
		} `json:"proxies"`
	}
	if json.Unmarshal(b, &file) != nil {
		return nil // the registry's reader tells what is wrong with it
	}
	p := file.Proxies["default"]
	out := map[string]string{}
	for name, v := range map[string]string{
		"HTTP_PROXY": p.HTTPProxy, "HTTPS_PROXY": p.HTTPSProxy, "NO_PROXY": p.NoProxy, "FTP_PROXY": p.FTPProxy, "ALL_PROXY": p.AllProxy,
	} {
		if v != "" {
			out[name], out[strings.ToLower(name)] = v, v
		}
	}
	return out
}
