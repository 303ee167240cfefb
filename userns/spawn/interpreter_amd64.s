//go:build !portable

#include "textflag.h"

// The list interpreter. It is never called in this process: code() copies its text into the ELF file of a list, where it is
// entered with nothing but registers, at any address (no absolute reference, no stack).
//
//	R12  the call at hand      R13  the state {errno, at, report descriptor}
TEXT ·interpreter(SB),NOSPLIT|NOFRAME,$0-0
	MOVQ	$0x10100020, R12
	MOVQ	$0x10100000, R13
loop:
	MOVQ	0(R12), AX
	MOVQ	8(R12), DI
	MOVQ	16(R12), SI
	MOVQ	24(R12), DX
	MOVQ	32(R12), R10
	MOVQ	40(R12), R8
	MOVQ	48(R12), R9
	CMPQ	AX, $-1
	JEQ	decimal
	CMPQ	AX, $-2
	JEQ	load
	SYSCALL
	CMPQ	AX, $0xfffffffffffff001
	JCC	failed
done:
	MOVQ	56(R12), BX
	TESTQ	BX, BX
	JZ	kept
	MOVQ	AX, (BX)
kept:
	MOVQ	64(R12), BX
	TESTQ	BX, BX
	JZ	next
	TESTQ	AX, AX
	JZ	next
jump:
	MOVQ	BX, R12
	JMP	loop
next:
	ADDQ	$80, R12
	JMP	loop
failed:
	MOVQ	72(R12), BX
	TESTQ	BX, BX
	JNZ	jump
	NEGQ	AX
	MOVQ	R12, 8(R13)
	MOVQ	AX, 0(R13)
	MOVQ	16(R13), DI	// tell the maker: write(report, state, 16)
	MOVQ	R13, SI
	MOVQ	$16, DX
	MOVQ	$1, AX
	SYSCALL
	MOVQ	$231, AX	// exit_group(127)
	MOVQ	$127, DI
	SYSCALL
	INT	$3
load:
	MOVQ	(DI), AX
	JMP	done
decimal:
	MOVQ	DI, AX
	MOVQ	$10, CX
digit:
	XORQ	DX, DX
	DIVQ	CX
	ADDQ	$48, DX
	DECQ	SI
	MOVB	DX, (SI)
	TESTQ	AX, AX
	JNZ	digit
	JMP	next

DATA ·interpreterPC(SB)/8, $·interpreter(SB)
GLOBL ·interpreterPC(SB), RODATA|NOPTR, $8
