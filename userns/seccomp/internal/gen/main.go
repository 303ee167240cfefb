package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run writes the files in two rounds: the policies are made with the number tables that were embedded in this program when it
// was built, so a change of numbers needs a second start.
func run() error {
	root, err := packageRoot()
	if err != nil {
		return err
	}
	for _, round := range []func() (map[string][]byte, error){numberTables, policyFiles} {
		files, err := round()
		if err != nil {
			return err
		}
		if err := write(root, files); err != nil {
			return err
		}
	}
	return nil
}

func write(root string, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(root, name), files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// packageRoot finds userns/seccomp, from there (go generate) or from this folder (go test).
func packageRoot() (string, error) {
	for _, dir := range []string{".", "../.."} {
		if _, err := os.Stat(filepath.Join(dir, "single.go")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("start it in userns/seccomp")
}
