// SPDX-License-Identifier: GPL-2.0
/*
 * Nested domains of s390 PCI functions
 *
 * The test plays a guest and its VMM. A piece of its memory is the guest's, with
 * I/O translation tables in it, and is mapped into a parent HWPT. Addresses that
 * the NVMe controller gets are those of the guest's tables.
 */
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

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

static const char *device_bdf;

struct vm {
	struct iommu *iommu;
	struct vfio_pci_device *device;
	void *mem;
	u64 start_dma;
	u64 end_dma;
	u32 ioas;
	u32 parent;
	u32 nested;
};

FIXTURE(s390_nested) {
	struct vm vm;
};

static int hw_info(struct vm *vm, struct iommu_hw_info_s390_zpci *info, u32 *len)
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

static int destroy(struct vm *vm, u32 id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return ioctl(vm->iommu->iommufd, IOMMU_DESTROY, &cmd) ? errno : 0;
}

static u32 alloc_ioas(struct vm *vm)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };

	ioctl_assert(vm->iommu->iommufd, IOMMU_IOAS_ALLOC, &cmd);
	return cmd.out_ioas_id;
}

/* Guest memory at @gaddr appears to the parent */
static int plug(struct vm *vm, u64 gaddr, u64 size, u32 prot)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | prot,
		.ioas_id = vm->ioas,
		.user_va = (uintptr_t)vm->mem + gaddr,
		.iova = vm->start_dma + gaddr,
		.length = size,
	};

	return ioctl(vm->iommu->iommufd, IOMMU_IOAS_MAP, &cmd) ? errno : 0;
}

#define RW	(IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)

/* Guest memory at @gaddr goes away */
static int unplug(struct vm *vm, u64 gaddr, u64 size)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = vm->ioas,
		.iova = vm->start_dma + gaddr,
		.length = size,
	};

	return ioctl(vm->iommu->iommufd, IOMMU_IOAS_UNMAP, &cmd) ? errno : 0;
}

static int alloc_hwpt(struct vm *vm, struct iommu_hwpt_alloc *cmd, u32 *id)
{
	cmd->size = sizeof(*cmd);
	cmd->dev_id = vm->device->devid;
	if (ioctl(vm->iommu->iommufd, IOMMU_HWPT_ALLOC, cmd))
		return errno;
	*id = cmd->out_hwpt_id;
	return 0;
}

static int alloc_parent(struct vm *vm, u32 *id)
{
	struct iommu_hwpt_alloc cmd = {
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.pt_id = vm->ioas,
	};

	return alloc_hwpt(vm, &cmd, id);
}

/* What is right for this VM; tests change a field to what is wrong. */
static struct iommu_hwpt_s390_zpci nested_data(struct vm *vm)
{
	return (struct iommu_hwpt_s390_zpci) {
		.iota = RT | IOTA_ENABLED | IOTA_DT_RTTO << IOTA_DT_SHIFT,
		.pba = vm->start_dma,
		.pal = vm->start_dma + GUEST_SIZE - 1,
		.base = vm->start_dma,
	};
}

static int alloc_nested(struct vm *vm, struct iommu_hwpt_s390_zpci *data, u32 *id)
{
	struct iommu_hwpt_alloc cmd = {
		.pt_id = vm->parent,
		.data_type = IOMMU_HWPT_DATA_S390_ZPCI,
		.data_len = sizeof(*data),
		.data_uptr = (uintptr_t)data,
	};

	return alloc_hwpt(vm, &cmd, id);
}

static int attach(struct vm *vm, u32 id)
{
	return -__vfio_device_attach_iommufd_pt(vm->device->fd, id);
}

/* I/O address of guest absolute address @gaddr, once it is mapped there */
static u64 iova_of(struct vm *vm, u64 gaddr)
{
	return vm->start_dma + gaddr;
}

