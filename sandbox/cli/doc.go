// Package cli is the command line: one file a command, with its options, its flags and what it prints. It turns words into
// engine calls, and the engine's values and errors into what Docker prints, under the name it was called by.
//
// Errors are one line "moss: …", then "hint:" lines that the error carries (Hints() []string). Text that comes from an
// image, a registry or another user's file is quoted before it reaches a terminal. Exit codes are made in one place, Main.
//
// The small program has the commands that must be fast (run, exec, ps, logs, …); for every other word it executes the full
// program out of its own file.
package cli
