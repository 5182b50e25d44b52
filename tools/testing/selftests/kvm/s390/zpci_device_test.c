// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the KVM device that binds a zPCI function to a VM
 *
 * Checks its attributes and their errors, the capability of VFIO, and who may
 * map into the address space of a function with a registered table.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/vfio_zdev.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_harness.h"
#include "zpci_vm.h"

FIXTURE(zpci_device) {
	struct zpci_vm m;
};

FIXTURE_VARIANT(zpci_device) {
	const char *mode;
};

FIXTURE_VARIANT_ADD(zpci_device, group) {
	.mode = ZPCI_GROUP,
};

FIXTURE_VARIANT_ADD(zpci_device, cdev) {
	.mode = ZPCI_CDEV,
};

FIXTURE_SETUP(zpci_device)
{
	zpci_vm_create(&self->m, variant->mode);
}

FIXTURE_TEARDOWN(zpci_device)
{
	zpci_vm_destroy(&self->m);
}

static int set(struct zpci_vm *m, u32 group, u64 attr, void *value)
{
	return __kvm_device_attr_set(m->zpci, group, attr, value) ? errno : 0;
}

static int get(struct zpci_vm *m, u32 group, u64 attr, void *value)
{
	return __kvm_device_attr_get(m->zpci, group, attr, value) ? errno : 0;
}

static int has(struct zpci_vm *m, u32 group, u64 attr)
{
	return __kvm_has_device_attr(m->zpci, group, attr) ? errno : 0;
}

TEST_F(zpci_device, capability)
{
	EXPECT_EQ(KVM_S390_ZPCI_CAP_IOAT,
		  kvm_check_cap(KVM_CAP_S390_ZPCI_DEVICE) &
		  KVM_S390_ZPCI_CAP_IOAT);
	EXPECT_EQ(0, __kvm_test_create_device(self->m.guest.vm,
					      KVM_DEV_TYPE_S390_ZPCI));
}

/* vfio-pci reports which tables the host kernel accepts. */
TEST_F(zpci_device, info_capability)
{
	struct vfio_device_info_cap_zpci_ioat *cap;

	cap = (void *)vfio_pci_device_cap(self->m.device,
				    VFIO_DEVICE_INFO_CAP_ZPCI_IOAT);
	ASSERT_NE(NULL, cap);
	EXPECT_EQ(1, cap->header.version);
	EXPECT_EQ(0, cap->flags);
	EXPECT_EQ(0xf, cap->designations) {
		TH_LOG("segment table, region-third, -second, and -first are bits 0 to 3");
	}
	EXPECT_EQ(1UL << 12 | 1UL << 20, cap->frame_sizes);
	EXPECT_EQ(self->m.start_dma, cap->start_dma);
	EXPECT_LE(self->m.end_dma, cap->end_dma);
	free(cap);
}

TEST_F(zpci_device, has_attr)
{
	static const struct {
		u32 group;
		u64 attr;
		int err;
	} cases[] = {
		{ KVM_DEV_S390_ZPCI_BIND, KVM_DEV_S390_ZPCI_BIND_VFIO, 0 },
		{ KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_REG, 0 },
		{ KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_DEREG, 0 },
		{ KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_STATS, 0 },
		{ KVM_DEV_S390_ZPCI_BIND, 0, ENXIO },
		{ KVM_DEV_S390_ZPCI_BIND, 1000, ENXIO },
		{ KVM_DEV_S390_ZPCI_IOAT, 0, ENXIO },
		{ KVM_DEV_S390_ZPCI_IOAT, 1000, ENXIO },
		{ KVM_DEV_S390_ZPCI_IOAT,
		  KVM_DEV_S390_ZPCI_IOAT_STATS | 1UL << 32, ENXIO },
		{ 0, KVM_DEV_S390_ZPCI_IOAT_REG, ENXIO },
		{ 1000, KVM_DEV_S390_ZPCI_IOAT_REG, ENXIO },
	};
	struct zpci_vm *m = &self->m;
	char buffer[256] = {};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(cases[i].err, has(m, cases[i].group, cases[i].attr)) {
			TH_LOG("has: group %u, attribute %lu", cases[i].group,
			       cases[i].attr);
		}
		if (!cases[i].err)
			continue;
		EXPECT_EQ(cases[i].err, set(m, cases[i].group, cases[i].attr,
					    buffer)) {
			TH_LOG("set: group %u, attribute %lu", cases[i].group,
			       cases[i].attr);
		}
		EXPECT_EQ(cases[i].err, get(m, cases[i].group, cases[i].attr,
					    buffer)) {
			TH_LOG("get: group %u, attribute %lu", cases[i].group,
			       cases[i].attr);
		}
	}
}

