#include "textflag.h"
#include "funcdata.h"

// func growStack()
// A frame of more than 512 KiB: the assembler's prologue asks for a stack that holds it. Nothing of it is used.
TEXT ·growStack(SB), 0, $600000-0
	NO_LOCAL_POINTERS
	RET
