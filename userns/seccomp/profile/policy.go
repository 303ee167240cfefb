package profile

import (
	"fmt"
	"slices"

	"github.com/moss-sandbox/moss/userns/seccomp"
)

// Host is what a profile's conditions may depend on.
type Host struct {
	Machine seccomp.Machine
	// Kernel is the release as uname(2) tells it.
	Kernel string
}

const enosys = 38

// Compile reads a profile and makes the filter of a container with the bounding set caps. Its errors name the place in the
// profile. A profile without default action and rules means unconfined: the filter is empty then, and there is nothing to
// load.
func Compile(text []byte, host Host, caps uint64) (seccomp.Filter, error) {
	policy, err := Parse(text, host)
	if err != nil || policy == nil {
		return nil, err
	}
	return policy.Compile(caps)
}

// Parse reads a profile and resolves all of its conditions but those on capabilities. The policy is nil where the profile
// means unconfined.
func Parse(text []byte, host Host) (*seccomp.Policy, error) {
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	if d.DefaultAction == "" && len(d.Syscalls) == 0 {
		return nil, nil
	}
	answer, err := answerOf(d.DefaultAction, d.DefaultErrno)
	if err != nil {
		return nil, fmt.Errorf("seccomp profile, defaultAction: %w", err)
	}
	t := translation{host: host, policy: &seccomp.Policy{Default: answer}}
	if err := t.rules(d.Syscalls); err != nil {
		return nil, err
	}
	return t.policy, t.abis(d)
}

// translation is a policy in the making; names[i] are the calls of policy.Groups[i].
type translation struct {
	host   Host
	policy *seccomp.Policy
	names  [][]string
}

// rules translates all rules, those without arguments first: they beat the others wherever they stand.
func (t *translation) rules(rules []rule) error {
	for _, wanted := range []bool{false, true} {
		for i, r := range rules {
			if (len(r.Args) > 0) != wanted {
				continue
			}
			if err := t.rule(r); err != nil {
				return fmt.Errorf("seccomp profile, syscalls[%d] (%s): %w", i, r.Names[0], err)
			}
		}
	}
	return nil
}

func (t *translation) rule(r rule) error {
	counts, group, err := t.conditions(r)
	if err != nil {
		return err
	}
	if group.Answer, err = answerOf(r.Action, r.Errno); err != nil {
		return err
	}
	if group.Conditions, err = comparisons(r.Args); err != nil {
		return err
	}
	if !counts || group.Answer == t.policy.Default {
		return nil
	}
	for _, g := range split(group) {
		t.policy.Groups = append(t.policy.Groups, g)
		t.names = append(t.names, r.Names)
	}
	return nil
}

// conditions resolves includes and excludes: whether the rule counts on this host, and for which capabilities.
func (t *translation) conditions(r rule) (counts bool, g seccomp.Group, err error) {
	counts = true
	if in := r.Includes; in != nil {
		newEnough, err := t.kernel(in)
		if err != nil {
			return false, g, err
		}
		counts = newEnough && (len(in.Arches) == 0 || slices.Contains(in.Arches, string(t.host.Machine)))
		if g.Need, err = capabilities(in.Caps); err != nil {
			return false, g, err
		}
	}
	if ex := r.Excludes; ex != nil {
		tooNew, err := t.kernel(ex)
		if err != nil {
			return false, g, err
		}
		if ex.MinKernel != "" && tooNew || slices.Contains(ex.Arches, string(t.host.Machine)) {
			counts = false
		}
		if g.Not, err = capabilities(ex.Caps); err != nil {
			return false, g, err
		}
	}
	return counts, g, nil
}

func (t *translation) kernel(c *condition) (bool, error) {
	if c.MinKernel == "" {
		return true, nil
	}
	return atLeast(t.host.Kernel, c.MinKernel)
}

// abis lays the groups out for every architecture of the profile that this machine has.
func (t *translation) abis(d *document) error {
	wanted := d.Architectures
	for _, m := range d.ArchMap {
		if t.isNative(m.Architecture) {
			wanted = append([]string{m.Architecture}, m.SubArchitectures...)
		}
	}
	x32 := slices.Contains(wanted, "SCMP_ARCH_X32")
	for _, a := range abis() {
		native := t.isNative(a.name)
		if a.machine != t.host.Machine || !native && !slices.Contains(wanted, a.name) {
			continue
		}
		if err := t.abi(a, x32); err != nil {
			return err
		}
	}
	if len(t.policy.ABIs) == 0 {
		return fmt.Errorf("seccomp profile: %w: %q", seccomp.ErrMachine, t.host.Machine)
	}
	return nil
}

// isNative tells whether this is the machine's own ABI: libseccomp adds it whether the profile lists it or not.
func (t *translation) isNative(name string) bool {
	return name == "SCMP_ARCH_X86_64" && t.host.Machine == seccomp.AMD64 ||
		name == "SCMP_ARCH_AARCH64" && t.host.Machine == seccomp.ARM64
}

func (t *translation) abi(a abi, x32 bool) error {
	table, err := a.load()
	if err != nil {
		return err
	}
	out := seccomp.ABI{Audit: a.audit, Base: a.base}
	if a.audit == seccomp.AuditX86_64 && !x32 {
		// -1 is a call a tracer has cancelled.
		out.Spans = append(out.Spans, t.always(seccomp.KillProcess, seccomp.Span{From: seccomp.X32Bit, To: ^uint32(0) - 1})...)
	}
	var newest uint32
	for i := range t.names {
		spans := namedSpans(table, t.names[i], uint16(i))
		for _, s := range spans {
			if !a.isPrivate(s.To) {
				newest = max(newest, s.To)
			}
		}
		out.Spans = append(out.Spans, spans...)
	}
	for _, number := range t.multiplexers(table) {
		out.Spans = append(out.Spans, t.always(seccomp.Errno(enosys), seccomp.Span{From: number, To: number})...)
	}
	if t.refuses() {
		out.Spans = append(out.Spans, t.always(seccomp.Errno(enosys), a.unnamed(newest, x32)...)...)
	}
	t.policy.ABIs = append(t.policy.ABIs, out)
	return nil
}

// refuses tells whether the default action is one of refusal; only then do new calls need ENOSYS.
func (t *translation) refuses() bool {
	switch t.policy.Default {
	case seccomp.Allow, seccomp.Log, seccomp.Trace:
		return false
	}
	return true
}

// always makes the spans' calls get one answer without conditions, in a group after all others.
func (t *translation) always(answer uint32, spans ...seccomp.Span) []seccomp.Span {
	group := slices.IndexFunc(t.policy.Groups[len(t.names):], func(g seccomp.Group) bool { return g.Answer == answer })
	if group < 0 {
		group = len(t.policy.Groups) - len(t.names)
		t.policy.Groups = append(t.policy.Groups, seccomp.Group{Answer: answer})
	}
	for i := range spans {
		spans[i].Group = uint16(len(t.names) + group)
	}
	return spans
}

// namedSpans looks the names up and joins neighbouring numbers.
func namedSpans(table map[string]uint32, names []string, group uint16) []seccomp.Span {
	var found []uint32
	for _, name := range names {
		if n, ok := table[name]; ok {
			found = append(found, n)
		}
	}
	slices.Sort(found)
	var spans []seccomp.Span
	for _, n := range slices.Compact(found) {
		if last := len(spans) - 1; last >= 0 && spans[last].To == n-1 {
			spans[last].To = n
			continue
		}
		spans = append(spans, seccomp.Span{From: n, To: n, Group: group})
	}
	return spans
}
