// SPDX-License-Identifier: GPL-2.0
/*
 * KVM device that associates a vfio-pci zPCI function with a VM
 *
 * Copyright (C) 2026 the authors of the s390 KVM zPCI series
 *
 * User space creates the device with KVM_CREATE_DEVICE and binds it to a function
 * by the file descriptor of the VFIO device. Attributes of the device control what
 * KVM does for the function. See Documentation/virt/kvm/devices/s390_zpci.rst.
 *
 * Invariants:
 *
 * 1. A function is bound to at most one KVM device, and a KVM device to at most
 *    one function.
 * 2. A device is bound only while the function is open with the device's VM:
 *    between kvm_s390_pci_register_kvm() and kvm_s390_pci_unregister_kvm().
 * 3. Unbinding ends that KVM answers RPCITs with the function's handle. It also
 *    ends the forwarding of interruptions if this device registered it.
 * 4. Interpretation and forwarding are states of the open function, not of the
 *    device (pci.c). KVM_S390_ZPCI_OP changes the same states. The device changes
 *    interpretation only on request.
 *
 * Ownership: the file of the KVM device owns struct kvm_s390_zpci_device. The open
 * VFIO device owns struct kvm_zdev. Each of them holds a reference on the VM. While
 * bound, the two structures point to each other without references. The KVM device
 * holds no reference on the VFIO file: the function would stay open after user
 * space closed it. struct kvm_s390_ioat has references of its own (pci_ioat.c).
 *
 * Teardown:
 *
 * - VFIO device closed: kvm_s390_pci_unregister_kvm() calls
 *   kvm_s390_zpci_device_unbind() before it frees kvm_zdev. The KVM device remains,
 *   unbound. Its counters can be read, and it can be bound again. Removal of the
 *   function waits for this close.
 * - KVM device closed: zpci_device_release() unbinds and frees it. The function
 *   stays open, with the domain that it has; RPCITs go to user space. Interpretation
 *   does not change, because a switch would reset the function.
 * - Nested domain detached while the function stays open: the switch stays on, but
 *   each RPCIT goes to user space until there is a nested domain again.
 * - vCPUs: they hold a reference on the VM. An RPCIT in progress holds its own
 *   references. Nothing waits for it.
 * - VM: destroyed last, because both sides hold references on it.
 *
 * Lock order:
 *
 *   zdev->kzdev_lock -> kvm->lock -> kvm->arch.zpci_dev_lock
 *     -> aift->aift_lock -> zdev->ioat_lock
 *
 * kvm->arch.zpci_dev_lock protects the pointers of a binding in both directions.
 * zpci_device_release() is called with kvm->lock held and must not take kzdev_lock.
 * No lock is taken under kzdev_list_lock.
 */

#include <linux/device.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <asm/kvm_zpci.h>
#include "s390.h"
#include "pci.h"
#include "pci_device.h"
#include "pci_ioat.h"

/**
 * struct kvm_s390_zpci_device - a KVM device of type KVM_DEV_TYPE_S390_ZPCI
 * @kvm: the VM; the file of the device holds a reference
 * @kzdev: the bound function, or NULL
 * @ioat: RPCITs of the function that is or was last bound, for the counters; NULL
 *	before the first binding
 *
 * kvm->arch.zpci_dev_lock protects all fields but @kvm.
 */
struct kvm_s390_zpci_device {
	struct kvm *kvm;
	struct kvm_zdev *kzdev;
	struct kvm_s390_ioat *ioat;
};

static void zpci_device_unbind(struct kvm_s390_zpci_device *zpci)
{
	lockdep_assert_held(&zpci->kvm->lock);
	lockdep_assert_held(&zpci->kvm->arch.zpci_dev_lock);

	if (!zpci->kzdev)
		return;

	/* End forwarding first: the rest must not interrupt the guest */
	if (zpci->kzdev->aif_owner == zpci)
		kvm_s390_pci_aif_deregister(zpci->kzdev, true);
	kvm_s390_ioat_unbind(zpci->ioat);
	zpci->kzdev->zpci_device = NULL;
	zpci->kzdev = NULL;
}

/**
 * kvm_s390_zpci_device_unbind() - unbind a function from its KVM device, if any
 * @kzdev: the function, which is about to leave the VM
 *
 * Context: process; sleeps. The caller holds kzdev_lock of the function and
 * kvm->lock of its VM.
 */
