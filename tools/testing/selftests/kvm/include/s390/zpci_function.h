/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A zPCI function that is bound to vfio-pci, opened for a test
 */
#ifndef SELFTEST_KVM_ZPCI_FUNCTION_H
#define SELFTEST_KVM_ZPCI_FUNCTION_H

#include <linux/types.h>

#include <libvfio.h>

/* How to open it: modes of struct iommu, in which the guest has no table */
#define ZPCI_GROUP	MODE_VFIO_TYPE1V2_IOMMU
#define ZPCI_CDEV	MODE_IOMMUFD
/*
 * By iommufd, too. The guest's table is a nested HWPT. Its parent pins all memory
 * of the guest, or what the guest's table names.
 */
#define ZPCI_NESTED	"nested"
#define ZPCI_ON_DEMAND	"on_demand"

static inline bool zpci_mode_is_cdev(const char *mode)
{
	return strcmp(mode, ZPCI_GROUP);
}

static inline bool zpci_mode_is_on_demand(const char *mode)
{
	return !strcmp(mode, ZPCI_ON_DEMAND);
}

static inline bool zpci_mode_is_nested(const char *mode)
{
	return !strcmp(mode, ZPCI_NESTED) || zpci_mode_is_on_demand(mode);
}

/* File descriptor of the iommufd or of the container */
static inline int zpci_function_iommu_fd(struct vfio_pci_device *f)
{
	return f->iommu->iommufd ? : f->iommu->container_fd;
}

const char *zpci_function_find(void);
struct vfio_pci_device *zpci_function_open(const char *mode, int kvm_vfio);
void zpci_function_close(struct vfio_pci_device *f);
void zpci_function_dma_range(struct vfio_pci_device *f, u64 *start, u64 *end);

void zpci_function_enable_dma(struct vfio_pci_device *f);
void zpci_function_recover(struct vfio_pci_device *f);
int zpci_function_reset(struct vfio_pci_device *f);
int zpci_function_attach(struct vfio_pci_device *f);
int zpci_function_detach(struct vfio_pci_device *f);
int zpci_function_msix(struct vfio_pci_device *f, int eventfd);

#endif /* SELFTEST_KVM_ZPCI_FUNCTION_H */
