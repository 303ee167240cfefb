// Command probe is a static program that the confinement tests put into a root file system and run inside a container (and,
// as the control, outside of one or in a weaker sandbox). It prints as JSON:
//
//	probe see [PATH…]        what it sees of itself and around it (sight.Sight)
//	probe try                which calls are refused, by every door of the kernel (sight.Attempts)
//	probe write              files of /proc and /sys that open for writing (a list)
//	probe tty                terminal tricks on its standard input (sight.Attempts)
//	probe reach TOKEN PATH…  ways to a file of the host that holds TOKEN (sight.Reached)
//	probe signal PID…        which processes can be signalled, traced, opened (sight.Attempts)
//	probe connect NAME…      abstract sockets that accept it (sight.Attempts)
//	probe attack SECONDS     attacks every process that appears beside it, at most so long
//	                         and until /tmp/enough exists (sight.Wins)
//	probe withkey NAME CMD…  runs CMD with a key of that name in its session and user keyring
//	probe keys NAME…         whether keys are found in the session and user keyrings (sight.Attempts)
//	probe sleep              nothing, until it is killed
//
// Its calls have arguments with which they fail where the filter lets them through, so that it changes nothing even as the
// control. The answer then tells who refused: the filter EPERM or ENOSYS, the kernel EFAULT, EINVAL, EBADF.
package main
