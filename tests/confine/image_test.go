package confine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/confine/sight"
)

// hostile makes the busybox root again with some names replaced by links to the canary directory of the machine: by its
// absolute path, by one relative to the root, and by a path through /proc.
func (s *stage) hostile(t *testing.T, names ...string) (root, canary string) {
	t.Helper()
	canary = filepath.Dir(s.canary(t))
	root = filepath.Join(s.Work, "hostile")
	s.CreateTree(root, mustTree(t))
	s.putProbe(t, root)
	for _, name := range names {
		path := filepath.Join(root, name)
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		s.CreateTree(filepath.Dir(path), "link "+filepath.Base(name)+" "+canary)
	}
	return root, canary
}

// untouched wants the canary directory as it was made.
func untouched(t *testing.T, canary, what string) {
	t.Helper()
	entries, err := os.ReadDir(canary)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != token {
			t.Errorf("%s: %q was made outside", what, e.Name())
		}
	}
	if b, err := os.ReadFile(filepath.Join(canary, token)); err != nil || string(b) != token+"\n" {
		t.Errorf("%s: the file outside is now %q, %v", what, b, err)
	}
}

// Row 10 (CVE-2026-41579, CVE-2026-55686, GHSA-pxhw-h44j-8pfx) and 9 (CVE-2019-19921, CVE-2023-27561): what moss makes in a
// root whose directories are links that lead out.
func TestLinksOfTheImageDoNotLeadOut(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		for _, names := range [][]string{
			{"dev"}, {"proc"}, {"sys"}, {"etc", "run", "tmp", "work"},
		} {
			t.Run(strings.Join(names, "+"), func(t *testing.T) {
				root, canary := s.hostile(t, names...)
				defer os.RemoveAll(root)
				for _, options := range [][]string{
					nil, {"-w", "/work/made/here"}, {"-t"}, {"-v", s.Work + ":/run/mnt/deep"}, {"--tmpfs", "/tmp/deep/er"},
					{"-v", "vol:/etc/vol"}, {"--privileged"},
				} {
					args := append([]string{"run", "--rm", "--network=none"}, options...)
					r := s.Moss(append(args, root, "/probe", "reach", token, canary, filepath.Join(canary, token))...)
					if r.Code == 0 && !strings.Contains(r.Stdout, "[]") {
						t.Errorf("%v: reached by %s", options, r)
					}
					if r.Code != 0 && strings.Count(r.Stderr, "\n") > 4 {
						t.Errorf("%v: not a clear refusal: %s", options, r)
					}
					untouched(t, canary, strings.Join(options, " "))
				}
			})
		}
	})
}

// Row 8 (CVE-2025-31133, CVE-2025-52565): the sources of masks and the console come from the image's names.
func TestMasksHoldInAHostileImage(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		for _, words := range []string{
			"link dev/null /proc/sys/kernel/core_pattern",
			"link dev/null ../../../../etc/passwd",
			"file dev/null hello",
			"dir dev/null",
			"link dev/pts /proc\nlink dev/console /proc/sysrq-trigger\nlink dev/ptmx /proc/kcore",
			"dir proc/kcore\nlink proc/sys /tmp\nlink proc/keys /etc/passwd",
			"file proc hello",
			"dir sys/firmware\nlink sys/fs /tmp",
		} {
			root, _ := s.hostile(t)
			for line := range strings.Lines(words) {
				name := strings.Fields(line)[1]
				if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
					t.Fatal(err)
				}
			}
			s.CreateTree(root, words)
			v := &viewer{t: t, s: s, paths: watchedPaths()}
			r := s.Moss(append([]string{"run", "--rm", "--network=none", root, "/probe", "see"}, v.paths...)...)
			if r.Code != 0 {
				if !strings.HasPrefix(r.Stderr, "moss: ") {
					t.Errorf("%q: not a clear refusal: %s", words, r)
				}
			} else {
				seen := tell[sight.Sight](t, r)
				for _, c := range []check{masked, readOnly, devices, noOtherDevices, deviceLinks, noOtherMounts} {
					if complaint := c(v, seen); complaint != "" {
						t.Errorf("%q: %s", words, complaint)
					}
				}
			}
			if err := os.RemoveAll(root); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The terminal's own mount is the pty, whatever the image has in its place.
func TestConsoleIsThePty(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		root, canary := s.hostile(t, "dev")
		defer os.RemoveAll(root)
		for _, root := range []string{s.root, root} {
			term := s.Terminal("moss", "run", "--rm", "-t", "--network=none", root, "stat", "-c", "%t:%T %F", "/dev/console")
			if code := term.Wait(); code == 0 && !strings.Contains(term.Shown(), "88:") {
				t.Errorf("%s: the console is %q", root, term.Shown())
			}
		}
		untouched(t, canary, "-t")
	})
}

