// Package files works on the files of containers: cp in both directions, export, diff.
//
// What touches a container's files is a role of its own, "files", that runs as root of the user's namespace and ends with
// the one request: owners are the container's there. A running container is entered by a descriptor of its root that the
// caller has opened (/proc/PID/root), a stopped one by mounting its layers in a private mount namespace. Either way every
// path is resolved by the kernel inside that root (openat2, RESOLVE_IN_ROOT), and below it names are opened one by one
// without following links: whatever the container does to its tree meanwhile, nothing outside is read or written.
//
// Nothing of the image is executed. What comes out is a tar stream on a pipe; what goes in is one too. On the caller's side
// a stream from a container is foreign and unpacked as such.
package files
