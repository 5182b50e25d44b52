/*
 * Test access-register translation, by instructions that translate addresses or
 * access their operands without the TLB.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define LOW_PROTECTION   0x10000000         /* in CR0 */
#define PASN_LIST        0x01000000         /* in an ALET */

/*
 * The first segment of each space is where we are, the second has two pages:
 * here is where they are.
 */
#define SPACE(number)    (0x20000 + (number) * 0x10000)
#define PRIMARY          SPACE(0)
#define SECONDARY        SPACE(1)
#define LISTED           SPACE(2)
#define VIRTUAL          0x100000

#define TABLES           0x10000            /* three segment tables */
#define PAGES            0x1c000            /* page tables, the first for all */
#define DUCT             0x5000
#define PASTE            0x5040
#define LIST             0x5080
#define ASTE             0x5200
#define ASTE_INVALID     0x5240
#define AUTHORITY        0x5300

/* Entries of the access list, as ALETs */
#define ALET_GOOD        0x050002
#define ALET_INVALID     3
#define ALET_NO_ASTE     4
#define ALET_OTHER_ASTE  5
#define ALET_PRIVATE     6
#define ALET_FETCH_ONLY  7

.macro set_word address, value
    llilf %r4,\address
    llilf %r5,\value
    st %r5,0(%r4)
.endm

.macro set_alet alet
    llilf %r5,\alet
    sar %a2,%r5
.endm

/* LRA finds the page in a space. */
.macro check_lra alet, space
    set_alet \alet
    llilf %r2,VIRTUAL + 0x1238
    lghi %r3,0
    lrag %r3,0(%r2)
    jnz failure
    llilf %r4,\space + 0x1238
    cgrjne %r3,%r4,failure
.endm

/* LRA tells about an exception. */
.macro check_lra_code alet, code
    set_alet \alet
    llilf %r2,VIRTUAL
    lghi %r3,0
    lrag %r3,0(%r2)
    jno failure
    llilf %r4,0x80000000 | \code
    cgrjne %r3,%r4,failure
.endm

.macro check_tprot alet, cc
    set_alet \alet
    llilf %r2,VIRTUAL
    tprot 0(%r2),0
    ipm %r3
    srl %r3,28
    cgijne %r3,\cc,failure
.endm

.macro store_sysib alet
    set_alet \alet
    llilf %r2,VIRTUAL + 0x1000
    llilf %r0,0x10000001
    llilf %r1,1
    stsi 0(%r2)
.endm

/* STSI stores into a space, and into no other. */
.macro check_stsi alet, space
    set_word \space + 0x1020,0
    store_sysib \alet
    jnz failure
    llilf %r4,\space + 0x1020
    lt %r4,0(%r4)
    jz failure
    set_word \space + 0x1020,0
    bras %r6,check_frames_clear
.endm

.macro check_stsi_pgm alet, code
    larl %r14,1f
    store_sysib \alet
    j failure
1:  clhhsi program_interruption_code,\code
    jne failure
.endm

    .org 0x8e
program_interruption_code:
    .org 0xa0
exception_access_id:
    .org 0xa8
translation_exception:
    .org 0x1d0                              /* program new PSW */
    .quad 0x0400000180000000,pgm            /* DAT, 64-bit mode */
    .org 0x200                              /* lowcore padding */
cr0:
    .quad 0
cr1:
    .quad TABLES
cr2:
    .quad DUCT
cr5:
    .quad PASTE
cr7:
    .quad TABLES + 0x4000
cr8:
    .quad 0
cr8_authorized:
    .quad 0x10000
expected_teid:
    .quad VIRTUAL + 0x1000 + 0x400 + 0xc + 1
return_psw:
    .quad 0x0400400180000000,0
psw_ar:
    .quad 0x0400400180000000,with_ar
success_psw:
    .quad 0x2000180000000,0xfff             /* see is_special_wait_psw() */
failure_psw:
    .quad 0x2000180000000,0                 /* disabled wait */
    .org 0x2000                             /* no code in page 0 */
    .globl _start
_start:
    lghi %r14,0
    llilf %r2,PAGES
    lghi %r3,0
