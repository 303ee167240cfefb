package course

import (
	"regexp"
	"strings"
)

// The forms of answers.
const (
	fullID  = `[0-9a-f]{64}`
	shortID = `[0-9a-f]{12}`
	size    = `[0-9.]+(B|kB|MB|GB)`
	binary  = `[0-9.]+(B|KiB|MiB|GiB)`
	ago     = `(\d+ (second|minute|hour)s?|About an? (minute|hour)|Less than a second) ago`
)

// wants wants a whole answer to have a form.
func (s *student) wants(line, form string) {
	s.t.Helper()
	if got := s.sh(line); !regexp.MustCompile(`^(?:` + form + `)$`).MatchString(got) {
		s.t.Errorf("%s\n got %q\nwant %s", line, got, form)
	}
}

// fails wants a line to fail with a code and a text on standard error.
func (s *student) fails(line string, code int, text string) {
	s.t.Helper()
	if r := s.try(line); r.Code != code || r.Stdout != "" || !strings.Contains(r.Stderr, text) {
		s.t.Errorf("%s\n got %s\nwant code %d and %q", line, r, code, text)
	}
}

// A row is a line of a table, by column.
type row map[string]string

// table wants a table with these columns, each as wide as Docker's makes it: the longest cell and three spaces.
func (s *student) table(line string, columns ...string) []row {
	s.t.Helper()
	lines := strings.Split(s.sh(line), "\n")
	return s.parse(line, lines, columns)
}

func (s *student) parse(line string, lines, columns []string) (rows []row) {
	s.t.Helper()
	starts, at := []int{}, 0
	for _, c := range columns {
		i := strings.Index(lines[0][min(at, len(lines[0])):], c)
		if i < 0 || at > 0 && i < 3 || at == 0 && i != 0 {
			s.t.Fatalf("%s\n got %q\nwant the columns %q", line, lines[0], columns)
		}
		starts, at = append(starts, at+i), at+i+len(c)
	}
	if at != len(strings.TrimRight(lines[0], " ")) {
		s.t.Fatalf("%s: more columns than %q in %q", line, columns, lines[0])
	}
	for _, l := range lines[1:] {
		r, cells := row{}, []rune(l)
		for i, c := range columns {
			end := len(cells)
			if i+1 < len(columns) {
				end = min(starts[i+1], end)
			}
			r[c] = strings.TrimRight(string(cells[min(starts[i], end):end]), " ")
		}
		rows = append(rows, r)
	}
	return rows
}

// find returns the row that has a cell.
func (s *student) find(rows []row, column, cell string) row {
	s.t.Helper()
	for _, r := range rows {
		if r[column] == cell {
			return r
		}
	}
	s.t.Fatalf("no row with %s %q in %q", column, cell, rows)
	return nil
}

// has wants the cells of a row to have these forms, given as column, form, column, form, …
func (s *student) has(r row, forms ...string) {
	s.t.Helper()
	for i := 0; i+1 < len(forms); i += 2 {
		if !regexp.MustCompile(`^(?:` + forms[i+1] + `)$`).MatchString(r[forms[i]]) {
			s.t.Errorf("%s is %q, want %s", forms[i], r[forms[i]], forms[i+1])
		}
	}
}
