/*
 * Test key-controlled protection.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* CR0 bits */
#define SECONDARY_SPACE  0x4000000
#define FETCH_OVERRIDE   0x2000000
#define STORAGE_OVERRIDE 0x1000000

/* An address-space-control element that maps virtual to real addresses */
#define REAL_SPACE       0x20
#define PRIVATE_SPACE    0x100

/* Operand-access control of MVCOS: a key is specified */
#define OAC(key)         (key * 0x100 + 2)

/* Registers that keep their meaning */
#define RETURN %r14      /* where to go from a protection exception, or 0 */
#define CHECK  %r10      /* number of the check, for debugging */
#define PAGE   %r9       /* what is accessed */
#define OTHER  %r8       /* another page */

/* Set the storage key of the page at the address in \reg. */
.macro set_key reg, key
    lghi %r0,\key
    sske %r0,\reg
.endm

.macro expect_ok op, args:vararg
    lghi CHECK,\@
    \op \args
.endm

.macro expect_cc cc, op, args:vararg
    lghi CHECK,\@
    \op \args
    ipm %r2
    srl %r2,28
    chi %r2,\cc
    jne failure
.endm

/* The instruction causes a protection exception; after that, key is 0. */
.macro expect_prot_at reg, op, args:vararg
    lghi CHECK,\@
    larl RETURN,expect_prot_\@
    \op \args
    j failure
expect_prot_\@:
    lghi RETURN,0
    lg %r2,trans_exc_code                   /* suppression on protection */
    lgr %r3,%r2
    nilf %r3,0xfffff000
    lgr %r4,\reg
    nilf %r4,0xfffff000
    cgrjne %r3,%r4,failure                  /* which page */
    nilf %r2,0x8c
    cghi %r2,8                              /* key-controlled protection */
    jne failure
.endm

.macro expect_prot op, args:vararg
    expect_prot_at PAGE,\op,\args
.endm

.macro set_cr0 bits
    lg %r2,initial_cr0
    oilh %r2,(\bits) >> 16
    stg %r2,cr0
    lctlg %c0,%c0,cr0
.endm

    .org 0x8e
program_interruption_code:
    .org 0xa8
trans_exc_code:
    .org 0x1d0                              /* program new PSW */
    .quad 0x180000000,pgm                   /* 64-bit mode */
    .org 0x200                              /* lowcore padding */
page:
    .quad 0x100000
other_page:
    .quad 0x102000
cr0:
    .quad 0
cr1:
    .quad 0
initial_cr0:
    .quad 0
mask:
    .quad 0
cr3:
    .quad 0x10000000                        /* PSW-key mask */
psw_key_3:
    .quad 0x30000180000000,key_3
psw_problem:
    .quad 0x0421000180000000,problem        /* DAT, key 2 */
success_psw:
    .quad 0x2000180000000,0xfff             /* see is_special_wait_psw() */
failure_psw:
    .quad 0x2000180000000,0                 /* disabled wait */
    .org 0x2000                             /* no code in page 0 */
    .globl _start
_start:
    lghi RETURN,0
    stctg %c0,%c0,initial_cr0
    lgrl PAGE,page
    lgrl OTHER,other_page

    /* Stores */
    set_key PAGE,0x20
    expect_ok stg,%r1,0(PAGE)               /* key 0 */
    spka 0x20
    expect_ok stg,%r1,0(PAGE)               /* same key */
    spka 0x30
    expect_ok lg,%r1,0(PAGE)                /* no fetch protection */
    expect_prot stg,%r1,0(PAGE)
    spka 0x20
    expect_ok stg,%r1,8(PAGE)
    spka 0x30
    expect_prot stg,%r1,8(PAGE)
    spka 0x30
    expect_prot mvi,0xfff(PAGE),1
    spka 0x30
    expect_prot mvc,0(8,PAGE),0(OTHER)
    spka 0x30
    expect_prot xc,0(8,PAGE),0(PAGE)
    spka 0x30
    expect_prot cs,%r1,%r1,0(PAGE)
    spka 0x30
    expect_prot mvghi,0(PAGE),1
    spka 0x30
    aghik %r7,PAGE,-4                       /* only the second half */
    set_key %r7,0x30
    expect_prot stg,%r1,0(%r7)
    lpswe psw_key_3
key_3:
    expect_prot stg,%r1,0(PAGE)
    exrl %r0,execute_spka
    expect_prot stg,%r1,0(PAGE)
    exrl %r0,execute_spka
    larl RETURN,executed
    exrl %r0,execute_mvi
    j failure
