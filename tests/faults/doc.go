// Package faults kills: the client, supervisor, keeper and holder while containers run, and the client at its system calls one
// by one (method L, see the harness). What must hold is the design's list "what survives what": a container runs on, no line
// of output and no exit code is lost, nothing is half-made, and in the end nothing is left.
//
// `make test-faults` runs it (root, build tag faults). MOSS_FAULT_SAMPLE crash points per command are drawn with
// MOSS_FAULT_SEED, so that a failure can be repeated; MOSS_FAULT_SAMPLE=0 visits every call. Tests only.
package faults
