package engine

import "github.com/moss-sandbox/moss/image/store"

// LayerDirs are the directories of an image's layers, top first; none if it is not unpacked for this account's ids.
func (e *Engine) LayerDirs(m *store.Image) []string {
	ns, err := e.Namespace()
	if err != nil {
		return nil
	}
	st, err := e.Images()
	if err != nil {
		return nil
	}
	dirs, _ := st.Lowers(m, ns.Map.Key()) // none is an answer
	return dirs
}
