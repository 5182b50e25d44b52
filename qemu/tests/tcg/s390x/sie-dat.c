/*
 * Interpretive execution: translation, by the guest and by its host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sie.h"

/*
 * The guest's tables map its first megabyte to itself in all spaces, except
 * for the page at SPECIAL, which is another one in each.  PAGE_TABLE is used by
 * the primary space, and so on.
 */
#define SPECIAL                 0x40000
#define SEGMENTS(space)         (GUEST_TABLES + (space) * 0x8000)
#define PAGES(space)            (GUEST_TABLES + (space) * 0x8000 + 0x4000)
#define REGIONS(space, level)   (GUEST_TABLES + 0x40000 + (space) * 0x10000 + \
                                 (level) * 0x4000)
#define FRAME(space)            (0x50000 + (space) * 0x1000)
#define PRIMARY                 0
#define SECONDARY               1
#define HOME                    2

/* Guest page table entry in the primary space */
#define GUEST_PTE(vaddr)        G64(PAGES(PRIMARY) + ((vaddr) >> 12) * 8)

static void guest_dat(void)
{
    int space, i;

    for (space = PRIMARY; space <= HOME; space++) {
        G64(SEGMENTS(space)) = PAGES(space);
        for (i = 1; i < 512; i++) {
            G64(SEGMENTS(space) + i * 8) = STE_I;
        }
        for (i = 0; i < 256; i++) {
            G64(PAGES(space) + i * 8) = i << 12;
        }
        G64(PAGES(space) + (SPECIAL >> 12) * 8) = FRAME(space);
        G64(FRAME(space)) = 0x100 + space;
    }
    SD->gcr[1] = SEGMENTS(PRIMARY);
    SD->gcr[7] = SEGMENTS(SECONDARY);
    SD->gcr[13] = SEGMENTS(HOME);
    SD->gcr[0] |= 0x04000000;           /* secondary-space control */
    SD->gpsw_mask |= PSW_DAT;
    gregs[1] = SPECIAL;
}

GUEST_CODE(load, "    lg %r3,0(%r1)\n" END);
GUEST_CODE(store, "    stg %r3,0(%r1)\n" END);
GUEST_CODE(sacf,
           "    sacf 0x100\n"
           "    lg %r4,0(%r1)\n"
           "    sacf 0x300\n"
           "    lg %r5,0(%r1)\n"
           "    sacf 0\n"
           "    lg %r3,0(%r1)\n"
           END);

static void test_spaces(void)
{
    static const u64 asc[] = { 0, PSW_SECONDARY, PSW_HOME };
    int space;

    for (space = PRIMARY; space <= HOME; space++) {
        guest(load);
        guest_dat();
        SD->gpsw_mask |= asc[space];
        sie();
        check_diag(AT_END);
        check(gregs[3] == 0x100UL + space);
        check(SD->gpsw_mask >> 46 == (asc[space] | PSW_DAT) >> 46);

        guest(store);
        guest_dat();
        gregs[3] = 0x77;
        SD->gpsw_mask |= asc[space];
        sie();
        check_diag(AT_END);
        check(G64(FRAME(space)) == 0x77);

        /* The host has the page, but not now. */
        guest(store);
        guest_dat();
        SD->gpsw_mask |= asc[space];
        flip(host_pte(FRAME(space)), PTE_I);
        sie_fault();
        check_fault(PGM_PAGE_TRANS, FRAME(space) | TEID_STORE, CODE);
        flip(host_pte(FRAME(space)), PTE_I);
    }

    guest(sacf);
    guest_dat();
    sie();
    check_diag(AT_END);
    check(gregs[4] == 0x101 && gregs[5] == 0x102 && gregs[3] == 0x100);

    /* All access registers are 0: the primary space */
    guest(load);
    guest_dat();
    SD->gpsw_mask |= PSW_AR;
    sie();
    check_diag(AT_END);
    check(gregs[3] == 0x100);
    flip(host_pte(FRAME(PRIMARY)), PTE_I);
    SD->gpsw_addr = CODE;
    sie_fault();
    check_fault(PGM_PAGE_TRANS, FRAME(PRIMARY) | TEID_FETCH, CODE);
    flip(host_pte(FRAME(PRIMARY)), PTE_I);
}

