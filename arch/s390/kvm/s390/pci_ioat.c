// SPDX-License-Identifier: GPL-2.0
/*
 * I/O address translation (IOAT) of a passed-through PCI function
 *
 * Copyright (C) 2026 the authors of the s390 KVM zPCI series
 *
 * Registers the I/O translation tables of a guest and carries out its RPCIT
 * (Refresh PCI Translations) on them. The shadow of the function's domain reads and
 * mirrors a table (include/linux/s390_iommu_shadow.h). This file gives it access to
 * guest memory by memslots and GUP.
 *
 * Invariants:
 *
 * 1. In a VM, at most one table is registered for a function handle.
 * 2. An intercept can use the registration that it found until it drops its
 *    reference. The table may be deregistered, and the function closed or
 *    unplugged, meanwhile. A destroyed shadow returns -ENODEV, and the RPCIT goes
 *    to user space.
 * 3. Each pinned guest frame is charged to the VM's process (pci_pins.c).
 * 4. A protected VM has no registered table.
 * 5. After a memory slot was deleted or moved, no function can access its memory
 *    through a registered table.
 *
 * Lifetime: struct kvm_s390_ioat belongs to the KVM device that is bound to the
 * function. It keeps the counters of all registrations. struct ioat_reg is one
 * registration. It does not change while it is on the VM's list. The list and
 * intercepts in progress hold references on it. It holds references on its
 * kvm_s390_ioat and its shadow.
 *
 * Locking: kvm->arch.zpci_dev_lock protects changes of the list, and the fields of
 * kvm_s390_ioat that say so. The intercept looks up a registration under RCU and
 * takes no lock of this file: it runs in a read section of kvm->srcu, where
 * kvm->lock and zpci_dev_lock must not be taken.
 */

#include <linux/capability.h>
#include <linux/device.h>
#include <linux/iommufd.h>
#include <linux/kref.h>
#include <linux/kvm_host.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/rculist.h>
#include <linux/s390_iommu_shadow.h>
#include <linux/slab.h>
#include "s390.h"
#include "pci_ioat.h"
#include "pci_pins.h"
#include "trace.h"

/*
 * RPCIT status "insufficient resources", in bits 32-39 of the register that R1
 * designates. __rpcit() in arch/s390/pci/pci_insn.c reads it there, and
 * zpci_refresh_trans() makes Linux guests flush and try again.
 */
#define RPCIT_STATUS_MASK	0xff000000UL
#define RPCIT_STATUS_SHIFT	24
#define RPCIT_ST_NO_RESOURCES	16UL

/* Why an RPCIT goes to user space; see struct kvm_s390_zpci_ioat_stats */
enum user_reason {
	USER_RANGE,
	USER_FORMAT,
	USER_MEMORY,
	USER_HOST,
	USER_GONE,
	NR_USER_REASONS,
};

/**
 * struct kvm_s390_ioat - I/O address translation of one function in one VM
 * @ref: held by the owner and by each registration
 * @kvm: the VM
 * @reg: the current registration or NULL; under kvm->arch.zpci_dev_lock
 * @past: counters of the shadows of past registrations, without those of the
 *	current state; under kvm->arch.zpci_dev_lock
 * @rpcits: RPCITs completed with any condition code
 * @rpcits_nores: RPCITs that ended with status "insufficient resources"
 * @interrupted: number of times that a signal interrupted an RPCIT
 * @user: RPCITs passed to user space, by reason
 */
struct kvm_s390_ioat {
	struct kref ref;
	struct kvm *kvm;
	struct ioat_reg *reg;
	struct s390_shadow_stats past;
	atomic64_t rpcits;
	atomic64_t rpcits_nores;
	atomic64_t interrupted;
	atomic64_t user[NR_USER_REASONS];
};

/**
 * struct ioat_reg - one registration of a guest's I/O translation table
 * @ref: held by the VM's list and by RPCIT intercepts
 * @rcu: frees the memory after a grace period
 * @entry: in kvm->arch.zpci_ioat_list
 * @ioat: I/O address translation of the function
 * @kvm: the VM
 * @shadow: shadow of the function's domain; NULL if the nested domain that @dev is
 *	attached to has the shadow
 * @dev: the function, with a reference
 * @fh: guest's function handle
 * @pba: first I/O address of the aperture
 * @pal: last I/O address of the aperture, the last byte of a 4 KiB frame
 * @pins: guest frames pinned for the registration
 * @id: number of the registration, unique in the VM and not zero
 */
struct ioat_reg {
	struct kref ref;
	struct rcu_head rcu;
	struct list_head entry;
	struct kvm_s390_ioat *ioat;
	struct kvm *kvm;
	struct s390_shadow *shadow;
	struct device *dev;
	u32 fh;
	u64 pba;
	u64 pal;
	struct kvm_s390_pins pins;
	u64 id;
};

/*
 * The memory slot that @gaddr is in, with the user address for it; NULL if there is
 * none. Called inside a read section of kvm->srcu.
 */
