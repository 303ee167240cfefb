// Package prefault makes the start of a short command cheap where page faults are dear. It is linked for its effect, by main
// with the build tag hot.
//
// `moss run` would fault some 490 times: 150 times before main in the Go runtime, the others for fresh heap, for the program's
// own text and for stacks that grow by doubling. A fault costs 0.25 µs on bare metal, but 14 µs in a virtual machine inside
// another, and half of that even where the kernel has mapped the page beforehand; a huge page is one fault of 55 µs and no
// more. So what is allocated after this package's start lies in one huge page, the text is mapped in one call, and the stack
// grows once. That leaves 330 faults.
//
// It runs in every process of the hot program before main, in whatever namespaces that was started. Long-lived roles are left
// out, because they would keep memory that they do not need. It refuses nothing and reports nothing: where the kernel has no
// huge pages or no MADV_POPULATE_READ (Linux 5.14) the pages come by faults as ever.
package prefault