/* The guest's own exceptions are its own, with its addresses. */
static void test_guest_faults(void)
{
    guest(store);
    guest_dat();
    GUEST_PTE(SPECIAL) |= PTE_I;
    gregs[1] += 0x123;
    sie();
    check_guest_pgm(0, PGM_PAGE_TRANS, CODE);
    check(G64(0xa8) == (SPECIAL | TEID_STORE));
    GUEST_PTE(SPECIAL) ^= PTE_I | PTE_P;
    SD->gpsw_addr = CODE;
    SD->gpsw_mask |= PSW_DAT;
    SD->ihcpu = 0xffff;
    sie();
    check_guest_pgm(0, PGM_PROTECTION, CODE + 6);
    check(G64(0xa8) == (SPECIAL | TEID_STORE | TEID_PROT));

    guest(load);
    guest_dat();
    gregs[1] = 0x123000;
    sie();
    check_guest_pgm(0, PGM_SEGMENT_TRANS, CODE);
    check(G64(0xa8) == (0x123000 | TEID_FETCH));
    guest(load);
    guest_dat();
    gregs[1] = 0x80000000;
    sie();
    check_guest_pgm(0, PGM_ASCE_TYPE, CODE);
    check(G64(0xa8) == (0x80000000 | TEID_FETCH));
    guest(load);
    guest_dat();
    G64(SEGMENTS(PRIMARY)) |= 4;        /* wrong type */
    SD->ictl = ICTL_PINT;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_TRANS_SPEC);

    /* To the host, if it wants them */
    guest(store);
    guest_dat();
    GUEST_PTE(SPECIAL) |= PTE_I;
    SD->ictl = ICTL_PINT;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_PAGE_TRANS && SD->gpsw_addr == CODE);
    check(SD->tecmc == (SPECIAL | TEID_STORE));
    check(SD->oai == 0 && SD->eai == 0);

    /* Beyond the end of storage */
    guest(load);
    guest_dat();
    GUEST_PTE(SPECIAL) = GUEST_SIZE;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_ADDRESSING);
    guest(load);
    guest_dat();
    SD->gcr[1] = GUEST_SIZE;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_ADDRESSING);
}

/* Tables of all levels, each of them in storage that the host has taken away */
static void test_levels(void)
{
    static const u64 bits[] = { 0, 0x4, 0x8, 0xc };
    u64 asce, table, lower = SEGMENTS(PRIMARY);
    int level;

    for (level = 0; level < 4; level++) {
        if (level) {
            table = REGIONS(PRIMARY, level - 1);
            guest_clear(table, 0x4000);
            /* the type of a table of the next level, and its length */
            G64(table) = lower | bits[level] | 3;
            lower = table;
        }
        asce = lower | bits[level];
        guest(load);
        guest_dat();
        SD->gcr[1] = asce;
        sie();
        check_diag(AT_END);
        check(gregs[3] == 0x100);

        flip(host_pte(lower), PTE_I);
        guest(load);
        guest_dat();
        SD->gcr[1] = asce;
        sie_fault();
        check_fault(PGM_PAGE_TRANS, lower | TEID_FETCH, CODE);
        flip(host_pte(lower), PTE_I);
        sie();
        check_diag(AT_END);
    }
    /* The page table, too; and they need not be stored into. */
    guest(load);
    guest_dat();
    flip(host_pte(PAGES(PRIMARY)), PTE_I);
    sie_fault();
    check_fault(PGM_PAGE_TRANS, PAGES(PRIMARY) | TEID_FETCH, CODE);
    flip(host_pte(PAGES(PRIMARY)), PTE_I);
    guest(store);
    guest_dat();
    flip(host_pte(PAGES(PRIMARY)), PTE_P);
    sie();
    check_diag(AT_END);
    flip(host_pte(PAGES(PRIMARY)), PTE_P);
}

GUEST_CODE(nothing, END);
GUEST_CODE(add, "    agsi 0(%r1),1\n" END);

