// SPDX-License-Identifier: GPL-2.0
/*
 * Test of each operation with injected faults
 *
 * An operation is repeated: first its first allocation, user copy or host
 * refresh fails, then its second and so on, until it completes before the
 * fault. The kinds of faults are counted, so that none is missed. The operation
 * must return a documented error, leave nothing pinned or charged, and succeed
 * when it is repeated.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/vfio.h>
#include <linux/vfio_zdev.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"
#include "zpci_fault.h"
#include "zpci_harness.h"
#include "zpci_mailbox.h"
#include "zpci_vm.h"

#define CC_ERR		1
#define ST_NO_RESOURCES	16

/* Results of an RPCIT besides 0 and the errno of KVM_RUN */
#define NO_RESOURCES	1000	/* condition code 1, status 16 */
#define TO_USER		1001	/* exit to user space */
#define OTHER_ANSWER	1002	/* anything else, which is wrong */

/*
 * Frames that the guest maps in one RPCIT, in three segments. To pin one of them on
 * demand takes some of the calls that can fail.
 */
#define MANY		48
#define PER_SEGMENT	16

/* No operation has more calls that can fail. */
#define MAX_NTH		500

/*
 * The number of allocations varies, because free pages and objects are cached.
 * Stop after so many rounds without a fault.
 */
#define PAST_END	3

/* Repeat a sweep so often until each kind of fault has occurred. */
#define MAX_TRIES	25

/* Seconds for a sweep on a debug kernel */
#define LIMIT		600

/**
 * struct sweep - what the operations work on
 * @m: the VM and the function
 * @before: what was pinned before the operation
 * @fd: what the operation made
 * @iova: first I/O address that the guest maps
 * @size: size of the range that it refreshes
 * @pending: the guest has not finished its RPCIT, or not begun it
 * @failed: how many of the faults made the operation fail
 */
struct sweep {
	struct zpci_vm m;
	struct zpci_pins before;
	int fd;
	u64 iova;
	u64 size;
	bool pending;
	unsigned int failed;
};

/**
 * struct operation - what is swept
 * @prepare: get ready for it, without faults; may be NULL
 * @run: do it, with a fault, and again without; returns 0 or what went wrong
 * @done: see that it has had its effect, and undo it; NULL or what is wrong
 * @met: kinds of calls in it that can fail, which the faults must have met; 0
 *	if there is no such call in it. Not that of pages which only a slab
 *	takes, if it happens to be full.
 * @allowed: documented failures, up to a 0; none if it can't fail
 */
struct operation {
	void (*prepare)(struct sweep *d);
	int (*run)(struct sweep *d);
	const char *(*done)(struct sweep *d);
	unsigned int met;
	int allowed[6];
};

#define SLAB	BIT(ZPCI_FAULT_SLAB)
#define PAGE	BIT(ZPCI_FAULT_PAGE)
#define COPY	BIT(ZPCI_FAULT_COPY)
#define REFRESH	BIT(ZPCI_FAULT_REFRESH)

static char text[200];

static const char *name_of(int result)
{
	switch (result) {
	case NO_RESOURCES:
		return "condition code 1, status 16";
	case TO_USER:
		return "exit to user space";
	case OTHER_ANSWER:
		return "an RPCIT answer that is neither";
	}
	return strerror(result);
}

static bool is_allowed(const struct operation *op, int result)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(op->allowed) && op->allowed[i]; i++) {
		if (op->allowed[i] == result)
			return true;
	}
	return false;
}

/* Run one round. Set @happened if the fault occurred. */
static const char *round_of(struct sweep *d, const struct operation *op,
			    unsigned int nth, bool *happened)
{
	const char *wrong;
	bool early;
	int result;

	if (op->prepare)
		op->prepare(d);
	zpci_fault_arm(nth);
	result = op->run(d);
	/* It did not occur. Would it? access() copies its argument. */
	early = !op->met && !access("/", F_OK);
	*happened = zpci_fault_disarm();
	if (!op->met)
		*happened = early;
	if (result) {
		d->failed++;
		if (!*happened || !is_allowed(op, result)) {
			snprintf(text, sizeof(text), "%s: %s",
				 *happened ? "undocumented failure" :
					     "failed without a fault",
				 name_of(result));
			return text;
		}
		result = op->run(d);
		if (result) {
			snprintf(text, sizeof(text),
				 "does not work when tried again: %s",
				 name_of(result));
			return text;
		}
	}
	wrong = op->done ? op->done(d) : NULL;
	return wrong ? : zpci_pins_leaked(&d->before);
}

