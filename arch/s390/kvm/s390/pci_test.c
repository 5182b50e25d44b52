// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of interpretation and interruption forwarding of PCI functions
 *
 * Copyright (C) 2026 the authors of the s390 KVM zPCI series
 *
 * Test what is decided before a function or guest memory is accessed: checks of
 * interruption parameters, and states in which an operation fails or does nothing.
 * VM and function are zeroed structures. The tests need no PCI function and no
 * guest.
 */

#include <kunit/test.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include "pci.h"

#define NR_MSI	64

struct pci_fixture {
	struct kvm *kvm;
	struct zpci_dev *zdev;
	struct kvm_zdev kzdev;
	struct kvm_s390_pci_aif aif;
};

static int pci_test_init(struct kunit *test)
{
	struct pci_fixture *f;

	f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f);
	test->priv = f;

	f->kvm = kunit_kzalloc(test, sizeof(*f->kvm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->kvm);
	mutex_init(&f->kvm->lock);
	spin_lock_init(&f->kvm->arch.kzdev_list_lock);
	INIT_LIST_HEAD(&f->kvm->arch.kzdev_list);

	f->zdev = kunit_kzalloc(test, sizeof(*f->zdev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->zdev);
	mutex_init(&f->zdev->state_lock);
	f->zdev->max_msi = NR_MSI;
	f->zdev->gisa = 0x1000;

	f->kzdev.zdev = f->zdev;
	f->kzdev.kvm = f->kvm;
	list_add(&f->kzdev.entry, &f->kvm->arch.kzdev_list);

	f->aif = (struct kvm_s390_pci_aif) {
		.ibv = 0x10000,
		.sb = 0x20000,
		.noi = 1,
		.summary = true,
	};
	return 0;
}

static struct kvm_s390_pci_aif aif_of(u64 ibv, u32 noi, u8 ibvo)
{
	return (struct kvm_s390_pci_aif) {
		.ibv = ibv,
		.noi = noi,
		.ibvo = ibvo,
	};
}

/* Accept 1 interruption up to the maximum of the function and of the FIB */
static void number_of_interruptions(struct kunit *test)
{
	static const struct {
		u32 noi, max;
		int rc;
	} cases[] = {
		{ 0, NR_MSI, -EINVAL },
		{ 1, NR_MSI, 0 },
		{ NR_MSI, NR_MSI, 0 },
		{ NR_MSI + 1, NR_MSI, -EINVAL },
		{ 0xfff, 0xfff, 0 },
		{ 0xfff, ~0U, 0 },
		{ 0x1000, ~0U, -EINVAL },
		{ 0x1001, ~0U, -EINVAL },	/* Truncated to 1 in the FIB */
		{ ~0U, ~0U, -EINVAL },		/* BITS_TO_LONGS() overflows */
		{ 1, 0, -EINVAL },
	};
	struct kvm_s390_pci_aif aif;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		aif = aif_of(0x10000, cases[i].noi, 0);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].rc,
				    kvm_s390_pci_aif_check(&aif, cases[i].max),
				    "%u of %u", cases[i].noi, cases[i].max);
	}
}

/* Reject values that do not fit in the narrower fields of the FIB */
static void narrow_fields(struct kunit *test)
{
	struct kvm_s390_pci_aif aif;
	unsigned int i;

	for (i = 0; i < 256; i++) {
		aif = aif_of(0x10000, 1, 0);
		aif.isc = i;
		KUNIT_EXPECT_EQ_MSG(test, i < 8 ? 0 : -EINVAL,
				    kvm_s390_pci_aif_check(&aif, NR_MSI),
				    "subclass %u", i);
		aif = aif_of(0x10000, 1, i);
		KUNIT_EXPECT_EQ_MSG(test, i < 64 ? 0 : -EINVAL,
				    kvm_s390_pci_aif_check(&aif, NR_MSI),
				    "first bit %u", i);
		aif = aif_of(0x10000, 1, 0);
		aif.summary = true;
		aif.sbo = i;
		KUNIT_EXPECT_EQ_MSG(test, i < 64 ? 0 : -EINVAL,
				    kvm_s390_pci_aif_check(&aif, NR_MSI),
				    "summary bit %u", i);
	}
}

static void alignment(struct kunit *test)
{
	struct kvm_s390_pci_aif aif;
	unsigned int i;

	for (i = 0; i <= 16; i++) {
		aif = aif_of(0x10000 + i, 1, 0);
		KUNIT_EXPECT_EQ_MSG(test, i % 8 ? -EINVAL : 0,
				    kvm_s390_pci_aif_check(&aif, NR_MSI),
				    "bit vector at %u", i);
		aif = aif_of(0x10000, 1, 0);
		aif.sb = 0x20000 + i;
		/* The address is ignored without a summary bit */
		KUNIT_EXPECT_EQ(test, 0, kvm_s390_pci_aif_check(&aif, NR_MSI));
		aif.summary = true;
		KUNIT_EXPECT_EQ_MSG(test, i % 8 ? -EINVAL : 0,
				    kvm_s390_pci_aif_check(&aif, NR_MSI),
				    "summary bit at %u", i);
	}
}

