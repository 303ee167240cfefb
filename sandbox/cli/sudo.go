package cli

import "os"

// sudoNote says once that these are root's containers, where sudo was typed out of habit. It belongs to commands that read or
// change the state.
func (a *App) sudoNote() {
	if a.eng == nil || !a.eng.RealRoot() || os.Getenv("SUDO_UID") == "" {
		return
	}
	a.note("these are root's containers; %s needs no sudo, and your own account has containers of its own", a.Name)
}
