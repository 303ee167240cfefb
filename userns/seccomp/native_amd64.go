package seccomp

// Native is the machine this binary runs on.
const Native = AMD64