void kvm_s390_zpci_device_unbind(struct kvm_zdev *kzdev)
{
	struct kvm *kvm = kzdev->kvm;

	lockdep_assert_held(&kzdev->zdev->kzdev_lock);
	lockdep_assert_held(&kvm->lock);

	mutex_lock(&kvm->arch.zpci_dev_lock);
	if (kzdev->zpci_device)
		zpci_device_unbind(kzdev->zpci_device);
	mutex_unlock(&kvm->arch.zpci_dev_lock);
}

/*
 * KVM must not depend on VFIO, which may be a module. If the symbol is missing,
 * @file is not a VFIO file: an open VFIO file keeps the module loaded.
 */
static struct device *zpci_device_from_file(struct file *file, struct kvm *kvm)
{
	struct device *(*fn)(struct file *file, struct kvm *kvm);
	struct device *dev;

	fn = symbol_get(vfio_file_get_device);
	if (!fn)
		return ERR_PTR(-EINVAL);

	dev = fn(file, kvm);
	symbol_put(vfio_file_get_device);

	return dev;
}

/*
 * Look up the function among those registered with the VM. The caller holds the
 * VFIO device file, which keeps the function registered.
 */
static struct kvm_zdev *zpci_device_find_kzdev(struct kvm *kvm,
					       struct zpci_dev *zdev)
{
	struct kvm_zdev *kzdev, *found = NULL;

	spin_lock(&kvm->arch.kzdev_list_lock);
	list_for_each_entry(kzdev, &kvm->arch.kzdev_list, entry) {
		if (kzdev->zdev == zdev) {
			found = kzdev;
			break;
		}
	}
	spin_unlock(&kvm->arch.kzdev_list_lock);

	return found;
}

static int zpci_device_bind(struct kvm_s390_zpci_device *zpci,
			    struct kvm_zdev *kzdev, struct device *dev)
{
	struct kvm *kvm = zpci->kvm;
	struct kvm_s390_ioat *ioat = NULL;
	int rc = 0;

	mutex_lock(&kvm->arch.zpci_dev_lock);
	if (zpci->kzdev || kzdev->zpci_device) {
		rc = -EBUSY;
	} else {
		ioat = kvm_s390_ioat_bind(kvm, dev);
		if (ioat) {
			swap(zpci->ioat, ioat);
			zpci->kzdev = kzdev;
			kzdev->zpci_device = zpci;
		} else {
			rc = -ENOMEM;
		}
	}
	mutex_unlock(&kvm->arch.zpci_dev_lock);

	/* That of the previous binding */
	kvm_s390_ioat_put(ioat);

	return rc;
}

static int zpci_device_bind_vfio(struct kvm_s390_zpci_device *zpci,
				 const struct kvm_s390_zpci_bind __user *arg)
{
	struct kvm_s390_zpci_bind args;
	struct kvm_zdev *kzdev = NULL;
	struct device *dev;
	struct file *file;
	int rc;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	if (args.flags || memchr_inv(args.reserved, 0, sizeof(args.reserved)))
		return -EINVAL;

	file = fget(args.vfio_fd);
	if (!file)
		return -EBADF;

	dev = zpci_device_from_file(file, zpci->kvm);
	if (IS_ERR(dev)) {
		rc = PTR_ERR(dev);
		goto out_file;
	}

	/* On s390 every PCI function is a zPCI function */
	if (dev_is_pci(dev))
		kzdev = zpci_device_find_kzdev(zpci->kvm,
					       to_zpci(to_pci_dev(dev)));
	rc = kzdev ? zpci_device_bind(zpci, kzdev, dev) : -ENODEV;

	put_device(dev);
out_file:
	/* From here on the VFIO device may be closed, which unbinds */
	fput(file);

	return rc;
}

static int zpci_device_ioat_on(struct kvm_s390_zpci_device *zpci,
			       const struct kvm_s390_zpci_ioat __user *arg)
{
	struct kvm *kvm = zpci->kvm;
	struct kvm_s390_zpci_ioat args;
	int rc = -ENODEV;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	if (args.flags || memchr_inv(args.reserved, 0, sizeof(args.reserved)))
		return -EINVAL;

	/* kvm->lock keeps the VM from becoming protected */
	mutex_lock(&kvm->lock);
	mutex_lock(&kvm->arch.zpci_dev_lock);
	if (zpci->kzdev)
		rc = kvm_s390_ioat_on(kvm, zpci->ioat, args.fh);
	mutex_unlock(&kvm->arch.zpci_dev_lock);
	mutex_unlock(&kvm->lock);

	return rc;
}

