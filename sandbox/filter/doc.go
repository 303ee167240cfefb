// Package filter tells which containers, events and other objects pass Docker's filters (--filter, and the API's parameter of
// that name). Both front ends read their own form of them and ask here.
//
// It is pure: it reads no file but what a snapshot's functions read, refuses nothing, and knows no command.
package filter
