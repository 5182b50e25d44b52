/*
 * Nested I/O address translation of passed-through zPCI functions
 *
 * The guest's memory is in an IOAS of iommufd. Functions with the same iommufd
 * object, the same first DMA address and the same kind of memory share it. A
 * parent HWPT maps all of it, or lets the host kernel pin what guests' tables
 * name.
 *
 * When the guest registers the I/O translation table of a function, the
 * function is attached to a nested HWPT, in which the host kernel mirrors the
 * table. KVM refreshes the mirror when the guest executes RPCIT, or QEMU does
 * so by IOMMU_HWPT_INVALIDATE.
 *
 * The VFIO container that the function has anyway stays empty meanwhile. The
 * function is attached to it again when QEMU has to map pages itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include <linux/iommufd.h>

#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/queue.h"
#include "hw/s390x/s390-pci-bus.h"
#include "hw/s390x/s390-pci-nested.h"
#include "hw/s390x/s390-virtio-ccw.h"
#include "hw/vfio/pci.h"
#include "hw/vfio/vfio-common.h"
#include "system/iommufd.h"

#define TYPE_S390_PCI_GUEST_MEMORY "s390-pci-guest-memory"
DECLARE_INSTANCE_CHECKER(S390PCIGuestMemory, S390_PCI_GUEST_MEMORY,
                         TYPE_S390_PCI_GUEST_MEMORY)

/* The memory of the guest, as functions see it that do without translation */
struct S390PCIGuestMemory {
    Object parent_obj;
    IOMMUFDBackend *be;
    uint64_t base;              /* I/O address of guest absolute address 0 */
    bool on_demand;             /* the parent HWPT maps nothing by itself */
    MemoryRegion root;
    MemoryRegion alias;
    AddressSpace as;
    VFIOIOMMUFDContainer *container;
    uint32_t hwpt_id;           /* the parent HWPT */
    unsigned int users;
    QLIST_ENTRY(S390PCIGuestMemory) next;
};

static QLIST_HEAD(, S390PCIGuestMemory) guest_memories =
    QLIST_HEAD_INITIALIZER(guest_memories);

/*
 * A nested HWPT. It is freed when no function is attached to it any more and no
 * refresh is in progress: IOMMU_DESTROY fails during a refresh. It keeps the
 * parent, and by that the iommufd open. The BQL protects the reference count.
 */
struct S390PCINestedHwpt {
    S390PCIGuestMemory *mem;
    uint32_t id;
    unsigned int refs;
};

static VFIODevice *vfio_device(S390PCIBusDevice *pbdev)
{
    return &container_of(pbdev->pdev, VFIOPCIDevice, pdev)->vbasedev;
}

static void guest_memory_free(S390PCIGuestMemory *mem)
{
    memory_region_del_subregion(&mem->root, &mem->alias);
    object_unparent(OBJECT(&mem->alias));
    /* Both are needed until the RCU callback of the address space has run. */
    address_space_destroy(&mem->as);
    object_unparent(OBJECT(&mem->root));
    object_unref(mem);
}

static S390PCIGuestMemory *guest_memory_new(VFIODevice *vdev, uint64_t base,
                                            bool on_demand, Error **errp)
{
    ERRP_GUARD();
    S390CcwMachineState *s390ms = S390_CCW_MACHINE(qdev_get_machine());
    uint32_t flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
    S390PCIGuestMemory *mem;

    mem = S390_PCI_GUEST_MEMORY(object_new(TYPE_S390_PCI_GUEST_MEMORY));
    mem->be = vdev->iommufd;
    mem->base = base;
    mem->on_demand = on_demand;
    if (on_demand) {
        flags |= IOMMU_HWPT_ALLOC_ON_DEMAND;
    }
    memory_region_init(&mem->root, OBJECT(mem), "zpci-guest-memory-root",
                       UINT64_MAX);
    memory_region_init_alias(&mem->alias, OBJECT(mem), "zpci-guest-memory",
                             get_system_memory(), 0,
                             s390_get_memory_limit(s390ms));
    memory_region_add_subregion(&mem->root, base, &mem->alias);
    address_space_init(&mem->as, &mem->root, "zpci-guest-memory");

    mem->container = vfio_iommufd_container_new(mem->be, &mem->as, errp);
    if (!mem->container) {
        guest_memory_free(mem);
        return NULL;
    }
    /* This pins all of it, or nothing: now is the time at which it may fail. */
    if (!iommufd_backend_alloc_hwpt(mem->be, vdev->devid,
                                    mem->container->ioas_id,
                                    flags, IOMMU_HWPT_DATA_NONE, 0, NULL,
                                    &mem->hwpt_id, errp)) {
        error_prepend(errp, on_demand ?
                      "the host kernel does not pin memory on demand: " :
                      "can't pin the memory of the guest: ");
        vfio_iommufd_container_free(mem->container);
        guest_memory_free(mem);
        return NULL;
    }
    QLIST_INSERT_HEAD(&guest_memories, mem, next);
    return mem;
}