executed:
    lghi RETURN,0

    /* Fetches */
    set_key PAGE,0x28
    expect_ok lg,%r1,0(PAGE)                /* key 0 */
    spka 0x20
    expect_ok lg,%r1,0(PAGE)                /* same key */
    expect_ok stg,%r1,0(PAGE)
    spka 0x30
    expect_prot lg,%r1,0(PAGE)
    spka 0x20
    expect_ok lg,%r1,0(PAGE)
    spka 0x30
    expect_prot stg,%r1,0(PAGE)
    spka 0x30
    expect_prot clc,0(8,PAGE),0(PAGE)
    spka 0x30
    expect_prot lurag,%r1,PAGE

    /* Instructions */
    mvhhi 0(PAGE),0x07f7                    /* br %r7 */
    larl %r7,fetch_key_2
    spka 0x20
    br PAGE
fetch_key_2:
    spka 0x30
    expect_prot br,PAGE
    spka 0
    larl %r7,fetch_key_0
    br PAGE
fetch_key_0:

    /* The storage key changes under what uses it. */
    set_key PAGE,0x38
    spka 0x30
    expect_ok stg,%r1,0(PAGE)
    set_key PAGE,0x30
    expect_ok stg,%r1,0(PAGE)
    set_key PAGE,0x20
    expect_prot stg,%r1,0(PAGE)

    /* A changed storage key is found with the access key as it was before. */
    spka 0x30
    expect_prot stg,%r1,0(PAGE)
    set_key PAGE,0x30
    spka 0x30
    expect_ok stg,%r1,0(PAGE)
    spka 0
    iske %r1,PAGE                           /* referenced and changed */
    nilf %r1,0xfe
    clijne %r1,0x36,failure

    /* TEST BLOCK is not affected. */
    spka 0x20
    lghi %r0,0
    expect_ok tb,%r0,PAGE
    spka 0

    /* TEST PROTECTION */
    set_key PAGE,0x20
    expect_cc 0,tprot,0(PAGE),0x00
    expect_cc 0,tprot,0(PAGE),0x20
    expect_cc 1,tprot,0(PAGE),0x30
    set_key PAGE,0x28
    expect_cc 0,tprot,0(PAGE),0x00
    expect_cc 0,tprot,0(PAGE),0x20
    expect_cc 2,tprot,0(PAGE),0x30
    spka 0x30                               /* does not matter */
    expect_cc 0,tprot,0(PAGE),0x20
    spka 0

    /* Fetch-protection override: locations 0-2047 */
    lghi %r7,0
    set_key %r7,0x28
    spka 0x30
    expect_prot_at %r7,lg,%r1,0x7f8
    set_cr0 FETCH_OVERRIDE
    spka 0x30
    expect_ok lg,%r1,0x7f8
    expect_prot_at %r7,lg,%r1,0x7f9
    spka 0x30
    expect_ok lg,%r1,0
    expect_prot_at %r7,lg,%r1,0x800
    spka 0x30
    expect_prot_at %r7,stg,%r1,0x7f8
    expect_cc 1,tprot,0x7ff,0x30
    expect_cc 2,tprot,0x800,0x30
    spka 0x30                               /* other pages are not affected */
    expect_prot lg,%r1,0(PAGE)

    /* Not in a private space */
    lghi %r1,REAL_SPACE
    stg %r1,cr1
    lctlg %c1,%c1,cr1
    stosm mask,4
    spka 0x30
    expect_ok lg,%r1,0x7f8
    lghi %r1,REAL_SPACE + PRIVATE_SPACE
    spka 0
    stg %r1,cr1
    lctlg %c1,%c1,cr1
    spka 0x30
    expect_prot_at %r7,lg,%r1,0x7f8

    set_cr0 0
    spka 0x30
    expect_prot_at %r7,lg,%r1,0x7f8
    lghi %r7,0
    set_key %r7,0

    /* Storage-protection override: storage key 9 */
    set_key PAGE,0x98
    spka 0x30
    expect_prot lg,%r1,0(PAGE)
    set_cr0 STORAGE_OVERRIDE
    spka 0x30
    expect_ok lg,%r1,0(PAGE)
    expect_ok stg,%r1,0(PAGE)
    expect_cc 0,tprot,0(PAGE),0x30
    spka 0
    set_key PAGE,0x88
    spka 0x30
    expect_prot lg,%r1,0(PAGE)

    /* MOVE WITH OPTIONAL SPECIFICATIONS */
    set_cr0 SECONDARY_SPACE
    lghi %r1,REAL_SPACE
    stg %r1,cr1
    lctlg %c1,%c1,cr1
    lctlg %c7,%c7,cr1
    set_key PAGE,0x28
    set_key OTHER,0x38
    lghi %r5,16                             /* length */
    stosm mask,4
    llilf %r0,0
    expect_cc 0,mvcos,0(PAGE),0(OTHER),%r5
    llilf %r0,OAC(0x20) * 0x10000           /* destination */
    expect_cc 0,mvcos,0(PAGE),0(OTHER),%r5
    llilf %r0,OAC(0x30)                     /* source */
    expect_cc 0,mvcos,0(PAGE),0(OTHER),%r5
    llilf %r0,OAC(0x20) * 0x10000 + OAC(0x30)
    expect_cc 0,mvcos,0(PAGE),0(OTHER),%r5
    spka 0x20                               /* is still known after that */
    expect_ok stg,%r1,0(PAGE)
    expect_cc 0,mvcos,0(PAGE),0(OTHER),%r5
    expect_ok stg,%r1,0(PAGE)
    llilf %r0,OAC(0x30)
    expect_cc 0,mvcos,0(PAGE),0(OTHER),%r5
    expect_ok stg,%r1,0(PAGE)
    llilf %r0,OAC(0x30) * 0x10000
    expect_ok mvcos,0(OTHER),0(PAGE),%r5    /* without a branch in between */
    expect_ok stg,%r1,0(PAGE)
    expect_prot_at OTHER,stg,%r1,0(OTHER)
    stosm mask,4
    llilf %r0,OAC(0x30) * 0x10000
    expect_prot mvcos,0(PAGE),0(OTHER),%r5
    stosm mask,4
    llilf %r0,OAC(0x20)
    expect_prot_at OTHER,mvcos,0(PAGE),0(OTHER),%r5
    stosm mask,4
    spka 0x20
    llilf %r0,0
    expect_prot_at OTHER,mvcos,0(PAGE),0(OTHER),%r5

    /* In the problem state: the PSW-key mask has key 3 */
    lctlg %c3,%c3,cr3
    lpswe psw_problem