static int zpci_device_ioat_off(struct kvm_s390_zpci_device *zpci)
{
	struct kvm *kvm = zpci->kvm;
	int rc = -ENOENT;

	mutex_lock(&kvm->arch.zpci_dev_lock);
	if (zpci->ioat)
		rc = kvm_s390_ioat_off(zpci->ioat);
	mutex_unlock(&kvm->arch.zpci_dev_lock);

	return rc;
}

static int zpci_device_ioat_stats(struct kvm_s390_zpci_device *zpci,
				  struct kvm_s390_zpci_ioat_stats __user *arg)
{
	struct kvm_s390_zpci_ioat_stats stats;
	struct kvm *kvm = zpci->kvm;
	int rc = -ENODEV;

	mutex_lock(&kvm->arch.zpci_dev_lock);
	if (zpci->ioat) {
		kvm_s390_ioat_stats(zpci->ioat, &stats);
		rc = 0;
	}
	mutex_unlock(&kvm->arch.zpci_dev_lock);

	if (!rc && copy_to_user(arg, &stats, sizeof(stats)))
		rc = -EFAULT;

	return rc;
}

/* Return false if KVM does not manage the guest's memory and interruptions */
static bool zpci_device_guest_known(struct kvm *kvm)
{
	lockdep_assert_held(&kvm->lock);

	return !kvm_is_ucontrol(kvm) && !kvm_s390_pv_is_protected(kvm);
}

static int zpci_device_interp_set(struct kvm_s390_zpci_device *zpci, bool on)
{
	struct kvm *kvm = zpci->kvm;
	int rc;

	mutex_lock(&kvm->lock);
	mutex_lock(&kvm->arch.zpci_dev_lock);
	if (!zpci->kzdev)
		rc = -ENODEV;
	else if (on && !zpci_device_guest_known(kvm))
		rc = -EOPNOTSUPP;
	else
		rc = kvm_s390_pci_interp_set(zpci->kzdev, on);
	mutex_unlock(&kvm->arch.zpci_dev_lock);
	mutex_unlock(&kvm->lock);

	return rc;
}

static int zpci_device_interp_state(struct kvm_s390_zpci_device *zpci,
				    struct kvm_s390_zpci_interp __user *arg)
{
	struct kvm_s390_zpci_interp state = {};
	struct kvm *kvm = zpci->kvm;
	int rc = -ENODEV;

	/* kvm->lock excludes a switch of interpretation, which changes both */
	mutex_lock(&kvm->lock);
	mutex_lock(&kvm->arch.zpci_dev_lock);
	if (zpci->kzdev) {
		if (zpci->kzdev->zdev->gisa)
			state.flags |= KVM_S390_ZPCI_INTERP_IS_ON;
		state.fh = zpci->kzdev->zdev->fh;
		rc = 0;
	}
	mutex_unlock(&kvm->arch.zpci_dev_lock);
	mutex_unlock(&kvm->lock);

	if (!rc && copy_to_user(arg, &state, sizeof(state)))
		rc = -EFAULT;

	return rc;
}

static int zpci_device_aif_reg(struct kvm_s390_zpci_device *zpci,
			       const struct kvm_s390_zpci_aif __user *arg)
{
	struct kvm_s390_zpci_aif args;
	struct kvm_s390_pci_aif aif;
	struct kvm *kvm = zpci->kvm;
	int rc;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	if (args.flags & ~(KVM_S390_ZPCI_AIF_HOST | KVM_S390_ZPCI_AIF_SUMMARY) ||
	    memchr_inv(args.reserved0, 0, sizeof(args.reserved0)) ||
	    memchr_inv(args.reserved, 0, sizeof(args.reserved)))
		return -EINVAL;
	if (!(args.flags & KVM_S390_ZPCI_AIF_SUMMARY) && (args.sb || args.sbo))
		return -EINVAL;

	aif = (struct kvm_s390_pci_aif) {
		.ibv = args.ibv,
		.sb = args.sb,
		.noi = args.noi,
		.isc = args.isc,
		.ibvo = args.ibvo,
		.sbo = args.sbo,
		.summary = args.flags & KVM_S390_ZPCI_AIF_SUMMARY,
		.host = args.flags & KVM_S390_ZPCI_AIF_HOST,
	};

	mutex_lock(&kvm->lock);
	mutex_lock(&kvm->arch.zpci_dev_lock);
	if (!zpci->kzdev) {
		rc = -ENODEV;
	} else if (!zpci_device_guest_known(kvm)) {
		rc = -EOPNOTSUPP;
	} else {
		rc = kvm_s390_pci_aif_register(zpci->kzdev, &aif);
		if (!rc)
			zpci->kzdev->aif_owner = zpci;
	}
	mutex_unlock(&kvm->arch.zpci_dev_lock);
	mutex_unlock(&kvm->lock);

	return rc;
}

