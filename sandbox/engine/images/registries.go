package images

import (
	"os"

	"github.com/moss-sandbox/moss/image/registry"
)

// Client is a registry client with the user's configuration. The caller closes it.
func (s *Service) Client() (*registry.Client, error) {
	c, err := s.registries()
	if err != nil {
		return nil, err
	}
	return registry.New(c), nil
}

// registries is what is known of registries: from moss's own configuration, which goes first, Docker's daemon.json, Docker's
// config.json and certs.d, and the environment's proxies.
func (s *Service) registries() (registry.Config, error) {
	home, _ := os.UserHomeDir() // without one there are no stored credentials
	c := registry.DefaultConfig(os.Getenv, home)
	if err := c.ReadDaemonFiles(registry.DaemonFiles(os.Getenv, home)...); err != nil {
		return c, err
	}
	c.MirrorsOf = map[string][]string{}
	for host, r := range s.e.Config.Registries {
		name := registry.ServerName(host)
		if r.Insecure {
			c.Insecure = append(c.Insecure, name)
		}
		if len(r.Mirrors) > 0 {
			c.MirrorsOf[name] = r.Mirrors
		}
	}
	c.UserAgent, c.Login = "moss/1", s.login
	return c, nil
}
