package slirp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Store is the directory of a user's networks, one NAME.json each. The built-in ones have files only so that their
// subnet and time of creation stay the same. Methods may be called by several processes at once: a file is created
// under a temporary name and linked, which fails when the name exists.
type Store struct {
	Dir     string
	Account string // tells the ids of the built-in networks of different accounts apart
}

// List returns all networks, built-in ones first, the others by name.
func (s *Store) List() ([]Network, error) {
	var l []Network
	for _, name := range []string{NameBridge, NameHost, NameNone} {
		n, err := s.builtIn(name)
		if err != nil {
			return nil, err
		}
		l = append(l, n)
	}
	files, err := filepath.Glob(filepath.Join(s.Dir, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		n, err := read(f)
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		if !BuiltIn(n.Name) {
			l = append(l, n)
		}
	}
	return l, nil
}

// Get finds a network by name, id or unambiguous start of an id; ErrNotFound when there is none.
func (s *Store) Get(ref string) (Network, error) {
	if ref == "" || ref == "default" {
		ref = NameBridge
	}
	all, err := s.List()
	if err != nil {
		return Network{}, err
	}
	if i := slices.IndexFunc(all, func(n Network) bool { return n.Name == ref || n.ID == ref }); i >= 0 {
		return all[i], nil
	}
	found := slices.DeleteFunc(all, func(n Network) bool { return !strings.HasPrefix(n.ID, ref) })
	switch len(found) {
	case 0:
		return Network{}, fmt.Errorf("network %s not found: %w", ref, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return Network{}, fmt.Errorf("network %s is ambiguous: %d networks match", ref, len(found))
}

// Create completes, checks and writes a new network and returns it as written. hostUsed are the host's own ranges.
// ErrExists when the name is taken.
func (s *Store) Create(n Network, hostUsed []netip.Prefix) (Network, error) {
	if BuiltIn(n.Name) || n.Name == "default" {
		return n, fmt.Errorf("creating network %q: %w", n.Name, ErrBuiltIn)
	}
	n.Version, n.ID, n.Created = Version, NewID(), time.Now()
	if n.Driver == "" {
		n.Driver = DriverBridge
	}
	if n.Driver != DriverBridge {
		return n, fmt.Errorf("could not find plugin %s in v1 plugin registry: plugin not found", n.Driver)
	}
	used, err := s.used()
	if err != nil {
		return n, err
	}
	for _, sub := range n.Subnets {
		if overlaps(sub.Subnet, used) {
			return n, fmt.Errorf("invalid pool request: Pool overlaps with other one on this address space: %s", sub.Subnet)
		}
	}
	if err := n.Complete(append(used, hostUsed...)); err != nil {
		return n, err
	}
	return n, s.write(n)
}

// Remove deletes a network's file. Whether containers use it is the caller's question.
func (s *Store) Remove(n Network) error {
	if BuiltIn(n.Name) {
		return fmt.Errorf("%s is a pre-defined network and cannot be removed: %w", n.Name, ErrBuiltIn)
	}
	err := os.Remove(s.path(n.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("network %s not found: %w", n.Name, ErrNotFound)
	}
	return err
}

func (s *Store) used() ([]netip.Prefix, error) {
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	var used []netip.Prefix
	for _, n := range all {
		for _, sub := range n.Subnets {
			used = append(used, sub.Subnet)
		}
	}
	return used, nil
}

// builtIn reads a built-in network's file and makes it at the first time.
func (s *Store) builtIn(name string) (Network, error) {
	n, err := read(s.path(name))
	if !errors.Is(err, fs.ErrNotExist) {
		return n, err
	}
	n = Network{Version: Version, Name: name, ID: BuiltInID(s.Account, name), Created: time.Now(), Driver: name}
	if name == NameNone {
		n.Driver = DriverNull
	}
	if err := n.Complete(append(hostRanges(), s.othersUsed()...)); err != nil {
		return n, err
	}
	if err := s.write(n); errors.Is(err, ErrExists) {
		return read(s.path(name))
	} else if err != nil {
		return n, err
	}
	return n, nil
}

// othersUsed returns the ranges of the networks that have files.
func (s *Store) othersUsed() (used []netip.Prefix) {
	files, _ := filepath.Glob(filepath.Join(s.Dir, "*.json"))
	for _, f := range files {
		if n, err := read(f); err == nil {
			for _, sub := range n.Subnets {
				used = append(used, sub.Subnet)
			}
		}
	}
	return used
}

// hostRanges are the ranges of the caller's network namespace; what cannot be read is taken as unused.
func hostRanges() []netip.Prefix {
	text, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil
	}
	return HostRoutes(string(text))
}

// HostUsed returns the IPv4 ranges the calling process's network namespace has routes for.
func HostUsed() []netip.Prefix { return hostRanges() }

func (s *Store) path(name string) string { return filepath.Join(s.Dir, name+".json") }

func read(file string) (n Network, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return n, fmt.Errorf("reading network: %w", err)
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return n, fmt.Errorf("reading network %q: %w", file, err)
	}
	if n.Version != Version {
		return n, fmt.Errorf("reading network %q: version %d is not known to this moss", file, n.Version)
	}
	return n, nil
}

// write makes the file durable before it has its name, and never replaces another.
func (s *Store) write(n Network) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("writing network %q: %w", n.Name, err)
	}
	data, err := json.MarshalIndent(n, "", "\t")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(s.Dir, ".new-*")
	if err != nil {
		return fmt.Errorf("writing network %q: %w", n.Name, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(data, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Link(tmp.Name(), s.path(n.Name))
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("network with name %s already exists: %w", n.Name, ErrExists)
	}
	if err != nil {
		return fmt.Errorf("writing network %q: %w", n.Name, err)
	}
	return syncDir(s.Dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
