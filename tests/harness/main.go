package harness

import (
	"os"
	"sync"
	"testing"
)

// shared is what the process keeps between its tests; each entry removes one thing.
var shared struct {
	sync.Mutex
	remove []func()
}

// atEnd has f called when all tests of the process are over, last one first.
func atEnd(f func()) {
	shared.Lock()
	defer shared.Unlock()
	shared.remove = append(shared.remove, f)
}

// Main is the body of every TestMain that uses the harness: a test process may be re-executed as a stage of the harness, and
// what the process shares between its tests is removed at the end.
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
func Main(m *testing.M) int {
	if os.Getenv(stageVariable) == launchStage {
		return launch() // comes back only when it fails
	}
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	for i := len(shared.remove) - 1; i >= 0; i-- {
		shared.remove[i]()
	}
	return code
}
