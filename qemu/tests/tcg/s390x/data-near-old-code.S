/*
 * Test that data can be written at full speed where code was executed before.
 * With -icount, time tells nothing about that, and the test always passes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define DATA    0x100000            /* a page that never has code */
#define CODE    0x102000            /* one that has had some, and data */
#define COUNT   20000000
#define SHIFT   4                   /* 16 times as long is too long */

    .org 0x200                      /* lowcore padding */
    .globl _start
_start:
    llilf %r2,CODE
    mvhhi 0(%r2),0x07fe             /* br %r14 */
    basr %r14,%r2

    llilf %r2,DATA
    brasl %r14,write
    sllg %r5,%r4,SHIFT
    llilf %r2,CODE + 0x800
    brasl %r14,write
    clgrjh %r4,%r5,failure
    lpswe success_psw
failure:
    lpswe failure_psw

    /* Write to (%r2) again and again, return in %r4 how long that took. */
    .align 0x100
write:
    larl %r1,clock
    stck 0(%r1)
    llilf %r3,COUNT
0:
    stg %r3,0(%r2)
    brctg %r3,0b
    lg %r3,0(%r1)
    stck 0(%r1)
    lg %r4,0(%r1)
    sgr %r4,%r3
    br %r14

    .align 8
success_psw:
    .quad 0x2000000000000,0xfff     /* see is_special_wait_psw() */
failure_psw:
    .quad 0x2000000000000,0         /* disabled wait */

    .org 0x4000                     /* not in a page with code */
clock:
    .quad 0
