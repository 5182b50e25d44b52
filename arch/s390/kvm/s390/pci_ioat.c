// SPDX-License-Identifier: GPL-2.0
/*
 * RPCIT (Refresh PCI Translations) of a guest, for passed-through PCI functions
 *
 * Copyright (C) 2026 the authors of the s390 KVM zPCI series
 *
 * A guest executes RPCIT after it changed the I/O translation table of a function.
 * User space switches on that KVM answers the RPCITs with a function's handle. Then
 * the IOMMU driver refreshes the nested domain that the function is attached to
 * (s390_iommu_refresh()). KVM knows neither the domain nor the guest's table. An
 * RPCIT that it can't complete goes to user space.
 *
 * Invariants:
 *
 * 1. In a VM, the switch is on for at most one function with a given handle.
 * 2. The switch is off in a protected VM.
 * 3. Nothing here waits for an RPCIT in progress, which a guest can make last as long
 *    as it likes. It may go on after the switch was set to off and the function was
 *    closed. It does what user space may do by IOMMU_HWPT_INVALIDATE, and fails once
 *    the nested domain is detached.
 *
 * Lifetime: struct kvm_s390_ioat is made for each binding of a KVM device to a
 * function. The KVM device and RPCITs in progress hold references on it. It holds a
 * reference on the struct device of the function, which keeps struct zpci_dev. While
 * bound, it is on the VM's list without a reference. It is freed after a grace period.
 * An RPCIT in progress runs in a vCPU, which keeps the VM.
 *
 * Locking: kvm->arch.zpci_dev_lock protects changes of the list, and of the handle.
 * An RPCIT looks up the handle under RCU and takes no lock of this file.
 */

#include <linux/device.h>
#include <linux/kref.h>
#include <linux/kvm_host.h>
#include <linux/pci.h>
#include <linux/rculist.h>
#include <linux/s390_iommu_shadow.h>
#include <linux/slab.h>
#include "s390.h"
#include "pci_ioat.h"
#include "trace.h"

/*
 * RPCIT status "insufficient resources", in bits 32-39 of the register that R1
 * designates. __rpcit() in arch/s390/pci/pci_insn.c reads it there, and
 * zpci_refresh_trans() makes Linux guests flush and try again.
 */
#define RPCIT_STATUS_MASK	0xff000000UL
#define RPCIT_STATUS_SHIFT	24
#define RPCIT_ST_NO_RESOURCES	16UL

/* In kvm_s390_ioat.handle: the switch is on, and bits 32-63 are the handle */
#define IOAT_ON			BIT_ULL(32)

/**
 * struct kvm_s390_ioat - RPCITs of one function in one VM
 * @ref: held by the KVM device and by RPCITs in progress
 * @rcu: frees the memory after a grace period
 * @entry: in kvm->arch.zpci_ioat_list while the function is bound
 * @dev: the function, with a reference
 * @handle: the guest's function handle and %IOAT_ON, or 0; written under
 *	kvm->arch.zpci_dev_lock
 * @rpcits: RPCITs that KVM completed with any condition code
 * @rpcits_nores: those of them that ended with status "insufficient resources"
 * @rpcits_user: RPCITs passed to user space
 */
struct kvm_s390_ioat {
	struct kref ref;
	struct rcu_head rcu;
	struct list_head entry;
	struct device *dev;
	u64 handle;
	atomic64_t rpcits;
	atomic64_t rpcits_nores;
	atomic64_t rpcits_user;
};

/**
 * kvm_s390_ioat_init_vm() - prepare a VM for zPCI KVM devices
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
 * No function is bound: its KVM device would hold a reference on the VM.
 */
void kvm_s390_ioat_destroy_vm(struct kvm *kvm)
{
	WARN_ON_ONCE(!list_empty(&kvm->arch.zpci_ioat_list));
	mutex_destroy(&kvm->arch.zpci_dev_lock);
}

static struct kvm_s390_ioat *ioat_find(struct kvm *kvm, u32 fh)
{
	struct kvm_s390_ioat *ioat;