static void test_host_faults(void)
{
    /* Fetch, store, and instruction; without DAT of the guest */
    guest(load);
    gregs[1] = DATA + 0x678;
    flip(host_pte(DATA), PTE_I);
    sie_fault();
    check_fault(PGM_PAGE_TRANS, DATA | TEID_FETCH, CODE);
    check(host_old_addr == (u64)sie_insn);
    flip(host_pte(DATA), PTE_I);
    sie();
    check_diag(AT_END);

    guest(store);
    gregs[1] = DATA;
    flip(host_pte(DATA), PTE_P);
    sie_fault();
    check_fault(PGM_PROTECTION, DATA | TEID_STORE | TEID_PROT, CODE);
    check(host_old_addr == (u64)sie_done);
    flip(host_pte(DATA), PTE_P);
    sie();
    check_diag(AT_END);

    guest(nothing);
    flip(host_pte(CODE), PTE_I);
    sie_fault();
    check_fault(PGM_PAGE_TRANS, CODE | TEID_FETCH, CODE);
    flip(host_pte(CODE), PTE_I);
    flip(host_ste(0x200000), STE_I);
    SD->gpsw_addr = 0x200000;
    sie_fault();
    check_fault(PGM_SEGMENT_TRANS, 0x200000 | TEID_FETCH, 0x200000);
    flip(host_ste(0x200000), STE_I);

    guest(load);
    gregs[1] = 0x80000000;
    SD->cpuflags |= CPUSTAT_SM;
    sie_fault();
    check_fault(PGM_ASCE_TYPE, 0x80000000 | TEID_FETCH, CODE);

    /* A fetch, and then a store into a page that is protected */
    guest(add);
    gregs[1] = DATA;
    G64(DATA) = 5;
    flip(host_pte(DATA), PTE_P);
    sie_fault();
    check_fault(PGM_PROTECTION, DATA | TEID_STORE | TEID_PROT, CODE);
    check(G64(DATA) == 5);
    /* The guest is told of it, if the host does not ask. */
    SD->ecb &= ~ECB_HOSTPROTINT;
    sie();
    check_guest_pgm(0, PGM_PROTECTION, CODE + 6);
    check(G64(0xa8) == (DATA | TEID_STORE | TEID_PROT));
    flip(host_pte(DATA), PTE_P);
}

GUEST_CODE(store_8, "    stg %r3,0(%r1)\n" END);
GUEST_CODE(move, "    mvc 0(16,%r1),0(%r2)\n" END);
GUEST_CODE(exchange, "    xc 0(16,%r1),0(%r1)\n" END);
GUEST_CODE(executed_move,
           "    lghi %r4,15\n"
           "    ex %r4,0(%r5)\n"
           END
           "    mvc 0(1,%r1),0(%r2)\n");

/* The second page of an operand: nothing is stored into the first. */
static void test_crossing_of(const char *code, const char *code_end, u64 addr)
{
    int prot;

    for (prot = 0; prot < 2; prot++) {
        guest_init(code, code_end);
        gregs[1] = DATA + 0xffc;
        gregs[2] = DATA + 0x4000;
        gregs[3] = -1;
        gregs[5] = CODE + 12;
        G64(DATA + 0x4000) = G64(DATA + 0x4008) = -1;
        G32(DATA + 0xffc) = 0x12345678;
        G64(DATA + 0x1000) = 0x8765432112345678;
        flip(host_pte(DATA + 0x1000), prot ? PTE_P : PTE_I);
        sie_fault();
        check_fault(prot ? PGM_PROTECTION : PGM_PAGE_TRANS,
                    (DATA + 0x1000) | TEID_STORE | (prot ? TEID_PROT : 0),
                    addr);
        check(G32(DATA + 0xffc) == 0x12345678);
        flip(host_pte(DATA + 0x1000), prot ? PTE_P : PTE_I);
        sie();
        check_diag(AT_END);
        check(G32(DATA + 0xffc) != 0x12345678);
        check(G32(DATA + 0x1000) != 0x87654321);
    }
}

static void test_crossing(void)
{
    test_crossing_of(store_8, store_8_end, CODE);
    test_crossing_of(move, move_end, CODE);
    test_crossing_of(exchange, exchange_end, CODE);
    test_crossing_of(executed_move, executed_move_end, CODE + 4);
}

GUEST_CODE(mvpg, "    mvpg %r1,%r2\n" END);
GUEST_CODE(executed_mvpg,
           "    exrl %r0,.+10\n"
           END
           "    mvpg %r1,%r2\n");

