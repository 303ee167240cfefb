package machine

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// plant makes a tree from lines of words: "dir PATH MODE", "file PATH MODE CONTENT", "link PATH TARGET".
func plant(t *testing.T, lines ...string) string {
	t.Helper()
	top := t.TempDir()
	for _, line := range lines {
		f := strings.SplitN(line, " ", 4)
		path := filepath.Join(top, f[1])
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch f[0] {
		case "dir":
			must(t, os.MkdirAll(path, 0o755))
			must(t, os.Chmod(path, mode(t, f[2])))
		case "file":
			must(t, os.WriteFile(path, []byte(f[3]), 0o600))
			must(t, os.Chmod(path, mode(t, f[2])))
		case "link":
			must(t, os.Symlink(f[2], path))
		default:
			t.Fatalf("no such word: %q", line)
		}
	}
	return top
}

func mode(t *testing.T, s string) fs.FileMode {
	t.Helper()
	var m uint32
	if _, err := fmt.Sscanf(s, "%o", &m); err != nil {
		t.Fatal(err)
	}
	out := fs.FileMode(m & 0o777)
	if m&0o4000 != 0 {
		out |= fs.ModeSetuid
	}
	if m&0o1000 != 0 {
		out |= fs.ModeSticky
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listing names everything below dir: directories end in a slash, links show their target, files their content.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		switch {
		case err != nil || rel == ".":
			return err
		case d.IsDir():
			rel += "/"
		case d.Type() == fs.ModeSymlink:
			target, _ := os.Readlink(path)
			rel += " -> " + target
		default:
			b, _ := os.ReadFile(path)
			rel += "=" + string(b)
		}
		out = append(out, rel)
		return nil
	}))
	return out
}

// me is an owner that needs no rights: whoever runs the test, and no real root, so that the walk opens what it may.
func me() Owner { return Owner{os.Geteuid(), os.Getegid()} }

// buildFrom makes layers from a planted tree with the given recipe.
func buildFrom(t *testing.T, dir string, r rules, bars barriers) (*Root, string) {
	t.Helper()
	stage := t.TempDir()
	b := newBuilder(t.Context(), Source{Dir: dir, Owner: me()}, bars, whole, fnv.New128a())
	b.realRoot, b.rules, b.ruled = false, r, r.ancestors()
	root, err := b.build(stage, stage)
	must(t, err)
	return root, stage
}

func wantAll(t *testing.T, got []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("missing %q in\n%s", w, strings.Join(got, "\n"))
		}
	}
}

func wantNone(t *testing.T, got []string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		for _, g := range got {
			if strings.Contains(g, p) {
				t.Errorf("%q must not be there", g)
			}
		}
	}
}

func aMachine(t *testing.T) string {
	return plant(t,
		"link bin usr/bin", "dir run/user/1 755",
		"file usr/bin/tool 755 tool", "file usr/bin/su 4755 su", "dir usr/share/doc/tool 755",
		"file etc/passwd 644 root:x:0:0::/root:/bin/sh\nann:x:1:1::/:/bin/sh\n", "file etc/shadow 600 root:secret:1::::::\n",
		"link etc/resolv.conf ../run/resolved", "link etc/alternatives/vi /usr/bin/tool", "file etc/machine-id 444 theirs",
		"dir etc/dpkg 755", "file etc/skel/.bashrc 644 PS1=",
		"file home/ann/diary 644 dear", "file root/notes 644 dear", "file tmp/x 644 dear", "file srv/data 644 dear", "file work/code 644 dear",
		"file var/lib/dpkg/status 644 Package:", "file var/lib/dpkg/info/tool.list 644 /usr/bin/tool", "file var/lib/dpkg/lock 640 ",
		"file var/lib/postgres/data 644 dear", "file var/lib/ucf/cache 644 ucf", "file var/log/syslog 640 dear", "dir var/log/nginx 755",
		"file opt/app/run 755 app", "file data 644 dear")
}

