/*
 * Interpretive execution: which interceptions there are, and what is stored
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sie.h"

GUEST_CODE(end, END);

/* Instructions that are always the host's, in the supervisor state */
static const u64 always[] = {
    0x0104000000000000,     /* PTFF */
    0x0107000000000000,     /* SCKPF */
    0x8312004400000000,     /* DIAGNOSE */
    0xae12300000000000,     /* SIGP */
    0xb202100000000000,     /* STIDP */
    0xb204100000000000,     /* SCK */
    0xb210100000000000,     /* SPX */
    0xb211100000000000,     /* STPX */
    0xb212100000000000,     /* STAP */
    0xb214100000000000,     /* SIE */
    0xb220001200000000,     /* SERVC */
    0xb229001200000000,     /* ISKE */
    0xb22a001200000000,     /* RRBE */
    0xb22b001200000000,     /* SSKE */
    0xb22c001200000000,     /* TB */
    0xb230000000000000,     /* CSCH */
    0xb233100000000000,     /* SSCH */
    0xb235100000000000,     /* TSCH */
    0xb236100000000000,     /* TPI */
    0xb25f001200000000,     /* CHSC */
    0xb276000000000000,     /* XSCH */
    0xb27d100000000000,     /* STSI */
    0xb2b1000000000000,     /* STFL */
    0xb9a0801200000000,     /* CLP */
    0xb9a2001000000000,     /* PTF */
    0xb9ab001200000000,     /* ESSA */
    0xb9af001200000000,     /* PFMF */
    0xb9d3001200000000,     /* RPCIT */
    0xe501100020000000,     /* TPROT */
    0xe310100000d00000,     /* MPCIFC */
    0xe310100000d40000,     /* STPCIFC */
    0xeb12100000d10000,     /* SIC */
};

static u64 insn_len(u64 insn)
{
    switch (insn >> 62) {
    case 0:
        return 2;
    case 3:
        return 6;
    default:
        return 4;
    }
}

static void put_insn(u64 addr, u64 insn)
{
    int i;

    for (i = 0; i < 6; i++, insn <<= 8) {
        G8(addr + i) = insn >> 56;
    }
}

static void check_stored_insn(u64 insn)
{
    const u64 stored = (u64)SD->ipa << 48 | (u64)SD->ipb << 16;

    check((stored ^ insn) >> (64 - insn_len(insn) * 8) == 0);
}

static void test_always(void)
{
    unsigned i;

    for (i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        guest(end);
        put_insn(CODE, always[i]);
        sie();
        check_icpt(ICPT_INST);
        check(SD->icptstatus == 0);
        check_stored_insn(always[i]);
        check(SD->gpsw_addr == CODE + insn_len(always[i]));

        /* The target of EXECUTE: its length is that which counts. */
        guest(end);
        put_insn(CODE, 0x4400000000000000 | (u64)0x1008 << 32); /* ex 0,8(1) */
        gregs[1] = CODE;
        put_insn(CODE + 8, always[i]);
        sie();
        check_icpt(ICPT_INST);
        check(SD->icptstatus == (1 | 4 << 4));
        check_stored_insn(always[i]);
        check(SD->gpsw_addr == CODE + 4);

        guest(end);
        put_insn(CODE, 0xc600000000040000);                     /* exrl 0,.+8 */
        put_insn(CODE + 8, always[i]);
        sie();
        check_icpt(ICPT_INST);
        check(SD->icptstatus == (1 | 6 << 4));
        check_stored_insn(always[i]);
        check(SD->gpsw_addr == CODE + 6);

        /* The problem state is the guest's own business. PTFF has a query. */
        if (always[i] >> 48 == 0x0104) {
            continue;
        }
        guest(end);
        SD->gpsw_mask |= PSW_PSTATE;
        put_insn(CODE, always[i]);
        sie();
        check_guest_pgm(0, PGM_PRIVILEGED, CODE + insn_len(always[i]));
        check(G16(0x8c) == insn_len(always[i]));
    }
}

GUEST_CODE(controls,
           "    lctlg %c13,%c2,0x400\n"
           "    lctl %c13,%c2,0x400\n"
           "    stctg %c1,%c1,0x500\n"
           "    stctl %c1,%c1,0x500\n"
           "    lghi %r1,0x600\n"
           "    lpswe 0(%r1)\n"
           "    .org controls + 0x30\n"
           END);

