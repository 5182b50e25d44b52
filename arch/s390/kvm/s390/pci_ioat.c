// SPDX-License-Identifier: GPL-2.0
/*
 * I/O address translation (IOAT) of a passed-through PCI function
 *
 * Copyright (C) 2026 the authors of the s390 KVM zPCI series
 *
 * Owns what KVM knows of the I/O translation table that a guest registered for
 * one of its functions, and carries out the guest's RPCIT (Refresh PCI
 * Translations) on it. The table is read and mirrored by the shadow of the
 * function's domain, see include/linux/s390_iommu_shadow.h; from here it gets
 * guest memory by way of memslots and GUP.
 *
 * Invariants:
 *
 * 1. A function handle stands for at most one registered table in a VM.
 * 2. A registration that the RPCIT intercept finds can be used until the
 *    intercept drops it, whatever is deregistered, closed or unplugged
 *    meanwhile. A shadow that was destroyed answers -ENODEV, and the guest's
 *    RPCIT then goes to user space.
 * 3. Each guest frame that is pinned is charged to the VM's process; that is what
 *    pci_pins.c sees to.
 * 4. A guest in protected virtualization has no registered table.
 * 5. When a memory slot has gone, no function can reach the memory that was in
 *    it by way of a registered table.
 *
 * Lifetime: struct kvm_s390_ioat belongs to the KVM device that is bound to the
 * function, and keeps the counters over registrations. struct ioat_reg is one
 * registration; it is immutable while it is on the VM's list. References on it
 * are held by the list and by RPCIT intercepts that are being carried out, the
 * registration holds one on its kvm_s390_ioat and one on the shadow.
 *
 * Locking: kvm->arch.zpci_dev_lock protects the list against changes, and the
 * fields of kvm_s390_ioat that say so. The intercept finds a registration under
 * RCU and takes no lock of this file: it runs inside a read section of
 * kvm->srcu, where neither kvm->lock nor zpci_dev_lock may be taken.
 */

#include <linux/capability.h>
#include <linux/device.h>
#include <linux/kref.h>
#include <linux/kvm_host.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/rculist.h>
#include <linux/s390_iommu_shadow.h>
#include <linux/slab.h>
#include "s390.h"
#include "pci_ioat.h"
#include "pci_pins.h"
#include "trace.h"

