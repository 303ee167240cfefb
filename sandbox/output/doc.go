// Package output is a container's log: a raw file into which the output is spliced, and an index with a record per piece,
// written before the piece. No byte passes through this process's memory on its way to the log, so a writer that is killed
// loses none: what was not moved is still in the pipe, and what was moved is in the file.
//
//	log    the bytes, streams interleaved as they came
//	index  24 bytes per piece: time (ns), offset in log, stream (1 stdout, 2 stderr, 3: a count of dropped bytes)
//
// A piece ends where the next one begins, or with the file. A record without bytes was written by a writer that died
// between the two; it is passed over. Rotation renames both files to .1, .2, …
//
// Writers hold the container's "served" lock; readers need none.
package output