static int zpci_device_aif_dereg(struct kvm_s390_zpci_device *zpci)
{
	struct kvm *kvm = zpci->kvm;
	int rc = -ENOENT;

	mutex_lock(&kvm->lock);
	mutex_lock(&kvm->arch.zpci_dev_lock);
	if (zpci->kzdev)
		rc = kvm_s390_pci_aif_deregister(zpci->kzdev, false);
	mutex_unlock(&kvm->arch.zpci_dev_lock);
	mutex_unlock(&kvm->lock);

	return rc;
}

static int zpci_device_aif_stats(struct kvm_s390_zpci_device *zpci,
				 struct kvm_s390_zpci_aif_stats __user *arg)
{
	struct kvm_s390_zpci_aif_stats stats = {};
	struct kvm *kvm = zpci->kvm;
	int rc = -ENODEV;

	mutex_lock(&kvm->lock);
	mutex_lock(&kvm->arch.zpci_dev_lock);
	if (zpci->kzdev) {
		if (zpci->kzdev->fib.fmt0.aibv)
			stats.flags |= KVM_S390_ZPCI_AIF_IS_REG;
		stats.forwarded = kvm_s390_pci_aif_forwarded(zpci->kzdev);
		rc = 0;
	}
	mutex_unlock(&kvm->arch.zpci_dev_lock);
	mutex_unlock(&kvm->lock);

	if (!rc && copy_to_user(arg, &stats, sizeof(stats)))
		rc = -EFAULT;

	return rc;
}

static int zpci_device_has_attr(struct kvm_device *kdev,
				struct kvm_device_attr *attr)
{
	if (attr->flags)
		return -EINVAL;

	switch (attr->group) {
	case KVM_DEV_S390_ZPCI_BIND:
		if (attr->attr == KVM_DEV_S390_ZPCI_BIND_VFIO)
			return 0;
		break;
	case KVM_DEV_S390_ZPCI_IOAT:
		switch (attr->attr) {
		case KVM_DEV_S390_ZPCI_IOAT_ON:
		case KVM_DEV_S390_ZPCI_IOAT_OFF:
		case KVM_DEV_S390_ZPCI_IOAT_STATS:
			return 0;
		}
		break;
	case KVM_DEV_S390_ZPCI_INTERP:
		if (!kvm_s390_pci_interp_allowed())
			break;
		switch (attr->attr) {
		case KVM_DEV_S390_ZPCI_INTERP_STATE:
		case KVM_DEV_S390_ZPCI_INTERP_ON:
		case KVM_DEV_S390_ZPCI_INTERP_OFF:
			return 0;
		}
		break;
	case KVM_DEV_S390_ZPCI_AIF:
		/* A VM has no GISA with kvm.use_gisa=0 or if it is protected */
		if (!kvm_s390_pci_aif_allowed() ||
		    !kdev->kvm->arch.gisa_int.origin)
			break;
		switch (attr->attr) {
		case KVM_DEV_S390_ZPCI_AIF_REG:
		case KVM_DEV_S390_ZPCI_AIF_DEREG:
		case KVM_DEV_S390_ZPCI_AIF_STATS:
			return 0;
		}
		break;
	}

	return -ENXIO;
}

static int zpci_device_set_attr(struct kvm_device *kdev,
				struct kvm_device_attr *attr)
{
	void __user *arg = u64_to_user_ptr(attr->addr);
	int rc;

	/* Unsupported attributes return -ENXIO, like unknown ones */
	rc = zpci_device_has_attr(kdev, attr);
	if (rc)
		return rc;

