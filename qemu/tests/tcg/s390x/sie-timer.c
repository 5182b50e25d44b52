/*
 * Interpretive execution: clock and timers of the guest, waits for them, and
 * program-event recording that the host has asked for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sie.h"

#define US                      (1UL << 12)     /* a microsecond of the clock */
#define CR0_CKC                 0x800
#define CR0_CPU_TIMER           0x400
#define CLOCK_COMPARATOR        0x1004
#define CPU_TIMER               0x1005

GUEST_CODE(end, END);
GUEST_CODE(loop, "    la %r2,1(%r2)\n    brc 15,.-4\n");
GUEST_CODE(clocks,
           "    stck 0x400\n"
           "    stckf 0x408\n"
           "    stpt 0x410\n"
           "    stckc 0x418\n"
           "    stcke 0x428\n"
           END);

static void test_clocks(void)
{
    const u64 year = 0x0070000000000000;
    u64 before, after;

    guest(clocks);
    SD->epoch = year;
    SD->ckc = 0x1234567800000000;
    SD->cputm = 1UL << 61;
    before = get_clock();
    sie();
    after = get_clock();
    check_diag(AT_END);
    check(G64(0x400) - year >= before && G64(0x400) - year <= after);
    check(G64(0x408) - year >= before && G64(0x408) - year <= after);
    check(G64(0x410) <= 1UL << 61);
    check(G64(0x410) >= (1UL << 61) - (after - before));
    check(G64(0x418) == 0x1234567800000000);
    check(G64(0x429) - year >= before && G64(0x429) - year <= after);
    check(SD->ckc == 0x1234567800000000);
    check(SD->cputm <= G64(0x410));
    check(SD->cputm >= (1UL << 61) - (after - before));

    /* A guest that lives in the past */
    guest(clocks);
    SD->epoch = -get_clock();
    sie();
    check_diag(AT_END);
    check(G64(0x400) < 1UL << 50);
}

GUEST_CODE(set_timers,
           "    lghi %r1,0x700\n"
           "    spt 0(%r1)\n"
           "    sckc 8(%r1)\n"
           "    stpt 0x400\n"
           "    stckc 0x408\n"
           END);

/* What the guest sets is its own, and the host finds it. */
static void test_set_timers(void)
{
    guest(set_timers);
    G64(0x700) = 1UL << 60;
    G64(0x708) = 0x7777777777777777;
    set_clock_comparator(-1);
    sie();
    check_diag(AT_END);
    check(G64(0x400) <= 1UL << 60 && G64(0x400) > 1UL << 59);
    check(G64(0x408) == 0x7777777777777777 && SD->ckc == G64(0x408));
    check(SD->cputm <= 1UL << 60 && SD->cputm > 1UL << 59);
}

static void enable(u64 subclass)
{
    SD->gpsw_mask |= PSW_EXT;
    SD->gcr[0] = 0xe0 & ~(u64)(CR0_CKC | CR0_CPU_TIMER);
    SD->gcr[0] |= subclass;
}

GUEST_CODE(enable_late,
           "    la %r2,1(%r2)\n"
           "    stosm 0x400,1\n"
           "    la %r2,1(%r2)\n"
           END);
GUEST_CODE(load_cr0,
           "    la %r2,1(%r2)\n"
           "    lctlg %c0,%c0,0x600\n"
           "    la %r2,1(%r2)\n"
           "    nopr %r7\n"
           END);

