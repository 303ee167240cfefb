// Package watchdog bounds the memory and the CPU time of a container whose host lets moss make no cgroup.
//
// [Memory] measures and kills, [Duty] stops and continues. Both are weaker than the kernel: what happens between two
// measurements is not seen, and memory that is not mapped (files of a tmpfs) is not counted. Both refuse to cost more than
// a fixed share of a CPU: the interval grows with the price of a measurement.
//
// They run in the supervisor, one goroutine for each, until their context or the container ends. When the supervisor is
// killed, the successor starts them again; a container that was stopped at that moment is continued by [Duty] first.
package watchdog
