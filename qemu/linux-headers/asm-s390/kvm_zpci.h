/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * KVM device that associates a vfio-pci zPCI function with a virtual machine
 *
 * Created with KVM_CREATE_DEVICE and the type KVM_DEV_TYPE_S390_ZPCI; see
 * Documentation/virt/kvm/devices/s390_zpci.rst.
 */
#ifndef __ASM_S390_KVM_ZPCI_H
#define __ASM_S390_KVM_ZPCI_H

#include <linux/types.h>

/*
 * Bits in the value that KVM_CHECK_EXTENSION returns for
 * KVM_CAP_S390_ZPCI_DEVICE: what the device can control on this host.
 */
#define KVM_S390_ZPCI_CAP_IOAT		0x1

/* Group: the binding of the device to a function */
#define KVM_DEV_S390_ZPCI_BIND		1
#define   KVM_DEV_S390_ZPCI_BIND_VFIO	1	/* set: kvm_s390_zpci_bind */

/* Group: I/O address translation (IOAT) */
#define KVM_DEV_S390_ZPCI_IOAT		2
#define   KVM_DEV_S390_ZPCI_IOAT_REG	1	/* set: kvm_s390_zpci_ioat */
#define   KVM_DEV_S390_ZPCI_IOAT_DEREG	2	/* set: no payload */
#define   KVM_DEV_S390_ZPCI_IOAT_STATS	3	/* get: kvm_s390_zpci_ioat_stats */

/**
 * struct kvm_s390_zpci_bind - bind a KVM device to a zPCI function
 * @flags: no flag is defined, must be zero
 * @vfio_fd: file descriptor of the VFIO device, obtained from its group or
 *	opened as cdev and bound to an iommufd, that was opened with this VM
 * @reserved: must be zero
 */
struct kvm_s390_zpci_bind {
	__u32 flags;
	__s32 vfio_fd;
	__u64 reserved[3];
};

/**
 * struct kvm_s390_zpci_ioat - register the guest's I/O translation table
 * @flags: no flag is defined, must be zero
 * @fh: function handle by which the guest's RPCIT names the function
 * @pba: PCI base address: first I/O address of the aperture, 4 KiB aligned
 * @pal: PCI address limit: last I/O address of the aperture, the last byte
 *	of a 4 KiB frame
 * @iota: I/O translation anchor as the guest gave it to MPCIFC
 * @reserved: must be zero
 *
 * The fields are those of the function information block (FIB) of MPCIFC,
 * function 4 (register I/O address translation parameters).
 */
struct kvm_s390_zpci_ioat {
	__u32 flags;
	__u32 fh;
	__u64 pba;
	__u64 pal;
	__u64 iota;
	__u64 reserved[4];
};

/**
 * struct kvm_s390_zpci_ioat_stats - what became of the guest's RPCITs
 * @flags: zero
 * @reserved0: zero
 * @rpcits: RPCITs that the kernel completed, whatever the condition code
 * @rpcits_user: RPCITs for this function's handle passed on to user space: the
 *	sum of the @user_ counters
 * @rpcits_nores: RPCITs that ended with status 16, insufficient resources
 *	(they are also counted by @rpcits)
 * @mapped: guest frames of 4 KiB made accessible to the function, in all
 * @unmapped: guest frames of 4 KiB withdrawn from the function, in all
 * @pinned: frames pinned now
 * @pinned_peak: the most frames that were ever pinned at once
 * @refreshes: host RPCITs issued
 * @refresh_errors: host RPCITs that failed
 * @tables: host page, segment and region tables now, without the topmost
 * @interrupted: how often an RPCIT was left unfinished because of a signal
 * @user_range: RPCITs passed on because their range is not in the aperture
 * @user_format: RPCITs passed on because of a malformed table entry
 * @user_memory: RPCITs passed on because a table or a frame is not in guest
 *	memory, is not writable, or can't be pinned
 * @user_host: RPCITs passed on because a host RPCIT failed
 * @user_gone: RPCITs passed on because the function or its domain is gone
 * @reserved: zero
 *
 * The counters start at zero when the device is bound and go on over
 * deregistration and registration.
 */
struct kvm_s390_zpci_ioat_stats {
	__u32 flags;
	__u32 reserved0;
	__u64 rpcits;
	__u64 rpcits_user;
	__u64 rpcits_nores;
	__u64 mapped;
	__u64 unmapped;
	__u64 pinned;
	__u64 pinned_peak;
	__u64 refreshes;
	__u64 refresh_errors;
	__u64 tables;
	__u64 interrupted;
	__u64 user_range;
	__u64 user_format;
	__u64 user_memory;
	__u64 user_host;
	__u64 user_gone;
	__u64 reserved[15];
};

#endif /* __ASM_S390_KVM_ZPCI_H */