static S390PCIGuestMemory *guest_memory_get(VFIODevice *vdev, uint64_t base,
                                            bool on_demand, Error **errp)
{
    S390PCIGuestMemory *mem;

    QLIST_FOREACH(mem, &guest_memories, next) {
        if (mem->be == vdev->iommufd && mem->base == base &&
            mem->on_demand == on_demand) {
            break;
        }
    }
    if (!mem) {
        mem = guest_memory_new(vdev, base, on_demand, errp);
    }
    if (mem) {
        mem->users++;
    }
    return mem;
}

static void guest_memory_put(S390PCIGuestMemory *mem)
{
    if (--mem->users) {
        return;
    }
    QLIST_REMOVE(mem, next);
    iommufd_backend_free_id(mem->be, mem->hwpt_id);
    vfio_iommufd_container_free(mem->container);
    guest_memory_free(mem);
}

/*
 * Prepare nested translation for the function, and return in @dtsm which types
 * of tables the host kernel can mirror. Nothing of the guest's memory is
 * accessible to the function before the guest registers a table.
 */
bool s390_pci_nested_plug(S390PCIBusDevice *pbdev, bool on_demand,
                          uint8_t *dtsm, Error **errp)
{
    ERRP_GUARD();
    S390CcwMachineState *s390ms = S390_CCW_MACHINE(qdev_get_machine());
    uint64_t size = s390_get_memory_limit(s390ms);
    uint64_t sdma = pbdev->zpci_fn.sdma, edma = pbdev->zpci_fn.edma;
    struct iommu_hw_info_s390_zpci info = { };
    VFIODevice *vdev = vfio_device(pbdev);
    uint32_t type;
    uint64_t caps;
    int dt;

    if (!vdev->iommufd) {
        error_setg(errp, "the function is not opened with iommufd");
        error_append_hint(errp, "Use -object iommufd,id=ID, and iommufd=ID for "
                          "the vfio-pci device.\n");
        return false;
    }
    if (!iommufd_backend_get_device_info(vdev->iommufd, vdev->devid, &type,
                                         &info, sizeof(info), &caps, errp)) {
        return false;
    }
    if (type != IOMMU_HW_INFO_TYPE_S390_ZPCI || !info.designations) {
        error_setg(errp, "the host kernel has no nested translation");
        return false;
    }
    *dtsm = 0;
    for (dt = 0; dt < 8; dt++) {
        if (info.designations & (1U << dt)) {
            *dtsm |= ZPCI_DTSM_BIT(dt);
        }
    }
    /* What the guest is offered in any case. */
    if ((*dtsm & ZPCI_DTSM) != ZPCI_DTSM ||
        !(info.frame_sizes & TARGET_PAGE_SIZE) ||
        sdma < info.start_dma || edma > info.end_dma) {
        error_setg(errp, "the host does not accept all I/O translation tables "
                   "that the guest may have");
        return false;
    }
    if (size - 1 > edma - sdma) {
        error_setg(errp, "the guest may have 0x%" PRIx64 " bytes of memory, "
                   "and the function has DMA addresses for 0x%" PRIx64 " only",
                   size, edma - sdma + 1);
        return false;
    }

    pbdev->guest_memory = guest_memory_get(vdev, sdma, on_demand, errp);
    return pbdev->guest_memory;
}

/* Is there a parent HWPT that keeps all of the guest's memory pinned? */
bool s390_pci_nested_pins_all(void)
{
    S390PCIGuestMemory *mem;

    QLIST_FOREACH(mem, &guest_memories, next) {
        if (!mem->on_demand) {
            return true;
        }
    }
    return false;
}

void s390_pci_nested_unplug(S390PCIBusDevice *pbdev)
{
    if (pbdev->guest_memory) {
        guest_memory_put(pbdev->guest_memory);
        pbdev->guest_memory = NULL;
    }
}

static void nested_hwpt_unref(S390PCINestedHwpt *hwpt)
{
    if (--hwpt->refs) {
        return;
    }
    iommufd_backend_free_id(hwpt->mem->be, hwpt->id);
    guest_memory_put(hwpt->mem);
    g_free(hwpt);
}

static S390PCINestedHwpt *nested_hwpt_new(S390PCIIOMMU *iommu)
{
    S390PCIGuestMemory *mem = iommu->pbdev->guest_memory;
    struct iommu_hwpt_s390_zpci data = {
        .iota = iommu->g_iota,
        .pba = iommu->pba,
        .pal = iommu->pal,
        .base = mem->base,
    };
    S390PCINestedHwpt *hwpt;
    uint32_t id;

    if (!iommufd_backend_alloc_hwpt(mem->be, vfio_device(iommu->pbdev)->devid,
                                    mem->hwpt_id, 0, IOMMU_HWPT_DATA_S390_ZPCI,
                                    sizeof(data), &data, &id, NULL)) {
        return NULL;
    }
    hwpt = g_new0(S390PCINestedHwpt, 1);
    hwpt->mem = mem;
    hwpt->id = id;
    hwpt->refs = 1;
    mem->users++;
    return hwpt;
}

