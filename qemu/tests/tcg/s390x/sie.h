/*
 * What the tests of START INTERPRETIVE EXECUTION have in common: a small host
 * for the bare machine that runs guests of a few instructions.
 *
 * The host runs with DAT, in the home space, which is its real storage.  Its
 * primary space has the storage of the guest at address 0, and once more at
 * SPACE_2; it consists of 4 KiB pages, and host_pte() is the table entry of one
 * of them.  Layout and names in the state description are those of Linux,
 * arch/s390/include/asm/kvm_host_s390_types.h.
 *
 * A test that fails ends in a disabled wait, with the number of the line in the
 * address of the PSW.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SIE_H
#define SIE_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

/* What SIE, the guest, or an interruption looks at or changes, too */
typedef volatile u8 vu8;        /* volatile: see above */
typedef volatile u16 vu16;      /* volatile: see above */
typedef volatile u32 vu32;      /* volatile: see above */
typedef volatile u64 vu64;      /* volatile: see above */

#define CPUSTAT_WAIT            0x10000000
#define CPUSTAT_STOP_INT        0x04000000
#define CPUSTAT_IO_INT          0x02000000
#define CPUSTAT_EXT_INT         0x01000000
#define CPUSTAT_RRF             0x00008000
#define CPUSTAT_SLSV            0x00004000
#define CPUSTAT_SLSR            0x00002000
#define CPUSTAT_ZARCH           0x00000800
#define CPUSTAT_MCDS            0x00000100
#define CPUSTAT_SM              0x00000080
#define CPUSTAT_GED2            0x00000010
#define CPUSTAT_GED             0x00000004
#define CPUSTAT_P               0x00000001

#define ICTL_OPEREXC            0x80000000
#define ICTL_PINT               0x20000000
#define ICTL_LPSW               0x00400000
#define ICTL_STCTL              0x00040000

#define ECA_CEI                 0x80000000
#define ECA_MVPGI               0x01000000
#define ECA_VX                  0x00020000
#define ECA_PROTEXCI            0x00002000

#define ECB_SPECI               0x08
#define ECB_HOSTPROTINT         0x02
#define ECB2_ESCA               0x04
#define ECD_HOSTREGMGMT         0x20000000

#define ICPT_INST               0x04
#define ICPT_PROGI              0x08
#define ICPT_EXTREQ             0x10
#define ICPT_EXTINT             0x14
#define ICPT_IOREQ              0x18
#define ICPT_WAIT               0x1c
#define ICPT_VALIDITY           0x20
#define ICPT_STOP               0x28
#define ICPT_OPEREXC            0x2c
#define ICPT_PARTEXEC           0x38

#define PGM_OPERATION           0x0001
#define PGM_PRIVILEGED          0x0002
#define PGM_PROTECTION          0x0004
#define PGM_ADDRESSING          0x0005
#define PGM_SPECIFICATION       0x0006
#define PGM_DATA                0x0007
#define PGM_SEGMENT_TRANS       0x0010
#define PGM_PAGE_TRANS          0x0011
#define PGM_TRANS_SPEC          0x0012
#define PGM_MONITOR             0x0040
#define PGM_PER                 0x0080
#define PGM_ASCE_TYPE           0x0038
#define PGM_REGION_THIRD        0x003b

#define PSW_PER                 0x4000000000000000
#define PSW_DAT                 0x0400000000000000
#define PSW_IO                  0x0200000000000000
#define PSW_EXT                 0x0100000000000000
#define PSW_WAIT                0x0002000000000000
#define PSW_PSTATE              0x0001000000000000
#define PSW_AR                  0x0000400000000000
#define PSW_SECONDARY           0x0000800000000000
#define PSW_HOME                0x0000c00000000000
#define PSW_64                  0x0000000180000000

