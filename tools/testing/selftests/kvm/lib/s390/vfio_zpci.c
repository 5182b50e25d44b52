// SPDX-License-Identifier: GPL-2.0
/*
 * A zPCI function that is bound to vfio-pci, opened for a test
 *
 * Registers are reached by reading and writing the regions of the device file:
 * without the MIO instructions s390 can't map a BAR to user space.
 */
#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include <linux/iommufd.h>
#include <linux/kvm.h>
#include <linux/pci_regs.h>
#include <linux/vfio_zdev.h>

#include "kvm_util.h"
#include "test_util.h"
#include "vfio_zpci.h"
#include "zpci_sysfs.h"

static void join_vm(int kvm_vfio, int fd)
{
	if (kvm_vfio >= 0)
		kvm_device_attr_set(kvm_vfio, KVM_DEV_VFIO_FILE,
				    KVM_DEV_VFIO_FILE_ADD, &fd);
}

static void leave_vm(int kvm_vfio, int fd)
{
	if (kvm_vfio >= 0)
		kvm_device_attr_set(kvm_vfio, KVM_DEV_VFIO_FILE,
				    KVM_DEV_VFIO_FILE_DEL, &fd);
}

static int open_by_group(struct vfio_zpci *v, const char *bdf, int kvm_vfio)
{
	int ret, err;

	v->iommu = open_path_or_exit("/dev/vfio/vfio", O_RDWR);
	v->group = zpci_sysfs_open_group(bdf);
	join_vm(kvm_vfio, v->group);
	ret = ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->iommu);
	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(VFIO_GROUP_SET_CONTAINER, ret));
	ret = ioctl(v->iommu, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(VFIO_SET_IOMMU, ret));
	v->device = ioctl(v->group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (v->device >= 0)
		return 0;
	err = errno;
	leave_vm(kvm_vfio, v->group);
	return err;
}

static int open_by_cdev(struct vfio_zpci *v, const char *bdf, int kvm_vfio)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int ret, err;

	v->group = -1;
	v->iommu = open_path_or_exit("/dev/iommu", O_RDWR);
	ret = ioctl(v->iommu, IOMMU_IOAS_ALLOC, &alloc);
	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(IOMMU_IOAS_ALLOC, ret));
	v->ioas = alloc.out_ioas_id;
	v->device = zpci_sysfs_open_cdev(bdf);
	join_vm(kvm_vfio, v->device);
	bind.iommufd = v->iommu;
	if (ioctl(v->device, VFIO_DEVICE_BIND_IOMMUFD, &bind)) {
		err = errno;
		leave_vm(kvm_vfio, v->device);
		return err;
	}
	ret = vfio_zpci_attach(v);
	TEST_ASSERT(!ret, "VFIO_DEVICE_ATTACH_IOMMUFD_PT: %s", strerror(ret));
	return 0;
}

static int open_function(struct vfio_zpci *v, const char *bdf, int kvm_vfio)
{
	zpci_sysfs_prepare(bdf);
	return v->way == VFIO_ZPCI_GROUP ? open_by_group(v, bdf, kvm_vfio) :
					   open_by_cdev(v, bdf, kvm_vfio);
}

static u64 region_offset(struct vfio_zpci *v, u32 index)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = index,
	};
	int ret = ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, &info);

	TEST_ASSERT(!ret && info.size, "VFIO region %u: rc %d, size 0x%llx",
		    index, ret, info.size);
	return info.offset;
}

/*
 * Open the function; with a KVM VFIO device @kvm_vfio also for its VM. The
 * device is reset by being opened, and may then do DMA.
 */
