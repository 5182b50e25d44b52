// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of RPCIT with protected and ucontrol VMs, and of its switch
 *
 * Protected virtualization needs hardware. These tests check only the decisions.
 * VM and vCPU are zeroed structures; a handle marks them as protected.
 */

#include <kunit/test.h>
#include <linux/device.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
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
};

/* The device is part of the fixture */
static void ioat_test_release(struct device *dev)
{
}

static struct kvm_s390_ioat *ioat_test_bind(struct ioat_fixture *f)
{
	guard(mutex)(&f->kvm->arch.zpci_dev_lock);
	return kvm_s390_ioat_bind(f->kvm, &f->dev);
}

static int ioat_test_init(struct kunit *test)
{
	struct ioat_fixture *f;

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

	device_initialize(&f->dev);
	f->dev.release = ioat_test_release;
	f->ioat = ioat_test_bind(f);
	KUNIT_ASSERT_NOT_NULL(test, f->ioat);
	return 0;
}

static void ioat_test_unbind(struct ioat_fixture *f, struct kvm_s390_ioat *ioat)
{
	scoped_guard(mutex, &f->kvm->arch.zpci_dev_lock)
		kvm_s390_ioat_unbind(ioat);
	kvm_s390_ioat_put(ioat);
}

static void ioat_test_exit(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;

	if (f && f->ioat)
		ioat_test_unbind(f, f->ioat);
}

static int try_on(struct ioat_fixture *f, struct kvm_s390_ioat *ioat, u32 fh)
{
	guard(mutex)(&f->kvm->lock);
	guard(mutex)(&f->kvm->arch.zpci_dev_lock);
	return kvm_s390_ioat_on(f->kvm, ioat, fh);
}

static int try_off(struct ioat_fixture *f, struct kvm_s390_ioat *ioat)
{
	guard(mutex)(&f->kvm->arch.zpci_dev_lock);
	return kvm_s390_ioat_off(ioat);
}

/* A protected VM is refused: the kernel can't read its tables */
static void on_protected(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;

	f->kvm->arch.pv.handle = 1;
	KUNIT_EXPECT_EQ(test, try_on(f, f->ioat, 1), -EOPNOTSUPP);
	KUNIT_EXPECT_FALSE(test, kvm_s390_ioat_in_use(f->kvm));
}

/* So is a ucontrol VM: KVM does not manage its memory */
static void on_ucontrol(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;

	set_bit(GMAP_FLAG_IS_UCONTROL, &f->kvm->arch.gmap->flags);
	KUNIT_EXPECT_EQ(test, try_on(f, f->ioat, 1), -EOPNOTSUPP);
}

/* One function for each handle. KVM_PV_ENABLE depends on kvm_s390_ioat_in_use(). */
static void on_and_off(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;
	struct kvm_s390_ioat *other = ioat_test_bind(f);

	KUNIT_ASSERT_NOT_NULL(test, other);
	KUNIT_EXPECT_FALSE(test, kvm_s390_ioat_in_use(f->kvm));
	KUNIT_EXPECT_EQ(test, try_off(f, f->ioat), -ENOENT);
	/* Handle 0 is as good as any */
	KUNIT_EXPECT_EQ(test, try_on(f, f->ioat, 0), 0);
	KUNIT_EXPECT_TRUE(test, kvm_s390_ioat_in_use(f->kvm));
	KUNIT_EXPECT_EQ(test, try_on(f, f->ioat, 1), -EEXIST);
	KUNIT_EXPECT_EQ(test, try_on(f, other, 0), -EEXIST);
	KUNIT_EXPECT_EQ(test, try_on(f, other, 1), 0);
	KUNIT_EXPECT_EQ(test, try_off(f, f->ioat), 0);
	KUNIT_EXPECT_TRUE(test, kvm_s390_ioat_in_use(f->kvm));
	ioat_test_unbind(f, other);
	KUNIT_EXPECT_FALSE(test, kvm_s390_ioat_in_use(f->kvm));
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
 * Execute RPCIT in the problem state. An ordinary guest gets a program
 * interruption. The RPCIT of a protected guest goes to user space.
 */
static void rpcit_protected(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;
	struct kvm_s390_local_interrupt *li = &f->vcpu->arch.local_int;

	f->vcpu->arch.sie_block->gpsw.mask = PSW_MASK_PSTATE;
	f->vcpu->arch.pv.handle = 1;
	KUNIT_EXPECT_EQ(test, try_rpcit(f), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, li->pending_irqs, 0);

	f->vcpu->arch.pv.handle = 0;
	KUNIT_EXPECT_EQ(test, try_rpcit(f), 0);
	KUNIT_EXPECT_TRUE(test, test_bit(IRQ_PEND_PROG, &li->pending_irqs));
	KUNIT_EXPECT_EQ(test, li->irq.pgm.code, PGM_PRIVILEGED_OP);
}

/* The RPCIT of a VM without bound functions goes to user space, whatever it is */
static void rpcit_unbound(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;

	ioat_test_unbind(f, f->ioat);
	f->ioat = NULL;
	f->vcpu->arch.sie_block->gpsw.mask = PSW_MASK_PSTATE;
	KUNIT_EXPECT_EQ(test, try_rpcit(f), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, f->vcpu->arch.local_int.pending_irqs, 0);
}

/* Drop an interrupted RPCIT if the guest is protected */
static void resume_protected(struct kunit *test)
{
	struct ioat_fixture *f = test->priv;
	struct kvm_s390_rpcit *rpcit = &f->vcpu->arch.rpcit;

	rpcit->interrupted = true;
	f->vcpu->arch.pv.handle = 1;
	mutex_lock(&f->vcpu->mutex);
	KUNIT_EXPECT_EQ(test, kvm_s390_ioat_resume(f->vcpu), 0);
	mutex_unlock(&f->vcpu->mutex);
	KUNIT_EXPECT_FALSE(test, rpcit->interrupted);
}

static struct kunit_case ioat_test_cases[] = {
	KUNIT_CASE(on_protected),
	KUNIT_CASE(on_ucontrol),
	KUNIT_CASE(on_and_off),
	KUNIT_CASE(rpcit_protected),
	KUNIT_CASE(rpcit_unbound),
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