/*
 * Let the function translate with the guest's table. Nothing is mapped before
 * the guest executes RPCIT.
 */
int s390_pci_nested_attach(S390PCIIOMMU *iommu)
{
    S390PCINestedHwpt *hwpt;
    int rc;

    hwpt = nested_hwpt_new(iommu);
    if (!hwpt) {
        return errno ? -errno : -ENOTSUP;
    }
    rc = vfio_iommufd_attach(vfio_device(iommu->pbdev), hwpt->id, NULL);
    if (rc) {
        nested_hwpt_unref(hwpt);
        return rc;
    }
    iommu->hwpt = hwpt;
    return 0;
}

/*
 * Give the function access to all memory of the guest. If the parent maps
 * nothing, iommufd makes a HWPT for the IOAS, which pins all of it until the
 * function is detached.
 */
int s390_pci_nested_attach_parent(S390PCIIOMMU *iommu)
{
    S390PCIGuestMemory *mem = iommu->pbdev->guest_memory;

    return vfio_iommufd_attach(vfio_device(iommu->pbdev),
                               mem->on_demand ? mem->container->ioas_id :
                               mem->hwpt_id, NULL);
}

/* Let the function translate with what QEMU maps in its own VFIO container. */
int s390_pci_nested_attach_private(S390PCIIOMMU *iommu)
{
    VFIODevice *vdev = vfio_device(iommu->pbdev);

    return vfio_iommufd_attach(vdev, vdev->hwpt->hwpt_id, NULL);
}

/* When this returns, the function has no access to memory. */
void s390_pci_nested_detach(S390PCIIOMMU *iommu)
{
    Error *err = NULL;

    if (!vfio_iommufd_detach(vfio_device(iommu->pbdev), &err)) {
        error_report_err(err);
    }
    if (iommu->hwpt) {
        nested_hwpt_unref(iommu->hwpt);
        iommu->hwpt = NULL;
    }
}

/*
 * Have the host kernel mirror the addresses from *@addr to @end - 1 of the
 * guest's table. Unless all is done, *@addr becomes the address where that
 * stopped.
 *
 * The BQL is not held meanwhile. When it is held again, the guest may have
 * another table, or the function may be gone, and @iommu with it. Then -EAGAIN
 * is returned, and the caller has to look the function up again.
 *
 * Other errors:
 * -EINTR  a signal, or it takes long: to be continued at *@addr
 * -ENOMEM the host lacks resources
 * -EINVAL the table is malformed
 * -EFAULT the table names memory that the guest does not have
 * -EIO    the host failed
 */
int s390_pci_nested_refresh(S390PCIIOMMU *iommu, hwaddr *addr, hwaddr end)
{
    S390PCINestedHwpt *hwpt = iommu->hwpt;
    struct iommu_hwpt_s390_zpci_invalidate inv = {
        .first = *addr,
        .last = end - 1,
        .next = *addr,
        .status = IOMMU_S390_ZPCI_REFRESH_HOST_ERROR,
    };
    uint32_t fh = iommu->pbdev->fh;
    S390PCIBusDevice *pbdev;
    uint32_t nr = 1;
    int rc;

    iommu->pbdev->invalidations++;
    hwpt->refs++;
    bql_unlock();
    rc = iommufd_backend_invalidate_hwpt(hwpt->mem->be, hwpt->id,
                                         IOMMU_HWPT_INVALIDATE_DATA_S390_ZPCI,
                                         &inv, sizeof(inv), &nr);
    bql_lock();

    pbdev = s390_pci_find_dev_by_fh(s390_get_phb(), fh);
    if (!pbdev || pbdev->iommu->hwpt != hwpt) {
        nested_hwpt_unref(hwpt);
        return -EAGAIN;
    }
    nested_hwpt_unref(hwpt);
    if (!rc) {
        return 0;
    }

    *addr = inv.next;
    if (rc == -EINTR) {
        return rc;
    }
    switch (inv.status) {
    case IOMMU_S390_ZPCI_REFRESH_INTERRUPTED:
        return -EINTR;
    case IOMMU_S390_ZPCI_REFRESH_NO_RESOURCES:
        return -ENOMEM;
    case IOMMU_S390_ZPCI_REFRESH_BAD_ENTRY:
        return -EINVAL;
    case IOMMU_S390_ZPCI_REFRESH_BAD_ADDRESS:
        return -EFAULT;
    default:
        return -EIO;
    }
}

static const TypeInfo s390_pci_guest_memory_info = {
    .name = TYPE_S390_PCI_GUEST_MEMORY,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(S390PCIGuestMemory),
};

static void s390_pci_nested_register_types(void)
{
    type_register_static(&s390_pci_guest_memory_info);
}

type_init(s390_pci_nested_register_types)
