package build_test

import (
	"os"
	"testing"

	"github.com/moss-sandbox/moss/image/build/buildtest"
)

func TestMain(m *testing.M) { os.Exit(buildtest.Main(m)) }