static u64 *pte(struct vm *vm, u64 gaddr)
{
	u64 iova = iova_of(vm, gaddr);
	u64 segment = (iova >> IOAT_ST_SHIFT) - (vm->start_dma >> IOAT_ST_SHIFT);

	return vm->mem + PT + segment * IOAT_PT_SIZE +
	       (iova >> IOAT_PT_SHIFT & IOAT_PX_MASK) * sizeof(u64);
}

static void init_table(u64 *table, unsigned int nr, u64 entry)
{
	while (nr--)
		*table++ = entry;
}

/* Tables without a valid page table entry */
static void init_tables(struct vm *vm)
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

static void map_range(struct vm *vm, u64 gaddr, u64 size, u64 bits)
{
	for (; size; size -= SZ_4K, gaddr += SZ_4K)
		WRITE_ONCE(*pte(vm, gaddr), gaddr | bits);
}

static int invalidate(struct vm *vm, u32 id,
		      struct iommu_hwpt_s390_zpci_invalidate *inv, u32 *nr)
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

/* Returns an errno, or 0; then it was all done. */
static int refresh(struct vm *vm, u64 gaddr, u64 size,
		   struct iommu_hwpt_s390_zpci_invalidate *inv)
{
	struct iommu_hwpt_s390_zpci_invalidate own;
	u32 nr = 1;

	inv = inv ?: &own;
	*inv = (struct iommu_hwpt_s390_zpci_invalidate) {
		.first = iova_of(vm, gaddr),
		.last = iova_of(vm, gaddr) + size - 1,
		.status = ~0,
	};
	return invalidate(vm, vm->nested, inv, &nr);
}

/* The guest maps, and tells so. */
static int map(struct vm *vm, u64 gaddr, u64 size, u64 bits)
{
	map_range(vm, gaddr, size, bits);
	return refresh(vm, gaddr, size, NULL);
}

