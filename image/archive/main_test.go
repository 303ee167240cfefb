package archive

import (
	"os"
	"testing"

	"github.com/moss-sandbox/moss/image/imagetest"
)

func TestMain(m *testing.M) { os.Exit(imagetest.Main(m.Run)) }
