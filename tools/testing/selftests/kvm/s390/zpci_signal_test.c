// SPDX-License-Identifier: GPL-2.0
/*
 * Test of an RPCIT that is interrupted by signals
 *
 * A signal becomes pending while the RPCIT waits for a page (userfaultfd). It
 * stays pending, because it is blocked outside KVM_RUN. Each KVM_RUN refreshes
 * a part and returns EINTR. The next one continues. The test changes function,
 * table and memory in between.
 *
 * KVM does not enter the guest while a signal is pending. When the RPCIT is
 * complete the test takes the signal away.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <linux/userfaultfd.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_baseline.h"
#include "zpci_harness.h"
#include "zpci_slot.h"
#include "zpci_vm.h"

/* The range: segments with some pages each */
#define SEGMENTS	6
#define PAGES		4

/* Exits without progress: a host interruption comes first. */
#define MANY		1000

#define CC_ERR		1
#define ST_NO_RESOURCES	16

/* Length of RPCIT, and the registers of its second operand */
#define RPCIT_ILEN	4
#define RPCIT_R2	4

static u8 reference[NVME_IDENTIFY_SIZE];

/* Sender and receiver of the signal */
struct source {
	pthread_t sender;
	pthread_t runner;
	int uffd;
	u64 page;
	struct zpci_vm *m;
	bool done;
};

FIXTURE(zpci_signal) {
	struct zpci_vm m;
	struct zpci_guest peer;
	struct zpci_pins before;
	u64 iova;
	u64 queues;
	struct source source;
};

/* Send the signal when the first RPCIT faults on the missing page. */
static void *send_signal(void *arg)
{
	struct source *source = arg;
	struct uffdio_zeropage zero = {
		.range.start = source->page,
		.range.len = PAGE_SIZE,
	};
	struct uffd_msg msg;

	TEST_ASSERT(read(source->uffd, &msg, sizeof(msg)) == sizeof(msg) &&
		    !pthread_kill(source->runner, SIGUSR1) &&
		    !ioctl(source->uffd, UFFDIO_ZEROPAGE, &zero), "no signal");
	zpci_vm_make_pinnable(source->m);
	WRITE_ONCE(source->done, true);
	return NULL;
}

static void prepare_signal(struct source *source, struct kvm_vcpu *vcpu)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range.start = source->page,
		.range.len = PAGE_SIZE,
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct {
		struct kvm_signal_mask head;
		u8 none[8];
	} mask = { .head.len = 8 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	TEST_ASSERT(!sigprocmask(SIG_BLOCK, &set, NULL), "sigprocmask: %s",
		    strerror(errno));
	TEST_ASSERT(!ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask),
		    "KVM_SET_SIGNAL_MASK: %s", strerror(errno));

	source->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	TEST_ASSERT(source->uffd >= 0 && !ioctl(source->uffd, UFFDIO_API, &api) &&
		    !madvise((void *)source->page, PAGE_SIZE, MADV_DONTNEED) &&
		    !ioctl(source->uffd, UFFDIO_REGISTER, &reg),
		    "userfaultfd: %s", strerror(errno));
	source->runner = pthread_self();
	TEST_ASSERT(!pthread_create(&source->sender, NULL, send_signal, source),
		    "no thread");
}

static void take_signal(void)
{
	struct timespec none = {};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigtimedwait(&set, NULL, &none);
}

/* On demand: with a pinned parent an RPCIT waits for no page. */
FIXTURE_SETUP(zpci_signal)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct zpci_vm *m = &self->m;
	u64 iova;
	int i;

	self->before = zpci_pins_now();
	/* The limit is that of the process that maps memory into the IOAS. */
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &unlimited));
	ASSERT_EQ(0, zpci_pins_drop_ipc_lock());
	zpci_vm_setup_nvme(m, ZPCI_ON_DEMAND, false);
	zpci_guest_add_vcpu(&m->guest, &self->peer);
	self->queues = zpci_shadow_stats().pinned;
	self->iova = (m->pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
	for (i = 0; i < SEGMENTS; i++) {
		iova = self->iova + i * IOAT_FRAME_1M;
		zpci_guest_map(&m->guest, iova, ZPCI_GUEST_PAGE(16 + i * PAGES),
			       PAGES * PAGE_SIZE, 0);
	}
	/* With a signal pending iommufd does not wait for any page. */
	zpci_vm_make_pinnable(m);
	self->source.m = m;
	/* In the first segment, at a page that no RPCIT of a peer touches */
	self->source.page = (uintptr_t)zpci_guest_hva(&m->guest,
						      ZPCI_GUEST_PAGE(17));
	prepare_signal(&self->source, m->guest.vcpu);
	zpci_guest_begin_rpcit(&m->guest, self->iova, SEGMENTS * IOAT_FRAME_1M);
}

