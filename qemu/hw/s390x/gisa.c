/*
 * Adapter interruptions for the guests of SIE
 *
 * Adapter-interruption virtualization keeps the pending adapter interruptions
 * of a guest in a guest interruption state area (GISA).  A CPU that executes
 * the guest takes them from there.  If there is none that can, and the host
 * wants to know, the GISA is put on a list that begins in the guest
 * information block (GIB), and the host gets an adapter interruption itself.
 *
 * There is no public description.  The facts come from how Linux uses it:
 * arch/s390/kvm/s390/interrupt.c, foremost process_gib_alert_list().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/cpu-common.h"
#include "hw/s390x/css.h"
#include "hw/s390x/gisa.h"
#include "hw/s390x/ioinst.h"
#include "system/runstate.h"
#include "trace.h"

/* See struct kvm_s390_gib in arch/s390/include/asm/kvm_host.h of Linux. */
typedef struct S390Gib {
    uint32_t alert_list_origin; /* 0x00 */
    uint32_t reserved1;         /* 0x04 */
    uint8_t  nisc;              /* 0x08: the host's subclass for alerts */
    uint8_t  reserved2[23];     /* 0x09 */
} S390Gib;
QEMU_BUILD_BUG_ON(sizeof(S390Gib) != 32);

#define S390_GIB_NISC           0x07

static void *map_block(uint32_t origin, hwaddr size)
{
    hwaddr len = size;
    void *block;

    /* What is no storage would be mapped by way of a buffer. */
    if (!address_space_access_valid(&address_space_memory, origin, size, true,
                                    MEMTXATTRS_UNSPECIFIED)) {
        return NULL;
    }
    block = cpu_physical_memory_map(origin, &len, true);
    if (block && len < size) {
        cpu_physical_memory_unmap(block, len, true, 0);
        block = NULL;
    }
    return block;
}

/* NULL if there is no storage at the origin */
S390Gisa *s390_gisa_map(uint32_t origin)
{
    return map_block(origin, sizeof(S390Gisa));
}

void s390_gisa_unmap(S390Gisa *gisa)
{
    cpu_physical_memory_unmap(gisa, sizeof(*gisa), true, sizeof(*gisa));
}

/* Can there be a guest information block? */
bool s390_gib_valid(uint32_t origin)
{
    return address_space_access_valid(&address_space_memory, origin,
                                      sizeof(S390Gib), true,
                                      MEMTXATTRS_UNSPECIFIED);
}

/*
 * An adapter requests an interruption of the guest.  Returns false if the
 * guest does not want it now: it has asked for a single one, and had that.
 */
bool s390_gisa_interrupt(S390Gisa *gisa, uint8_t isc)
{
    const uint8_t bit = 0x80 >> isc;
    uint64_t old, new;

    do {
        old = s390_gisa_read(gisa);
        if (s390_gisa_mask(old, S390_GISA_NIMM_SHIFT) & bit) {
            return false;
        }
        new = old | (uint64_t)bit << S390_GISA_IPM_SHIFT;
        if (s390_gisa_mask(old, S390_GISA_SIMM_SHIFT) & bit) {
            new |= (uint64_t)bit << S390_GISA_NIMM_SHIFT;
        }
    } while (!s390_gisa_cmpxchg(gisa, old, new));

    return true;
}

/*
 * Take the pending interruption of highest priority out of the subclasses
 * in @iscs.  Returns its subclass, or -1.
 */
int s390_gisa_take(S390Gisa *gisa, uint8_t iscs)
{
    uint64_t old, new;
    int isc;

    do {
        old = s390_gisa_read(gisa);
        iscs &= s390_gisa_mask(old, S390_GISA_IPM_SHIFT);
        if (!iscs) {
            return -1;
        }
        isc = clz32(iscs) - 24;
        new = old & ~((0x80ULL >> isc) << S390_GISA_IPM_SHIFT);
    } while (!s390_gisa_cmpxchg(gisa, old, new));

    return isc;
}

/* The guest sets the interruption mode of a subclass, and wants the next. */
void s390_gisa_set_mode(S390Gisa *gisa, uint8_t isc, bool single)
{
    const uint64_t bit = 0x80 >> isc;
    uint64_t old, new;

    do {
        old = s390_gisa_read(gisa);
        new = old & ~(bit << S390_GISA_SIMM_SHIFT |
                      bit << S390_GISA_NIMM_SHIFT);
        if (single) {
            new |= bit << S390_GISA_SIMM_SHIFT;
        }
    } while (!s390_gisa_cmpxchg(gisa, old, new));
}

/* Is an interruption pending that the host wants to be alerted of? */
bool s390_gisa_host_waits(S390Gisa *gisa)
{
    const uint64_t word = s390_gisa_read(gisa);

    return s390_gisa_mask(word, S390_GISA_IPM_SHIFT) &
           s390_gisa_mask(word, S390_GISA_IAM_SHIFT);
}

/*
 * Is there for each of these interruptions a CPU that executes the guest, and
 * that takes it, at once or when it is enabled for I/O interruptions again?
 */
static bool gisa_accepted(uint32_t origin, S390Gisa *gisa, bool *enabled)
{
    const uint64_t word = s390_gisa_read(gisa);
    const uint8_t iscs = s390_gisa_mask(word, S390_GISA_IPM_SHIFT) &
                         s390_gisa_mask(word, S390_GISA_IAM_SHIFT);
    uint8_t now = 0, later = 0;
    CPUState *cs;

    RCU_READ_LOCK_GUARD();
    CPU_FOREACH(cs) {
        const CPUS390XState *env = cpu_env(cs);

        if (qatomic_read(&env->sie.gisa_origin) == origin) {
            later |= env->cregs[6] >> 24;
            if (env->psw.mask & PSW_MASK_IO) {
                now |= env->cregs[6] >> 24;
            }
        }
    }
    *enabled = !(iscs & ~now);
    return !(iscs & ~later);
}

