/*
 * Test SET CLOCK: the clock comparator goes by the new time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define SECOND      0xf4240000              /* of the TOD clock */

    .org 0x1b0                              /* external new PSW */
    .quad 0x180000000,ext                   /* 64-bit mode */
    .org 0x1d0                              /* program new PSW */
    .quad 0x2000180000000,0                 /* disabled wait */
    .org 0x200                              /* lowcore padding */
    .globl _start
_start:
    lghi %r14,0                             /* no interruption is expected */
    stctg %c0,%c0,cr0
    oi cr0 + 6,8                            /* clock-comparator subclass */
    lctlg %c0,%c0,cr0

    /* let some time pass before */
    stck clock
    lg %r1,clock
    agfi %r1,0x10000000
0:  stck clock
    clg %r1,clock
    jh 0b

    /* back to the beginning, long before the comparator */
    sck beginning
    sckc hour
    ssm enabled
    lg %r1,beginning
    agfi %r1,0x4000000
1:  stck clock
    clg %r1,clock
    jh 1b
    ssm disabled
    lg %r1,clock
    clg %r1,hour
    jh failure

    /* the comparator is reached, while the CPU waits */
    larl %r14,reached
    stck clock
    lg %r1,clock
    agfi %r1,0x1000000
    stg %r1,clock
    sckc clock
    lpswe wait_psw
reached:
    lghi %r14,0
    sckc hour
    ssm enabled
    ssm disabled

    /* the clock goes past it */
    larl %r14,passed
    sck two_hours
    lpswe wait_psw
passed:
    lpswe success_psw

ext:
    ltgr %r14,%r14                          /* expected? */
    jz failure
    br %r14
failure:
    lpswe failure_psw

    .balign 8
cr0:
    .quad 0
clock:
    .quad 0
beginning:
    .quad 0x1000
hour:
    .quad 3600 * SECOND
two_hours:
    .quad 7200 * SECOND
wait_psw:
    .quad 0x0102000180000000,failure
success_psw:
    .quad 0x2000180000000,0xfff             /* see is_special_wait_psw() */
failure_psw:
    .quad 0x2000180000000,0                 /* disabled wait */
enabled:
    .byte 1
disabled:
    .byte 0
