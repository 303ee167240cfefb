package delegate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/cgroup"
	"github.com/moss-sandbox/moss/limits/cgroup1"
)

// Unit is the name of the one scope per user.
const Unit = "moss.scope"

// patience bounds everything a rung does; a manager that is slower is treated as absent. The first caller after a login waits
// until the bus itself has been started.
const patience = 15 * time.Second

// Options say how to enter.
type Options struct {
	Unit   string         // the scope's name, Unit when empty
	Budget *limits.Budget // ceiling on the whole scope; nil leaves it as it is
	Owner  cgroup.Owner   // see cgroup.Tree
	Join   bool           // births can join cgroups of version 1 by descriptors; without it that rung is passed over
	Only   limits.Rung    // tests force one rung; empty tries all
}

// Place is where containers' cgroups can be made.
type Place struct {
	Rung    limits.Rung
	Tree    cgroup.Tree  // for RungScope and RungOwn
	V1      cgroup1.Tree // for RungV1
	Refused []Refusal    // why better rungs were not taken, best first
}

// Refusal is why a rung was not taken.
type Refusal struct {
	Rung limits.Rung
	Err  error
}

func (r Refusal) Error() string { return fmt.Sprintf("%s: %v", r.Rung, r.Err) }

// errNotGiven is the reason of a rung that is simply not there.
var errNotGiven = errors.New("not delegated to this account")

// Enter takes the best rung and moves this process into the tree's supervisor group. It never fails: without any cgroup the
// place is RungNone and Refused says why.
func Enter(ctx context.Context, o Options) Place {
	if o.Unit == "" {
		o.Unit = Unit
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rungs := []struct {
		rung limits.Rung
		try  func(context.Context, Options, *Place) error
	}{
		{limits.RungScope, func(ctx context.Context, o Options, p *Place) (err error) {
			p.Tree, err = enterScope(ctx, o)
			return err
		}},
		{limits.RungOwn, func(_ context.Context, o Options, p *Place) (err error) { p.Tree, err = enterOwn(o); return err }},
		{limits.RungV1, func(_ context.Context, o Options, p *Place) (err error) { p.V1, err = enterV1(o); return err }},
	}
	place := Place{Rung: limits.RungNone}
	for _, r := range rungs {
		if o.Only != "" && o.Only != r.rung {
			continue
		}
		err := r.try(ctx, o, &place)
		if err == nil {
			place.Rung = r.rung
			return place
		}
		place.Refused = append(place.Refused, Refusal{r.rung, err})
	}
	return place
}