	list_for_each_entry_rcu(ioat, &kvm->arch.zpci_ioat_list, entry,
				lockdep_is_held(&kvm->arch.zpci_dev_lock)) {
		if (READ_ONCE(ioat->handle) == (IOAT_ON | fh))
			return ioat;
	}
	return NULL;
}

/* Find a function by its handle and take a reference, or return NULL */
static __always_inline struct kvm_s390_ioat *ioat_get(struct kvm *kvm, u32 fh)
{
	struct kvm_s390_ioat *ioat;

	guard(rcu)();
	ioat = ioat_find(kvm, fh);
	return ioat && kref_get_unless_zero(&ioat->ref) ? ioat : NULL;
}

static void ioat_release(struct kref *ref)
{
	struct kvm_s390_ioat *ioat = container_of(ref, struct kvm_s390_ioat, ref);

	put_device(ioat->dev);
	kfree_rcu(ioat, rcu);
}

/**
 * kvm_s390_ioat_in_use() - check whether the switch is on for any function
 * @kvm: the VM
 *
 * Context: process. While the caller holds kvm->lock, false does not become true.
 * Return: true if KVM answers RPCITs of a function
 */
bool kvm_s390_ioat_in_use(struct kvm *kvm)
{
	struct kvm_s390_ioat *ioat;

	guard(rcu)();
	list_for_each_entry_rcu(ioat, &kvm->arch.zpci_ioat_list, entry) {
		if (READ_ONCE(ioat->handle))
			return true;
	}
	return false;
}

/**
 * kvm_s390_ioat_bind() - make a function known to the VM
 * @kvm: the VM
 * @dev: the function
 *
 * The switch is off, and all counters are zero.
 *
 * Context: process; sleeps. The caller holds kvm->arch.zpci_dev_lock.
 * Return: an object for kvm_s390_ioat_unbind(), or NULL if out of memory
 */
struct kvm_s390_ioat *kvm_s390_ioat_bind(struct kvm *kvm, struct device *dev)
{
	struct kvm_s390_ioat *ioat;

	lockdep_assert_held(&kvm->arch.zpci_dev_lock);

	ioat = kzalloc_obj(*ioat, GFP_KERNEL_ACCOUNT);
	if (!ioat)
		return NULL;

	kref_init(&ioat->ref);
	ioat->dev = get_device(dev);
	list_add_tail_rcu(&ioat->entry, &kvm->arch.zpci_ioat_list);
	return ioat;
}

/**
 * kvm_s390_ioat_unbind() - switch off and make the VM forget a function
 * @ioat: object from kvm_s390_ioat_bind()
 *
 * The counters can be read until kvm_s390_ioat_put(). RPCITs in progress end by
 * themselves.
 *
 * Context: process. The caller holds kvm->arch.zpci_dev_lock.
 */
void kvm_s390_ioat_unbind(struct kvm_s390_ioat *ioat)
{
	WRITE_ONCE(ioat->handle, 0);
	list_del_rcu(&ioat->entry);
}

/**
 * kvm_s390_ioat_put() - drop the reference of the KVM device
 * @ioat: object that was unbound, or NULL
 *
 * Context: process; sleeps
 */
void kvm_s390_ioat_put(struct kvm_s390_ioat *ioat)
{
	if (ioat)
		kref_put(&ioat->ref, ioat_release);
}

/**
 * kvm_s390_ioat_on() - answer RPCITs with a handle
 * @kvm: the VM
 * @ioat: the bound function
 * @fh: the guest's handle of the function
 *
 * Context: process. The caller holds kvm->lock, which keeps the VM from becoming
 * protected, and kvm->arch.zpci_dev_lock.
 * Return:
 * * 0		 - on
 * * -EEXIST	 - on already, or @fh is the handle of another function
 * * -EOPNOTSUPP - the VM is protected, or is a ucontrol VM
 */