static __always_inline struct kvm_memory_slot *
ioat_slot(struct ioat_reg *reg, u64 gaddr, unsigned long *hva)
{
	gfn_t gfn = gpa_to_gfn(gaddr);
	struct kvm_memory_slot *slot;

	slot = __gfn_to_memslot(kvm_memslots(reg->kvm), gfn);
	if (!slot || slot->flags & KVM_MEMSLOT_INVALID)
		return NULL;
	*hva = __gfn_to_hva_memslot(slot, gfn) + offset_in_page(gaddr);
	return slot;
}

/*
 * Called from an RPCIT intercept: inside a read section of kvm->srcu, which
 * keeps the memslots, and in the process whose memory the guest's is.
 *
 * Other CPUs of the guest may store into the table at any time. This fetches with
 * MVCOS, like all of the uaccess functions, which is not bound to fetch a
 * doubleword in one go.
 */
static int ioat_read(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	unsigned long len = nr * sizeof(*dst), left, hva;
	struct ioat_reg *reg = guest;
	struct kvm_memory_slot *slot;

	/* A table is more than a page, but seldom in more than one memory slot */
	while (len) {
		slot = ioat_slot(reg, gaddr, &hva);
		if (!slot)
			return -EFAULT;
		left = gfn_to_gpa(slot->base_gfn + slot->npages) - gaddr;
		left = min(left, len);
		if (__copy_from_user(dst, (void __user *)hva, left))
			return -EFAULT;
		dst += left / sizeof(*dst);
		gaddr += left;
		len -= left;
	}
	return 0;
}

/*
 * LG fetches an aligned doubleword as one, as observed by other CPUs. It takes
 * the secondary-space mode to get at user memory with it, as in
 * arch_futex_atomic_op_inuser(). The caller has called enable_sacf_uaccess().
 */
static __always_inline int fetch_user(u64 *val, const u64 __user *uaddr)
{
	int rc = -EFAULT;
	u64 tmp;

	asm volatile("	sacf	256\n"
		"0:	lg	%[tmp],0(%[uaddr])\n"
		"1:	lhi	%[rc],0\n"
		"2:	sacf	768\n"
		EX_TABLE(0b, 2b)
		EX_TABLE(1b, 2b)
		: [rc] "+d" (rc), [tmp] "=d" (tmp)
		: [uaddr] "a" (uaddr)
		: "memory");
	if (!rc)
		*val = tmp;
	return rc;
}

/* To go there and back costs more than to fetch: do it for some at once */
#define FETCH_MANY	8

static noinline int fetch_user_many(u64 *val, const u64 __user *uaddr)
{
	u64 v0, v1, v2, v3, v4, v5, v6, v7;
	int rc = -EFAULT;

	asm volatile("	sacf	256\n"
		"0:	lg	%[v0],0(%[uaddr])\n"
		"1:	lg	%[v1],8(%[uaddr])\n"
		"2:	lg	%[v2],16(%[uaddr])\n"
		"3:	lg	%[v3],24(%[uaddr])\n"
		"4:	lg	%[v4],32(%[uaddr])\n"
		"5:	lg	%[v5],40(%[uaddr])\n"
		"6:	lg	%[v6],48(%[uaddr])\n"
		"7:	lg	%[v7],56(%[uaddr])\n"
		"8:	lhi	%[rc],0\n"
		"9:	sacf	768\n"
		EX_TABLE(0b, 9b) EX_TABLE(1b, 9b) EX_TABLE(2b, 9b)
		EX_TABLE(3b, 9b) EX_TABLE(4b, 9b) EX_TABLE(5b, 9b)
		EX_TABLE(6b, 9b) EX_TABLE(7b, 9b) EX_TABLE(8b, 9b)
		: [rc] "+d" (rc), [v0] "=&d" (v0), [v1] "=&d" (v1),
		  [v2] "=&d" (v2), [v3] "=&d" (v3), [v4] "=&d" (v4),
		  [v5] "=&d" (v5), [v6] "=&d" (v6), [v7] "=&d" (v7)
		: [uaddr] "a" (uaddr)
		: "memory");
	if (rc)
		return rc;
	val[0] = v0;
	val[1] = v1;
	val[2] = v2;
	val[3] = v3;
	val[4] = v4;
	val[5] = v5;
	val[6] = v6;
	val[7] = v7;
	return 0;
}

/* Called in the same context as ioat_read() */
static int ioat_fetch(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	const u64 __user *uaddr;
	unsigned long hva;
	bool sacf_flag;
	int rc = 0;

	if (!ioat_slot(guest, gaddr, &hva))
		return -EFAULT;
	uaddr = (const u64 __user *)hva;

	might_fault();
	sacf_flag = enable_sacf_uaccess();
	for (; nr >= FETCH_MANY && !rc; nr -= FETCH_MANY) {
		rc = fetch_user_many(dst, uaddr);
		dst += FETCH_MANY;
		uaddr += FETCH_MANY;
	}
	for (; nr && !rc; nr--)
		rc = fetch_user(dst++, uaddr++);
	disable_sacf_uaccess(sacf_flag);
	return rc;
}