static void test_controls(void)
{
    /* Nothing of it is intercepted if nobody asks for it. */
    guest(controls);
    guest_clear(0x400, 256);
    G64(0x408) = 0xc2000000;            /* CR14 */
    G64(0x418) = 0xe0;                  /* CR0 */
    G32(0x408) = G32(0x40c) = 0xe0;     /* CR15 and CR0 of LCTL */
    G64(0x600) = PSW_64;
    G64(0x608) = CODE + 0x30;
    sie();
    check_diag(AT_END);
    check(SD->gpsw_addr == CODE + 0x34);

    /* The range of registers wraps. */
    guest(controls);
    SD->lctl = 0x0ff0 | 0x1000;         /* all that are not loaded */
    SD->ictl = ICTL_LPSW;
    sie();
    check_icpt(ICPT_INST);
    check(SD->ipa == 0xb2b2);
    guest(controls);
    SD->lctl = 0x8000;
    sie();
    check_icpt(ICPT_INST);
    check(SD->ipa == 0xebd2 && SD->ipb == 0x0400002f);
    check(SD->gpsw_addr == CODE + 6);
    sie();
    check_icpt(ICPT_INST);
    check(SD->ipa == 0xb7d2);
    SD->lctl = 0;
    SD->ictl = ICTL_STCTL;
    sie();
    check_icpt(ICPT_INST);
    check(SD->ipa == 0xeb11 && (SD->ipb & 0xff) == 0x25);
    sie();
    check_icpt(ICPT_INST);
    check(SD->ipa == 0xb611);
}

GUEST_CODE(stfle, "    stfle 0x400\n" END);

static void test_stfle(void)
{
    vu64 *list = (vu64 *)FACILITIES;
    int i;

    guest(stfle);
    sie();
    check_icpt(ICPT_INST);
    check(SD->ipa == 0xb2b0);

    for (i = 0; i < 32; i++) {
        list[i] = 0x1111111111111111 * i;
    }
    guest(stfle);
    gregs[0] = 1;
    SD->fac = FACILITIES;
    sie();
    check_diag(AT_END);
    check(G64(0x400) == 0 && G64(0x408) == 0x1111111111111111);
}

GUEST_CODE(mvpg, "    mvpg %r1,%r2\n" END);

static void test_mvpg(void)
{
    guest(mvpg);
    gregs[1] = DATA;
    gregs[2] = CODE;
    sie();
    check_diag(AT_END);
    check(G64(DATA) == G64(CODE));

    guest(mvpg);
    SD->eca &= ~ECA_MVPGI;
    sie();
    check_icpt(ICPT_INST);
    check(SD->ipa == 0xb254 && SD->ipb >> 16 == 0x0012);
    check(SD->gpsw_addr == CODE + 4);
}

static void test_operation(void)
{
    static const u64 unknown[] = {
        0x0000000000000000, 0xb2ff123400000000, 0xe31234567800ffff,
    };
    unsigned i;

    for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        const u64 len = insn_len(unknown[i]);

        guest(end);
        put_insn(CODE, unknown[i]);
        sie();
        check_guest_pgm(0, PGM_OPERATION, CODE + len);

        guest(end);
        put_insn(CODE, unknown[i]);
        SD->ictl = ICTL_OPEREXC;
        sie();
        check_icpt(ICPT_OPEREXC);
        check(SD->icptstatus == 0);
        check_stored_insn(unknown[i]);
        check(SD->gpsw_addr == CODE + len);

        guest(end);
        put_insn(CODE, 0xc600000000040000);
        put_insn(CODE + 8, unknown[i]);
        SD->ictl = ICTL_OPEREXC;
        sie();
        check_icpt(ICPT_OPEREXC);
        check(SD->icptstatus == (1 | 6 << 4));
        check_stored_insn(unknown[i]);
        check(SD->gpsw_addr == CODE + 6);
    }
}

GUEST_CODE(pgm_addressing, "    lg %r3,0(%r1)\n" END);
GUEST_CODE(pgm_specification, "    lpq %r2,8(%r1)\n" END);
GUEST_CODE(pgm_data, "    cgit %r1,0,8\n" END);
GUEST_CODE(pgm_monitor, "    mc 0x123(%r1),5\n" END);
GUEST_CODE(pgm_privileged, "    ssm 0x400\n" END);
GUEST_CODE(pgm_protection, "    stg %r3,0\n" END);
GUEST_CODE(odd_psw, "    lghi %r1,0x600\n    lpswe 0(%r1)\n");

