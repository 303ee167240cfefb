package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/userns/role"
)

// Publish fills a directory for a class: the blobs and names of images, all with a tag if none are named, the program itself as
// bin/moss and, unless there is one, a bin/moss.json that leads to the directory. It returns the program's path. done is told
// each image.
func (s *Service) Publish(ctx context.Context, dir string, names []string, done func(*store.Image)) (program string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	st, err := s.e.Images()
	if err != nil {
		return "", err
	}
	list, err := published(st, names)
	if err != nil {
		return "", err
	}
	if err := st.Publish(ctx, dir, list, done); err != nil {
		return "", err
	}
	program = filepath.Join(dir, "bin", "moss")
	return program, publishProgram(dir, program)
}

func published(st *store.Store, names []string) ([]*store.Image, error) {
	if len(names) == 0 {
		all, err := st.List()
		var tagged []*store.Image
		for _, m := range all {
			if len(m.Names) > 0 {
				tagged = append(tagged, m)
			}
		}
		return tagged, err
	}
	var list []*store.Image
	for _, name := range names {
		m, err := st.Inspect(name)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("No such image: %s", name)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// courseConfig is the moss.json of a new course directory; stores are relative to it.
const courseConfig = "{\n\t\"stores\": [\"..\"]\n}\n"

func publishProgram(dir, program string) error {
	bin := filepath.Dir(program)
	if err := os.Mkdir(bin, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("publishing the program: %w", err)
	}
	self, err := role.Program()
	if err != nil {
		return err
	}
	defer self.Close()
	if same(self, program) {
		return nil
	}
	config := filepath.Join(bin, "moss.json")
	if _, err := os.Stat(config); errors.Is(err, os.ErrNotExist) {
		if err := publicFile(config, 0o644, func(f *os.File) error { _, err := f.WriteString(courseConfig); return err }); err != nil {
			return fmt.Errorf("publishing into %q: %w", dir, err)
		}
	}
	err = publicFile(program, 0o755, func(f *os.File) error { _, err := io.Copy(f, self); return err })
	if err != nil {
		return fmt.Errorf("publishing the program: %w", err)
	}
	return nil
}

func same(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// publicFile puts a whole file of a mode into its place, whatever the umask; who runs the old one goes on.
func publicFile(path string, mode os.FileMode, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
