//go:build !portable

package spawn

const machine = 183 // EM_AARCH64
