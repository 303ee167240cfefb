package limits

import "strings"

// Weak is a limit carried by less than docker would carry it with.
type Weak struct {
	Name      string    `json:"name"` // as in Plan.Enforced
	Flag      string    `json:"flag"`
	Mechanism Mechanism `json:"mechanism"`
	Words     string    `json:"words"` // half a sentence for a beginner
}

// Warning joins everything a user should know about a run into one line without a line end, or returns the empty string. Notes
// are further half sentences from elsewhere, such as the restart note.
func Warning(weak []Weak, notes ...string) string {
	var words []string
	for _, w := range weak {
		words = append(words, w.Words)
	}
	if len(weak) > 0 {
		words[len(words)-1] += "; see moss info"
	}
	return strings.Join(append(words, notes...), ", ")
}

// Strict is the error of --strict: nil when nothing is weak.
func Strict(weak []Weak) error {
	if len(weak) == 0 {
		return nil
	}
	return &StrictError{Weak: weak}
}

// StrictError says which limits the host cannot enforce as docker would.
type StrictError struct{ Weak []Weak }

// Error lists the flags with what would carry them.
func (e *StrictError) Error() string {
	words := make([]string, len(e.Weak))
	for i, w := range e.Weak {
		words[i] = w.Flag + " (here: " + string(w.Mechanism) + ")"
	}
	return "this host does not enforce " + strings.Join(words, ", ")
}

// Hints says where the reasons are.
func (e *StrictError) Hints() []string {
	return []string{"moss info tells why and what would change it", "without --strict the container runs with the weaker mechanism"}
}
