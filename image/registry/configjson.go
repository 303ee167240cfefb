package registry

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// configFile is Docker's config.json with every key, also those we know nothing of: we write back what we read.
type configFile map[string]json.RawMessage

func (s *Credentials) path() string { return filepath.Join(s.dir, "config.json") }

// read returns an empty file for one that is absent.
func (s *Credentials) read() (configFile, error) {
	file := configFile{}
	b, err := os.ReadFile(s.path())
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return file, nil
	}
	if err != nil {
		return nil, fail(ErrCredentials, "reading credentials").because(err)
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fail(ErrCredentials, "reading %q", s.path()).because(err).hint("repair the file or move it away; it is left as it is")
	}
	return file, nil
}

// edit changes config.json under a lock on its directory, so that two logins at once keep both.
func (s *Credentials) edit(change func(configFile) error) error {
	if s.dir == "" {
		return fail(ErrCredentials, "storing credentials: no home directory").hint("set HOME or DOCKER_CONFIG")
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fail(ErrCredentials, "storing credentials").because(err)
	}
	unlock, err := lockDirectory(s.dir)
	if err != nil {
		return fail(ErrCredentials, "storing credentials").because(err)
	}
	defer unlock()
	file, err := s.read()
	if err != nil {
		return err
	}
	if err := change(file); err != nil {
		return err
	}
	b, err := json.MarshalIndent(file, "", "\t")
	if err == nil {
		err = replaceFile(s.path(), append(b, '\n'))
	}
	if err != nil {
		return fail(ErrCredentials, "storing credentials").because(err)
	}
	return nil
}

// lockDirectory takes flock(2) on the directory itself, so that no lock file is left. A file system without locks (some NFS) is
// used without.
func lockDirectory(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX)
	if err != nil && !errors.Is(err, syscall.ENOLCK) && !errors.Is(err, syscall.ENOTSUP) {
		_ = d.Close()
		return nil, os.NewSyscallError("flock", err)
	}
	return func() { _ = d.Close() }, nil
}

// replaceFile puts b at path with mode 0600: temporary name, write, sync, rename, sync of the directory. A symbolic link is
// followed, so that a config.json kept in somebody's dotfiles stays there.
func replaceFile(path string, b []byte) (err error) {
	if target, linkErr := filepath.EvalSymlinks(path); linkErr == nil {
		path = target
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".config.json-*") // 0600 from the start
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err = tmp.Write(b); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // opened for reading
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

// helperFor names the helper that keeps a registry's login; "" for none.
func (f configFile) helperFor(registry string) string {
	var perRegistry map[string]string
	_ = json.Unmarshal(f["credHelpers"], &perRegistry) // absent or of another shape: as if absent
	for _, key := range []string{ServerAddress(registry), registry} {
		if name, ok := perRegistry[key]; ok {
			return name
		}
	}
	var forAll string
	_ = json.Unmarshal(f["credsStore"], &forAll)
	return forAll
}

func (f configFile) auths() (map[string]json.RawMessage, error) {
	auths := map[string]json.RawMessage{}
	if raw, ok := f["auths"]; ok {
		if err := json.Unmarshal(raw, &auths); err != nil {
			return nil, fail(ErrCredentials, "reading %q in config.json", "auths").because(err)
		}
	}
	return auths, nil
}

// login finds a registry's entry: under its own key, else under any key with the same host.
func (f configFile) login(registry string) (Login, error) {
	auths, err := f.auths()
	if err != nil {
		return Login{}, err
	}
	raw, ok := auths[ServerAddress(registry)]
	if !ok {
		for key, candidate := range auths {
			if ServerName(key) == canonicalRegistry(registry) {
				raw, ok = candidate, true
			}
		}
	}
	if !ok {
		return Login{}, nil
	}
	var entry authEntry
	if err := json.Unmarshal(raw, &entry); err != nil {
		return Login{}, fail(ErrCredentials, "reading the entry of %s in config.json", registry).because(err)
	}
	return entry.login()
}

func (f configFile) mentions(registry string) bool {
	auths, _ := f.auths() // an unreadable one is reported by edit
	for key := range auths {
		if ServerName(key) == canonicalRegistry(registry) {
			return true
		}
	}
	return false
}

func (f configFile) setLogin(registry string, l Login) error {
	auths, err := f.auths()
	if err != nil {
		return err
	}
	auths[ServerAddress(registry)] = encode(entryFor(l))
	f["auths"] = encode(auths)
	return nil
}

func (f configFile) removeLogin(registry string) (found bool, err error) {
	auths, err := f.auths()
	if err != nil {
		return false, err
	}
	for key := range auths {
		if ServerName(key) == canonicalRegistry(registry) {
			delete(auths, key)
			found = true
		}
	}
	f["auths"] = encode(auths)
	return found, nil
}
