// SPDX-License-Identifier: GPL-2.0
/*
 * Nested domains of s390 PCI functions
 */
#include <pthread.h>

#include "s390_nested.h"

FIXTURE_VARIANT_ADD(s390_nested, pinned) {
	.config = {},
};

FIXTURE_VARIANT_ADD(s390_nested, on_demand) {
	.config = { .flags = IOMMU_HWPT_ALLOC_ON_DEMAND },
};

FIXTURE_VARIANT_ADD(s390_nested, on_demand_file) {
	.config = { .flags = IOMMU_HWPT_ALLOC_ON_DEMAND, .file = true },
};

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
	__auto_type __field = &data._field;				\
									\
	data = good;							\
	*__field = (_value);						\
	EXPECT_EQ(_err, alloc_nested(vm, &data, &id)) {			\
		TH_LOG("%s = 0x%lx", #_field, (u64)*__field);		\
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
	int __err = (_err);						\
									\
	inv = (struct iommu_hwpt_s390_zpci_invalidate) {		\
		.first = (_first), .last = (_last), .flags = (_flags),	\
		.status = 77,						\
	};								\
	nr = 1;								\
	EXPECT_EQ(__err, invalidate(vm, vm->nested, &inv, &nr));	\
	EXPECT_EQ(__err ? 0 : 1, nr);					\
	EXPECT_EQ(__err ? 77 : 0, inv.status);				\
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

	/* The parent itself: addresses are those of the guest's memory, if any. */
	if (vm->config.flags & IOMMU_HWPT_ALLOC_ON_DEMAND) {
		ASSERT_EQ(EINVAL, attach(vm, vm->parent));
		ASSERT_EQ(0, -__vfio_device_detach_iommufd_pt(vm->device->fd));
		EXPECT_EQ(EINVAL, attach(vm, vm->parent));
		EXPECT_EQ(0, destroy(vm, second));
	} else {
		ASSERT_EQ(0, attach(vm, vm->parent));
		EXPECT_TRUE(copies(vm));
		EXPECT_EQ(0, destroy(vm, second));
		EXPECT_EQ(EBUSY, destroy(vm, vm->parent));
	}
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
