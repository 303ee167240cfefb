package engine

import "fmt"

// A StateError says, in Docker's words, that the state of a container or volume forbids what was asked.
type StateError struct{ text string }

func (e *StateError) Error() string { return e.text }

func stateError(format string, args ...any) error { return &StateError{fmt.Sprintf(format, args...)} }