static void vm_create(struct vm *vm)
{
	struct iommu_hw_info_s390_zpci info;
	struct dma_region *region;
	u32 len = sizeof(info);

	vm->iommu = iommu_init(MODE_IOMMUFD);
	vm->device = vfio_pci_device_alloc(device_bdf, vm->iommu);
	vfio_pci_cdev_open(vm->device, device_bdf);
	VFIO_ASSERT_EQ(__vfio_pci_device_bind(vm->device, NULL), 0);
	vfio_pci_device_setup(vm->device);
	vfio_pci_driver_probe(vm->device);

	VFIO_ASSERT_EQ(hw_info(vm, &info, &len), 0);
	vm->start_dma = info.start_dma;
	vm->end_dma = info.end_dma;
	vm->mem = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	VFIO_ASSERT_NE(vm->mem, MAP_FAILED);
	init_tables(vm);
	vm->ioas = alloc_ioas(vm);
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
static void vm_start(struct vm *vm)
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

static void vm_destroy(struct vm *vm)
{
	vfio_pci_device_cleanup(vm->device);
	iommu_cleanup(vm->iommu);
	VFIO_ASSERT_EQ(munmap(vm->mem, GUEST_SIZE), 0);
}

/* The function copies; returns if it could and did. */
static bool copies(struct vm *vm)
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
static bool untouched(struct vm *vm)
{
	u8 *dst = vm->mem + DST;
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		if (dst[i])
			return false;
	return true;
}

FIXTURE_SETUP(s390_nested)
{
	vm_create(&self->vm);
}

FIXTURE_TEARDOWN(s390_nested)
{
	vm_destroy(&self->vm);
}

TEST_F(s390_nested, hw_info)
{
	struct vm *vm = &self->vm;
	struct {
		struct iommu_hw_info_s390_zpci info;
		u64 more;
	} big = { .more = 1 };
	u32 len = sizeof(big);

	ASSERT_EQ(0, hw_info(vm, &big.info, &len));
	EXPECT_EQ(sizeof(big.info), len);
	EXPECT_EQ(0, big.more);
	EXPECT_EQ(0, big.info.flags);
	EXPECT_EQ(0xf, big.info.designations);
	EXPECT_EQ(IOAT_FRAME_4K | IOAT_FRAME_1M, big.info.frame_sizes);
	EXPECT_NE(0, big.info.start_dma);
	EXPECT_LT(big.info.start_dma, big.info.end_dma);
	len = 4;
	EXPECT_EQ(0, hw_info(vm, &big.info, &len));
	EXPECT_EQ(sizeof(big.info), len);
}

TEST_F(s390_nested, alloc)
{
	struct vm *vm = &self->vm;
	struct iommu_hwpt_s390_zpci good = nested_data(vm), data;
	struct {
		struct iommu_hwpt_s390_zpci data;
		u64 more;
	} big = { .data = good };
	struct iommu_hwpt_alloc cmd;
	unsigned int len;
	u32 id;

#define EXPECT_ALLOC(_err, _field, _value) do {				\
	data = good;							\
	data._field = (_value);						\
	EXPECT_EQ(_err, alloc_nested(vm, &data, &id)) {			\
		TH_LOG("%s = 0x%lx", #_field, (u64)(_value));		\
	}								\
} while (0)

	EXPECT_ALLOC(EOPNOTSUPP, iota, good.iota & ~IOTA_ENABLED);
	EXPECT_ALLOC(EOPNOTSUPP, iota, good.iota | 4 << IOTA_DT_SHIFT);
	EXPECT_ALLOC(EOPNOTSUPP, iota, 0);
	EXPECT_ALLOC(EINVAL, pba, good.pba + 1);
	EXPECT_ALLOC(EINVAL, pba, good.pba - SZ_4K);
	EXPECT_ALLOC(EINVAL, pba, good.pal + 1);
	EXPECT_ALLOC(EINVAL, pal, good.pal + 1);
	EXPECT_ALLOC(EINVAL, pal, good.pba - 1);
	EXPECT_ALLOC(EINVAL, pal, ~0UL);
	EXPECT_ALLOC(EINVAL, base, 1);
	EXPECT_ALLOC(EOPNOTSUPP, flags, 1);
	EXPECT_ALLOC(EOPNOTSUPP, __reserved, 1);

	for (len = 1; len <= sizeof(big); len++) {
		cmd = (struct iommu_hwpt_alloc) {
			.pt_id = vm->parent,
			.data_type = IOMMU_HWPT_DATA_S390_ZPCI,
			.data_len = len,
			.data_uptr = (uintptr_t)&big,
		};
		if (len == sizeof(good))
			continue;
		EXPECT_EQ(EINVAL, alloc_hwpt(vm, &cmd, &id));
	}
	cmd.data_len = sizeof(good);
	cmd.data_uptr = 0;
	EXPECT_EQ(EFAULT, alloc_hwpt(vm, &cmd, &id));
	cmd.data_uptr = (uintptr_t)&good;
	cmd.data_type = IOMMU_HWPT_DATA_VTD_S1;
	EXPECT_EQ(EINVAL, alloc_hwpt(vm, &cmd, &id));
	cmd.data_type = IOMMU_HWPT_DATA_S390_ZPCI;
	cmd.flags = IOMMU_HWPT_ALLOC_PASID;
	EXPECT_EQ(EOPNOTSUPP, alloc_hwpt(vm, &cmd, &id));

	/* A HWPT that was not allocated as a parent, and flags of parents */
	cmd = (struct iommu_hwpt_alloc) { .pt_id = vm->ioas };
	ASSERT_EQ(0, alloc_hwpt(vm, &cmd, &id));
	cmd = (struct iommu_hwpt_alloc) {
		.pt_id = id,
		.data_type = IOMMU_HWPT_DATA_S390_ZPCI,
		.data_len = sizeof(good),
		.data_uptr = (uintptr_t)&good,
	};
	EXPECT_EQ(EINVAL, alloc_hwpt(vm, &cmd, &id));
	cmd = (struct iommu_hwpt_alloc) {
		.pt_id = vm->ioas, .flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
	};
	EXPECT_EQ(EOPNOTSUPP, alloc_hwpt(vm, &cmd, &id));
}

TEST_F(s390_nested, dma)
{
	struct vm *vm = &self->vm;

	vm_start(vm);
	EXPECT_TRUE(copies(vm));

	/* What is mapped without a refresh is not seen, nor is what is not mapped */
	map_range(vm, DST, SIZE, IOAT_PTE_INVALID);
	EXPECT_TRUE(copies(vm));
	ASSERT_EQ(0, refresh(vm, DST, SIZE, NULL));
	EXPECT_FALSE(copies(vm));
	EXPECT_TRUE(untouched(vm));
	ASSERT_EQ(0, map(vm, DST, SIZE, IOAT_PROTECTED));
	EXPECT_FALSE(copies(vm));
	EXPECT_TRUE(untouched(vm));
	ASSERT_EQ(0, map(vm, DST, SIZE, 0));
	EXPECT_TRUE(copies(vm));

	/* A reset of the function leaves it the table. */
	vfio_pci_driver_remove(vm->device);
	vfio_pci_device_reset(vm->device);
	vfio_pci_driver_init(vm->device);
	EXPECT_TRUE(copies(vm));
}

TEST_F(s390_nested, invalidate)
{
	struct vm *vm = &self->vm;
	struct iommu_hwpt_s390_zpci_invalidate inv, many[3];
	struct iommu_hwpt_invalidate cmd;
	u64 page = SRC + SZ_64K;
	u32 nr;

	vm_start(vm);
	ASSERT_EQ(0, refresh(vm, 0, GUEST_SIZE, &inv));
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_DONE, inv.status);

	/* Where and why it stopped */
	map_range(vm, page, SZ_64K, 0);
	*pte(vm, page + 2 * SZ_4K) = 0;
	EXPECT_EQ(EIO, refresh(vm, page, SZ_64K, &inv));
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_BAD_ENTRY, inv.status);
	EXPECT_GE(iova_of(vm, page + 2 * SZ_4K), inv.next);
	EXPECT_LE(iova_of(vm, page), inv.next);
	*pte(vm, page + 2 * SZ_4K) = GUEST_SIZE;
	EXPECT_EQ(EIO, refresh(vm, page, SZ_64K, &inv));
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_BAD_ADDRESS, inv.status);
	*pte(vm, page + 2 * SZ_4K) = ~0xfffUL;
	EXPECT_EQ(EIO, refresh(vm, page, SZ_64K, &inv));
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_BAD_ADDRESS, inv.status);
	*pte(vm, page + 2 * SZ_4K) = page;
	EXPECT_EQ(0, refresh(vm, page, SZ_64K, &inv));

	/* Ranges */