/**
 * struct ioat_view - the memory slot that a walk has last fetched from
 * @reg: the registration
 * @first: guest absolute address of the first byte of the slot
 * @size: size of the slot in bytes, 0 for none
 * @uaddr: user address of the first byte
 */
struct ioat_view {
	struct ioat_reg *reg;
	u64 first;
	u64 size;
	unsigned long uaddr;
};

static __always_inline int ioat_view_slot(struct ioat_view *view, u64 gaddr)
{
	struct kvm_memory_slot *slot;
	unsigned long hva;

	slot = ioat_slot(view->reg, gaddr, &hva);
	if (!slot)
		return -EFAULT;
	view->first = gfn_to_gpa(slot->base_gfn);
	view->size = gfn_to_gpa(slot->npages);
	view->uaddr = slot->userspace_addr;
	return 0;
}

static noinline int ioat_view_other_slot(struct ioat_view *view, u64 gaddr)
{
	return ioat_view_slot(view, gaddr);
}

/* Tables are in one memory slot, as a rule: to look it up once will do */
static __always_inline int ioat_view_fetch(void *ctx, enum zpci_table_level level,
					   u64 gaddr, u64 *entry)
{
	struct ioat_view *view = ctx;
	u64 offset;
	int rc;

	if (gaddr - view->first >= view->size) {
		rc = ioat_view_other_slot(view, gaddr);
		if (rc)
			return rc;
	}
	/* As in __gfn_to_hva_memslot() */
	offset = array_index_nospec(gaddr - view->first, view->size);
	return fetch_user(entry, (const u64 __user *)(view->uaddr + offset));
}

/* Called in the same context as ioat_read() */
static int ioat_walk_table(void *guest, struct dma_walk *path, u64 *pte,
			   unsigned int nr)
{
	struct ioat_view view;
	bool sacf_flag;
	int rc;

	might_fault();
	view.reg = guest;
	if (ioat_view_slot(&view, path->addr)) {
		/* The entry may be where the beginning of its table is not */
		view.first = 0;
		view.size = 0;
	}
	sacf_flag = enable_sacf_uaccess();
	rc = dma_walk_ptes(path, pte, nr, ioat_view_fetch, &view);
	disable_sacf_uaccess(sacf_flag);
	return rc;
}

static void ioat_count_pinned(struct kvm *kvm, long nr)
{
	s64 now = atomic64_add_return(nr, &kvm->stat.zpci_frames_pinned);
	s64 peak = atomic64_read(&kvm->stat.zpci_frames_pinned_peak);

	while (now > peak &&
	       !atomic64_try_cmpxchg(&kvm->stat.zpci_frames_pinned_peak, &peak,
				     now))
		;
}

/* Called in the same context as ioat_read() */
static long ioat_pin(void *guest, const u64 *gaddr, unsigned int nr,
		     struct page **pages)
{
	struct ioat_reg *reg = guest;
	struct kvm_memory_slot *slot;
	unsigned long hva;
	long rc;

	slot = ioat_slot(reg, gaddr[0] & PAGE_MASK, &hva);
	if (!slot)
		return -EFAULT;

	rc = kvm_s390_pins_get(&reg->pins, slot, gaddr, nr, pages);
	if (rc > 0) {
		ioat_count_pinned(reg->kvm, rc);
		return rc;
	}

	switch (rc) {
	case -EINTR:
	case -ENOMEM:
		return rc;
	case -EAGAIN:
		/* A page that can't be moved now, perhaps later: same answer */
		return -ENOMEM;
	default:
		/* No mapping, wrong protection, a poisoned page, a DAX file */
		return -EFAULT;
	}
}

static void ioat_unpin(void *guest, const struct s390_shadow_frame *frames,
		       unsigned int nr)
{
	struct ioat_reg *reg = guest;

	kvm_s390_pins_put(&reg->pins, frames, nr);
	ioat_count_pinned(reg->kvm, -(long)nr);
}

static int ioat_charge(void *guest, unsigned long nr)
{
	struct ioat_reg *reg = guest;

	return kvm_s390_pins_charge(&reg->pins, nr);
}

static void ioat_uncharge(void *guest, unsigned long nr)
{
	struct ioat_reg *reg = guest;

	kvm_s390_pins_uncharge(&reg->pins, nr);
}

static void ioat_end(void *guest)
{
	struct ioat_reg *reg = guest;

	kvm_s390_pins_stop(&reg->pins);
}

static const struct s390_shadow_guest_ops ioat_guest_ops = {
	.read = ioat_read,
	.fetch = ioat_fetch,
	.walk = ioat_walk_table,
	.pin = ioat_pin,
	.unpin = ioat_unpin,
	.charge = ioat_charge,
	.uncharge = ioat_uncharge,
	.end = ioat_end,
};

static void ioat_release(struct kref *ref)
{
	kfree(container_of(ref, struct kvm_s390_ioat, ref));
}

static void ioat_reg_release(struct kref *ref)
{
	struct ioat_reg *reg = container_of(ref, struct ioat_reg, ref);

	if (reg->shadow) {
		s390_shadow_put(reg->shadow);
		kvm_s390_pins_release(&reg->pins);
	}
	put_device(reg->dev);
	kref_put(&reg->ioat->ref, ioat_release);
	kfree_rcu(reg, rcu);
}

