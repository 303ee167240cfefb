package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/moss-sandbox/moss/tests/harness"
)

func main() {
	if os.Getuid() != 0 {
		fmt.Println("setup: not root: only this account's tests run. Left out: the accounts with and without subordinate ids, root's own,")
		fmt.Println("setup: the Debian image, virtual machines, crash points; and whatever needs a package that is missing:")
		if err := harness.Install(harness.Packages()...); err != nil {
			fmt.Println("setup:", err)
		}
		return
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

func prepare() error {
	if err := harness.Install(harness.Packages()...); err != nil {
		return err
	}
	// Those of make test, all before it: a change of /etc/passwd would be one of the machine's image, too.
	if err := harness.MakeAccounts("tests", "course", "harness"); err != nil {
		return err
	}
	fmt.Println("setup: accounts are there, and", strings.Join(harness.Packages(), " "))
	return nil
}