/*
 * Only one page is pinned for the vector. Accept the vector if the byte with its
 * last bit is in the page of its first byte.
 */
static void vector_in_page(struct kunit *test)
{
	static const u32 noi[] = { 1, 2, 63, 64, 65, 128, 512, 4094, 4095 };
	static const u8 ibvo[] = { 0, 1, 31, 62, 63 };
	struct kvm_s390_pci_aif aif;
	unsigned int n, o;
	u64 offset, last;

	for (offset = 0; offset < PAGE_SIZE; offset += 8) {
		for (n = 0; n < ARRAY_SIZE(noi); n++) {
			for (o = 0; o < ARRAY_SIZE(ibvo); o++) {
				aif = aif_of(0x10000 + offset, noi[n], ibvo[o]);
				last = offset + (ibvo[o] + noi[n] - 1) / 8;
				KUNIT_EXPECT_EQ_MSG(test,
						    last < PAGE_SIZE ? 0 : -EINVAL,
						    kvm_s390_pci_aif_check(&aif, 4095),
						    "%u bits from %u at 0x%llx",
						    noi[n], ibvo[o], offset);
			}
		}
	}

	/* The last doubleword of the address space */
	aif = aif_of(-8ULL, 64, 0);
	KUNIT_EXPECT_EQ(test, 0, kvm_s390_pci_aif_check(&aif, 4095));
	aif = aif_of(-8ULL, 65, 0);
	KUNIT_EXPECT_EQ(test, -EINVAL, kvm_s390_pci_aif_check(&aif, 4095));
}

/* Refuse forwarding in these states and leave the function alone */
static void forwarding_states(struct kunit *test)
{
	struct pci_fixture *f = test->priv;

	mutex_lock(&f->kvm->lock);

	KUNIT_EXPECT_EQ(test, -ENOENT,
			kvm_s390_pci_aif_deregister(&f->kzdev, false));
	KUNIT_EXPECT_EQ(test, -ENOENT,
			kvm_s390_pci_aif_deregister(&f->kzdev, true));
	KUNIT_EXPECT_EQ(test, 0, kvm_s390_pci_aif_disable_all(f->kvm));

	f->kzdev.fib.fmt0.aibv = 0x3000;
	KUNIT_EXPECT_EQ(test, -EEXIST,
			kvm_s390_pci_aif_register(&f->kzdev, &f->aif));
	f->kzdev.fib.fmt0.aibv = 0;

	/* The VM has no GISA */
	KUNIT_EXPECT_EQ(test, -ENODEV,
			kvm_s390_pci_aif_register(&f->kzdev, &f->aif));
	f->aif.noi = NR_MSI + 1;
	KUNIT_EXPECT_EQ(test, -EINVAL,
			kvm_s390_pci_aif_register(&f->kzdev, &f->aif));

	f->zdev->gisa = 0;
	KUNIT_EXPECT_EQ(test, -EPERM,
			kvm_s390_pci_aif_register(&f->kzdev, &f->aif));

	mutex_unlock(&f->kvm->lock);
}

/* Don't switch interpretation in these states; there is no real function */
static void interpretation_states(struct kunit *test)
{
	struct pci_fixture *f = test->priv;
	bool can = kvm_s390_pci_interp_allowed();

	mutex_lock(&f->kvm->lock);

	KUNIT_EXPECT_EQ(test, can ? 0 : -ENXIO,
			kvm_s390_pci_interp_set(&f->kzdev, true));
	f->kzdev.fib.fmt0.aibv = 0x3000;
	KUNIT_EXPECT_EQ(test, can ? -EBUSY : -ENXIO,
			kvm_s390_pci_interp_set(&f->kzdev, false));
	f->kzdev.fib.fmt0.aibv = 0;

	/* Don't wait for state_lock: its holder may wait for the caller */
	mutex_lock(&f->zdev->state_lock);
	KUNIT_EXPECT_EQ(test, can ? -EAGAIN : -ENXIO,
			kvm_s390_pci_interp_set(&f->kzdev, false));
	mutex_unlock(&f->zdev->state_lock);

	f->zdev->state = ZPCI_FN_STATE_STANDBY;
	KUNIT_EXPECT_EQ(test, can ? -ENODEV : -ENXIO,
			kvm_s390_pci_interp_set(&f->kzdev, false));
	KUNIT_EXPECT_FALSE(test, mutex_is_locked(&f->zdev->state_lock));
	KUNIT_EXPECT_EQ(test, 0x1000, f->zdev->gisa);

	mutex_unlock(&f->kvm->lock);
}

static struct kunit_case pci_test_cases[] = {
	KUNIT_CASE(number_of_interruptions),
	KUNIT_CASE(narrow_fields),
	KUNIT_CASE(alignment),
	KUNIT_CASE(vector_in_page),
	KUNIT_CASE(forwarding_states),
	KUNIT_CASE(interpretation_states),
	{}
};

static struct kunit_suite pci_test_suite = {
	.name = "kvm_s390_pci",
	.init = pci_test_init,
	.test_cases = pci_test_cases,
};

kunit_test_suite(pci_test_suite);