#define check_partial(len, status, dest, src)                               \
    do {                                                                    \
        check_icpt(ICPT_PARTEXEC);                                          \
        check(SD->icptstatus == (status));                                  \
        check(SD->ipa == 0xb254 && SD->ipb >> 16 == 0x0012);                \
        check(SD->gpsw_addr == CODE + (len));                               \
        check(SD->pei_dest == (u64)(dest));                                 \
        check(SD->pei_src == (u64)(src));                                   \
        check(G64(DATA) == 0x5555);                                         \
    } while (0)

static int facility(int nr)
{
    u64 list[4] __attribute__((aligned(8)));
    register u64 last asm("0") = 3;

    asm volatile("stfle %0" : "=Q" (list), "+d" (last) : : "cc", "memory");
    return (u64)nr / 64 <= (last & 0xff) &&
           (list[nr / 64] >> (63 - nr % 64) & 1);
}

static void mvpg_init(void)
{
    gregs[1] = DATA;
    gregs[2] = DATA + 0x300000;
    G64(DATA) = 0x5555;
    G64(DATA + 0x300000) = 0x6666;
}

/*
 * MOVE PAGE: without DAT of the guest the host is told of both pages, in any
 * other case of the one that has failed.
 */
static void test_mvpg(void)
{
    vu64 *dst = host_pte(DATA), *src = host_pte(DATA + 0x300000);
    const u64 edat = 0x800000;

    guest(mvpg);
    mvpg_init();
    flip(src, PTE_I);
    sie();
    check_partial(4, 0, dst, src);
    flip(dst, PTE_I);
    SD->gpsw_addr -= 4;
    sie();
    check_partial(4, 0, dst, src);
    flip(src, PTE_I);
    SD->gpsw_addr -= 4;
    sie();
    check_partial(4, 0, dst, src);
    flip(dst, PTE_I);
    SD->gpsw_addr -= 4;
    sie();
    check_diag(AT_END);
    check(G64(DATA) == 0x6666);

    guest(executed_mvpg);
    mvpg_init();
    flip(dst, PTE_I);
    sie();
    check_partial(6, 1 | 6 << 4, dst, src);
    flip(dst, PTE_I);
    SD->gpsw_addr -= 6;
    sie();
    check_diag(AT_END);

    /* The condition-code option is about the guest's translation. */
    guest(mvpg);
    mvpg_init();
    gregs[0] = 0x100;
    flip(dst, PTE_I);
    sie();
    check_partial(4, 0, dst, src);
    flip(dst, PTE_I);

    /* The prefix, and the main storage origin */
    guest(mvpg);
    SD->prefix = 0x40000;
    SD->mso = SPACE_2;
    SD->msl = SPACE_2 + 0x300000;
    guest_lowcore(0x40000);
    mvpg_init();
    gregs[2] = 0x1000;
    flip(host_pte(0x41000), PTE_I);
    sie();
    check_partial(4, 0, dst, host_pte(0x41000));
    flip(host_pte(0x41000), PTE_I);

    /* Protection is not for this. */
    guest(mvpg);
    mvpg_init();
    flip(dst, PTE_P);
    sie_fault();
    check_fault(PGM_PROTECTION, DATA | TEID_STORE | TEID_PROT, CODE);
    flip(dst, PTE_P);

    /* A segment that is protected: it is told as well. */
    guest(mvpg);
    mvpg_init();
    flip(host_ste(0x300000), STE_P);
    flip(src, PTE_I);
    sie();
    check_partial(4, 0, dst, (u64)src | 2);
    flip(src, PTE_I);
    flip(host_ste(0x300000), STE_P);

    /* No page table: only if the host has EDAT. */
    guest(mvpg);
    mvpg_init();
    flip(host_ste(0x300000), STE_I);
    sie_fault();
    check_fault(PGM_SEGMENT_TRANS, (DATA + 0x300000) | TEID_FETCH, CODE);
    if (facility(8)) {
        set_cr0(get_cr0() | edat);
        sie();
        check_partial(4, 0, dst, (u64)host_ste(0x300000) | 4);
        set_cr0(get_cr0() & ~edat);
    }
    flip(host_ste(0x300000), STE_I);

    /* A guest with DAT */
    guest(mvpg);
    guest_dat();
    gregs[1] = DATA;
    gregs[2] = SPECIAL;
    flip(host_pte(FRAME(PRIMARY)), PTE_I);
    sie_fault();
    check_fault(PGM_PAGE_TRANS, FRAME(PRIMARY) | TEID_FETCH, CODE);
    flip(host_pte(FRAME(PRIMARY)), PTE_I);
    flip(dst, PTE_I);
    sie_fault();
    check_fault(PGM_PAGE_TRANS, DATA | TEID_STORE, CODE);
    flip(dst, PTE_I);
    sie();
    check_diag(AT_END);
    check(G64(DATA) == 0x100);
    /* whose own page faults say which registers it was */
    SD->gpsw_addr = CODE;
    GUEST_PTE(SPECIAL) |= PTE_I;
    SD->ihcpu = 0xffff;
    sie();
    check_guest_pgm(0, PGM_PAGE_TRANS, CODE);
    check(G64(0xa8) == (SPECIAL | TEID_FETCH) && G8(0xa2) == 0x12);
    SD->gpsw_addr = CODE;
    SD->gpsw_mask |= PSW_DAT;
    SD->ictl = ICTL_PINT;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_PAGE_TRANS && SD->oai == 0x12);
}

