/*
 * Test instruction addresses that wrap, and new PSWs that are not valid.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define LAST_24     0xfffffe                /* the last halfword */

/* Execute @insn at LAST_24, in 24-bit mode, and come back from address 0. */
.macro wrap_24 insn
    llilf %r2,LAST_24
    larl %r3,1f
    mvc 0(2,%r2),0(%r3)
    lghi %r14,2f
    lpswe psw_24
1:  \insn
2:
.endm

    .org 0x8c
program_interruption_ilc:
    .org 0x8e
program_interruption_code:
    .org 0x140
svc_old_psw:
    .org 0x150
program_old_psw:
    .org 0x1c0                              /* supervisor-call new PSW */
svc_new_psw:
    .quad 0x80000000,0x80000000             /* 31-bit mode: not valid */
    .org 0x1d0                              /* program new PSW */
    .quad 0x180000000,pgm                   /* 64-bit mode */
    .org 0x200                              /* lowcore padding */
psw_24:
    .quad 0,LAST_24
svc_valid_psw:
    .quad 0x180000000,svc
success_psw:
    .quad 0x2000180000000,0xfff             /* see is_special_wait_psw() */
failure_psw:
    .quad 0x2000180000000,0                 /* disabled wait */
back_from_0:
    sam64
    br %r14
    .globl _start
_start:
    /* The new PSW is the old one of a specification exception. */
    larl %r14,svc_new_invalid
    svc 1
    j failure
svc_new_invalid:
    clc program_old_psw(16),svc_new_psw
    jne failure
    clhhsi program_interruption_code,6
    jne failure
    clhhsi program_interruption_ilc,0
    jne failure

    /* The next sequential instruction */
    mvc 0(4),back_from_0
    wrap_24 "nopr"

    /* The link information */
    lghi %r5,-1
    wrap_24 "basr %r5,%r0"
    llgfr %r5,%r5
    ltgr %r5,%r5
    jnz failure

    /* The old PSW of an interruption */
    mvc svc_new_psw(16),svc_valid_psw
    wrap_24 "svc 2"
    cli svc_done,1
    jne failure

    /* Relative branches, in both directions */
    llilf %r2,LAST_24
    mvc 0(2,%r2),branch_r14
    mvc 0(4),branch_backward                /* to LAST_24 */
    lghi %r14,backward_done
    lpswe psw_0
backward_done:
    sam64
    llilf %r2,LAST_24 - 2
    mvc 0(4,%r2),branch_forward             /* to 0 */
    mvc 0(4),back_from_0
    lghi %r14,forward_done
    lpswe psw_forward
forward_done:
    larl %r1,success_psw
    lpswe 0(%r1)

svc:
    clc svc_old_psw + 8(8),zero
    jne failure
    mvi svc_done,1
    br %r14

pgm:
    ltgr %r14,%r14                          /* expected? */
    jz failure
    lgr %r1,%r14
    lghi %r14,0
    br %r1
failure:
    larl %r1,failure_psw
    lpswe 0(%r1)

branch_backward:
    j .-2
branch_forward:
    j .+4
branch_r14:
    br %r14
svc_done:
    .byte 0
    .balign 8
psw_0:
    .quad 0,0
psw_forward:
    .quad 0,LAST_24 - 2
zero:
    .quad 0
