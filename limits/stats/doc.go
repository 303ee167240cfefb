// Package stats reads what containers use and computes the columns of docker stats.
//
// A [Source] reads one container: from its cgroup's files where there is one, else by summing over its processes. Network
// traffic always comes from the container's own interfaces, and block traffic from its processes where the io controller is
// not delegated. Two samples make a [Row]. It refuses to know names and states of containers, and to wait.
//
// It runs in any host process of the user: the command, the supervisor, the API server.
package stats
