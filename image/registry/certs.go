package registry

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
)

// tlsConfig is what Docker reads from certs.d/HOST[:PORT]: every *.crt is an authority beside the system's, every NAME.cert with
// NAME.key a client certificate. Both the host on the wire and the registry's name are looked for.
func (c *Client) tlsConfig(e endpoint) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.insecure} //nolint:gosec // declared insecure by the user
	for _, root := range c.config.CertDirs {
		for _, host := range []string{e.host, e.registry} {
			if strings.ContainsAny(host, "/\x00") || host == ".." {
				continue // never a path
			}
			if err := addCertificates(config, filepath.Join(root, host)); err != nil {
				return nil, err
			}
			if e.host == e.registry {
				break
			}
		}
	}
	return config, nil
}

// addCertificates adds the files of one directory; one that cannot be listed counts as absent, as it does for Docker.
func addCertificates(config *tls.Config, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		switch filepath.Ext(path) {
		case ".crt":
			err = addAuthority(config, path)
		case ".cert":
			err = addClientPair(config, path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func addAuthority(config *tls.Config, path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return fail(ErrTLS, "reading certificate authority").because(err)
	}
	if config.RootCAs == nil {
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			config.RootCAs = x509.NewCertPool()
		}
	}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return fail(ErrTLS, "reading certificate authority %q: no certificate in PEM form inside", path)
	}
	return nil
}

func addClientPair(config *tls.Config, certPath string) error {
	keyPath := strings.TrimSuffix(certPath, ".cert") + ".key"
	pair, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err != nil {
		return fail(ErrTLS, "reading client certificate %q", certPath).because(err).
			hint("docker's rule: NAME.crt is an authority, NAME.cert with NAME.key a client certificate")
	}
	config.Certificates = append(config.Certificates, pair)
	return nil
}
