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
 * Bits of the result of KVM_CHECK_EXTENSION(KVM_CAP_S390_ZPCI_DEVICE): groups that
 * the device supports on this host
 */
#define KVM_S390_ZPCI_CAP_IOAT		0x1
#define KVM_S390_ZPCI_CAP_INTERP	0x2
#define KVM_S390_ZPCI_CAP_AIF		0x4

/* Group: binding to a function */
#define KVM_DEV_S390_ZPCI_BIND		1
#define   KVM_DEV_S390_ZPCI_BIND_VFIO	1	/* set: kvm_s390_zpci_bind */

/* Group: RPCIT, for I/O address translation (IOAT) */
#define KVM_DEV_S390_ZPCI_IOAT		2
#define   KVM_DEV_S390_ZPCI_IOAT_ON	1	/* set: kvm_s390_zpci_ioat */
#define   KVM_DEV_S390_ZPCI_IOAT_OFF	2	/* set: no payload */
#define   KVM_DEV_S390_ZPCI_IOAT_STATS	3	/* get: kvm_s390_zpci_ioat_stats */

/* Group: interpretation of loads and stores */
#define KVM_DEV_S390_ZPCI_INTERP	3
#define   KVM_DEV_S390_ZPCI_INTERP_STATE 1	/* get: kvm_s390_zpci_interp */
#define   KVM_DEV_S390_ZPCI_INTERP_ON	2	/* set: no payload */
#define   KVM_DEV_S390_ZPCI_INTERP_OFF	3	/* set: no payload */

/* Group: adapter interruption forwarding (AIF) */
#define KVM_DEV_S390_ZPCI_AIF		4
#define   KVM_DEV_S390_ZPCI_AIF_REG	1	/* set: kvm_s390_zpci_aif */
#define   KVM_DEV_S390_ZPCI_AIF_DEREG	2	/* set: no payload */
#define   KVM_DEV_S390_ZPCI_AIF_STATS	3	/* get: kvm_s390_zpci_aif_stats */

/**
 * struct kvm_s390_zpci_bind - bind a KVM device to a zPCI function
 * @flags: no flag is defined, must be zero
 * @vfio_fd: file descriptor of a VFIO device that was opened with this VM: from
 *	its group, or as cdev that is bound to an iommufd
 * @reserved: must be zero
 */
struct kvm_s390_zpci_bind {
	__u32 flags;
	__s32 vfio_fd;
	__u64 reserved[3];
};

/**
 * struct kvm_s390_zpci_ioat - answer RPCITs with a handle in the kernel
 * @flags: no flag is defined, must be zero
 * @fh: function handle in the guest's RPCITs
 * @reserved: must be zero
 *
 * Each RPCIT with this handle refreshes the nested HWPT (IOMMU_HWPT_DATA_S390_ZPCI)
 * that the function is attached to at the time, within the aperture of the HWPT.
 * RPCITs go to user space while no nested HWPT is attached.
 */
struct kvm_s390_zpci_ioat {
	__u32 flags;
	__u32 fh;
	__u64 reserved[3];
};

/**
 * struct kvm_s390_zpci_ioat_stats - counters of RPCITs
 * @flags: zero
 * @reserved0: zero
 * @rpcits: RPCITs that the kernel completed with any condition code
 * @rpcits_user: RPCITs with the handle that were passed to user space
 * @rpcits_nores: RPCITs that ended with status 16, insufficient resources; also
 *	counted by @rpcits
 * @reserved: zero
 *
 * The counters start at zero when the device is bound. Switching off and on does
 * not reset them.
 */
struct kvm_s390_zpci_ioat_stats {
	__u32 flags;
	__u32 reserved0;
	__u64 rpcits;
	__u64 rpcits_user;
	__u64 rpcits_nores;
	__u64 reserved[4];
};

/* Flag of struct kvm_s390_zpci_interp */
#define KVM_S390_ZPCI_INTERP_IS_ON	0x1

/**
 * struct kvm_s390_zpci_interp - state of interpretation
 * @flags: %KVM_S390_ZPCI_INTERP_IS_ON if interpretation is on
 * @fh: the host's handle of the function; loads and stores of the guest are
 *	interpreted only with this handle
 * @reserved: zero
 */
struct kvm_s390_zpci_interp {
	__u32 flags;
	__u32 fh;
	__u64 reserved[3];
};

/* Flags of struct kvm_s390_zpci_aif */
#define KVM_S390_ZPCI_AIF_HOST		0x1
#define KVM_S390_ZPCI_AIF_SUMMARY	0x2

/**
 * struct kvm_s390_zpci_aif - forward the interruptions of a function
 * @flags: %KVM_S390_ZPCI_AIF_HOST: interrupt the host, which forwards each
 *	interruption; %KVM_S390_ZPCI_AIF_SUMMARY: there is a summary bit; no
 *	other flag is defined
 * @noi: number of interruptions, at least 1
 * @ibv: guest address of the interruption bit vector, doubleword aligned. All
 *	doublewords of the vector must be in one page.
 * @sb: guest address of the doubleword with the summary bit, doubleword aligned;
 *	zero without a summary bit
 * @isc: guest interruption subclass, 0 to 7
 * @ibvo: number of the first interruption bit in the vector, 0 to 63
 * @sbo: number of the summary bit in its doubleword, 0 to 63; zero without a
 *	summary bit
 * @reserved0: must be zero
 * @reserved: must be zero
 *
 * The fields are those of the function information block (FIB) of MPCIFC,
 * function 2 (register adapter interruptions).
 */
struct kvm_s390_zpci_aif {
	__u32 flags;
	__u32 noi;
	__u64 ibv;
	__u64 sb;
	__u8 isc;
	__u8 ibvo;
	__u8 sbo;
	__u8 reserved0[5];
	__u64 reserved[4];
};

/* Flags of struct kvm_s390_zpci_aif_stats */
#define KVM_S390_ZPCI_AIF_IS_REG	0x1

/**
 * struct kvm_s390_zpci_aif_stats - counters of interruption forwarding
 * @flags: %KVM_S390_ZPCI_AIF_IS_REG if interruptions are forwarded, no matter
 *	which interface registered them
 * @reserved0: zero
 * @forwarded: interruptions that the host made pending for the guest since the
 *	VFIO device was opened, without those that the machine delivered
 * @reserved: zero
 */
struct kvm_s390_zpci_aif_stats {
	__u32 flags;
	__u32 reserved0;
	__u64 forwarded;
	__u64 reserved[6];
};

#endif /* __ASM_S390_KVM_ZPCI_H */
