/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest and its VMM, played by a test of nested domains
 *
 * A piece of the test's memory is the guest's, with I/O translation tables in it,
 * and is mapped into a parent HWPT. Addresses that the NVMe controller gets are
 * those of the guest's tables.
 */
#ifndef SELFTESTS_VFIO_S390_NESTED_H
#define SELFTESTS_VFIO_S390_NESTED_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <linux/capability.h>
#include <linux/iommufd.h>
#include <linux/sizes.h>
#include <linux/vfio.h>

#include <libvfio.h>

#include "kselftest_harness.h"
#include "../kvm/include/s390/ioat.h"

/* The guest's memory, by guest absolute address */
#define GUEST_SIZE	SZ_16M
#define RT		SZ_1M			/* region-third table */
#define ST		(RT + IOAT_TABLE_SIZE)	/* segment table */
#define PT		(ST + IOAT_TABLE_SIZE)	/* page tables of NR_PT segments */
#define DRIVER		SZ_4M			/* memory for the driver */
#define DRIVER_SIZE	SZ_1M
#define SRC		(6 * SZ_1M)		/* copied from */
#define DST		(7 * SZ_1M)		/* copied to */
#define NR_PT		16

#define SIZE		SZ_4K			/* of a copy */

/* How the parent gets at the guest's memory */
struct vm_config {
	u32 flags;		/* of IOMMU_HWPT_ALLOC, beside NEST_PARENT */
	bool file;		/* mapped by file */
	bool limited;		/* RLIMIT_MEMLOCK counts */
	bool by_process;	/* for each process by itself, not for the user */
};

struct vm {
	struct iommu *iommu;
	struct vfio_pci_device *device;
	struct vm_config config;
	int memfd;
	void *mem;
	u64 start_dma;
	u32 ioas;
	u32 parent;
	u32 nested;
};

static inline int hw_info(struct vm *vm, struct iommu_hw_info_s390_zpci *info, u32 *len)
{
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = vm->device->devid,
		.data_len = *len,
		.data_uptr = (uintptr_t)info,
	};

	if (ioctl(vm->iommu->iommufd, IOMMU_GET_HW_INFO, &cmd))
		return errno;
	*len = cmd.data_len;
	return cmd.out_data_type == IOMMU_HW_INFO_TYPE_S390_ZPCI ? 0 : ENODATA;
}

static inline int destroy(struct vm *vm, u32 id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return ioctl(vm->iommu->iommufd, IOMMU_DESTROY, &cmd) ? errno : 0;
}

static inline int plug_file(struct vm *vm, u64 gaddr, u64 size, u32 prot)
{
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | prot,
		.ioas_id = vm->ioas,
		.fd = vm->memfd,
		.start = gaddr,
		.iova = vm->start_dma + gaddr,
		.length = size,
	};

	return ioctl(vm->iommu->iommufd, IOMMU_IOAS_MAP_FILE, &cmd) ? errno : 0;
}

/* Guest memory at @gaddr appears to the parent */
static inline int plug(struct vm *vm, u64 gaddr, u64 size, u32 prot)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | prot,
		.ioas_id = vm->ioas,
		.user_va = (uintptr_t)vm->mem + gaddr,
		.iova = vm->start_dma + gaddr,
		.length = size,
	};

	if (vm->config.file)
		return plug_file(vm, gaddr, size, prot);
	return ioctl(vm->iommu->iommufd, IOMMU_IOAS_MAP, &cmd) ? errno : 0;
}

#define RW	(IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)

/* Guest memory at @gaddr goes away */
static inline int unplug(struct vm *vm, u64 gaddr, u64 size)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = vm->ioas,
		.iova = vm->start_dma + gaddr,
		.length = size,
	};

	return ioctl(vm->iommu->iommufd, IOMMU_IOAS_UNMAP, &cmd) ? errno : 0;
}

static inline int alloc_hwpt(struct vm *vm, struct iommu_hwpt_alloc *cmd, u32 *id)
{
	cmd->size = sizeof(*cmd);
	cmd->dev_id = vm->device->devid;
	if (ioctl(vm->iommu->iommufd, IOMMU_HWPT_ALLOC, cmd))
		return errno;
	*id = cmd->out_hwpt_id;
	return 0;
}

static inline int alloc_parent(struct vm *vm, u32 *id)
{
	struct iommu_hwpt_alloc cmd = {
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT | vm->config.flags,
		.pt_id = vm->ioas,
	};

	return alloc_hwpt(vm, &cmd, id);
}

/* What is right for this VM; tests change a field to what is wrong. */
static inline struct iommu_hwpt_s390_zpci nested_data(struct vm *vm)
{
	return (struct iommu_hwpt_s390_zpci) {
		.iota = RT | IOTA_ENABLED | IOTA_DT_RTTO << IOTA_DT_SHIFT,
		.pba = vm->start_dma,
		.pal = vm->start_dma + GUEST_SIZE - 1,
		.base = vm->start_dma,
	};
}

