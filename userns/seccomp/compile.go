package seccomp

import (
	"fmt"
	"math"
	"slices"
)

// Compile makes the filter for a container with these capabilities in its bounding set. It fails with ErrTooLong.
func (p *Policy) Compile(caps uint64) (Filter, error) {
	a := &assembler{returns: map[uint32]label{}}
	blocks := map[string]label{}
	next := a.put(instruction{op: opReturn, k: KillProcess})
	for i := len(p.ABIs) - 1; i >= 0; {
		audit, ranges := p.ABIs[i].Audit, []span(nil)
		for ; i >= 0 && p.ABIs[i].Audit == audit; i-- {
			ranges = under(p.ranges(p.ABIs[i], caps), ranges)
		}
		root := a.tree(ranges, func(groups []uint16) label { return p.block(a, blocks, groups) })
		next = a.branch(opEqual, audit, a.load(offsetNumber, root), next)
	}
	a.load(offsetArch, next)
	if len(a.reversed) > MaxInstructions {
		return nil, fmt.Errorf("compiling a filter of %d instructions: %w", len(a.reversed), ErrTooLong)
	}
	return a.filter(), nil
}

// span is a run of numbers, up to the next span's from, that the same groups name.
type span struct {
	from   uint32
	groups []uint16
}

// under puts the spans of x86-64 below those of x32: what begins where the upper ones begin is theirs.
func under(lower, upper []span) []span {
	if n := len(lower); len(upper) > 0 && lower[n-1].from >= upper[0].from {
		lower = lower[:n-1]
	}
	return append(lower, upper...)
}

// ranges cuts the numbers of one ABI into spans, in rising order; neighbours differ.
func (p *Policy) ranges(abi ABI, caps uint64) []span {
	var active []Span
	cuts := []uint64{uint64(abi.Base)}
	for _, s := range abi.Spans {
		if p.Groups[s.Group].applies(caps) {
			active = append(active, s)
			cuts = append(cuts, uint64(abi.Base)+uint64(s.From), uint64(abi.Base)+uint64(s.To)+1)
		}
	}
	slices.SortStableFunc(active, func(x, y Span) int { return int(x.Group) - int(y.Group) })
	slices.Sort(cuts)
	var ranges []span
	for _, from := range slices.Compact(cuts) {
		if from > math.MaxUint32 {
			break
		}
		groups := p.covering(active, uint32(from)-abi.Base)
		if n := len(ranges); n == 0 || !slices.Equal(ranges[n-1].groups, groups) {
			ranges = append(ranges, span{from: uint32(from), groups: groups})
		}
	}
	return ranges
}

// covering lists the groups that judge a number, in order, up to the first without conditions: what follows it is never
// asked.
func (p *Policy) covering(active []Span, number uint32) []uint16 {
	var groups []uint16
	for _, s := range active {
		if number < s.From || number > s.To {
			continue
		}
		groups = append(groups, s.Group)
		if len(p.Groups[s.Group].Conditions) == 0 {
			break
		}
	}
	return groups
}

// tree writes a binary search over the spans; leaf writes what follows or finds it written already.
func (a *assembler) tree(ranges []span, leaf func([]uint16) label) label {
	if len(ranges) == 1 {
		return leaf(ranges[0].groups)
	}
	middle := len(ranges) / 2
	no := a.tree(ranges[:middle], leaf)
	yes := a.tree(ranges[middle:], leaf)
	if middle == 1 { // a leaf: a return may have to be written again nearby
		no = leaf(ranges[0].groups)
	}
	return a.branch(opGreaterOrEqual, ranges[middle].from, yes, no)
}

// block writes what judges the calls that these groups name, or returns the label of an equal block.
func (p *Policy) block(a *assembler, blocks map[string]label, groups []uint16) label {
	if answer, ok := p.plain(groups); ok {
		return a.answer(answer, 2)
	}
	key := string(appendKey(nil, groups))
	if at, ok := blocks[key]; ok {
		return at
	}
	next := a.answer(p.Default, 0)
	for i := len(groups) - 1; i >= 0; i-- {
		next = a.group(p.Groups[groups[i]], next)
	}
	blocks[key] = next
	return next
}

// plain returns the answer of calls that are judged by their number alone.
func (p *Policy) plain(groups []uint16) (uint32, bool) {
	if len(groups) == 0 {
		return p.Default, true
	}
	first := p.Groups[groups[0]]
	return first.Answer, len(first.Conditions) == 0
}

// group writes one rule: its answer when all conditions hold, else no.
func (a *assembler) group(g Group, no label) label {
	yes := a.answer(g.Answer, 0)
	for i := len(g.Conditions) - 1; i >= 0; i-- {
		yes = a.condition(g.Conditions[i], yes, no)
	}
	return yes
}

func appendKey(b []byte, groups []uint16) []byte {
	for _, g := range groups {
		b = append(b, byte(g), byte(g>>8))
	}
	return b
}
