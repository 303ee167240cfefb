// Package seccomptest helps to test filters: an interpreter for their programs, as strict as the kernel's checker, a way to load
// one into the calling thread, and stubs that enter the kernel by its other doors (int 0x80, x32 numbers). Tests and probes
// import it; moss does not. Load changes the calling thread for good.
package seccomptest