struct sd {
    u32 cpuflags;               /* 0x000 */
    u32 prefix;
    u8 pad_008[0x20];
    u64 cputm;                  /* 0x028 */
    u64 ckc;
    u64 epoch;
    u32 svcc;                   /* 0x040 */
    u16 lctl;
    u16 icpua;
    u32 ictl;
    u32 eca;
    u8 icptcode;                /* 0x050 */
    u8 icptstatus;
    u16 ihcpu;
    u8 pad_054[2];
    u16 ipa;
    u32 ipb;
    u32 scaoh;
    u8 fpf;                     /* 0x060 */
    u8 ecb;
    u8 ecb2;
    u8 ecb3;
    u32 scaol;
    u8 pad_068[4];
    u32 todpr;
    u8 pad_070[16];             /* 0x070 */
    u64 mso;                    /* 0x080 */
    u64 msl;
    u64 gpsw_mask;              /* 0x090 */
    u64 gpsw_addr;
    u64 gg14;
    u64 gg15;
    u8 pad_0b0[16];
    u64 pei_dest;               /* 0x0c0, u16 eic at 0xc6 */
    u64 pei_src;                /* 0x0c8, u16 pgmilc at 0xcc, iprcc at 0xce */
    u32 dxc;                    /* 0x0d0 */
    u16 mcn;
    u8 perc;
    u8 peratmid;
    u64 peraddr;
    u8 eai;                     /* 0x0e0 */
    u8 peraid;
    u8 oai;
    u8 armid;
    u8 pad_0e4[4];
    u64 tecmc;
    u8 pad_0f0[16];
    u64 gcr[16];                /* 0x100 */
    u64 gbea;                   /* 0x180 */
    u8 pad_188[0x18];
    u32 fac;                    /* 0x1a0 */
    u8 pad_1a4[0x24];
    u32 ecd;                    /* 0x1c8 */
    u8 pad_1cc[18];
    u64 pp;                     /* 0x1de */
    u8 pad_1e6[18];
    u64 gvrd;                   /* 0x1f8 */
} __attribute__((packed, aligned(512)));

typedef volatile struct sd vsd; /* volatile: see above */

_Static_assert(sizeof(struct sd) == 512, "state description");
_Static_assert(__builtin_offsetof(struct sd, gvrd) == 0x1f8, "gvrd");

/* Storage of the host.  All of it is far from the program. */
#define TABLES                  0x2000000       /* host DAT tables */
#define SEGMENT_TABLE           TABLES
#define PAGE_TABLES             (TABLES + 0x4000)
#define SD                      ((vsd *)0x2100000)
#define FACILITIES              0x2110000
#define SCA                     0x2120000
#define GUEST                   0x3000000       /* the storage of the guest */
#define GUEST_SIZE              0x400000
#define SPACE_2                 0x1000000       /* see above */

#define PTE_I                   0x400
#define PTE_P                   0x200
#define STE_I                   0x20
#define STE_P                   0x200

/* Where things are in the guest, which has no DAT unless it is set up */
#define CODE                    0x10000
#define PGM_HANDLER             0x1f000
#define EXT_HANDLER             0x1f100
#define DATA                    0x20000
#define GUEST_TABLES            0x100000

#define G8(addr)                (*(vu8 *)(GUEST + (u64)(addr)))
#define G16(addr)               (*(vu16 *)(GUEST + (u64)(addr)))
#define G32(addr)               (*(vu32 *)(GUEST + (u64)(addr)))
#define G64(addr)               (*(vu64 *)(GUEST + (u64)(addr)))
#define SD16(offset)            (*(vu16 *)((u64)SD + (offset)))
#define EIC                     SD16(0xc6)
#define PGMILC                  SD16(0xcc)
#define IPRCC                   SD16(0xce)

/* The program interruption, or other interruption, that has ended SIE */
extern vu64 host_pgm_code, host_teid, host_ilc, host_ext_code;
extern vu64 host_old_addr;
/* General registers 0-13 of the guest */
extern vu64 gregs[16];
extern char sie_insn[], sie_done[];

void sie_asm(u64 sd);

