/*
 * Test SET PREFIX: translations to the prefix area are not what they were.
 * Tables can be in that area, too: instructions that invalidate entries find
 * them where translation does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define SEGMENT_TABLE   0x10000
#define PAGE_TABLE      0x14000
#define VIRTUAL         0x40000             /* maps the second page, real */
#define PREFIX          0x20000
#define DATA            0x30000

    .org 0x8e
program_interruption_code:
    .org 0x1d0                              /* program new PSW */
    .quad 0x180000000,pgm                   /* 64-bit mode */
    .org 0x200                              /* lowcore padding */
cr1:
    .quad SEGMENT_TABLE
dat_psw:
    .quad 0x0400000180000000,with_dat
dat_psw_2:
    .quad 0x0400000180000000,again_with_dat
success_psw:
    .quad 0x2000180000000,0xfff             /* see is_special_wait_psw() */
failure_psw:
    .quad 0x2000180000000,0                 /* disabled wait */
prefix:
    .long PREFIX
    .org 0x2000                             /* no code in the prefix area */
    .globl _start
_start:
    llilf %r2,SEGMENT_TABLE
    llilf %r3,PAGE_TABLE
    stg %r3,0(%r2)
    lghi %r4,0
0:  stg %r4,0(%r3)
    aghi %r3,8
    aghi %r4,0x1000
    clgfi %r4,0x100000
    jl 0b
    llilf %r3,PAGE_TABLE
    lghi %r4,0x1000
    stg %r4,(VIRTUAL >> 9)(%r3)

    /* a second page table, for the second segment */
    llilf %r2,SEGMENT_TABLE
    llilf %r3,PREFIX + 0x1800
    stg %r3,8(%r2)
    llilf %r4,DATA
    stg %r4,0(%r3)

    llilf %r2,PREFIX
    mvc 0(256,%r2),0
    mvc 0x100(256,%r2),0x100
    mvc 0x200(256,%r2),0x200
    lghi %r3,0x1000
    mvghi 0(%r3),11                         /* in the second page, absolute */
    llilf %r2,PREFIX + 0x1000
    mvghi 0(%r2),22                         /* in the prefix area */
    lctlg %c1,%c1,cr1
    lpswe dat_psw
with_dat:
    llilf %r1,VIRTUAL
    lg %r3,0(%r1)
    cghi %r3,11
    jne failure
    spx prefix
    lg %r3,0(%r1)
    cghi %r3,22
    jne failure

    llilf %r1,0x100000
    lg %r3,0(%r1)
    llilf %r2,PREFIX + 0x1800
    ipte %r2,%r1
    larl %r14,0f
    lg %r3,0(%r1)
    j failure
0:  clhhsi program_interruption_code,0x11
    jne failure

    lpswe dat_psw_2
again_with_dat:
    llilf %r2,PREFIX + 0x1000               /* an entry of a segment table */
    lghi %r0,0
    lghi %r4,0
    .insn rrf,0xb98e0000,%r2,%r4,0,0        /* idte %r2,0,%r4 */
    llilf %r1,VIRTUAL
    lg %r3,0(%r1)
    cghi %r3,22 + 0x20
    jne failure
    lpswe success_psw

pgm:
    br %r14
failure:
    lpswe failure_psw