#define EXPECT_RANGE(_err, _first, _last, _flags) do {			\
	inv = (struct iommu_hwpt_s390_zpci_invalidate) {		\
		.first = (_first), .last = (_last), .flags = (_flags),	\
		.status = 77,						\
	};								\
	nr = 1;								\
	EXPECT_EQ(_err, invalidate(vm, vm->nested, &inv, &nr));		\
	EXPECT_EQ((_err) ? 0 : 1, nr);					\
	EXPECT_EQ((_err) ? 77 : 0, inv.status);				\
} while (0)
	EXPECT_RANGE(0, vm->start_dma, vm->start_dma + SZ_4K - 1, 0);
	EXPECT_RANGE(EINVAL, vm->start_dma + 1, vm->start_dma + SZ_4K - 1, 0);
	EXPECT_RANGE(EINVAL, vm->start_dma, vm->start_dma + SZ_4K, 0);
	EXPECT_RANGE(EINVAL, vm->start_dma + SZ_4K, vm->start_dma - 1, 0);
	EXPECT_RANGE(EINVAL, vm->start_dma - SZ_4K, vm->start_dma - 1, 0);
	EXPECT_RANGE(EINVAL, vm->start_dma, vm->start_dma + GUEST_SIZE + SZ_4K - 1, 0);
	EXPECT_RANGE(EINVAL, 0, ~0UL, 0);
	EXPECT_RANGE(EOPNOTSUPP, vm->start_dma, vm->start_dma + SZ_4K - 1, 1);

	/* The second of three fails: one is done, the third is not looked at. */
	memset(many, 0, sizeof(many));
	for (nr = 0; nr < 3; nr++) {
		many[nr].first = iova_of(vm, page + nr * SZ_4K);
		many[nr].last = many[nr].first + SZ_4K - 1;
		many[nr].status = 77;
	}
	*pte(vm, page + SZ_4K) = 0;
	EXPECT_EQ(EIO, invalidate(vm, vm->nested, many, &nr));
	EXPECT_EQ(1, nr);
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_DONE, many[0].status);
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_BAD_ENTRY, many[1].status);
	EXPECT_EQ(77, many[2].status);

	/* No entry tells if the type is known. */
	nr = 0;
	EXPECT_EQ(0, invalidate(vm, vm->nested, NULL, &nr));
	cmd = (struct iommu_hwpt_invalidate) {
		.size = sizeof(cmd),
		.hwpt_id = vm->nested,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
	};
	EXPECT_EQ(-1, ioctl(vm->iommu->iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	EXPECT_EQ(EINVAL, errno);
	cmd.data_type = IOMMU_HWPT_INVALIDATE_DATA_S390_ZPCI;
	cmd.data_uptr = (uintptr_t)many;
	cmd.entry_num = 1;
	cmd.entry_len = sizeof(inv) - 1;
	EXPECT_EQ(-1, ioctl(vm->iommu->iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	EXPECT_EQ(EINVAL, errno);
}

/* Memory that goes away is out of reach at once, data as well as tables. */
TEST_F(s390_nested, unplug)
{
	struct vm *vm = &self->vm;
	struct iommu_hwpt_s390_zpci_invalidate inv;

	/* What is unplugged was plugged by itself. */
	ASSERT_EQ(0, unplug(vm, 0, GUEST_SIZE));
	ASSERT_EQ(0, plug(vm, 0, RT, RW));
	ASSERT_EQ(0, plug(vm, RT, SZ_1M, RW));
	ASSERT_EQ(0, plug(vm, RT + SZ_1M, DST - RT - SZ_1M, RW));
	ASSERT_EQ(0, plug(vm, DST, SIZE, RW));

	vm_start(vm);
	ASSERT_TRUE(copies(vm));
	ASSERT_EQ(0, unplug(vm, DST, SIZE));
	EXPECT_FALSE(copies(vm));
	EXPECT_TRUE(untouched(vm));
	EXPECT_EQ(EIO, refresh(vm, DST, SIZE, &inv));
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_BAD_ADDRESS, inv.status);
	EXPECT_EQ(iova_of(vm, DST), inv.next);

	/* Plugged again it is there after a refresh, not before. */
	ASSERT_EQ(0, plug(vm, DST, SIZE, RW));
	EXPECT_FALSE(copies(vm));
	ASSERT_EQ(0, refresh(vm, DST, SIZE, NULL));
	EXPECT_TRUE(copies(vm));

	/* Memory that the VMM maps read-only: for reads alone */
	ASSERT_EQ(0, unplug(vm, DST, SIZE));
	ASSERT_EQ(0, plug(vm, DST, SIZE, IOMMU_IOAS_MAP_READABLE));
	EXPECT_EQ(EIO, refresh(vm, DST, SIZE, &inv));
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_BAD_ADDRESS, inv.status);
	EXPECT_EQ(0, map(vm, DST, SIZE, IOAT_PROTECTED));
	EXPECT_FALSE(copies(vm));
	EXPECT_TRUE(untouched(vm));
	ASSERT_EQ(0, unplug(vm, DST, SIZE));
	ASSERT_EQ(0, plug(vm, DST, SIZE, RW));
	ASSERT_EQ(0, map(vm, DST, SIZE, 0));

	/* Without the tables what is mapped stays, and no refresh reads them. */
	ASSERT_EQ(0, unplug(vm, RT, SZ_1M));
	EXPECT_TRUE(copies(vm));
	EXPECT_EQ(EIO, refresh(vm, DST, SIZE, &inv));
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_BAD_ADDRESS, inv.status);
	ASSERT_EQ(0, plug(vm, RT, SZ_1M, RW));
	EXPECT_EQ(0, refresh(vm, 0, GUEST_SIZE, NULL));
	EXPECT_TRUE(copies(vm));
}

