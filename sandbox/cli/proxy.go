package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/sandbox/engine"
)

// proxies are what ~/.docker/config.json says of proxies for containers ("proxies": {"default": {"httpProxy": …}}).
type proxies struct {
	HTTPProxy  string `json:"httpProxy"`
	HTTPSProxy string `json:"httpsProxy"`
	NoProxy    string `json:"noProxy"`
	FTPProxy   string `json:"ftpProxy"`
	AllProxy   string `json:"allProxy"`
}

// setProxies gives the container the proxies of Docker's configuration, in both spellings, as Docker's client does. What
// the user says with -e wins. A configuration that cannot be read has none.
func (o *runOptions) setProxies(c *engine.Create) error {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil
		}
		dir = filepath.Join(home, ".docker")
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil
	}
	var config struct {
		Proxies map[string]proxies `json:"proxies"`
	}
	if json.Unmarshal(b, &config) != nil {
		return nil
	}
	c.Env = append(config.Proxies["default"].environment(c.Env), c.Env...)
	return nil
}

// environment is the variables that are not among the user's.
func (p proxies) environment(user []string) (out []string) {
	for _, v := range []struct{ name, value string }{
		{"HTTP_PROXY", p.HTTPProxy}, {"HTTPS_PROXY", p.HTTPSProxy}, {"NO_PROXY", p.NoProxy}, {"FTP_PROXY", p.FTPProxy}, {"ALL_PROXY", p.AllProxy},
	} {
		for _, name := range []string{v.name, strings.ToLower(v.name)} {
			given := slices.ContainsFunc(user, func(e string) bool { n, _, _ := strings.Cut(e, "="); return n == name })
			if v.value != "" && !given {
				out = append(out, name+"="+v.value)
			}
		}
	}
	return out
}
