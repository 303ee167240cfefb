package harness

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// ubuntuTree is what makes the minimal Debian a look-alike of the ubuntu image: that image's settings for apt and dpkg, and two
// of the tests', so that what a student installs comes quickly and pip may install beside Debian's own packages.
const ubuntuTree = `
file etc/apt/apt.conf.d/docker-clean DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb || true"; };
file etc/apt/apt.conf.d/docker-no-languages Acquire::Languages "none";
file etc/apt/apt.conf.d/quick APT::Install-Recommends "false";
file etc/dpkg/dpkg.cfg.d/docker-apt-speedup force-unsafe-io
file etc/pip.conf @%s
`

// UbuntuImage is one layer: the base of DebianImage with an ubuntu image's settings.
func UbuntuImage(t testing.TB) Image {
	t.Helper()
	_ = DebianImage(t) // makes the base
	base := filepath.Join(machineCache, debianDir, "base.tar")
	conf := filepath.Join(t.TempDir(), "pip.conf")
	if err := os.WriteFile(conf, []byte("[global]\nbreak-system-packages = true\ndisable-pip-version-check = true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	more := Layer(t, fmt.Sprintf(ubuntuTree, conf))
	img := MakeImage(t, Config{Cmd: []string{"/bin/bash"}, Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}})
	return appendQuick(t, img, func() (io.ReadCloser, error) { return joinTars(base, more) })
}

// endOfTar is the size of the two zero blocks with which archive/tar ends an archive.
const endOfTar = 1024

// joinTars reads the members of a file written by archive/tar and then those of another archive.
func joinTars(file string, more []byte) (io.ReadCloser, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(f, st.Size()-endOfTar), bytes.NewReader(more)), f}, nil
}

// PythonImage has the shape of gcr.io/distroless/python3: python3 as entry point, its libraries, and no shell. It is made of
// Debian's packages once per machine.
func PythonImage(t testing.TB) Image {
	t.Helper()
	RequireRoot(t)
	RequirePackages(t, "mmdebstrap")
	unlock, err := machineLock("debian")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	file := filepath.Join(machineCache, "python-v1.tar")
	if _, err := os.Stat(file); err != nil {
		if err := buildPython(file); err != nil {
			Missing(t, "building the Python image: %v", err)
		}
	}
	img := MakeImage(t, Config{Entrypoint: []string{"/usr/bin/python3"}, Cmd: []string{}, Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}})
	return appendQuick(t, img, func() (io.ReadCloser, error) { return os.Open(file) })
}

// buildPython unpacks python3 and what it depends on, without dpkg and other programs of the packages' own scripts.
func buildPython(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	next := file + ".new.tar"
	defer os.Remove(next)
	err := run("sh", "-c", mirrorLine+`mmdebstrap --quiet --mode=root --variant=extract --include=python3-minimal \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook='cd "$1" && rm -rf bin/tar usr/bin/dpkg* usr/bin/update-alternatives usr/sbin sbin && mkdir -p tmp && chmod 1777 tmp' \
		"$(. /etc/os-release; echo $VERSION_CODENAME)" "$0" -`, next)
	if err != nil {
		return err
	}
	return os.Rename(next, file)
}

// appendQuick is appendLayer with the quickest compression: the layer is large, and read from loopback.
func appendQuick(t testing.TB, img Image, open func() (io.ReadCloser, error)) Image {
	t.Helper()
	layer, err := tarball.LayerFromOpener(open, tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		t.Fatal(err)
	}
	return img
}
