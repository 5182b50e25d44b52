// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of registration and RPCIT with protected and ucontrol VMs
 *
 * Protected virtualization needs hardware. These tests check only the decisions.
 * VM and vCPU are zeroed structures; a handle marks them as protected.
 */

#include <kunit/test.h>
#include <linux/device.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mman.h>
#include <linux/mutex.h>
#include <asm/kvm_zpci.h>
#include "s390.h"
#include "gmap.h"
#include "pci_ioat.h"

struct ioat_fixture {
	struct kvm *kvm;
	struct kvm_vcpu *vcpu;
	struct kvm_s390_ioat *ioat;
	struct device dev;
	struct list_head registered;
};

static int ioat_test_init(struct kunit *test)
{
	struct ioat_fixture *f;
	unsigned long memory;

	f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f);
	test->priv = f;

	f->kvm = kunit_kzalloc(test, sizeof(*f->kvm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->kvm);
	mutex_init(&f->kvm->lock);
	kvm_s390_ioat_init_vm(f->kvm);
	f->kvm->arch.gmap = kunit_kzalloc(test, sizeof(*f->kvm->arch.gmap),
					  GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->kvm->arch.gmap);

	/* Give the test's thread an address space for the VM */
	memory = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, memory, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(memory));
	f->kvm->mm = current->mm;

	f->vcpu = kunit_kzalloc(test, sizeof(*f->vcpu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->vcpu);
	f->vcpu->kvm = f->kvm;
	mutex_init(&f->vcpu->mutex);
	spin_lock_init(&f->vcpu->arch.local_int.lock);
	f->vcpu->run = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->vcpu->run);
	f->vcpu->arch.sie_block =
		kunit_kzalloc(test, sizeof(*f->vcpu->arch.sie_block),
			      GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->vcpu->arch.sie_block);

	f->ioat = kvm_s390_ioat_alloc(f->kvm);
	KUNIT_ASSERT_NOT_NULL(test, f->ioat);
	return 0;
}

static void ioat_test_exit(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;

	if (f && f->ioat)
		kvm_s390_ioat_free(f->ioat);
}

static int try_register(struct ioat_fixture *f)
{
	const struct kvm_s390_zpci_ioat args = {
		.fh = 1,
		.pal = PAGE_SIZE - 1,
	};
	int rc;

	mutex_lock(&f->kvm->lock);
	mutex_lock(&f->kvm->arch.zpci_dev_lock);
	rc = kvm_s390_ioat_register(f->ioat, &f->dev, &args);
	mutex_unlock(&f->kvm->arch.zpci_dev_lock);
	mutex_unlock(&f->kvm->lock);
	return rc;
}

/* Refuse a protected VM: neither host nor function can access its memory */
static void register_protected(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;

	/* The VM passes all checks; the device is no PCI function */
	KUNIT_EXPECT_EQ(test, try_register(f), -ENODEV);
	f->kvm->arch.pv.handle = 1;
	KUNIT_EXPECT_EQ(test, try_register(f), -EOPNOTSUPP);
	KUNIT_EXPECT_FALSE(test, kvm_s390_ioat_in_use(f->kvm));
}

/* Refuse a ucontrol VM: KVM does not manage its memory */
static void register_ucontrol(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;

	set_bit(GMAP_FLAG_IS_UCONTROL, &f->kvm->arch.gmap->flags);
	KUNIT_EXPECT_EQ(test, try_register(f), -EOPNOTSUPP);
}

static int try_rpcit(struct ioat_fixture *f)
{
	int rc;

	mutex_lock(&f->vcpu->mutex);
	rc = kvm_s390_handle_rpcit(f->vcpu);
	mutex_unlock(&f->vcpu->mutex);
	return rc;
}

/*
 * Execute RPCIT in the problem state, with a registered table. An ordinary guest
 * gets a program interruption. The RPCIT of a protected guest goes to user space.
 */
static void rpcit_protected(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;
	struct kvm_s390_local_interrupt *li = &f->vcpu->arch.local_int;

	f->vcpu->arch.sie_block->gpsw.mask = PSW_MASK_PSTATE;
	KUNIT_EXPECT_EQ(test, try_rpcit(f), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, li->pending_irqs, 0);

	list_add(&f->registered, &f->kvm->arch.zpci_ioat_list);
	f->vcpu->arch.pv.handle = 1;
	KUNIT_EXPECT_EQ(test, try_rpcit(f), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, li->pending_irqs, 0);

	f->vcpu->arch.pv.handle = 0;
	KUNIT_EXPECT_EQ(test, try_rpcit(f), 0);
	KUNIT_EXPECT_TRUE(test, test_bit(IRQ_PEND_PROG, &li->pending_irqs));
	KUNIT_EXPECT_EQ(test, li->irq.pgm.code, PGM_PRIVILEGED_OP);
	list_del(&f->registered);
}

/* Drop an interrupted RPCIT if the guest is protected */
static void resume_protected(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;
	struct kvm_s390_rpcit *rpcit = &f->vcpu->arch.rpcit;

	rpcit->reg_id = 1;
	f->vcpu->arch.pv.handle = 1;
	mutex_lock(&f->vcpu->mutex);
	KUNIT_EXPECT_EQ(test, kvm_s390_ioat_resume(f->vcpu), 0);
	mutex_unlock(&f->vcpu->mutex);
	KUNIT_EXPECT_EQ(test, rpcit->reg_id, 0);
}

static struct kunit_case ioat_test_cases[] = {
	KUNIT_CASE(register_protected),
	KUNIT_CASE(register_ucontrol),
	KUNIT_CASE(rpcit_protected),
	KUNIT_CASE(resume_protected),
	{}
};

static struct kunit_suite ioat_test_suite = {
	.name = "kvm_s390_ioat",
	.init = ioat_test_init,
	.exit = ioat_test_exit,
	.test_cases = ioat_test_cases,
};

kunit_test_suite(ioat_test_suite);
