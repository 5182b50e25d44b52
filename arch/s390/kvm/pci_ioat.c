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
 * 3. Each guest frame that is pinned is charged to the VM's process.
 * 4. A guest in protected virtualization has no registered table.
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
#include <linux/rculist.h>
#include <linux/s390_iommu_shadow.h>
#include <linux/slab.h>
#include "kvm-s390.h"
#include "pci_ioat.h"
#include "trace.h"

/*
 * RPCIT status "insufficient resources", stored in bits 32-39 of the register
 * that R1 names; __rpcit() in arch/s390/pci/pci_insn.c takes it from there and
 * zpci_refresh_trans() tells Linux guests to flush and to try again.
 */
#define RPCIT_STATUS_MASK	0xff000000UL
#define RPCIT_STATUS_SHIFT	24
#define RPCIT_ST_NO_RESOURCES	16UL

/**
 * struct kvm_s390_ioat - I/O address translation of one function in one VM
 * @ref: held by the owner and by each registration
 * @kvm: the VM
 * @reg: the current registration or NULL; under kvm->arch.zpci_dev_lock
 * @past: counters of the shadows of past registrations, with nothing pinned and
 *	no tables; under kvm->arch.zpci_dev_lock
 * @rpcits: RPCITs that were completed, with any condition code
 * @rpcits_user: RPCITs that were passed on to user space
 * @rpcits_nores: RPCITs that ended with status "insufficient resources"
 */
struct kvm_s390_ioat {
	struct kref ref;
	struct kvm *kvm;
	struct ioat_reg *reg;
	struct s390_shadow_stats past;
	atomic64_t rpcits;
	atomic64_t rpcits_user;
	atomic64_t rpcits_nores;
};

/**
 * struct ioat_reg - one registration of a guest's I/O translation table
 * @ref: held by the VM's list and by RPCIT intercepts
 * @rcu: the memory is freed after a grace period
 * @entry: in kvm->arch.zpci_ioat_list
 * @ioat: what is registered
 * @kvm: the VM
 * @shadow: shadow of the function's domain
 * @fh: guest's function handle
 * @pba: first I/O address of the aperture
 * @pal: last I/O address of the aperture, the last byte of a 4 KiB frame
 * @lock_cap: whoever registered may exceed RLIMIT_MEMLOCK
 */
struct ioat_reg {
	struct kref ref;
	struct rcu_head rcu;
	struct list_head entry;
	struct kvm_s390_ioat *ioat;
	struct kvm *kvm;
	struct s390_shadow *shadow;
	u32 fh;
	u64 pba;
	u64 pal;
	bool lock_cap;
};

/* Section: guest memory for the shadow */

/*
 * Called from an RPCIT intercept: inside a read section of kvm->srcu, which
 * keeps the memslots, and in the process whose memory the guest's is.
 *
 * Other CPUs of the guest may store into the table at any time. All uaccess
 * functions, get_user() too, fetch user memory with MVCOS, and each byte once.
 * That an aligned doubleword is not seen half old, half new is what the walk of
 * guest DAT tables relies on as well (deref_table() in gaccess.c). The shadow
 * judges nothing but the copy.
 */
static int ioat_read(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	struct ioat_reg *reg = guest;

	return kvm_read_guest_page(reg->kvm, gpa_to_gfn(gaddr), dst,
				   offset_in_page(gaddr), nr * sizeof(*dst));
}

/* Called in the same context as ioat_read() */
static long ioat_pin(void *guest, u64 gaddr, unsigned int nr, bool write,
		     struct page **pages)
{
	unsigned int gup_flags = FOLL_LONGTERM | (write ? FOLL_WRITE : 0);
	struct ioat_reg *reg = guest;
	struct kvm_memory_slot *slot;
	gfn_t gfn = gpa_to_gfn(gaddr);
	bool writable;
	unsigned long hva;
	long rc;

	slot = gfn_to_memslot(reg->kvm, gfn);
	hva = gfn_to_hva_memslot_prot(slot, gfn, &writable);
	if (kvm_is_error_hva(hva) || (write && !writable))
		return -EFAULT;

