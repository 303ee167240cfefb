// Package tree reads and writes directory trees by handle, for COPY, ADD and the build context.
//
// Every tree is foreign: a context from the network, a stage in which a stranger's program ran. So a tree is entered by one
// descriptor and below it a name never has a slash: directories are opened one by one without following links, and what a
// Dockerfile calls a path is resolved by the kernel inside the tree (openat2, RESOLVE_IN_ROOT). Links can point anywhere and
// lead nowhere (CVE-2018-15664, CVE-2024-9676). Only regular files are opened for reading, so a FIFO cannot hang and a
// device cannot answer.
//
// The package knows no store, no Dockerfile and no network. It runs in the client on the host (contexts) and in the worker
// inside the user namespace (stages), where owners are the image's.
package tree