/* Look up a registration by handle and take a reference, or return NULL */
static __always_inline struct ioat_reg *ioat_reg_get(struct kvm *kvm, u32 fh)
{
	struct ioat_reg *reg, *found = NULL;

	rcu_read_lock();
	list_for_each_entry_rcu(reg, &kvm->arch.zpci_ioat_list, entry) {
		if (reg->fh == fh && kref_get_unless_zero(&reg->ref)) {
			found = reg;
			break;
		}
	}
	rcu_read_unlock();

	return found;
}

/* Take a reference on the registration after the first @n, or return NULL */
static struct ioat_reg *ioat_reg_nth(struct kvm *kvm, unsigned int n)
{
	struct ioat_reg *reg, *found = NULL;

	rcu_read_lock();
	list_for_each_entry_rcu(reg, &kvm->arch.zpci_ioat_list, entry) {
		if (n) {
			n--;
		} else if (kref_get_unless_zero(&reg->ref)) {
			found = reg;
			break;
		}
	}
	rcu_read_unlock();

	return found;
}

static void ioat_reg_put(struct ioat_reg *reg)
{
	kref_put(&reg->ref, ioat_reg_release);
}

static void ioat_reg_stats(struct ioat_reg *reg, struct s390_shadow_stats *stats)
{
	if (reg->shadow)
		s390_shadow_stats(reg->shadow, stats);
	else
		s390_iommu_shadow_stats(to_zpci_dev(reg->dev), stats);
}

/* Add the counters of a shadow, except those of its current state */
static void ioat_add_stats(struct s390_shadow_stats *sum,
			   const struct s390_shadow_stats *stats)
{
	sum->mapped += stats->mapped;
	sum->unmapped += stats->unmapped;
	sum->pinned_peak = max(sum->pinned_peak, stats->pinned_peak);
	sum->refreshes += stats->refreshes;
	sum->refresh_errors += stats->refresh_errors;
}

/**
 * kvm_s390_ioat_init_vm() - prepare a VM for registrations
 * @kvm: VM that is being created
 */
void kvm_s390_ioat_init_vm(struct kvm *kvm)
{
	INIT_LIST_HEAD(&kvm->arch.zpci_ioat_list);
	mutex_init(&kvm->arch.zpci_dev_lock);
}

/**
 * kvm_s390_ioat_destroy_vm() - undo kvm_s390_ioat_init_vm()
 * @kvm: VM that is being destroyed
 *
 * No table is registered: a KVM device that registered one holds a reference on
 * the VM.
 */
void kvm_s390_ioat_destroy_vm(struct kvm *kvm)
{
	WARN_ON_ONCE(!list_empty(&kvm->arch.zpci_ioat_list));
	mutex_destroy(&kvm->arch.zpci_dev_lock);
}

/**
 * kvm_s390_ioat_in_use() - check whether any I/O translation table is registered
 * @kvm: the VM
 *
 * Context: any. While the caller holds kvm->lock, false does not become true.
 * Return: true if a table is registered
 */
bool kvm_s390_ioat_in_use(struct kvm *kvm)
{
	return !list_empty(&kvm->arch.zpci_ioat_list);
}

/**
 * kvm_s390_ioat_alloc() - allocate I/O address translation of a function
 * @kvm: the VM, which must exist until kvm_s390_ioat_free()
 *
 * No table is registered, and all counters are zero.
 *
 * Context: process; sleeps
 * Return: an object for kvm_s390_ioat_free(), or NULL if out of memory
 */
struct kvm_s390_ioat *kvm_s390_ioat_alloc(struct kvm *kvm)
{
	struct kvm_s390_ioat *ioat;

	ioat = kzalloc_obj(*ioat, GFP_KERNEL_ACCOUNT);
	if (!ioat)
		return NULL;

	kref_init(&ioat->ref);
	ioat->kvm = kvm;

	return ioat;
}

/**
 * kvm_s390_ioat_free() - free I/O address translation of a function
 * @ioat: object from kvm_s390_ioat_alloc() without a registered table, or NULL
 *
 * Context: process; sleeps
 */
void kvm_s390_ioat_free(struct kvm_s390_ioat *ioat)
{
	if (!ioat)
		return;

	WARN_ON_ONCE(ioat->reg);
	kref_put(&ioat->ref, ioat_release);
}

/* Claim the function's domain and create the shadow of the guest's table */
static int ioat_shadow_create(struct ioat_reg *reg, struct device *dev,
			      const struct kvm_s390_zpci_ioat *args)
{
	struct s390_shadow_config cfg = {
		.iota = args->iota,
		.pba = args->pba,
		.pal = args->pal,
	};
	struct s390_shadow *shadow;
	int rc;

	rc = kvm_s390_pins_init(&reg->pins, reg->kvm, capable(CAP_IPC_LOCK));
	if (rc)
		return rc;
	shadow = s390_shadow_create(dev, &cfg, &ioat_guest_ops, reg);
	if (IS_ERR(shadow)) {
		kvm_s390_pins_end(&reg->pins);
		kvm_s390_pins_release(&reg->pins);
		return PTR_ERR(shadow);
	}

	/*
	 * s390_shadow_destroy() drops the creator's reference. Intercepts that
	 * found the registration may use the shadow after that.
	 */
	reg->shadow = s390_shadow_get(shadow);
	return 0;
}

