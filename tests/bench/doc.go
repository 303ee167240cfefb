// Package bench measures moss side by side with bubblewrap, crun, Podman and nsenter (those installed), as an ordinary account
// with subordinate ids and as one without. `make bench` runs it (root, build tag bench), prints the tables and writes
// docs/measured.md with date and commit.
//
// Method (research/birth.md, core.md): all rows of a table run in turn, the order reversed every other round, with a pause
// between runs (the kernel removes network namespaces after a command has ended and would disturb the next one). Medians;
// ratios are within one table only, never across. The storage of all is a freshly made journaled ext4 in a loop file, mounted
// in a mount namespace of the bench's own, where crun and Podman also find a pure cgroup2.
package bench
