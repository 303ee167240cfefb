// Package harness gives the tests what they stand on: accounts with and without subordinate ids, the built binary run as one
// of them, terminals, registries on loopback, images, file trees in words, a list of what is left behind, a launcher that
// kills at the N-th system call, and virtual machines.
//
// Reading order: Accounts → (Account).Login → (Login).Moss → Nothing. A test reads like this:
//
//	for _, account := range harness.Accounts(t) {
//		t.Run(account.Name, func(t *testing.T) {
//			login := account.Login(t)
//			harness.Nothing(t, login)
//			login.Moss("run", "--rm", "./dir", "true").Want(t, harness.Result{})
//		})
//	}
//
// As root all accounts are there; as an ordinary user only one's own, and setup prints what is left out. A missing
// precondition skips with its reason; with MOSS_TEST_MUST_RUN=1 it fails (CI).
//
// The package is for tests only: it runs as the tester on the host, never in moss. It is the tests' one door to
// go-containerregistry and to creack/pty.
package harness
