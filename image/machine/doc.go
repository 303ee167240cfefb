// Package machine makes an image of a directory of this machine, above all of "/": the machine itself, copy-on-write, without a
// registry.
//
// A directory whose files belong to the user is one overlay. Any other cannot be: lowerdir=/ is EINVAL in a user namespace
// (its mounts are locked), and files of unmapped ids cannot be written by root inside, copy-up or not (research/hosts.md h).
// So the image is a base directory with what must be root's own inside, and above it one overlay for each tree that is used
// in place, below a skeleton: a layer with all directories of that tree, owned by who is root inside, without the files. In the
// merged tree files can then be created, deleted and replaced by rename; small sets that programs write in place (/etc, the
// package database, set-id programs) are copied into the layers.
//
//	base/        "/" of the image: etc, fresh home, root, tmp, run, links bin, sbin, lib
//	1/, 2/, …    skeletons: usr, opt, var/lib/dpkg
//	root.json    the Root
//
// Layers are cached per directory and owner in the data root, and renewed when a directory of the source changed. They hold
// nothing that the user could not read; as real root nothing that an ordinary account could not read. What is in /home, /root,
// /tmp, /run, /srv, /media, /mnt and in top-level directories unknown to the file hierarchy standard is never shown.
//
// The package mounts nothing and starts nothing: it prepares data, outside any namespace, in the process of the client. It
// refuses to judge what a container may see beyond that, and knows neither stores nor registries.
//
// Limits, inside: the files of the machine that were not copied show as nobody's; writing them in place is EACCES, chown EINVAL,
// hard links EPERM: programs that replace by rename work. dpkg links the old file first, so a hook of dpkg (adopt.go) makes the
// files of a package its own before it is replaced. With it the upgrade of a Debian 12 by 121 packages (libc6, perl, systemd,
// openjdk among them) ran to its end inside. What is left: dpkg-divert --rename of a file of the machine, and programs with file
// capabilities, which have none inside.
//
// A view follows its machine: what is upgraded outside while a container lives changes below it, except for what was copied.
package machine
