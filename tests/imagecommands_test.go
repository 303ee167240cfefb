package tests

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/moss-sandbox/moss/tests/harness"
)

// described is a small image with a date, a label and a history.
func described(t *testing.T, words, label string, created time.Time) harness.Image {
	t.Helper()
	img := harness.MakeImage(t, harness.Config{Cmd: []string{"/true"}, Labels: map[string]string{"course": label}}, harness.Layer(t, words))
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.Created = v1.Time{Time: created}
	c.History = []v1.History{{Created: v1.Time{Time: created}, CreatedBy: "COPY a tree of many words that go on\tand on for long / # buildkit", Comment: "why"}, {Created: v1.Time{Time: created}, CreatedBy: "CMD true", EmptyLayer: true}}
	if img, err = mutate.ConfigFile(img, c); err != nil {
		t.Fatal(err)
	}
	return img
}

// oneLogin runs f as the first account: what is listed and told does not depend on whose ids there are.
func oneLogin(t *testing.T, f func(t *testing.T, l *harness.Login)) {
	t.Helper()
	loginOf(t, harness.Accounts(t)[0], f)
}

// loginOf runs f as an account; afterwards nothing may be left.
func loginOf(t *testing.T, a harness.Account, f func(t *testing.T, l *harness.Login)) {
	t.Helper()
	harness.RequireUserNamespaces(t)
	l := a.Login(t)
	harness.Nothing(t, l)
	f(t, l)
}

