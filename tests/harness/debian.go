package harness

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
)

// debianLayers are the layers of the Debian image, each made by a shell line in a chroot of what lies below.
var debianLayers = []struct{ name, line string }{
	{"base", ""}, // mmdebstrap
	{"packages", "apt-get -qq update && apt-get -qq install -y --no-install-recommends hello ca-certificates && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin && apt-get clean"},
	{"changes", "rm -rf /usr/share/doc; rm /usr/bin/hello; ln -s /usr/bin/false /usr/bin/hello; useradd -m -u 1234 student; chown -R student /srv"},
}

// DebianImage returns an image of several layers: a minimal Debian by mmdebstrap, packages by apt on top, then removals (whiteouts), a
// link in place of a file, and files of other owners. It is built once per machine, as root, and kept below /var/cache/moss-test.
func DebianImage(t testing.TB) Image {
	t.Helper()
	RequireRoot(t)
	RequirePackages(t, "mmdebstrap")
	unlock, err := machineLock("debian")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	dir := filepath.Join(machineCache, debianDir)
	if _, err := os.Stat(dir + "/built"); err != nil {
		if err := buildDebian(dir); err != nil {
			Missing(t, "building the Debian image: %v", err)
		}
	}
	img := MakeImage(t, Config{Cmd: []string{"bash"}, Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}})
	for _, l := range debianLayers {
		path := filepath.Join(dir, l.name+".tar")
		img = appendLayer(t, img, func() (io.ReadCloser, error) { return os.Open(path) })
	}
	return img
}

// debianDir lies below machineCache. Another content needs another name.
const debianDir = "image-v2"

// mirrorLine is the beginning of a shell line that gives the machine's own mirror to mmdebstrap, so that an image can be extended
// wherever this machine can.
const mirrorLine = `apt-get indextargets --format '$(LABEL) $(SITE) $(CODENAME)' 'Created-By: Packages' | sort -u |
	sed -n 's/^Debian \(.*\) \(bookworm\|trixie\)$/deb \1 \2 main/p' | head -n 1 |
	`

// buildDebian makes the tars of all layers in dir.
func buildDebian(dir string) error {
	root := filepath.Join(dir, "root")
	defer os.RemoveAll(root)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	var below map[string]stamp
	for _, l := range debianLayers {
		if err := makeLayer(root, l.line); err != nil {
			return err
		}
		now, err := stamps(root)
		if err != nil {
			return err
		}
		if err := writeDifference(filepath.Join(dir, l.name+".tar"), root, below, now); err != nil {
			return fmt.Errorf("layer %s: %w", l.name, err)
		}
		below = now
	}
	return os.WriteFile(dir+"/built", nil, 0o600)
}

func makeLayer(root, line string) error {
	if line == "" {
		return run("sh", "-c", mirrorLine+`mmdebstrap --quiet --mode=root --variant=minbase --format=directory --dpkgopt='path-exclude=/usr/share/man/*' \
			--dpkgopt='path-exclude=/usr/share/locale/*' "$(. /etc/os-release; echo $VERSION_CODENAME)" "$0" -`, root)
	}
	cmd := exec.Command("chroot", root, "sh", "-ec", line)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("in the Debian root: %w\n%s", err, tail(string(out), 10))
	}
	return nil
}

// stamp tells whether a file has changed: every change of content, owner or mode moves ctime.
type stamp struct {
	inode uint64
	ctime syscall.Timespec
	dir   bool
}

func stamps(root string) (map[string]stamp, error) {
	all := map[string]stamp{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("%q: no inode", path)
		}
		rel, err := filepath.Rel(root, path)
		all[rel] = stamp{stat.Ino, stat.Ctim, d.IsDir()}
		return err
	})
	return all, err
}

// writeDifference writes what is new in now as a tar, and whiteouts for what is gone.
func writeDifference(file, root string, below, now map[string]stamp) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	links := map[uint64]string{}
	for _, rel := range sorted(now) {
		if below[rel] == now[rel] {
			continue
		}
		if err := writeMember(w, root, rel, now[rel], links); err != nil {
			return err
		}
	}
	for _, rel := range sorted(below) {
		_, there := now[rel]
		_, parentThere := now[filepath.Dir(rel)]
		if !there && (parentThere || filepath.Dir(rel) == ".") {
			whiteout := &tar.Header{Name: filepath.Join(filepath.Dir(rel), ".wh."+filepath.Base(rel)), Typeflag: tar.TypeReg, Mode: 0o644}
			if err := w.WriteHeader(whiteout); err != nil {
				return err
			}
		}
	}
	return errors.Join(w.Close(), f.Close())
}

func sorted(m map[string]stamp) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// writeMember writes one file; a second name of a file already written becomes a hard link.
func writeMember(w *tar.Writer, root, rel string, s stamp, links map[uint64]string) error {
	path := filepath.Join(root, rel)
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name, h.Format, h.Uname, h.Gname = rel, tar.FormatPAX, "", ""
	if info.IsDir() {
		h.Name += "/"
	}
	first, again := links[s.inode]
	if again && info.Mode().IsRegular() {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
	}
	links[s.inode] = rel
	if err := w.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(w, f); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimPrefix(path, root), err)
	}
	return nil
}
