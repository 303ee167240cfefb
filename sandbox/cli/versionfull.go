//go:build !hot

package cli

import (
	"runtime"

	"github.com/moss-sandbox/moss/userns/sys"
)

// versionSide is one of the two blocks of version.
type versionSide struct {
	Platform      map[string]string
	Version       string
	APIVersion    string `json:"ApiVersion"`
	MinAPIVersion string `json:",omitempty"`
	GoVersion     string
	Os, Arch      string //nolint:revive // Docker's names
	KernelVersion string `json:",omitempty"`
}

// versionFull prints version by a template.
func (a *App) versionFull(format string) error {
	side := versionSide{Platform: map[string]string{"Name": "moss"}, Version: a.Version, APIVersion: APIVersion, GoVersion: runtime.Version(), Os: runtime.GOOS, Arch: runtime.GOARCH}
	server := side
	server.MinAPIVersion, server.KernelVersion = MinAPIVersion, sys.KernelRelease()
	v := struct{ Client, Server versionSide }{side, server}
	if format == "json" {
		format = "{{json .}}"
	}
	t, err := parseTemplate(format)
	if err != nil {
		return err
	}
	return execute(a.Out, t, v)
}