FIXTURE_TEARDOWN(zpci_signal)
{
	struct zpci_vm *m = &self->m;

	pthread_cancel(self->source.sender);
	pthread_join(self->source.sender, NULL);
	close(self->source.uffd);
	take_signal();
	ASSERT_EQ(0, zpci_vm_detach(m));
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, 0));
	zpci_vm_destroy(m);
}

/*
 * Run until the RPCIT is interrupted once more, is complete, or exits to user
 * space. Return the result of the last KVM_RUN.
 */
static int step(struct zpci_vm *m, struct zpci_rpcit *r)
{
	u64 before = zpci_shadow_stats().interrupted;
	int i, err;

	for (i = 0; i < MANY; i++) {
		err = zpci_guest_step(&m->guest, r);
		if (err != -EINTR || zpci_shadow_stats().interrupted != before)
			return err;
		take_signal();
	}
	return -ETIME;
}

/*
 * The same for the first time. The signal ends the wait for the page before anything
 * is done.
 */
static int first_step(struct zpci_vm *m, struct source *source, struct zpci_rpcit *r)
{
	int err = zpci_guest_step(&m->guest, r);

	if (err != -EINTR)
		return err;
	while (!READ_ONCE(source->done))
		usleep(1000);
	return step(m, r);
}

/* Run until it is complete. */
static int step_to_end(struct zpci_vm *m, struct zpci_rpcit *r)
{
	int i, err = -EINTR;

	for (i = 0; i < MANY && err == -EINTR; i++)
		err = step(m, r);
	return err;
}

static const char *arrives(struct zpci_vm *m, u64 iova, u64 gpa)
{
	void *hva = zpci_guest_hva(&m->guest, gpa);

	memset(hva, 0x55, NVME_IDENTIFY_SIZE);
	return zpci_vm_identify(m, iova, hva, reference);
}

/* Check that the whole range is mapped. */
static const char *all_arrive(struct zpci_vm *m, u64 iova)
{
	const char *wrong = NULL;
	int i;

	for (i = 0; i < SEGMENTS && !wrong; i++)
		wrong = arrives(m, iova + i * IOAT_FRAME_1M,
				ZPCI_GUEST_PAGE(16 + i * PAGES));
	return wrong;
}

/* Each KVM_RUN makes progress. Nothing is done twice. */
TEST_F(zpci_signal, carried_on)
{
	struct zpci_shadow_stats before, after;
	struct zpci_vm *m = &self->m;
	struct kvm_run *run = m->guest.vcpu->run;
	u64 start, rpcits, given_way = 0;
	struct zpci_rpcit r;
	int err;

	start = zpci_shadow_stats().mapped;
	rpcits = zpci_vm_stats(m).rpcits;
	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	before = zpci_shadow_stats();
	ASSERT_LT(start, before.mapped);
	while ((err = step(m, &r)) == -EINTR) {
		after = zpci_shadow_stats();
		ASSERT_EQ(before.interrupted + 1, after.interrupted);
		ASSERT_EQ(KVM_EXIT_INTR, run->exit_reason);
		ASSERT_LT(before.mapped, after.mapped) {
			TH_LOG("interruption %lu: nothing was done", given_way);
		}
		ASSERT_GT(SEGMENTS, ++given_way);
		ASSERT_EQ(rpcits, zpci_vm_stats(m).rpcits);
		before = after;
	}
	ASSERT_EQ(0, err);
	EXPECT_EQ(0, r.cc);
	EXPECT_EQ(0, r.exits);
	EXPECT_LT(1, given_way);
	after = zpci_shadow_stats();
	EXPECT_EQ(start + SEGMENTS * PAGES, after.mapped);
	EXPECT_EQ(0, after.unmapped);
	EXPECT_EQ(rpcits + 1, zpci_vm_stats(m).rpcits);
	EXPECT_EQ(0, zpci_vm_stats(m).rpcits_user);
	ASSERT_WORKS(all_arrive(m, self->iova));
}