/*
 * RPCIT status "insufficient resources", stored in bits 32-39 of the register
 * that R1 names; __rpcit() in arch/s390/pci/pci_insn.c takes it from there and
 * zpci_refresh_trans() tells Linux guests to flush and to try again.
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
 * @past: counters of the shadows of past registrations, with nothing pinned and
 *	no tables; under kvm->arch.zpci_dev_lock
 * @rpcits: RPCITs that were completed, with any condition code
 * @rpcits_nores: RPCITs that ended with status "insufficient resources"
 * @interrupted: how often an RPCIT was left unfinished for a signal
 * @user: RPCITs that were passed on to user space, by reason
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
 * @rcu: the memory is freed after a grace period
 * @entry: in kvm->arch.zpci_ioat_list
 * @ioat: what is registered
 * @kvm: the VM
 * @shadow: shadow of the function's domain, or NULL: the nested domain that @dev is
 *	attached to has one
 * @dev: the function, referenced
 * @fh: guest's function handle
 * @pba: first I/O address of the aperture
 * @pal: last I/O address of the aperture, the last byte of a 4 KiB frame
 * @pins: guest frames that are pinned for it
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

/* Section: guest memory for the shadow */

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
static __always_inline int ioat_view_fetch(void *table, u64 gaddr, u64 *entry)
{
	struct ioat_view *view = table;
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
static int ioat_walk_table(void *guest, struct dma_guest_walk *path, u64 *pte,
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
	rc = dma_walk_guest_trans(path, pte, nr, ioat_view_fetch, &view);
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

/* Section: registration */

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

/* Find a registration and take a reference on it; NULL if there is none */
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

/* The same for the one after @n others on the list */
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

/* Add the counters of a shadow, except what tells the present state */
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
 * kvm_s390_ioat_init_vm - prepare a VM for registrations
 * @kvm: VM that is being created
 */
void kvm_s390_ioat_init_vm(struct kvm *kvm)
{
	INIT_LIST_HEAD(&kvm->arch.zpci_ioat_list);
	mutex_init(&kvm->arch.zpci_dev_lock);
}

/**
 * kvm_s390_ioat_destroy_vm - counterpart of kvm_s390_ioat_init_vm()
 * @kvm: VM that is being destroyed
 *
 * Whoever registers a table holds a reference on the VM until it is
 * deregistered, so nothing can be left here.
 */
void kvm_s390_ioat_destroy_vm(struct kvm *kvm)
{
	WARN_ON_ONCE(!list_empty(&kvm->arch.zpci_ioat_list));
	mutex_destroy(&kvm->arch.zpci_dev_lock);
}

/**
 * kvm_s390_ioat_in_use - whether any I/O translation table is registered
 * @kvm: the VM
 *
 * Context: Any. The answer lasts while the caller holds kvm->lock, as far as
 * "no" is concerned.
 *
 * Return: true if a table is registered.
 */
bool kvm_s390_ioat_in_use(struct kvm *kvm)
{
	return !list_empty(&kvm->arch.zpci_ioat_list);
}

/**
 * kvm_s390_ioat_alloc - prepare I/O address translation of a function
 * @kvm: the VM, which must exist until kvm_s390_ioat_free()
 *
 * Nothing is registered yet and all counters are zero.
 *
 * Context: Process context, may sleep.
 *
 * Return: the new object, to be freed with kvm_s390_ioat_free(), or NULL if
 * there is no memory.
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
 * kvm_s390_ioat_free - give up I/O address translation of a function
 * @ioat: object from kvm_s390_ioat_alloc() with nothing registered, or NULL
 *
 * Context: Process context, may sleep.
 */
void kvm_s390_ioat_free(struct kvm_s390_ioat *ioat)
{
	if (!ioat)
		return;

	WARN_ON_ONCE(ioat->reg);
	kref_put(&ioat->ref, ioat_release);
}

/* Claim the function's domain and shadow the guest's table into it */
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
	 * s390_shadow_destroy() drops the creator's reference; this one lets
	 * intercepts that found the registration call the shadow after that.
	 */
	reg->shadow = s390_shadow_get(shadow);
	return 0;
}

/**
 * kvm_s390_ioat_register - register a guest's I/O translation table
 * @ioat: the function's I/O address translation
 * @dev: the function
 * @args: what the guest gave to MPCIFC; flags and reserved fields were checked
 *
 * From now on the guest's RPCITs for the handle are carried out here. Nothing
 * of the table is read before the first of them. QEMU, which carries them out
 * otherwise, does not read the table at MPCIFC either (s390_pci_iommu_replay()
 * in hw/s390x/s390-pci-bus.c).
 *
 * Context: Process context, may sleep. The caller holds kvm->lock, because the
 * VM must not become protected meanwhile, and kvm->arch.zpci_dev_lock. @dev
 * stays attached to KVM while kvm->arch.zpci_dev_lock is held.
 *
 * Return: 0, or -EEXIST if a table is registered already for the function or
 * for the handle, -EOPNOTSUPP if the VM is protected or is a user controlled
 * one, whose memory KVM does not know, -ENOMEM, or any error of
 * s390_shadow_create().
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
 * kvm_s390_ioat_deregister - deregister a guest's I/O translation table
 * @ioat: the function's I/O address translation
 *
 * When it returns, the function has no access to guest memory by way of the
 * table, and nothing is pinned or charged for it. RPCITs that are just being
 * carried out go to user space.
 *
 * Context: Process context, may sleep. The caller holds
 * kvm->arch.zpci_dev_lock.
 *
 * Return: 0, or -ENOENT if no table is registered.
 */
int kvm_s390_ioat_deregister(struct kvm_s390_ioat *ioat)
{
	struct s390_shadow_stats stats;
	struct ioat_reg *reg = ioat->reg;

	lockdep_assert_held(&ioat->kvm->arch.zpci_dev_lock);

	if (!reg)
		return -ENOENT;

	/*
	 * On the list until nothing is pinned any more, for the sake of
	 * kvm_s390_ioat_in_use(). Intercepts that find it get -ENODEV.
	 */
	if (reg->shadow) {
		s390_shadow_destroy(reg->shadow);
		kvm_s390_pins_end(&reg->pins);
	}
	list_del_rcu(&reg->entry);
	ioat->reg = NULL;

	/* Only now, to count what destruction unmapped. A nested domain goes on. */
	if (reg->shadow) {
		s390_shadow_stats(reg->shadow, &stats);
		ioat_add_stats(&ioat->past, &stats);
	}
	ioat_reg_put(reg);

	return 0;
}

/**
 * kvm_s390_ioat_get_stats - read the counters
 * @ioat: the function's I/O address translation
 * @stats: where to store them; all fields are written
 *
 * The counters are read one by one while the guest goes on running: they are
 * each correct, but need not fit together.
 *
 * Context: Process context, may sleep. The caller holds
 * kvm->arch.zpci_dev_lock.
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
 * kvm_s390_ioat_flush_memslot - guest memory goes away
 * @kvm: the VM
 * @slot: the memory slot that is deleted or moved
 *
 * Withdraws from the VM's functions what lies in the slot. The guest's tables
 * may still name it: a later RPCIT then finds nothing, or what is there by then.
 *
 * Context: Process context, may sleep. kvm->slots_lock is held, and no reader of
 * kvm->srcu finds the slot valid any more.
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
		/* What the parent of a nested domain maps is user space's affair */
		if (!reg->shadow)
			continue;
		s390_shadow_unmap_gpa_range(reg->shadow, gaddr, last);
		kvm_s390_pins_forget(&reg->pins, slot);
	}
	mutex_unlock(&kvm->arch.zpci_dev_lock);
}

