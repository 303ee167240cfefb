package layer

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/image/imagetest"
)

// TestMain runs the tests twice: with all ids, when the caller is root, and with the single id in a user namespace.
func TestMain(m *testing.M) {
	fuzzing := slices.ContainsFunc(os.Args, func(a string) bool {
		return strings.HasPrefix(a, "-test.fuzz") && !strings.HasPrefix(a, "-test.fuzzcache")
	})
	if singleID() || fuzzing {
		os.Exit(m.Run())
	}
	code := 0
	if os.Geteuid() == 0 {
		code = m.Run()
	}
	os.Exit(max(code, imagetest.Run()))
}

// singleID tells whether only one id can be set here.
func singleID() bool { return imagetest.Inside() }