/* Read attributes that can only be set, and set those that can only be read. */
TEST_F(zpci_device, direction)
{
	struct kvm_s390_zpci_ioat_stats stats = {};
	struct kvm_s390_zpci_bind bind = {};
	struct kvm_s390_zpci_ioat ioat = {};
	struct zpci_vm *m = &self->m;

	EXPECT_EQ(ENXIO, get(m, KVM_DEV_S390_ZPCI_BIND,
			     KVM_DEV_S390_ZPCI_BIND_VFIO, &bind));
	EXPECT_EQ(ENXIO, get(m, KVM_DEV_S390_ZPCI_IOAT,
			     KVM_DEV_S390_ZPCI_IOAT_REG, &ioat));
	EXPECT_EQ(ENXIO, get(m, KVM_DEV_S390_ZPCI_IOAT,
			     KVM_DEV_S390_ZPCI_IOAT_DEREG, NULL));
	EXPECT_EQ(ENXIO, set(m, KVM_DEV_S390_ZPCI_IOAT,
			     KVM_DEV_S390_ZPCI_IOAT_STATS, &stats));
}

TEST_F(zpci_device, bad_pointer)
{
	void *bad = (void *)-4096UL;
	struct zpci_vm *m = &self->m;

	EXPECT_EQ(EFAULT, set(m, KVM_DEV_S390_ZPCI_BIND,
			      KVM_DEV_S390_ZPCI_BIND_VFIO, bad));
	ASSERT_EQ(0, zpci_vm_bind(m));
	EXPECT_EQ(EFAULT, set(m, KVM_DEV_S390_ZPCI_IOAT,
			      KVM_DEV_S390_ZPCI_IOAT_REG, bad));
	EXPECT_EQ(EFAULT, get(m, KVM_DEV_S390_ZPCI_IOAT,
			      KVM_DEV_S390_ZPCI_IOAT_STATS, bad));
}

/* Reserved fields must be zero. */
TEST_F(zpci_device, reserved_fields)
{
	struct kvm_s390_zpci_bind bind = { .vfio_fd = self->m.device->fd };
	struct zpci_vm *m = &self->m;
	struct kvm_s390_zpci_ioat ioat = {
		.fh = ZPCI_GUEST_FH,
		.pba = m->pba,
		.pal = m->pal,
		.iota = zpci_guest_iota(&m->guest),
	};
	struct kvm_device_attr attr = {
		.flags = 1,
		.group = KVM_DEV_S390_ZPCI_BIND,
		.attr = KVM_DEV_S390_ZPCI_BIND_VFIO,
		.addr = (uintptr_t)&bind,
	};
	int i;

	EXPECT_EQ(-1, ioctl(m->zpci, KVM_SET_DEVICE_ATTR, &attr));
	EXPECT_EQ(EINVAL, errno);
	bind.flags = 1;
	EXPECT_EQ(EINVAL, set(m, KVM_DEV_S390_ZPCI_BIND,
			      KVM_DEV_S390_ZPCI_BIND_VFIO, &bind));
	bind.flags = 0;
	for (i = 0; i < ARRAY_SIZE(bind.reserved); i++) {
		bind.reserved[i] = 1;
		EXPECT_EQ(EINVAL, set(m, KVM_DEV_S390_ZPCI_BIND,
				      KVM_DEV_S390_ZPCI_BIND_VFIO, &bind));
		bind.reserved[i] = 0;
	}
	ASSERT_EQ(0, set(m, KVM_DEV_S390_ZPCI_BIND, KVM_DEV_S390_ZPCI_BIND_VFIO,
			 &bind));

	ioat.flags = 1;
	EXPECT_EQ(EINVAL, set(m, KVM_DEV_S390_ZPCI_IOAT,
			      KVM_DEV_S390_ZPCI_IOAT_REG, &ioat));
	ioat.flags = 0;
	for (i = 0; i < ARRAY_SIZE(ioat.reserved); i++) {
		ioat.reserved[i] = 1;
		EXPECT_EQ(EINVAL, set(m, KVM_DEV_S390_ZPCI_IOAT,
				      KVM_DEV_S390_ZPCI_IOAT_REG, &ioat));
		ioat.reserved[i] = 0;
	}
	EXPECT_EQ(EINVAL, set(m, KVM_DEV_S390_ZPCI_IOAT,
			      KVM_DEV_S390_ZPCI_IOAT_DEREG, &ioat)) {
		TH_LOG("deregistration has no payload");
	}
	EXPECT_EQ(0, set(m, KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_REG,
			 &ioat));
}

/*
 * A function can be bound once, to a device of the VM that it was opened with.
 */
