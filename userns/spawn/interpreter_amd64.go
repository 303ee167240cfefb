//go:build !portable

package spawn

const machine = 62 // EM_X86_64
