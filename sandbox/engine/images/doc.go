// Package images holds the use cases of images: what pull, push, login, tag, rmi, history, save, load and import do. It
// belongs to the full program, since it speaks with registries; package engine, which starts containers, does not need it.
//
// It runs in the user's process outside all namespaces. Unpacking, packing and removing trees are done by a worker of the
// full program inside the user's namespace (RunRole).
package images