/*
 * Mark the GISA as one that is on the alert list: it does not point to itself,
 * and causes no alert until the host sets its alert mask again.  Returns false
 * if there is nothing to be told to the host, or if it has been told.
 */
static bool gisa_start_alert(uint32_t origin, S390Gisa *gisa)
{
    uint64_t old, new;

    do {
        old = s390_gisa_read(gisa);
        if (old >> S390_GISA_NEXT_SHIFT != origin ||
            !(s390_gisa_mask(old, S390_GISA_IPM_SHIFT) &
              s390_gisa_mask(old, S390_GISA_IAM_SHIFT))) {
            return false;
        }
        new = deposit64(old, S390_GISA_NEXT_SHIFT, 32, 0);
        new = deposit64(new, S390_GISA_IAM_SHIFT, 8, 0);
    } while (!s390_gisa_cmpxchg(gisa, old, new));

    return true;
}

static void gisa_set_next(S390Gisa *gisa, uint32_t next)
{
    uint64_t old, new;

    do {
        old = s390_gisa_read(gisa);
        new = deposit64(old, S390_GISA_NEXT_SHIFT, 32, next);
    } while (!s390_gisa_cmpxchg(gisa, old, new));
}

/*
 * Put the GISA on the alert list.  Nobody but the holder of the BQL adds to the
 * list; the host takes all of it at once.
 */
static void gisa_do_alert(uint32_t origin, S390Gisa *gisa)
{
    uint32_t old;
    S390Gib *gib;
    uint8_t nisc;

    gib = map_block(css_get_gib(), sizeof(*gib));
    if (!gib) {
        return;
    }
    if (gisa_start_alert(origin, gisa)) {
        do {
            old = qatomic_read(&gib->alert_list_origin);
            gisa_set_next(gisa, be32_to_cpu(old));
        } while (qatomic_cmpxchg(&gib->alert_list_origin, old,
                                 cpu_to_be32(origin)) != old);
        nisc = gib->nisc & S390_GIB_NISC;
        trace_s390_gisa_alert(origin, be32_to_cpu(old), nisc);
        /*
         * If the list was not empty the host has not come to it yet.  While it
         * is at work it keeps the list from being empty, by an origin that is
         * none.
         */
        if (!old) {
            css_guest_alert(nisc);
        }
    }
    cpu_physical_memory_unmap(gib, sizeof(*gib), true, sizeof(*gib));
}

/*
 * GISAs whose guest executes, but is not enabled for an interruption, or is
 * between two executions of SIE.  This does not last long as a rule, and
 * alerts that turn out to be needless make it last longer: Linux looks every
 * 50 microseconds after what has become of an alert, by an interruption of
 * the CPU that executes the guest.  So wait a while before it is alerted.
 */
#define GISA_ALERT_DELAY_NS (10 * SCALE_MS)

static QEMUTimer *gisa_timer;
static GHashTable *gisa_delayed;

static void gisa_timer_expired(void *opaque)
{
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, gisa_delayed);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        const uint32_t origin = GPOINTER_TO_UINT(key);
        S390Gisa *gisa = s390_gisa_map(origin);
        bool enabled;

        if (gisa) {
            gisa_accepted(origin, gisa, &enabled);
            if (!enabled) {
                gisa_do_alert(origin, gisa);
            }
            s390_gisa_unmap(gisa);
        }
        g_hash_table_iter_remove(&iter);
    }
}

/*
 * What is delayed has no place in a migration stream: tell the host before the
 * last of storage is saved.  No CPU executes a guest any more.
 */
static void gisa_vm_state_change(void *opaque, bool running, RunState state)
{
    if (!running) {
        timer_del(gisa_timer);
        gisa_timer_expired(NULL);
    }
}

static void gisa_delay_alert(uint32_t origin)
{
    g_hash_table_add(gisa_delayed, GUINT_TO_POINTER(origin));
    if (!timer_pending(gisa_timer)) {
        timer_mod(gisa_timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
                              GISA_ALERT_DELAY_NS);
    }
}

/*
 * No adapter notifies this guest any more, and soon there may be something else
 * where its GISA is.
 */
void s390_gisa_forget(uint32_t origin)
{
    g_hash_table_remove(gisa_delayed, GUINT_TO_POINTER(origin));
}

/*
 * An interruption has become pending, or a CPU that might have taken it does
 * not execute the guest any more (@left): alert the host if it has to see to it
 * that the guest gets it.
 */
void s390_gisa_alert(uint32_t origin, S390Gisa *gisa, bool left)
{
    bool enabled;

    g_assert(bql_locked());
    if (!css_get_gib() || !s390_gisa_host_waits(gisa)) {
        return;
    }
    if (gisa_accepted(origin, gisa, &enabled) || left) {
        if (!enabled) {
            gisa_delay_alert(origin);
        }
    } else {
        gisa_do_alert(origin, gisa);
    }
}

/* What is on the list or is to be put there is of no interest any more. */
void s390_gisa_reset(void)
{
    if (gisa_timer) {
        timer_del(gisa_timer);
        g_hash_table_remove_all(gisa_delayed);
    } else if (s390_has_feat(S390_FEAT_SIE_AIV)) {
        gisa_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, gisa_timer_expired, NULL);
        gisa_delayed = g_hash_table_new(NULL, NULL);
        /* After the CPUs have left SIE */
        qemu_add_vm_change_state_handler_prio(gisa_vm_state_change, NULL, -1);
    }
}
