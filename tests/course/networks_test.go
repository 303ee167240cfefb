package course

import (
	"encoding/json"
	"reflect"
)

// networks: "Networks".
func (s *student) networks() {
	rows := s.table("docker  network   ls", "NETWORK ID", "NAME", "DRIVER", "SCOPE")
	for _, want := range [][2]string{{"bridge", "bridge"}, {"host", "host"}, {"none", "null"}} {
		s.has(s.find(rows, "NAME", want[0]), "NETWORK ID", shortID, "DRIVER", want[1], "SCOPE", "local")
	}
	if len(rows) != 3 {
		s.t.Errorf("networks: %q", rows)
	}
	var got []map[string]any
	if err := json.Unmarshal([]byte(s.sh("docker  network   inspect  bridge")), &got); err != nil || len(got) != 1 {
		s.t.Fatalf("network inspect: %v, %d networks", err, len(got))
	}
	for _, key := range []string{"Id", "Created"} {
		if text, ok := got[0][key].(string); !ok || text == "" {
			s.t.Errorf("%s is %v", key, got[0][key])
		}
		delete(got[0], key)
	}
	var want map[string]any
	if err := json.Unmarshal([]byte(bridge), &want); err != nil {
		s.t.Fatal(err)
	}
	for key := range want {
		if !reflect.DeepEqual(got[0][key], want[key]) {
			s.t.Errorf("%s is %v, want %v", key, got[0][key], want[key])
		}
	}
}

// bridge is what docker network inspect bridge shows beside Id and Created. The subnet is Docker's: nothing else on the machine
// has it, since the network is inside a namespace of the student's.
const bridge = `{
 "Name": "bridge", "Scope": "local", "Driver": "bridge", "EnableIPv6": false,
 "IPAM": {"Driver": "default", "Options": null, "Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]},
 "Internal": false, "Attachable": false, "Ingress": false, "ConfigFrom": {"Network": ""}, "ConfigOnly": false, "Containers": {},
 "Options": {
  "com.docker.network.bridge.default_bridge": "true", "com.docker.network.bridge.enable_icc": "true",
  "com.docker.network.bridge.enable_ip_masquerade": "true", "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
  "com.docker.network.bridge.name": "docker0", "com.docker.network.driver.mtu": "1500"},
 "Labels": {}
}`
