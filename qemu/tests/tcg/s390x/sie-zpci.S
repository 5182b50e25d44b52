/*
 * Test what a guest of SIE does with PCI functions and their interruptions
 * without an exit to its host.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define GUEST            0x100000           /* where its storage begins */
#define GUEST_CODE       0x0c00             /* in there */
#define GUEST_HANDLER    0x0e00

#define ISC              2                  /* of the guest */
#define NISC             5                  /* of the host, for alerts */
#define ISC_BIT          (0x80 >> ISC)

#define PSW_IO           0x0200000000000000
#define PSW_WAIT         0x0002000000000000
#define PSW_64           0x0000000180000000

#define ICPT_INST        0x04
#define ICPT_WAIT        0x1c

#define ECA_AIV          0x00200000
#define ECB2_ZPCI_LSI    0x02
#define ECB3_AISI        0x20

/* Of the first function of the machine, before it has been enabled */
#define HANDLE           0x01000000

/* That is an 82576, which interrupts when it is told to; in the bus' order */
#define NIC_VENDOR       0x8680
#define NIC_MSIX_CONTROL 0x72               /* configuration space, 2 bytes */
#define NIC_GPIE         0x1514             /* BAR 0, 4 bytes */
#define NIC_GPIE_MSIX    0x10000000
#define NIC_EICS         0x1520
#define NIC_EIMS         0x1524
#define NIC_EIAC         0x152c
#define NIC_VECTOR_0     0x01000000         /* in these three */

#define CHECK            %r10               /* for debugging: line of a check */

.macro failed_if cond
    lghi CHECK,\@
    j\cond failure
.endm

/* Have the guest begin at \addr with what else the PSW is to have. */
.macro enter mask, addr
    larl %r1,guest_psw
    lg %r0,\mask
    stg %r0,0(%r1)
    lghi %r0,\addr
    stg %r0,8(%r1)
    larl %r1,sd
    sie 0(%r1)
    larl %r1,sd
.endm

.macro expect_icpt code, opcode
    cli 0x50(%r1),\code
    failed_if ne
.ifnb \opcode
    clc 0x56(2,%r1),\opcode
    failed_if ne
.endif
.endm

.macro set_gisa next, masks
    larl %r1,gisa
    mvc 0(4,%r1),\next
    mvc 4(4,%r1),\masks
.endm

.macro expect_gisa next, masks
    larl %r1,gisa
    clc 0(4,%r1),\next
    failed_if ne
    clc 4(4,%r1),\masks
    failed_if ne
.endm

/* Wait for an I/O interruption, which is to come from there. */
.macro expect_io source
    larl %r11,interrupted\@
    lpswe host_wait_psw
interrupted\@:
    clc io_word(4),host_io_word
    failed_if ne
    clc io_source(4),\source
    failed_if ne
.endm

/* SET INTERRUPTION CONTROLS with an AIPB; r9 is where an exception leads. */
.macro set_aeni_controls
    larl %r5,aipb
    lghi %r2,2
    lghi %r3,0
    .insn rsy,0xeb00000000d1,%r2,%r3,0(%r5)
.endm

.macro expect_operand_exception
    larl %r9,exception\@
    set_aeni_controls
    j failure
exception\@:
    clc pgm_code(2),operand_exception
    failed_if ne
    larl %r9,failure
.endm

/* \value is in the bus' order. */
.macro pci_store req, offset, value
    lgr %r6,\req
    lgfi %r7,\offset
    llilf %r5,\value
    .insn rre,0xb9d00000,%r5,%r6            /* PCISTG */
    failed_if nz
.endm

/*
 * Have the function interrupt, and wait until it has done so. Then it has or
 * has not changed to an error state.
 */
.macro function_interrupts error=0
    larl %r4,aibv
    mvi 0(%r4),0
    pci_store %r12, NIC_EICS, NIC_VECTOR_0
pending\@:
    tm 0(%r4),0x80
    jz pending\@
    lgr %r6,%r8
    lghi %r7,0
    .insn rre,0xb9d20000,%r5,%r6            /* PCILG */