/* One table replaces another, with DMA blocked in between or not. */
TEST_F(s390_nested, replace)
{
	struct vm *vm = &self->vm;
	struct iommu_hwpt_s390_zpci data = nested_data(vm);
	u32 first, second, id = vm->nested;

	vm_start(vm);
	first = vm->nested;
	ASSERT_EQ(0, alloc_nested(vm, &data, &second));
	EXPECT_TRUE(copies(vm));

	/* The second is empty, and not refreshed by requests for the first. */
	ASSERT_EQ(0, attach(vm, second));
	ASSERT_EQ(0, refresh(vm, DST, SIZE, NULL));
	EXPECT_EQ(EBUSY, destroy(vm, second));
	EXPECT_EQ(0, destroy(vm, first));
	vm->nested = second;
	ASSERT_EQ(0, refresh(vm, 0, GUEST_SIZE, NULL));
	EXPECT_TRUE(copies(vm));

	/* Detached and attached again it has kept what it had. */
	ASSERT_EQ(0, -__vfio_device_detach_iommufd_pt(vm->device->fd));
	EXPECT_EQ(0, refresh(vm, 0, GUEST_SIZE, NULL));
	ASSERT_EQ(0, attach(vm, second));
	EXPECT_TRUE(copies(vm));

	/* The parent itself: addresses are those of the guest's memory. */
	ASSERT_EQ(0, attach(vm, vm->parent));
	EXPECT_TRUE(copies(vm));
	EXPECT_EQ(0, destroy(vm, second));
	EXPECT_EQ(EBUSY, destroy(vm, vm->parent));
	ASSERT_EQ(0, alloc_nested(vm, &data, &id));
	ASSERT_EQ(0, attach(vm, id));
	EXPECT_EQ(EBUSY, destroy(vm, vm->parent));
	EXPECT_EQ(EBUSY, destroy(vm, vm->ioas));
	vm->nested = id;
	ASSERT_EQ(0, refresh(vm, 0, GUEST_SIZE, NULL));
	EXPECT_TRUE(copies(vm));
}

