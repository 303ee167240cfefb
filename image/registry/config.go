package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// EnvDockerIO names the registry that stands in for docker.io, as a URL or host[:port]. Documented: sites without Internet and
// the tests use it.
const EnvDockerIO = "MOSS_DOCKER_IO"

// Config is all that a [Client] has to know. The zero value works, without credentials, mirrors and certificates; [DefaultConfig]
// gives what Docker would use.
type Config struct {
	Mirrors []string // URLs tried before Docker Hub, best first
	// MirrorsOf has URLs tried before another registry, by its name; those under "docker.io" go before Mirrors.
	MirrorsOf    map[string][]string
	Insecure     []string // host, host:port or CIDR: TLS is not verified, plain HTTP is allowed
	DockerIO     string   // URL or host[:port] that stands in for Docker Hub, for pull, push and login alike
	CertDirs     []string // directories with HOST[:PORT]/{*.crt,*.cert,*.key}; all that have the host count
	DockerConfig string   // the directory of Docker's config.json; "" means no stored credentials
	Login        *Login   // used instead of what is stored, as the API's X-Registry-Auth demands; mirrors never get it
	UserAgent    string
	Jobs         int // layers at a time; 0 means 4
	Patience     Patience
	// Proxy tells which proxy a request takes; nil means http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
}

// Patience says how long to wait and how often to try. Zero fields take the defaults.
type Patience struct {
	Retries    int           // attempts after the first, without progress in between; default 5
	Backoff    time.Duration // before the first retry; doubles each time; default 500 ms
	MaxBackoff time.Duration // default 15 s
	Dial       time.Duration // to connect and, again, for the TLS handshake; default 15 s
	Answer     time.Duration // from request to the header of the answer; default 30 s
	Stall      time.Duration // without a byte; also the window in which MinRate is measured; default 30 s
	MinRate    int64         // bytes per second below which a download counts as stalled; default 256
	RateLimit  time.Duration // longest Retry-After that is waited for rather than reported; default 10 s
}

// DefaultConfig is what a docker client and daemon of this user would use: ~/.docker (or $DOCKER_CONFIG), the certificate
// directories, the proxies and [EnvDockerIO] of the environment. env is os.Getenv, home the user's directory.
func DefaultConfig(env func(string) string, home string) Config {
	dir := env("DOCKER_CONFIG")
	if dir == "" && home != "" {
		dir = filepath.Join(home, ".docker")
	}
	var certs []string
	if home != "" {
		certs = append(certs, filepath.Join(home, ".docker", "certs.d"))
	}
	return Config{
		DockerIO:     env(EnvDockerIO),
		CertDirs:     append(certs, "/etc/docker/certs.d"),
		DockerConfig: dir,
		UserAgent:    "moss",
		Proxy:        http.ProxyFromEnvironment,
	}
}

func (c Config) withDefaults() Config {
	def(&c.Jobs, 4)
	def(&c.UserAgent, "moss")
	p := &c.Patience
	def(&p.Retries, 5)
	def(&p.Backoff, 500*time.Millisecond)
	def(&p.MaxBackoff, 15*time.Second)
	def(&p.Dial, 15*time.Second)
	def(&p.Answer, 30*time.Second)
	def(&p.Stall, 30*time.Second)
	def(&p.MinRate, 256)
	def(&p.RateLimit, 10*time.Second)
	if c.Proxy == nil {
		c.Proxy = http.ProxyFromEnvironment
	}
	return c
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// DaemonFiles are the places of Docker's daemon.json, the system's before the user's own (rootless Docker). env is os.Getenv, home
// the user's directory.
func DaemonFiles(env func(string) string, home string) []string {
	files := []string{"/etc/docker/daemon.json"}
	dir := env("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if dir != "" {
		files = append(files, filepath.Join(dir, "docker", "daemon.json"))
	}
	return files
}

// ReadDaemonFiles adds what Docker's own daemon.json says about registries, where there is one. A file that cannot be parsed is an
// error: silently ignoring a mirror is worse than saying so. One that may not be read counts as absent.
func (c *Config) ReadDaemonFiles(files ...string) error {
	for _, file := range files {
		b, err := os.ReadFile(file)
		if os.IsNotExist(err) || os.IsPermission(err) {
			continue
		}
		if err != nil {
			return err
		}
		d, err := ParseDaemonJSON(b)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		c.Mirrors = append(c.Mirrors, d.Mirrors...)
		c.Insecure = append(c.Insecure, d.Insecure...)
	}
	return nil
}
