package images

import (
	"context"

	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/userns/role"
)

// SettleRole is the name of the role that makes unpacked layers outlive a power loss. It syncs a file system, which waits
// for everybody's dirty data, so it is a process of its own that nobody waits for.
const SettleRole = "settle"

type settleMessage struct {
	Root     string `json:"root"`
	UID, GID int
}

// settle starts it. A process that cannot be started costs a second unpacking after the next reboot, no more.
func (s *Service) settle() {
	m := settleMessage{Root: s.e.Dirs.Data, UID: s.e.Dirs.UID, GID: s.e.Dirs.GID}
	cmd := role.Command{Name: SettleRole, Body: m, Setsid: true, Heavy: true}
	if p, err := cmd.Start(); err == nil {
		_ = p.Release()
	}
}

func runSettle(ctx context.Context, inv *role.Invocation) error {
	var m settleMessage
	if err := inv.Decode(&m); err != nil {
		return err
	}
	st, err := store.Open(m.Root, store.Options{Owner: &store.Owner{UID: m.UID, GID: m.GID}})
	if err != nil {
		return err
	}
	return st.Settle(ctx)
}