/* A few guest tables must not make the host allocate any number of its own. */
TEST_F(s390_nested, aliases)
{
	struct vm *vm = &self->vm;
	struct iommu_hwpt_s390_zpci data = nested_data(vm);
	struct iommu_hwpt_s390_zpci_invalidate inv;
	u64 *st = vm->mem + ST, *pt = vm->mem + PT;
	unsigned int i;

	/* 64 segments with one page table, whose entries name one frame */
	data.pal = vm->start_dma + 64 * SZ_1M - 1;
	ASSERT_EQ(0, alloc_nested(vm, &data, &vm->nested));
	for (i = 0; i < 64; i++)
		st[((vm->start_dma >> IOAT_ST_SHIFT) + i) & IOAT_INDEX_MASK] = PT;
	for (i = 0; i < IOAT_PT_ENTRIES; i++)
		pt[i] = DST;
	EXPECT_EQ(0, refresh(vm, 0, 16 * SZ_1M, &inv));
	EXPECT_EQ(EIO, refresh(vm, 0, 64 * SZ_1M, &inv));
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_NO_RESOURCES, inv.status);

	/* What is given up counts no more. */
	init_table(pt, IOAT_PT_ENTRIES, IOAT_PTE_INVALID);
	ASSERT_EQ(0, refresh(vm, 0, 64 * SZ_1M, &inv));
	for (i = 0; i < IOAT_PT_ENTRIES; i++)
		pt[i] = DST;
	EXPECT_EQ(0, refresh(vm, 48 * SZ_1M, 16 * SZ_1M, &inv));
}

