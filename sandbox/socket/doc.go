// Package socket is the socket on which Docker's API is answered, while nobody is connected: a list of system calls, 12 kB,
// keeps it listening, and becomes the server when a client comes. A server that has had nothing to do for a while gives the
// socket back to such a list and ends. So the socket answers until logout, and costs nothing in between.
//
//	moss env ──▶ moss-socket (list: poll, execveat) ──client──▶ moss serve ──idle──▶ moss-socket …
//
// It runs in the user's processes on the host, outside of all namespaces, and answers nobody itself.
package socket
