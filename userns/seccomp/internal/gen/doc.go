// Command gen writes the generated files of userns/seccomp: the number tables of the ABIs, from the text of
// golang.org/x/sys; the default policy, from github.com/moby/profiles/seccomp with moss's additions before it; both compiled.
// It is the one door to moby's profiles and the runtime specification, runs by hand (go generate ./userns/seccomp), and its
// test fails when the files in the tree are not what it writes. It is no part of moss.
package main