/* Return a kind of fault that has not occurred, or NULL. */
static const char *missing_kind(const struct operation *op)
{
	unsigned int kind;

	for (kind = 0; kind < ZPCI_FAULT_KINDS; kind++) {
		if (op->met & BIT(kind) && !zpci_fault_counted(kind))
			return zpci_fault_name[kind];
	}
	return NULL;
}

static const char *sweep_once(struct sweep *d, const struct operation *op)
{
	static char where[240];
	unsigned int nth, missed = 0;
	bool happened = false;
	const char *wrong;

	/* An operation that can't fail sometimes meets a call of others. */
	for (nth = 0; !op->met && nth < MAX_TRIES; nth++) {
		wrong = round_of(d, op, 1, &happened);
		if (wrong || !happened)
			return wrong;
	}
	if (!op->met)
		return "a fault comes each time, or is not armed";

	for (nth = 1; missed < PAST_END; nth++) {
		if (nth > MAX_NTH)
			return "there is no end to the faults";
		wrong = round_of(d, op, nth, &happened);
		if (wrong) {
			snprintf(where, sizeof(where), "fault %u: %s", nth,
				 wrong);
			return where;
		}
		missed = happened ? 0 : missed + 1;
	}
	return NULL;
}

/* The number of calls varies. A sweep may miss one, but not each time. */
static const char *sweep(struct sweep *d, const struct operation *op)
{
	unsigned int tries, kind;
	const char *wrong;

	d->before = zpci_pins_now();
	zpci_fault_count();
	for (tries = 0; tries < MAX_TRIES; tries++) {
		wrong = sweep_once(d, op);
		if (wrong)
			return wrong;
		if (!missing_kind(op))
			break;
	}
	for (kind = 0; kind < ZPCI_FAULT_KINDS; kind++) {
		if (zpci_fault_counted(kind))
			printf("# %u faults by %s\n", zpci_fault_counted(kind),
			       zpci_fault_name[kind]);
	}
	printf("# it failed %u times\n", d->failed);
	wrong = missing_kind(op);
	if (!wrong)
		return NULL;
	snprintf(text, sizeof(text), "no fault by %s has come", wrong);
	return text;
}

#define ASSERT_SWEEP(...) \
	ASSERT_WORKS(sweep(&self->s, &(const struct operation){ __VA_ARGS__ }))

/* Calls of the KVM device, to which the memory of the guest does not matter */
FIXTURE(zpci_failnth) {
	struct sweep s;
};

FIXTURE_SETUP(zpci_failnth)
{
	zpci_vm_create(&self->s.m, ZPCI_NESTED);
	self->s.fd = -1;
}

FIXTURE_TEARDOWN(zpci_failnth)
{
	zpci_vm_destroy(&self->s.m);
}

static int run_create_device(struct sweep *d)
{
	struct kvm_create_device cd = { .type = KVM_DEV_TYPE_S390_ZPCI };
	int ret = ioctl(d->m.guest.vm->fd, KVM_CREATE_DEVICE, &cd);

	d->fd = cd.fd;
	return ret ? errno : 0;
}

static const char *done_create_device(struct sweep *d)
{
	return close(d->fd) ? "the device has no file" : NULL;
}

TEST_F_TIMEOUT(zpci_failnth, create_device, LIMIT)
{
	ASSERT_SWEEP(.run = run_create_device, .done = done_create_device,
		     .met = SLAB | COPY, .allowed = { ENOMEM, EFAULT });
}

/* The binding ends when the device is closed. */
static void prepare_bind(struct sweep *d)
{
	zpci_vm_close_zpci(&d->m);
	d->m.zpci = kvm_create_device(d->m.guest.vm, KVM_DEV_TYPE_S390_ZPCI);
}

static int run_bind(struct sweep *d)
{
	return zpci_vm_bind(&d->m);
}

static const char *done_bind(struct sweep *d)
{
	return zpci_vm_bind(&d->m) == EBUSY ? NULL : "it is not bound";
}

TEST_F_TIMEOUT(zpci_failnth, bind, LIMIT)
{
	ASSERT_SWEEP(.prepare = prepare_bind, .run = run_bind,
		     .done = done_bind, .met = SLAB | COPY,
		     .allowed = { ENOMEM, EFAULT });
}

