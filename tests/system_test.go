package tests

import (
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

func TestSystem(t *testing.T) {
	ref := harness.ServeRegistry(t, nil).Push(t, "base:1", harness.BusyboxImage(t))
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Moss("pull", "-q", ref).OK(t)
		l.Moss("run", "--name", "old", "--network", "none", ref, "sh", "-c", "head -c 1000000 /dev/zero >/file").OK(t)
		start(t, l, "runs", "sleep", "1000")
		l.Moss("volume", "create", "vol").OK(t)
		for _, s := range []scene{
			{"df", `$moss system df`, `~TYPE +TOTAL +ACTIVE +SIZE +RECLAIMABLE\nImages +1 +1 +\S+B +0B \(0%\)\nContainers +2 +1 +1MB +1MB \(100%\)\nLocal Volumes +1 +0 +0B +0B\n`, "", 0},
			{"df by a template", `$moss system df --format '{{.Type}} {{.TotalCount}}'`, "Images 1\nContainers 2\nLocal Volumes 1\n", "", 0},
			{"prune asks", `echo n | $moss system prune | tail -1`, "Are you sure you want to continue? [y/N] ", "", 0},
			{"prune", `$moss system prune -f`, `~Deleted Containers:\n[0-9a-f]{64}\n\nTotal reclaimed space: 1MB\n`, "", 0},
			{"the image has a name", `$moss images -q | wc -l`, "1\n", "", 0},
			{"prune of all", `$moss system prune -af`, `~Deleted Images:\nuntagged: \S+\n.*Total reclaimed space: \S+\n`, "", 0},
			{"the image is gone", `$moss images -q`, "", "", 0},
			{"what runs is not", `$moss ps --format '{{.Names}}'`, "runs\n", "", 0},
			{"the volume is not", `$moss volume ls -q`, "vol\n", "", 0},
			{"reset asks", `echo n | $moss system reset | grep -c 'running ones too'`, "1\n", "", 0},
			{"reset", `$moss pull -q ` + ref + ` >/dev/null; $moss run -v vol:/vol --network none ` + ref + ` sh -c 'mkdir -p /vol/x/y; chmod 700 /vol/x'; $moss system reset -f`, "", "", 0},
			{"all is gone", `[ ! -e ` + l.Data() + ` ] && [ ! -e $XDG_RUNTIME_DIR/moss ] && echo gone`, "gone\n", "", 0},
			{"and begins anew", `$moss ps -aq; $moss volume ls -q; $moss images -q`, "", "", 0},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
	})
}