/**
 * kvm_s390_ioat_register() - register a guest's I/O translation table
 * @ioat: the function's I/O address translation
 * @dev: the function
 * @args: parameters of the guest's MPCIFC; flags and reserved fields are checked
 *
 * KVM carries out RPCITs for the handle from now on. The table is not read before
 * the first RPCIT. QEMU's emulation does not read it at MPCIFC either
 * (s390_pci_iommu_replay() in hw/s390x/s390-pci-bus.c).
 *
 * Context: process; sleeps. The caller holds kvm->lock, which keeps the VM from
 * becoming protected, and kvm->arch.zpci_dev_lock, which keeps @dev attached to KVM.
 * Return:
 * * 0		 - the table is registered
 * * -EEXIST	 - a table is registered for the function or for the handle
 * * -EOPNOTSUPP - the VM is protected, or is a ucontrol VM, whose memory KVM does
 *		   not manage
 * * -ENOMEM	 - out of memory
 * * other	 - error of s390_shadow_create()
 */
int kvm_s390_ioat_register(struct kvm_s390_ioat *ioat, struct device *dev,
			   const struct kvm_s390_zpci_ioat *args)
{
	struct kvm *kvm = ioat->kvm;
	struct ioat_reg *reg;
	int rc;

	lockdep_assert_held(&kvm->lock);
	lockdep_assert_held(&kvm->arch.zpci_dev_lock);

	if (kvm_is_ucontrol(kvm) || kvm_s390_pv_is_protected(kvm))
		return -EOPNOTSUPP;
	if (offset_in_page(args->pba) || !PAGE_ALIGNED(args->pal + 1) ||
	    args->pba > args->pal)
		return -EINVAL;
	if (ioat->reg)
		return -EEXIST;
	list_for_each_entry(reg, &kvm->arch.zpci_ioat_list, entry) {
		if (reg->fh == args->fh)
			return -EEXIST;
	}

	reg = kzalloc_obj(*reg, GFP_KERNEL_ACCOUNT);
	if (!reg)
		return -ENOMEM;

	kref_init(&reg->ref);
	reg->kvm = kvm;
	reg->fh = args->fh;
	reg->pba = args->pba;
	reg->pal = args->pal;
	reg->id = ++kvm->arch.zpci_ioat_regs;

	if (!(args->flags & KVM_S390_ZPCI_IOAT_NESTED)) {
		rc = ioat_shadow_create(reg, dev, args);
		if (rc) {
			kfree(reg);
			return rc;
		}
	}

	reg->dev = get_device(dev);
	kref_get(&ioat->ref);
	reg->ioat = ioat;
	ioat->reg = reg;
	list_add_tail_rcu(&reg->entry, &kvm->arch.zpci_ioat_list);

	return 0;
}

/**
 * kvm_s390_ioat_deregister() - deregister a guest's I/O translation table
 * @ioat: the function's I/O address translation
 *
 * On return the function can't access guest memory through the shadow, and nothing
 * is pinned or charged for it. RPCITs in progress go to user space.
 *
 * Context: process; sleeps. The caller holds kvm->arch.zpci_dev_lock.
 * Return: 0, or -ENOENT if no table is registered
 */
int kvm_s390_ioat_deregister(struct kvm_s390_ioat *ioat)
{
	struct s390_shadow_stats stats;
	struct ioat_reg *reg = ioat->reg;

	lockdep_assert_held(&ioat->kvm->arch.zpci_dev_lock);

	if (!reg)
		return -ENOENT;

	/*
	 * Keep it on the list until nothing is pinned: kvm_s390_ioat_in_use()
	 * depends on that. Intercepts that find it get -ENODEV.
	 */
	if (reg->shadow) {
		s390_shadow_destroy(reg->shadow);
		kvm_s390_pins_end(&reg->pins);
	}
	list_del_rcu(&reg->entry);
	ioat->reg = NULL;

	/* Read the counters last: destruction unmaps, too; a nested domain stays */
	if (reg->shadow) {
		s390_shadow_stats(reg->shadow, &stats);
		ioat_add_stats(&ioat->past, &stats);
	}
	ioat_reg_put(reg);

	return 0;
}

/**
 * kvm_s390_ioat_get_stats() - read the counters
 * @ioat: the function's I/O address translation
 * @stats: set to the counters; all fields are written
 *
 * The guest may run meanwhile. Each counter is correct, but they may not be
 * consistent with each other.
 *
 * Context: process; sleeps. The caller holds kvm->arch.zpci_dev_lock.
 */
