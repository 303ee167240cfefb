package seccomp

// condition writes the test of one condition and returns its label. It loads what it needs, so yes and no must not depend on
// the accumulator.
func (a *assembler) condition(c Condition, yes, no label) label {
	low := uint32(offsetArguments + 8*int(c.Argument))
	high := low + 4
	switch c.Operator {
	case Equal:
		return a.equal(high, low, ^uint64(0), c.Value, yes, no)
	case NotEqual:
		return a.equal(high, low, ^uint64(0), c.Value, no, yes)
	case MaskedEqual:
		return a.equal(high, low, c.Mask, c.Value, yes, no)
	case Greater:
		return a.order(opGreater, high, low, c.Value, yes, no)
	case GreaterOrEqual:
		return a.order(opGreaterOrEqual, high, low, c.Value, yes, no)
	case LessOrEqual:
		return a.order(opGreater, high, low, c.Value, no, yes)
	default: // Less
		return a.order(opGreaterOrEqual, high, low, c.Value, no, yes)
	}
}

// equal tests argument & mask == value, word by word; a word that the mask leaves out is not loaded.
func (a *assembler) equal(high, low uint32, mask, value uint64, yes, no label) label {
	if value&^mask != 0 {
		return no
	}
	next := a.equalWord(low, uint32(mask), uint32(value), yes, no)
	return a.equalWord(high, uint32(mask>>32), uint32(value>>32), next, no)
}

func (a *assembler) equalWord(offset, mask, value uint32, yes, no label) label {
	if mask == 0 {
		return yes
	}
	at := a.branch(opEqual, value, yes, no)
	if mask != ^uint32(0) {
		a.goTo(at)
		at = a.put(instruction{op: opAnd, k: mask})
	}
	return a.load(offset, at)
}

// order tests argument > value, or >= with that op: the high words decide unless they are equal.
func (a *assembler) order(op uint16, high, low uint32, value uint64, yes, no label) label {
	next := a.branch(op, uint32(value), yes, no)
	next = a.load(low, next)
	next = a.branch(opEqual, uint32(value>>32), next, no)
	next = a.branch(opGreater, uint32(value>>32), yes, next)
	return a.load(high, next)
}
