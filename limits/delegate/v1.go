package delegate

import (
	"errors"

	"github.com/moss-sandbox/moss/limits/cgroup1"
)

// errNoJoin is the reason of a rung that the caller's births could not use.
var errNoJoin = errors.New("cgroups of version 1 are not asked for")

// enterV1 finds the hierarchies; nothing has to be moved in version 1, where processes may sit beside children.
func enterV1(o Options) (cgroup1.Tree, error) {
	if !o.Join {
		return cgroup1.Tree{}, errNoJoin
	}
	tree, err := cgroup1.Find()
	if err == nil && tree.Dirs["memory"] == "" && tree.Dirs["pids"] == "" && tree.Dirs["cpu"] == "" {
		err = errNotGiven
	}
	return tree, err
}