TEST_F(zpci_device, bind)
{
	struct kvm_s390_zpci_bind bind = { .vfio_fd = -1 };
	struct zpci_vm *m = &self->m;
	struct zpci_guest other;
	int second, stranger, first = m->zpci;

	EXPECT_EQ(EBADF, set(m, KVM_DEV_S390_ZPCI_BIND,
			     KVM_DEV_S390_ZPCI_BIND_VFIO, &bind));
	bind.vfio_fd = m->guest.vm->fd;
	EXPECT_EQ(EINVAL, set(m, KVM_DEV_S390_ZPCI_BIND,
			      KVM_DEV_S390_ZPCI_BIND_VFIO, &bind)) {
		TH_LOG("not a VFIO file");
	}
	bind.vfio_fd = zpci_function_iommu_fd(m->device);
	EXPECT_EQ(EINVAL, set(m, KVM_DEV_S390_ZPCI_BIND,
			      KVM_DEV_S390_ZPCI_BIND_VFIO, &bind)) {
		TH_LOG("a container or iommufd");
	}

	zpci_guest_create(&other);
	stranger = kvm_create_device(other.vm, KVM_DEV_TYPE_S390_ZPCI);
	m->zpci = stranger;
	EXPECT_EQ(EPERM, zpci_vm_bind(m)) {
		TH_LOG("function was opened with another VM");
	}
	close(stranger);
	zpci_guest_free(&other);

	m->zpci = first;
	EXPECT_EQ(0, zpci_vm_bind(m));
	EXPECT_EQ(EBUSY, zpci_vm_bind(m));
	second = kvm_create_device(m->guest.vm, KVM_DEV_TYPE_S390_ZPCI);
	m->zpci = second;
	EXPECT_EQ(EBUSY, zpci_vm_bind(m)) {
		TH_LOG("function is bound to another device");
	}
	close(first);
	EXPECT_EQ(0, zpci_vm_bind(m));
}

/* A function that was not opened with a VM can't be bound. */
TEST_F(zpci_device, bind_without_vm)
{
	struct zpci_vm *m = &self->m;

	zpci_vm_close_function(m);
	m->device = zpci_function_open(variant->mode, -1);
	EXPECT_EQ(EPERM, zpci_vm_bind(m));
}

/* All attributes but binding need a binding. */
TEST_F(zpci_device, not_bound)
{
	struct kvm_s390_zpci_ioat_stats stats;
	struct zpci_vm *m = &self->m;

	EXPECT_EQ(ENODEV, zpci_vm_register(m));
	EXPECT_EQ(ENOENT, zpci_vm_deregister(m));
	EXPECT_EQ(ENODEV, zpci_vm_get_stats(m, &stats));
}

/* Counters start at zero. Reserved fields are zero. */
TEST_F(zpci_device, fresh_stats)
{
	struct kvm_s390_zpci_ioat_stats stats, zero;
	struct zpci_vm *m = &self->m;

	memset(&stats, 0xff, sizeof(stats));
	memset(&zero, 0, sizeof(zero));
	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_EQ(0, get(m, KVM_DEV_S390_ZPCI_IOAT,
			 KVM_DEV_S390_ZPCI_IOAT_STATS, &stats));
	EXPECT_EQ(0, memcmp(&stats, &zero, sizeof(zero)));
}

TEST_F(zpci_device, register_twice)
{
	struct zpci_vm *m = &self->m;

	ASSERT_EQ(0, zpci_vm_bind(m));
	EXPECT_EQ(ENOENT, zpci_vm_deregister(m));
	EXPECT_EQ(0, zpci_vm_register(m));
	EXPECT_EQ(EEXIST, zpci_vm_register(m));
	EXPECT_EQ(0, zpci_vm_deregister(m));
	EXPECT_EQ(ENOENT, zpci_vm_deregister(m));
	EXPECT_EQ(0, zpci_vm_register(m));
}

TEST_F(zpci_device, aperture)
{
	struct vfio_device_info_cap_zpci_ioat *cap;
	struct zpci_vm *m = &self->m;
	u64 start, end;

	cap = (void *)vfio_pci_device_cap(m->device, VFIO_DEVICE_INFO_CAP_ZPCI_IOAT);
	ASSERT_NE(NULL, cap);
	start = cap->start_dma;
	/* The guest's region-third table reaches no farther */
	end = min_t(u64, cap->end_dma, (1UL << 42) - 1);
	free(cap);

	ASSERT_EQ(0, zpci_vm_bind(m));
	EXPECT_EQ(EINVAL, zpci_vm_register_range(m, m->pba + 1, m->pal));
	EXPECT_EQ(EINVAL, zpci_vm_register_range(m, m->pba, m->pal - 1));
	EXPECT_EQ(EINVAL, zpci_vm_register_range(m, m->pba, m->pba));
	EXPECT_EQ(EINVAL, zpci_vm_register_range(m, m->pba, m->pba - 1));
	EXPECT_EQ(EINVAL, zpci_vm_register_range(m, m->pal + 1, m->pba - 1));
	EXPECT_EQ(EINVAL, zpci_vm_register_range(m, start - PAGE_SIZE, end));
	EXPECT_EQ(EINVAL, zpci_vm_register_range(m, start, end + PAGE_SIZE));
	EXPECT_EQ(EINVAL, zpci_vm_register_range(m, start, ~0UL));
	EXPECT_EQ(EINVAL, zpci_vm_register_range(m, 0, PAGE_SIZE - 1));
	/* The largest and the smallest aperture */
	EXPECT_EQ(0, zpci_vm_register_range(m, start, end));
	EXPECT_EQ(0, zpci_vm_deregister(m));
	EXPECT_EQ(0, zpci_vm_register_range(m, end + 1 - PAGE_SIZE, end));
}

