/*
 * Interpretive execution: START INTERPRETIVE EXECUTION (SIE) under TCG
 *
 * There is no public description of the instruction as it is today.  The
 * facts that this file relies on come from how Linux uses it, and from how
 * Linux itself emulates it for a nested hypervisor; where they stand is noted
 * beside them, relative to arch/s390:
 *   include/asm/kvm_host*.h       layout of the state description
 *   kernel/entry.S                world switch, what the host sees of it
 *   kvm/s390/{intercept,interrupt,s390,guestdbg}.c
 *                                 interceptions and intervention requests
 *   kvm/s390/vsie.c               checks, validity interceptions
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qapi/error.h"
#include "qemu/log.h"
#include "qemu/timer.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "tcg_s390x.h"
#include "s390-tod.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "exec/translation-block.h"
#include "hw/s390x/tod.h"
#include "migration/blocker.h"
#include "system/runstate.h"
#include "tcg/tcg.h"

/*
 * What a validity interception says in bits 0-15 of ipb: kvm/s390/vsie.c,
 * set_validity_icpt()
 */
#define SIE_VALIDITY_MODE       0x0001
#define SIE_VALIDITY_SLS        0x0007
#define SIE_VALIDITY_SCA_PREFIX 0x0011
#define SIE_VALIDITY_SCA        0x0034
#define SIE_VALIDITY_PREFIX     0x0037
#define SIE_VALIDITY_SCA_LOW    0x0038
#define SIE_VALIDITY_SCA_PAGE   0x003b
#define SIE_VALIDITY_FAC        0x1090
#define SIE_VALIDITY_GVRD       0x1310

/* Prefix field of the state description: kvm/s390/s390.h, GUEST_PREFIX_SHIFT */
#define SIE_PREFIX_MASK         0x7fffe000
#define SIE_MSO_MASK            (~0xfffffULL)
#define SIE_FAC_ORIGIN          0x7ffffff8
#define SIE_GVRD_ORIGIN         (~0x1ffULL)

/* System control area: struct bsca_block in include/asm/kvm_host.h */
#define SIE_SCA_ORIGIN          (~0xfULL)
#define SIE_SCA_SIZE            2112
/* its first doubleword, union ipte_control */
#define SIE_SCA_IPTE_K          0x8000000000000000ULL

/*
 * Timing facilities of the guest.  The host clock is that of the machine; the
 * guest sees it with the epoch difference added.
 */

static uint64_t sie_host_tod(int64_t now_ns)
{
    return s390_get_todstate()->base.low + time2tod(now_ns);
}

static void sie_arm_timer(QEMUTimer *timer, int64_t now, uint64_t tod_units)
{
    /* Later than it has to be by no more than this: saves timer_mod() calls */
    const int64_t slack = 1 * SCALE_US;
    int64_t armed, deadline;

    if (tod_units > INT64_MAX / 2) {
        return;
    }
    deadline = now + tod2time(tod_units) + 1;
    armed = timer_expire_time_ns(timer);

    /* One that expires too early is harmless: it is armed again then. */
    if (armed == -1 || armed > deadline + slack) {
        timer_mod(timer, deadline);
    }
}

/* Find out which conditions hold, and have the others noticed in time. */
static void sie_update_timers(CPUS390XState *env)
{
    S390SieState *sie = &env->sie;
    const int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    const uint64_t tod = sie_host_tod(now) + sie->epoch;
    const int64_t cputm = sie->cputm_end - time2tod(now);
    uint32_t events = 0;

    /* A timer that expires from now on must not be forgotten. */
    qatomic_set(&sie->timer_events, 0);

    if (tod > sie->ckc) {
        events |= SIE_TIMER_CKC;
    } else {
        sie_arm_timer(sie->ckc_timer, now, sie->ckc - tod);
    }
    if (cputm < 0) {
        events |= SIE_TIMER_CPU;
    } else {
        sie_arm_timer(sie->cputm_timer, now, cputm);
    }
    if (events) {
        qatomic_or(&sie->timer_events, events);
    }
}

static uint32_t sie_enabled_timers(CPUS390XState *env)
{
    uint32_t enabled = 0;

    if (env->psw.mask & PSW_MASK_EXT) {
        if (env->cregs[0] & CR0_CKC_SC) {
            enabled |= SIE_TIMER_CKC;
        }
        if (env->cregs[0] & CR0_CPU_TIMER_SC) {
            enabled |= SIE_TIMER_CPU;
        }
    }
    return enabled;
}

/* The guest's PSW, CR0 or timers have changed, an interruption may be due. */
void s390_sie_check_timers(CPUS390XState *env)
{
    if (qatomic_read(&env->sie.timer_events)) {
        qatomic_set(&env->sie.recheck, 1);
    }
}

/* The host's clock has been set. */
void s390_sie_tod_updated(CPUS390XState *env)
{
    if (env->sie.active) {
        sie_update_timers(env);
        s390_sie_check_timers(env);
    }
}

static void sie_timer_expired(CPUS390XState *env, uint32_t event)
{
    qatomic_or(&env->sie.timer_events, event);
    /* Whoever is in SIE polls this, there is no need to kick the CPU. */
    qatomic_set(&env->sie.recheck, 1);
}

