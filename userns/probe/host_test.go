package probe

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/userns"
)

func measure(t *testing.T) (Facts, Request) {
	t.Helper()
	id, err := userns.Identify()
	if err != nil {
		t.Fatal(err)
	}
	req := Request{Identity: id, DataRoot: dataRootFor(t)}
	f, err := Host(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return f, req
}

// TestThisMachine checks what must hold wherever the other tests of this project can run.
func TestThisMachine(t *testing.T) {
	f, _ := measure(t)
	if err := Check(f); err != nil {
		requireOrSkip(t, "%v", err)
	}
	for _, c := range []struct {
		name string
		got  Outcome
	}{
		{"user namespace", f.UserNS.Clone}, {"rights in it", f.UserNS.Rights}, {"id map", f.IDs.Map}, {"overlay", f.Storage.Overlay},
		{"proc", f.Inside.Proc}, {"sysfs", f.Inside.Sysfs}, {"packet socket", f.Inside.Packet}, {"pidfd_getfd", f.Kern.Getfd},
		{"writing", f.Storage.Write}, {"openat2", f.Kern.Openat2}, {"seccomp", f.Kern.Seccomp}, {"memfd", f.Kern.Memfd},
	} {
		if !c.got.OK() {
			t.Errorf("%s: %s", c.name, c.got)
		}
	}
	if f.UID != os.Geteuid() || f.Storage.FSType == "" || f.Storage.FSType == "unknown" || f.Binary == "" {
		t.Errorf("who and where: %d %q %q", f.UID, f.Storage.FSType, f.Binary)
	}
}

// The causes of a refusal, made in a child.
func TestCausesAreToldApart(t *testing.T) {
	const user, mount = syscall.CLONE_NEWUSER, syscall.CLONE_NEWNS
	for _, c := range []struct {
		scene string
		flags uintptr
		cause string
	}{
		{"seccomp", 0, "a filter of this session forbids user namespaces"},
		{"max", user, "user.max_user_namespaces is 0"},
	} {
		t.Run(c.scene, func(t *testing.T) {
			f := scene(t, c.scene, c.flags)
			err := Check(f)
			if err == nil || !strings.Contains(err.Error(), c.cause) {
				t.Errorf("%v, want %q (%+v)", err, c.cause, f.UserNS)
			}
			if !errors.Is(err, userns.ErrForbidden) {
				t.Errorf("%v is not ErrForbidden", err)
			}
		})
	}
	t.Run("masked", func(t *testing.T) {
		f := scene(t, "masked", user|mount)
		if l := procfs(f); l.State != Differs || Check(f) != nil {
			t.Errorf("a covered /proc: %+v (%s), %v", l, f.Inside.Proc, Check(f))
		}
	})
}

func TestCacheIsOfThisBoot(t *testing.T) {
	f, req := measure(t)
	file := filepath.Join(t.TempDir(), "facts.json")
	f.Kern.Yama = "from the cache"
	if err := Save(file, f); err != nil {
		t.Fatal(err)
	}
	got, err := Cached(t.Context(), file, req)
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("not from the cache: %v %+v", err, got)
	}
	f.Boot = "another boot"
	if err := Save(file, f); err != nil {
		t.Fatal(err)
	}
	got, err = Cached(t.Context(), file, req)
	if err != nil || got.Kern.Yama == "from the cache" {
		t.Errorf("another boot's facts were used: %v", err)
	}
	if kept, err := Load(file); err != nil || kept.Boot != got.Boot {
		t.Errorf("not kept: %v %+v", err, kept)
	}
}

func TestDataRootThatRefuses(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	id, err := userns.Identify()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Host(t.Context(), Request{Identity: id, DataRoot: "/usr/lib/moss"})
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(f); err == nil || !strings.Contains(err.Error(), "/usr/lib/moss") {
		t.Errorf("%v", err)
	}
}
