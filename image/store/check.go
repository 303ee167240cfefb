package store

import "fmt"

// setAside moves a file that is not what it should be into quarantine.
func (s *Store) setAside(name string) error {
	to := "quarantine/" + randomID()
	if err := s.fs.Rename(name, to); err != nil {
		return fmt.Errorf("setting %q aside: %w", name, err)
	}
	return nil
}