int kvm_s390_ioat_on(struct kvm *kvm, struct kvm_s390_ioat *ioat, u32 fh)
{
	lockdep_assert_held(&kvm->lock);
	lockdep_assert_held(&kvm->arch.zpci_dev_lock);

	if (kvm_is_ucontrol(kvm) || kvm_s390_pv_is_protected(kvm))
		return -EOPNOTSUPP;
	if (ioat->handle || ioat_find(kvm, fh))
		return -EEXIST;
	WRITE_ONCE(ioat->handle, IOAT_ON | fh);
	return 0;
}

/**
 * kvm_s390_ioat_off() - let RPCITs go to user space
 * @ioat: the function
 *
 * RPCITs that begin after this are not answered by KVM. Those in progress are.
 *
 * Context: process. The caller holds kvm->arch.zpci_dev_lock.
 * Return: 0, or -ENOENT if the switch is not on
 */
int kvm_s390_ioat_off(struct kvm_s390_ioat *ioat)
{
	if (!ioat->handle)
		return -ENOENT;
	WRITE_ONCE(ioat->handle, 0);
	return 0;
}

/**
 * kvm_s390_ioat_stats() - read the counters
 * @ioat: the function
 * @stats: set to the counters; all fields are written
 *
 * Context: any. Each counter is correct, but they may not be consistent with each
 * other, because vCPUs change them meanwhile.
 */
void kvm_s390_ioat_stats(struct kvm_s390_ioat *ioat,
			 struct kvm_s390_zpci_ioat_stats *stats)
{
	*stats = (struct kvm_s390_zpci_ioat_stats) {
		.rpcits = atomic64_read(&ioat->rpcits),
		.rpcits_user = atomic64_read(&ioat->rpcits_user),
		.rpcits_nores = atomic64_read(&ioat->rpcits_nores),
	};
}

/*
 * Complete the RPCIT: set the condition code, and the status in register @reg1.
 *
 * Return: 0, -EINTR if the RPCIT is to be continued, or -EOPNOTSUPP if user space
 * must complete it
 */
static __always_inline int ioat_complete(struct kvm_vcpu *vcpu,
					 struct kvm_s390_ioat *ioat, int reg1,
					 int rc)
{
	u64 *gprs = vcpu->run->s.regs.gprs;

	switch (rc) {
	case 0:
		kvm_s390_set_psw_cc(vcpu, 0);
		break;
	case -ENOMEM:
		atomic64_inc(&ioat->rpcits_nores);
		vcpu->stat.rpcit_nores++;
		gprs[reg1] &= ~RPCIT_STATUS_MASK;
		gprs[reg1] |= RPCIT_ST_NO_RESOURCES << RPCIT_STATUS_SHIFT;
		kvm_s390_set_psw_cc(vcpu, 1);
		break;
	case -EINTR:
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	default:
		atomic64_inc(&ioat->rpcits_user);
		vcpu->stat.rpcit_user++;
		return -EOPNOTSUPP;
	}
	atomic64_inc(&ioat->rpcits);
	vcpu->stat.rpcit_kernel++;
	return 0;
}

/* Carry out, or continue, vcpu->arch.rpcit; return as ioat_complete() does */
static __always_inline int ioat_refresh(struct kvm_vcpu *vcpu,
					struct kvm_s390_ioat *ioat,
					struct kvm_s390_rpcit *rpcit)
{
	int rc = s390_iommu_refresh(to_zpci_dev(ioat->dev), rpcit->start,
				    rpcit->len, &rpcit->walk);

	trace_kvm_s390_handle_rpcit(vcpu, rpcit->fh, rpcit->start, rpcit->len, rc);
	return ioat_complete(vcpu, ioat, rpcit->reg1, rc);
}

