package image

import (
	"fmt"
	"runtime"
	"strings"
)

// Platform is what an image is built for.
type Platform struct {
	OS           string   `json:"os"`
	Architecture string   `json:"architecture"`
	Variant      string   `json:"variant,omitempty"`
	OSVersion    string   `json:"os.version,omitempty"`
	OSFeatures   []string `json:"os.features,omitempty"`
}

// HostPlatform is linux and the architecture of this binary.
func HostPlatform() Platform {
	return Platform{OS: "linux", Architecture: runtime.GOARCH}.normal()
}

// ParsePlatform reads os/arch[/variant], or an architecture alone, with the usual other names (x86_64, aarch64, armhf).
func ParsePlatform(s string) (Platform, error) {
	p := strings.Split(strings.ToLower(s), "/")
	for _, c := range p {
		if c == "" || strings.Trim(c, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
			return Platform{}, fmt.Errorf("%q: invalid platform, want os/arch or os/arch/variant", shorten(s))
		}
	}
	switch {
	case len(p) == 1 && p[0] == "linux":
		return HostPlatform(), nil
	case len(p) == 1:
		return Platform{OS: "linux", Architecture: p[0]}.normal(), nil
	case len(p) == 2:
		return Platform{OS: p[0], Architecture: p[1]}.normal(), nil
	case len(p) == 3:
		return Platform{OS: p[0], Architecture: p[1], Variant: p[2]}.normal(), nil
	}
	return Platform{}, fmt.Errorf("%q: invalid platform, want os/arch or os/arch/variant", shorten(s))
}

// String returns os/arch[/variant].
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Runs tells whether a machine of platform p runs an image of platform img. The variants of 32-bit ARM are downward
// compatible; an image without variant fits every variant.
func (p Platform) Runs(img Platform) bool {
	p, img = p.normal(), img.normal()
	if p.OS != img.OS || p.Architecture != img.Architecture {
		return false
	}
	return p.Variant == img.Variant || img.Variant == "" || p.Variant == "" || p.Architecture == "arm" && img.Variant < p.Variant
}

// normal maps the names that differ between tools onto Go's, and drops the variant that is the only one.
func (p Platform) normal() Platform {
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	case "i386", "i486", "i586", "i686", "x86":
		p.Architecture = "386"
	}
	if p.Architecture == "arm64" && (p.Variant == "v8" || p.Variant == "8") || p.Architecture == "amd64" && p.Variant == "v1" {
		p.Variant = ""
	}
	if p.Architecture == "arm" && p.Variant == "" {
		p.Variant = "v7"
	}
	return p
}