func TestImageLists(t *testing.T) {
	registry := harness.ServeRegistry(t, nil)
	day := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	older := registry.Push(t, "older:1", described(t, "file a aaaa", "old", day))
	newer := registry.Push(t, "newer:1", described(t, "file b b", "new", day.Add(time.Hour)))
	img, at := described(t, "file b b", "new", day.Add(time.Hour)), strings.TrimSuffix(newer, ":1")
	digest, _ := img.Digest()
	id, _ := img.ConfigName()
	oneLogin(t, func(t *testing.T, l *harness.Login) {
		l.Env = append(l.Env, "TZ=UTC")
		l.Moss("pull", "-q", older).OK(t)
		l.Moss("pull", "-q", newer).OK(t)
		l.Moss("tag", newer, "mine:2").OK(t)
		name := `--format '{{.Repository}}:{{.Tag}}' `
		for _, s := range []scene{
			{"table", `$moss images mine`, `~REPOSITORY   TAG       IMAGE ID       CREATED       SIZE\nmine         2         ` + id.Hex[:12] + `   \d+ \w+ ago   2B\n`, "", 0},
			{"digests", `$moss image ls --digests --no-trunc '*/newer'`, `~REPOSITORY +TAG +DIGEST +IMAGE ID +CREATED +SIZE\n` + at + ` +1 +` + digest.String() + ` +` + id.String() + ` .*\n`, "", 0},
			{"quiet is a line per name", `$moss images -q --no-trunc | uniq -c | awk '{print $1}'`, "2\n1\n", "", 0},
			{"template", `$moss images --format '{{.Tag}} {{.Size}} {{.CreatedAt}}' mine:2`, "2 2B 2024-05-01 13:00:00 +0000 UTC\n", "", 0},
			{"json", `$moss image list --format json mine | grep -o '"Tag":"2","UniqueSize":"N/A","VirtualSize":"2B"'`, `"Tag":"2","UniqueSize":"N/A","VirtualSize":"2B"` + "\n", "", 0},
			{"table of one column", `$moss images --format 'table {{.Tag}}' mine`, "TAG\n2\n", "", 0},
			{"before", `$moss images ` + name + `-f before=mine:2`, older + "\n", "", 0},
			{"since", `$moss images -q -f since=` + older + ` | wc -l`, "2\n", "", 0},
			{"until", `$moss images ` + name + `--filter until=2024-05-01T12:30:00`, older + "\n", "", 0},
			{"label", `$moss images ` + name + `-f label=course=old -f label=course`, older + "\n", "", 0},
			{"reference", `$moss images ` + name + `-f reference='m?ne:*'`, "mine:2\n", "", 0},
			{"dangling", `$moss images -q -f dangling=true; $moss images -q -f dangling=false | wc -l`, "3\n", "", 0},
			{"bad filter", `$moss images -f nosuch=1`, "", "$moss: invalid filter 'nosuch'\n", 1},
			{"bad template", `$moss images --format '{{.Nosuch}}'`, "", "*template", 1},
			{"nothing found", `$moss images -q nosuch; $moss images nosuch`, "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n", "", 0},
			{"history", `$moss history mine:2`, `~IMAGE          CREATED       CREATED BY                                      SIZE      COMMENT\n` + id.Hex[:12] + `   \d+ \w+ ago   CMD true +0B +\n<missing>      \d+ \w+ ago   COPY a tree of many words that go on and on …   2B        why\n`, "", 0},
			{"history in full", `$moss image history --no-trunc --human=false mine:2 | tail -1`, `~<missing> +2024-05-01T13:00:00Z +COPY a tree .* / # buildkit +2 +why\n`, "", 0},
			{"history by ids", `$moss history -q mine:2; $moss history -q --no-trunc mine:2 | head -1`, id.Hex[:12] + "\n<missing>\n" + id.String() + "\n", "", 0},
			{"history by a template", `$moss history --format '{{.Size}} {{.Comment}}' mine:2`, "0B \n2B why\n", "", 0},
			{"inspect by type", `$moss inspect --type image -f '{{.Size}} {{.Parent}}.' mine:2; $moss inspect --type container mine:2`, "2 .\n[]\n", "*No such container: mine:2", 1},
			{"prune of nothing", `$moss image prune -f`, "Total reclaimed space: 0B\n", "", 0},
			{"prune asks", `echo n | $moss image prune -a`, "WARNING! This will remove all images without at least one container associated to them.\nAre you sure you want to continue? [y/N] ", "", 0},
			{"prune by label", `$moss image prune -af --filter label=course=nosuch; $moss image prune -af --filter until=2024-05-01T11:00:00; $moss images -q | wc -l`, "Total reclaimed space: 0B\nTotal reclaimed space: 0B\n3\n", "", 0},
			{"prune until", `$moss image prune -af --filter until=2024-05-01T12:30:00`, `~Deleted Images:\nuntagged: ` + older + `\nuntagged: \S+@sha256:[0-9a-f]{64}\ndeleted: sha256:\S+\ndeleted: sha256:\S+\n\nTotal reclaimed space: \S+B\n`, "", 0},
			{"the rest", `$moss image rm mine:2`, "Untagged: mine:2\n", "", 0},
			{"and the last", `$moss rmi ` + newer, `~Untagged: \S+\nUntagged: \S+@` + digest.String() + `\nDeleted: ` + id.String() + `\nDeleted: \S+\n`, "", 0},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
	})
}

// A build's steps are images of their own: they stay while something stands on them, images hides them, and they go with the last.
func TestIntermediateImages(t *testing.T) {
	base := harness.ServeRegistry(t, nil).Push(t, "base:1", harness.BusyboxImage(t))
	oneLogin(t, func(t *testing.T, l *harness.Login) {
		buildContext(t, l, "FROM "+base+"\nENV A=1\nENV B=2\nENV C=3\n")
		for _, s := range []scene{
			{"build", `$moss build -q -t built ctx >/dev/null && $moss images -q | wc -l; $moss images -aq | wc -l`, "2\n4\n", "", 0},
			{"nothing dangles", `$moss image prune -f; $moss images -aq | wc -l`, "Total reclaimed space: 0B\n4\n", "", 0},
			{"the parents are known", `p=$($moss inspect -f '{{.Parent}}' built); $moss inspect -f '{{json .Config.Env}}' $p; $moss rmi $p`, `["PATH=/bin","A=1","B=2"]` + "\n", "*(cannot be forced) - image has dependent child images", 1},
			{"the base loses its name only", `$moss rmi ` + base + ` | grep -c Deleted; $moss run --rm --network none built echo runs`, "0\nruns\n", "", 0},
			{"all go with the last", `$moss rmi built | grep -c '^Deleted: '; $moss images -aq`, "5\n", "", 0},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
		_ = os.RemoveAll(filepath.Join(l.Data(), "buildcache"))
	})
}

// What registries tell: search, manifests, platforms, all tags there and back.
func TestRegistryCommands(t *testing.T) {
	registry, hub := harness.DebianRegistry(t), harness.ServeRegistry(t, hubSearch)
	day := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	one, two := described(t, "file a a", "1", day), described(t, "file b b", "2", day)
	arm := forArm(t, two)
	ref := registry.Push(t, "team/app:1", one)
	registry.Push(t, "team/app:2", two)
	repository := strings.TrimSuffix(ref, ":1")
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}})
	r, err := name.ParseReference(registry.Host + "/multi:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(r, index); err != nil {
		t.Fatal(err)
	}
	multi := r.Name()
	raw, _ := one.RawManifest()
	var schema struct{ MediaType string }
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	oneLogin(t, func(t *testing.T, l *harness.Login) {
		for _, s := range []scene{
			{"search", `$moss search ` + hub.Host + `/app`, `~NAME +DESCRIPTION +STARS +OFFICIAL\n` + hub.Host + `/best/app +The best of all apps, which says so in many … +7 +\[OK\]\nother +0 +\n`, "", 0},
			{"search filtered", `$moss search -f stars=3 -f is-official=true --no-trunc --format '{{.Name}} {{.Description}} {{.StarCount}}' ` + hub.Host + `/app`, hub.Host + "/best/app The best of all apps, which says so in many words 7\n", "", 0},
			{"search badly", `$moss search --limit 200 x`, "", "*outside the range of [1, 100]", 1},
			{"manifest", `$moss manifest inspect ` + ref + ` | grep -A1 '^{'`, "{\n\t\"schemaVersion\": 2,\n", "", 0},
			{"manifest of an index", `$moss manifest inspect ` + multi + ` | grep -c '"architecture"'`, "2\n", "", 0},
			{"manifest in words", `$moss manifest inspect -v ` + multi + ` | grep -c '"SchemaV2Manifest"'`, "2\n", "", 0},
			{"no manifest", `$moss manifest inspect ` + registry.Host + `/nosuch`, "", "$moss: no such manifest: " + registry.Host + "/nosuch:latest\n", 1},
			{"a platform", `$moss pull -q --platform linux/arm64 ` + multi + ` && $moss inspect -f '{{.Architecture}} {{.Config.Labels.course}}' ` + multi, multi + "\narm64 2\n", "", 0},
			{"another platform", `$moss pull -q --platform linux/s390x ` + multi, "", "*no matching manifest for linux/s390x in the manifest list entries (there is: linux/amd64, linux/arm64/v8)", 1},
			{"not a platform", `$moss pull --platform a/b/c/d ` + multi, "", "*invalid platform", 1},
			{"all tags", `$moss image pull -a --platform linux/amd64 ` + repository + ` | grep -v '^[0-9a-f]\{12\}: '`, `~(\d: Pulling from team/app\nDigest: sha256:\S+\n){2}Status: Downloaded newer image for ` + repository + `\n` + repository + `\n`, "", 0},
			{"all of them", `$moss images --format '{{.Tag}}' ` + repository + ` | sort`, "1\n2\n", "", 0},
			{"all tags and one", `$moss pull -a ` + ref, "", "$moss: tag can't be used with --all-tags/-a\n", 1},
			{"push all", `for n in 1 2; do $moss tag ` + repository + `:$n ` + registry.Host + `/copy/app:$n; done; $moss image push -a ` + registry.Host + `/copy/app | grep -v Preparing`,
				`~The push refers to repository \[` + registry.Host + `/copy/app\]\n[0-9a-f]{12}: Mounted from team/app\n1: digest: sha256:[0-9a-f]{64} size: ` + "\\d+" + `\n[0-9a-f]{12}: Mounted from team/app\n2: digest: sha256:[0-9a-f]{64} size: \d+\n`, "", 0},
			{"push again", `$moss push ` + registry.Host + `/copy/app:1 | grep -v Preparing`, `~The push refers to repository \[\S+\]\n[0-9a-f]{12}: Layer already exists\n1: digest: sha256:\S+ size: \d+\n`, "", 0},
			{"push anew", `$moss image tag ` + ref + ` ` + registry.Host + `/team/app:new && $moss push ` + registry.Host + `/team/app:new | tail -2`, `~[0-9a-f]{12}: Layer already exists\nnew: digest: sha256:\S+ size: \d+\n`, "", 0},
			{"import", `printf 'hello' >f && tar -cf - f | $moss import -m note -c 'CMD ["/f"]' -c 'ENV A=b' --platform linux/arm64 - own:1 && $moss inspect -f '{{.Config.Cmd}} {{.Config.Env}} {{.Architecture}} {{.Comment}}' own:1 && $moss history --format '{{.Size}} {{.Comment}}' own:1`, `~sha256:[0-9a-f]{64}\n\[/f\] \[A=b\] arm64 note\n5B note\n`, "", 0},
			{"import of a file", `tar -czf t.tgz f && $moss image import t.tgz >/dev/null && $moss images -qf dangling=true | wc -l; $moss import nosuch`, "1\n", "*no such file", 1},
			{"import of a URL", `$moss import http://` + hub.Host + `/nosuch.tar`, "", "*404 Not Found", 1},
			{"import under no name", `$moss import t.tgz Bad:Name`, "", "*reference format", 1},
			{"prune", `$moss image prune -af | grep -c '^untagged'; $moss images -aq`, "~\\d+\n", "", 0},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
	})
}

// forArm is an image said to be for another machine.
func forArm(t *testing.T, img harness.Image) harness.Image {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.Architecture, c.Variant = "arm64", "v8"
	if img, err = mutate.ConfigFile(img, c); err != nil {
		t.Fatal(err)
	}
	return img
}

// hubSearch answers the search of a registry that has one.
func hubSearch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/search" {
			next.ServeHTTP(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"results":[{"name":"other","description":""},{"name":"` + r.Host + `/best/app","description":"The best of all apps, which says so in many\nwords","star_count":7,"is_official":true}]}`))
	})
}
