package corpus

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/moss-sandbox/moss/image"
)

// Describe writes an image as text: the files of its layers, bottom first, merged, and its configuration. Times are left
// out. Directories that only lead to something else are left out too: builders differ in which of them they write again.
func Describe(c *image.Config, layers [][]byte) (string, error) {
	files := map[string]string{}
	for _, l := range layers {
		if err := merge(files, l); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	for _, name := range sorted(files) {
		if !implied(name, files) {
			fmt.Fprintf(&b, "%s%s\n", name, files[name])
		}
	}
	b.WriteString(settings(c))
	return b.String(), nil
}

// implied tells whether a directory is plain and only holds other entries.
func implied(name string, files map[string]string) bool {
	if files[name] != " 0755" {
		return false
	}
	for other := range files {
		if other != name && strings.HasPrefix(other, name) {
			return true
		}
	}
	return false
}

func merge(files map[string]string, layer []byte) error {
	for tr := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := "/" + strings.Trim(path.Clean(h.Name), "/")
		if h.Typeflag == tar.TypeDir && name != "/" {
			name += "/"
		}
		switch base := path.Base(name); {
		case base == ".wh..wh..opq":
			remove(files, path.Dir(name)+"/")
			files[path.Dir(name)+"/"+"*"] = " removed"
		case strings.HasPrefix(base, ".wh."):
			gone := path.Join(path.Dir(name), strings.TrimPrefix(base, ".wh."))
			remove(files, gone)
			files[gone] = " removed"
		case name != "/.":
			if files[name], err = line(h, tr); err != nil {
				return err
			}
			if other := strings.TrimSuffix(name, "/"); other != name {
				delete(files, other)
			}
		}
	}
}

func remove(files map[string]string, name string) {
	for f := range files {
		if f == name || strings.HasPrefix(f, strings.TrimSuffix(name, "/")+"/") {
			delete(files, f)
		}
	}
}

func line(h *tar.Header, r io.Reader) (string, error) {
	own := ""
	if h.Uid != 0 || h.Gid != 0 {
		own = fmt.Sprintf(" %d:%d", h.Uid, h.Gid)
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		return " -> " + h.Linkname + own, nil
	case tar.TypeLink:
		return " = " + h.Linkname, nil
	}
	out := fmt.Sprintf(" %04o%s", h.Mode&0o7777, own)
	if h.Typeflag != tar.TypeReg {
		return out + map[byte]string{tar.TypeFifo: " fifo", tar.TypeChar: " char", tar.TypeBlock: " block"}[h.Typeflag], nil
	}
	b, err := io.ReadAll(r)
	if len(b) > 200 || !utf8.Valid(b) {
		return out + " " + string(image.SumBytes(b).Short()), err
	}
	return fmt.Sprintf("%s %q", out, b), err
}

func settings(c *image.Config) string {
	s := c.Config
	var b strings.Builder
	say := func(what string, value any, set bool) {
		if set {
			fmt.Fprintf(&b, "%s %v\n", what, value)
		}
	}
	say("author", c.Author, c.Author != "")
	say("env", fmt.Sprintf("%q", s.Env), len(s.Env) > 0)
	say("entrypoint", fmt.Sprintf("%q", s.Entrypoint), len(s.Entrypoint) > 0)
	say("cmd", fmt.Sprintf("%q", s.Cmd), len(s.Cmd) > 0)
	say("user", s.User, s.User != "")
	say("workdir", s.WorkingDir, s.WorkingDir != "" && s.WorkingDir != "/")
	say("ports", sorted(s.ExposedPorts), len(s.ExposedPorts) > 0)
	say("volumes", sorted(s.Volumes), len(s.Volumes) > 0)
	for _, k := range sorted(s.Labels) {
		say("label", fmt.Sprintf("%s=%q", k, s.Labels[k]), !strings.HasPrefix(k, "io.buildah"))
	}
	say("stopsignal", s.StopSignal, s.StopSignal != "")
	say("shell", fmt.Sprintf("%q", s.Shell), len(s.Shell) > 0)
	if h := s.Healthcheck; h != nil {
		say("health", fmt.Sprintf("%q %v %v %v %d", h.Test, h.Interval, h.Timeout, h.StartPeriod, h.Retries), true)
	}
	say("onbuild", fmt.Sprintf("%q", s.OnBuild), len(s.OnBuild) > 0)
	return b.String()
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