static inline int alloc_nested(struct vm *vm, struct iommu_hwpt_s390_zpci *data, u32 *id)
{
	struct iommu_hwpt_alloc cmd = {
		.pt_id = vm->parent,
		.data_type = IOMMU_HWPT_DATA_S390_ZPCI,
		.data_len = sizeof(*data),
		.data_uptr = (uintptr_t)data,
	};

	return alloc_hwpt(vm, &cmd, id);
}

static inline int attach(struct vm *vm, u32 id)
{
	return -__vfio_device_attach_iommufd_pt(vm->device->fd, id);
}

/* I/O address of guest absolute address @gaddr, once it is mapped there */
static inline u64 iova_of(struct vm *vm, u64 gaddr)
{
	return vm->start_dma + gaddr;
}

static inline u64 *pte(struct vm *vm, u64 gaddr)
{
	u64 iova = iova_of(vm, gaddr);
	u64 segment = (iova >> IOAT_ST_SHIFT) - (vm->start_dma >> IOAT_ST_SHIFT);

	return vm->mem + PT + segment * IOAT_PT_SIZE +
	       (iova >> IOAT_PT_SHIFT & IOAT_PX_MASK) * sizeof(u64);
}

static inline void init_table(u64 *table, unsigned int nr, u64 entry)
{
	while (nr--)
		*table++ = entry;
}

/* Tables without a valid page table entry */
static inline void init_tables(struct vm *vm)
{
	u64 *rt = vm->mem + RT, *st = vm->mem + ST, first;
	unsigned int i;

	init_table(rt, IOAT_TABLE_ENTRIES, IOAT_TYPE_RT | IOAT_INVALID);
	init_table(st, IOAT_TABLE_ENTRIES, IOAT_TYPE_ST | IOAT_INVALID);
	init_table(vm->mem + PT, NR_PT * IOAT_PT_ENTRIES, IOAT_PTE_INVALID);
	rt[vm->start_dma >> (IOAT_ST_SHIFT + IOAT_TABLE_BITS) & IOAT_INDEX_MASK] =
		ST | IOAT_TYPE_RT | IOAT_LENGTH;
	first = vm->start_dma >> IOAT_ST_SHIFT & IOAT_INDEX_MASK;
	for (i = 0; i < NR_PT && first + i < IOAT_TABLE_ENTRIES; i++)
		st[first + i] = PT + i * IOAT_PT_SIZE;
}

static inline void map_range(struct vm *vm, u64 gaddr, u64 size, u64 bits)
{
	for (; size; size -= SZ_4K, gaddr += SZ_4K)
		WRITE_ONCE(*pte(vm, gaddr), gaddr | bits);
}

static inline int invalidate(struct vm *vm, u32 id,
			     struct iommu_hwpt_s390_zpci_invalidate *inv,
			     u32 *nr)
{
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = id,
		.data_uptr = (uintptr_t)inv,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_S390_ZPCI,
		.entry_len = sizeof(*inv),
		.entry_num = *nr,
	};
	int rc = ioctl(vm->iommu->iommufd, IOMMU_HWPT_INVALIDATE, &cmd) ? errno : 0;

	*nr = cmd.entry_num;
	return rc;
}

/* Returns an errno, or 0; then it was all done. Goes on if memory had to be awaited. */
static inline int refresh(struct vm *vm, u64 gaddr, u64 size,
			  struct iommu_hwpt_s390_zpci_invalidate *inv)
{
	struct iommu_hwpt_s390_zpci_invalidate own;
	u32 nr = 1;
	int rc;

	inv = inv ?: &own;
	*inv = (struct iommu_hwpt_s390_zpci_invalidate) {
		.first = iova_of(vm, gaddr),
		.last = iova_of(vm, gaddr) + size - 1,
		.status = ~0,
	};
	while ((rc = invalidate(vm, vm->nested, inv, &nr)) == EINTR) {
		inv->first = inv->next;
		nr = 1;
	}
	return rc;
}

/* The guest maps, and tells so. */
static inline int map(struct vm *vm, u64 gaddr, u64 size, u64 bits)
{
	map_range(vm, gaddr, size, bits);
	return refresh(vm, gaddr, size, NULL);
}

