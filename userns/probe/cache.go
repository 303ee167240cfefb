package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Cached returns the Facts kept in file if they are of this boot, kernel, account and data root, else measures and keeps them.
// A file that cannot be written is no error: the facts are right all the same. What changes without a reboot (an
// administrator's sysctl, a new range of ids, free space) is seen by Host alone, so `moss info` measures and only hints of
// other commands use the cache.
func Cached(ctx context.Context, file string, req Request) (Facts, error) {
	if f, err := Load(file); err == nil && f.current(req) {
		return f, nil
	}
	f, err := Host(ctx, req)
	if err == nil {
		_ = Save(file, f)
	}
	return f, err
}

func (f Facts) current(req Request) bool {
	return f.Version == Version && f.Boot != "" && f.Boot == userns.Here().Boot && f.Kernel == sys.KernelRelease() &&
		f.UID == req.Identity.UID && f.DataRoot == req.DataRoot && f.IDs.Means == req.Identity.Means
}

// Load reads what Save wrote.
func Load(file string) (f Facts, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("reading %q: %w", file, err)
	}
	return f, nil
}

// Save writes the facts beside the file and renames them into place.
func Save(file string, f Facts) error {
	b, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".facts-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(b, '\n'))
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("keeping what was measured: %w", err)
	}
	return nil
}