0:  stg %r3,0(%r2)
    aghi %r2,8
    aghi %r3,0x1000
    clgfi %r3,0x100000
    jl 0b
    .irp space,0,1,2
    set_word TABLES + \space * 0x4000 + 4,PAGES
    set_word TABLES + \space * 0x4000 + 12,PAGES + (\space + 1) * 0x800
    set_word PAGES + (\space + 1) * 0x800 + 4,SPACE(\space)
    set_word PAGES + (\space + 1) * 0x800 + 12,SPACE(\space) + 0x1000
    .endr

    set_word DUCT + 16,LIST                 /* eight entries */
    set_word PASTE + 16,LIST
    set_word LIST + 2 * 16,0x00050000
    set_word LIST + 2 * 16 + 8,ASTE
    set_word LIST + 2 * 16 + 12,7
    set_word LIST + 3 * 16,0x80000000
    set_word LIST + 4 * 16 + 8,ASTE_INVALID
    set_word LIST + 4 * 16 + 12,7
    set_word LIST + 5 * 16 + 8,ASTE
    set_word LIST + 5 * 16 + 12,8
    set_word LIST + 6 * 16,0x01000001       /* private to authorization 1 */
    set_word LIST + 6 * 16 + 8,ASTE
    set_word LIST + 6 * 16 + 12,7
    set_word LIST + 7 * 16,0x02000000       /* fetch only */
    set_word LIST + 7 * 16 + 8,ASTE
    set_word LIST + 7 * 16 + 12,7
    set_word ASTE,AUTHORITY
    set_word ASTE + 12,TABLES + 0x8000
    set_word ASTE + 20,7
    set_word ASTE_INVALID,0x80000000
    set_word ASTE_INVALID + 20,7
    set_word AUTHORITY,0

    stctg %c0,%c0,cr0
    oi cr0 + 4,LOW_PROTECTION >> 24
    lctlg %c0,%c0,cr0
    lctlg %c1,%c2,cr1
    lctlg %c5,%c5,cr5
    lctlg %c7,%c8,cr7
    lghi %r5,0
    .irp reg,0,1,3,4,5,6,7,8,9,10,11,12,13,14,15
    sar %a\reg,%r5
    .endr
    lpswe psw_ar
with_ar:
    check_lra 0,PRIMARY
    check_lra 1,SECONDARY
    check_lra ALET_GOOD,LISTED
    check_lra ALET_GOOD | PASN_LIST,LISTED
    check_lra ALET_FETCH_ONLY,LISTED
    lghi %r2,0x100                          /* protected */
    lrag %r3,0(%r2)
    jnz failure
    llilf %r4,0x100
    cgrjne %r3,%r4,failure

    check_lra_code 0x02000000,0x28
    check_lra_code 8,0x29                   /* beyond the list */
    check_lra_code ALET_INVALID,0x29
    check_lra_code 0x060002,0x2a            /* another sequence number */
    check_lra_code ALET_NO_ASTE,0x2b
    check_lra_code ALET_OTHER_ASTE,0x2c
    check_lra_code ALET_PRIVATE,0x2d

    check_tprot 0,0
    check_tprot 1,0
    check_tprot ALET_GOOD,0
    check_tprot ALET_FETCH_ONLY,1
    check_tprot ALET_INVALID,3

    check_stsi 0,PRIMARY
    check_stsi 1,SECONDARY
    check_stsi ALET_GOOD,LISTED
    check_stsi_pgm ALET_INVALID,0x29
    cli exception_access_id,2
    jne failure
    check_stsi_pgm 0x02000000,0x28
    check_stsi_pgm ALET_FETCH_ONLY,4
    cli exception_access_id,2
    jne failure
    clc translation_exception(8),expected_teid
    jne failure

    /* The authority table lets EAX 0 in, the entry lets EAX 1 in. */
    set_word AUTHORITY,0x40000000
    check_lra ALET_PRIVATE,LISTED
    set_word AUTHORITY,0
    check_lra_code ALET_PRIVATE,0x2d
    lctlg %c8,%c8,cr8_authorized
    check_lra ALET_PRIVATE,LISTED

    lpswe success_psw

check_frames_clear:
    .irp frame,PRIMARY,SECONDARY,LISTED
    llilf %r4,\frame + 0x1020
    lt %r4,0(%r4)
    jnz failure
    .endr
    br %r6

pgm:
    ltgr %r14,%r14                          /* expected? */
    jz failure
    stg %r14,return_psw + 8
    lghi %r14,0
    lpswe return_psw
failure:
    larl %r1,failure_psw
    lpswe 0(%r1)
