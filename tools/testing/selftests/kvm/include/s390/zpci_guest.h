/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that owns the I/O translation tables of a zPCI function
 *
 * The guest itself writes its tables and executes RPCIT. The test tells it what
 * to do through a page of memory and gets the outcome the same way.
 */
#ifndef SELFTEST_KVM_ZPCI_GUEST_H
#define SELFTEST_KVM_ZPCI_GUEST_H

#include <stdbool.h>
#include <linux/types.h>

#include "ioat.h"
#include "kvm_util.h"

/* Where the guest has its tables and its DMA memory, at the same address */
#define ZPCI_GUEST_TABLES	0x10000000UL
#define ZPCI_GUEST_TABLES_SIZE	0x200000UL
#define ZPCI_GUEST_MEM		0x20000000UL
#define ZPCI_GUEST_MEM_SIZE	0x400000UL
/* An address at which the guest has no memory */
#define ZPCI_GUEST_NOWHERE	0x70000000UL

#define ZPCI_GUEST_PAGE(n)	(ZPCI_GUEST_MEM + (n) * 0x1000UL)

/* Handle by which the guest knows the function: enabled, index 0x42 */
#define ZPCI_GUEST_FH		0x80000042U

/* Program interruption codes */
#define PGM_PRIVILEGED		0x02
#define PGM_SPECIFICATION	0x06

/* Tables above the page table count as in the designation of the anchor. */
enum zpci_guest_level {
	IOAT_PAGE = -1,
	IOAT_SEGMENT = IOTA_DT_STO,
	IOAT_REGION = IOTA_DT_RTTO,
	IOAT_REGION_SECOND = IOTA_DT_RSTO,
	IOAT_REGION_FIRST = IOTA_DT_RFTO,
};

#define RPCIT_ODD_R2		1	/* name an odd register by R2 */
#define RPCIT_PROBLEM_STATE	2

/**
 * struct zpci_rpcit - what became of an RPCIT
 * @cc: condition code
 * @status: status that the instruction left in bits 32-39 of R1
 * @pgm: program interruption code, 0 if there was none
 * @exits: how often it left the kernel
 * @exit_fh: handle, as user space decoded it at the last exit
 * @exit_start: I/O address, the same
 * @exit_len: length, the same
 */
struct zpci_rpcit {
	unsigned int cc;
	unsigned int status;
	unsigned int pgm;
	unsigned int exits;
	u32 exit_fh;
	u64 exit_start;
	u64 exit_len;
};

/**
 * struct zpci_guest - the guest as the test sees it, by way of one vCPU
 * @vm: virtual machine
 * @vcpu: a vCPU that only one thread may use at a time
 * @mailbox: page shared with the guest
 * @rpcits: RPCITs that the guest executed without a program interruption
 * @exits: RPCITs that came to user space
 * @user_cc: condition code that user space answers with
 * @user_status: status that user space answers with
 * @last: the exit of the RPCIT under way
 * @designation: type of the guest's first table, IOTA_DT_*
 * @may_vanish: the files of the vCPU may be closed while it runs
 * @vanished: so they were: what KVM_RUN said last, an errno
 */
struct zpci_guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct zpci_mailbox *mailbox;
	u64 rpcits;
	u64 exits;
	unsigned int user_cc;
	unsigned int user_status;
	struct zpci_rpcit last;
	unsigned int designation;
	bool may_vanish;
	int vanished;
};

void zpci_guest_create(struct zpci_guest *g);
void zpci_guest_add_vcpu(struct zpci_guest *g, struct zpci_guest *peer);
void zpci_guest_free(struct zpci_guest *g);
void *zpci_guest_hva(struct zpci_guest *g, u64 gpa);

u64 zpci_guest_iota(struct zpci_guest *g);
void zpci_guest_clear_tables(struct zpci_guest *g);
void zpci_guest_design_tables(struct zpci_guest *g, unsigned int designation);
void zpci_guest_map(struct zpci_guest *g, u64 iova, u64 gpa, u64 size,
		    u64 flags);
void zpci_guest_map_1m(struct zpci_guest *g, u64 iova, u64 gpa,
		       u64 flags);
void zpci_guest_unmap(struct zpci_guest *g, u64 iova, u64 size);
u64 zpci_guest_edit(struct zpci_guest *g, enum zpci_guest_level level, u64 iova,
		    u64 clear, u64 set);

struct zpci_rpcit zpci_guest_rpcit_fh(struct zpci_guest *g, u32 fh,
				      u64 start, u64 len, int flags);
struct zpci_rpcit zpci_guest_rpcit(struct zpci_guest *g, u64 start,
				   u64 len);
void zpci_guest_begin_rpcit(struct zpci_guest *g, u64 start, u64 len);
int zpci_guest_step(struct zpci_guest *g, struct zpci_rpcit *rpcit);

void zpci_guest_storm(struct zpci_guest *g);
void zpci_guest_yield(struct zpci_guest *g);

void zpci_guest_fill(struct zpci_guest *g, u64 gpa, u64 size, u64 seed);
u64 zpci_guest_checksum(struct zpci_guest *g, u64 gpa, u64 size);
u64 zpci_pattern(u64 seed, u64 index);
u64 zpci_checksum(const void *data, u64 size);

#endif /* SELFTEST_KVM_ZPCI_GUEST_H */
