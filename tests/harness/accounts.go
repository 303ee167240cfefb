package harness

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Ids says which ids an account may map.
type Ids int

const (
	// OneID is an account without subordinate ranges.
	OneID Ids = iota
	// Ranges is an account with 65,536 subordinate uids and gids.
	Ranges
	// RootIds is real root, which maps a high range and never uid 0.
	RootIds
)

// Account is a login on this machine.
type Account struct {
	Name     string // what the test is called after: "subids", "subids2", "oneid", "root", or the tester's own name
	User     string // the name in /etc/passwd
	UID, GID int
	Groups   []int
	Ids      Ids
}

// testAccounts are made once and reused; they are not removed, so that a second run starts at once and ids never move to
// another account while files of theirs are left. Their logins start with MOSS_TEST_LOGIN, or "mosstest", and the package of
// the test: two checkouts, and two packages, that are tested at the same time need accounts of their own.
var testAccounts = []struct {
	name, suffix string
	ids          Ids
}{
	{"subids", "-a", Ranges},
	{"subids2", "-b", Ranges},
	{"oneid", "-n", OneID},
}

// testedPackage is the one whose test binary this is, "tests" in other programs.
func testedPackage() string {
	if pkg, ok := strings.CutSuffix(filepath.Base(os.Args[0]), ".test"); ok {
		return pkg
	}
	return "tests"
}

// loginOf is the login of a package's test account, by the suffix in testAccounts.
func loginOf(pkg, suffix string) string {
	login := cmp.Or(os.Getenv("MOSS_TEST_LOGIN"), "mosstest")
	if pkg != "tests" {
		login += "-" + pkg
	}
	return login + suffix
}

// Accounts returns the accounts that a scenario runs for: as root one with subordinate ids, one without, and root; as
// a user that user alone.
func Accounts(t testing.TB) []Account {
	t.Helper()
	if os.Getuid() != 0 {
		return []Account{self(t)}
	}
	return []Account{Named(t, "subids"), Named(t, "oneid"), self(t)}
}

// Named returns one of the accounts that the tests make: "subids", "subids2", "oneid", "root". It needs root.
func Named(t testing.TB, name string) Account {
	t.Helper()
	RequireRoot(t)
	if name == "root" {
		return self(t)
	}
	if err := MakeAccounts(testedPackage()); err != nil {
		Missing(t, "%v", err)
	}
	for _, a := range testAccounts {
		if a.name == name {
			account, err := lookUp(a.name, loginOf(testedPackage(), a.suffix))
			if err != nil {
				t.Fatal(err)
			}
			return account
		}
	}
	t.Fatalf("no test account is called %q", name)
	return Account{}
}

// self is the account that runs the test.
func self(t testing.TB) Account {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	a, err := lookUp(u.Username, u.Username)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// MakeAccounts makes the test accounts of the packages that are missing and gives each exactly the subordinate ids it is
// meant to have. It needs root.
func MakeAccounts(packages ...string) error {
	unlock, err := machineLock("accounts")
	if err != nil {
		return err
	}
	defer unlock()
	for _, pkg := range packages {
		for _, a := range testAccounts {
			if err := makeAccount(loginOf(pkg, a.suffix), a.ids); err != nil {
				return fmt.Errorf("making account %q: %w", loginOf(pkg, a.suffix), err)
			}
		}
	}
	return nil
}

func makeAccount(login string, ids Ids) error {
	if _, err := user.Lookup(login); err != nil {
		if err := run("useradd", "-m", "-s", "/bin/bash", "-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0", login); err != nil {
			return err
		}
	}
	has := subordinate("/etc/subuid", login) && subordinate("/etc/subgid", login)
	switch {
	case ids == Ranges && !has:
		first := max(lastSubordinate("/etc/subuid"), lastSubordinate("/etc/subgid"))
		r := fmt.Sprintf("%d-%d", first, first+65535)
		return run("usermod", "--add-subuids", r, "--add-subgids", r, login)
	case ids == OneID && has:
		return fmt.Errorf("it has subordinate ids: remove its lines from /etc/subuid and /etc/subgid")
	}
	return nil
}

// subordinate says whether the file has a range for login.
func subordinate(file, login string) bool {
	found := false
	eachRange(file, func(name string, _, _ int) { found = found || name == login })
	return found
}

// lastSubordinate is the first id behind all ranges of the file, at least 524288 as useradd would start.
func lastSubordinate(file string) int {
	last := 524288
	eachRange(file, func(_ string, first, count int) { last = max(last, first+count) })
	return last
}

// eachRange calls f for each well-formed line name:first:count.
func eachRange(file string, f func(name string, first, count int)) {
	r, err := os.Open(file)
	if err != nil {
		return
	}
	defer r.Close()
	for s := bufio.NewScanner(r); s.Scan(); {
		parts := strings.Split(s.Text(), ":")
		if len(parts) != 3 {
			continue
		}
		first, err1 := strconv.Atoi(parts[1])
		count, err2 := strconv.Atoi(parts[2])
		if err1 == nil && err2 == nil {
			f(parts[0], first, count)
		}
	}
}

func lookUp(name, login string) (Account, error) {
	u, err := user.Lookup(login)
	if err != nil {
		return Account{}, err
	}
	a := Account{Name: name, User: login, Ids: OneID}
	a.UID, _ = strconv.Atoi(u.Uid)
	a.GID, _ = strconv.Atoi(u.Gid)
	groups, err := u.GroupIds()
	if err != nil {
		return Account{}, err
	}
	for _, g := range groups {
		id, _ := strconv.Atoi(g)
		a.Groups = append(a.Groups, id)
	}
	switch {
	case a.UID == 0:
		a.Ids = RootIds
	case subordinate("/etc/subuid", login) && subordinate("/etc/subgid", login):
		a.Ids = Ranges
	}
	return a, nil
}

// owns says whether a host id is the account's own or one of its subordinate ones.
func (a Account) owns(hostUID int) bool {
	if hostUID == a.UID {
		return true
	}
	owned := false
	eachRange("/etc/subuid", func(name string, first, count int) {
		owned = owned || name == a.User && hostUID >= first && hostUID < first+count
	})
	return owned
}

// run runs a set-up command and puts its output into the error.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
