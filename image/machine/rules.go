package machine

import "strings"

// A treatment is what happens to a path of the source.
type treatment int

const (
	omitted treatment = iota // does not show
	fresh                    // an empty directory
	dirs                     // its directories, without files, down to a depth
	copied                   // copied wholly, as far as readable
	blank                    // a file of its own, empty
	inPlace                  // used in place under a skeleton; a single file shows through
)

// A rule is a treatment with its parameters.
type rule struct {
	do    treatment
	mode  uint32 // fresh and blank: the mode
	depth int    // dirs: levels below it
	below int64  // inPlace: files smaller than this many bytes are copied
}

// rules are the exceptions, by path relative to the source; a path without one is treated like its parent.
type rules map[string]rule

const forever = 1 << 20

// machineRules is the recipe for "/".
func machineRules() rules {
	r := foreignRules()
	r[""] = rule{do: omitted}
	r.set(inPlaceTrees, rule{do: inPlace})
	r.set(stateCopies, rule{do: copied})
	r.set("boot dev home media mnt proc run srv sys", rule{do: fresh, mode: 0o755})
	r.set("root", rule{do: fresh, mode: 0o700})
	r.set("tmp var/tmp", rule{do: fresh, mode: 0o1777})
	r.set("var", rule{do: dirs, depth: 4})
	r["var/lib/apt/lists"] = rule{do: inPlace, below: 1 << 19} // apt changes the owner of its Release files
	r.set("var/log var/spool var/www var/mail", rule{do: dirs, depth: 1})
	return r
}

// foreignRules is the recipe for another directory that is not the user's.
func foreignRules() rules {
	r := rules{"": {do: inPlace}}
	r.set("proc sys dev", rule{do: fresh, mode: 0o755})
	r.set(databaseCopies, rule{do: copied})
	r.set(lockFiles, rule{do: blank, mode: 0o640})
	r.set(keptOut, rule{do: omitted})
	return r
}

func (r rules) set(paths string, v rule) {
	for _, p := range strings.Fields(paths) {
		r[p] = v
	}
}

// inPlaceTrees are the trees of this machine that are used where they are.
const inPlaceTrees = `bin sbin lib lib32 lib64 libx32 libexec usr opt nix gnu
	var/lib/dpkg var/lib/apt var/lib/pacman/local`

// databaseCopies are what package managers write in place. dpkg's info/ is replaced by rename and stays where it is; it must not
// be an overlay of its own, since dpkg renames from var/lib/dpkg/tmp.ci into it (EXDEV).
const databaseCopies = `etc
	var/lib/dpkg/status var/lib/dpkg/status-old var/lib/dpkg/available var/lib/dpkg/available-old var/lib/dpkg/arch
	var/lib/dpkg/diversions var/lib/dpkg/diversions-old var/lib/dpkg/statoverride var/lib/dpkg/statoverride-old
	var/lib/dpkg/cmethopt var/lib/dpkg/alternatives var/lib/dpkg/triggers var/lib/dpkg/updates
	var/lib/apt/extended_states var/cache/debconf
	var/lib/rpm usr/lib/sysimage/rpm usr/share/rpm var/lib/dnf
	lib/apk usr/lib/apk var/lib/apk
	var/lib/pacman/sync var/lib/pacman/ALPM_DB_VERSION
	usr/share/info/dir`

// lockFiles belong to root alone on the machine, who could not be opened inside.
const lockFiles = "var/lib/dpkg/lock var/lib/dpkg/lock-frontend var/lib/dpkg/triggers/Lock var/lib/apt/lists/lock var/lib/apt/daily_lock"

// watched are databases of package managers deep in trees in place.
const watched = `usr/lib/sysimage/rpm usr/lib/sysimage/rpm/rpmdb.sqlite usr/share/rpm/rpmdb.sqlite lib/apk/db/installed
	usr/lib/apk/db/installed usr/local/bin usr/local/lib`

// stateCopies is small state that maintainer scripts of Debian's packages read and write; var/lib/man-db/auto-update is not
// among it on purpose: without it no installation waits for the manual's index.
const stateCopies = `var/lib/ucf var/lib/pam var/lib/python var/lib/xml-core var/lib/sgml-base var/lib/shells.state
	var/lib/dictionaries-common var/lib/emacsen-common var/lib/vim var/lib/misc var/lib/systemd/deb-systemd-helper-enabled
	var/lib/systemd/deb-systemd-helper-masked var/lib/systemd/deb-systemd-user-helper-enabled var/lib/ghc
	var/lib/ca-certificates var/lib/alternatives`

// keptOut lists what is never copied: secrets and identities, which synth.go makes anew where one is needed.
const keptOut = `etc/shadow etc/shadow- etc/gshadow etc/gshadow- etc/machine-id etc/krb5.keytab etc/apt/auth.conf etc/apt/auth.conf.d`

// setIDDirs are where set-id programs are looked for. Copies of them are root's own inside, so that they work and can be removed.
const setIDDirs = "bin sbin usr/bin usr/sbin usr/lib/openssh usr/lib/polkit-1 usr/lib/dbus-1.0 usr/libexec"

// listed tells whether w is one of the words of list.
func listed(list, w string) bool {
	for f := range strings.FieldsSeq(list) {
		if f == w {
			return true
		}
	}
	return false
}

// rulesFor chooses the recipe.
func rulesFor(dir string) rules {
	if dir == "/" {
		return machineRules()
	}
	return foreignRules()
}

// at returns the rule for a child, given its parent's.
func (r rules) at(path string, parent rule) rule {
	if v, ok := r[path]; ok {
		return v
	}
	if parent.do == dirs {
		parent.depth--
	}
	return parent
}

// ancestors returns the directories that have a descendant with a rule.
func (r rules) ancestors() map[string]bool {
	out := make(map[string]bool, len(r))
	for path := range r {
		for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path, '/') {
			path = path[:i]
			out[path] = true
		}
	}
	out[""] = true
	return out
}
