/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A zPCI function that is bound to vfio-pci, opened for a test
 */
#ifndef SELFTEST_KVM_VFIO_ZPCI_H
#define SELFTEST_KVM_VFIO_ZPCI_H

#include <linux/types.h>
#include <linux/vfio.h>

enum vfio_zpci_way {
	VFIO_ZPCI_GROUP,	/* group and container, IOMMU type 1 */
	VFIO_ZPCI_CDEV,		/* character device and iommufd */
};

/**
 * struct vfio_zpci - an opened function
 * @way: how it is opened
 * @iommu: file descriptor of the container or of the iommufd
 * @group: file descriptor of the group, -1 for VFIO_ZPCI_CDEV
 * @device: file descriptor of the device
 * @ioas: object ID of the I/O address space of the iommufd
 * @start_dma: first I/O address that the function can use
 * @end_dma: last I/O address that the function can use
 * @config: file offset of the configuration space
 * @bar0: file offset of BAR 0
 */
struct vfio_zpci {
	enum vfio_zpci_way way;
	int iommu;
	int group;
	int device;
	u32 ioas;
	u64 start_dma;
	u64 end_dma;
	u64 config;
	u64 bar0;
};

void vfio_zpci_open(struct vfio_zpci *v, enum vfio_zpci_way way, int kvm_vfio);
void vfio_zpci_close_device(struct vfio_zpci *v);
void vfio_zpci_close(struct vfio_zpci *v);

int vfio_zpci_reset(struct vfio_zpci *v);
int vfio_zpci_attach(struct vfio_zpci *v);
int vfio_zpci_detach(struct vfio_zpci *v);
int vfio_zpci_map(struct vfio_zpci *v, void *hva, u64 iova, u64 size);
int vfio_zpci_unmap(struct vfio_zpci *v, u64 iova, u64 size);
int vfio_zpci_msix(struct vfio_zpci *v, int eventfd);
struct vfio_info_cap_header *vfio_zpci_cap(struct vfio_zpci *v, u16 id);

u32 vfio_zpci_read32(struct vfio_zpci *v, u64 offset);
void vfio_zpci_write32(struct vfio_zpci *v, u64 offset, u32 value);

#endif /* SELFTEST_KVM_VFIO_ZPCI_H */