static void sie_ckc_timer(void *opaque)
{
    sie_timer_expired(&S390_CPU(opaque)->env, SIE_TIMER_CKC);
}

static void sie_cputm_timer(void *opaque)
{
    sie_timer_expired(&S390_CPU(opaque)->env, SIE_TIMER_CPU);
}

uint64_t s390_sie_cpu_timer(CPUS390XState *env)
{
    return env->sie.cputm_end -
           time2tod(qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
}

void s390_sie_set_cpu_timer(CPUS390XState *env, uint64_t time)
{
    env->sie.cputm_end = time2tod(qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL)) + time;
    sie_update_timers(env);
    s390_sie_check_timers(env);
}

void s390_sie_set_clock_comparator(CPUS390XState *env, uint64_t ckc)
{
    env->sie.ckc = ckc;
    sie_update_timers(env);
    s390_sie_check_timers(env);
}

static void sie_set_validity(S390SieBlock *sd, uint16_t why)
{
    sd->ipa = 0;
    sd->ipb = cpu_to_be32((uint32_t)why << 16);
}

/*
 * The facility list for STFLE of the guest; the caller has made sure that
 * there is one.  It is in host storage, below 2 GiB.
 */
void s390_sie_facility_list(CPUS390XState *env, uint8_t *buf, size_t len,
                            uintptr_t ra)
{
    CPUState *cs = env_cpu(env);

    if (address_space_read(cs->as, env->sie.fac & SIE_FAC_ORIGIN,
                           MEMTXATTRS_UNSPECIFIED, buf, len) != MEMTX_OK) {
        sie_set_validity(env->sie.sd, SIE_VALIDITY_FAC);
        env->sie.icptcode = SIE_ICPT_VALIDITY;
        cs->exception_index = EXCP_SIE;
        cpu_loop_exit_restore(cs, ra);
    }
}

/*
 * World switch
 */

static bool sie_per(CPUS390XState *env)
{
    return s390_per_enabled(env) && (env->cregs[9] & PER_CR9_EVENT_STORE);
}

/*
 * Keep the guest's TLB entries of the last time if they are those of the same
 * guest CPU in the same state, and if that has not run elsewhere since.
 */
static void sie_flush_tlb(CPUS390XState *env, bool all)
{
    S390SieState *sie = &env->sie;
    const S390SieTlbTag tag = {
        .sd_addr = sie->sd_addr,
        .host_asce = sie->host_cregs[1],
        .host_cr0 = sie->host_cregs[0],
        .host_prefix = sie->host_psa,
        .mso = sie->mso,
        .msl = sie->msl,
        .prefix = env->psa,
        .cr0 = env->cregs[0],
        .edat1 = sie->edat1,
        .edat2 = sie->edat2,
        .iep = sie->iep,
        .hostprot = sie->ecb & SIE_ECB_HOSTPROTINT,
    };
    uint16_t idxmap = 0;

    if (all || tag.sd_addr != sie->tag.sd_addr ||
        tag.host_asce != sie->tag.host_asce ||
        tag.host_cr0 != sie->tag.host_cr0 ||
        tag.host_prefix != sie->tag.host_prefix ||
        tag.mso != sie->tag.mso || tag.msl != sie->tag.msl ||
        tag.prefix != sie->tag.prefix || tag.cr0 != sie->tag.cr0 ||
        tag.edat1 != sie->tag.edat1 || tag.edat2 != sie->tag.edat2 ||
        tag.iep != sie->tag.iep || tag.hostprot != sie->tag.hostprot) {
        idxmap = MMU_SIE_IDXMAP;
    } else {
        if (env->cregs[1] != sie->tag.cr1) {
            idxmap |= MMU_IDXMAP(MMU_SIE_BASE + MMU_PRIMARY_IDX);
        }
        if (env->cregs[7] != sie->tag.cr7) {
            idxmap |= MMU_IDXMAP(MMU_SIE_BASE + MMU_SECONDARY_IDX);
        }
        if (env->cregs[13] != sie->tag.cr13) {
            idxmap |= MMU_IDXMAP(MMU_SIE_BASE + MMU_HOME_IDX);
        }
    }
    /* The rest of the tag is taken when SIE is left. */
    sie->tag = tag;

    if (idxmap) {
        tlb_flush_by_mmuidx(env_cpu(env), idxmap);
    }
}

/*
 * The machine uses no more of the system control area than the interlock for
 * IPTE, but wants to find it in order.  All that is checked against is in one
 * CPU's registers and in the size of storage, so there is no need to look
 * twice.
 */
static uint16_t sie_validate_sca(CPUS390XState *env, const S390SieBlock *sd)
{
    const uint64_t sca = ((uint64_t)be32_to_cpu(sd->scaoh) << 32 |
                          be32_to_cpu(sd->scaol)) & SIE_SCA_ORIGIN;

    if (!sca) {
        env->sie.sca = 0;
        return 0;
    }
    if (sca < 2 * TARGET_PAGE_SIZE) {
        return SIE_VALIDITY_SCA_LOW;
    }
    if ((sca & ~0x1fffULL) == env->psa) {
        return SIE_VALIDITY_SCA_PREFIX;
    }
    /* The extended one consists of several pages, and is aligned. */
    if (!(sd->ecb2 & SIE_ECB2_ESCA) &&
        (sca & ~TARGET_PAGE_MASK) > TARGET_PAGE_SIZE - SIE_SCA_SIZE) {
        return SIE_VALIDITY_SCA_PAGE;
    }
    if (sca != env->sie.sca) {
        if (!mmu_absolute_addr_valid(sca, true)) {
            return SIE_VALIDITY_SCA;
        }
        env->sie.sca = sca;
    }
    return 0;
}