problem:
    llilf %r0,OAC(0x30)
    expect_cc 0,mvcos,0(PAGE),0(OTHER),%r5
    llilf %r0,0
    expect_prot_at OTHER,mvcos,0(PAGE),0(OTHER),%r5

    /* MOVE WITH KEY, MOVE WITH SOURCE KEY, MOVE WITH DESTINATION KEY */
    lghi %r6,0x30
    spka 0x20
    expect_cc 0,mvck,0(%r5,PAGE),0(OTHER),%r6
    expect_prot mvck,0(%r5,OTHER),0(PAGE),%r6
    lghi %r0,15
    lghi %r1,0x30
    spka 0x20
    expect_ok mvcsk,0(PAGE),0(OTHER)
    expect_ok mvcdk,0(OTHER),0(PAGE)
    expect_prot mvcdk,0(PAGE),32(PAGE)
    spka 0x20
    expect_prot mvcsk,0(OTHER),0(PAGE)
    spka 0x20
    lghi %r6,0x20
    expect_prot_at OTHER,mvck,0(%r5,PAGE),0(OTHER),%r6

    /* MOVE PAGE */
    lghi %r0,0x830                          /* key 3 for the destination */
    spka 0x20
    expect_cc 0,mvpg,OTHER,PAGE
    expect_ok stg,%r1,0(PAGE)
    expect_prot_at OTHER,mvpg,PAGE,OTHER
    lghi %r0,0x430                          /* key 3 for the source */
    spka 0x20
    expect_cc 0,mvpg,PAGE,OTHER
    expect_ok stg,%r1,0(PAGE)
    expect_prot mvpg,OTHER,PAGE

    /* MOVE TO PRIMARY, MOVE TO SECONDARY */
    lghi %r6,0x20
    stosm mask,4
    spka 0x30
    expect_cc 0,mvcs,0(%r5,PAGE),0(OTHER),%r6
    expect_prot_at OTHER,mvcp,0(%r5,PAGE),0(OTHER),%r6
    stosm mask,4
    spka 0x30
    expect_cc 0,mvcp,0(%r5,OTHER),0(PAGE),%r6
    expect_prot mvcs,0(%r5,OTHER),0(PAGE),%r6

    lpswe success_psw

pgm:
    chhsi program_interruption_code,4       /* protection? */
    jne failure
    ltgr RETURN,RETURN                      /* expected? */
    jz failure
    br RETURN
execute_spka:
    spka 0x30
execute_mvi:
    mvi 0(PAGE),0
failure:
    lpswe failure_psw