void vfio_zpci_open(struct vfio_zpci *v, enum vfio_zpci_way way, int kvm_vfio)
{
	struct vfio_device_info_cap_zpci_base *base;
	const char *bdf = zpci_sysfs_find();
	int err;

	TEST_ASSERT(bdf, "no NVMe function is bound to vfio-pci");
	memset(v, 0, sizeof(*v));
	v->way = way;
	err = open_function(v, bdf, kvm_vfio);
	if (err == ENODEV) {
		/* The host learned of an error and was not told of the reset. */
		vfio_zpci_close(v);
		zpci_sysfs_revive(bdf);
		err = open_function(v, bdf, kvm_vfio);
	}
	TEST_ASSERT(!err, "%s can't be opened: %s", bdf, strerror(err));

	v->config = region_offset(v, VFIO_PCI_CONFIG_REGION_INDEX);
	v->bar0 = region_offset(v, VFIO_PCI_BAR0_REGION_INDEX);

	base = (void *)vfio_zpci_cap(v, VFIO_DEVICE_INFO_CAP_ZPCI_BASE);
	TEST_ASSERT(base, "%s is not a zPCI function", bdf);
	v->start_dma = base->start_dma;
	v->end_dma = base->end_dma;
	free(base);

	vfio_zpci_write32(v, v->config + PCI_COMMAND,
			  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void vfio_zpci_close_device(struct vfio_zpci *v)
{
	if (v->device >= 0)
		close(v->device);
	v->device = -1;
}

void vfio_zpci_close(struct vfio_zpci *v)
{
	vfio_zpci_close_device(v);
	if (v->group >= 0)
		close(v->group);
	v->group = -1;
	if (v->iommu >= 0)
		close(v->iommu);
	v->iommu = -1;
}

/*
 * What follows returns 0 or an errno, so that a test can judge it.
 */
static int result(int ret)
{
	return ret ? errno : 0;
}

int vfio_zpci_reset(struct vfio_zpci *v)
{
	int err = result(ioctl(v->device, VFIO_DEVICE_RESET));

	if (!err)
		vfio_zpci_write32(v, v->config + PCI_COMMAND,
				  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return err;
}

int vfio_zpci_attach(struct vfio_zpci *v)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = v->ioas,
	};

	return result(ioctl(v->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
}

int vfio_zpci_detach(struct vfio_zpci *v)
{
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};

	return result(ioctl(v->device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
}

/* Have interrupt 0 signal @eventfd, or have no interrupts if that is -1. */
int vfio_zpci_msix(struct vfio_zpci *v, int eventfd)
{
	struct {
		struct vfio_irq_set set;
		int eventfd;
	} irq = {
		.set.argsz = sizeof(irq),
		.set.flags = VFIO_IRQ_SET_DATA_EVENTFD |
			     VFIO_IRQ_SET_ACTION_TRIGGER,
		.set.index = VFIO_PCI_MSIX_IRQ_INDEX,
		.set.count = 1,
		.eventfd = eventfd,
	};

	if (eventfd < 0) {
		irq.set.argsz = sizeof(irq.set);
		irq.set.flags = VFIO_IRQ_SET_DATA_NONE |
				VFIO_IRQ_SET_ACTION_TRIGGER;
		irq.set.count = 0;
	}
	return result(ioctl(v->device, VFIO_DEVICE_SET_IRQS, &irq));
}

static int map_type1(struct vfio_zpci *v, void *hva, u64 iova, u64 size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)hva,
		.iova = iova,
		.size = size,
	};

	return result(ioctl(v->iommu, VFIO_IOMMU_MAP_DMA, &map));
}

static int map_iommufd(struct vfio_zpci *v, void *hva, u64 iova, u64 size)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = v->ioas,
		.user_va = (uintptr_t)hva,
		.length = size,
		.iova = iova,
	};

	return result(ioctl(v->iommu, IOMMU_IOAS_MAP, &map));
}

int vfio_zpci_map(struct vfio_zpci *v, void *hva, u64 iova, u64 size)
{
	return v->way == VFIO_ZPCI_GROUP ? map_type1(v, hva, iova, size) :
					   map_iommufd(v, hva, iova, size);
}

static int unmap_type1(struct vfio_zpci *v, u64 iova, u64 size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	return result(ioctl(v->iommu, VFIO_IOMMU_UNMAP_DMA, &unmap));
}

static int unmap_iommufd(struct vfio_zpci *v, u64 iova, u64 size)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = v->ioas,
		.iova = iova,
		.length = size,
	};

	return result(ioctl(v->iommu, IOMMU_IOAS_UNMAP, &unmap));
}

int vfio_zpci_unmap(struct vfio_zpci *v, u64 iova, u64 size)
{
	return v->way == VFIO_ZPCI_GROUP ? unmap_type1(v, iova, size) :
					   unmap_iommufd(v, iova, size);
}

/* A copy of the capability @id of the device, to be freed; NULL if none */
struct vfio_info_cap_header *vfio_zpci_cap(struct vfio_zpci *v, u16 id)
{
	struct vfio_device_info probe = { .argsz = sizeof(probe) };
	struct vfio_info_cap_header *cap, *copy = NULL;
	struct vfio_device_info *info;
	u32 offset;
	int ret;

	ret = ioctl(v->device, VFIO_DEVICE_GET_INFO, &probe);
	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(VFIO_DEVICE_GET_INFO, ret));
	info = calloc(1, probe.argsz);
	TEST_ASSERT(info, "no memory");
	info->argsz = probe.argsz;
	ret = ioctl(v->device, VFIO_DEVICE_GET_INFO, info);
	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(VFIO_DEVICE_GET_INFO, ret));

	offset = info->flags & VFIO_DEVICE_FLAGS_CAPS ? info->cap_offset : 0;
	for (; offset && !copy; offset = cap->next) {
		cap = (void *)info + offset;
		if (cap->id != id)
			continue;
		copy = malloc(probe.argsz - offset);
		TEST_ASSERT(copy, "no memory");
		memcpy(copy, cap, probe.argsz - offset);
	}
	free(info);
	return copy;
}

/* Registers are little-endian, whatever the host is. */
u32 vfio_zpci_read32(struct vfio_zpci *v, u64 offset)
{
	u32 value;
	ssize_t len = pread(v->device, &value, sizeof(value), offset);

	/* A function in error state reads as if it were not there. */
	return len == sizeof(value) ? le32toh(value) : ~0U;
}

void vfio_zpci_write32(struct vfio_zpci *v, u64 offset, u32 value)
{
	value = htole32(value);
	/* Whether it arrived is seen by what the function does next. */
	if (pwrite(v->device, &value, sizeof(value), offset) != sizeof(value))
		pr_debug("vfio: write to 0x%lx failed\n", offset);
}
