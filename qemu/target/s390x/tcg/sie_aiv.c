/*
 * Interpretive execution: adapter interruptions and zPCI of the guest
 *
 * What the guest does without an exit to its host.  As for all of SIE there is
 * no public description, see sie.c; relative to arch/s390 of Linux:
 *   kvm/s390/interrupt.c       adapter interruptions by way of the GISA
 *   kvm/s390/{s390,pci}.c      what the host sets up for zPCI interpretation
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "tcg_s390x.h"
#include "exec/helper-proto.h"
#include "hw/s390x/gisa.h"
#include "hw/s390x/ioinst.h"
#include "hw/s390x/s390-pci-bus.h"
#include "hw/s390x/s390_flic.h"

/* What a guest without adapter-interruption virtualization has: nothing. */
static S390Gisa no_gisa;

/* SIE begins; the guest's PSW and control registers follow. */
void s390_sie_aiv_enter(CPUS390XState *env, uint32_t gd)
{
    S390SieState *sie = &env->sie;

    sie->gisa = &no_gisa;
    sie->gisa_origin = 0;
    sie->gd = gd;

    if ((sie->eca & SIE_ECA_AIV) && (gd & S390_GISA_ORIGIN) &&
        s390_has_feat(S390_FEAT_SIE_AIV)) {
        S390Gisa *gisa = s390_gisa_map(gd & S390_GISA_ORIGIN);

        if (gisa) {
            sie->gisa = gisa;
            qatomic_set(&sie->gisa_origin, gd & S390_GISA_ORIGIN);
        }
    }
}

/* SIE has ended: from now on the CPU takes no interruption of the guest. */
void s390_sie_aiv_exit(CPUS390XState *env)
{
    S390SieState *sie = &env->sie;
    const uint32_t origin = sie->gisa_origin;
    S390Gisa *gisa = sie->gisa;

    sie->gisa = NULL;
    if (!origin) {
        return;
    }
    qatomic_set(&sie->gisa_origin, 0);
    /* Who makes an interruption pending looks for a CPU after that. */
    smp_mb();
    if (unlikely(s390_gisa_host_waits(gisa))) {
        BQL_LOCK_GUARD();
        s390_gisa_alert(origin, gisa, true);
    }
    s390_gisa_unmap(gisa);
}

/* Subclasses of adapter interruptions that the guest would take now */
static uint8_t enabled_iscs(CPUS390XState *env)
{
    return env->psw.mask & PSW_MASK_IO ? env->cregs[6] >> 24 : 0;
}

bool s390_sie_aiv_deliverable(CPUS390XState *env)
{
    return s390_gisa_mask(s390_gisa_read(env->sie.gisa), S390_GISA_IPM_SHIFT) &
           enabled_iscs(env);
}

/*
 * Let the guest have the interruption.  The lowcore has been found, and nothing
 * can fail any more.
 */
void s390_sie_aiv_deliver(CPUS390XState *env)
{
    S390SieState *sie = &env->sie;
    const int isc = s390_gisa_take(sie->gisa, enabled_iscs(env));
    uint64_t mask, addr;
    uint16_t source = 0;
    LowCore *lowcore;

    if (isc < 0) {
        return;
    }
    if ((sie->ecb3 & SIE_ECB3_AISII) &&
        (sie->gd & S390_GISA_FORMAT) == S390_GISA_FORMAT_1) {
        source = qatomic_xchg(&sie->gisa->aism[isc], 0);
    }

    lowcore = cpu_map_lowcore_int(env);
    lowcore->subchannel_id = cpu_to_be16(source << IO_INT_ADAPTER_AISM_SHIFT);
    lowcore->subchannel_nr = 0;
    lowcore->io_int_parm = 0;
    lowcore->io_int_word = cpu_to_be32(isc << 27 | IO_INT_WORD_AI);
    lowcore->io_old_psw.mask = cpu_to_be64(s390_cpu_get_psw_mask(env));
    lowcore->io_old_psw.addr = cpu_to_be64(env->psw.addr);
    mask = be64_to_cpu(lowcore->io_new_psw.mask);
    addr = be64_to_cpu(lowcore->io_new_psw.addr);
    cpu_unmap_lowcore_int(lowcore);

    s390_cpu_set_psw(env, mask, addr);
}

/* Does the guest execute SET INTERRUPTION CONTROLS itself? */
uint32_t HELPER(sie_sic_allowed)(CPUS390XState *env, uint64_t r1)
{
    S390SieState *sie = &env->sie;
    const uint16_t mode = r1;

    return (sie->ecb3 & SIE_ECB3_AISI) && sie->gisa_origin &&
           (sie->gd & S390_GISA_FORMAT) == S390_GISA_FORMAT_1 &&
           (mode == SIC_IRQ_MODE_ALL || mode == SIC_IRQ_MODE_SINGLE);
}

void s390_sie_sic(CPUS390XState *env, uint8_t isc, uint16_t mode)
{
    s390_gisa_set_mode(env->sie.gisa, isc, mode == SIC_IRQ_MODE_SINGLE);
}

/*
 * Does the guest execute a PCI load or store itself?  It does if the host says
 * so, and if the host has enabled the function for this guest; @handle is the
 * register with the function handle.
 */
uint32_t HELPER(sie_zpci_allowed)(CPUS390XState *env, uint64_t handle)
{
    S390SieState *sie = &env->sie;

    if (!(sie->ecb2 & SIE_ECB2_ZPCI_LSI) || !(sie->gd & S390_GISA_ORIGIN)) {
        return false;
    }
    BQL_LOCK_GUARD();
    return s390_pci_find_guest_dev(handle >> 32,
                                   sie->gd & S390_GISA_ORIGIN) != NULL;
}
