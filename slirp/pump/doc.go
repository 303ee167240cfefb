// Package pump moves bytes between two connected stream sockets until both directions have ended, in an event loop.
//
// What one side does the other side sees: end of file becomes a shutdown of writing (half-close keeps the answer coming),
// a reset becomes a reset. Small pieces are copied through the loop's buffer; a direction that fills it is spliced
// through a pipe, which is held only while bytes are in it. An idle connection costs its record and nothing else. Urgent
// data is not carried, as in every relay. The package runs wherever its loop runs and opens no socket itself.
package pump