asm("    .text\n"
    "    .globl _start\n"
    "_start:\n"
    "    larl %r15,stack_end\n"
    "    aghi %r15,-160\n"
    "    larl %r1,pgm_new\n"
    "    lghi %r2,0x1d0\n"
    "    mvc 0(16,%r2),0(%r1)\n"
    "    larl %r1,ext_new\n"
    "    lghi %r2,0x1b0\n"
    "    mvc 0(16,%r2),0(%r1)\n"
    "    larl %r1,home_asce\n"
    "    lctlg %c13,%c13,0(%r1)\n"
    "    larl %r1,home_psw\n"
    "    lpswe 0(%r1)\n"
    "in_home:\n"
    "    brasl %r14,main\n"
    "    larl %r1,success_psw\n"
    "    lpswe 0(%r1)\n"
    /* sie_asm(): the guest has all registers but 14 and 15 */
    "sie_asm:\n"
    "    larl %r1,saved_regs\n"
    "    stmg %r6,%r15,0(%r1)\n"
    "    lgr %r14,%r2\n"
    "    larl %r13,gregs\n"
    "    lmg %r0,%r13,0(%r13)\n"
    "sie_insn:\n"
    "    .insn s,0xb2140000,0(%r14)\n"
    "sie_done:\n"
    "    larl %r14,gregs\n"
    "    stmg %r0,%r13,0(%r14)\n"
    "    larl %r1,saved_regs\n"
    "    lmg %r6,%r15,0(%r1)\n"
    "    br %r14\n"
    /* A program interruption is fine only if it is that of SIE. */
    "pgm_handler:\n"
    "    larl %r14,host_pgm_code\n"
    "    llgh %r15,0x8e\n"
    "    stg %r15,0(%r14)\n"
    "    larl %r14,host_teid\n"
    "    mvc 0(8,%r14),0xa8\n"
    "    larl %r14,host_ilc\n"
    "    llgh %r15,0x8c\n"
    "    stg %r15,0(%r14)\n"
    "    lg %r15,0x158\n"
    "from_sie:\n"
    "    larl %r14,host_old_addr\n"
    "    stg %r15,0(%r14)\n"
    "    larl %r14,sie_insn\n"
    "    clgrjl %r15,%r14,unexpected\n"
    "    larl %r14,sie_done\n"
    "    clgrjnh %r15,%r14,sie_done\n"
    "unexpected:\n"
    "    larl %r1,unexpected_psw\n"
    "    lpswe 0(%r1)\n"
    /* An external interruption, in SIE or not */
    "ext_handler:\n"
    "    stmg %r14,%r15,0x300\n"
    "    larl %r14,host_ext_code\n"
    "    llgh %r15,0x86\n"
    "    stg %r15,0(%r14)\n"
    "    lg %r15,0x138\n"
    "    larl %r14,sie_insn\n"
    "    cgrje %r15,%r14,from_sie\n"
    /* Not in SIE: the guest is not to begin, a wait of the host is over. */
    "    llilh %r15,0x210\n"
    "    oi 0(%r15),4\n"                   /* CPUSTAT_STOP_INT */
    "    ni 0x131,0xfd\n"
    "    lmg %r14,%r15,0x300\n"
    "    lpswe 0x130\n"
    "    .balign 8\n"
    "home_asce: .quad 0x20\n"
    "home_psw: .quad 0x0400c00180000000,in_home\n"
    "pgm_new: .quad 0x0400c00180000000,pgm_handler\n"
    "ext_new: .quad 0x0400c00180000000,ext_handler\n"
    "success_psw: .quad 0x2000180000000,0xfff\n"
    "unexpected_psw: .quad 0x2000180000000,0xbad000\n"
    "saved_regs: .space 80\n"
    "    .balign 8\n"
    "    .space 16384\n"
    "stack_end:\n");

static void __attribute__((noreturn)) fail(u64 line)
{
    vu64 psw[2] __attribute__((aligned(8)));

    psw[0] = PSW_WAIT | PSW_64;
    psw[1] = line;
    asm volatile("lpswe %0" : : "Q" (psw));
    __builtin_unreachable();
}

#define check(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fail(__LINE__);                                                 \
        }                                                                   \
    } while (0)

vu64 host_pgm_code, host_teid, host_ilc, host_ext_code, host_old_addr;
vu64 gregs[16];