GUEST_CODE(lra, "    lrag %r3,0(%r1)\n    ipm %r4\n" END);

/* LOAD REAL ADDRESS: tables can be missing, pages don't matter. */
static void test_lra(void)
{
    guest(lra);
    guest_dat();
    flip(host_pte(FRAME(PRIMARY)), PTE_I);
    sie();
    check_diag(AT_END);
    check(gregs[3] == FRAME(PRIMARY) && gregs[4] >> 28 == 0);
    flip(host_pte(FRAME(PRIMARY)), PTE_I);
    flip(host_pte(PAGES(PRIMARY)), PTE_I);
    SD->gpsw_addr = CODE;
    SD->ihcpu = 0xffff;
    sie_fault();
    check_fault(PGM_PAGE_TRANS, PAGES(PRIMARY) | TEID_FETCH, CODE);
    flip(host_pte(PAGES(PRIMARY)), PTE_I);
}

GUEST_CODE(lra_ar, "    sar %a1,%r5\n    lrag %r3,0(%r1)\n    ipm %r4\n" END);

/* Access-register translation, with tables that can be missing, too */
static void test_access_registers(void)
{
    guest(lra_ar);
    guest_dat();
    SD->gpsw_mask |= PSW_AR;
    gregs[5] = 1;                       /* the secondary space */
    sie();
    check_diag(AT_END);
    check(gregs[3] == FRAME(SECONDARY) && gregs[4] >> 28 == 0);

    SD->gpsw_addr = CODE;
    SD->gcr[2] = DATA;                  /* with an empty access list */
    G64(DATA + 16) = 0;
    gregs[5] = 8;
    sie();
    check_diag(AT_END);
    check((u32)gregs[3] == 0x80000029 && gregs[4] >> 28 == 3);

    SD->gpsw_addr = CODE;
    flip(host_pte(DATA), PTE_I);
    sie_fault();
    check_fault(PGM_PAGE_TRANS, DATA | TEID_FETCH, CODE + 4);
    flip(host_pte(DATA), PTE_I);
    asm volatile("sar %%a1,%0" : : "d" (0));
}

GUEST_CODE(ipte,
           "    lg %r3,0(%r1)\n"
           "    ipte %r6,%r1\n"
           "    lg %r3,0(%r1)\n"
           END);

/* The guest's own invalidation; its page table can be missing then. */
static void test_ipte(void)
{
    guest(ipte);
    guest_dat();
    gregs[6] = PAGES(PRIMARY);
    sie();
    check_guest_pgm(0, PGM_PAGE_TRANS, CODE + 10);
    check(GUEST_PTE(SPECIAL) == (FRAME(PRIMARY) | PTE_I));
    check(gregs[3] == 0x100);

    guest(ipte);
    guest_dat();
    gregs[6] = PAGES(PRIMARY);
    flip(host_pte(PAGES(PRIMARY)), PTE_P);
    sie_fault();
    check_fault(PGM_PROTECTION, PAGES(PRIMARY) | TEID_STORE | TEID_PROT,
                CODE + 6);
    flip(host_pte(PAGES(PRIMARY)), PTE_P);
    check(GUEST_PTE(SPECIAL) == FRAME(PRIMARY));
}