void kvm_s390_ioat_get_stats(struct kvm_s390_ioat *ioat,
			     struct kvm_s390_zpci_ioat_stats *stats)
{
	struct s390_shadow_stats sum = ioat->past;
	struct s390_shadow_stats cur = {};
	u64 kept = 0;

	lockdep_assert_held(&ioat->kvm->arch.zpci_dev_lock);

	if (ioat->reg) {
		ioat_reg_stats(ioat->reg, &cur);
		ioat_add_stats(&sum, &cur);
		if (ioat->reg->shadow)
			kept = kvm_s390_pins_kept(&ioat->reg->pins);
	}

	*stats = (struct kvm_s390_zpci_ioat_stats) {
		.rpcits = atomic64_read(&ioat->rpcits),
		.rpcits_nores = atomic64_read(&ioat->rpcits_nores),
		.mapped = sum.mapped,
		.unmapped = sum.unmapped,
		.pinned = cur.pinned,
		.pinned_peak = sum.pinned_peak,
		.refreshes = sum.refreshes,
		.refresh_errors = sum.refresh_errors,
		.tables = cur.tables,
		.interrupted = atomic64_read(&ioat->interrupted),
		.user_range = atomic64_read(&ioat->user[USER_RANGE]),
		.user_format = atomic64_read(&ioat->user[USER_FORMAT]),
		.user_memory = atomic64_read(&ioat->user[USER_MEMORY]),
		.user_host = atomic64_read(&ioat->user[USER_HOST]),
		.user_gone = atomic64_read(&ioat->user[USER_GONE]),
		.kept = kept,
	};
	stats->rpcits_user = stats->user_range + stats->user_format +
			     stats->user_memory + stats->user_host +
			     stats->user_gone;
}

/**
 * kvm_s390_ioat_flush_memslot() - unmap a memory slot from the VM's functions
 * @kvm: the VM
 * @slot: the memory slot that is deleted or moved
 *
 * The guest's tables may still refer to the slot. A later RPCIT uses the memory
 * slots that are valid then.
 *
 * Context: process; sleeps. kvm->slots_lock is held. No reader of kvm->srcu finds
 * the slot valid.
 */
void kvm_s390_ioat_flush_memslot(struct kvm *kvm,
				 const struct kvm_memory_slot *slot)
{
	u64 gaddr = gfn_to_gpa(slot->base_gfn);
	u64 last = gaddr + (slot->npages << PAGE_SHIFT) - 1;
	struct ioat_reg *reg;

	if (!kvm_s390_ioat_in_use(kvm))
		return;

	mutex_lock(&kvm->arch.zpci_dev_lock);
	list_for_each_entry(reg, &kvm->arch.zpci_ioat_list, entry) {
		/* User space unmaps it from the parent of a nested domain */
		if (!reg->shadow)
			continue;
		s390_shadow_unmap_gpa_range(reg->shadow, gaddr, last);
		kvm_s390_pins_forget(&reg->pins, slot);
	}
	mutex_unlock(&kvm->arch.zpci_dev_lock);
}

/*
 * Set up @walk for the part of the @len bytes at @start that lies in the aperture.
 * Ranges are clipped as by QEMU's rpcit_service_call()
 * (hw/s390x/s390-pci-inst.c), which raises an error event where this returns
 * -ERANGE.
 *
 * Return: 1 if there is a range to refresh, 0 if not, or -ERANGE
 */
static int ioat_range(struct ioat_reg *reg, u64 start, u64 len,
		      struct s390_shadow_walk *walk)
{
	u64 first = max(start, reg->pba);
	u64 last = start + len - 1;

	/* Wraps around, ends below the aperture or starts above it */
	if ((len && last < start) || start > reg->pal ||
	    (start < reg->pba && reg->pba - start > len))
		return -ERANGE;

	/* Succeed if the range is empty or ends where the aperture starts */
	if (!len || last < first)
		return 0;
	last = min(last, reg->pal);

	/* Round to frames: the aperture consists of whole frames */
	s390_shadow_walk_init(walk, first & PAGE_MASK, last | ~PAGE_MASK);
	return 1;
}

/*
 * A guest can make a refresh take arbitrarily long. Leave the read section of
 * kvm->srcu in between, so that changes of memory slots don't wait for all of it,
 * nor for guest memory that user space has to provide.
 */
static int ioat_walk(struct kvm_vcpu *vcpu, struct ioat_reg *reg,
		     struct s390_shadow_walk *walk)
{
	struct iommufd_demand_fault fault = {};
	int rc;

	do {
		rc = reg->shadow ? s390_shadow_refresh(reg->shadow, walk) :
				   s390_iommu_refresh(to_zpci_dev(reg->dev), walk,
						      &fault);
		if (rc != -EAGAIN)
			return rc;
		kvm_vcpu_srcu_read_unlock(vcpu);
		if (signal_pending(current)) {
			iommufd_demand_fault_put(&fault);
			rc = -EINTR;
		} else {
			rc = iommufd_demand_fault_in(&fault);
		}
		cond_resched();
		kvm_vcpu_srcu_read_lock(vcpu);
	} while (!rc);
	return rc;
}