/* The switch needs no memory. Faults occur only when arguments are fetched. */
static int run_ioat_on(struct sweep *d)
{
	return zpci_vm_ioat_on(&d->m);
}

static const char *done_ioat_on(struct sweep *d)
{
	return zpci_vm_ioat_off(&d->m) ? "it is not on" : NULL;
}

TEST_F_TIMEOUT(zpci_failnth, ioat_on, LIMIT)
{
	ASSERT_EQ(0, zpci_vm_bind(&self->s.m));
	ASSERT_SWEEP(.run = run_ioat_on, .done = done_ioat_on, .met = COPY,
		     .allowed = { EFAULT });
}

static void prepare_ioat_off(struct sweep *d)
{
	TEST_ASSERT(!zpci_vm_ioat_on(&d->m), "IOAT_ON without a fault fails");
}

static int run_ioat_off(struct sweep *d)
{
	return zpci_vm_ioat_off(&d->m);
}

static const char *done_ioat_off(struct sweep *d)
{
	return zpci_vm_ioat_off(&d->m) == ENOENT ? NULL : "it is still on";
}

TEST_F_TIMEOUT(zpci_failnth, ioat_off, LIMIT)
{
	ASSERT_EQ(0, zpci_vm_bind(&self->s.m));
	ASSERT_SWEEP(.prepare = prepare_ioat_off, .run = run_ioat_off,
		     .done = done_ioat_off, .met = COPY,
		     .allowed = { EFAULT });
}

static int run_stats(struct sweep *d)
{
	struct kvm_s390_zpci_ioat_stats stats;

	return zpci_vm_get_stats(&d->m, &stats);
}

TEST_F_TIMEOUT(zpci_failnth, stats, LIMIT)
{
	ASSERT_EQ(0, zpci_vm_bind(&self->s.m));
	ASSERT_SWEEP(.run = run_stats, .met = COPY, .allowed = { EFAULT });
}

/* Read the capabilities of the function, among them the table types. */
static int run_info(struct sweep *d)
{
	u64 space[64];
	struct vfio_device_info *info = (void *)space;

	memset(space, 0, sizeof(space));
	info->argsz = sizeof(space);
	if (ioctl(d->m.device->fd, VFIO_DEVICE_GET_INFO, info))
		return errno;
	return info->flags & VFIO_DEVICE_FLAGS_CAPS ? 0 : ENODATA;
}

TEST_F_TIMEOUT(zpci_failnth, info, LIMIT)
{
	ASSERT_SWEEP(.run = run_info, .met = SLAB | COPY,
		     .allowed = { ENOMEM, EFAULT });
}

/* Closing always succeeds. An error has no receiver. */
static void prepare_close_device(struct sweep *d)
{
	prepare_bind(d);
	TEST_ASSERT(!zpci_vm_bind(&d->m) && !zpci_vm_ioat_on(&d->m),
		    "IOAT_ON without a fault fails");
}

static int run_close_device(struct sweep *d)
{
	zpci_vm_close_zpci(&d->m);
	return 0;
}

TEST_F_TIMEOUT(zpci_failnth, close_device, LIMIT)
{
	ASSERT_SWEEP(.prepare = prepare_close_device, .run = run_close_device);
}

/* Interpretation and forwarding, on a machine that supports them */
static int run_aif_register(struct sweep *d)
{
	return zpci_vm_aif_register(&d->m, 0);
}

static const char *done_aif_register(struct sweep *d)
{
	return zpci_vm_aif_deregister(&d->m) ? "it is not registered" : NULL;
}

TEST_F_TIMEOUT(zpci_failnth, aif_register, LIMIT)
{
	if (!zpci_vm_has(&self->s.m, VFIO_DEVICE_INFO_ZPCI_AIF_HOST))
		SKIP(return, "no interruption forwarding");
	ASSERT_EQ(0, zpci_vm_bind(&self->s.m));
	ASSERT_SWEEP(.run = run_aif_register, .done = done_aif_register,
		     .met = SLAB | COPY, .allowed = { ENOMEM, EFAULT });
}

static void prepare_aif_deregister(struct sweep *d)
{
	TEST_ASSERT(!zpci_vm_aif_register(&d->m, 0), "AIF_REG fails");
}

static int run_aif_deregister(struct sweep *d)
{
	return zpci_vm_aif_deregister(&d->m);
}

