package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table prints columns as Docker does: three spaces between them, each as wide as its widest cell.
type table struct {
	rows [][]string
}

func newTable(head ...string) *table { return &table{rows: [][]string{head}} }

// row adds a line; foreign text is quoted here.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(Quote(c), "\n", `\n`)
	}
	t.rows = append(t.rows, cells)
}

// leastWidth is the width of a column with its gap that Docker never goes below (text/tabwriter's minwidth).
const leastWidth = 10

func (t *table) print(w io.Writer) {
	width := make([]int, len(t.rows[0]))
	for i := range width {
		width[i] = leastWidth - 3
	}
	for _, r := range t.rows {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, r := range t.rows {
		var b strings.Builder
		for i, c := range r {
			b.WriteString(c)
			if i < len(r)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+3))
			}
		}
		fmt.Fprintln(w, b.String())
	}
}