/* KVM_RUN with immediate_exit returns at once. Nothing is lost. */
TEST_F(zpci_signal, immediate_exit)
{
	struct zpci_vm *m = &self->m;
	struct kvm_run *run = m->guest.vcpu->run;
	u64 mapped, interrupted;
	struct zpci_rpcit r;
	int i;

	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	mapped = zpci_shadow_stats().mapped;
	interrupted = zpci_shadow_stats().interrupted;
	run->immediate_exit = 1;
	for (i = 0; i < 3; i++)
		ASSERT_EQ(-EINTR, zpci_guest_step(&m->guest, &r));
	run->immediate_exit = 0;
	EXPECT_EQ(mapped, zpci_shadow_stats().mapped);
	EXPECT_EQ(interrupted, zpci_shadow_stats().interrupted);
	ASSERT_EQ(0, step_to_end(m, &r));
	EXPECT_EQ(0, r.cc);
	EXPECT_EQ(0, r.exits);
	ASSERT_WORKS(all_arrive(m, self->iova));
}

/* The table changes before and after the position of the refresh. */
TEST_F(zpci_signal, table_changes)
{
	struct zpci_vm *m = &self->m;
	u64 last = self->iova + (SEGMENTS - 1) * IOAT_FRAME_1M;
	struct zpci_rpcit r;

	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	EXPECT_EQ(self->queues + PAGES, zpci_shadow_stats().pinned);
	/*
	 * Before: needs an RPCIT of its own, which does not disturb this one.
	 */
	zpci_guest_map(&self->peer, self->iova, ZPCI_GUEST_PAGE(80), PAGE_SIZE,
		       0);
	r = zpci_guest_rpcit(&self->peer, self->iova, PAGE_SIZE);
	EXPECT_EQ(0, r.cc);
	EXPECT_EQ(0, r.exits);
	/* After: the refresh finds it. */
	zpci_guest_map(&self->peer, last, ZPCI_GUEST_PAGE(81), PAGE_SIZE, 0);
	zpci_guest_unmap(&self->peer, last + PAGE_SIZE, PAGE_SIZE);
	ASSERT_EQ(0, step_to_end(m, &r));
	EXPECT_EQ(0, r.cc);
	EXPECT_EQ(0, r.exits);
	EXPECT_EQ(self->queues + SEGMENTS * PAGES - 1, zpci_shadow_stats().pinned);
	ASSERT_WORKS(arrives(m, self->iova, ZPCI_GUEST_PAGE(80)));
	ASSERT_WORKS(arrives(m, last, ZPCI_GUEST_PAGE(81)));
	EXPECT_EQ(NVME_FUNCTION_ERROR,
		  nvme_identify_ctrl(&m->nvme, last + PAGE_SIZE, 0));
}

/* User space changes the operands: the guest executes the new RPCIT. */
TEST_F(zpci_signal, other_operands)
{
	struct zpci_vm *m = &self->m;
	struct kvm_run *run = m->guest.vcpu->run;
	u64 *gprs = (u64 *)run->s.regs.gprs;
	struct zpci_rpcit r;

	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	ASSERT_EQ(self->iova, gprs[RPCIT_R2]);
	ASSERT_EQ(SEGMENTS * IOAT_FRAME_1M, gprs[RPCIT_R2 + 1]);
	/* The last segment alone */
	gprs[RPCIT_R2] += (SEGMENTS - 1) * IOAT_FRAME_1M;
	gprs[RPCIT_R2 + 1] = IOAT_FRAME_1M;
	run->kvm_dirty_regs |= KVM_SYNC_GPRS;
	ASSERT_EQ(0, step_to_end(m, &r));
	EXPECT_EQ(0, r.cc);
	EXPECT_EQ(0, r.exits);
	EXPECT_EQ(self->queues + 2 * PAGES, zpci_shadow_stats().pinned) {
		TH_LOG("the old range was refreshed, or the new one was not");
	}
}

