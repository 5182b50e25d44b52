/*
 * Nested I/O address translation of passed-through zPCI functions
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_S390_PCI_NESTED_H
#define HW_S390_PCI_NESTED_H

#include "qapi/error.h"
#include "hw/s390x/s390-pci-bus.h"
#include CONFIG_DEVICES

#if defined(CONFIG_VFIO) && defined(CONFIG_IOMMUFD)
bool s390_pci_nested_plug(S390PCIBusDevice *pbdev, bool on_demand,
                          uint8_t *dtsm, Error **errp);
bool s390_pci_nested_pins_all(void);
void s390_pci_nested_unplug(S390PCIBusDevice *pbdev);
int s390_pci_nested_attach(S390PCIIOMMU *iommu);
int s390_pci_nested_attach_parent(S390PCIIOMMU *iommu);
int s390_pci_nested_attach_private(S390PCIIOMMU *iommu);
void s390_pci_nested_detach(S390PCIIOMMU *iommu);
int s390_pci_nested_refresh(S390PCIIOMMU *iommu, hwaddr *addr, hwaddr end);
#else
static inline bool s390_pci_nested_plug(S390PCIBusDevice *pbdev,
                                        bool on_demand, uint8_t *dtsm,
                                        Error **errp)
{
    error_setg(errp, "QEMU was built without iommufd");
    return false;
}
static inline bool s390_pci_nested_pins_all(void)
{
    return false;
}
static inline void s390_pci_nested_unplug(S390PCIBusDevice *pbdev) { }
static inline int s390_pci_nested_attach(S390PCIIOMMU *iommu)
{
    g_assert_not_reached();
}
static inline int s390_pci_nested_attach_parent(S390PCIIOMMU *iommu)
{
    g_assert_not_reached();
}
static inline int s390_pci_nested_attach_private(S390PCIIOMMU *iommu)
{
    g_assert_not_reached();
}
static inline void s390_pci_nested_detach(S390PCIIOMMU *iommu)
{
    g_assert_not_reached();
}
static inline int s390_pci_nested_refresh(S390PCIIOMMU *iommu, hwaddr *addr,
                                          hwaddr end)
{
    g_assert_not_reached();
}
#endif

#endif
