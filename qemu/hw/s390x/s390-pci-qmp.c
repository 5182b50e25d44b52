/*
 * Monitor commands for zPCI functions
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/s390x/s390-pci-bus.h"
#include "hw/s390x/s390-pci-kvm.h"
#include "qapi/qapi-commands-misc-target.h"
#include "qapi/type-helpers.h"

static const char *const state_names[] = {
    [ZPCI_FS_RESERVED] = "reserved",
    [ZPCI_FS_STANDBY] = "standby",
    [ZPCI_FS_DISABLED] = "disabled",
    [ZPCI_FS_ENABLED] = "enabled",
    [ZPCI_FS_BLOCKED] = "blocked",
    [ZPCI_FS_ERROR] = "error",
    [ZPCI_FS_PERMANENT_ERROR] = "permanent-error",
};

static void s390_pci_describe(GString *buf, S390PCIBusDevice *pbdev)
{
    S390PCIIOMMU *iommu = pbdev->iommu;
    S390PCIIoatStats stats;

    g_string_append_printf(buf, "%s: fid=0x%08x uid=0x%04x fh=0x%08x "
                           "device=%s\n", pbdev->target, pbdev->fid,
                           pbdev->uid, pbdev->fh, pbdev->pdev ?
                           object_get_typename(OBJECT(pbdev->pdev)) : "none");
    if (!pbdev->pdev) {
        return;
    }

    g_string_append_printf(buf, "    state=%s interpretation=%s "
                           "forwarding=%s\n", state_names[pbdev->state],
                           pbdev->interp ? "on" : "off",
                           pbdev->interp && pbdev->forwarding_assist ?
                           "on" : "off");
    g_string_append_printf(buf, "    translation: path=%s ioat=%s bound=%s "
                           "memory=%s\n",
                           S390PciIoatPath_str(s390_pci_ioat_path(pbdev)),
                           OnOffAuto_str(pbdev->ioat),
                           pbdev->kvm_fd >= 0 ? "yes" : "no",
                           !pbdev->guest_memory ? "mapped" :
                           pbdev->ioat_memory == S390_PCI_IOAT_MEMORY_PINNED ?
                           "pinned" : "on-demand");
    if (pbdev->ioat_reason) {
        g_string_append_printf(buf, "    reason: %s\n", pbdev->ioat_reason);
    }
    if (pbdev->table_rc) {
        g_string_append_printf(buf, "    reason: the host does not accept the "
                               "guest's table: %s\n",
                               strerror(-pbdev->table_rc));
    }
    if (iommu->enabled) {
        g_string_append_printf(buf, "    table: iota=0x%" PRIx64
                               " pba=0x%" PRIx64 " pal=0x%" PRIx64 "\n",
                               iommu->g_iota, iommu->pba, iommu->pal);
    }

    s390_pci_kvm_ioat_stats(pbdev, &stats);
    g_string_append_printf(buf, "    rpcits: kernel=%" PRIu64 " nores=%" PRIu64
                           " passed-on=%" PRIu64 " user=%" PRIu64 "\n",
                           stats.rpcits,
                           stats.rpcits_nores + pbdev->rpcits_nores,
                           stats.rpcits_user, pbdev->rpcits);
    g_string_append_printf(buf, "    requests: map=%" PRIu64 " unmap=%" PRIu64
                           " invalidate=%" PRIu64 "\n", pbdev->dma_maps,
                           pbdev->dma_unmaps, pbdev->invalidations);
}

HumanReadableText *qmp_x_query_zpci(Error **errp)
{
    g_autoptr(GString) buf = g_string_new("");
    S390PCIBusDevice *pbdev;

    /* The machine "none" has no functions. */
    if (object_resolve_path_type("", TYPE_S390_PCI_HOST_BRIDGE, NULL)) {
        QTAILQ_FOREACH(pbdev, &s390_get_phb()->zpci_devs, link) {
            s390_pci_describe(buf, pbdev);
        }
    }

    return human_readable_text_from_str(buf);
}