// Row 9: proc must not become a place for the user's files, nor a volume hide it.
func TestMountsOverProcAreRefused(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		for _, target := range []string{"/proc", "/proc/", "/proc/sys", "/proc/sysrq-trigger", "/proc/../proc", "/./proc/self", "/"} {
			for _, options := range [][]string{{"-v", s.Work + ":" + target}, {"-v", "vol:" + target}, {"--tmpfs", target}} {
				r := s.inside(options, "see", "/proc/self/status", "/proc/sys/kernel/core_pattern")
				if r.Code == 0 {
					seen := tell[sight.Sight](t, r)
					if m, _ := top(seen, "/proc"); m.Type != "proc" || seen.Paths["/proc/sys/kernel/core_pattern"].Write == "ok" {
						t.Errorf("%v: proc is %+v", options, m)
					}
					t.Errorf("%v is accepted", options)
				} else if r.Code != 125 {
					t.Errorf("%v: %s", options, r)
				}
			}
		}
	})
}

// A mount's target is resolved inside the root, also where a volume's links lead out.
func TestMountTargetsStayInside(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		canary := filepath.Dir(s.canary(t))
		s.CreateTree(s.Work+"/source", "file secret hello")
		s.CreateTree(s.Work+"/vol", "link abs "+canary+"\nlink rel ../../../../../../../.."+canary+"\nlink self /proc/self/root"+canary)
		for _, name := range []string{"abs", "rel", "self", "abs/new", "rel/new/deep", "self/new"} {
			r := s.inside([]string{"-v", s.Work + "/vol:/v", "-v", s.Work + "/source:/v/" + name}, "reach", token, canary+"/"+token, "/v/"+name+"/"+token)
			if r.Code == 0 && !strings.Contains(r.Stdout, "[]") {
				t.Errorf("%s: reached by %s", name, r)
			}
			untouched(t, canary, name)
		}
	})
}

// A read-only volume stays so for those inside, whatever their capabilities: it is locked by the namespace above.
func TestReadOnlyVolumesResist(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.CreateTree(s.Work+"/volume", "file f old mode=666")
		attack := `mount -o remount,rw /v; mount -o remount,rw,bind /v; umount /v; umount -l /v; umount -l /; echo new >/v/f; echo done`
		for _, options := range [][]string{{"--privileged"}, {"--cap-add", "ALL", "--security-opt", "seccomp=unconfined"}} {
			for mode, want := range map[string]string{":ro": "old\n", "": "new\n"} { // the second is the control
				args := append([]string{"run", "--rm", "--network=none", "-v", s.Work + "/volume:/v" + mode}, options...)
				s.Moss(append(args, s.root, "sh", "-c", attack)...).OK(t)
				if b, err := os.ReadFile(s.Work + "/volume/f"); err != nil || string(b) != want {
					t.Errorf("%v: volume %q holds %q, want %q, %v", options, mode, b, want, err)
				}
				if err := os.WriteFile(s.Work+"/volume/f", []byte("old\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