.if \error
    failed_if nl
.else
    failed_if nz
.endif
.endm

/* What the function's interruptions are to do */
.macro set_gaite gisa, aisb
    larl %r1,gait
    mvc 0(4,%r1),\gisa
    mvc 8(8,%r1),\aisb
    larl %r1,aisb
    mvi 0(%r1),0
    larl %r1,faisb
    mvi 0(%r1),0
.endm

.macro expect_byte where, value
    larl %r1,\where
    cli 0(%r1),\value
    failed_if ne
.endm

.macro expect_clp_ok
    larl %r2,clp_block
    .insn rrf,0xb9a00000,%r3,%r2,8,0        /* CLP */
    clc 34(2,%r2),clp_ok
    failed_if ne
.endm

/* The function has been enabled: register its interruptions. */
.macro register_interruptions
    llgf %r2,clp_block + 48
    sllg %r2,%r2,32
    oill %r2,2
    larl %r4,fib
    .insn rxy,0xe300000000d0,%r2,0(%r4)     /* MPCIFC */
    failed_if nz
.endm

    .org 0x8e
pgm_code:
    .org 0xb8
io_source:
    .org 0xc0
io_word:
    .org 0x1d0                              /* program new PSW */
    .quad PSW_64,program_interruption
    .org 0x1f0                              /* I/O new PSW */
    .quad PSW_64,io_interruption

    .org 0x200
    .globl _start
_start:
    lpswe start_psw
    .align 8
start_psw:
    .quad PSW_64,start
cr1:
    .quad 0x20                              /* virtual is real */
cr6:
    .quad 0x80000000 >> NISC
psw_disabled:
    .quad PSW_64
psw_enabled:
    .quad PSW_64 + PSW_IO
psw_wait:
    .quad PSW_64 + PSW_IO + PSW_WAIT
host_wait_psw:
    .quad PSW_64 + PSW_IO + PSW_WAIT,0
success_psw:
    .quad 0x2000000000000,0xfff             /* see is_special_wait_psw() */
failure_psw:
    .quad PSW_WAIT,0                        /* disabled wait */
handler_end:
    .quad GUEST_HANDLER + 4
self:
    .long gisa
zero:
    .quad 0,0
pending:                                    /* IPM, SIMM, NIMM, IAM */
    .byte ISC_BIT,0,0,0
pending_alert:
    .byte ISC_BIT,0,0,ISC_BIT
suppressed:
    .byte 0,0,ISC_BIT,0
single:
    .byte 0,ISC_BIT,0,0
single_pending:
    .byte ISC_BIT,ISC_BIT,ISC_BIT,0
alert_mask:
    .byte 0,0,0,ISC_BIT
guest_io_word:
    .long 0x80000000 + (ISC << 27)
host_io_word:
    .long 0x80000000 + (NISC << 27)
diag_opcode:
    .short 0x8300
sic_opcode:
    .short 0xeb23
pcilg_opcode:
    .short 0xb9d2
operand_exception:
    .short 0x15
forward:
    .long 1                                 /* in the number */
alert:
    .long 0x80000000                        /* source mask */
no_storage:
    .long 0x7fffffe0
    .align 8
aisb_addr:
    .quad aisb
no_aisb:
    .quad 0x7ffffff8
ok:
    .short 1
invalid:
    .short 3
clp_ok:
    .short 0x0010

