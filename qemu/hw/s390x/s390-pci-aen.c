/*
 * s390 PCI: adapter event notification interpretation
 *
 * The host of a guest of SIE has a PCI function notify the guest: it hands over
 * a guest adapter interruption table (GAIT) and an array of summary bits of its
 * own, the forwarding AISB array.  A function that is registered with a bit of
 * the array and a guest designation belongs to the GAIT entry of this number.
 * That names the summary bit, the subclass and the GISA of the guest; or no
 * GISA, if the host wants to forward the event itself.
 *
 * There is no public description.  The facts come from how Linux uses it:
 * arch/s390/kvm/s390/pci.c, and aen_host_forward() in interrupt.c there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "hw/s390x/css.h"
#include "hw/s390x/gisa.h"
#include "hw/s390x/s390-pci-bus.h"
#include "migration/vmstate.h"
#include "system/tcg.h"
#include "trace.h"

/* Adapter interruption parameters block: struct zpci_aipb of Linux */
typedef struct Aipb {
    uint64_t faisb;
    uint64_t gait;
    uint16_t afi;
    uint32_t reserved;
    uint16_t faal;
} QEMU_PACKED Aipb;
QEMU_BUILD_BUG_ON(sizeof(Aipb) != 24);

#define AIPB_AFI        0x0007

/* Entry of the GAIT: struct zpci_gaite of Linux */
typedef struct Gaite {
    uint32_t gisa;
    uint8_t gisc;
    uint8_t count;          /* not zero: the entry is in use */
    uint8_t reserved;
    uint8_t aisbo;
    uint64_t aisb;
} Gaite;
QEMU_BUILD_BUG_ON(sizeof(Gaite) != 16);

#define GAITE_GISC      0x07
#define GAITE_AISBO     0x3f

/*
 * SET INTERRUPTION CONTROLS with operation 2.  The host does this once; after
 * a reset it may do it again.  Returns 0, or the negative code of a program
 * interruption.
 */
int s390_pci_set_aeni_controls(S390CPU *cpu, uint64_t iiba, uint8_t ar,
                               uintptr_t ra)
{
    S390pciState *s = s390_get_phb();
    Aipb aipb;

    if (iiba & 0x7) {
        return -PGM_SPECIFICATION;
    }
    if (s390_cpu_virt_mem_read(cpu, iiba, ar, &aipb, sizeof(aipb))) {
        s390_cpu_virt_mem_handle_exc(cpu, ra);
        return 0;
    }
    if (s->aipb.faal || !aipb.faal ||
        (be64_to_cpu(aipb.faisb) & 0x7) || (be64_to_cpu(aipb.gait) & 0xf)) {
        return -PGM_OPERAND;
    }

    s->aipb = (S390PCIAipb) {
        .faisb = be64_to_cpu(aipb.faisb),
        .gait = be64_to_cpu(aipb.gait),
        .faal = be16_to_cpu(aipb.faal),
        .afi = be16_to_cpu(aipb.afi) & AIPB_AFI,
    };
    trace_s390_pci_aeni_controls(s->aipb.faisb, s->aipb.gait, s->aipb.faal,
                                 s->aipb.afi);
    return 0;
}

/*
 * The host registers interruptions of the function.  They are for the guest if
 * the function has been enabled for it and the summary bit is in the forwarding
 * AISB array; else they are for the host itself, which names the guest then,
 * too.
 */
bool s390_pci_aen_register(S390PCIBusDevice *pbdev, uint32_t gd, uint64_t aisb,
                           uint8_t aisbo)
{
    const S390PCIAipb *aipb = &s390_get_phb()->aipb;
    uint64_t idx;

    if (!pbdev->gisa || (gd & S390_GISA_ORIGIN) != pbdev->gisa ||
        aisb < aipb->faisb) {
        return false;
    }
    idx = (aisb - aipb->faisb) * 8 + aisbo;
    if (aisb - aipb->faisb >= aipb->faal || idx >= aipb->faal) {
        return false;
    }
    pbdev->aen_gisa = pbdev->gisa;
    pbdev->gait_idx = idx;
    trace_s390_pci_aen_register(pbdev->fid, pbdev->gisa, idx);
    return true;
}