/* User space completes it: the guest continues after the instruction. */
TEST_F(zpci_signal, done_by_user_space)
{
	struct zpci_vm *m = &self->m;
	struct kvm_run *run = m->guest.vcpu->run;
	u64 mapped, rpcits;
	struct zpci_rpcit r;

	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	mapped = zpci_shadow_stats().mapped;
	rpcits = zpci_vm_stats(m).rpcits;
	run->psw_addr += RPCIT_ILEN;
	run->psw_mask |= 2UL << 44;	/* condition code 2 or 3 */
	ASSERT_EQ(0, step_to_end(m, &r));
	EXPECT_LE(2, r.cc);
	EXPECT_EQ(0, r.exits);
	EXPECT_EQ(mapped, zpci_shadow_stats().mapped);
	EXPECT_EQ(rpcits, zpci_vm_stats(m).rpcits);
}

/* Another table is attached: the guest refreshes all of it. */
TEST_F(zpci_signal, attached_anew)
{
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;

	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	ASSERT_EQ(0, zpci_vm_attach(m));
	EXPECT_EQ(0, zpci_shadow_stats().pinned);
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, 0));
	ASSERT_EQ(0, step_to_end(m, &r));
	EXPECT_EQ(0, r.cc);
	EXPECT_EQ(0, r.exits);
	EXPECT_EQ(SEGMENTS * PAGES, zpci_shadow_stats().pinned) {
		TH_LOG("only what was left of the range was refreshed");
	}
}

/* KVM is told to leave the handle alone, and to answer it again. */
TEST_F(zpci_signal, off_and_on)
{
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;

	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	ASSERT_EQ(0, zpci_vm_ioat_off(m));
	ASSERT_EQ(0, zpci_vm_ioat_on(m));
	ASSERT_EQ(0, step_to_end(m, &r));
	EXPECT_EQ(0, r.cc);
	EXPECT_EQ(0, r.exits);
	ASSERT_WORKS(all_arrive(m, self->iova));
}

/* A limit is hit later on: the guest gets the status and can continue. */
TEST_F(zpci_signal, no_resources)
{
	struct rlimit none = { .rlim_max = RLIM_INFINITY }, old;
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;

	ASSERT_EQ(0, getrlimit(RLIMIT_MEMLOCK, &old));
	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	EXPECT_EQ(self->queues + PAGES, zpci_shadow_stats().pinned);
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &none));
	ASSERT_EQ(0, step_to_end(m, &r));
	EXPECT_EQ(CC_ERR, r.cc);
	EXPECT_EQ(ST_NO_RESOURCES, r.status);
	EXPECT_EQ(0, r.exits);
	EXPECT_EQ(self->queues + PAGES, zpci_shadow_stats().pinned);
	EXPECT_EQ(1, zpci_vm_stats(m).rpcits_nores);
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &old));
	zpci_guest_begin_rpcit(&m->guest, self->iova, SEGMENTS * IOAT_FRAME_1M);
	ASSERT_EQ(0, step_to_end(m, &r));
	EXPECT_EQ(0, r.cc);
	EXPECT_EQ(self->queues + SEGMENTS * PAGES, zpci_shadow_stats().pinned);
}

/*
 * Cases for user space: it gets the instruction as without a signal, and the
 * guest continues with its answer.
 */
static void is_for_user_space(struct __test_metadata *_metadata,
			      struct zpci_vm *m, u64 iova)
{
	u64 rpcits = zpci_vm_stats(m).rpcits;
	struct zpci_guest *g = &m->guest;
	struct kvm_run *run = g->vcpu->run;
	u64 psw = run->psw_addr;
	struct zpci_rpcit r;
	int err;

	g->user_cc = 1;
	g->user_status = 44;
	while ((err = step(m, &r)) == -EINTR)
		ASSERT_EQ(psw, run->psw_addr);
	ASSERT_EQ(-EREMOTE, err);
	ASSERT_EQ(KVM_EXIT_S390_SIEIC, run->exit_reason);
	EXPECT_EQ(psw + RPCIT_ILEN, run->psw_addr);
	EXPECT_EQ(1, g->last.exits);
	EXPECT_EQ(ZPCI_GUEST_FH, g->last.exit_fh);
	EXPECT_EQ(iova, g->last.exit_start);
	EXPECT_EQ(SEGMENTS * IOAT_FRAME_1M, g->last.exit_len);
	EXPECT_EQ(rpcits, zpci_vm_stats(m).rpcits);

