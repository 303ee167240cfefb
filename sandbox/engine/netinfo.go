package engine

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/moss-sandbox/moss/slirp/switchd"
	"github.com/moss-sandbox/moss/userns/probe"
)

// networkLines tell who carries the networks, and whether IPv6 leads anywhere.
func (h *Host) networkLines() (out []HostLine) {
	if byProgram(h.backend) {
		out = append(out, programLine(h.backend))
	} else if h.backend != "" && h.backend != ownBackend {
		out = append(out, HostLine{Name: "backend", State: probe.Works, Sentence: fmt.Sprintf("Networks are carried by %s, as your configuration says (netBackend).", h.backend)})
	}
	if switchd.OutsideIPv6() {
		return append(out, HostLine{Name: "ipv6", State: probe.Works, Sentence: "IPv6 leads to the outside, for containers on networks made with --ipv6 too."})
	}
	return append(out, HostLine{Name: "ipv6", State: probe.Differs, Sentence: "This machine has no way out by IPv6: containers reach the outside by IPv4 only."})
}

// programLine tells whether a configured program can be used.
func programLine(backend string) HostLine {
	l := HostLine{Name: "backend", State: probe.Works, Sentence: fmt.Sprintf("The default network is carried by %s, as your configuration says (netBackend).", backend)}
	if _, err := exec.LookPath(backend); err != nil {
		pkg := strings.Replace(backend, "pasta", "passt", 1)
		l.State, l.Sentence = probe.Missing, fmt.Sprintf("Your configuration wants %s for the default network (netBackend), and it is not installed.", backend)
		l.Remedy = "install the package " + pkg + ", or take netBackend out of config.json: moss has its own network"
	}
	return l
}