/* The host registers no interruptions any more. */
void s390_pci_aen_deregister(S390PCIBusDevice *pbdev)
{
    S390PCIBusDevice *other;

    if (!pbdev->forward) {
        return;
    }
    pbdev->forward = false;
    QTAILQ_FOREACH(other, &s390_get_phb()->zpci_devs, link) {
        if (other->forward && other->aen_gisa == pbdev->aen_gisa) {
            return;
        }
    }
    s390_gisa_forget(pbdev->aen_gisa);
}

/* The host has given an address where there is no storage. */
static void aen_error(S390PCIBusDevice *pbdev, uint64_t addr)
{
    pbdev->state = ZPCI_FS_ERROR;
    s390_pci_generate_error_event(ERR_EVENT_AIRERR, pbdev->fh, pbdev->fid,
                                  addr, 0);
}

/*
 * The host changes an entry while no function is registered with it, but for
 * what is all in one doubleword.
 */
static bool read_gaite(uint64_t addr, Gaite *gaite)
{
    uint64_t *words = (uint64_t *)gaite;
    MemTxResult r[2];

    words[0] = cpu_to_be64(address_space_ldq_be(&address_space_memory, addr,
                                                MEMTXATTRS_UNSPECIFIED, &r[0]));
    words[1] = cpu_to_be64(address_space_ldq_be(&address_space_memory, addr + 8,
                                                MEMTXATTRS_UNSPECIFIED, &r[1]));
    return r[0] == MEMTX_OK && r[1] == MEMTX_OK;
}

/* An indicator of the function has been set: tell the guest, or its host. */
void s390_pci_aen_forward(S390PCIBusDevice *pbdev)
{
    const S390PCIAipb *aipb = &s390_get_phb()->aipb;
    const uint64_t entry = aipb->gait + pbdev->gait_idx * sizeof(Gaite);
    uint32_t origin;
    S390Gisa *gisa;
    Gaite gaite;
    uint8_t isc;

    if (pbdev->gait_idx >= aipb->faal || !read_gaite(entry, &gaite)) {
        aen_error(pbdev, entry);
        return;
    }
    if (!gaite.count) {
        return;
    }
    origin = be32_to_cpu(gaite.gisa) & S390_GISA_ORIGIN;
    isc = gaite.gisc & GAITE_GISC;

    if (!origin) {
        trace_s390_pci_aen_forward(pbdev->fid, 0, isc, "host forwards");
        if (!s390_pci_set_indicator(aipb->faisb, pbdev->gait_idx)) {
            aen_error(pbdev, aipb->faisb);
            return;
        }
        css_adapter_forward(CSS_IO_ADAPTER_PCI, aipb->afi);
        return;
    }

    gisa = s390_gisa_map(origin);
    if (!gisa) {
        aen_error(pbdev, origin);
        return;
    }
    if (gaite.aisb && !s390_pci_set_indicator(be64_to_cpu(gaite.aisb),
                                              gaite.aisbo & GAITE_AISBO)) {
        aen_error(pbdev, be64_to_cpu(gaite.aisb));
    } else if (s390_gisa_interrupt(gisa, isc)) {
        trace_s390_pci_aen_forward(pbdev->fid, origin, isc, "pending");
        s390_gisa_alert(origin, gisa, false);
    } else {
        trace_s390_pci_aen_forward(pbdev->fid, origin, isc, "suppressed");
    }
    s390_gisa_unmap(gisa);
}

void s390_pci_aen_reset(S390pciState *s)
{
    memset(&s->aipb, 0, sizeof(s->aipb));
}

static bool aen_needed(void *opaque)
{
    S390pciState *s = opaque;

    return s->aipb.faal;
}

const VMStateDescription vmstate_s390_pci_aen = {
    .name = "s390-pci-aen",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = aen_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(aipb.faisb, S390pciState),
        VMSTATE_UINT64(aipb.gait, S390pciState),
        VMSTATE_UINT16(aipb.faal, S390pciState),
        VMSTATE_UINT8(aipb.afi, S390pciState),
        VMSTATE_END_OF_LIST()
    }
};