TEST_F_TIMEOUT(zpci_failnth, aif_deregister, LIMIT)
{
	if (!zpci_vm_has(&self->s.m, VFIO_DEVICE_INFO_ZPCI_AIF_HOST))
		SKIP(return, "no interruption forwarding");
	ASSERT_EQ(0, zpci_vm_bind(&self->s.m));
	ASSERT_SWEEP(.prepare = prepare_aif_deregister,
		     .run = run_aif_deregister, .met = COPY,
		     .allowed = { EFAULT });
}

/*
 * A failure leaves it off and may leave the function disabled. It can be
 * switched on.
 */
static void prepare_interp(struct sweep *d)
{
	TEST_ASSERT(!zpci_vm_interp(&d->m, false), "INTERP_OFF fails");
}

static int run_interp(struct sweep *d)
{
	return zpci_vm_interp(&d->m, true);
}

static const char *done_interp(struct sweep *d)
{
	struct kvm_s390_zpci_interp state;

	if (zpci_vm_interp_state(&d->m, &state) ||
	    !(state.flags & KVM_S390_ZPCI_INTERP_IS_ON))
		return "it is not on";
	return NULL;
}

TEST_F_TIMEOUT(zpci_failnth, interpretation, LIMIT)
{
	if (!zpci_vm_has(&self->s.m, VFIO_DEVICE_INFO_ZPCI_INTERP))
		SKIP(return, "no interpretation");
	ASSERT_EQ(0, zpci_vm_start(&self->s.m));
	ASSERT_SWEEP(.prepare = prepare_interp, .run = run_interp,
		     .done = done_interp, .met = PAGE | COPY,
		     .allowed = { ENOMEM, EFAULT, EIO });
}

static void prepare_interp_off(struct sweep *d)
{
	TEST_ASSERT(!zpci_vm_interp(&d->m, true), "INTERP_ON fails");
}

static int run_interp_off(struct sweep *d)
{
	return zpci_vm_interp(&d->m, false);
}

static const char *done_interp_off(struct sweep *d)
{
	struct kvm_s390_zpci_interp state;

	if (zpci_vm_interp_state(&d->m, &state) ||
	    state.flags & KVM_S390_ZPCI_INTERP_IS_ON)
		return "it is still on";
	return NULL;
}

TEST_F_TIMEOUT(zpci_failnth, interpretation_off, LIMIT)
{
	if (!zpci_vm_has(&self->s.m, VFIO_DEVICE_INFO_ZPCI_INTERP))
		SKIP(return, "no interpretation");
	ASSERT_EQ(0, zpci_vm_start(&self->s.m));
	ASSERT_SWEEP(.prepare = prepare_interp_off, .run = run_interp_off,
		     .done = done_interp_off, .met = PAGE | COPY,
		     .allowed = { ENOMEM, EFAULT, EIO });
}

/* The complete set-up. Steps that are complete are not repeated. */
static int run_set_up(struct sweep *d)
{
	int err = zpci_vm_ioat_on(&d->m);

	if (!err || err == EEXIST)
		err = zpci_vm_interp(&d->m, true);
	if (!err)
		err = zpci_vm_aif_register(&d->m, 0);
	return err == EEXIST ? 0 : err;
}

static const char *done_set_up(struct sweep *d)
{
	struct kvm_s390_zpci_aif_stats stats;

	if (zpci_vm_aif_stats(&d->m, &stats) ||
	    !(stats.flags & KVM_S390_ZPCI_AIF_IS_REG))
		return "interruptions are not registered";
	if (zpci_vm_aif_deregister(&d->m) || zpci_vm_ioat_off(&d->m))
		return "it can't be undone";
	return NULL;
}

TEST_F_TIMEOUT(zpci_failnth, all_features, LIMIT)
{
	if (!zpci_vm_has(&self->s.m, VFIO_DEVICE_INFO_ZPCI_AIF_HOST))
		SKIP(return, "no interruption forwarding");
	ASSERT_EQ(0, zpci_vm_bind(&self->s.m));
	ASSERT_SWEEP(.prepare = prepare_interp, .run = run_set_up,
		     .done = done_set_up, .met = SLAB | PAGE | COPY,
		     .allowed = { ENOMEM, EFAULT, EIO });
}

/*
 * RPCIT, and the life of the table. Besides the host's own tables, a parent that
 * pins on demand takes memory for what it pins, and faults it in.
 */
FIXTURE(zpci_failnth_rpcit) {
	struct sweep s;
};

FIXTURE_VARIANT(zpci_failnth_rpcit) {
	const char *mode;
};

