// Package systemd asks a systemd manager for a delegated scope, over D-Bus, with the standard library alone.
//
// It holds a D-Bus client that can do exactly what moss needs: authenticate by the kernel's credentials (EXTERNAL), call a
// method, wait for its reply or for one signal. It refuses to be more: no introspection, no exported objects, no other byte
// order than little endian on the wire. Every call has a deadline; a manager that does not answer is an error, not a hang.
//
// It runs in processes of the host's own user namespace: EXTERNAL is checked against the uid the kernel reports, so a
// process that is root in a user namespace is refused. Use the bus and not $XDG_RUNTIME_DIR/systemd/private, where
// AttachProcessesToUnit often gets no answer (systemd 252 and 257).
package systemd