/* A counter of /proc/self/status, in pages */
static inline long status_pages(const char *name)
{
	char line[128];
	long kib = -1;
	FILE *file = fopen("/proc/self/status", "r");

	VFIO_ASSERT_NOT_NULL(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			kib = strtol(line + strlen(name), NULL, 10);
	VFIO_ASSERT_EQ(fclose(file), 0);
	VFIO_ASSERT_GE(kib, 0);
	return kib / (SZ_4K / SZ_1K);
}

/* Have pages unpinned that are not in use any more */
static inline void drop_kept(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	VFIO_ASSERT_GE(fd, 0);
	VFIO_ASSERT_EQ(write(fd, "2", 1), 1);
	VFIO_ASSERT_EQ(close(fd), 0);
}

/* Pages that are pinned for this process, and in use */
static inline long pinned(void)
{
	drop_kept();
	return status_pages("VmPin:");
}

/* Without CAP_IPC_LOCK, pages are charged */
static inline void drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	VFIO_ASSERT_EQ(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	VFIO_ASSERT_EQ(syscall(SYS_capset, &header, data), 0);
}

/* The mode can be chosen while there are no objects */
static inline void charge_by_process(struct vm *vm)
{
	struct iommu_option option = {
		.size = sizeof(option),
		.option_id = IOMMU_OPTION_RLIMIT_MODE,
		.op = IOMMU_OPTION_OP_SET,
		.val64 = 1,
	};
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	VFIO_ASSERT_EQ(destroy(vm, vm->iommu->ioas_id), 0);
	VFIO_ASSERT_EQ(ioctl(vm->iommu->iommufd, IOMMU_OPTION, &option), 0);
	VFIO_ASSERT_EQ(ioctl(vm->iommu->iommufd, IOMMU_IOAS_ALLOC, &alloc), 0);
	vm->iommu->ioas_id = alloc.out_ioas_id;
}

static inline void vm_create(struct vm *vm, const char *bdf,
			     const struct vm_config *config)
{
	struct iommu_hw_info_s390_zpci info;
	struct dma_region *region;
	u32 len = sizeof(info);

	vm->config = *config;
	vm->iommu = iommu_init(MODE_IOMMUFD);
	if (config->by_process)
		charge_by_process(vm);
	if (config->limited)
		drop_ipc_lock();
	vm->device = vfio_pci_device_alloc(bdf, vm->iommu);
	vfio_pci_cdev_open(vm->device, bdf);
	VFIO_ASSERT_EQ(__vfio_pci_device_bind(vm->device, NULL), 0);
	vfio_pci_device_setup(vm->device);
	vfio_pci_driver_probe(vm->device);

	VFIO_ASSERT_EQ(hw_info(vm, &info, &len), 0);
	vm->start_dma = info.start_dma;
	vm->memfd = memfd_create("guest", 0);
	VFIO_ASSERT_GE(vm->memfd, 0);
	VFIO_ASSERT_EQ(ftruncate(vm->memfd, GUEST_SIZE), 0);
	vm->mem = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       vm->memfd, 0);
	VFIO_ASSERT_NE(vm->mem, MAP_FAILED);
	init_tables(vm);
	vm->ioas = vm->iommu->ioas_id;
	VFIO_ASSERT_EQ(alloc_parent(vm, &vm->parent), 0);
	VFIO_ASSERT_EQ(plug(vm, 0, GUEST_SIZE, RW), 0);

	/* Where libvfio finds the address of what the driver uses */
	region = &vm->device->driver.region;
	region->vaddr = vm->mem + DRIVER;
	region->iova = iova_of(vm, DRIVER);
	region->size = DRIVER_SIZE;
	list_add(&region->link, &vm->iommu->dma_regions);
}

/* A nested HWPT is attached, and the driver's memory is mapped. */
static inline void vm_start(struct vm *vm)
{
	struct iommu_hwpt_s390_zpci data = nested_data(vm);

	if (!vm->nested)
		VFIO_ASSERT_EQ(alloc_nested(vm, &data, &vm->nested), 0);
	VFIO_ASSERT_EQ(attach(vm, vm->nested), 0);
	VFIO_ASSERT_EQ(map(vm, DRIVER, DRIVER_SIZE, 0), 0);
	VFIO_ASSERT_EQ(map(vm, SRC, SIZE, 0), 0);
	VFIO_ASSERT_EQ(map(vm, DST, SIZE, 0), 0);
	vfio_pci_driver_init(vm->device);
}

static inline void vm_destroy(struct vm *vm)
{
	vfio_pci_device_cleanup(vm->device);
	iommu_cleanup(vm->iommu);
	VFIO_ASSERT_EQ(munmap(vm->mem, GUEST_SIZE), 0);
	VFIO_ASSERT_EQ(close(vm->memfd), 0);
}

/* The function copies; returns if it could and did. */
static inline bool copies(struct vm *vm)
{
	static u8 pattern;
	u8 *src = vm->mem + SRC, *dst = vm->mem + DST;

	memset(src, ++pattern, SIZE);
	memset(dst, 0, SIZE);
	if (vfio_pci_driver_memcpy(vm->device, iova_of(vm, SRC),
				   iova_of(vm, DST), SIZE))
		return false;
	VFIO_ASSERT_EQ(memcmp(src, dst, SIZE), 0);
	return true;
}

/* Nothing was stored to the page that was copied to. */
static inline bool untouched(struct vm *vm)
{
	u8 *dst = vm->mem + DST;
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		if (dst[i])
			return false;
	return true;
}

static const char *device_bdf;

FIXTURE(s390_nested) {
	struct vm vm;
};

FIXTURE_VARIANT(s390_nested) {
	struct vm_config config;
};

FIXTURE_SETUP(s390_nested)
{
	vm_create(&self->vm, device_bdf, &variant->config);
}

FIXTURE_TEARDOWN(s390_nested)
{
	vm_destroy(&self->vm);
	EXPECT_EQ(0, pinned());
}

#endif /* SELFTESTS_VFIO_S390_NESTED_H */