/*
 * Out of resources: release what is kept for all functions of the VM, and walk
 * once more. If tables are registered or deregistered meanwhile, a function may be
 * skipped or visited twice.
 */
static noinline int ioat_walk_again(struct kvm_vcpu *vcpu, struct ioat_reg *reg,
				    struct s390_shadow_walk *walk)
{
	unsigned long nr = 0;
	struct ioat_reg *other;
	unsigned int n;

	for (n = 0; (other = ioat_reg_nth(vcpu->kvm, n)); n++) {
		if (other->shadow)
			nr += kvm_s390_pins_give_back(&other->pins);
		ioat_reg_put(other);
	}
	if (!nr)
		return -ENOMEM;
	s390_shadow_walk_init(walk, walk->first, walk->last);
	return ioat_walk(vcpu, reg, walk);
}

static void ioat_count_user(struct kvm_vcpu *vcpu, struct ioat_reg *reg, int rc)
{
	enum user_reason reason;

	switch (rc) {
	case -ERANGE:
		reason = USER_RANGE;
		break;
	case -EINVAL:
		reason = USER_FORMAT;
		break;
	case -EFAULT:
		reason = USER_MEMORY;
		break;
	case -ENODEV:
		reason = USER_GONE;
		break;
	default:
		reason = USER_HOST;
		break;
	}
	atomic64_inc(&reg->ioat->user[reason]);
	vcpu->stat.rpcit_user++;
}

/*
 * Complete the RPCIT: set the condition code, and the status in register @reg1.
 *
 * Return: false if user space must complete it
 */
static __always_inline bool ioat_complete(struct kvm_vcpu *vcpu,
					  struct ioat_reg *reg, int reg1, int rc)
{
	u64 *gprs = vcpu->run->s.regs.gprs;

	switch (rc) {
	case 0:
		kvm_s390_set_psw_cc(vcpu, 0);
		break;
	case -ENOMEM:
		atomic64_inc(&reg->ioat->rpcits_nores);
		vcpu->stat.rpcit_nores++;
		gprs[reg1] &= ~RPCIT_STATUS_MASK;
		gprs[reg1] |= RPCIT_ST_NO_RESOURCES << RPCIT_STATUS_SHIFT;
		kvm_s390_set_psw_cc(vcpu, 1);
		break;
	default:
		return false;
	}
	atomic64_inc(&reg->ioat->rpcits);
	vcpu->stat.rpcit_kernel++;
	return true;
}

/**
 * kvm_s390_handle_rpcit() - carry out RPCIT for a guest
 * @vcpu: the vCPU that intercepted RPCIT (B9D3)
 *
 * Operands, as in __rpcit() (arch/s390/pci/pci_insn.c): R1 designates a register
 * with the function handle in bits 0-31, which receives the status. R2 designates
 * an even-odd pair with the first I/O address and the length in bytes.
 *
 * An RPCIT goes to user space if no table is registered for the handle, if the
 * range is outside of the aperture, or if the shadow fails for another reason than
 * lack of resources. It may need condition code 3 or an error event, and only user
 * space can tell.
 *
 * Facility 69 (zPCI) is not checked, because it is not in the lists that KVM
 * maintains. User space that registers a table offers the instructions to its
 * guest.
 *
 * A pending signal nullifies the instruction and leaves the run loop. Then
 * kvm_s390_ioat_resume() continues the RPCIT.
 *
 * Context: process, in the thread that runs @vcpu, with vcpu->mutex held. Called in
 * a read section of kvm->srcu, which is left and entered again.
 * Return:
 * * 0		 - the guest continues
 * * -EOPNOTSUPP - user space handles the instruction
 * * -EINTR	 - a signal is pending
 * * other	 - error of injecting a program interruption
 */
int kvm_s390_handle_rpcit(struct kvm_vcpu *vcpu)
{
	struct kvm_s390_rpcit *rpcit = &vcpu->arch.rpcit;
	u64 *gprs = vcpu->run->s.regs.gprs;
	struct s390_shadow_walk walk;
	struct ioat_reg *reg;
	int reg1, reg2, rc;
	u64 start, len;
	u32 fh;

	vcpu->stat.instruction_rpcit++;
	/* The guest may have run since: drop an interrupted RPCIT */
	rpcit->reg_id = 0;

	if (list_empty(&vcpu->kvm->arch.zpci_ioat_list) ||
	    kvm_s390_pv_cpu_get_handle(vcpu))
		return -EOPNOTSUPP;

	if (vcpu->arch.sie_block->gpsw.mask & PSW_MASK_PSTATE)
		return kvm_s390_inject_program_int(vcpu, PGM_PRIVILEGED_OP);

	kvm_s390_get_regs_rre(vcpu, &reg1, &reg2);
	if (reg2 & 1)
		return kvm_s390_inject_program_int(vcpu, PGM_SPECIFICATION);

	fh = gprs[reg1] >> 32;
	start = gprs[reg2];
	len = gprs[reg2 + 1];

	reg = ioat_reg_get(vcpu->kvm, fh);
	if (!reg) {
		trace_kvm_s390_handle_rpcit(vcpu, fh, start, len, -ENOENT);
		return -EOPNOTSUPP;
	}
	rc = ioat_range(reg, start, len, &walk);
	if (rc > 0)
		rc = ioat_walk(vcpu, reg, &walk);
	if (unlikely(rc == -ENOMEM))
		rc = ioat_walk_again(vcpu, reg, &walk);
	trace_kvm_s390_handle_rpcit(vcpu, fh, start, len, rc);

	if (rc == -EINTR) {
		atomic64_inc(&reg->ioat->interrupted);
		kvm_s390_retry_instr(vcpu);
		*rpcit = (struct kvm_s390_rpcit) {
			.reg_id = reg->id,
			.psw = vcpu->arch.sie_block->gpsw,
			.fh = fh,
			.start = start,
			.len = len,
			.reg1 = reg1,
			.reg2 = reg2,
			.ilen = kvm_s390_get_ilen(vcpu),
			.walk = walk,
		};
		vcpu->run->exit_reason = KVM_EXIT_INTR;
	} else if (ioat_complete(vcpu, reg, reg1, rc)) {
		rc = 0;
	} else {
		ioat_count_user(vcpu, reg, rc);
		rc = -EOPNOTSUPP;
	}

	ioat_reg_put(reg);
	return rc;
}

