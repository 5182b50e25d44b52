/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A vCPU that changes I/O translation tables and executes RPCIT over and over
 *
 * Runs in a thread, while the test does other things. What it does follows from
 * its seed alone.
 */
#ifndef SELFTEST_KVM_ZPCI_STORM_H
#define SELFTEST_KVM_ZPCI_STORM_H

#include <pthread.h>
#include <linux/types.h>

struct zpci_guest;

/**
 * enum zpci_storm_flags - what belongs to a storm
 * @STORM_RPCIT: RPCITs for parts of the range
 * @STORM_WHOLE: RPCITs for all of the range
 * @STORM_PAGES: page table entries become valid and invalid
 * @STORM_SPOIL: segment table entries become malformed or lead elsewhere, page
 *	table entries become random
 * @STORM_FLIP: the first page table entry changes between two values
 * @STORM_EXIT: nothing but an intercept with hardly anything to do
 * @STORM_SPIN: nothing but some instructions
 */
enum zpci_storm_flags {
	STORM_RPCIT = 1,
	STORM_WHOLE = 2,
	STORM_PAGES = 4,
	STORM_SPOIL = 8,
	STORM_FLIP = 16,
	STORM_EXIT = 32,
	STORM_SPIN = 64,
};

/**
 * struct zpci_storm - in the mailbox: what to do and what came of it
 * @flags: what to do
 * @fh: handle for the RPCITs, or 0: that of the test's first function
 * @iova: first I/O address of the range, start of a segment
 * @size: size of the range, whole segments if it can be spoilt
 * @gpa: first frame that entries may lead to
 * @frames: how many there are, or 0: no entry is written that is valid
 * @flip: with STORM_FLIP, the values; the entry keeps the second
 * @seed: not 0
 * @count: how many rounds to go at most
 * @stop: set by the test: do no further round
 * @rounds: how many it were
 * @cc: RPCITs by condition code
 * @nores: RPCITs with condition code 1 and status 16
 */
struct zpci_storm {
	u64 flags;
	u64 fh;
	u64 iova;
	u64 size;
	u64 gpa;
	u64 frames;
	u64 flip[2];
	u64 seed;
	u64 count;
	u64 stop;
	u64 rounds;
	u64 cc[4];
	u64 nores;
};

/**
 * struct zpci_storm_thread - a thread that runs a vCPU
 * @guest: the guest, by way of the vCPU
 * @thread: the thread
 */
struct zpci_storm_thread {
	struct zpci_guest *guest;
	pthread_t thread;
};

void zpci_storm_start(struct zpci_storm_thread *t, struct zpci_guest *g,
		      const struct zpci_storm *storm);
void zpci_storm_wait(struct zpci_storm_thread *t, u64 rounds);
void zpci_storm_join(struct zpci_storm_thread *t);
const struct zpci_storm *zpci_storm_stop(struct zpci_storm_thread *t);

u64 zpci_xorshift(u64 *state);

#endif /* SELFTEST_KVM_ZPCI_STORM_H */
