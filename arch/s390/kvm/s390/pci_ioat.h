/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RPCIT (Refresh PCI Translations) of a guest, for passed-through PCI functions
 *
 * Copyright (C) 2026 the authors of the s390 KVM zPCI series
 */
#ifndef __KVM_S390_PCI_IOAT_H
#define __KVM_S390_PCI_IOAT_H

#include <linux/errno.h>
#include <linux/kvm_host.h>
#include <asm/kvm_zpci.h>

struct device;
struct kvm_s390_ioat;

#ifdef CONFIG_KVM_S390_ZPCI_IOAT

void kvm_s390_ioat_init_vm(struct kvm *kvm);
void kvm_s390_ioat_destroy_vm(struct kvm *kvm);
bool kvm_s390_ioat_in_use(struct kvm *kvm);

struct kvm_s390_ioat *kvm_s390_ioat_bind(struct kvm *kvm, struct device *dev);
void kvm_s390_ioat_unbind(struct kvm_s390_ioat *ioat);
void kvm_s390_ioat_put(struct kvm_s390_ioat *ioat);
int kvm_s390_ioat_on(struct kvm *kvm, struct kvm_s390_ioat *ioat, u32 fh);
int kvm_s390_ioat_off(struct kvm_s390_ioat *ioat);
void kvm_s390_ioat_stats(struct kvm_s390_ioat *ioat,
			 struct kvm_s390_zpci_ioat_stats *stats);

int kvm_s390_handle_rpcit(struct kvm_vcpu *vcpu);
int kvm_s390_ioat_resume(struct kvm_vcpu *vcpu);

#else

static inline void kvm_s390_ioat_init_vm(struct kvm *kvm) {}
static inline void kvm_s390_ioat_destroy_vm(struct kvm *kvm) {}

static inline bool kvm_s390_ioat_in_use(struct kvm *kvm)
{
	return false;
}

static inline int kvm_s390_ioat_resume(struct kvm_vcpu *vcpu)
{
	return 0;
}

static inline int kvm_s390_handle_rpcit(struct kvm_vcpu *vcpu)
{
	return -EOPNOTSUPP;
}

#endif /* CONFIG_KVM_S390_ZPCI_IOAT */

#endif /* __KVM_S390_PCI_IOAT_H */
