package slirp

import (
	"os"
	"strings"
	"testing"
)

// The README shows the same table as moss info.
func TestReadmeShowsTheDifferences(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range Backends() {
		lacks := "nothing"
		if d := b.Differences(); len(d) > 0 {
			lacks = strings.Join(d, "; ")
		}
		if row := "| `" + b.Name + "` | " + b.Needs + " | " + lacks + " |"; !strings.Contains(string(text), row) {
			t.Errorf("README.md lacks the line\n%s", row)
		}
	}
}