start:
    lctlg %c1,%c1,cr1
    larl %r9,failure

    /* Storage of the guest: an I/O new PSW, and code that ends in DIAGNOSE */
    lgfi %r4,GUEST
    larl %r5,guest_io_new_psw
    mvc 0x1f0(16,%r4),0(%r5)
    larl %r5,guest_code
    mvc GUEST_CODE(guest_code_end - guest_code,%r4),0(%r5)
    aghi %r4,GUEST_HANDLER
    larl %r5,guest_handler
    mvc 0(4,%r4),0(%r5)
    larl %r1,sd
    larl %r2,gisa
    oill %r2,1                              /* format 1 */
    st %r2,0x70(%r1)

    /* An adapter interruption that is pending ends a wait ... */
    set_gisa self, pending
    enter psw_wait, 0
    expect_icpt ICPT_INST, diag_opcode
    clc 0x98(8,%r1),handler_end             /* in the handler */
    failed_if ne
    lgfi %r4,GUEST
    clc 0xb8(8,%r4),zero
    failed_if ne
    clc 0xc0(4,%r4),guest_io_word
    failed_if ne
    expect_gisa self, zero
    /* ... if its subclass is enabled, ... */
    larl %r1,guest_cr6
    xc 0(8,%r1),0(%r1)
    set_gisa self, pending
    enter psw_wait, 0
    expect_icpt ICPT_WAIT
    expect_gisa self, pending
    larl %r1,guest_cr6
    mvi 4(%r1),ISC_BIT
    /* ... is taken when the guest is running, but not while it is disabled. */
    enter psw_disabled, GUEST_CODE + (code_diag - guest_code)
    expect_icpt ICPT_INST, diag_opcode
    clc 0x98(8,%r1),handler_end
    failed_if e
    expect_gisa self, pending
    enter psw_enabled, GUEST_CODE + (code_diag - guest_code)
    expect_icpt ICPT_INST, diag_opcode
    clc 0x98(8,%r1),handler_end
    failed_if ne
    expect_gisa self, zero

    /* The guest sets the modes if it is allowed to. */
    lghi %r2,1                              /* single-interruption mode */
    lgfi %r3,(ISC << 27)
    set_gisa self, suppressed
    enter psw_disabled, GUEST_CODE + (code_sic - guest_code)
    expect_icpt ICPT_INST, sic_opcode
    expect_gisa self, suppressed
    larl %r1,sd
    oi 0x63(%r1),ECB3_AISI
    enter psw_disabled, GUEST_CODE + (code_sic - guest_code)
    expect_icpt ICPT_INST, diag_opcode
    expect_gisa self, single
    lghi %r2,2                              /* no mode */
    enter psw_disabled, GUEST_CODE + (code_sic - guest_code)
    expect_icpt ICPT_INST, sic_opcode

    /* The host gets an alert of what the guest does not take. */
    larl %r5,chsc_page
    mvc 20(4,%r5),no_storage
    .insn rre,0xb25f0000,%r5,%r0            /* CHSC */
    larl %r6,chsc_page + 0xfe2
    clc 0(2,%r6),invalid
    failed_if ne
    larl %r6,gib
    st %r6,20(%r5)
    .insn rre,0xb25f0000,%r5,%r0            /* CHSC */
    larl %r6,chsc_page + 0xfe2
    clc 0(2,%r6),ok
    failed_if ne
    lctlg %c6,%c6,cr6
    set_gisa self, pending_alert
    enter psw_disabled, GUEST_CODE + (code_diag - guest_code)
    expect_icpt ICPT_INST, diag_opcode
    expect_io alert
    larl %r6,gib
    clc 0(4,%r6),self
    failed_if ne
    expect_gisa zero, pending

    /* A function that is enabled for the guest, and one that is not */
    larl %r2,clp_block
    .insn rrf,0xb9a00000,%r3,%r2,8,0        /* CLP */
    clc 34(2,%r2),clp_ok
    failed_if ne
    llgf %r2,48(%r2)
    sllg %r2,%r2,32
    oilh %r2,15                             /* configuration space */
    oill %r2,2                              /* length */
    lgr %r8,%r2
    lghi %r3,0
    lghi %r4,0
    .insn rre,0xb9d20000,%r4,%r2            /* PCILG */
    failed_if nz
    clgfi %r4,NIC_VENDOR                        /* vendor, in the bus' order */
    failed_if ne
    lghi %r4,0
    enter psw_disabled, GUEST_CODE + (code_pcilg - guest_code)
    expect_icpt ICPT_INST, pcilg_opcode
    larl %r1,sd
    oi 0x62(%r1),ECB2_ZPCI_LSI
    enter psw_disabled, GUEST_CODE + (code_pcilg - guest_code)
    expect_icpt ICPT_INST, pcilg_opcode
    failed_if ne
    larl %r2,clp_block                      /* disable it ... */
    mvc 16(4,%r2),48(%r2)
    mvi 22(%r2),1
    .insn rrf,0xb9a00000,%r3,%r2,8,0
    clc 34(2,%r2),clp_ok
    failed_if ne
    mvc 16(4,%r2),48(%r2)                   /* ... to enable it for the guest */
    mvi 22(%r2),0
    mvc 28(4,%r2),self
    .insn rrf,0xb9a00000,%r3,%r2,8,0
    clc 34(2,%r2),clp_ok
    failed_if ne
    lgr %r2,%r8
    enter psw_disabled, GUEST_CODE + (code_pcilg - guest_code)
    expect_icpt ICPT_INST, diag_opcode
    clgfi %r4,NIC_VENDOR
    failed_if ne
    iihh %r2,0x8102                         /* a handle to be intercepted */
    enter psw_disabled, GUEST_CODE + (code_pcilg - guest_code)
    expect_icpt ICPT_INST, pcilg_opcode
    lgr %r2,%r8
    larl %r1,sd
    xi 0x72(%r1),0x40                       /* the GISA of another guest */
    enter psw_disabled, GUEST_CODE + (code_pcilg - guest_code)
    expect_icpt ICPT_INST, pcilg_opcode

    larl %r1,sd
    xi 0x72(%r1),0x40

    /* The machine takes a table for interruptions of guests, and one only. */
    larl %r4,aipb
    mvi 23(%r4),0                           /* of no bits */
    expect_operand_exception
    mvi 23(%r4),64
    oi 7(%r4),1                             /* not aligned */
    expect_operand_exception
    ni 7(%r4),0xfe
    set_aeni_controls
    expect_operand_exception

    /* Prepare the function. */
    pci_store %r8, 4, 0x0600                /* memory, bus master */
    pci_store %r8, NIC_MSIX_CONTROL, 0x0080
    lgr %r12,%r8
    iilh %r12,3
    iill %r12,4
    pci_store %r12, 0, 0                    /* MSI-X table: vector 0 */
    pci_store %r12, 4, 0x000000fe
    pci_store %r12, 8, 0
    pci_store %r12, 12, 0
    iilh %r12,0
    pci_store %r12, NIC_GPIE, NIC_GPIE_MSIX
    pci_store %r12, NIC_EIAC, NIC_VECTOR_0
    pci_store %r12, NIC_EIMS, NIC_VECTOR_0
    larl %r4,fib
    mvc 76(4,%r4),self
    register_interruptions

    /* An interruption becomes pending for a guest that is not there ... */
    set_gaite self, aisb_addr
    set_gisa self, zero
    function_interrupts
    expect_gisa self, pending
    expect_byte aisb, 0x40
    expect_byte faisb, 0
    /* ... unless the guest does not want it, ... */
    set_gisa self, suppressed
    function_interrupts
    expect_gisa self, suppressed
    /* ... or wants just one. */
    set_gisa self, single
    function_interrupts
    expect_gisa self, single_pending
    function_interrupts
    expect_gisa self, single_pending
    /* The host has an alert of it, and not another one until it looks. */
    larl %r6,gib
    xc 0(4,%r6),0(%r6)
    set_gisa self, alert_mask
    function_interrupts
    expect_gisa zero, pending
    larl %r6,gib
    clc 0(4,%r6),self
    failed_if ne
    expect_io alert
    set_gisa self, alert_mask
    mvi io_word,0
    function_interrupts
    larl %r1,gisa
    clc 0(4,%r1),self                       /* is the old head */
    failed_if ne
    larl %r11,failure
    ssm psw_enabled
    ssm psw_disabled
    /* A guest that is there has it at once. */
    larl %r6,gib
    xc 0(4,%r6),0(%r6)
    set_gisa self, alert_mask
    larl %r4,aibv
    mvi 0(%r4),0
    lgr %r6,%r12
    lghi %r7,NIC_EICS
    llilf %r5,NIC_VECTOR_0
    enter psw_enabled, GUEST_CODE + (code_pcistg - guest_code)
    expect_icpt ICPT_INST, diag_opcode
    clc 0x98(8,%r1),handler_end
    failed_if ne
    expect_gisa self, alert_mask
    larl %r6,gib
    clc 0(4,%r6),zero
    failed_if ne
    /* What the host is to forward */
    set_gaite zero, aisb_addr
    function_interrupts
    expect_byte faisb, 0x80
    expect_byte aisb, 0
    expect_io forward
    /* An entry that is not in use */
    larl %r1,gait
    mvi 5(%r1),0
    set_gaite self, aisb_addr
    set_gisa self, zero
    function_interrupts
    expect_gisa self, zero
    expect_byte aisb, 0
    larl %r1,gait
    mvi 5(%r1),1

    /* The function does not survive addresses without storage ... */
    set_gaite no_storage, aisb_addr
    function_interrupts error=1
    larl %r2,clp_block                      /* disable it, and enable it */
    mvc 16(4,%r2),48(%r2)
    mvi 22(%r2),1
    expect_clp_ok
    mvc 16(4,%r2),48(%r2)
    mvi 22(%r2),0
    expect_clp_ok
    register_interruptions
    set_gaite self, no_aisb
    function_interrupts error=1
    expect_gisa self, zero
    /* ... but SIE does. */
    larl %r1,sd
    mvc 0x70(4,%r1),no_storage
    enter psw_wait, 0
    expect_icpt ICPT_WAIT

    /* An interlocked update that the machine can't make in one go */
    larl %r4,zero
    agsi 1(%r4),1
    cli 8(%r4),1
    failed_if ne

    lpswe success_psw
