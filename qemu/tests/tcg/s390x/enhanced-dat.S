/*
 * Test the enhanced-DAT facility 1: frames of 1 MiB, PERFORM FRAME MANAGEMENT
 * FUNCTION, SET STORAGE KEY EXTENDED for multiple blocks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define EDAT             0x800000           /* in CR0 */
#define SEGMENT_FC       0x400              /* in a segment-table entry */
#define SEGMENT_P        0x200

#define FRAME            0x200000           /* of 1 MiB, where we are not */
#define OTHER_FRAME      0x300000
#define SEGMENT_TABLE    0x100000
#define PREFIX           (OTHER_FRAME + 0x4000)

/* Controls of PFMF */
#define SET_KEY          0x20000
#define CLEAR            0x10000
#define FRAME_1M         0x01000
#define FRAME_2G         0x02000

/* Registers that keep their meaning */
#define RETURN %r14      /* where to go from a program interruption, or 0 */
#define CODE   %r13      /* its expected code */
#define CHECK  %r10      /* number of the check, for debugging */

.macro expect_pgm code, op, args:vararg
    lghi CHECK,\@
    lghi CODE,\code
    larl RETURN,expect_pgm_\@
    \op \args
    j failure
expect_pgm_\@:
    lghi RETURN,0
.endm

.macro expect_key address, key
    lghi CHECK,\@
    llilf %r2,\address
    iske %r3,%r2
    nill %r3,0xf0                           /* reference and change may vary */
    cghi %r3,\key
    jne failure
.endm

.macro expect_memory address, value
    lghi CHECK,\@
    llilf %r2,\address
    lg %r3,0(%r2)
    cghi %r3,\value
    jne failure
.endm

.macro expect_register reg, value
    lghi CHECK,\@
    llilf %r2,\value
    cgrjne \reg,%r2,failure
.endm

.macro set_memory address, value
    llilf %r2,\address
    lghi %r3,\value
    stg %r3,0(%r2)
.endm

.macro pfmf r1, r2
    .insn rre,0xb9af0000,\r1,\r2
.endm

.macro sske_mb r1, r2
    .insn rrf,0xb22b0000,\r1,\r2,1,0
.endm

    .org 0x8e
program_interruption_code:
    .org 0x1d0                              /* program new PSW */
    .quad 0x180000000,pgm                   /* 64-bit mode */
    .org 0x200                              /* lowcore padding */
cr0:
    .quad 0
cr1:
    .quad SEGMENT_TABLE                     /* 2048 MiB at most */
psw_dat:
    .quad 0x0400000180000000,with_dat
new_psw:
    .quad 0,0
prefix_inside:
    .long PREFIX
prefix_zero:
    .long 0
no_dat:
    .byte 0
    .balign 8
success_psw:
    .quad 0x2000180000000,0xfff             /* see is_special_wait_psw() */
failure_psw:
    .quad 0x2000180000000,0                 /* disabled wait */
    .org 0x2000                             /* no code in page 0 */
    .globl _start