/* Timers that have expired when SIE begins, or when the guest can be told */
static void test_expired(void)
{
    guest(end);
    enable(CR0_CKC | CR0_CPU_TIMER);
    SD->ckc = 0;
    SD->cputm = -1;
    sie();
    check_icpt(ICPT_EXTINT);
    check(EIC == CLOCK_COMPARATOR && SD->gpsw_addr == CODE);
    SD->ckc = -1;
    sie();
    check_icpt(ICPT_EXTINT);
    check(EIC == CPU_TIMER && SD->gpsw_addr == CODE);
    check((long)SD->cputm < 0);
    SD->cputm = 1UL << 62;
    sie();
    check_diag(AT_END);

    /* The epoch counts. */
    guest(end);
    enable(CR0_CKC);
    SD->ckc = get_clock() + 0x1000000000;
    SD->epoch = 0x2000000000;
    sie();
    check_icpt(ICPT_EXTINT);
    check(EIC == CLOCK_COMPARATOR);
    SD->ckc = get_clock() - 0x1000000000;
    SD->epoch = -0x2000000000;
    sie();
    check_diag(AT_END);

    /* Neither of the two masks is enough. */
    guest(end);
    enable(CR0_CPU_TIMER);
    SD->ckc = 0;
    sie();
    check_diag(AT_END);
    guest(end);
    enable(CR0_CKC);
    SD->gpsw_mask &= ~PSW_EXT;
    SD->ckc = 0;
    sie();
    check_diag(AT_END);

    guest(enable_late);
    enable(CR0_CPU_TIMER);
    SD->gpsw_mask &= ~PSW_EXT;
    SD->cputm = -5;
    sie();
    check_icpt(ICPT_EXTINT);
    check(EIC == CPU_TIMER && gregs[2] == 1 && SD->gpsw_addr == CODE + 8);
    guest(load_cr0);
    enable(0);
    SD->ckc = 0;
    G64(0x600) = 0xe0 | CR0_CKC;
    sie();
    check_icpt(ICPT_EXTINT);
    check(EIC == CLOCK_COMPARATOR && gregs[2] >= 1);
    check(SD->gcr[0] == (0xe0 | CR0_CKC));
}

/* While the guest is at work */
static void test_running(void)
{
    u64 before;

    guest(loop);
    enable(CR0_CKC);
    before = get_clock();
    SD->ckc = before + 5000 * US;
    sie();
    check_icpt(ICPT_EXTINT);
    check(EIC == CLOCK_COMPARATOR);
    check(get_clock() - before > 5000 * US);
    check(SD->gpsw_addr == CODE || SD->gpsw_addr == CODE + 4);

    guest(loop);
    enable(CR0_CPU_TIMER);
    SD->cputm = 5000 * US;
    sie();
    check_icpt(ICPT_EXTINT);
    check(EIC == CPU_TIMER && (long)SD->cputm < 0);
    check(SD->gpsw_addr == CODE || SD->gpsw_addr == CODE + 4);

    /* With conditional external interception the guest gets it. */
    guest(loop);
    enable(CR0_CKC);
    SD->eca |= ECA_CEI;
    SD->ckc = get_clock() + 500 * US;
    sie();
    check_diag(AT_EXT_HANDLER);
    check(G16(0x86) == CLOCK_COMPARATOR);
    check(G64(0x130) >> 56 == 1);
    check(G64(0x138) == CODE || G64(0x138) == CODE + 4);

    /* A new PSW that would be interrupted again is for the host. */
    guest(loop);
    enable(CR0_CPU_TIMER);
    SD->eca |= ECA_CEI;
    SD->cputm = -1;
    G64(0x1b0) |= PSW_EXT;
    sie();
    check_icpt(ICPT_EXTINT);
    check(EIC == CPU_TIMER && G16(0x86) == 0);
}

GUEST_CODE(wait, "    lpswe 0x600\n" END);

static void wait_init(u64 mask)
{
    guest(wait);
    G64(0x600) = PSW_WAIT | PSW_64 | mask;
    G64(0x608) = CODE + 4;
}

/* A wait is none if the timer has expired. */
static void test_wait(void)
{
    wait_init(PSW_EXT);
    enable(CR0_CKC);
    SD->gpsw_mask &= ~PSW_EXT;
    SD->ckc = 0;
    sie();
    check_icpt(ICPT_EXTINT);
    check(SD->gpsw_mask & PSW_WAIT);
    check(SD->gpsw_addr == CODE + 4);

    wait_init(PSW_EXT);
    enable(CR0_CKC);
    SD->gpsw_mask &= ~PSW_EXT;
    SD->ckc = 0;
    SD->eca |= ECA_CEI;
    sie();
    check_diag(AT_EXT_HANDLER);
    check(G64(0x130) & PSW_WAIT);
    check(G64(0x138) == CODE + 4);

    wait_init(0);
    enable(CR0_CKC);
    SD->gpsw_mask &= ~PSW_EXT;
    SD->ckc = 0;
    sie();
    check_icpt(ICPT_WAIT);
}