/*
 * Returns 0, or what to tell in a validity interception.  The host's part of
 * env->sie is in place.
 */
static uint16_t sie_validate(CPUS390XState *env, const S390SieBlock *sd,
                             uint32_t cpuflags, uint64_t mso, uint64_t msl)
{
    const uint64_t prefix = be32_to_cpu(sd->prefix) & SIE_PREFIX_MASK;
    const uint64_t gvrd = be64_to_cpu(sd->gvrd) & SIE_GVRD_ORIGIN;
    uint16_t why;

    if (!(cpuflags & SIE_CPUSTAT_ZARCH) ||
        (cpuflags & (SIE_CPUSTAT_RRF | SIE_CPUSTAT_MCDS)) ||
        ((cpuflags & SIE_CPUSTAT_GED) && (cpuflags & SIE_CPUSTAT_GED2))) {
        return SIE_VALIDITY_MODE;
    }
    if (cpuflags & (SIE_CPUSTAT_SLSV | SIE_CPUSTAT_SLSR)) {
        return SIE_VALIDITY_SLS;
    }
    if (mso > msl || prefix + 0x1fff > msl - mso) {
        return SIE_VALIDITY_PREFIX;
    }
    /*
     * The host sees to it that the first page can be stored into as long as
     * the guest runs: kvm/s390/vsie.c, map_prefix().
     */
    if (mmu_check_sie_prefix(env, mso + prefix)) {
        return SIE_VALIDITY_PREFIX;
    }
    why = sie_validate_sca(env, sd);
    if (why) {
        return why;
    }
    /* Vector registers are left to the host, and nobody else knows them. */
    if (gvrd && (be32_to_cpu(sd->eca) & SIE_ECA_VX) &&
        !(be32_to_cpu(sd->ecd) & SIE_ECD_HOSTREGMGMT)) {
        return SIE_VALIDITY_GVRD;
    }
    return 0;
}

/*
 * The interlock for instructions of the guest that change its translation
 * tables.  A host that walks these tables takes it, and wants the instructions
 * to be intercepted meanwhile; the machine takes it for each of them, so that
 * the host waits for the one that has begun.  See kvm/s390/gaccess.c,
 * ipte_lock_simple(), and kvm/s390/priv.c, handle_ipte_interlock().
 */
static uint64_t *sie_map_ipte_control(CPUS390XState *env)
{
    hwaddr len = sizeof(uint64_t);

    return cpu_physical_memory_map(env->sie.sca, &len, true);
}

static void sie_unmap_ipte_control(uint64_t *control)
{
    cpu_physical_memory_unmap(control, sizeof(*control), true,
                              sizeof(*control));
}

/*
 * Returns false if the instruction is to be intercepted.  An instruction that
 * is started over, as with cpu_loop_exit_atomic(), has the interlock already.
 */
uint32_t HELPER(sie_ipte_lock)(CPUS390XState *env)
{
    S390SieState *sie = &env->sie;
    uint64_t *control, old;

    if (!sie->sca || sie->ipte_locked) {
        return true;
    }
    control = sie_map_ipte_control(env);
    old = qatomic_fetch_or(control, cpu_to_be64(SIE_SCA_IPTE_K));
    sie_unmap_ipte_control(control);

    sie->ipte_locked = !(be64_to_cpu(old) & SIE_SCA_IPTE_K);
    return sie->ipte_locked;
}

static void sie_ipte_unlock(CPUS390XState *env)
{
    S390SieState *sie = &env->sie;
    uint64_t *control;

    if (sie->ipte_locked) {
        sie->ipte_locked = false;
        control = sie_map_ipte_control(env);
        qatomic_and(control, ~cpu_to_be64(SIE_SCA_IPTE_K));
        sie_unmap_ipte_control(control);
    }
}

void HELPER(sie_ipte_unlock)(CPUS390XState *env)
{
    sie_ipte_unlock(env);
}

static S390SieBlock *sie_map(CPUS390XState *env, hwaddr addr)
{
    hwaddr len = sizeof(S390SieBlock);
    S390SieBlock *sd;

    sd = cpu_physical_memory_map(addr, &len, true);
    if (sd && len < sizeof(S390SieBlock)) {
        cpu_physical_memory_unmap(sd, len, true, 0);
        sd = NULL;
    }
    return sd;
}

static void sie_unmap(S390SieBlock *sd)
{
    cpu_physical_memory_unmap(sd, sizeof(*sd), true, sizeof(*sd));
}

