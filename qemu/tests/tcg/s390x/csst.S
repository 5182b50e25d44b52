/*
 * Test COMPARE AND SWAP AND STORE: stores of all sizes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

.macro check_csst fc, sc, expected
    lghi %r0,\fc + 256 * \sc
    larl %r1,parameters
    larl %r2,swapped
    larl %r3,stored
    mvghi 0(%r2),5
    mvghi 8(%r2),0
    mvghi 0(%r3),0
    mvghi 8(%r3),0
    .if \fc == 0
    mvhi 0(%r2),5
    .endif
    lghi %r4,5
    lghi %r5,0
    csst 0(%r2),0(%r3),%r4
    jnz failure
    larl %r6,\expected
    clc 0(16,%r3),0(%r6)
    jne failure
.endm

    .org 0x8e
program_interruption_code:
    .org 0x1d0                              /* program new PSW */
    .quad 0x180000000,pgm                   /* 64-bit mode */
    .org 0x200                              /* lowcore padding */
    .globl _start
_start:
    /* the operand of 4 or 8 bytes, and the store of 1, 2, 4, 8 or 16 */
    check_csst 0,0,expect_1
    check_csst 1,0,expect_1
    check_csst 0,1,expect_2
    check_csst 0,2,expect_4
    check_csst 1,3,expect_8
    check_csst 1,4,expect_16

    /* no store unless the comparison is equal */
    lghi %r0,0
    larl %r2,swapped
    larl %r3,stored
    mvghi 0(%r3),0
    mvhi 0(%r2),6
    lghi %r4,5
    csst 0(%r2),0(%r3),%r4
    jnl failure
    larl %r2,stored
    ltg %r2,0(%r2)
    jnz failure
    cghi %r4,6
    jne failure

    /* a byte can be anywhere, a halfword can't */
    larl %r2,swapped
    lghi %r4,6
    csst 0(%r2),1(%r3),%r4
    jnz failure
    lghi %r0,0x100
    larl %r14,expected_interruption
    csst 0(%r2),1(%r3),%r4
failure:
    larl %r1,failure_psw
    lpswe 0(%r1)
pgm:
    clhhsi program_interruption_code,6
    jne failure
    br %r14
expected_interruption:
    larl %r1,success_psw
    lpswe 0(%r1)

    .balign 16
parameters:
    .quad 0x0000000700000008,0              /* replacement value */
    .quad 0x0102030405060708,0x090a0b0c0d0e0f10
swapped:
    .quad 0,0
stored:
    .quad 0,0
expect_1:
    .quad 0x0100000000000000,0
expect_2:
    .quad 0x0102000000000000,0
expect_4:
    .quad 0x0102030400000000,0
expect_8:
    .quad 0x0102030405060708,0
expect_16:
    .quad 0x0102030405060708,0x090a0b0c0d0e0f10
success_psw:
    .quad 0x2000180000000,0xfff             /* see is_special_wait_psw() */
failure_psw:
    .quad 0x2000180000000,0                 /* disabled wait */
