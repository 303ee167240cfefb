package rules

import (
	"strings"
	"testing"
)

// A door is the one place that imports a third-party module; the rest of moss speaks the door's own types, so that a module
// can be replaced in one folder. The second text says why the module is here at all.
var doors = map[string]struct {
	folders []string
	why     string
}{
	"golang.org/x/sys":                            {[]string{"userns/sys"}, "numbers and structs of system calls; userns/sys adds speaking errors and probes"},
	"github.com/moby/sys/mountinfo":               {[]string{"userns/sys"}, "parses mountinfo"},
	"github.com/rootless-containers/rootlesskit/": {[]string{"userns", "slirp/slirp4netns"}, "subordinate ids as the system keeps them; the slirp4netns port driver"},
	"github.com/moby/profiles/seccomp":            {[]string{"userns/seccomp"}, "Docker's default profile as data"},
	"github.com/opencontainers/runtime-spec":      {[]string{"userns/seccomp"}, "the types of that profile"},
	"github.com/containerd/cgroups":               {[]string{"limits"}, "reads cgroup statistics (heavy program)"},
	"google.golang.org/protobuf":                  {[]string{"limits"}, "the form of cgroups' statistics (heavy program)"},
	"github.com/google/go-containerregistry":      {[]string{"image", "tests"}, "registries and their credentials; the tests' registry"},
	"github.com/klauspost/compress":               {[]string{"image"}, "gzip and zstd of layers, twice as fast as the standard library's"},
	"github.com/moby/buildkit":                    {[]string{"image/build"}, "Docker's own Dockerfile parser"},
	"github.com/moby/patternmatcher":              {[]string{"image/build"}, ".dockerignore with Docker's meaning"},
	"github.com/moby/sys/user":                    {[]string{"sandbox/engine"}, "users and groups of an image by Docker's rules"},
	"github.com/ulikunitz/xz":                     {[]string{"image/build"}, "ADD of .tar.xz archives"},
	"github.com/moby/moby/api":                    {[]string{"sandbox/view", "tests"}, "the JSON that Docker's clients expect"},
	"github.com/moby/moby/client":                 {[]string{"tests"}, "Docker's own client, to speak with moss as others do"},
	"github.com/google/nftables":                  {[]string{"slirp/gateway"}, "rules inside the gateway"},
	"github.com/vishvananda/netlink":              {[]string{"slirp/gateway"}, "links, addresses, routes inside the gateway"},
	"github.com/vishvananda/netns":                {[]string{"slirp/gateway"}, "netlink handles in another namespace"},
	"golang.org/x/net":                            {[]string{"slirp"}, "DNS messages"},
	"golang.org/x/sync":                           {[]string{"image", "slirp"}, "groups of goroutines with one error"},
	"gvisor.dev/gvisor":                           {[]string{"slirp/netstack"}, "TCP/IP where the kernel has no netfilter"},
	"github.com/spf13/pflag":                      {[]string{"sandbox/cli"}, "Docker's flag syntax and its errors"},
	"github.com/docker/go-units":                  {[]string{"sandbox/cli", "sandbox/phrase", "sandbox/api", "limits"}, "sizes and times as Docker prints and reads them"},
	"github.com/docker/go-connections":            {[]string{"slirp", "sandbox/cli"}, "port specifications"},
	"github.com/google/shlex":                     {[]string{"sandbox/cli", "image/build"}, "splits a string as a shell would"},
	"github.com/moby/term":                        {[]string{"sandbox/cli", "sandbox/supervisor"}, "detach keys"},
	"github.com/creack/pty":                       {[]string{"tests/harness"}, "terminals of the tests"},
	"github.com/google/go-cmp":                    {[]string{"*"}, "differences in tests"},
}

func TestThirdPartyModulesHaveOneDoor(t *testing.T) {
	for _, f := range sources(t) {
		for _, imported := range f.imports() {
			if !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") || within(imported, module) {
				continue // standard library, or ours
			}
			if !throughADoor(f, imported) {
				t.Errorf("%s imports %s: not through its door", f.path, imported)
			}
		}
	}
}

func throughADoor(f sourceFile, imported string) bool {
	for prefix, door := range doors {
		if !strings.HasPrefix(imported, prefix) {
			continue
		}
		for _, folder := range door.folders {
			if folder == "*" && f.test || within(f.folder, folder) {
				return true
			}
		}
	}
	return false
}

