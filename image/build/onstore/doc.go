// Package onstore lets builds use the image store: it implements build.Images and build.Trees on a store's session.
//
// What a build makes lies below the store's root, so that finished trees are moved and not copied:
//
//	uppers/ID/lock        held by the build; what is left of one that was killed is swept by the next
//	uppers/ID/N/{fs,work,owners}   an upper, its overlay's work directory and side index
//	caches/NAME/data      cache mounts of RUN, for ever
//
// It runs in the client on the host, in the heavy program; what needs the ids of the user namespace is done by workers.
package onstore