static void test_program(void)
{
    /* These come to the host in any case. */
    guest(pgm_addressing);
    gregs[1] = GUEST_SIZE;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_ADDRESSING && PGMILC == 6);
    check(SD->gpsw_addr == CODE + 6);

    guest(pgm_specification);
    gregs[1] = DATA;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_SPECIFICATION && PGMILC == 6);
    check(SD->gpsw_addr == CODE + 6);

    /* Unless the host leaves it to the guest */
    guest(pgm_specification);
    gregs[1] = DATA;
    SD->ecb |= ECB_SPECI;
    sie();
    check_guest_pgm(0, PGM_SPECIFICATION, CODE + 6);
    check(G16(0x8c) == 6);

    /* which must not make a loop of it */
    guest(pgm_specification);
    gregs[1] = DATA;
    SD->ecb |= ECB_SPECI;
    G64(0x1d8) = PGM_HANDLER + 1;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_SPECIFICATION);
    guest(pgm_specification);
    gregs[1] = DATA;
    SD->ecb |= ECB_SPECI;
    G64(0x1d0) = 0x0008000180000000;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_SPECIFICATION);

    /* A PSW that is wrong already when it is loaded */
    guest(odd_psw);
    G64(0x600) = 0x0008000180000000;
    G64(0x608) = CODE;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_SPECIFICATION && PGMILC == 0);
    check(SD->gpsw_mask == 0x0008000180000000);
    guest(end);
    SD->gpsw_mask = 0x100000000;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_SPECIFICATION && PGMILC == 0);

    /* The others go to the guest, or to the host if it wants them. */
    guest(pgm_data);
    gregs[1] = 0;
    sie();
    check_guest_pgm(0, PGM_DATA, CODE + 6);
    check(G32(0x90) == 0xff && G16(0x8c) == 6);
    guest(pgm_data);
    gregs[1] = 0;
    SD->ictl = ICTL_PINT;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_DATA && PGMILC == 6 && SD->dxc == 0xff);
    check(SD->gpsw_addr == CODE + 6 && G64(0x150) == 0);

    guest(pgm_monitor);
    gregs[1] = 0x55000;
    SD->gcr[8] = 0x8000 >> 5;
    sie();
    check_guest_pgm(0, PGM_MONITOR, CODE + 4);
    check(G16(0x94) == 5);
    check(G64(0xb0) == 0x55123);
    guest(pgm_monitor);
    gregs[1] = 0x55000;
    SD->gcr[8] = 0x8000 >> 5;
    SD->ictl = ICTL_PINT;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_MONITOR && PGMILC == 4);
    check(SD->mcn == 5 && SD->tecmc == 0x55123);

    guest(pgm_privileged);
    SD->gpsw_mask |= PSW_PSTATE;
    SD->ictl = ICTL_PINT;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_PRIVILEGED && PGMILC == 4);

    /* Low-address protection of the guest */
    guest(pgm_protection);
    SD->gcr[0] |= 0x10000000;
    sie();
    check_guest_pgm(0, PGM_PROTECTION, CODE + 6);
    check((G64(0xa8) & ~0xfffUL) == 0);
    guest(pgm_protection);
    SD->gcr[0] |= 0x10000000;
    SD->ictl = ICTL_PINT;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_PROTECTION && PGMILC == 6);
    check(SD->gpsw_addr == CODE + 6);
    /* Protection exceptions have a control of their own. */
    guest(pgm_protection);
    SD->gcr[0] |= 0x10000000;
    SD->eca &= ~ECA_PROTEXCI;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_PROTECTION);
}

GUEST_CODE(enable_ext,
           "    la %r2,1(%r2)\n"
           "    stosm 0x400,1\n"
           "    la %r2,1(%r2)\n"
           END);
GUEST_CODE(enable_io,
           "    la %r2,1(%r2)\n"
           "    stosm 0x400,2\n"
           "    la %r2,1(%r2)\n"
           END);