/* Tables are changed and refreshed while memory comes and goes. */
struct race {
	struct vm *vm;
	bool stop;
	unsigned long rounds;
	unsigned long errors;
};

static void *refresher(void *arg)
{
	struct race *race = arg;
	struct iommu_hwpt_s390_zpci_invalidate inv;
	struct vm *vm = race->vm;
	int rc;

	while (!READ_ONCE(race->stop)) {
		map_range(vm, DST, SIZE, race->rounds & 1 ? IOAT_PTE_INVALID : 0);
		rc = refresh(vm, race->rounds & 2 ? 0 : DST,
			     race->rounds & 2 ? GUEST_SIZE : SIZE, &inv);
		if (rc && (rc != EIO ||
			   inv.status != IOMMU_S390_ZPCI_REFRESH_BAD_ADDRESS))
			race->errors++;
		WRITE_ONCE(race->rounds, race->rounds + 1);
	}
	return NULL;
}

TEST_F_TIMEOUT(s390_nested, race, 300)
{
	struct vm *vm = &self->vm;
	struct race race = { .vm = vm };
	pthread_t thread;
	unsigned int i;

	ASSERT_EQ(0, unplug(vm, 0, GUEST_SIZE));
	ASSERT_EQ(0, plug(vm, 0, DST, RW));
	ASSERT_EQ(0, plug(vm, DST, SIZE, RW));
	vm_start(vm);
	ASSERT_EQ(0, pthread_create(&thread, NULL, refresher, &race));
	for (i = 0; i < 200 || READ_ONCE(race.rounds) < 200; i++) {
		ASSERT_EQ(0, unplug(vm, DST, SIZE));
		/* Out of reach now, whatever the other thread does */
		if (i % 20 == 0) {
			EXPECT_FALSE(copies(vm));
			EXPECT_TRUE(untouched(vm));
		}
		ASSERT_EQ(0, plug(vm, DST, SIZE, RW));
	}
	WRITE_ONCE(race.stop, true);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, race.errors);
	ASSERT_EQ(0, map(vm, DST, SIZE, 0));
	EXPECT_TRUE(copies(vm));
}

/* Write @text to a file of the kernel; returns if that worked. */
static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), len = strlen(text);
	bool ok = fd >= 0 && write(fd, text, len) == len;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Let allocations fail that a task asks for by number, with any flags. */
static bool faults_available(void)
{
	return write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") &&
	       write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N") &&
	       write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0") &&
	       !access("/proc/thread-self/fail-nth", W_OK);
}

static void fail_nth(unsigned int n)
{
	char text[16];

	snprintf_assert(text, sizeof(text), "%u", n);
	VFIO_ASSERT_TRUE(write_file("/proc/thread-self/fail-nth", text));
}

/* Has the allocation failed that was asked for? No more are to fail. */
static bool failed_nth(void)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR);
	char text[16] = "";

	VFIO_ASSERT_GE(fd, 0);
	VFIO_ASSERT_GT(pread(fd, text, sizeof(text) - 1, 0), 0);
	VFIO_ASSERT_EQ(pwrite(fd, "0", 1, 0), 1);
	close(fd);
	return atoi(text) == 0;
}

/*
 * Let each allocation of @_op fail in its turn. It returns @_err then, and works
 * the next time. @_undo makes it undone. Leaves it done.
 */