/* Section: the intercept */

/*
 * What lies in the aperture of the @len bytes at @start. Where QEMU's
 * rpcit_service_call() (hw/s390x/s390-pci-inst.c) raises an error event,
 * -ERANGE lets it do so; a range that is partly outside is cut down, as there.
 *
 * Return: 1 if there is something to do, 0 if not, or -ERANGE
 */
static int ioat_range(struct ioat_reg *reg, u64 start, u64 len,
		      struct s390_shadow_walk *walk)
{
	u64 first = max(start, reg->pba);
	u64 last = start + len - 1;

	/* Ends beyond the last address, below the aperture, or begins above */
	if ((len && last < start) || start > reg->pal ||
	    (start < reg->pba && reg->pba - start > len))
		return -ERANGE;

	/* Nothing to do if the range is empty or ends where the aperture starts */
	if (!len || last < first)
		return 0;
	last = min(last, reg->pal);

	/* Whole frames: the aperture starts and ends with one */
	s390_shadow_walk_init(walk, first & PAGE_MASK, last | ~PAGE_MASK);
	return 1;
}

/*
 * A guest can make a refresh last as long as it likes. Those who change memory
 * slots wait for readers of kvm->srcu, and shall not wait for that.
 */
static int ioat_walk(struct kvm_vcpu *vcpu, struct ioat_reg *reg,
		     struct s390_shadow_walk *walk)
{
	int rc;

	for (;;) {
		rc = reg->shadow ? s390_shadow_refresh(reg->shadow, walk) :
				   s390_iommu_refresh(to_zpci_dev(reg->dev), walk);
		if (rc != -EAGAIN)
			return rc;
		kvm_vcpu_srcu_read_unlock(vcpu);
		cond_resched();
		kvm_vcpu_srcu_read_lock(vcpu);
	}
}

/*
 * There are no resources. Give back what is kept for any of the VM's functions, and
 * walk once more. A function may be passed over, or come twice, if others are
 * registered or deregistered meanwhile.
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
 * The RPCIT is complete: condition code, and status in the register @reg1.
 *
 * Return: false if it is not for the kernel to complete it
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
 * kvm_s390_handle_rpcit - carry out RPCIT for a guest
 * @vcpu: the virtual CPU that intercepted on RPCIT (B9D3)
 *
 * Operands as __rpcit() in arch/s390/pci/pci_insn.c passes them: R1 designates
 * a register with the function handle in bits 0-31, which receives the status,
 * R2 an even-odd pair with the first I/O address and the length in bytes.
 *
 * Goes to user space: a VM without a registered table, an unknown handle, a
 * range outside of the aperture, and whatever the shadow reports besides lack
 * of resources. Those may need condition code 3 or an error event, of which
 * only user space knows. Facility 69 (zPCI) is not looked at: it is not in the
 * lists that KVM maintains, and user space that registers a table offers the
 * instructions to its guest.
 *
 * If a signal is pending, the instruction is nullified and the run loop left.
 * kvm_s390_ioat_resume() carries on.
 *
 * Context: Process context of the thread that runs @vcpu, inside a read section
 * of kvm->srcu, which is left and entered again, with vcpu->mutex held.
 *
 * Return: 0 if the guest goes on, -EOPNOTSUPP for user space, -EINTR if a signal
 * is pending, or an error of the injection of a program interruption.
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
	/* The guest may have run since: what was left unfinished is history */
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

/* Is the CPU still about to execute what was left unfinished? */
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
 * kvm_s390_ioat_resume - carry on with an RPCIT that gave way to a signal
 * @vcpu: the virtual CPU that is about to enter the guest
 *
 * A refresh of a very large table may take longer than the time between two
 * signals, and would never end if it began anew after each. It may be carried
 * on, as one long execution of the instruction, because the CPU has executed
 * nothing else: neither has it entered the guest, nor has it been given an
 * interruption. User space may have changed what is executed next; then, and in
 * all other cases but the plain one, the guest executes its RPCIT anew, which is
 * always correct.
 *
 * Context: Process context of the thread that runs @vcpu, before interruptions
 * are delivered to it, with vcpu->mutex held.
 *
 * Return: 0 if the guest is to be entered, -EINTR if a signal is pending, or
 * -EREMOTE if the instruction is for user space and the exit was prepared
 */
int kvm_s390_ioat_resume(struct kvm_vcpu *vcpu)
{
	struct kvm_s390_sie_block *sie_block = vcpu->arch.sie_block;
	struct kvm_s390_rpcit *rpcit = &vcpu->arch.rpcit;
	struct ioat_reg *reg;
	int rc;

	if (likely(!rpcit->reg_id))
		return 0;

	/* An instruction that is traced is executed in view of the tracer */
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
		/* The intercept as it was: the guest has not been entered since */
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