static void test_requests(void)
{
    /* Noticed before the first instruction, and not until enabled for */
    guest(enable_ext);
    SD->cpuflags |= CPUSTAT_STOP_INT | CPUSTAT_EXT_INT;
    SD->gpsw_mask |= PSW_EXT;
    sie();
    check_icpt(ICPT_STOP);
    check(SD->gpsw_addr == CODE && gregs[2] == 0);
    SD->cpuflags &= ~CPUSTAT_STOP_INT;
    sie();
    check_icpt(ICPT_EXTREQ);
    check(SD->gpsw_addr == CODE && gregs[2] == 0);
    SD->gpsw_mask &= ~PSW_EXT;
    sie();
    check_icpt(ICPT_EXTREQ);
    check(gregs[2] == 1 && SD->gpsw_addr == CODE + 8);
    check(SD->gpsw_mask & PSW_EXT);
    SD->cpuflags &= ~CPUSTAT_EXT_INT;
    sie();
    check_diag(AT_END);
    check(gregs[2] == 2);

    guest(enable_io);
    SD->cpuflags |= CPUSTAT_IO_INT;
    sie();
    check_icpt(ICPT_IOREQ);
    check(gregs[2] == 1 && SD->gpsw_addr == CODE + 8);
    sie();
    check_icpt(ICPT_IOREQ);
    check(gregs[2] == 1 && SD->gpsw_addr == CODE + 8);

    /* One that the guest is not enabled for is none. */
    guest(enable_io);
    SD->cpuflags |= CPUSTAT_EXT_INT;
    sie();
    check_diag(AT_END);
}

GUEST_CODE(load_wait, "    lpswe 0x600\n" END);

static void test_wait(void)
{
    guest(load_wait);
    G64(0x600) = PSW_WAIT | PSW_EXT | PSW_64;
    G64(0x608) = CODE + 4;
    sie();
    check_icpt(ICPT_WAIT);
    check(SD->gpsw_mask == (PSW_WAIT | PSW_EXT | PSW_64));
    check(SD->gpsw_addr == CODE + 4);
    /* Again, if the host does not do anything */
    sie();
    check_icpt(ICPT_WAIT);
    SD->gpsw_mask &= ~PSW_WAIT;
    sie();
    check_diag(AT_END);

    /* A disabled wait is the host's to judge. */
    guest(end);
    SD->gpsw_mask |= PSW_WAIT;
    sie();
    check_icpt(ICPT_WAIT);

    /* Requests come first: the CPU would not wait. */
    SD->gpsw_mask |= PSW_EXT | PSW_IO;
    SD->cpuflags |= CPUSTAT_IO_INT;
    sie();
    check_icpt(ICPT_IOREQ);
    SD->cpuflags |= CPUSTAT_EXT_INT;
    sie();
    check_icpt(ICPT_EXTREQ);
    SD->cpuflags |= CPUSTAT_STOP_INT;
    sie();
    check_icpt(ICPT_STOP);
    check(SD->gpsw_mask & PSW_WAIT);
}

GUEST_CODE(loop, "    la %r2,1(%r2)\n    brc 15,.-4\n");

/* An interruption of the host: SIE is nullified and can go on later. */
static void test_host_interruption(void)
{
    u64 count = 0;
    int i = 0;

    guest(loop);
    set_cr0(get_cr0() | 0x800);
    while (i < 5) {
        set_clock_comparator(get_clock() + (1000 << 12));
        asm volatile("stosm 0x308,1");
        sie_at((u64)SD);
        asm volatile("stnsm 0x308,0xfe");
        if (SD->cpuflags & CPUSTAT_STOP_INT) {
            SD->cpuflags &= ~CPUSTAT_STOP_INT;  /* came too early */
            continue;
        }
        check(host_ext_code == 0x1004 && !host_pgm_code);
        check(host_old_addr == (u64)sie_insn);
        check_icpt(0);
        check(SD->gpsw_addr == CODE || SD->gpsw_addr == CODE + 4);
        check(gregs[2] >= count);
        count = gregs[2];
        i++;
    }
    check(count);
    set_cr0(get_cr0() & ~0x800UL);
}

#define IPTE_CONTROL            (*(vu64 *)SCA)
#define IPTE_CONTROL_K          (1UL << 63)

/* Instructions that must not change a table while the host walks it */
static const u64 interlocked[] = {
    0xb221001200000000,     /* IPTE %r1,%r2 */
    0xb250006400000000,     /* CSP %r6,%r4 */
    0xb98a006400000000,     /* CSPG %r6,%r4 */
    0xb98e001200000000,     /* IDTE %r1,%r0,%r2 */
};