#define SWEEP(_op, _err, _undo) do {					\
	unsigned int __n;						\
	bool __failed;							\
	int __rc;							\
									\
	for (__n = 1;; __n++) {						\
		fail_nth(__n);						\
		__rc = (_op);						\
		__failed = failed_nth();				\
		if (!__failed)						\
			break;						\
		/* Some allocations are optional */			\
		if (__rc) {						\
			EXPECT_EQ(_err, __rc) {				\
				TH_LOG("%s, allocation %u", #_op, __n);	\
			}						\
			ASSERT_EQ(0, (_op));				\
		}							\
		_undo;							\
	}								\
	EXPECT_EQ(0, __rc);						\
	EXPECT_LT(1, __n) {						\
		TH_LOG("%s allocates nothing", #_op);			\
	}								\
} while (0)

TEST_F_TIMEOUT(s390_nested, fail_nth, 300)
{
	struct vm *vm = &self->vm;
	struct iommu_hwpt_s390_zpci data = nested_data(vm);
	struct iommu_hwpt_s390_zpci_invalidate inv;
	struct iommu_hw_info_s390_zpci info;
	u32 len = sizeof(info), id;
	unsigned int n;

	if (!faults_available())
		SKIP(return, "the kernel has no fault injection");

	ASSERT_EQ(0, unplug(vm, 0, GUEST_SIZE));
	ASSERT_EQ(0, plug(vm, 0, DST, RW));
	ASSERT_EQ(0, plug(vm, DST, SIZE, RW));
	/* Two page tables of the parent, so that a map can fail half-way */
	ASSERT_EQ(0, unplug(vm, 0, DST));
	SWEEP(plug(vm, 0, DST, RW), ENOMEM, unplug(vm, 0, DST));
	SWEEP(hw_info(vm, &info, &len), ENOMEM, );
	SWEEP(alloc_parent(vm, &id), ENOMEM, destroy(vm, id));
	SWEEP(alloc_nested(vm, &data, &vm->nested), ENOMEM, destroy(vm, vm->nested));
	SWEEP(attach(vm, vm->nested), ENOMEM,
	      __vfio_device_detach_iommufd_pt(vm->device->fd));

	/* A refresh takes back what the guest has given up: a table, too */
	map_range(vm, 0, SIZE, 0);
	SWEEP(refresh(vm, 0, SIZE, &inv), EIO, {
		if (inv.status)
			EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_NO_RESOURCES, inv.status);
		ASSERT_EQ(0, attach(vm, vm->parent));
		ASSERT_EQ(0, destroy(vm, vm->nested));
		ASSERT_EQ(0, alloc_nested(vm, &data, &vm->nested));
	});

	/* An unmap of the parent needs no memory. */
	vm_start(vm);
	for (n = 1; n < 20; n++) {
		fail_nth(n);
		EXPECT_EQ(0, unplug(vm, DST, SIZE));
		failed_nth();
		EXPECT_FALSE(copies(vm));
		EXPECT_TRUE(untouched(vm));
		ASSERT_EQ(0, plug(vm, DST, SIZE, RW));
		ASSERT_EQ(0, refresh(vm, DST, SIZE, NULL));
		EXPECT_TRUE(copies(vm));
	}
}

/* Closed with all of it in use, in either order */
TEST_F(s390_nested, close_device)
{
	struct vm *vm = &self->vm;

	vm_start(vm);
	vfio_pci_driver_remove(vm->device);
	vfio_pci_device_close(vm->device);
	EXPECT_EQ(0, refresh(vm, 0, GUEST_SIZE, NULL));
	EXPECT_EQ(0, destroy(vm, vm->nested));
	EXPECT_EQ(0, destroy(vm, vm->parent));
	EXPECT_EQ(0, destroy(vm, vm->ioas));
}

int main(int argc, char *argv[])
{
	device_bdf = vfio_selftests_get_bdf(&argc, argv);
	return test_harness_run(argc, argv);
}