	ASSERT_EQ(0, step_to_end(m, &r));
	EXPECT_EQ(1, r.cc);
	EXPECT_EQ(44, r.status);
	EXPECT_EQ(1, r.exits);
}

/* A later entry is malformed, or becomes malformed. */
TEST_F(zpci_signal, user_malformed)
{
	u64 last = self->iova + (SEGMENTS - 1) * IOAT_FRAME_1M;
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;

	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	zpci_guest_edit(&self->peer, IOAT_SEGMENT, last, 0, IOAT_TYPE_MASK);
	is_for_user_space(_metadata, m, self->iova);
	EXPECT_EQ(1, zpci_shadow_stats().refused_format);
	EXPECT_EQ(1, zpci_vm_stats(m).rpcits_user);
	EXPECT_EQ(self->queues + (SEGMENTS - 1) * PAGES,
		  zpci_shadow_stats().pinned) {
		TH_LOG("what was done before is lost");
	}
}

/* Memory that the table maps is deleted. */
TEST_F(zpci_signal, user_memory)
{
	u64 last = self->iova + (SEGMENTS - 1) * IOAT_FRAME_1M;
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;
	void *memory;

	memory = zpci_slot_memory(ZPCI_SLOT_SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_EQ(0, zpci_slot_set(m, ZPCI_SLOT, ZPCI_SLOT_GPA, memory,
				   ZPCI_SLOT_SIZE, 0));
	zpci_guest_map(&self->peer, last, ZPCI_SLOT_GPA, PAGES * PAGE_SIZE, 0);
	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	ASSERT_EQ(0, zpci_slot_delete(m, ZPCI_SLOT));
	is_for_user_space(_metadata, m, self->iova);
	EXPECT_EQ(1, zpci_vm_stats(m).rpcits_user);
	EXPECT_EQ(self->queues + (SEGMENTS - 1) * PAGES,
		  zpci_shadow_stats().pinned);
}

/* The function is detached and loses its table. */
TEST_F(zpci_signal, user_gone)
{
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;

	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	ASSERT_EQ(0, zpci_function_detach(m->device));
	is_for_user_space(_metadata, m, self->iova);
	EXPECT_EQ(1, zpci_vm_stats(m).rpcits_user);
	EXPECT_FALSE(zpci_shadow_stats().attached);
}

/* The function is in error state, and the host's RPCIT fails. */
TEST_F(zpci_signal, user_host)
{
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;

	ASSERT_EQ(0, zpci_guest_rpcit(&self->peer, self->iova, PAGE_SIZE).cc);
	/* Unmapping in the last segment needs a host refresh. */
	ASSERT_EQ(0, zpci_guest_rpcit(&self->peer, self->iova +
				      (SEGMENTS - 1) * IOAT_FRAME_1M,
				      PAGE_SIZE).cc);
	zpci_guest_unmap(&self->peer, self->iova +
			 (SEGMENTS - 1) * IOAT_FRAME_1M, PAGE_SIZE);
	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	ASSERT_EQ(NVME_FUNCTION_ERROR,
		  nvme_identify_ctrl(&m->nvme, m->pal & ~(PAGE_SIZE - 1), 0));
	is_for_user_space(_metadata, m, self->iova);
	EXPECT_EQ(1, zpci_shadow_stats().refused_host);
	EXPECT_EQ(1, zpci_vm_stats(m).rpcits_user);
}

/* KVM is told to leave the handle alone. */
TEST_F(zpci_signal, user_switched_off)
{
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;

	ASSERT_EQ(-EINTR, first_step(m, &self->source, &r));
	ASSERT_EQ(0, zpci_vm_ioat_off(m));
	is_for_user_space(_metadata, m, self->iova);
	EXPECT_EQ(0, zpci_vm_stats(m).rpcits_user);
	EXPECT_EQ(self->queues + PAGES, zpci_shadow_stats().pinned);
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_baseline_identify(reference);
	return zpci_harness_run(argc, argv);
}