/* Each of them sets the invalid bit in the doubleword at DATA. */
static void interlock_guest(u64 insn)
{
    const int word = insn >> 48 == 0xb250;

    guest(end);
    put_insn(CODE, insn);
    G32(CODE + 4) = 0x83000000 | AT_END;
    G64(DATA) = 0;
    gregs[1] = DATA;        /* table, of pages or of segments */
    gregs[4] = DATA + 4 * word;
    gregs[7] = insn >> 48 == 0xb98e ? STE_I : PTE_I;
    SD->scaol = SCA;
}

static int interlock_entry_invalid(void)
{
    return G64(DATA) == PTE_I || G64(DATA) == STE_I;
}

static void test_interlock(void)
{
    unsigned i;
    u64 insn;

    for (i = 0; i < sizeof(interlocked) / sizeof(interlocked[0]); i++) {
        insn = interlocked[i];

        /* The host has it. */
        interlock_guest(insn);
        IPTE_CONTROL = IPTE_CONTROL_K | 5;
        sie();
        check_icpt(ICPT_INST);
        check_stored_insn(insn);
        check(SD->gpsw_addr == CODE + 4);
        check(IPTE_CONTROL == (IPTE_CONTROL_K | 5));
        check(!interlock_entry_invalid());

        /* It comes after the check for the problem state. */
        interlock_guest(insn);
        SD->gpsw_mask |= PSW_PSTATE;
        sie();
        check_guest_pgm(0, PGM_PRIVILEGED, CODE + 4);

        /* Nobody has it, before and after the instruction. */
        interlock_guest(insn);
        IPTE_CONTROL = 5;
        sie();
        check_diag(AT_END);
        check(IPTE_CONTROL == 5);
        check(interlock_entry_invalid());

        /* Exceptions of host and guest end the instruction, too. */
        interlock_guest(insn);
        flip(host_pte(DATA), PTE_I);
        sie_fault();
        flip(host_pte(DATA), PTE_I);
        check(host_pgm_code == PGM_PAGE_TRANS);
        check(IPTE_CONTROL == 5);
        interlock_guest(insn);
        gregs[1] = gregs[4] = GUEST_SIZE;
        sie();
        check_icpt(ICPT_PROGI);
        check(IPRCC == PGM_ADDRESSING);
        check(IPTE_CONTROL == 5);

        /* Without a control area there is no interlock. */
        interlock_guest(insn);
        SD->scaol = 0;
        IPTE_CONTROL = IPTE_CONTROL_K;
        sie();
        check_diag(AT_END);
        check(interlock_entry_invalid());
    }
}

/* What is wrong with SIE itself */
static void test_operand(void)
{
    guest(end);
    sie_at((u64)SD + 8);
    check(host_pgm_code == PGM_SPECIFICATION);
    check(host_old_addr == (u64)sie_done);
    check_icpt(0xee);
    sie_at(0x100000000000);
    check(host_pgm_code == PGM_ADDRESSING);
    check(host_old_addr == (u64)sie_done);
}

/* What is switched, and what isn't */
static void test_registers(void)
{
    int i;

    guest(end);
    for (i = 0; i < 14; i++) {
        gregs[i] = i * 0x1234567;
    }
    SD->gg14 = 14;
    SD->gg15 = 15;
    SD->gcr[5] = 5;
    SD->pp = 0x4711;
    SD->todpr = 0x815;
    put_insn(CODE, 0xeb0f040000240000);     /* stmg %r0,%r15,0x400 */
    G32(CODE + 6) = 0x83000500;
    sie();
    check_diag(AT_END);
    for (i = 0; i < 14; i++) {
        check(gregs[i] == i * 0x1234567UL);
        check(G64(0x400 + i * 8) == i * 0x1234567UL);
    }
    check(G64(0x470) == 14 && G64(0x478) == 15);
    check(SD->gg14 == 14 && SD->gg15 == 15);
    check(SD->gcr[5] == 5 && SD->pp == 0x4711 && SD->todpr == 0x815);
}

int main(void)
{
    host_init();
    test_always();
    test_controls();
    test_stfle();
    test_mvpg();
    test_operation();
    test_program();
    test_requests();
    test_wait();
    test_host_interruption();
    test_interlock();
    test_operand();
    test_registers();
    return 0;
}