func TestLayersOfAMachine(t *testing.T) {
	dir := aMachine(t)
	root, stage := buildFrom(t, dir, machineRules(), nil)
	base := listing(t, filepath.Join(stage, "base"))
	wantAll(t, base, "bin -> usr/bin", "usr/", "opt/", "home/", "root/", "tmp/", "srv/", "run/", "var/lib/dpkg/", "var/lib/postgres/",
		"var/lib/ucf/cache=ucf", "var/log/nginx/", "etc/alternatives/vi -> /usr/bin/tool", "etc/resolv.conf=", "etc/skel/.bashrc=PS1=")
	wantNone(t, base, "dear", "secret", "theirs", "diary", "syslog", "work", "tool.list", "usr/bin/tool=")

	var targets []string
	for i, o := range root.Overlays {
		targets = append(targets, o.Target)
		if i == 0 {
			continue
		}
		if len(o.Lower) != 2 || o.Lower[1] != dir+o.Target {
			t.Errorf("overlay %+v is not a skeleton above %q", o, dir+o.Target)
		}
		layer := listing(t, o.Lower[0])
		switch o.Target {
		case "/usr":
			wantAll(t, layer, "share/doc/tool/", "bin/", "bin/su=su")
			wantNone(t, layer, "tool=")
		case "/var/lib/dpkg":
			wantAll(t, layer, "info/", "status=Package:", "lock=")
			wantNone(t, layer, "tool.list")
		}
	}
	slices.Sort(targets)
	if got := strings.Join(targets, " "); got != "/ /opt /usr /var/lib/dpkg" {
		t.Errorf("overlays at %s", got)
	}
}

func TestModesInLayers(t *testing.T) {
	dir := plant(t, "file usr/bin/su 4755 su", "dir usr/ro 555", "dir usr/sticky 1777", "file etc/f 640 x", "file etc/dpkg/x 644 x")
	must(t, os.Mkdir(dir+"/run", 0o755))
	_, stage := buildFrom(t, dir, machineRules(), nil)
	su := fs.FileMode(0o755)
	if os.Geteuid() == 0 { // only root's set-id programs stay so
		su |= fs.ModeSetuid
	}
	for path, want := range map[string]fs.FileMode{
		"1/bin/su": su, "1/ro": fs.ModeDir | 0o755, "1/sticky": fs.ModeDir | fs.ModeSticky | 0o777,
		"base/etc/f": 0o640, "base/etc/dpkg/moss-adopt": 0o755, "base/run/lock": fs.ModeDir | fs.ModeSticky | 0o777,
	} {
		st, err := os.Lstat(filepath.Join(stage, path))
		if err != nil {
			t.Error(err)
		} else if st.Mode() != want {
			t.Errorf("%s: %v, want %v", path, st.Mode(), want)
		}
	}
}