void HELPER(sie)(CPUS390XState *env, uint64_t addr, uint32_t ilen)
{
    const uintptr_t ra = GETPC();
    S390SieState *sie = &env->sie;
    CPUState *cs = env_cpu(env);
    const bool host_per = sie_per(env);
    uint64_t mso, msl;
    uint32_t cpuflags;
    uint16_t why;
    S390SieBlock *sd;
    bool flush;
    int i;

    if (addr & (sizeof(S390SieBlock) - 1)) {
        tcg_s390_program_interrupt(env, PGM_SPECIFICATION, ra);
    }
    /* kernel/entry.S, __sie64a: a physical address, not subject to DAT */
    if (!mmu_absolute_addr_valid(addr, true)) {
        tcg_s390_program_interrupt(env, PGM_ADDRESSING, ra);
    }
    sd = sie_map(env, addr);
    if (!sd) {
        tcg_s390_program_interrupt(env, PGM_ADDRESSING, ra);
    }

    /* The host's state goes out of the way... */
    memcpy(sie->host_cregs, env->cregs, sizeof(env->cregs));
    sie->host_psa = env->psa;

    cpuflags = be32_to_cpu(qatomic_read(&sd->cpuflags));
    if (cpuflags & SIE_CPUSTAT_SM) {
        /* guest-storage-limit suppression */
        mso = 0;
        msl = UINT64_MAX;
    } else {
        mso = be64_to_cpu(sd->mso) & SIE_MSO_MASK;
        msl = be64_to_cpu(sd->msl) | ~SIE_MSO_MASK;
    }
    why = sie_validate(env, sd, cpuflags, mso, msl);
    if (why) {
        sd->icptcode = SIE_ICPT_VALIDITY;
        sie_set_validity(sd, why);
        sie_unmap(sd);
        env->psw.addr += ilen;
        return;
    }

    sie->sd = sd;
    sie->sd_addr = addr;
    sie->host_ilen = ilen;
    sie->host_psw.mask = s390_cpu_get_psw_mask(env);
    sie->host_psw.addr = env->psw.addr;
    sie->host_gbea = env->gbea;
    sie->host_pp = env->pp;
    sie->host_todpr = env->todpr;
    sie->host_r14 = env->regs[14];
    sie->host_r15 = env->regs[15];

    /* ...and the guest's comes in. */
    sie->ictl = be32_to_cpu(sd->ictl);
    sie->lctl = be16_to_cpu(sd->lctl);
    sie->eca = be32_to_cpu(sd->eca);
    sie->fac = be32_to_cpu(sd->fac);
    sie->ecb2 = sd->ecb2;
    sie->ecb3 = sd->ecb3;
    s390_sie_aiv_enter(env, be32_to_cpu(sd->gd));
    sie->vx = sie->eca & SIE_ECA_VX;
    sie->edat1 = cpuflags & (SIE_CPUSTAT_GED | SIE_CPUSTAT_GED2);
    sie->edat2 = cpuflags & SIE_CPUSTAT_GED2;
    sie->ecb = sd->ecb;
    sie->iep = sd->ecb2 & SIE_ECB2_IEP;
    sie->mso = mso;
    sie->msl = msl;
    sie->per_enforced = cpuflags & SIE_CPUSTAT_P;
    sie->mmu_base = MMU_SIE_BASE;
    sie->active = true;

    for (i = 0; i < 16; i++) {
        env->cregs[i] = be64_to_cpu(sd->gcr[i]);
    }
    env->psa = be32_to_cpu(sd->prefix) & SIE_PREFIX_MASK;
    env->gbea = be64_to_cpu(sd->gbea);
    env->pp = be64_to_cpu(sd->pp);
    env->todpr = be32_to_cpu(sd->todpr);
    env->regs[14] = be64_to_cpu(sd->gg14);
    env->regs[15] = be64_to_cpu(sd->gg15);

    sie->epoch = be64_to_cpu(sd->epoch);
    sie->ckc = be64_to_cpu(sd->ckc);
    sie->cputm_end = time2tod(qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL)) +
                     be64_to_cpu(sd->cputm);
    qatomic_set(&sie->recheck, 0);
    sie_update_timers(env);

    /*
     * The CPU that ran the guest last.  The host stores a value that is no
     * CPU's to have the guest's translations forgotten: kvm/s390/s390.c,
     * KVM_REQ_TLB_FLUSH.
     */
    flush = be16_to_cpu(sd->ihcpu) != (uint16_t)env->core_id;
    sd->ihcpu = cpu_to_be16(env->core_id);
    sie_flush_tlb(env, flush);

    /* May find that a specification exception or a wait interception is due */
    s390_cpu_set_psw(env, be64_to_cpu(sd->gpsw_mask),
                     be64_to_cpu(sd->gpsw_addr));
    if (host_per || sie_per(env)) {
        s390_cpu_recompute_watchpoints(cs);
    }
    if (cs->exception_index != -1) {
        cpu_loop_exit(cs);
    }
}

