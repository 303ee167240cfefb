//go:build !portable

#include "textflag.h"

// The list interpreter for arm64; see interpreter_amd64.s. A call's number is in R8, its result in R0, and the kernel keeps
// all other registers (syscall(2)). R18 and R28 belong to the platform and to Go, R27 to the assembler: none is used.
//
//	R19  the call at hand      R20  the state {errno, at, report descriptor}
TEXT ·interpreter(SB),NOSPLIT|NOFRAME,$0-0
	MOVD	$0x10100020, R19
	MOVD	$0x10100000, R20
loop:
	MOVD	0(R19), R8
	MOVD	8(R19), R0
	MOVD	16(R19), R1
	MOVD	24(R19), R2
	MOVD	32(R19), R3
	MOVD	40(R19), R4
	MOVD	48(R19), R5
	CMN	$1, R8
	BEQ	decimal
	CMN	$2, R8
	BEQ	load
	SVC	$0
	CMN	$4095, R0
	BCS	failed
done:
	MOVD	56(R19), R9
	CBZ	R9, kept
	MOVD	R0, (R9)
kept:
	MOVD	64(R19), R9
	CBZ	R9, next
	CBZ	R0, next
jump:
	MOVD	R9, R19
	B	loop
next:
	ADD	$80, R19
	B	loop
failed:
	MOVD	72(R19), R9
	CBNZ	R9, jump
	NEG	R0, R0
	MOVD	R19, 8(R20)
	MOVD	R0, 0(R20)
	MOVD	16(R20), R0	// tell the maker: write(report, state, 16)
	MOVD	R20, R1
	MOVD	$16, R2
	MOVD	$64, R8
	SVC	$0
	MOVD	$94, R8	// exit_group(127)
	MOVD	$127, R0
	SVC	$0
	BRK	$0
load:
	MOVD	(R0), R0
	B	done
decimal:
	MOVD	$10, R10
digit:
	UDIV	R10, R0, R11
	MSUB	R10, R0, R11, R12	// the rest: R0 - R11*R10
	ADD	$48, R12
	SUB	$1, R1
	MOVB	R12, (R1)
	MOVD	R11, R0
	CBNZ	R0, digit
	B	next

DATA ·interpreterPC(SB)/8, $·interpreter(SB)
GLOBL ·interpreterPC(SB), RODATA|NOPTR, $8
