// Package dockerfile reads Dockerfiles: text in, stages and instructions out.
//
// It is the one door to BuildKit's Dockerfile packages (parser, instructions, shell, linter), so that the language is theirs
// and not a guess; nothing of them is visible outside. An Instruction is expanded at most once, when the environment of its
// stage is known, into one of the plain Op values.
//
// The package opens no file, starts nothing and fetches nothing: a `# syntax=` line is reported as a warning and otherwise
// ignored, so a foreign frontend never gains a foothold (CVE-2024-23653). It runs in the client on the host, in the heavy
// program.
package dockerfile