static void sie_exit(CPUS390XState *env, uint8_t icptcode)
{
    S390SieState *sie = &env->sie;
    S390SieBlock *sd = sie->sd;
    const bool guest_per = sie_per(env);
    int i;

    sie_ipte_unlock(env);

    sd->icptcode = icptcode;
    sd->gpsw_mask = cpu_to_be64(s390_cpu_get_psw_mask(env));
    sd->gpsw_addr = cpu_to_be64(env->psw.addr);
    for (i = 0; i < 16; i++) {
        sd->gcr[i] = cpu_to_be64(env->cregs[i]);
    }
    sd->gbea = cpu_to_be64(env->gbea);
    sd->pp = cpu_to_be64(env->pp);
    sd->todpr = cpu_to_be32(env->todpr);
    sd->gg14 = cpu_to_be64(env->regs[14]);
    sd->gg15 = cpu_to_be64(env->regs[15]);
    sd->ckc = cpu_to_be64(sie->ckc);
    sd->cputm = cpu_to_be64(s390_sie_cpu_timer(env));

    sie->tag.cr0 = env->cregs[0];
    sie->tag.cr1 = env->cregs[1];
    sie->tag.cr7 = env->cregs[7];
    sie->tag.cr13 = env->cregs[13];

    sie->sd = NULL;
    sie_unmap(sd);

    sie->active = false;
    sie->per_enforced = false;
    sie->mmu_base = 0;
    sie->epoch = 0;
    sie->oai = 0;
    /* An event of an instruction that was nullified, or that is stored. */
    env->per_perc_atmid = 0;
    /* The machine may stop ahead of the target of EXECUTE: that starts over. */
    env->ex_value = 0;

    memcpy(env->cregs, sie->host_cregs, sizeof(env->cregs));
    env->psa = sie->host_psa;
    env->gbea = sie->host_gbea;
    env->pp = sie->host_pp;
    env->todpr = sie->host_todpr;
    env->regs[14] = sie->host_r14;
    env->regs[15] = sie->host_r15;
    env->psw = sie->host_psw;
    env->cc_op = (env->psw.mask >> 44) & 3;

    if (guest_per || sie_per(env)) {
        s390_cpu_recompute_watchpoints(env_cpu(env));
    }
    s390_sie_aiv_exit(env);
}

/* An interception completes SIE. */
static void sie_intercept(CPUS390XState *env, uint8_t icptcode)
{
    sie_exit(env, icptcode);
    env->psw.addr += env->sie.host_ilen;
}

/*
 * Whatever else ends SIE nullifies it: the PSW of the host is still at the
 * instruction, which continues the guest when it is executed again.  See the
 * interruption handlers in kernel/entry.S.
 */
void s390_sie_leave(CPUS390XState *env)
{
    if (env->sie.active) {
        sie_exit(env, SIE_ICPT_NONE);
    }
}

/*
 * Interceptions
 */

void HELPER(sie_intercept)(CPUS390XState *env, uint32_t icptcode,
                           uint64_t insn, uint32_t ilen, uint32_t execute)
{
    S390SieState *sie = &env->sie;
    S390SieBlock *sd = sie->sd;
    uint8_t status = 0;

    if (icptcode == SIE_ICPT_OPEREXC && !(sie->ictl & SIE_ICTL_OPEREXC)) {
        tcg_s390_program_interrupt(env, PGM_OPERATION, GETPC());
    }

    /* kvm/s390/intercept.c, kvm_s390_get_ilen() */
    if (execute) {
        status |= SIE_ICPTSTATUS_EXECUTE | ilen << 4;
    }
    if (env->per_perc_atmid & PER_CODE_EVENT_IFETCH) {
        status |= SIE_ICPTSTATUS_PER_IFETCH;
    }
    sd->icptstatus = status;
    sd->ipa = cpu_to_be16(insn >> 48);
    sd->ipb = cpu_to_be32(insn >> 16);

    env->psw.addr = wrap_address(env, env->psw.addr + ilen);
    sie_intercept(env, icptcode);
}

/*
 * The host wants the guest to stop, or has an interruption for it that the
 * guest was not enabled for when it was entered; or a timer has expired.
 */
static bool sie_intervention(CPUS390XState *env)
{
    S390SieState *sie = &env->sie;
    const uint32_t cpuflags = be32_to_cpu(qatomic_read(&sie->sd->cpuflags));

    if (cpuflags & SIE_CPUSTAT_STOP_INT) {
        sie->icptcode = SIE_ICPT_STOP;
    } else if ((cpuflags & SIE_CPUSTAT_EXT_INT) &&
               (env->psw.mask & PSW_MASK_EXT)) {
        sie->icptcode = SIE_ICPT_EXTREQ;
    } else if ((cpuflags & SIE_CPUSTAT_IO_INT) &&
               (env->psw.mask & PSW_MASK_IO)) {
        sie->icptcode = SIE_ICPT_IOREQ;
    } else if (qatomic_xchg(&sie->recheck, 0) &&
               (qatomic_read(&sie->timer_events) & sie_enabled_timers(env))) {
        /* May turn out to be nothing, when there is a clock to look at. */
        sie->icptcode = SIE_ICPT_EXTINT;
    } else if (s390_sie_aiv_deliverable(env)) {
        sie->icptcode = SIE_ICPT_GISA;
    } else {
        return false;
    }
    return true;
}

void HELPER(sie_poll)(CPUS390XState *env)
{
    CPUState *cs = env_cpu(env);

    if (!sie_intervention(env)) {
        return;
    }

    /*
     * We are in front of the first instruction of a TB, where the clock must
     * not be read with -icount: leave from the main loop.
     */
    cs->exception_index = EXCP_SIE;
    cpu_loop_exit_restore(cs, GETPC());
}