	switch (attr->group) {
	case KVM_DEV_S390_ZPCI_BIND:
		if (attr->attr == KVM_DEV_S390_ZPCI_BIND_VFIO)
			return zpci_device_bind_vfio(kdev->private, arg);
		break;
	case KVM_DEV_S390_ZPCI_IOAT:
		if (attr->attr == KVM_DEV_S390_ZPCI_IOAT_ON)
			return zpci_device_ioat_on(kdev->private, arg);
		if (attr->attr == KVM_DEV_S390_ZPCI_IOAT_OFF)
			return arg ? -EINVAL :
				     zpci_device_ioat_off(kdev->private);
		break;
	case KVM_DEV_S390_ZPCI_INTERP:
		if (attr->attr == KVM_DEV_S390_ZPCI_INTERP_ON)
			return arg ? -EINVAL :
				     zpci_device_interp_set(kdev->private, true);
		if (attr->attr == KVM_DEV_S390_ZPCI_INTERP_OFF)
			return arg ? -EINVAL :
				     zpci_device_interp_set(kdev->private, false);
		break;
	case KVM_DEV_S390_ZPCI_AIF:
		if (attr->attr == KVM_DEV_S390_ZPCI_AIF_REG)
			return zpci_device_aif_reg(kdev->private, arg);
		if (attr->attr == KVM_DEV_S390_ZPCI_AIF_DEREG)
			return arg ? -EINVAL :
				     zpci_device_aif_dereg(kdev->private);
		break;
	}

	return -ENXIO;
}

static int zpci_device_get_attr(struct kvm_device *kdev,
				struct kvm_device_attr *attr)
{
	void __user *arg = u64_to_user_ptr(attr->addr);
	int rc;

	rc = zpci_device_has_attr(kdev, attr);
	if (rc)
		return rc;

	switch (attr->group) {
	case KVM_DEV_S390_ZPCI_IOAT:
		if (attr->attr == KVM_DEV_S390_ZPCI_IOAT_STATS)
			return zpci_device_ioat_stats(kdev->private, arg);
		break;
	case KVM_DEV_S390_ZPCI_INTERP:
		if (attr->attr == KVM_DEV_S390_ZPCI_INTERP_STATE)
			return zpci_device_interp_state(kdev->private, arg);
		break;
	case KVM_DEV_S390_ZPCI_AIF:
		if (attr->attr == KVM_DEV_S390_ZPCI_AIF_STATS)
			return zpci_device_aif_stats(kdev->private, arg);
		break;
	}

	return -ENXIO;
}

static int zpci_device_create(struct kvm_device *kdev, u32 type)
{
	struct kvm_s390_zpci_device *zpci;

	zpci = kzalloc_obj(*zpci, GFP_KERNEL_ACCOUNT);
	if (!zpci)
		return -ENOMEM;

	zpci->kvm = kdev->kvm;
	kdev->private = zpci;

	return 0;
}

/* Called when the file of the device is closed; kvm->lock is held */
static void zpci_device_release(struct kvm_device *kdev)
{
	struct kvm_s390_zpci_device *zpci = kdev->private;
	struct kvm *kvm = zpci->kvm;

	mutex_lock(&kvm->arch.zpci_dev_lock);
	zpci_device_unbind(zpci);
	mutex_unlock(&kvm->arch.zpci_dev_lock);

	kvm_s390_ioat_put(zpci->ioat);
	kfree(zpci);
	/* Allocated by kvm_ioctl_create_device() */
	kfree(kdev);
}

static const struct kvm_device_ops zpci_device_ops = {
	.name = "kvm-s390-zpci",
	.create = zpci_device_create,
	.release = zpci_device_release,
	.set_attr = zpci_device_set_attr,
	.get_attr = zpci_device_get_attr,
	.has_attr = zpci_device_has_attr,
};

/**
 * kvm_s390_zpci_device_init() - register the device type
 *
 * Return: 0, or the error of kvm_register_device_ops()
 */
int __init kvm_s390_zpci_device_init(void)
{
	return kvm_register_device_ops(&zpci_device_ops,
				       KVM_DEV_TYPE_S390_ZPCI);
}

/**
 * kvm_s390_zpci_device_exit() - unregister the device type
 *
 * No device exists: each device holds a reference on its VM, and each VM holds one
 * on the module.
 */
void kvm_s390_zpci_device_exit(void)
{
	kvm_unregister_device_ops(KVM_DEV_TYPE_S390_ZPCI);
}
