// Package warden carries the limits of one container from before its birth until after its end, whatever the host's rung.
//
// A [Warden] brings the other packages of limits together in the order they need:
//
//	New       validates, plans, makes the cgroup          before the list is written; Plan and Leaves go into it
//	Born      watchdog, duty cycle, session's nice value  when the container's first process is known
//	Update    changes what can be changed                 moss update
//	Pause     freezes or stops, Unpause the reverse
//	OOMKilled asks whether memory ran out                 before the exit is recorded
//	Remove    ends the watching and removes the cgroup    after the last holder has ended
//
// A successor of a supervisor that was killed continues with Adopt and the recorded [State].
//
// It runs in the supervisor, or in the foreground client that serves its own container, after delegate.Enter. It refuses to
// know lists, logs and states of containers; what happened is told by Config.OOM.
package warden
