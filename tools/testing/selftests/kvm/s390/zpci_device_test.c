// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the KVM device that binds a zPCI function to a VM
 *
 * Checks its attributes and their errors, and when KVM answers RPCITs.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/time.h>

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

FIXTURE_VARIANT_ADD(zpci_device, nested) {
	.mode = ZPCI_NESTED,
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

TEST_F(zpci_device, has_attr)
{
	static const struct {
		u32 group;
		u64 attr;
		int err;
	} cases[] = {
		{ KVM_DEV_S390_ZPCI_BIND, KVM_DEV_S390_ZPCI_BIND_VFIO, 0 },
		{ KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_ON, 0 },
		{ KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_OFF, 0 },
		{ KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_STATS, 0 },
		{ KVM_DEV_S390_ZPCI_BIND, 0, ENXIO },
		{ KVM_DEV_S390_ZPCI_BIND, 1000, ENXIO },
		{ KVM_DEV_S390_ZPCI_IOAT, 0, ENXIO },
		{ KVM_DEV_S390_ZPCI_IOAT, 1000, ENXIO },
		{ KVM_DEV_S390_ZPCI_IOAT,
		  KVM_DEV_S390_ZPCI_IOAT_STATS | 1UL << 32, ENXIO },
		{ 0, KVM_DEV_S390_ZPCI_IOAT_ON, ENXIO },
		{ 1000, KVM_DEV_S390_ZPCI_IOAT_ON, ENXIO },
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
			     KVM_DEV_S390_ZPCI_IOAT_ON, &ioat));
	EXPECT_EQ(ENXIO, get(m, KVM_DEV_S390_ZPCI_IOAT,
			     KVM_DEV_S390_ZPCI_IOAT_OFF, NULL));
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
			      KVM_DEV_S390_ZPCI_IOAT_ON, bad));
	EXPECT_EQ(EFAULT, get(m, KVM_DEV_S390_ZPCI_IOAT,
			      KVM_DEV_S390_ZPCI_IOAT_STATS, bad));
}

