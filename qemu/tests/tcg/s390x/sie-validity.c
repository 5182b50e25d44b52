/*
 * Interpretive execution: state descriptions that are unusual, and those that
 * are not valid; the prefix of the guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sie.h"

GUEST_CODE(end, END);

/* SIE has ended with @reason, and the guest has not come to do anything. */
#define check_validity(reason)                                              \
    do {                                                                    \
        sie();                                                              \
        check_icpt(ICPT_VALIDITY);                                          \
        check(SD->ipa == 0 && SD->ipb == (u32)(reason) << 16);              \
        check(SD->gpsw_addr == CODE);                                       \
    } while (0)

static void test_mode(void)
{
    static const u32 mode[] = {
        0, CPUSTAT_ZARCH | CPUSTAT_RRF, CPUSTAT_ZARCH | CPUSTAT_MCDS,
        CPUSTAT_ZARCH | CPUSTAT_GED | CPUSTAT_GED2,
    };
    unsigned i;

    for (i = 0; i < sizeof(mode) / sizeof(mode[0]); i++) {
        guest(end);
        SD->cpuflags = mode[i];
        check_validity(0x0001);
    }
    guest(end);
    SD->cpuflags |= CPUSTAT_SLSV;
    check_validity(0x0007);
    SD->cpuflags = CPUSTAT_ZARCH | CPUSTAT_SLSR;
    check_validity(0x0007);
    SD->cpuflags = CPUSTAT_ZARCH | CPUSTAT_GED;
    sie();
    check_diag(AT_END);
    SD->gpsw_addr = CODE;
    SD->cpuflags = CPUSTAT_ZARCH | CPUSTAT_GED2;
    sie();
    check_diag(AT_END);
}

GUEST_CODE(load, "    lg %r3,0(%r1)\n" END);

static void test_origin_and_limit(void)
{
    /* The storage of the guest is elsewhere in the host's space. */
    guest(load);
    SD->mso = SPACE_2;
    SD->msl = SPACE_2 + 0x100000;
    gregs[1] = 0x1ffff8;
    G64(gregs[1]) = 0x1234567887654321;
    sie();
    check_diag(AT_END);
    check(gregs[3] == 0x1234567887654321);
    SD->gpsw_addr = CODE;
    gregs[1] = 0x200000;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_ADDRESSING);

    /* Only whole megabytes count. */
    guest(load);
    SD->mso = SPACE_2 + 0xfffff;
    SD->msl = SPACE_2 + 0x12345;
    gregs[1] = 0xffff8;
    G64(gregs[1]) = 0x55;
    sie();
    check_diag(AT_END);
    check(gregs[3] == 0x55);
    SD->gpsw_addr = CODE;
    gregs[1] = 0xffffc;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_ADDRESSING);
    /* An address that would wrap */
    SD->gpsw_addr = CODE;
    gregs[1] = -SPACE_2;
    sie();
    check_icpt(ICPT_PROGI);
    check(IPRCC == PGM_ADDRESSING);

    /* A host fault tells the address in the host. */
    guest(load);
    SD->mso = SPACE_2 + 0x100000;
    SD->msl = SPACE_2 + 0x300000;
    guest_write(0x100000 + CODE, load, load_end);
    gregs[1] = DATA;
    flip(host_pte(0x100000 + DATA), PTE_I);
    sie_fault();
    check_fault(PGM_PAGE_TRANS, (SPACE_2 + 0x100000 + DATA) | TEID_FETCH, CODE);
    flip(host_pte(0x100000 + DATA), PTE_I);

    guest(end);
    SD->mso = 0x200000;
    SD->msl = 0x100000;
    check_validity(0x0037);

    /* Neither matters if they are suppressed. */
    SD->cpuflags |= CPUSTAT_SM;
    sie();
    check_diag(AT_END);
    guest(load);
    SD->cpuflags |= CPUSTAT_SM;
    SD->msl = 0;
    gregs[1] = GUEST_SIZE - 8;
    sie();
    check_diag(AT_END);
    SD->gpsw_addr = CODE;
    gregs[1] = GUEST_SIZE;
    sie_fault();
    check_fault(PGM_SEGMENT_TRANS, GUEST_SIZE | TEID_FETCH, CODE);
}

GUEST_CODE(prefix,
           "    lg %r3,0x700\n"
           "    lg %r4,0x1700\n"
           "    lg %r5,0x700(%r1)\n"
           "    stg %r5,0x708(%r1)\n"
           "    stg %r5,0x708\n"
           END
           /* an operation exception */
           "    .short 0\n");

