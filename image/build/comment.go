package build

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build/dockerfile"
)

// The wording of history entries is that of Docker's classic builder (moby, builder/dockerfile/dispatchers.go), so that
// `history` reads the same and an image built by one is a cache source for the other.

var defaultShell = []string{"/bin/sh", "-c"}

func shellOf(c *image.Config) []string {
	if len(c.Config.Shell) > 0 {
		return c.Config.Shell
	}
	return defaultShell
}

// nop is the created_by of most instructions: two blanks, since the classic builder gives the mark a word of its own.
func nop(c *image.Config, comment string) string {
	return strings.Join(append(slices.Clone(shellOf(c)), "#(nop) ", comment), " ")
}

// nopTight is that of WORKDIR, COPY and ADD.
func nopTight(c *image.Config, comment string) string {
	return strings.Join(append(slices.Clone(shellOf(c)), "#(nop) "+comment), " ")
}

func pairWords(name string, pairs []dockerfile.Pair) string {
	words := []string{name}
	for _, p := range pairs {
		words = append(words, p.Key+"="+p.Value)
	}
	return strings.Join(words, " ")
}

func argWords(args []dockerfile.Arg) string {
	words := []string{"ARG"}
	for _, a := range args {
		if a.Default != nil {
			words = append(words, a.Name+"="+*a.Default)
		} else {
			words = append(words, a.Name)
		}
	}
	return strings.Join(words, " ")
}

// copyWords is "COPY --chown=u dir:SUM in /dest ".
func copyWords(op dockerfile.Copy, sum, dest string) string {
	words := "COPY "
	if op.Add {
		words = "ADD "
	}
	if op.Chown != "" {
		words += "--chown=" + op.Chown + " "
	}
	if op.Chmod != "" {
		words += "--chmod=" + op.Chmod + " "
	}
	return words + sum + " in " + dest + " "
}

// runWords is the command, with the build arguments it sees in front: "|1 v=2 /bin/sh -c make".
func runWords(args, buildArgs []string) string {
	if len(buildArgs) == 0 {
		return strings.Join(args, " ")
	}
	return fmt.Sprintf("|%d %s %s", len(buildArgs), strings.Join(buildArgs, " "), strings.Join(args, " "))
}

// absolute joins a path of the Dockerfile with the working directory; a final slash stays, since it means a directory.
func absolute(workdir, p string) string {
	if p == "" {
		return path.Join("/", workdir)
	}
	full := p
	if !path.IsAbs(p) {
		full = path.Join("/", workdir, p)
	}
	full = path.Clean(full)
	if full != "/" && (strings.HasSuffix(p, "/") || p == "." || strings.HasSuffix(p, "/.")) {
		full += "/"
	}
	return full
}
