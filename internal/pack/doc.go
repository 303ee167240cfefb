// Command pack joins the hot and the heavy program into the one file that is moss; package payload has the format.
//
//	go run ./internal/pack HOT HEAVY OUT
//
// It runs at build time on the developer's machine. The output depends on the two inputs alone: equal inputs give equal
// bytes. It appears under its name at once and whole (temporary name, rename), so a moss that is running is not disturbed.
package main