/* The guest has a new PSW, other than by one of the branches. */
void s390_sie_psw_loaded(CPUS390XState *env)
{
    if (env->psw.mask & PSW_MASK_WAIT) {
        env->sie.icptcode = SIE_ICPT_WAIT;
        env_cpu(env)->exception_index = EXCP_SIE;
    }
    s390_sie_check_timers(env);
}

/* mmu_translate() and friends have returned SIE_HOST_FAULT */
G_NORETURN void s390_sie_host_fault(CPUS390XState *env, uintptr_t ra)
{
    CPUState *cs = env_cpu(env);

    cs->exception_index = EXCP_SIE_FAULT;
    cpu_loop_exit_restore(cs, ra);
}

/*
 * MOVE PAGE of a guest without DAT has failed because of the host's.  Unlike
 * other instructions it leaves it to the host to make both pages accessible at
 * once: kvm/s390/vsie.c, vsie_handle_mvpg().  Returns if it is not one of those
 * cases; then the host has an access exception.
 */
void s390_sie_partial_mvpg(CPUS390XState *env, uint64_t dst, uint64_t src,
                           int r1, int r2, uintptr_t ra)
{
    S390SieState *sie = &env->sie;
    S390SieBlock *sd = sie->sd;
    CPUState *cs = env_cpu(env);
    uint64_t pei_dst, pei_src;
    uint8_t status = 0;

    if ((env->psw.mask & PSW_MASK_DAT) ||
        !mmu_sie_pei(env, dst, &pei_dst) || !mmu_sie_pei(env, src, &pei_src) ||
        sie->fault_code == PGM_PROTECTION) {
        return;
    }

    cpu_restore_state(cs, ra);
    if (tcg_tb_lookup(ra)->cs_base) {
        /* see HELPER(sie_intercept) */
        status |= SIE_ICPTSTATUS_EXECUTE | env->int_pgm_ilen << 4;
    }
    if (env->per_perc_atmid & PER_CODE_EVENT_IFETCH) {
        status |= SIE_ICPTSTATUS_PER_IFETCH;
    }
    sd->icptstatus = status;
    sd->ipa = cpu_to_be16(0xb254);
    sd->ipb = cpu_to_be32((r1 << 4 | r2) << 16);
    sd->pei_dest = cpu_to_be64(pei_dst);
    sd->pei_src = cpu_to_be64(pei_src);

    env->psw.addr = wrap_address(env, env->psw.addr + env->int_pgm_ilen);
    sie->icptcode = SIE_ICPT_PARTEXEC;
    cs->exception_index = EXCP_SIE;
    cpu_loop_exit(cs);
}

/*
 * The guest instruction is nullified, and so is SIE; the host has an access
 * exception for an address in its primary space, mm/fault.c there.
 */
static void sie_deliver_host_fault(CPUS390XState *env)
{
    S390SieState *sie = &env->sie;

    s390_sie_leave(env);
    env->int_pgm_ilen = sie->host_ilen;
    env->tlb_fill_exc = sie->fault_code;
    env->tlb_fill_tec = sie->fault_tec;
    trigger_pgm_exception(env, sie->fault_code);
}

/*
 * Find the guest's lowcore, before anything is changed that could not be done
 * again.  The result is that of mmu_translate().
 */
static int sie_find_lowcore(CPUS390XState *env)
{
    return mmu_translate_sie_real(env, 0, MMU_DATA_STORE, &env->sie.lowcore);
}

/* Returns true if the lowcore cannot be reached and SIE has been left. */
static bool sie_lowcore_missing(CPUS390XState *env)
{
    int r = sie_find_lowcore(env);

    if (likely(!r)) {
        return false;
    }
    if (r == SIE_HOST_FAULT) {
        sie_deliver_host_fault(env);
    } else {
        sie_set_validity(env->sie.sd, SIE_VALIDITY_PREFIX);
        sie_intercept(env, SIE_ICPT_VALIDITY);
    }
    return true;
}

static void sie_svc_interrupt(CPUS390XState *env)
{
    const uint16_t per_perc_atmid = env->per_perc_atmid;

    if (sie_lowcore_missing(env)) {
        return;
    }
    /* The PER event follows separately, it may be intercepted. */
    env->per_perc_atmid = 0;
    do_svc_interrupt(env);
    if (per_perc_atmid && env_cpu(env)->exception_index == -1) {
        env->per_perc_atmid = per_perc_atmid;
        env->int_pgm_ilen = env->int_svc_ilen;
        trigger_pgm_exception(env, PGM_PER);
    }
}

/*
 * Hand a program interruption to the host.  What it finds is what the guest's
 * lowcore would have: kvm/s390/intercept.c, inject_prog_on_prog_intercept()
 */