/* Reserved fields must be zero. */
TEST_F(zpci_device, reserved_fields)
{
	struct kvm_s390_zpci_bind bind = { .vfio_fd = self->m.device->fd };
	struct kvm_s390_zpci_ioat ioat = { .fh = ZPCI_GUEST_FH };
	struct zpci_vm *m = &self->m;
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
			      KVM_DEV_S390_ZPCI_IOAT_ON, &ioat));
	ioat.flags = 0;
	for (i = 0; i < ARRAY_SIZE(ioat.reserved); i++) {
		ioat.reserved[i] = 1;
		EXPECT_EQ(EINVAL, set(m, KVM_DEV_S390_ZPCI_IOAT,
				      KVM_DEV_S390_ZPCI_IOAT_ON, &ioat));
		ioat.reserved[i] = 0;
	}
	EXPECT_EQ(EINVAL, set(m, KVM_DEV_S390_ZPCI_IOAT,
			      KVM_DEV_S390_ZPCI_IOAT_OFF, &ioat)) {
		TH_LOG("there is no payload to switch it off");
	}
	EXPECT_EQ(0, set(m, KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_ON,
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

	EXPECT_EQ(ENODEV, zpci_vm_ioat_on(m));
	EXPECT_EQ(ENOENT, zpci_vm_ioat_off(m));
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

TEST_F(zpci_device, switch_twice)
{
	struct zpci_vm *m = &self->m;

	ASSERT_EQ(0, zpci_vm_bind(m));
	EXPECT_EQ(ENOENT, zpci_vm_ioat_off(m));
	EXPECT_EQ(0, zpci_vm_ioat_on(m));
	EXPECT_EQ(EEXIST, zpci_vm_ioat_on(m));
	EXPECT_EQ(0, zpci_vm_ioat_off(m));
	EXPECT_EQ(ENOENT, zpci_vm_ioat_off(m));
	EXPECT_EQ(0, zpci_vm_ioat_on(m));
}

/* Check who answers an RPCIT of @fh. */
static const char *is_answered(struct zpci_vm *m, u32 fh, bool by_kernel)
{
	struct zpci_rpcit r = zpci_guest_rpcit_fh(&m->guest, fh, m->pba,
						  PAGE_SIZE, 0);

	if (r.pgm || r.exits == by_kernel)
		return by_kernel ? "user space is asked" :
				   "the kernel answers";
	return !by_kernel || !r.cc ? NULL : "the kernel refuses";
}

/*
 * KVM answers while the switch is on and a table is attached, whatever came
 * first, and by the table that is attached at that time.
 */
TEST_F(zpci_device, on_and_off)
{
	struct zpci_vm *m = &self->m;
	struct kvm_s390_zpci_ioat other = { .fh = ZPCI_GUEST_FH + 1 };

	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, false));
	ASSERT_EQ(0, zpci_vm_ioat_on(m));
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, false));
	EXPECT_EQ(1, zpci_vm_stats(m).rpcits_user);

	/* In a container there can't be a table. */
	if (!zpci_mode_is_nested(variant->mode))
		return;
	ASSERT_EQ(0, zpci_vm_attach(m));
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, true));
	EXPECT_EQ(1, zpci_vm_stats(m).rpcits);
	ASSERT_EQ(0, zpci_vm_ioat_off(m));
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, false));

	/* Another handle, the same table */
	ASSERT_EQ(0, set(m, KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_ON,
			 &other));
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, false));
	ASSERT_WORKS(is_answered(m, other.fh, true));
	ASSERT_EQ(0, zpci_vm_ioat_off(m));

	/* The same handle, other tables: only the aperture tells them apart. */
	ASSERT_EQ(0, zpci_vm_ioat_on(m));
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, true));
	ASSERT_EQ(0, zpci_vm_attach_table(m, zpci_guest_iota(&m->guest),
					  m->pba + 2 * PAGE_SIZE, m->pal));
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, false));
	ASSERT_EQ(0, zpci_vm_attach(m));
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, true));
	ASSERT_EQ(0, zpci_vm_detach(m));
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, false));
	EXPECT_EQ(4, zpci_vm_stats(m).rpcits);
	/* Those of a handle that is not on are not counted. */
	EXPECT_EQ(3, zpci_vm_stats(m).rpcits_user);
}

static void nothing(int signal)
{
}

/* A guest whose VMM gets signals must not lose its table. */
TEST_F(zpci_device, signals)
{
	struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = {};
	struct sigaction action = { .sa_handler = nothing };
	struct zpci_vm *m = &self->m;
	int i, err = 0;

	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_EQ(0, sigaction(SIGPROF, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_PROF, &often, NULL));
	for (i = 0; i < 100 && !err; i++) {
		err = zpci_vm_ioat_on(m);
		if (!err && zpci_mode_is_nested(variant->mode))
			err = zpci_vm_attach(m);
		if (!err)
			err = zpci_vm_ioat_off(m);
	}
	ASSERT_EQ(0, setitimer(ITIMER_PROF, &never, NULL));
	EXPECT_EQ(0, err) {
		TH_LOG("round %d: %s", i, strerror(err));
	}
}

/*
 * The end of the binding switches it off. The table stays: the function goes on.
 */
TEST_F(zpci_device, end_of_binding)
{
	struct zpci_vm *m = &self->m;

	/* In a container there can't be a table. */
	if (!zpci_mode_is_nested(variant->mode))
		return;
	ASSERT_EQ(0, zpci_vm_start(m));
	zpci_vm_close_zpci(m);
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, false));
	EXPECT_TRUE(zpci_shadow_stats().attached);
	m->zpci = kvm_create_device(m->guest.vm, KVM_DEV_TYPE_S390_ZPCI);
	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, false));
	ASSERT_EQ(0, zpci_vm_ioat_on(m));
	ASSERT_WORKS(is_answered(m, ZPCI_GUEST_FH, true));
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	return zpci_harness_run(argc, argv);
}