/**
 * kvm_s390_handle_rpcit() - answer RPCIT of a guest
 * @vcpu: the vCPU that intercepted RPCIT (B9D3)
 *
 * Operands, as in __rpcit() (arch/s390/pci/pci_insn.c): R1 designates a register
 * with the function handle in bits 0-31, which receives the status. R2 designates
 * an even-odd pair with the first I/O address and the length in bytes.
 *
 * An RPCIT goes to user space if the switch is not on for the handle, or if the
 * refresh fails for another reason than lack of resources. It may need condition
 * code 3 or an error event, and only user space can tell.
 *
 * Facility 69 (zPCI) is not checked, because it is not in the lists that KVM
 * maintains. User space that switches this on offers the instructions to its guest.
 *
 * A pending signal nullifies the instruction and leaves the run loop. Then
 * kvm_s390_ioat_resume() continues the RPCIT.
 *
 * Context: process, in the thread that runs @vcpu, with vcpu->mutex held. Called in
 * a read section of kvm->srcu, which is left and entered again: a guest can make a
 * refresh take long.
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
	struct kvm_s390_ioat *ioat;
	int reg1, reg2, rc;

	vcpu->stat.instruction_rpcit++;
	/* The guest may have run since: drop an interrupted RPCIT */
	rpcit->interrupted = false;

	if (list_empty(&vcpu->kvm->arch.zpci_ioat_list) ||
	    kvm_s390_pv_cpu_get_handle(vcpu))
		return -EOPNOTSUPP;

	if (vcpu->arch.sie_block->gpsw.mask & PSW_MASK_PSTATE)
		return kvm_s390_inject_program_int(vcpu, PGM_PRIVILEGED_OP);

	kvm_s390_get_regs_rre(vcpu, &reg1, &reg2);
	if (reg2 & 1)
		return kvm_s390_inject_program_int(vcpu, PGM_SPECIFICATION);

	*rpcit = (struct kvm_s390_rpcit) {
		.fh = gprs[reg1] >> 32,
		.start = gprs[reg2],
		.len = gprs[reg2 + 1],
		.reg1 = reg1,
		.reg2 = reg2,
	};
	ioat = ioat_get(vcpu->kvm, rpcit->fh);
	if (!ioat) {
		trace_kvm_s390_handle_rpcit(vcpu, rpcit->fh, rpcit->start,
					    rpcit->len, -ENOENT);
		return -EOPNOTSUPP;
	}

	kvm_vcpu_srcu_read_unlock(vcpu);
	rc = ioat_refresh(vcpu, ioat, rpcit);
	kvm_s390_ioat_put(ioat);
	kvm_vcpu_srcu_read_lock(vcpu);

	if (rc == -EINTR) {
		kvm_s390_retry_instr(vcpu);
		rpcit->psw = vcpu->arch.sie_block->gpsw;
		rpcit->ilen = kvm_s390_get_ilen(vcpu);
		rpcit->interrupted = true;
	}
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
	struct kvm_s390_ioat *ioat;
	int rc;

	if (likely(!rpcit->interrupted))
		return 0;
	rpcit->interrupted = false;

	/* Execute a traced instruction in the guest, where the tracer sees it */
	if (!rpcit_is_next(vcpu, rpcit) || guestdbg_enabled(vcpu) ||
	    (rpcit->psw.mask & PSW_MASK_PER) ||
	    kvm_s390_pv_cpu_is_protected(vcpu))
		return 0;
	ioat = ioat_get(vcpu->kvm, rpcit->fh);
	if (!ioat)
		return 0;

	rc = ioat_refresh(vcpu, ioat, rpcit);
	kvm_s390_ioat_put(ioat);
	if (rc == -EINTR) {
		rpcit->interrupted = true;
		return rc;
	}
	kvm_s390_forward_psw(vcpu, rpcit->ilen);
	if (rc) {
		/* The guest did not run: sie_block still has the intercept */
		vcpu->run->exit_reason = KVM_EXIT_S390_SIEIC;
		vcpu->run->s390_sieic.icptcode = sie_block->icptcode;
		vcpu->run->s390_sieic.ipa = sie_block->ipa;
		vcpu->run->s390_sieic.ipb = sie_block->ipb;
		rc = -EREMOTE;
	}
	return rc;
}