_start:
    lghi RETURN,0

    /* Keys: all of a frame, from its middle, and nothing behind it */
    llilf %r4,FRAME
    lghi %r5,0x10
    sske_mb %r5,%r4
    expect_register %r4,OTHER_FRAME
    expect_key FRAME,0x10
    expect_key FRAME + 0x7f000,0x10
    expect_key FRAME + 0xff000,0x10
    expect_key OTHER_FRAME,0
    llilf %r4,FRAME + 0x80123
    lghi %r5,0x20
    sske_mb %r5,%r4
    expect_register %r4,OTHER_FRAME + 0x123
    expect_key FRAME + 0x7f000,0x10
    expect_key FRAME + 0x80000,0x20
    expect_key FRAME + 0xff000,0x20

    /* Frame management of a page: its address stays */
    set_memory FRAME + 0x1008,1
    set_memory FRAME + 0x2008,1
    llilf %r4,FRAME + 0x1010
    llilf %r5,SET_KEY | CLEAR | 0x30
    pfmf %r5,%r4
    expect_register %r4,FRAME + 0x1010
    expect_memory FRAME + 0x1008,0
    expect_memory FRAME + 0x2008,1
    expect_key FRAME + 0x1000,0x30
    expect_key FRAME + 0x2000,0x10
    set_memory FRAME + 0x1008,1
    llilf %r5,SET_KEY | 0x40
    pfmf %r5,%r4
    expect_memory FRAME + 0x1008,1
    expect_key FRAME + 0x1000,0x40
    llilf %r5,CLEAR | 0x50
    pfmf %r5,%r4
    expect_memory FRAME + 0x1008,0
    expect_key FRAME + 0x1000,0x40

    /* ... and of a frame of 1 MiB */
    set_memory FRAME + 0xff008,1
    set_memory OTHER_FRAME,1
    llilf %r4,FRAME + 0x2000
    llilf %r5,SET_KEY | CLEAR | FRAME_1M | 0x60
    pfmf %r5,%r4
    expect_register %r4,OTHER_FRAME
    expect_key FRAME + 0x1000,0x40
    expect_key FRAME + 0x2000,0x60
    expect_key FRAME + 0xff000,0x60
    expect_key OTHER_FRAME,0
    expect_memory FRAME + 0x2008,0
    expect_memory FRAME + 0xff008,0
    expect_memory OTHER_FRAME,1

    /* What is not there, or reserved */
    llilf %r5,SET_KEY | 0x3000
    expect_pgm 6,pfmf,%r5,%r4
    llilf %r5,SET_KEY | FRAME_2G            /* without facility 2 */
    expect_pgm 6,pfmf,%r5,%r4
    llilf %r5,SET_KEY | 1
    expect_pgm 6,pfmf,%r5,%r4
    llilf %r4,0xfff00000                    /* more than there is */
    llilf %r5,SET_KEY | FRAME_1M
    expect_pgm 5,pfmf,%r5,%r4
    expect_pgm 5,sske_mb,%r5,%r4

    /* Segment-table entries with format control; we are in the first segment */
    llilf %r4,SEGMENT_TABLE
    llilf %r5,SEGMENT_FC
    stg %r5,0(%r4)
    llilf %r5,OTHER_FRAME | SEGMENT_FC
    stg %r5,8(%r4)
    llilf %r5,OTHER_FRAME | SEGMENT_FC | SEGMENT_P
    stg %r5,16(%r4)
    llilf %r5,0x20                          /* invalid */
    stg %r5,24(%r4)
    stctg %c0,%c0,cr0
    oi cr0 + 5,EDAT >> 16
    lctlg %c0,%c0,cr0
    lctlg %c1,%c1,cr1
    lpswe psw_dat
with_dat:
    set_memory OTHER_FRAME - FRAME + 0xab008,7
    expect_memory 2 * (OTHER_FRAME - FRAME) + 0xab008,7
    llilf %r2,2 * (OTHER_FRAME - FRAME) + 0xab008
    expect_pgm 4,stg,%r3,0(%r2)
    llilf %r2,3 * (OTHER_FRAME - FRAME)
    expect_pgm 0x10,stg,%r3,0(%r2)
    llilf %r2,(OTHER_FRAME - FRAME) + 0xab008
    lra %r3,0(%r2)
    jnz failure
    llilf %r2,OTHER_FRAME + 0xab008
    cgrjne %r3,%r2,failure

    /*
     * The address of a frame is an absolute one: prefixing changes nothing, not
     * even if the prefix area is in the frame.  What LRA finds is real.
     */
    set_memory 0x1010,11
    set_memory OTHER_FRAME - FRAME + 0x5010,22
    llilf %r2,OTHER_FRAME - FRAME + 0x4000
    mvc 0(256,%r2),0
    mvc 0x100(256,%r2),0x100
    mvc 0x200(256,%r2),0x200
    spx prefix_inside
    expect_memory 0x1010,11
    expect_memory OTHER_FRAME - FRAME + 0x5010,22
    lghi %r2,0x1010
    lra %r3,0(%r2)
    expect_register %r3,PREFIX + 0x1010
    llilf %r2,OTHER_FRAME - FRAME + 0x5010
    lra %r3,0(%r2)
    expect_register %r3,0x1010
    set_memory 0x1010,33
    ssm no_dat
    expect_memory 0x1010,22
    expect_memory PREFIX + 0x1010,33
    spx prefix_zero
    expect_memory 0x1010,33

    expect_memory OTHER_FRAME + 0xab008,7

    lpswe success_psw

pgm:
    lgh %r2,program_interruption_code
    cgrjne %r2,CODE,failure
    ltgr RETURN,RETURN                      /* expected? */
    jz failure
    mvc new_psw(16),0x150                       /* DAT on or off, as it was */
    stg RETURN,new_psw + 8
    lpswe new_psw
failure:
    lpswe failure_psw
