/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A vCPU that uses a function by itself, and is interrupted by it
 *
 * Executes PCI loads and stores, and listens: takes adapter interruptions in the
 * way that the test wants, while the test does other things. Nobody else of the
 * guest is enabled for I/O interruptions.
 */
#ifndef SELFTEST_KVM_ZPCI_LISTENER_H
#define SELFTEST_KVM_ZPCI_LISTENER_H

#include <pthread.h>
#include <stdbool.h>
#include <linux/types.h>

#include "zpci_vm.h"

/* Address space of the configuration space; those of BARs have the BAR's number */
#define ZPCI_CONFIG	15

/* Fixed storage locations: I/O new PSW, and one that nothing uses */
#define LC_IO_NEW_PSW	0x1f0
#define LC_LISTENER	0x218

#define PSW_MASK_IO	0x0200000000000000UL

#define IO_INT_WORD_AI	0x80000000U

/* Bit of an interruption subclass in CR6 */
#define CR6_ISC(isc)	(0x80000000UL >> (isc))
#define CR6_ALL		0xff000000UL

/* Modes of SET INTERRUPTION CONTROLS */
#define SIC_ALL		0
#define SIC_SINGLE	1

/* What a listener does besides */
#define LISTEN_WAIT	1	/* be in an enabled wait instead of a loop */
#define LISTEN_LOAD	2	/* load and store all the time */
#define LISTEN_PUMP	4	/* let the controller execute commands */
#define LISTEN_STRICT	8	/* no further command without an interruption */

/**
 * struct zpci_irq - an interruption, as the handler finds it
 * @id: subsystem identification word
 * @parm: interruption parameter
 * @word: interruption identification word
 * @reserved: padding
 * @ibv: the interruption bit vector at that time
 * @sb: the doubleword with the summary bit at that time
 */
struct zpci_irq {
	u32 id;
	u32 parm;
	u32 word;
	u32 reserved;
	u64 ibv;
	u64 sb;
};

/**
 * struct zpci_listener_mailbox - page through which the test and the vCPU talk
 * @count: how many interruptions there were
 * @irq: the last one
 * @ibv: where the vector is
 * @sb: where the summary bit is
 * @op: what to do
 * @req: operand of a load or store: handle, address space and length
 * @offset: operand of a load or store
 * @data: what to store or what was loaded, or a mode
 * @block: what to store as a block
 * @cc: condition code
 * @flags: LISTEN_*
 * @enabled: whether to be enabled for I/O interruptions
 * @cr6: enabled subclasses
 * @stop: set by the test: listen no more
 * @rounds: how often it has looked at the four
 * @sq: request and offset of the doorbell of the submission queue
 * @cq: the same of the completion queue
 * @cqes: completion queue
 * @done: how many commands have been completed
 * @wrong: loads or stores that did not do what they should
 * @beats: grows as long as it executes anything while it listens
 *
 * The interruption handler knows the offsets of the first members.
 */
struct zpci_listener_mailbox {
	u64 count;
	struct zpci_irq irq;
	u64 ibv;
	u64 sb;
	int op;
	u64 req;
	u64 offset;
	u64 data;
	u64 block[2];
	u32 cc;
	u32 flags;
	u64 enabled;
	u64 cr6;
	u64 stop;
	u64 rounds;
	u64 sq[2];
	u64 cq[2];
	u64 cqes;
	u64 done;
	u64 wrong;
	u64 beats;
};

enum zpci_listener_op {
	LISTENER_LOAD,
	LISTENER_STORE,
	LISTENER_STORE_BLOCK,
	LISTENER_SIC,
	LISTENER_LISTEN,
};

/**
 * struct zpci_listener - the vCPU as the test sees it
 * @m: its VM, and the function
 * @vcpu: the vCPU
 * @mailbox: page shared with it
 * @stats: file descriptor of the counters of the vCPU; it keeps the VM, too
 * @exits: PCI instructions that came to user space
 * @thread: who runs it while it listens
 * @running: whether there is such a thread
 * @quit: that is to be left, wherever the vCPU is
 * @left: so it was, or for what is in @stopped and @err
 * @stopped: because of a stop interception
 * @finished: because the vCPU has done what it should
 * @err: because of this errno of KVM_RUN
 */
struct zpci_listener {
	struct zpci_vm *m;
	struct kvm_vcpu *vcpu;
	struct zpci_listener_mailbox *mailbox;
	int stats;
	u64 exits;
	pthread_t thread;
	bool running;
	bool quit;
	bool left;
	bool stopped;
	bool finished;
	int err;
};

/**
 * struct zpci_msix - MSI-X capability of a function
 * @cap: where it is in the configuration space, 0 if there is none
 * @bar: BAR that the table is in
 * @table: where it is there
 */
struct zpci_msix {
	u32 cap;
	u8 bar;
	u32 table;
};

void zpci_listener_create(struct zpci_listener *l, struct zpci_vm *m);
void zpci_listener_destroy(struct zpci_listener *l);

u32 zpci_listener_load(struct zpci_listener *l, u8 space, u64 offset, u8 len,
		       u64 *data);
u32 zpci_listener_store(struct zpci_listener *l, u8 space, u64 offset, u8 len,
			u64 data);
u32 zpci_listener_store_block(struct zpci_listener *l, u8 space, u64 offset,
			      const u64 block[2]);
void zpci_listener_sic(struct zpci_listener *l, u8 isc, u16 mode);

struct zpci_msix zpci_listener_msix(struct zpci_listener *l);
const char *zpci_listener_enable_msi(struct zpci_listener *l, u32 data);
const char *zpci_listener_prepare_pump(struct zpci_listener *l);
void zpci_listener_start(struct zpci_listener *l, u32 flags);
const char *zpci_listener_stop(struct zpci_listener *l);
void zpci_listener_resume(struct zpci_listener *l);
void zpci_listener_pause(struct zpci_listener *l);
const char *zpci_listener_await_stop(struct zpci_listener *l);
const char *zpci_listener_await_rounds(struct zpci_listener *l, u64 rounds);
const char *zpci_listener_await_interruption(struct zpci_listener *l);
const char *zpci_listener_await_beats(struct zpci_listener *l);

u64 zpci_listener_stat(struct zpci_listener *l, const char *name);
u64 zpci_listener_exits(struct zpci_listener *l);

void zpci_listener_main(struct zpci_listener_mailbox *mb);

#endif /* SELFTEST_KVM_ZPCI_LISTENER_H */