/* A few instructions for the guest, that can be anywhere */
#define GUEST_CODE(name, text)                                              \
    extern const char name[], name##_end[];                                 \
    asm("    .text\n"                                                       \
        #name ":\n" text "\n"                                               \
        #name "_end:\n")

/* How a guest says that it has come to a certain point: see check_diag(). */
#define DIAG(n)                 "    diag %r0,%r0," #n "\n"
#define AT_PGM_HANDLER          0x501
#define AT_EXT_HANDLER          0x502
#define AT_END                  0x500
#define END                     DIAG(0x500)

static inline u64 get_clock(void)
{
    u64 clock;

    asm volatile("stck %0" : "=Q" (clock) : : "cc");
    return clock;
}

static inline void set_clock_comparator(u64 ckc)
{
    asm volatile("sckc %0" : : "Q" (ckc));
}

static inline void set_cr0(u64 cr0)
{
    asm volatile("lctlg %%c0,%%c0,%0" : : "Q" (cr0) : "memory");
}

static inline u64 get_cr0(void)
{
    u64 cr0;

    asm volatile("stctg %%c0,%%c0,%0" : "=Q" (cr0));
    return cr0;
}

static inline void set_host_asce(u64 asce)
{
    asm volatile("lctlg %%c1,%%c1,%0" : : "Q" (asce) : "memory");
}

/* The entry for the page at an absolute address of the guest */
static vu64 *host_pte(u64 gaddr)
{
    return (vu64 *)(PAGE_TABLES + (gaddr >> 12) * 8);
}

static vu64 *host_ste(u64 gaddr)
{
    return (vu64 *)(SEGMENT_TABLE + (gaddr >> 20) * 8);
}

static inline void flip(vu64 *entry, u64 bits)
{
    *entry ^= bits;
    asm volatile("ptlb" : : : "memory");
}

static void guest_write(u64 gaddr, const char *from, const char *to)
{
    while (from < to) {
        G8(gaddr++) = *from++;
    }
}

static void guest_clear(u64 gaddr, u64 len)
{
    for (; len; len -= 8, gaddr += 8) {
        G64(gaddr) = 0;
    }
}

/* A lowcore of the guest, the handlers of which tell the host about it */
static void guest_lowcore(u64 prefix)
{
    guest_clear(prefix, 512);
    G64(prefix + 0x1d0) = PSW_64;
    G64(prefix + 0x1d8) = PGM_HANDLER;
    G64(prefix + 0x1b0) = PSW_64;
    G64(prefix + 0x1b8) = EXT_HANDLER;
    G32(PGM_HANDLER) = 0x83000000 | AT_PGM_HANDLER;
    G32(EXT_HANDLER) = 0x83000000 | AT_EXT_HANDLER;
}

static void host_init(void)
{
    int i;

    for (i = 0; i < 2048; i++) {
        ((vu64 *)SEGMENT_TABLE)[i] = STE_I;
    }
    for (i = 0; i < GUEST_SIZE >> 20; i++) {
        *host_ste(i << 20) = PAGE_TABLES + i * 0x800;
        *host_ste(SPACE_2 + (i << 20)) = PAGE_TABLES + i * 0x800;
    }
    for (i = 0; i < GUEST_SIZE >> 12; i++) {
        *host_pte(i << 12) = GUEST + (i << 12);
    }
    set_host_asce(SEGMENT_TABLE | 3);
}

/* A new guest, with the code at CODE and nothing unusual */
static void guest_init(const char *code, const char *code_end)
{
    vu64 *p = (vu64 *)SD;
    int i;

    for (i = 0; i < 64; i++) {
        p[i] = 0;
    }
    for (i = 0; i < 16; i++) {
        gregs[i] = 0;
    }
    SD->cpuflags = CPUSTAT_ZARCH;
    SD->msl = GUEST_SIZE - 0x100000;
    SD->gpsw_mask = PSW_64;
    SD->gpsw_addr = CODE;
    SD->eca = ECA_MVPGI | ECA_PROTEXCI;
    SD->ecb = ECB_HOSTPROTINT;
    SD->gcr[0] = 0xe0;
    SD->ckc = -1;
    SD->cputm = 1UL << 62;
    SD->ihcpu = 0xffff;
    guest_lowcore(0);
    guest_write(CODE, code, code_end);
}

#define guest(name)             guest_init(name, name##_end)

static void sie_at(u64 sd)
{
    host_pgm_code = 0;
    host_ext_code = 0;
    host_old_addr = 0;
    SD->icptcode = 0xee;
    SD->icptstatus = 0xee;
    SD->ipa = 0xeeee;
    SD->ipb = 0xeeeeeeee;
    sie_asm(sd);
}

/* Run the guest until there is an interception. */
#define sie()                                                               \
    do {                                                                    \
        sie_at((u64)SD);                                                    \
        check(!host_pgm_code && !host_ext_code);                            \
    } while (0)

/* Run the guest until the host has an access exception for it. */
#define sie_fault()                                                         \
    do {                                                                    \
        sie_at((u64)SD);                                                    \
        check(host_pgm_code && SD->icptcode == 0 && host_ilc == 4);         \
    } while (0)

#define check_icpt(code)        check(SD->icptcode == (code))

#define check_diag(n)                                                       \
    do {                                                                    \
        check_icpt(ICPT_INST);                                              \
        check(SD->ipa == 0x8300);                                           \
        check(SD->ipb >> 16 == (n));                                        \
    } while (0)

/* The guest has got a program interruption. */
#define check_guest_pgm(prefix, code, addr)                                 \
    do {                                                                    \
        check_diag(AT_PGM_HANDLER);                                         \
        check(G16((prefix) + 0x8e) == (code));                              \
        check(G64((prefix) + 0x158) == (addr));                             \
    } while (0)

/* The host has an access exception; the guest is at the instruction still. */
#define check_fault(code, teid, addr)                                       \
    do {                                                                    \
        check(host_pgm_code == (code));                                     \
        check(host_teid == (teid));                                         \
        check(SD->gpsw_addr == (addr));                                     \
    } while (0)

#define TEID_FETCH              0x800
#define TEID_STORE              0x400
#define TEID_PROT               0x4

#endif