static void sie_intercept_program(CPUS390XState *env)
{
    S390SieState *sie = &env->sie;
    S390SieBlock *sd = sie->sd;
    const uint32_t code = env->int_pgm_code;
    uint32_t iprcc = code;

    if (s390_pgm_advances_psw(code) && env->int_pgm_ilen) {
        env->psw.addr = wrap_address(env, env->psw.addr + env->int_pgm_ilen);
    }

    sd->eai = s390_pgm_has_access_id(code) ? env->tlb_fill_ar : 0;
    sd->oai = 0;
    switch (code) {
    case PGM_PAGE_TRANS:
        sd->oai = sie->oai;
        /* fall through */
    case PGM_ASCE_TYPE:
    case PGM_REG_FIRST_TRANS:
    case PGM_REG_SEC_TRANS:
    case PGM_REG_THIRD_TRANS:
    case PGM_SEGMENT_TRANS:
    case PGM_PROTECTION:
        sd->tecmc = cpu_to_be64(env->tlb_fill_tec);
        break;
    case PGM_DATA:
    case PGM_VECTOR_PROCESSING:
        sd->dxc = cpu_to_be32(sie->dxc);
        break;
    case PGM_MONITOR:
        sd->mcn = cpu_to_be16(sie->mcn);
        sd->tecmc = cpu_to_be64(sie->moncode);
        break;
    }
    if (env->per_perc_atmid) {
        iprcc |= PGM_PER;
        sd->perc = env->per_perc_atmid >> 8;
        sd->peratmid = env->per_perc_atmid;
        sd->peraddr = cpu_to_be64(env->per_address);
        sd->peraid = 0;
    }
    sd->icptstatus = 0;
    sd->pgmilc = cpu_to_be16(env->int_pgm_ilen);
    sd->iprcc = cpu_to_be16(iprcc);
    sie_intercept(env, SIE_ICPT_PROGI);
}

/* Would the next specification exception be that of the new PSW? */
static bool sie_program_new_psw_valid(CPUS390XState *env)
{
    uint64_t mask, addr;
    LowCore *lowcore;

    if (sie_find_lowcore(env)) {
        /* That is found again, and dealt with. */
        return true;
    }
    lowcore = cpu_map_lowcore_int(env);
    mask = be64_to_cpu(lowcore->program_new_psw.mask);
    addr = be64_to_cpu(lowcore->program_new_psw.addr);
    cpu_unmap_lowcore_int(lowcore);

    return !is_early_exception_psw(mask, addr) && !(addr & 1);
}

/* Is the program interruption to come to the host? */
static bool sie_program_intercepted(CPUS390XState *env)
{
    const S390SieState *sie = &env->sie;

    if (sie->ictl & SIE_ICTL_PINT) {
        return true;
    }
    switch (env->int_pgm_code) {
    case PGM_ADDRESSING:
        return true;
    case PGM_PROTECTION:
        return !(sie->eca & SIE_ECA_PROTEXCI);
    case PGM_SPECIFICATION:
        /* A loop is always for the host: kvm/s390/intercept.c, handle_prog() */
        return !(sie->ecb & SIE_ECB_SPECI) || !sie_program_new_psw_valid(env);
    default:
        return false;
    }
}

static void sie_program_interrupt(CPUS390XState *env)
{
    S390SieState *sie = &env->sie;
    LowCore *lowcore;

    if (sie_program_intercepted(env)) {
        sie_intercept_program(env);
        return;
    }

    if (env->int_pgm_code == PGM_PER) {
        /*
         * The instruction has been completed and must not be executed again:
         * if the lowcore is not there, let the host deliver the event.
         */
        if (sie_find_lowcore(env)) {
            sie_intercept_program(env);
            return;
        }
    } else if (sie_lowcore_missing(env)) {
        return;
    }

    lowcore = cpu_map_lowcore_int(env);
    switch (env->int_pgm_code) {
    case PGM_DATA:
    case PGM_VECTOR_PROCESSING:
        lowcore->data_exc_code = cpu_to_be32(sie->dxc);
        break;
    case PGM_MONITOR:
        lowcore->mon_class_num = cpu_to_be16(sie->mcn);
        lowcore->monitor_code = cpu_to_be64(sie->moncode);
        break;
    case PGM_PAGE_TRANS:
        lowcore->op_access_id = sie->oai;
        sie->oai = 0;
        break;
    }
    cpu_unmap_lowcore_int(lowcore);
    do_program_interrupt(env);
}

/*
 * Interruptions of the guest's own clock comparator and CPU timer.  With
 * conditional external interception they go to the guest, unless the host
 * has another external interruption that could come first, or the new PSW
 * would make a loop: kvm/s390/intercept.c, handle_external_interrupt().
 */
static void sie_timer_interrupt(CPUS390XState *env)
{
    S390SieState *sie = &env->sie;
    S390SieBlock *sd = sie->sd;
    uint64_t mask, addr;
    LowCore *lowcore;
    uint32_t events;
    uint16_t code;

    sie_update_timers(env);
    events = sie->timer_events & sie_enabled_timers(env);
    if (!events) {
        return;
    }
    code = events & SIE_TIMER_CKC ? EXT_CLOCK_COMP : EXT_CPU_TIMER;

    if ((sie->eca & SIE_ECA_CEI) &&
        !(be32_to_cpu(qatomic_read(&sd->cpuflags)) & SIE_CPUSTAT_EXT_INT)) {
        if (sie_lowcore_missing(env)) {
            return;
        }
        lowcore = cpu_map_lowcore_int(env);
        mask = be64_to_cpu(lowcore->external_new_psw.mask);
        addr = be64_to_cpu(lowcore->external_new_psw.addr);
        if (!(mask & PSW_MASK_EXT)) {
            lowcore->ext_int_code = cpu_to_be16(code);
            lowcore->cpu_addr = 0;
            lowcore->external_old_psw.mask =
                cpu_to_be64(s390_cpu_get_psw_mask(env));
            lowcore->external_old_psw.addr = cpu_to_be64(env->psw.addr);
            cpu_unmap_lowcore_int(lowcore);
            s390_cpu_set_psw(env, mask, addr);
            return;
        }
        cpu_unmap_lowcore_int(lowcore);
    }

    sd->eiparams = 0;
    sd->extcpuaddr = 0;
    sd->eic = cpu_to_be16(code);
    sie_intercept(env, SIE_ICPT_EXTINT);
}

