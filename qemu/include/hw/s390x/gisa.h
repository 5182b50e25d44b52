/*
 * Adapter interruptions for the guests of SIE
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_S390X_GISA_H
#define HW_S390X_GISA_H

#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"

/*
 * Guest interruption state area: what adapter interruptions are pending for
 * the guest of SIE, in storage of its host.  The layout is that of format 1 of
 * struct kvm_s390_gisa (Linux, arch/s390/include/asm/kvm_host_s390.h). Format 0
 * has neither modes nor source masks; what both have is at the same place.
 *
 * The host and all CPUs change it at any time, so all that is in the first
 * doubleword is changed by nothing but compare-and-swap of that doubleword.
 */
typedef struct S390Gisa {
    uint64_t word;              /* 0x00: S390_GISA_* */
    uint8_t  aism[8];           /* 0x08: source mask of each subclass */
    uint8_t  reserved[12];      /* 0x10 */
    uint32_t airq_count;        /* 0x1c */
} S390Gisa;
QEMU_BUILD_BUG_ON(sizeof(S390Gisa) != 32);

/* Fields of S390Gisa::word; a mask has bit 0x80 >> isc for each subclass */
#define S390_GISA_NEXT_SHIFT    32  /* next on the alert list, or itself */
#define S390_GISA_IPM_SHIFT     24  /* interruption pending mask */
#define S390_GISA_SIMM_SHIFT    16  /* single-interruption mode */
#define S390_GISA_NIMM_SHIFT    8   /* no-interruption mode */
#define S390_GISA_IAM_SHIFT     0   /* interruption alert mask */

/* Offset of the byte with the interruption pending mask */
#define S390_GISA_IPM_OFFSET    4

/*
 * A GISA designation has the origin, and in the state description the format,
 * too.
 */
#define S390_GISA_ORIGIN        0xffffffe0U
#define S390_GISA_FORMAT        0x00000003U
#define S390_GISA_FORMAT_1      0x00000001U

static inline uint8_t s390_gisa_mask(uint64_t word, int shift)
{
    return extract64(word, shift, 8);
}

static inline uint64_t s390_gisa_read(S390Gisa *gisa)
{
    return be64_to_cpu(qatomic_read__nocheck(&gisa->word));
}

static inline bool s390_gisa_cmpxchg(S390Gisa *gisa, uint64_t old,
                                     uint64_t new)
{
    return qatomic_cmpxchg__nocheck(&gisa->word, cpu_to_be64(old),
                                    cpu_to_be64(new)) == cpu_to_be64(old);
}

S390Gisa *s390_gisa_map(uint32_t origin);
void s390_gisa_unmap(S390Gisa *gisa);
bool s390_gib_valid(uint32_t origin);
bool s390_gisa_interrupt(S390Gisa *gisa, uint8_t isc);
int s390_gisa_take(S390Gisa *gisa, uint8_t iscs);
void s390_gisa_set_mode(S390Gisa *gisa, uint8_t isc, bool single);
bool s390_gisa_host_waits(S390Gisa *gisa);
void s390_gisa_alert(uint32_t origin, S390Gisa *gisa, bool left);
void s390_gisa_forget(uint32_t origin);
void s390_gisa_reset(void);

#endif
