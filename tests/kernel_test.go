package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// The packages' own tests that need namespaces pass as ordinary accounts too; `make test` as root runs them as root alone.
func TestKernelFloorAsAccounts(t *testing.T) {
	harness.RequireRoot(t)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, name := range []string{"subids", "oneid"} {
		floor := func(t *testing.T) {
			l := harness.Named(t, name).Login(t) // keeps other tests off the account
			cmd := exec.Command("go", "test", "-vet=off", "-count=1", "-skip", "TestOnArm64UnderEmulator" /* needs go, which the accounts do not have */, "-exec", filepath.Join(root, "tests/harness/as")+" "+l.User,
				"./userns", "./userns/spawn", "./userns/role", "./userns/seccomp", "./sandbox/...", "./image/layer/...", "./image/store/...")
			cmd.Dir, cmd.Env = root, append(os.Environ(), "MOSS_TEST_BINARY="+harness.Binary(t))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		}
		all.Go(func() { t.Run(name, floor) })
	}
	all.Wait()
}