/*
 * As KVM does it: the host waits for the guest's clock comparator with its
 * own, and then lets the guest go on, which has the interruption.
 */
static void test_host_waits(void)
{
    vu64 psw[2] __attribute__((aligned(8)));
    u64 delay = 1000 * US;
    int waits = 0;

    set_cr0(get_cr0() | CR0_CKC);
    while (waits < 10) {
        wait_init(PSW_EXT);
        enable(CR0_CKC);
        SD->gpsw_mask &= ~PSW_EXT;
        SD->eca |= ECA_CEI;
        SD->epoch = 0x3000000000;
        SD->ckc = get_clock() + SD->epoch + delay;
        delay += 1000 * US;             /* should the machine be very slow */
        do {
            sie();
            if (SD->icptcode != ICPT_WAIT) {
                break;
            }
            waits++;
            set_clock_comparator(SD->ckc - SD->epoch);
            psw[0] = PSW_DAT | PSW_HOME | PSW_EXT | PSW_WAIT | PSW_64;
            asm volatile("larl %%r1,0f\n"
                         "stg %%r1,8(%0)\n"
                         "lpswe 0(%0)\n"
                         "0: stnsm 0x308,0xfe\n"
                         : : "a" (psw) : "r1", "memory", "cc");
            check(host_ext_code == CLOCK_COMPARATOR);
            SD->cpuflags &= ~CPUSTAT_STOP_INT;
        } while (1);
        check_diag(AT_EXT_HANDLER);
        check(G16(0x86) == CLOCK_COMPARATOR);
        check(G64(0x138) == CODE + 4);
        check(get_clock() + SD->epoch > SD->ckc);
    }
    set_cr0(get_cr0() & ~(u64)CR0_CKC);
    set_clock_comparator(-1);
}

GUEST_CODE(steps,
           "    la %r2,1(%r2)\n"
           "    stg %r2,0x700\n"
           "    diag %r0,%r0,0x123\n"
           "    la %r2,1(%r2)\n"
           "    nopr %r7\n"
           END);

/* Instruction fetching is recorded for the host: guest-PER enhancement. */
static void test_per(void)
{
    guest(steps);
    SD->cpuflags |= CPUSTAT_P;
    SD->ictl = ICTL_PINT;
    SD->gcr[9] = 0x40000000;
    SD->gcr[10] = 0;
    SD->gcr[11] = -1;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_PER && SD->perc == 0x40 && SD->peraddr == CODE);
    check(SD->gpsw_addr == CODE + 4 && gregs[2] == 1 && PGMILC == 4);
    check(!(SD->gpsw_mask & PSW_PER));
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_PER && SD->peraddr == CODE + 4);
    check(SD->gpsw_addr == CODE + 10 && G64(0x700) == 1 && PGMILC == 6);
    /* One that is intercepted, and once more as after a signal */
    sie();
    check_diag(0x123);
    check(SD->icptstatus == 0x02 && SD->gpsw_addr == CODE + 14);
    SD->gpsw_addr = CODE + 10;
    sie();
    check_diag(0x123);
    check(SD->icptstatus == 0x02 && SD->gpsw_addr == CODE + 14);
    SD->cpuflags &= ~CPUSTAT_P;
    sie();
    check_diag(AT_END);
    check(SD->icptstatus == 0);
    /* The guest's own goes to the guest. */
    guest(steps);
    SD->gpsw_mask |= PSW_PER;
    SD->gcr[9] = 0x40000000;
    SD->gcr[10] = SD->gcr[11] = CODE + 4;
    sie();
    check_guest_pgm(0, PGM_PER, CODE + 10);
    check(G8(0x96) == 0x40 && G64(0x98) == CODE + 4 && G64(0x700) == 1);
}

int main(void)
{
    host_init();
    test_clocks();
    test_set_timers();
    test_expired();
    test_running();
    test_wait();
    test_host_waits();
    test_per();
    return 0;
}