FIXTURE_VARIANT_ADD(zpci_failnth_rpcit, nested) {
	.mode = ZPCI_NESTED,
};

FIXTURE_VARIANT_ADD(zpci_failnth_rpcit, on_demand) {
	.mode = ZPCI_ON_DEMAND,
};

/* Make the host refresh one of the calls that can fail. */
FIXTURE_SETUP(zpci_failnth_rpcit)
{
	struct sweep *d = &self->s;

	zpci_fault_refresh(1, 0, ENOMEM);
	zpci_vm_setup(&d->m, variant->mode);
	d->iova = (d->m.pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
	d->size = MANY / PER_SEGMENT * IOAT_FRAME_1M;
}

FIXTURE_TEARDOWN(zpci_failnth_rpcit)
{
	zpci_vm_destroy(&self->s.m);
}

/*
 * The mailbox is written before the fault is armed. The thread only calls KVM_RUN
 * then.
 */
static void rpcit_prepare(struct sweep *d)
{
	struct zpci_mailbox *mb = d->m.guest.mailbox;

	mb->op = OP_RPCIT;
	mb->flags = 0;
	mb->fh = ZPCI_GUEST_FH;
	mb->iova = d->iova;
	mb->size = d->size;
	d->pending = true;
}

/* Answer as user space: the function is in error state. */
static void answer_exit(struct kvm_run *run)
{
	run->psw_mask &= ~PSW_MASK_CC;
	run->psw_mask |= (u64)CC_ERR << PSW_CC_SHIFT;
}

static int run_rpcit(struct sweep *d)
{
	struct zpci_guest *g = &d->m.guest;
	bool exit = false;
	struct ucall uc;

	if (!d->pending)
		rpcit_prepare(d);
	for (;;) {
		/* It continues when it is run again. */
		if (_vcpu_run(g->vcpu))
			return errno;
		if (get_ucall(g->vcpu, &uc) == UCALL_SYNC)
			break;
		if (g->vcpu->run->exit_reason != KVM_EXIT_S390_SIEIC || exit)
			return OTHER_ANSWER;
		exit = true;
		answer_exit(g->vcpu->run);
	}
	d->pending = false;
	if (exit)
		return TO_USER;
	if (g->mailbox->rpcit.pgm)
		return OTHER_ANSWER;
	if (!g->mailbox->rpcit.cc)
		return 0;
	return g->mailbox->rpcit.cc == CC_ERR &&
	       g->mailbox->rpcit.status == ST_NO_RESOURCES ?
	       NO_RESOURCES : OTHER_ANSWER;
}

#define RPCIT_ALLOWED { NO_RESOURCES, TO_USER, ENOMEM, EFAULT }

/* Include the page fault of each frame in the operation. */
static void forget_memory(struct sweep *d, u64 frames)
{
	void *hva = zpci_guest_hva(&d->m.guest, ZPCI_GUEST_PAGE(0));

	TEST_ASSERT(!zpci_mode_is_on_demand(d->m.mode) ||
		    !madvise(hva, frames * PAGE_SIZE, MADV_DONTNEED),
		    "MADV_DONTNEED: %s", strerror(errno));
}

/* Begin with a table that has nothing mapped. */
static void attach_anew(struct sweep *d)
{
	TEST_ASSERT(!zpci_vm_attach(&d->m), "the table can't be attached again");
}

static void write_many(struct sweep *d)
{
	u64 i;

	for (i = 0; i < MANY; i += PER_SEGMENT)
		zpci_guest_map(&d->m.guest, d->iova +
			       i / PER_SEGMENT * IOAT_FRAME_1M,
			       ZPCI_GUEST_PAGE(i), PER_SEGMENT * PAGE_SIZE, 0);
}

static void clear_many(struct sweep *d)
{
	u64 i;

	for (i = 0; i < MANY; i += PER_SEGMENT)
		zpci_guest_unmap(&d->m.guest, d->iova +
				 i / PER_SEGMENT * IOAT_FRAME_1M,
				 PER_SEGMENT * PAGE_SIZE);
}

static const char *is_mapped(u64 want)
{
	u64 pinned = zpci_shadow_stats().pinned;

	if (pinned == want)
		return NULL;
	snprintf(text, sizeof(text), "%lu pages are mapped, not %lu", pinned,
		 want);
	return text;
}

static const char *unmap_many(struct sweep *d)
{
	clear_many(d);
	if (run_rpcit(d))
		return "RPCIT that unmaps them fails";
	return is_mapped(0);
}

static void prepare_map(struct sweep *d)
{
	attach_anew(d);
	forget_memory(d, 1);
	zpci_guest_map(&d->m.guest, d->iova, ZPCI_GUEST_PAGE(0), PAGE_SIZE, 0);
	rpcit_prepare(d);
}

static const char *done_map(struct sweep *d)
{
	const char *wrong = is_mapped(d->size == PAGE_SIZE ? 1 : MANY);

	return wrong ? : unmap_many(d);
}

TEST_F_TIMEOUT(zpci_failnth_rpcit, map, LIMIT)
{
	self->s.size = PAGE_SIZE;
	ASSERT_SWEEP(.prepare = prepare_map, .run = run_rpcit,
		     .done = done_map, .met = SLAB | REFRESH |
		     (zpci_mode_is_on_demand(variant->mode) ? PAGE : 0),
		     .allowed = RPCIT_ALLOWED);
}

static void prepare_map_many(struct sweep *d)
{
	attach_anew(d);
	/* Few frames that must be faulted in: each adds faults to sweep. */
	forget_memory(d, 4);
	write_many(d);
	rpcit_prepare(d);
}

TEST_F_TIMEOUT(zpci_failnth_rpcit, map_many, LIMIT)
{
	ASSERT_SWEEP(.prepare = prepare_map_many, .run = run_rpcit,
		     .done = done_map, .met = SLAB | REFRESH |
		     (zpci_mode_is_on_demand(variant->mode) ? PAGE : 0),
		     .allowed = RPCIT_ALLOWED);
}

static void prepare_unmap(struct sweep *d)
{
	write_many(d);
	TEST_ASSERT(!run_rpcit(d), "RPCIT without a fault fails");
	clear_many(d);
	rpcit_prepare(d);
}

static const char *done_unmap(struct sweep *d)
{
	return is_mapped(0);
}

/* It uses what the previous RPCIT left. */
TEST_F_TIMEOUT(zpci_failnth_rpcit, unmap, LIMIT)
{
	ASSERT_SWEEP(.prepare = prepare_unmap, .run = run_rpcit,
		     .done = done_unmap, .met = REFRESH,
		     .allowed = RPCIT_ALLOWED);
}

/* Replace a table that has something mapped. */
static void prepare_attach(struct sweep *d)
{
	write_many(d);
	TEST_ASSERT(!run_rpcit(d), "RPCIT without a fault fails");
}

static int run_attach(struct sweep *d)
{
	return zpci_vm_attach(&d->m);
}

static const char *done_attach(struct sweep *d)
{
	const char *wrong = is_mapped(0);

	if (!wrong && run_rpcit(d))
		return "RPCIT does not work any more";
	if (!wrong)
		wrong = is_mapped(MANY);
	return wrong ? : unmap_many(d);
}

TEST_F_TIMEOUT(zpci_failnth_rpcit, attach, LIMIT)
{
	ASSERT_SWEEP(.prepare = prepare_attach, .run = run_attach,
		     .done = done_attach, .met = SLAB | COPY,
		     .allowed = { ENOMEM, EFAULT });
}

/* Close the function. KVM may hold its last file. */
static void prepare_close_function(struct sweep *d)
{
	if (!d->m.device) {
		zpci_vm_open_function(&d->m, d->m.mode);
		TEST_ASSERT(!zpci_vm_start(&d->m), "it can't be used again");
	}
	prepare_attach(d);
	close(d->m.kvm_vfio);
	d->m.kvm_vfio = -1;
	/* This must not meet a fault. */
	vfio_pci_bar_unmap_all(d->m.device);
}

static int run_close_function(struct sweep *d)
{
	vfio_pci_device_close(d->m.device);
	return 0;
}

static const char *done_close_function(struct sweep *d)
{
	zpci_vm_close_function(&d->m);
	return zpci_shadow_stats().attached ? "the table is still attached" :
					      NULL;
}

TEST_F_TIMEOUT(zpci_failnth_rpcit, close_function, LIMIT)
{
	/* What is pinned then is without the parent's memory. */
	zpci_vm_close_function(&self->s.m);
	ASSERT_SWEEP(.prepare = prepare_close_function,
		     .run = run_close_function, .done = done_close_function,
		     .met = PAGE | REFRESH);
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_fault_require();
	return zpci_harness_run(argc, argv);
}
