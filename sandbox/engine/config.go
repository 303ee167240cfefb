package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/userns/role"
)

// Config is the user's configuration: config.json, and below it the course's moss.json beside the program.
type Config struct {
	Stores       []string            `json:"stores,omitempty"`  // course stores
	Storage      string              `json:"storage,omitempty"` // overlay, fuse-overlayfs or copy; empty for the best
	Network      string              `json:"network,omitempty"` // the default network of run
	Strict       bool                `json:"strict,omitempty"`  // a weaker mechanism for a limit is an error
	Quiet        bool                `json:"quiet,omitempty"`   // no notes about weaker mechanisms
	NoNewPrivs   bool                `json:"noNewPrivileges,omitempty"`
	DetachKeys   string              `json:"detachKeys,omitempty"`
	Registries   map[string]Registry `json:"registries,omitempty"`
	NetBackend   string              `json:"netBackend,omitempty"`
	Budget       json.RawMessage     `json:"budget,omitempty"`
	UnpackLimits json.RawMessage     `json:"unpackLimits,omitempty"`

	bound limits.Budget // of Budget: the course's, lowered by the user's
}

// Bound is the ceiling on all of the user's containers together.
func (c *Config) Bound() limits.Budget { return c.bound }

// A Registry is what is known of one.
type Registry struct {
	Mirrors  []string `json:"mirrors,omitempty"`
	Insecure bool     `json:"insecure,omitempty"`
}

// A ConfigError names the file and what is wrong in it.
type ConfigError struct {
	Path string
	Err  error
}

func (e *ConfigError) Error() string { return "configuration " + e.Path + ": " + e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// loadConfig reads the course's file beside the program, then the user's over it. An unknown key is an error.
func loadConfig() (Config, error) {
	var c Config
	if err := c.readBeside(programPath()); err != nil {
		return c, err
	}
	dir := getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return c, nil
		}
		dir = filepath.Join(home, ".config")
	}
	if err := c.read(filepath.Join(dir, "moss", "config.json")); err != nil {
		return c, err
	}
	if s := getenv("MOSS_STORES"); s != "" {
		c.Stores = append(strings.Split(s, ":"), c.Stores...)
	}
	if s := getenv("MOSS_STORAGE"); s != "" {
		c.Storage = s
	}
	return c, nil
}

// programPath is where this program lies; the full program, which is executed from memory, is told by the small one.
func programPath() string {
	exe := "/proc/self/exe"
	if p := getenv(role.ProgramEnv); p != "" {
		exe = p
	}
	path, err := os.Readlink(exe)
	if err != nil {
		return ""
	}
	return path
}

// readBeside reads moss.json beside the program, which is how a teacher sets up a class. Who can write the program can do
// anything: the file counts only if it is root's, this user's or the owner's of the program, and nobody else may write it.
func (c *Config) readBeside(program string) error {
	var exe, st syscall.Stat_t
	path := filepath.Join(filepath.Dir(program), "moss.json")
	if program == "" || syscall.Stat(path, &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return nil
	}
	if st.Uid != 0 && int(st.Uid) != os.Getuid() && (syscall.Stat(program, &exe) != nil || st.Uid != exe.Uid) {
		return nil // somebody's file in a directory of many
	}
	if st.Mode&0o022 != 0 {
		return hint("chmod go-w "+path, "configuration %s: others may write to it (mode %o)", path, st.Mode&0o777)
	}
	return c.read(path)
}

func (c *Config) read(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return &ConfigError{path, err}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return &ConfigError{path, err}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &ConfigError{path, fmt.Errorf("more than one value")}
	}
	for i, dir := range c.Stores { // a course can be moved, and is mounted elsewhere on other machines
		if !filepath.IsAbs(dir) {
			c.Stores[i] = filepath.Join(filepath.Dir(path), dir)
		}
	}
	return c.readBudget(path)
}

// Unpack is the limits of what images may unpack to.
func (c *Config) Unpack() (l layer.Limits, err error) {
	if len(c.UnpackLimits) == 0 {
		return l, nil
	}
	d := json.NewDecoder(bytes.NewReader(c.UnpackLimits))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return l, &ConfigError{"unpackLimits", err}
	}
	return l, nil
}