static void test_prefix_at(u64 at)
{
    guest(prefix);
    SD->prefix = at;
    guest_clear(0, 512);
    guest_lowcore(at);
    gregs[1] = at;
    G64(0x700) = 0x1111;
    G64(0x708) = G64(at + 0x708) = 0;
    G64(at + 0x700) = 0x2222;
    G64(at + 0x1700) = 0x3333;
    sie();
    check_diag(AT_END);
    check(gregs[3] == 0x2222 && gregs[4] == 0x3333);
    check(gregs[5] == (at ? 0x1111 : 0x2222));
    check(G64(0x708) == gregs[5] && G64(at + 0x708) == gregs[5]);
    check(SD->prefix == at);

    /* The lowcore is where the prefix says. */
    sie();
    check_guest_pgm(at, PGM_OPERATION,
                    CODE + (prefix_end - prefix));
    check(!at || G16(0x8e) == 0);
}

static void test_prefix(void)
{
    test_prefix_at(0x40000);
    test_prefix_at(GUEST_SIZE - 0x2000);
    test_prefix_at(0x2000);

    /* The bits around the field do not count. */
    guest(end);
    SD->prefix = 0x80041fff;
    guest_lowcore(0x40000);
    sie();
    check_diag(AT_END);

    guest(end);
    SD->prefix = GUEST_SIZE;
    check_validity(0x0037);
    SD->prefix = GUEST_SIZE - 0x2000;
    SD->msl -= 0x100000;
    check_validity(0x0037);

    /* The host has to provide the first page, to be stored into. */
    guest(end);
    SD->prefix = 0x40000;
    flip(host_pte(0x40000), PTE_I);
    check_validity(0x0037);
    flip(host_pte(0x40000), PTE_I);
    flip(host_pte(0x40000), PTE_P);
    check_validity(0x0037);
    flip(host_pte(0x40000), PTE_P);
    flip(host_ste(0), STE_I);
    check_validity(0x0037);
    flip(host_ste(0), STE_I);
    flip(host_pte(0), PTE_I);
    flip(host_pte(0x41000), PTE_I);
    sie();
    check_diag(AT_END);
    flip(host_pte(0), PTE_I);
    flip(host_pte(0x41000), PTE_I);
    SD->mso = SPACE_2;
    SD->msl = SPACE_2 + 0x300000;
    SD->gpsw_addr = CODE;
    flip(host_ste(SPACE_2), STE_P);
    check_validity(0x0037);
    flip(host_ste(SPACE_2), STE_P);
    sie();
    check_diag(AT_END);
}

static void test_control_area(void)
{
    guest(end);
    SD->scaol = 0x1000;
    check_validity(0x0038);
    SD->scaol = SCA + 0x1000 - 2112 + 16;
    check_validity(0x003b);
    SD->ecb2 = ECB2_ESCA;
    sie();
    check_diag(AT_END);
    SD->gpsw_addr = CODE;
    SD->ecb2 = 0;
    SD->scaol = SCA + 0x1000 - 2112;
    sie();
    check_diag(AT_END);
    SD->gpsw_addr = CODE;
    SD->scaoh = 0x100;
    check_validity(0x0034);
}

GUEST_CODE(stfle, "    stfle 0x400\n" END);
GUEST_CODE(vector,
           "    .long 0xe710ffff\n"       /* vgbm %v1,0xffff */
           "    .short 0x0044\n"
           END);

static void test_others(void)
{
    /* A facility list that isn't there is noticed when it is used. */
    guest(end);
    SD->fac = 0x7fff0000;
    sie();
    check_diag(AT_END);
    guest(stfle);
    SD->fac = 0x7fff0000;
    check_validity(0x1090);

    /* Vector registers in storage, which would be swapped by the machine */
    guest(vector);
    SD->gcr[0] |= 0x60000;
    SD->gvrd = 0x2130000;
    sie();
    check_guest_pgm(0, PGM_DATA, CODE + 6);
    guest(vector);
    SD->gcr[0] |= 0x60000;
    SD->gvrd = 0x2130000;
    SD->eca |= ECA_VX;
    check_validity(0x1310);
    SD->ecd = ECD_HOSTREGMGMT;
    sie();
    check_diag(AT_END);
}

int main(void)
{
    host_init();
    test_mode();
    test_origin_and_limit();
    test_prefix();
    test_control_area();
    test_others();
    return 0;
}