func TestPasswordsAreMadeAnew(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"root:x:0:0::/:/bin/sh\n", "root:*:1\n"},
		{"a:x:1:1:::\nb:x:2:2:::\n", "a:*:1\nb:*:1\n"},
		{"+::::::\n#c:x\n\nrubbish\n:x:\n", ""},
	} {
		if got := locked(c.in, "*:1"); got != c.want {
			t.Errorf("locked(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

// A mount or the data root below a tree splits it: the tree's directories become overlays of their own.
func TestBarriersSplitTrees(t *testing.T) {
	dir := plant(t, "file usr/bin/tool 755 tool", "file usr/lib/wsl/drivers/x 644 x", "file usr/lib/libc.so 644 libc",
		"file usr/lib/big 644 "+strings.Repeat("x", bindAbove), "file usr/local/moss/upper 644 mine", "file usr/local/bin/t 644 t",
		"file nfs/x 644 x", "file opt/auto/x 644 x")
	r := machineRules()
	r.set("nfs", rule{do: inPlace})
	root, stage := buildFrom(t, dir, r, barriers{
		"usr/lib/wsl/drivers": {}, "usr/local/moss": {hidden: true}, "nfs": {remote: true}, "opt/auto": {virtual: true},
	})
	lowers := map[string][]string{}
	for _, o := range root.Overlays {
		lowers[o.Target] = o.Lower
	}
	for _, target := range []string{"/usr/bin", "/usr/lib/wsl/drivers", "/usr/local/bin"} {
		if len(lowers[target]) != 2 {
			t.Errorf("no skeleton and tree at %q: %q", target, lowers[target])
		}
	}
	for _, target := range []string{"/usr", "/usr/lib", "/usr/lib/wsl", "/usr/local", "/usr/local/moss", "/opt", "/opt/auto"} {
		if lowers[target] != nil {
			t.Errorf("%q is an overlay, over a mount or the data root", target)
		}
	}
	if got := lowers["/nfs"]; len(got) != 1 || got[0] != dir+"/nfs" {
		t.Errorf("a remote tree has a skeleton: %q", got)
	}
	base := listing(t, filepath.Join(stage, "base"))
	wantAll(t, base, "usr/lib/libc.so=libc", "usr/lib/big=", "opt/auto/", "usr/local/bin/")
	wantNone(t, base, "mine", "upper")
	if len(root.Binds) != 1 || root.Binds[0] != (Bind{dir + "/usr/lib/big", "/usr/lib/big", true}) {
		t.Errorf("binds: %+v", root.Binds)
	}
}

func TestLayersOfAForeignDirectory(t *testing.T) {
	dir := plant(t, "file etc/passwd 644 root:x:0:0::/:/bin/sh", "file app/data 644 data", "dir app/sub 755", "file var/lib/dpkg/status 644 S", "dir dev/x 755")
	root, stage := buildFrom(t, dir, foreignRules(), nil)
	if len(root.Overlays) != 1 || len(root.Overlays[0].Lower) != 2 || root.Overlays[0].Lower[1] != dir {
		t.Fatalf("overlays: %+v", root.Overlays)
	}
	base := listing(t, filepath.Join(stage, "base"))
	wantAll(t, base, "app/", "app/sub/", "etc/passwd=root:x:0:0::/:/bin/sh", "var/lib/dpkg/status=S", "dev/")
	wantNone(t, base, "data=", "dev/x")
}

func TestUnreadableStaysOut(t *testing.T) {
	dir := plant(t, "file etc/secret 600 dear", "file etc/ssl/private/key 600 dear", "file usr/closed/x 644 dear", "file usr/bin/hidden 4711 dear")
	must(t, os.Chmod(dir+"/etc/ssl/private", 0o700))
	must(t, os.Chmod(dir+"/usr/closed", 0o700))
	stage := t.TempDir()
	b := newBuilder(t.Context(), Source{Dir: dir, Owner: me()}, nil, whole, fnv.New128a())
	b.rules = machineRules()
	b.ruled = b.rules.ancestors()
	b.realRoot = true // what real root uses: only what everybody may read
	_, err := b.build(stage, stage)
	must(t, err)
	got := listing(t, stage)
	wantAll(t, got, "base/etc/ssl/private/", "1/closed/")
	wantNone(t, got, "dear", "secret", "key")
}

// The databases of other package managers are copied too, deep in a tree in place as well.
func TestOtherPackageManagers(t *testing.T) {
	dir := plant(t, "file usr/lib/sysimage/rpm/rpmdb.sqlite 644 rpm", "file usr/lib/libc.so 755 libc", "file lib/apk/db/installed 644 apk", "file lib/ld.so 755 ld",
		"file var/lib/pacman/local/a-1/desc 644 desc", "file var/lib/pacman/sync/core.db 644 core", "link opt var/opt", "dir var/opt 755")
	root, stage := buildFrom(t, dir, machineRules(), nil)
	layers := listing(t, stage)
	var all []string
	for _, l := range layers { // without the layers' names
		_, l, _ = strings.Cut(l, "/")
		all = append(all, l)
	}
	wantAll(t, all, "lib/sysimage/rpm/rpmdb.sqlite=rpm", "apk/db/installed=apk", "a-1/", "var/lib/pacman/sync/core.db=core", "opt -> var/opt", "var/opt/")
	wantNone(t, all, "libc.so", "ld.so", "desc=", "moss-adopt", "policy-rc.d")
	if len(root.Overlays) != 4 {
		t.Errorf("overlays: %+v", root.Overlays)
	}
}
