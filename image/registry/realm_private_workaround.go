package registry

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
)

// go-containerregistry (v0.22.1, transport.validateRealmURL) refuses every realm on a literal private or loopback address unless it
// is the registry's own host:port, also where the registry is such an address itself: a registry on 192.168.1.5:5000 with its token
// server on 192.168.1.5:5001 could not be used. The guard has judged the realm by a finer rule (see [class]); a realm that it let
// pass is handed upwards under a name, which is turned back into the address on the way down. Nobody else can use such a name:
// ".invalid" never resolves (RFC 6761), and what it decodes to is judged again like every URL.
//
// To be removed when go-containerregistry takes a policy for realms.
const realmSuffix = ".realm.invalid"

func disguiseRealmHost(header, realm string, u *url.URL) string {
	if _, literal := parseAddress(u.Hostname()); !literal || !strings.Contains(header, realm) {
		return header
	}
	disguised := *u
	disguised.Host = hex.EncodeToString([]byte(u.Host)) + realmSuffix
	return strings.Replace(header, realm, disguised.String(), 1)
}

func restoreRealmHost(req *http.Request) {
	coded, ok := strings.CutSuffix(req.URL.Host, realmSuffix)
	if !ok {
		return
	}
	if host, err := hex.DecodeString(coded); err == nil {
		req.URL.Host, req.Host = string(host), string(host)
	}
}