/* An adapter interruption is, or was a moment ago, pending in the GISA. */
static void sie_adapter_interrupt(CPUS390XState *env)
{
    if (s390_sie_aiv_deliverable(env) && !sie_lowcore_missing(env)) {
        /* Does nothing, if another CPU has been faster. */
        s390_sie_aiv_deliver(env);
    }
}

/*
 * The guest has loaded a PSW with which it would wait.  It does not, if
 * something is due that this PSW enables it for.
 */
static void sie_wait(CPUS390XState *env)
{
    qatomic_set(&env->sie.recheck, 1);
    while (sie_intervention(env)) {
        switch (env->sie.icptcode) {
        case SIE_ICPT_EXTINT:
            sie_timer_interrupt(env);
            break;
        case SIE_ICPT_GISA:
            sie_adapter_interrupt(env);
            break;
        default:
            sie_intercept(env, env->sie.icptcode);
            return;
        }
        /* The PSW of an interruption may be a wait again, or invalid. */
        if (!env->sie.active || !(env->psw.mask & PSW_MASK_WAIT) ||
            env_cpu(env)->exception_index != -1) {
            return;
        }
    }
    sie_intercept(env, SIE_ICPT_WAIT);
}

/*
 * The guest has stopped at something in the middle or at the end of a TB.
 * On return the CPU either goes on with the guest, or it is in the host; then
 * exception_index tells if there is an exception to be delivered there.
 */
void s390_sie_do_interrupt(CPUState *cs)
{
    CPUS390XState *env = cpu_env(cs);

    /* The instruction may have ended before its end. */
    sie_ipte_unlock(env);

    /* An interruption may load a PSW with another one, or a wait. */
    while (env->sie.active && cs->exception_index != -1) {
        const int excp = cs->exception_index;

        cs->exception_index = -1;
        switch (excp) {
        case EXCP_SIE_FAULT:
            sie_deliver_host_fault(env);
            break;
        case EXCP_SIE:
            if (env->sie.icptcode == SIE_ICPT_WAIT) {
                sie_wait(env);
            } else if (env->sie.icptcode == SIE_ICPT_EXTINT) {
                sie_timer_interrupt(env);
            } else if (env->sie.icptcode == SIE_ICPT_GISA) {
                sie_adapter_interrupt(env);
            } else {
                sie_intercept(env, env->sie.icptcode);
            }
            break;
        case EXCP_SVC:
            sie_svc_interrupt(env);
            break;
        case EXCP_PGM:
            sie_program_interrupt(env);
            break;
        default:
            g_assert_not_reached();
        }
    }
}

/*
 * Neither the migration stream nor a snapshot has a place for a CPU in SIE,
 * and none is needed: it can leave at any time, as for an interruption, and
 * SIE is executed again when the machine goes on.  That has to come before the
 * last of storage is saved.  A debugger wants to see where the CPU really is;
 * there is no migration until the machine has gone on.
 */
static void sie_vm_state_change(void *opaque, bool running, RunState state)
{
    S390CPU *cpu = opaque;
    S390SieState *sie = &cpu->env.sie;

    if (running) {
        migrate_del_blocker(&sie->blocker);
        return;
    }
    if (state == RUN_STATE_DEBUG && sie->active) {
        error_setg(&sie->blocker, "CPU %u has been stopped by a debugger "
                   "while it is in SIE; continue and stop the machine",
                   cpu->env.core_id);
        if (migrate_add_blocker_internal(&sie->blocker, NULL) == 0) {
            return;
        }
        /* Migration has begun: that matters more than the debugger's view. */
    }
    s390_sie_leave(&cpu->env);
}

void s390_sie_realize(S390CPU *cpu)
{
    S390SieState *sie = &cpu->env.sie;

    if (!test_bit(S390_FEAT_SIE_F2, cpu->model->features)) {
        return;
    }
    sie->ckc_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, sie_ckc_timer, cpu);
    sie->cputm_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, sie_cputm_timer, cpu);
    sie->vmstate = qemu_add_vm_change_state_handler(sie_vm_state_change, cpu);

    if (test_bit(S390_FEAT_SIE_AIV, cpu->model->features)) {
        /*
         * The machine changes interruption areas and indicators outside of
         * the CPUs' threads: even a single CPU is not alone with them.
         */
        tcg_cflags_set(CPU(cpu), CF_PARALLEL);
    }
}

void s390_sie_finalize(S390CPU *cpu)
{
    S390SieState *sie = &cpu->env.sie;

    timer_free(sie->ckc_timer);
    timer_free(sie->cputm_timer);
    if (sie->vmstate) {
        qemu_del_vm_change_state_handler(sie->vmstate);
    }
    migrate_del_blocker(&sie->blocker);
}
