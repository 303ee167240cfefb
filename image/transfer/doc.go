// Package transfer joins registry and store: where a pull puts what it gets, where a push takes it from, and where images
// come from when there is no registry, the shared stores.
//
// It holds no bytes and speaks no protocol. It runs outside of the user namespace, in the heavy program; unpacking is done by
// the store's Worker inside.
package transfer
