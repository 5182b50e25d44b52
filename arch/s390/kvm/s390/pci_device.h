/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KVM device that associates a vfio-pci zPCI function with a VM
 *
 * Copyright (C) 2026 the authors of the s390 KVM zPCI series
 */
#ifndef __KVM_S390_PCI_DEVICE_H
#define __KVM_S390_PCI_DEVICE_H

struct kvm_zdev;

#ifdef CONFIG_KVM_S390_ZPCI_IOAT

int kvm_s390_zpci_device_init(void);
void kvm_s390_zpci_device_exit(void);
void kvm_s390_zpci_device_unbind(struct kvm_zdev *kzdev);

#else

static inline int kvm_s390_zpci_device_init(void)
{
	return 0;
}

static inline void kvm_s390_zpci_device_exit(void) {}
static inline void kvm_s390_zpci_device_unbind(struct kvm_zdev *kzdev) {}

#endif /* CONFIG_KVM_S390_ZPCI_IOAT */

#endif /* __KVM_S390_PCI_DEVICE_H */
