// Package worker is what runs inside the user namespace on behalf of the store: it unpacks a layer, writes a layer, removes
// a tree. Requests and replies are plain values, so that they can go through a pipe to a process of its own.
//
// It works in the directory it is given and nowhere else, runs no program of anybody's and loads no library. The process
// that calls it is uid 0 of the user namespace (the id map's key is the store's map key), has changed into nothing else,
// and has the layer's bytes on a pipe. It belongs to the heavy program.
package worker
