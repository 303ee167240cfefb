// Package compress inflates layers as they come from registries and compresses those that go there: gzip, zstd and plain.
// It is the one door to klauspost/compress.
//
// It tells formats by their first bytes, since media types are wrong often enough, and leaves the proof to the digests. It
// runs in the worker inside the user namespace, where the bytes of strangers are unpacked, and is not part of the hot program.
package compress