static inline void host_ipte(u64 table, u64 vaddr)
{
    asm volatile("ipte %0,%1" : : "a" (table), "a" (vaddr) : "memory");
}

/* What the host has changed is seen, without the guest's having to be told. */
static void test_host_ipte(void)
{
    guest(load);
    guest_dat();
    sie();
    check_diag(AT_END);
    host_ipte(PAGE_TABLES, FRAME(PRIMARY));
    SD->gpsw_addr = CODE;
    sie_fault();
    check_fault(PGM_PAGE_TRANS, FRAME(PRIMARY) | TEID_FETCH, CODE);
    *host_pte(FRAME(PRIMARY)) ^= PTE_I;
    sie();
    check_diag(AT_END);
}

static inline u64 get_key(u64 addr)
{
    u64 key = 0;

    asm volatile("iske %0,%1" : "+d" (key) : "a" (addr));
    return key;
}

static inline void set_key(u64 addr, u64 key)
{
    asm volatile("sske %0,%1" : : "d" (key), "a" (addr));
}

/* What the guest does to a page is recorded in the key of the host's page. */
static void test_storage_keys(void)
{
    const u64 page = GUEST + FRAME(PRIMARY);

    guest(load);
    guest_dat();
    set_key(page, 0x20);
    sie();
    check_diag(AT_END);
    check(get_key(page) == 0x24);       /* referenced */

    guest(store);
    guest_dat();
    set_key(page, 0x20);
    sie();
    check_diag(AT_END);
    check(get_key(page) == 0x26);       /* and changed */
    set_key(page, 0);
}

#define CR0_EDAT                0x800000
#define STE_FC                  0x400
#define FRAME_TABLE             0x200000

GUEST_CODE(frames,
           "    lg %r3,0x10(%r1)\n"
           "    lg %r4,0x10(%r2)\n"
           "    lrag %r5,0x10(%r1)\n"
           END);

static inline void set_prefix(u32 prefix)
{
    asm volatile("spx %0" : : "Q" (prefix) : "memory");
}

/* The addresses of large frames are absolute, in the guest and in the host. */
static void test_large_frames(void)
{
    vu64 *to = (vu64 *)(GUEST + 0x204000);
    u64 i;

    /* The guest's prefix area is in the second of its frames. */
    guest(frames);
    SD->cpuflags |= CPUSTAT_GED;
    SD->prefix = 0x104000;
    SD->gpsw_mask |= PSW_DAT;
    SD->gcr[0] |= CR0_EDAT;
    SD->gcr[1] = FRAME_TABLE;
    for (i = 0; i < 512; i++) {
        G64(FRAME_TABLE + i * 8) = i << 20 | STE_FC;
    }
    guest_lowcore(0x104000);
    G64(0x1010) = 11;
    G64(0x105010) = 22;
    gregs[1] = 0x1000;
    gregs[2] = 0x105000;
    sie();
    check_diag(AT_END);
    check(gregs[3] == 11 && gregs[4] == 22);
    check(gregs[5] == 0x105010);

    /* The host's prefix area is in a frame that it gives to the guest. */
    guest(frames);
    gregs[1] = 0x1000;
    gregs[2] = 0x205000;
    G64(0x205010) = 33;
    *(vu64 *)0x1010 = 44;
    for (i = 0; i < 0x1000 / 8; i++) {
        to[i] = ((vu64 *)0)[i];
    }
    *host_ste(0x200000) = (GUEST + 0x200000) | STE_FC;
    set_cr0(get_cr0() | CR0_EDAT);
    set_prefix(GUEST + 0x204000);
    sie();
    set_prefix(0);
    set_cr0(get_cr0() & ~(u64)CR0_EDAT);
    *host_ste(0x200000) = PAGE_TABLES + 2 * 0x800;
    asm volatile("ptlb" : : : "memory");
    check_diag(AT_END);
    check(gregs[3] == 11 && gregs[4] == 33);
}

int main(void)
{
    host_init();
    test_spaces();
    test_guest_faults();
    test_levels();
    test_host_faults();
    test_crossing();
    test_mvpg();
    test_lra();
    test_access_registers();
    test_ipte();
    test_host_ipte();
    test_storage_keys();
    test_large_frames();
    return 0;
}