TEST_F(zpci_device, anchor)
{
	static const struct {
		u64 clear;
		u64 set;
		int err;
	} cases[] = {
		{ 0x800, 0, EOPNOTSUPP },	/* translation not enabled */
		{ 0x1c, 0x00, EINVAL },		/* segment table: see below */
		{ 0x1c, 0x04, 0 },		/* region-third table */
		{ 0x1c, 0x08, 0 },		/* region-second table */
		{ 0x1c, 0x0c, 0 },		/* region-first table */
		{ 0x1c, 0x10, EOPNOTSUPP },	/* no table, one area */
		{ 0x1c, 0x14, EOPNOTSUPP },
		{ 0x1c, 0x18, EOPNOTSUPP },
		{ 0x1c, 0x1c, EOPNOTSUPP },	/* page table */
	};
	struct zpci_vm *m = &self->m;
	struct kvm_s390_zpci_ioat ioat = {
		.fh = ZPCI_GUEST_FH,
		.pba = m->pba,
		.pal = m->pal,
	};
	int i, err;

	ASSERT_EQ(0, zpci_vm_bind(m));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ioat.iota = zpci_guest_iota(&m->guest);
		ioat.iota &= ~cases[i].clear;
		ioat.iota |= cases[i].set;
		err = cases[i].err;
		/* A segment table reaches 2 GiB. */
		if (err == EINVAL && ioat.pal < 1UL << 31)
			err = 0;
		EXPECT_EQ(err, set(m, KVM_DEV_S390_ZPCI_IOAT,
				   KVM_DEV_S390_ZPCI_IOAT_REG, &ioat)) {
			TH_LOG("IOTA 0x%llx", ioat.iota);
		}
		if (err)
			continue;
		EXPECT_EQ(0, zpci_vm_deregister(m));
	}
}

/*
 * A table outside guest memory fails at the first RPCIT, not at registration.
 */
TEST_F(zpci_device, anchor_nowhere)
{
	struct zpci_vm *m = &self->m;
	struct kvm_s390_zpci_ioat ioat = {
		.fh = ZPCI_GUEST_FH,
		.pba = m->pba,
		.pal = m->pal,
		.iota = zpci_guest_iota(&m->guest) - ZPCI_GUEST_TABLES +
			ZPCI_GUEST_NOWHERE,
	};

	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_EQ(0, set(m, KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_REG,
			 &ioat));
	EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, m->pba, PAGE_SIZE).exits);
	EXPECT_EQ(1, zpci_vm_stats(m).rpcits_user);
}

/* VFIO can't map while a guest's table is registered. */
TEST_F(zpci_device, one_writer)
{
	void *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct zpci_vm *m = &self->m;
	struct dma_region region = {
		.vaddr = page,
		.iova = m->pba,
		.size = PAGE_SIZE,
	};
	struct dma_region last = {
		.vaddr = page,
		.iova = m->end_dma + 1 - PAGE_SIZE,
		.size = PAGE_SIZE,
	};

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_EQ(0, zpci_vm_register(m));
	EXPECT_EQ(-EBUSY, __iommu_map(m->device->iommu, &region)) {
		TH_LOG("VFIO could map into the guest's address space");
	}
	/* This holds for the whole address space, not only for the aperture. */
	EXPECT_EQ(-EBUSY, __iommu_map(m->device->iommu, &last));
	ASSERT_EQ(0, zpci_vm_deregister(m));
	ASSERT_EQ(0, __iommu_map(m->device->iommu, &region)) {
		TH_LOG("VFIO can't map after deregistration");
	}
	EXPECT_EQ(EBUSY, zpci_vm_register(m)) {
		TH_LOG("registered although there are mappings");
	}
	EXPECT_EQ(0, __iommu_unmap(m->device->iommu, &region, NULL));
	EXPECT_EQ(0, zpci_vm_register(m)) {
		TH_LOG("can't be registered after the last mapping is gone");
	}
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	return zpci_harness_run(argc, argv);
}
