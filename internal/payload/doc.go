// Package payload finds the heavy program inside the one file that is moss.
//
// The file is two static programs and a trailer:
//
//	hot program   ELF, runs when the file is executed
//	zeros         up to the next multiple of 4096
//	heavy program ELF, the same commands with pull, push, build, serve linked in
//	trailer       64 bytes, see Trailer
//
// The kernel looks only at the first ELF; what follows costs neither memory nor time until it is read. `make build` writes
// the file by internal/pack, a plain `go build` leaves the trailer out and links everything into one program.
//
// The package reads and writes the trailer and refuses to do more: it executes nothing and copies nothing. It runs in the
// client on the host, in the hot program, so it imports nothing heavy.
package payload