// within says whether p is folder or lies below it.
func within(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

// Imports point downwards only. A rule holds for its folder and, where no longer rule matches, all below it; a folder may
// always import what lies below itself, unless "not" names it.
var layers = []struct {
	folder string
	may    []string
	why    string
}{
	{"userns/sys", nil, "the ground: system calls and nothing of moss"},
	{"userns/seccomp", []string{"userns/sys"}, "profile to BPF is a pure function"},
	{"userns/spawn", []string{"userns/sys"}, "lists of calls know nothing of containers"},
	{"userns/role", []string{"userns/spawn", "userns/sys", "internal/payload"}, "roles know nothing of containers; some need the full program"},
	{"userns", nil, "a map of ids and its keeper, usable without containers"},
	{"limits", []string{"userns"}, "limits know neither images nor networks"},
	{"slirp", []string{"userns"}, "networks know neither images nor limits"},
	{"image", []string{"userns"}, "images know neither networks nor limits; build runs through its Runner"},
	{"sandbox/spec", nil, "plain data, for everybody to read"},
	{"sandbox/output", []string{"userns/sys"}, "a log and its index: bytes in, bytes out"},
	{"sandbox/guest", []string{"sandbox/spec", "userns"}, "a pure function from spec to list"},
	{"sandbox/supervisor", []string{"sandbox", "sandbox/guest", "sandbox/output", "sandbox/spec", "limits", "userns"}, "a set of containers; networks come through its Network"},
	{"sandbox/engine", []string{"sandbox", "sandbox/supervisor", "sandbox/guest", "sandbox/output", "sandbox/spec", "image", "slirp", "limits", "userns"}, "the only place where images meet sandboxes"},
	{"sandbox/view", []string{"sandbox/engine", "sandbox", "sandbox/guest", "sandbox/guest", "sandbox/spec", "image", "slirp", "limits"}, "engine values, and the guest's defaults, to Docker's JSON"},
	{"sandbox/phrase", []string{"sandbox", "sandbox/engine"}, "a snapshot and processes in words"},
	{"sandbox/filter", []string{"sandbox", "sandbox/engine", "sandbox/spec", "slirp"}, "which snapshots and events pass, by what an engine tells of them"},
	{"sandbox/socket", []string{"sandbox", "userns"}, "a socket and who keeps it"},
	{"sandbox/api", []string{"sandbox/view", "sandbox/engine", "sandbox", "sandbox/phrase", "sandbox/filter", "sandbox/output", "sandbox/supervisor", "sandbox/spec", "image", "slirp", "limits", "userns/sys"}, "a front end: decode, engine, view; streams come from logs and what a supervisor keeps"},
	{"sandbox/cli", []string{"sandbox/view", "sandbox/engine", "sandbox", "sandbox/phrase", "sandbox/filter", "sandbox/socket", "sandbox/output", "sandbox/supervisor", "sandbox", "sandbox/output", "sandbox/spec", "image", "slirp", "limits", "userns/role", "userns/sys", "internal/payload"}, "a front end: flags are parsed into values, snapshots and logs are shown, sessions speak to a supervisor, terminals need system calls, the heavy program is in the payload"},
	{"sandbox", []string{"sandbox/spec", "userns"}, "directory, lock, state of one sandbox"},
	{"internal", []string{"internal"}, "the file format of the binary"},
	{"tests", []string{"*"}, "tests may look at everything"},
	{".", []string{"*"}, "main joins everything"},
}

// front ends never import each other, and the three subjects never meet below the engine.
var strangers = [][2]string{
	{"sandbox/cli", "sandbox/api"}, {"sandbox/api", "sandbox/cli"},
	{"image", "slirp"}, {"image", "limits"}, {"slirp", "image"}, {"slirp", "limits"}, {"limits", "image"}, {"limits", "slirp"},
}

func TestImportsPointDownwards(t *testing.T) {
	for _, f := range sources(t) {
		for _, imported := range f.imports() {
			target, ours := strings.CutPrefix(imported, module+"/")
			if !ours || f.test && within(target, "tests/harness") {
				continue
			}
			if reason := forbidden(f.folder, target); reason != "" {
				t.Errorf("%s imports %s: %s", f.path, target, reason)
			}
		}
	}
}

// forbidden says why folder may not import target, or nothing.
func forbidden(folder, target string) string {
	for _, pair := range strangers {
		if within(folder, pair[0]) && within(target, pair[1]) {
			return pair[0] + " and " + pair[1] + " never import each other"
		}
	}
	rule := layers[len(layers)-1]
	for _, l := range layers {
		if within(folder, l.folder) {
			rule = l
			break
		}
	}
	if rule.folder != "sandbox" && within(target, rule.folder) {
		return ""
	}
	for _, allowed := range rule.may {
		// "sandbox" is the package of that name alone: its folder holds all the layers above it.
		if allowed == "*" || target == allowed || allowed != "sandbox" && within(target, allowed) {
			return ""
		}
	}
	return rule.why
}

// The rules themselves must be able to fail.
func TestTheRulesForbid(t *testing.T) {
	for _, c := range []struct{ folder, target string }{
		{"userns/sys", "userns/spawn"}, {"userns", "sandbox/spec"}, {"image/store", "limits"}, {"slirp/relay", "image"},
		{"sandbox/guest", "sandbox"}, {"sandbox/guest", "image"}, {"sandbox", "sandbox/engine"}, {"sandbox/supervisor", "image"},
		{"sandbox/cli", "sandbox/api"}, {"sandbox/engine", "sandbox/cli"}, {"sandbox/view", "sandbox/cli"},
	} {
		if forbidden(c.folder, c.target) == "" {
			t.Errorf("%s may import %s", c.folder, c.target)
		}
	}
	if why := forbidden("sandbox/engine", "sandbox/supervisor"); why != "" {
		t.Errorf("engine may not import supervisor: %s", why)
	}
	if throughADoor(sourceFile{folder: "slirp"}, "golang.org/x/sys/unix") {
		t.Error("slirp may import golang.org/x/sys/unix")
	}
}