failure:
    lpswe failure_psw
io_interruption:
    br %r11
program_interruption:
    br %r9

    .align 8
guest_io_new_psw:
    .quad PSW_64,GUEST_HANDLER
guest_handler:
    diag %r0,%r0,0x500
guest_code:
code_sic:
    .insn rsy,0xeb00000000d1,%r2,%r3,0      /* SIC */
    j code_diag
code_pcilg:
    .insn rre,0xb9d20000,%r4,%r2            /* PCILG */
    j code_diag
code_pcistg:
    .insn rre,0xb9d00000,%r5,%r6            /* PCISTG */
    j .
code_diag:
    diag %r0,%r0,0x500
guest_code_end:

    .align 512
sd:                                         /* state description */
    .long 0x00000800                        /* z/Architecture */
    .org sd + 0x4c
    .long ECA_AIV
    .org sd + 0x52
    .short 0xffff                           /* no CPU has run it */
    .org sd + 0x80
    .quad GUEST                             /* origin, */
    .quad GUEST                             /* the last megabyte */
    .org sd + 0x90
guest_psw:
    .quad 0,0
    .org sd + 0x130
guest_cr6:
    .quad ISC_BIT << 24
    .org sd + 0x200
gisa:
    .org gisa + 0x20
gib:
    .quad 0
    .byte NISC
    .org gib + 0x20
aipb:                                       /* bits, table, ISC, length */
    .quad faisb
    .quad gait
    .short NISC,0,0,64
    .align 16
gait:
    .long 0
    .byte ISC,1,0,1                         /* in use; summary bit 1 */
    .quad 0
    .org gait + 64 * 16
fib:
    .org fib + 40
    .long (NISC << 28) + (1 << 16) + 0x80   /* one vector, summary bit 0 */
    .org fib + 48
    .quad aibv
    .quad faisb
    .org fib + 80
aibv:
    .quad 0
aisb:
    .quad 0
faisb:
    .quad 0
clp_block:
    .short 32,5                             /* SET PCI FUNCTION */
    .org clp_block + 16
    .long HANDLE
    .short 0
    .byte 0,1
    .org clp_block + 32
    .short 32
    .org clp_block + 64
    .align 4096
chsc_page:
    .short 0xfe0,0x21                       /* SET GIB */
    .short 1
    .org chsc_page + 4096
