// Package reactor is one loop around epoll(7): descriptors with handlers, functions posted from elsewhere, timers.
//
// A connection of the switch is a small record in one loop, not a goroutine with its stack, and a loop without timers
// sleeps until something arrives. A loop runs in the goroutine that calls Run, in whatever network namespace that
// goroutine's thread is in; everything but Post must be called from there. It knows nothing of networks and does not log.
// It is not meant for descriptors of regular files, which epoll refuses.
package reactor
