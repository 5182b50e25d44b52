/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Page of memory through which the test and its guest talk
 */
#ifndef SELFTEST_KVM_ZPCI_MAILBOX_H
#define SELFTEST_KVM_ZPCI_MAILBOX_H

#include <linux/types.h>

#include "zpci_guest.h"
#include "zpci_storm.h"

/* Fixed storage locations (Principles of Operation, chapter 3) */
#define LC_PGM_CODE	0x8e
#define LC_PGM_NEW_PSW	0x1d0

#define PSW_MASK_KERNEL	0x0400000180000000UL	/* DAT, 64-bit addressing */
#define PSW_MASK_WAIT	0x0002000180000000UL	/* disabled wait */
#define PSW_MASK_PSTATE	0x0001000000000000UL
#define PSW_MASK_CC	0x0000300000000000UL
#define PSW_CC_SHIFT	44

#define RPCIT_STATUS_SHIFT	24		/* bits 32-39 of R1 */
#define RPCIT_STATUS_NORES	16		/* insufficient resources */

/**
 * enum zpci_guest_op - what the guest can do
 * @OP_CLEAR: forget all tables, start with an empty one of the designated type
 * @OP_MAP: write page table entries
 * @OP_MAP_1M: write a segment table entry for a frame of 1 MiB
 * @OP_UNMAP: make page table entries invalid
 * @OP_EDIT: change bits of one entry
 * @OP_RPCIT: execute RPCIT
 * @OP_FILL: fill memory with a pattern
 * @OP_CHECKSUM: compute a checksum of memory
 * @OP_STORM: change tables and execute RPCIT over and over, see struct zpci_storm
 * @OP_YIELD: execute DIAGNOSE 0x44, an intercept with hardly anything to do
 */
enum zpci_guest_op {
	OP_CLEAR,
	OP_MAP,
	OP_MAP_1M,
	OP_UNMAP,
	OP_EDIT,
	OP_RPCIT,
	OP_FILL,
	OP_CHECKSUM,
	OP_STORM,
	OP_YIELD,
};

/**
 * struct zpci_mailbox - what the test asks for and what the guest answers
 * @op: what to do
 * @level: level of the entry to edit
 * @flags: of the RPCIT
 * @fh: function handle
 * @iova: I/O address
 * @gpa: guest address
 * @size: number of bytes
 * @clear: bits to take out of the entry
 * @set: bits to put into entries, or seed of the pattern
 * @result: former value of the entry, or checksum
 * @tables: where the tables begin that are built by way of this mailbox
 * @tables_end: where their room ends
 * @next_table: first byte of it that is not yet used
 * @designation: type of the first table
 * @rpcit: result of the RPCIT; exits are not known to the guest
 * @ticks: what the RPCIT or DIAGNOSE took, in units of the TOD clock
 * @storm: what to do in OP_STORM
 */
struct zpci_mailbox {
	enum zpci_guest_op op;
	enum zpci_guest_level level;
	int flags;
	u32 fh;
	u64 iova;
	u64 gpa;
	u64 size;
	u64 clear;
	u64 set;
	u64 result;
	u64 tables;
	u64 tables_end;
	u64 next_table;
	unsigned int designation;
	struct zpci_rpcit rpcit;
	u64 ticks;
	struct zpci_storm storm;
};

void zpci_guest_main(struct zpci_mailbox *mb);

#endif /* SELFTEST_KVM_ZPCI_MAILBOX_H */
