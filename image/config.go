package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config is an image's configuration as registries keep it: OCI's image configuration with Docker's additions. Its bytes'
// digest is the image's id; keep the bytes, re-encoding them makes another image.
type Config struct {
	Created       *time.Time `json:"created,omitempty"`
	Author        string     `json:"author,omitempty"`
	Architecture  string     `json:"architecture"`
	Variant       string     `json:"variant,omitempty"`
	OS            string     `json:"os"`
	OSVersion     string     `json:"os.version,omitempty"`
	OSFeatures    []string   `json:"os.features,omitempty"`
	Config        Settings   `json:"config"`
	RootFS        RootFS     `json:"rootfs"`
	History       []History  `json:"history,omitempty"`
	Comment       string     `json:"comment,omitempty"`        // Docker
	DockerVersion string     `json:"docker_version,omitempty"` // Docker
	Container     string     `json:"container,omitempty"`      // Docker, of commit
}

// Settings is how a container of the image starts, unless its creator says otherwise.
type Settings struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
	ArgsEscaped  bool                `json:"ArgsEscaped,omitempty"` // Windows
	Healthcheck  *Healthcheck        `json:"Healthcheck,omitempty"` // Docker, as all below
	OnBuild      []string            `json:"OnBuild,omitempty"`
	StopTimeout  *int                `json:"StopTimeout,omitempty"` // seconds
	Shell        []string            `json:"Shell,omitempty"`
}

// Healthcheck is Docker's HEALTHCHECK; durations in nanoseconds, 0 means inherit.
type Healthcheck struct {
	Test          []string      `json:"Test,omitempty"`
	Interval      time.Duration `json:"Interval,omitempty"`
	Timeout       time.Duration `json:"Timeout,omitempty"`
	StartPeriod   time.Duration `json:"StartPeriod,omitempty"`
	StartInterval time.Duration `json:"StartInterval,omitempty"`
	Retries       int           `json:"Retries,omitempty"`
}

// RootFS lists the layers' diff ids, bottom first.
type RootFS struct {
	Type    string   `json:"type"`
	DiffIDs []Digest `json:"diff_ids"`
}

// History is one step of an image's making; Empty steps have no layer.
type History struct {
	Created    *time.Time `json:"created,omitempty"`
	CreatedBy  string     `json:"created_by,omitempty"`
	Author     string     `json:"author,omitempty"`
	Comment    string     `json:"comment,omitempty"`
	EmptyLayer bool       `json:"empty_layer,omitempty"`
}

// Counts a configuration may have. Docker has no such limits; images beyond them are made to exhaust their reader.
const (
	maxEnv     = 10_000
	maxHistory = 10_000
	maxPorts   = 65_535 * 3
	maxMap     = 10_000
)

// ErrConfig is wrapped by what ParseConfig refuses.
var ErrConfig = errors.New("invalid image configuration")

// ParseConfig reads and checks a configuration.
func ParseConfig(b []byte) (*Config, error) {
	if len(b) > MaxConfigBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrConfig, MaxConfigBytes)
	}
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &c, c.check()
}

func (c *Config) check() error {
	if c.RootFS.Type != "" && c.RootFS.Type != "layers" {
		return fmt.Errorf("%w: rootfs type %q", ErrConfig, shorten(c.RootFS.Type))
	}
	if len(c.RootFS.DiffIDs) > MaxLayers {
		return fmt.Errorf("%w: %d layers, more than %d", ErrConfig, len(c.RootFS.DiffIDs), MaxLayers)
	}
	for i, d := range c.RootFS.DiffIDs {
		if !d.Valid() {
			return fmt.Errorf("%w: diff id %d: %w", ErrConfig, i+1, &DigestError{string(d)})
		}
	}
	if len(c.History) > maxHistory {
		return fmt.Errorf("%w: %d history entries, more than %d", ErrConfig, len(c.History), maxHistory)
	}
	return c.Config.check()
}

func (s *Settings) check() error {
	counts := []struct {
		what   string
		n, max int
	}{
		{"environment variables", len(s.Env), maxEnv}, {"exposed ports", len(s.ExposedPorts), maxPorts},
		{"volumes", len(s.Volumes), maxMap}, {"labels", len(s.Labels), maxMap}, {"arguments", len(s.Cmd) + len(s.Entrypoint), maxMap},
		{"ONBUILD triggers", len(s.OnBuild), maxMap},
	}
	for _, c := range counts {
		if c.n > c.max {
			return fmt.Errorf("%w: %d %s, more than %d", ErrConfig, c.n, c.what, c.max)
		}
	}
	for _, list := range [][]string{s.Env, s.Cmd, s.Entrypoint, s.Shell, {s.User, s.WorkingDir, s.StopSignal}} {
		for _, v := range list {
			if strings.ContainsRune(v, 0) {
				return fmt.Errorf("%w: a NUL byte in %q", ErrConfig, shorten(v))
			}
		}
	}
	return nil
}

// Platform returns what the image is built for.
func (c *Config) Platform() Platform {
	return Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, OSVersion: c.OSVersion, OSFeatures: c.OSFeatures}
}

// Layer is one layer of an image: its identity unpacked, the identity of the stack up to it, and its compressed blob.
type Layer struct {
	DiffID    Digest `json:"diff"`
	ChainID   Digest `json:"chain"`
	Digest    Digest `json:"digest"`
	Size      int64  `json:"size"`               // of the blob, bytes
	Unpacked  int64  `json:"unpacked,omitempty"` // of the files, bytes; 0 when not known
	MediaType string `json:"type,omitempty"`
}

// Layers joins a manifest with its configuration. They must have as many layers; errors wrap ErrConfig.
func Layers(m *Manifest, c *Config) ([]Layer, error) {
	if len(m.Layers) != len(c.RootFS.DiffIDs) {
		return nil, fmt.Errorf("%w: it lists %d layers, the manifest %d", ErrConfig, len(c.RootFS.DiffIDs), len(m.Layers))
	}
	ls := make([]Layer, len(m.Layers))
	var chain Digest
	for i, d := range m.Layers {
		diff := c.RootFS.DiffIDs[i]
		chain = nextChain(chain, diff)
		ls[i] = Layer{DiffID: diff, ChainID: chain, Digest: d.Digest, Size: d.Size, MediaType: d.MediaType}
	}
	return ls, nil
}

func nextChain(parent, diff Digest) Digest {
	if parent == "" {
		return diff
	}
	return ChainID([]Digest{parent, diff})
}
