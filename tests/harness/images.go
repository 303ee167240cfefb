package harness

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Image is an image that a registry of the harness can serve.
type Image = v1.Image

// Config is an image's configuration (command, environment, user…).
type Config = v1.Config

// busyboxRoot is the smallest root that a shell feels at home in.
const busyboxRoot = `
dir  bin
exe  bin/busybox @/usr/bin/busybox
dir  dev
dir  etc
file etc/passwd root:x:0:0:root:/root:/bin/sh
file etc/group root:x:0:
dir  home
dir  proc
dir  root mode=700
dir  run
dir  sys
dir  tmp mode=1777
dir  usr
dir  var
`

// BusyboxTree is a root file system in words: static busybox under the names of its programs.
func BusyboxTree(t testing.TB) string {
	t.Helper()
	RequirePackages(t, "busybox-static")
	out, err := exec.Command("/usr/bin/busybox", "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	words := busyboxRoot
	for _, name := range strings.Fields(string(out)) {
		if name != "busybox" {
			words += "link bin/" + name + " busybox\n"
		}
	}
	return words
}

// BusyboxRoot makes the busybox root below the login's working directory and returns the argument that names it ("./root").
func (l *Login) BusyboxRoot() string {
	l.t.Helper()
	l.CreateTree(l.Work+"/root", BusyboxTree(l.t))
	return "./root"
}

// BusyboxImage is the same root as an image of one layer with the command sh, made without any container tool.
func BusyboxImage(t testing.TB) Image {
	t.Helper()
	return MakeImage(t, Config{Cmd: []string{"sh"}, Env: []string{"PATH=/bin"}}, Layer(t, BusyboxTree(t)))
}

// MakeImage makes an image of layers (tars), lowest first.
func MakeImage(t testing.TB, config Config, layers ...[]byte) Image {
	t.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Architecture: "amd64", OS: "linux", Config: config, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range layers {
		img = appendLayer(t, img, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil })
	}
	return img
}

func appendLayer(t testing.TB, img Image, open func() (io.ReadCloser, error)) Image {
	t.Helper()
	layer, err := tarball.LayerFromOpener(open)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.AppendLayers(img, layer)
	if err != nil {
		t.Fatal(err)
	}
	return img
}
