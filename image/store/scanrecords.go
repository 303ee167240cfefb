package store

import (
	"bytes"
	"time"

	"github.com/moss-sandbox/moss/image"
)

// scannable is a file's type that the hot path reads without encoding/json.
type scannable interface{ scan(*scan) }

func scanFile(b []byte, v scannable) error {
	if len(b) == 0 || b[len(b)-1] != '\n' {
		return errTruncated
	}
	if !bytes.HasPrefix(b, versionMark) {
		return errNewVersion
	}
	s := &scan{b: b}
	v.scan(s)
	return s.end()
}

func (n *nameRecord) scan(s *scan) {
	s.object(func(key string) {
		switch key {
		case "v":
			n.V = int(s.int())
		case "name":
			n.Name = s.string()
		case "id":
			n.ID = image.Digest(s.string())
		case "manifest":
			n.Manifest = image.Digest(s.string())
		case "top":
			n.Top = image.Digest(s.string())
		case "at":
			n.At = orZero(s.time())
		default:
			s.skip()
		}
	})
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func (k *mark) scan(s *scan) {
	s.object(func(key string) {
		switch key {
		case "v":
			k.V = int(s.int())
		case "unsynced":
			k.Unsynced = s.string()
		case "size":
			k.Size = s.int()
		case "entries":
			k.Entries = s.int()
		case "opaque":
			k.Opaque = s.bool()
		default:
			s.skip()
		}
	})
}

func (r *record) scan(s *scan) {
	s.object(func(key string) {
		switch key {
		case "v":
			r.V = int(s.int())
		case "id":
			r.ID = image.Digest(s.string())
		case "manifests":
			s.array(func() { r.Manifests = append(r.Manifests, scanDescriptor(s)) })
		case "layers":
			s.array(func() { r.Layers = append(r.Layers, scanLayer(s)) })
		case "size":
			r.Size = s.int()
		case "stored":
			r.Stored = orZero(s.time())
		case "parent":
			r.Parent = image.Digest(s.string())
		case "config":
			r.Config = scanConfig(s)
		default:
			s.skip()
		}
	})
}

// scanDescriptor reads what a record's descriptors have.
func scanDescriptor(s *scan) (d image.Descriptor) {
	s.object(func(key string) {
		switch key {
		case "mediaType":
			d.MediaType = s.string()
		case "digest":
			d.Digest = image.Digest(s.string())
		case "size":
			d.Size = s.int()
		default:
			s.skip()
		}
	})
	return d
}

func scanLayer(s *scan) (l image.Layer) {
	s.object(func(key string) {
		switch key {
		case "diff":
			l.DiffID = image.Digest(s.string())
		case "chain":
			l.ChainID = image.Digest(s.string())
		case "digest":
			l.Digest = image.Digest(s.string())
		case "size":
			l.Size = s.int()
		case "unpacked":
			l.Unpacked = s.int()
		case "type":
			l.MediaType = s.string()
		default:
			s.skip()
		}
	})
	return l
}

// scanConfig reads a configuration without its history.
func scanConfig(s *scan) *image.Config {
	if s.word("null") {
		return nil
	}
	c := &image.Config{}
	s.object(func(key string) {
		switch key {
		case "created":
			c.Created = s.time()
		case "os.features":
			c.OSFeatures = s.strings()
		case "config":
			scanSettings(s, &c.Config)
		case "rootfs":
			scanRootFS(s, &c.RootFS)
		default:
			if text := textOf(c, key); text != nil {
				*text = s.string()
				return
			}
			s.skip()
		}
	})
	return c
}

// textOf is the field of a configuration that holds plain text; nil for other keys.
func textOf(c *image.Config, key string) *string {
	switch key {
	case "author":
		return &c.Author
	case "architecture":
		return &c.Architecture
	case "variant":
		return &c.Variant
	case "os":
		return &c.OS
	case "os.version":
		return &c.OSVersion
	case "comment":
		return &c.Comment
	case "docker_version":
		return &c.DockerVersion
	case "container":
		return &c.Container
	}
	return nil
}

func scanRootFS(s *scan, r *image.RootFS) {
	s.object(func(key string) {
		switch key {
		case "type":
			r.Type = s.string()
		case "diff_ids":
			r.DiffIDs = nil
			for _, d := range s.strings() {
				r.DiffIDs = append(r.DiffIDs, image.Digest(d))
			}
		default:
			s.skip()
		}
	})
}

func scanSettings(s *scan, c *image.Settings) {
	s.object(func(key string) {
		switch key {
		case "User":
			c.User = s.string()
		case "ExposedPorts":
			c.ExposedPorts = scanSet(s)
		case "Env":
			c.Env = s.strings()
		case "Entrypoint":
			c.Entrypoint = s.strings()
		case "Cmd":
			c.Cmd = s.strings()
		case "Volumes":
			c.Volumes = scanSet(s)
		case "WorkingDir":
			c.WorkingDir = s.string()
		case "Labels":
			c.Labels = scanLabels(s)
		case "StopSignal":
			c.StopSignal = s.string()
		case "ArgsEscaped":
			c.ArgsEscaped = s.bool()
		case "Healthcheck":
			c.Healthcheck = scanHealth(s)
		case "OnBuild":
			c.OnBuild = s.strings()
		case "StopTimeout":
			c.StopTimeout = scanTimeout(s)
		case "Shell":
			c.Shell = s.strings()
		default:
			s.skip()
		}
	})
}

func scanSet(s *scan) map[string]struct{} {
	if s.word("null") {
		return nil
	}
	out := map[string]struct{}{}
	s.object(func(key string) {
		s.skip()
		out[key] = struct{}{}
	})
	return out
}

func scanLabels(s *scan) map[string]string {
	if s.word("null") {
		return nil
	}
	out := map[string]string{}
	s.object(func(key string) { out[key] = s.string() })
	return out
}

func scanTimeout(s *scan) *int {
	if s.word("null") {
		return nil
	}
	n := int(s.int())
	return &n
}

func scanHealth(s *scan) *image.Healthcheck {
	if s.word("null") {
		return nil
	}
	h := &image.Healthcheck{}
	s.object(func(key string) {
		switch key {
		case "Test":
			h.Test = s.strings()
		case "Interval":
			h.Interval = time.Duration(s.int())
		case "Timeout":
			h.Timeout = time.Duration(s.int())
		case "StartPeriod":
			h.StartPeriod = time.Duration(s.int())
		case "StartInterval":
			h.StartInterval = time.Duration(s.int())
		case "Retries":
			h.Retries = int(s.int())
		default:
			s.skip()
		}
	})
	return h
}