	/* User addresses are consecutive only within a memslot */
	nr = min_t(gfn_t, nr, slot->base_gfn + slot->npages - gfn);

	/* Without FOLL_WRITE, FOLL_LONGTERM resolves copy-on-write just as well */
	rc = pin_user_pages_fast(hva, nr, gup_flags, pages);
	if (rc > 0)
		return rc;

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

static void ioat_unpin(void *guest, struct page **pages, unsigned int nr,
		       bool dirty)
{
	unpin_user_pages_dirty_lock(pages, nr, dirty);
}

/*
 * Charges locked_vm of the VM's process, as VFIO type1 does for its mappings,
 * so that a function is subject to the same limit however it is mapped.
 */
static int ioat_charge(void *guest, unsigned long nr)
{
	struct ioat_reg *reg = guest;
	struct mm_struct *mm = reg->kvm->mm;
	int rc;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	rc = __account_locked_vm(mm, nr, true, current, reg->lock_cap);
	mmap_write_unlock(mm);

	return rc;
}

/*
 * May be called by any process, for example by one that removes the function,
 * and after the VM's process has given up its address space: KVM's reference
 * keeps struct mm_struct, and no more of it is used.
 */
static void ioat_uncharge(void *guest, unsigned long nr)
{
	struct ioat_reg *reg = guest;
	struct mm_struct *mm = reg->kvm->mm;

	mmap_write_lock(mm);
	__account_locked_vm(mm, nr, false, current, true);
	mmap_write_unlock(mm);
}

static const struct s390_shadow_guest_ops ioat_guest_ops = {
	.read = ioat_read,
	.pin = ioat_pin,
	.unpin = ioat_unpin,
	.charge = ioat_charge,
	.uncharge = ioat_uncharge,
};

/* Section: registration */

static void ioat_release(struct kref *ref)
{
	kfree(container_of(ref, struct kvm_s390_ioat, ref));
}

static void ioat_reg_release(struct kref *ref)
{
	struct ioat_reg *reg = container_of(ref, struct ioat_reg, ref);

	s390_shadow_put(reg->shadow);
	kref_put(&reg->ioat->ref, ioat_release);
	kfree_rcu(reg, rcu);
}

/* Find a registration and take a reference on it; NULL if there is none */
static struct ioat_reg *ioat_reg_get(struct kvm *kvm, u32 fh)
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

static void ioat_reg_put(struct ioat_reg *reg)
{
	kref_put(&reg->ref, ioat_reg_release);
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

	ioat = kzalloc(sizeof(*ioat), GFP_KERNEL_ACCOUNT);
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
	struct s390_shadow_config cfg = {
		.iota = args->iota,
		.pba = args->pba,
		.pal = args->pal,
	};
	struct kvm *kvm = ioat->kvm;
	struct s390_shadow *shadow;
	struct ioat_reg *reg;

	lockdep_assert_held(&kvm->lock);
	lockdep_assert_held(&kvm->arch.zpci_dev_lock);

	if (kvm_is_ucontrol(kvm) || kvm_s390_pv_is_protected(kvm))
		return -EOPNOTSUPP;
	if (ioat->reg)
		return -EEXIST;
	list_for_each_entry(reg, &kvm->arch.zpci_ioat_list, entry) {
		if (reg->fh == args->fh)
			return -EEXIST;
	}

	reg = kzalloc(sizeof(*reg), GFP_KERNEL_ACCOUNT);
	if (!reg)
		return -ENOMEM;

	kref_init(&reg->ref);
	reg->kvm = kvm;
	reg->fh = args->fh;
	reg->pba = args->pba;
	reg->pal = args->pal;
	reg->lock_cap = capable(CAP_IPC_LOCK);

	shadow = s390_shadow_create(dev, &cfg, &ioat_guest_ops, reg);
	if (IS_ERR(shadow)) {
		kfree(reg);
		return PTR_ERR(shadow);
	}

	/*
	 * s390_shadow_destroy() drops the creator's reference; this one lets
	 * intercepts that found the registration call the shadow after that.
	 */
	reg->shadow = s390_shadow_get(shadow);
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
	s390_shadow_destroy(reg->shadow);
	list_del_rcu(&reg->entry);
	ioat->reg = NULL;

	/* Only now, so that what destruction withdrew is counted too */
	s390_shadow_stats(reg->shadow, &stats);
	ioat_add_stats(&ioat->past, &stats);
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

	lockdep_assert_held(&ioat->kvm->arch.zpci_dev_lock);

	if (ioat->reg) {
		s390_shadow_stats(ioat->reg->shadow, &cur);
		ioat_add_stats(&sum, &cur);
	}

	*stats = (struct kvm_s390_zpci_ioat_stats) {
		.rpcits = atomic64_read(&ioat->rpcits),
		.rpcits_user = atomic64_read(&ioat->rpcits_user),
		.rpcits_nores = atomic64_read(&ioat->rpcits_nores),
		.mapped = sum.mapped,
		.unmapped = sum.unmapped,
		.pinned = cur.pinned,
		.pinned_peak = sum.pinned_peak,
		.refreshes = sum.refreshes,
		.refresh_errors = sum.refresh_errors,
		.tables = cur.tables,
	};
}

/* Section: the intercept */

/*
 * Refresh what lies in the aperture of the @len bytes at @start. Where QEMU's
 * rpcit_service_call() (hw/s390x/s390-pci-inst.c) raises an error event,
 * -ERANGE lets it do so; a range that is partly outside is cut down, as there.
 */
static int ioat_refresh(struct ioat_reg *reg, u64 start, u64 len)
{
	u64 end = start + len;
	u64 last;

	if (end < start || end < reg->pba || start > reg->pal)
		return -ERANGE;

	/* Nothing to do if the range is empty or ends where the aperture starts */
	start = max(start, reg->pba);
	if (end <= start)
		return 0;
	last = min(end - 1, reg->pal);

	/* Whole frames: the aperture starts and ends with one */
	return s390_shadow_refresh(reg->shadow, start & PAGE_MASK,
				   last | ~PAGE_MASK);
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
 * Context: Process context of the thread that runs @vcpu, inside a read section
 * of kvm->srcu, with vcpu->mutex held.
 *
 * Return: 0 if the guest goes on, -EOPNOTSUPP for user space, or an error of
 * the injection of a program interruption.
 */
int kvm_s390_handle_rpcit(struct kvm_vcpu *vcpu)
{
	u64 *gprs = vcpu->run->s.regs.gprs;
	struct ioat_reg *reg;
	int reg1, reg2, rc;
	u64 start, len;
	u32 fh;

	vcpu->stat.instruction_rpcit++;

	if (!kvm_s390_ioat_in_use(vcpu->kvm) ||
	    kvm_s390_pv_cpu_is_protected(vcpu))
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
	rc = reg ? ioat_refresh(reg, start, len) : -ENOENT;
	trace_kvm_s390_handle_rpcit(vcpu, fh, start, len, rc);
	if (!reg)
		return -EOPNOTSUPP;

	switch (rc) {
	case 0:
		atomic64_inc(&reg->ioat->rpcits);
		kvm_s390_set_psw_cc(vcpu, 0);
		break;
	case -ENOMEM:
		atomic64_inc(&reg->ioat->rpcits);
		atomic64_inc(&reg->ioat->rpcits_nores);
		gprs[reg1] &= ~RPCIT_STATUS_MASK;
		gprs[reg1] |= RPCIT_ST_NO_RESOURCES << RPCIT_STATUS_SHIFT;
		kvm_s390_set_psw_cc(vcpu, 1);
		break;
	case -EINTR:
		/*
		 * A signal is pending, on which the run loop leaves for user
		 * space. What was refreshed stays, so that redoing the
		 * instruction makes progress.
		 */
		kvm_s390_retry_instr(vcpu);
		break;
	default:
		atomic64_inc(&reg->ioat->rpcits_user);
		ioat_reg_put(reg);
		return -EOPNOTSUPP;
	}

	ioat_reg_put(reg);
	return 0;
}