/* Check that the CPU is still about to execute the interrupted RPCIT */
static bool rpcit_is_next(struct kvm_vcpu *vcpu, struct kvm_s390_rpcit *rpcit)
{
	u64 *gprs = vcpu->run->s.regs.gprs;
	psw_t *psw = &vcpu->arch.sie_block->gpsw;

	return psw->addr == rpcit->psw.addr && psw->mask == rpcit->psw.mask &&
	       gprs[rpcit->reg1] >> 32 == rpcit->fh &&
	       gprs[rpcit->reg2] == rpcit->start &&
	       gprs[rpcit->reg2 + 1] == rpcit->len;
}

/**
 * kvm_s390_ioat_resume() - continue an RPCIT that a signal interrupted
 * @vcpu: the vCPU that is about to enter the guest
 *
 * A refresh of a very large table may take longer than the time between two
 * signals. It would never end if each signal restarted it.
 *
 * A continued refresh equals one long execution of the instruction, because the CPU
 * has neither entered the guest nor received an interruption since. User space may
 * have changed the next instruction. In that and all other special cases the guest
 * executes the RPCIT again, which is always correct.
 *
 * Context: process, in the thread that runs @vcpu, with vcpu->mutex held, before
 * interruptions are delivered
 * Return:
 * * 0	      - enter the guest
 * * -EINTR   - a signal is pending
 * * -EREMOTE - user space handles the instruction; the exit is prepared
 */
int kvm_s390_ioat_resume(struct kvm_vcpu *vcpu)
{
	struct kvm_s390_sie_block *sie_block = vcpu->arch.sie_block;
	struct kvm_s390_rpcit *rpcit = &vcpu->arch.rpcit;
	struct ioat_reg *reg;
	int rc;

	if (likely(!rpcit->reg_id))
		return 0;

	/* Execute a traced instruction in the guest, where the tracer sees it */
	if (!rpcit_is_next(vcpu, rpcit) || guestdbg_enabled(vcpu) ||
	    (rpcit->psw.mask & PSW_MASK_PER) ||
	    kvm_s390_pv_cpu_is_protected(vcpu))
		goto forget;
	reg = ioat_reg_get(vcpu->kvm, rpcit->fh);
	if (!reg)
		goto forget;
	if (reg->id != rpcit->reg_id)
		goto forget_reg;

	kvm_vcpu_srcu_read_lock(vcpu);
	rc = ioat_walk(vcpu, reg, &rpcit->walk);
	if (rc == -ENOMEM)
		rc = ioat_walk_again(vcpu, reg, &rpcit->walk);
	kvm_vcpu_srcu_read_unlock(vcpu);
	trace_kvm_s390_handle_rpcit(vcpu, rpcit->fh, rpcit->start, rpcit->len,
				    rc);
	if (rc == -EINTR) {
		atomic64_inc(&reg->ioat->interrupted);
		ioat_reg_put(reg);
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return rc;
	}
	kvm_s390_forward_psw(vcpu, rpcit->ilen);
	if (ioat_complete(vcpu, reg, rpcit->reg1, rc)) {
		rc = 0;
	} else {
		/* The guest did not run: sie_block still has the intercept */
		ioat_count_user(vcpu, reg, rc);
		vcpu->run->exit_reason = KVM_EXIT_S390_SIEIC;
		vcpu->run->s390_sieic.icptcode = sie_block->icptcode;
		vcpu->run->s390_sieic.ipa = sie_block->ipa;
		vcpu->run->s390_sieic.ipb = sie_block->ipb;
		rc = -EREMOTE;
	}
	ioat_reg_put(reg);
	rpcit->reg_id = 0;
	return rc;

forget_reg:
	ioat_reg_put(reg);
forget:
	rpcit->reg_id = 0;
	return 0;
}

MODULE_IMPORT_NS("IOMMUFD");
