// SPDX-License-Identifier: GPL-2.0
/*
 * Test of a guest's RPCIT while the host's own RPCIT fails
 *
 * A host that is a guest itself refreshes entries that become valid. Every host
 * refreshes entries that become invalid. If that fails, the function may still
 * use what the guest has unmapped. Nothing of it may be released before a
 * refresh succeeds. The guest learns that its RPCIT failed, and the next one
 * completes the work.
 *
 * The failure is injected: the host's RPCIT is not executed.
 */
#include <string.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_fault.h"
#include "zpci_harness.h"
#include "zpci_vm.h"

#define CC_ERR		1
#define ST_NO_RESOURCES	16

/* Answer of user space: function in error state */
#define USER_STATUS	44

#define FOR_EVER	1000000

/* Seconds for a test, on a debug kernel and a busy machine */
#define LIMIT		300

/* More frames than the host refreshes at once */
#define MANY		1024
#define SEGMENTS	(MANY * PAGE_SIZE / IOAT_FRAME_1M)

FIXTURE(zpci_hostfail) {
	struct zpci_vm m;
	struct zpci_pins before;
	u64 iova;
};

FIXTURE_VARIANT(zpci_hostfail) {
	const char *mode;
	int err;
};

/*
 * The host's RPCIT lacks resources or fails otherwise. The parent does not matter
 * to that: test each with one error.
 */
FIXTURE_VARIANT_ADD(zpci_hostfail, nested_io) {
	.mode = ZPCI_NESTED, .err = EIO,
};

FIXTURE_VARIANT_ADD(zpci_hostfail, on_demand_nomem) {
	.mode = ZPCI_ON_DEMAND, .err = ENOMEM,
};

FIXTURE_SETUP(zpci_hostfail)
{
	zpci_fault_refresh(1, 0, variant->err);
	self->before = zpci_pins_now();
	zpci_vm_setup_nvme(&self->m, variant->mode, false);
	self->m.guest.user_cc = CC_ERR;
	self->m.guest.user_status = USER_STATUS;
	self->iova = (self->m.pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
}

FIXTURE_TEARDOWN(zpci_hostfail)
{
	zpci_fault_refresh(1, 0, variant->err);
	zpci_vm_destroy(&self->m);
}

static char text[160];

/* Check the answer of an RPCIT that failed in the host. */
static const char *judge(const struct zpci_rpcit *r, int err)
{
	if (err == ENOMEM && !r->exits && !r->pgm && r->cc == CC_ERR &&
	    r->status == ST_NO_RESOURCES)
		return NULL;
	if (err == EIO && r->exits == 1 && !r->pgm && r->cc == CC_ERR &&
	    r->status == USER_STATUS)
		return NULL;
	snprintf(text, sizeof(text),
		 "host's %s is cc %u, status %u, %u exits for the guest",
		 err == EIO ? "-EIO" : "-ENOMEM", r->cc, r->status, r->exits);
	return text;
}

/* Check by several counters what the guest has mapped besides its queues. */
static const char *pinned_is(struct zpci_vm *m, const struct zpci_pins *before,
			     u64 want)
{
	struct zpci_pins now = zpci_pins_now();
	/* With the two pages of the queues, which need no second pin */
	struct zpci_pins all = zpci_vm_pins(m, want + 2);
	u64 mapped = zpci_shadow_stats().pinned - 2;
	u64 pinned = now.pinned_kb - before->pinned_kb;
	u64 system = now.system - before->system;

	if (mapped == want &&
	    system <= all.system && system + 2 >= all.system &&
	    pinned <= all.pinned_kb && pinned + 8 >= all.pinned_kb)
		return NULL;
	snprintf(text, sizeof(text),
		 "%lu pages are to be pinned; statistics say %ld, system %ld, VmPin %ld kB",
		 want, (long)mapped, (long)system, (long)pinned);
	return text;
}

static const char *reaches(struct zpci_vm *m, u64 iova, u64 gpa)
{
	u8 *page = zpci_guest_hva(&m->guest, gpa);

	memset(page, 0, PAGE_SIZE);
	if (nvme_identify_ctrl(&m->nvme, iova, 0))
		return "DMA fails";
	return page[4] ? NULL : "DMA does not reach the page";
}

static const char *is_refused(struct zpci_vm *m, u64 iova)
{
	return nvme_identify_ctrl(&m->nvme, iova, 0) ?
	       NULL : "DMA to a page that was withdrawn does not fail";
}

TEST_F_TIMEOUT(zpci_hostfail, map, LIMIT)
{
	u64 gpa = ZPCI_GUEST_PAGE(20), size = 3 * PAGE_SIZE;
	struct zpci_vm *m = &self->m;
	u64 errors = zpci_shadow_stats().refresh_errors;
	struct zpci_rpcit r;

	zpci_guest_map(&m->guest, self->iova, gpa, size, 0);
	zpci_fault_refresh(1, FOR_EVER, variant->err);
	r = zpci_guest_rpcit(&m->guest, self->iova, size);
	ASSERT_WORKS(judge(&r, variant->err));
	EXPECT_LT(errors, zpci_shadow_stats().refresh_errors);
	/* They are in the table. The function may read it at any time. */
	ASSERT_WORKS(pinned_is(m, &self->before, 3));

	zpci_fault_refresh(1, 0, variant->err);
	r = zpci_guest_rpcit(&m->guest, self->iova, size);
	EXPECT_EQ(0, r.exits);
	EXPECT_EQ(0, r.cc);
	ASSERT_WORKS(pinned_is(m, &self->before, 3));
	ASSERT_WORKS(reaches(m, self->iova + 2 * PAGE_SIZE,
			     gpa + 2 * PAGE_SIZE));
}

TEST_F_TIMEOUT(zpci_hostfail, unmap, LIMIT)
{
	u64 gpa = ZPCI_GUEST_PAGE(20), size = 3 * PAGE_SIZE;
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, gpa, size, 0));
	zpci_fault_refresh(1, FOR_EVER, variant->err);
	zpci_guest_unmap(&m->guest, self->iova, size);
	r = zpci_guest_rpcit(&m->guest, self->iova, size);
	ASSERT_WORKS(judge(&r, variant->err));
	ASSERT_WORKS(pinned_is(m, &self->before, 3));
	/* So they must be reachable: */
	ASSERT_WORKS(reaches(m, self->iova, gpa));

	/* A retry fails as long as the refresh fails. */
	r = zpci_guest_rpcit(&m->guest, self->iova, size);
	ASSERT_WORKS(judge(&r, variant->err));
	ASSERT_WORKS(pinned_is(m, &self->before, 3));

	/* Any later RPCIT completes the work. */
	zpci_fault_refresh(1, 0, variant->err);
	r = zpci_guest_rpcit(&m->guest, m->pba, PAGE_SIZE);
	EXPECT_EQ(0, r.exits);
	EXPECT_EQ(0, r.cc);
	ASSERT_WORKS(pinned_is(m, &self->before, 0));
	ASSERT_WORKS(is_refused(m, self->iova));
}

/* A page is replaced: the old one stays pinned, the new one is mapped. */
TEST_F_TIMEOUT(zpci_hostfail, replace, LIMIT)
{
	u64 old = ZPCI_GUEST_PAGE(20), new = ZPCI_GUEST_PAGE(70);
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;

	/* To wait for the new page, the kernel would first take the old one away. */
	if (zpci_mode_is_on_demand(variant->mode))
		zpci_vm_make_pinnable(m);
	ASSERT_WORKS(zpci_vm_map(m, self->iova, old, PAGE_SIZE, 0));
	zpci_fault_refresh(1, FOR_EVER, variant->err);
	zpci_guest_map(&m->guest, self->iova, new, PAGE_SIZE, 0);
	r = zpci_guest_rpcit(&m->guest, self->iova, PAGE_SIZE);
	ASSERT_WORKS(judge(&r, variant->err));
	ASSERT_WORKS(pinned_is(m, &self->before, 2));
	ASSERT_WORKS(reaches(m, self->iova, old));

	zpci_fault_refresh(1, 0, variant->err);
	r = zpci_guest_rpcit(&m->guest, self->iova, PAGE_SIZE);
	EXPECT_EQ(0, r.cc);
	ASSERT_WORKS(pinned_is(m, &self->before, 1));
	ASSERT_WORKS(reaches(m, self->iova, new));
}

static void write_many(struct zpci_vm *m, u64 iova, bool valid)
{
	u64 i, per = MANY / SEGMENTS;

	for (i = 0; i < SEGMENTS; i++) {
		if (valid)
			zpci_guest_map(&m->guest, iova + i * IOAT_FRAME_1M,
				       ZPCI_GUEST_PAGE(i * per),
				       per * PAGE_SIZE, 0);
		else
			zpci_guest_unmap(&m->guest, iova + i * IOAT_FRAME_1M,
					 per * PAGE_SIZE);
	}
}

/*
 * One refresh fails: the first, the second and so on. First while a large range
 * becomes valid, then while it becomes invalid.
 */
static const char *sweep(struct zpci_vm *m, const struct zpci_pins *before,
			 u64 iova, int err, bool valid)
{
	/* After ENOMEM the host refreshes everything once more. */
	unsigned int nth, count = err == ENOMEM ? 2 : 1, left;
	u64 size = SEGMENTS * IOAT_FRAME_1M;
	const char *wrong;
	struct zpci_rpcit r;

	for (nth = 1; nth < 100; nth++) {
		write_many(m, iova, !valid);
		if (zpci_guest_rpcit(&m->guest, iova, size).cc)
			return "RPCIT fails without a fault";
		wrong = pinned_is(m, before, valid ? 0 : MANY);
		if (wrong)
			return wrong;

		write_many(m, iova, valid);
		zpci_fault_refresh(nth, count, err);
		r = zpci_guest_rpcit(&m->guest, iova, size);
		left = zpci_fault_refresh_left();
		zpci_fault_refresh(1, 0, err);
		if (left < count) {
			/*
			 * After ENOMEM the kernel may unmap what the guest has
			 * unmapped, and begin again.
			 */
			wrong = err == ENOMEM && !r.cc && !r.exits ?
				NULL : judge(&r, err);
			if (wrong)
				return wrong;
			r = zpci_guest_rpcit(&m->guest, iova, size);
		}
		if (r.cc || r.exits)
			return "RPCIT does not recover";
		wrong = pinned_is(m, before, valid ? MANY : 0);
		if (wrong)
			return wrong;
		if (left == count) {
			printf("# %u refreshes failed\n", nth - 1);
			return nth > 1 ? NULL : "the host was not refreshed";
		}
	}
	return "there is no end to the refreshes";
}

TEST_F_TIMEOUT(zpci_hostfail, nth_of_map, LIMIT)
{
	ASSERT_WORKS(sweep(&self->m, &self->before, self->iova, variant->err,
			   true));
}

TEST_F_TIMEOUT(zpci_hostfail, nth_of_unmap, LIMIT)
{
	ASSERT_WORKS(sweep(&self->m, &self->before, self->iova, variant->err,
			   false));
}

/*
 * Refreshes fail for a while. In the end the guest's table counts, and what the
 * guest has unmapped is released.
 */
TEST_F_TIMEOUT(zpci_hostfail, failures_in_a_row, LIMIT)
{
	u64 size = 2 * IOAT_FRAME_1M, gpa = ZPCI_GUEST_PAGE(20);
	struct zpci_vm *m = &self->m;
	unsigned int count, tries;
	struct zpci_rpcit r;

	for (count = 1; count <= 12; count++) {
		ASSERT_WORKS(zpci_vm_map(m, self->iova, gpa, 16 * PAGE_SIZE,
					 0));
		zpci_guest_unmap(&m->guest, self->iova, 8 * PAGE_SIZE);
		zpci_guest_map(&m->guest, self->iova + IOAT_FRAME_1M, gpa,
			       4 * PAGE_SIZE, 0);
		zpci_fault_refresh(1, count, variant->err);
		for (tries = 0; tries <= count; tries++) {
			r = zpci_guest_rpcit(&m->guest, self->iova, size);
			if (!r.cc && !r.exits)
				break;
			ASSERT_WORKS(judge(&r, variant->err));
		}
		zpci_fault_refresh(1, 0, variant->err);
		EXPECT_LE(tries, count) {
			TH_LOG("no RPCIT succeeds after %u failures", count);
		}
		ASSERT_WORKS(pinned_is(m, &self->before, 8 + 4));
		zpci_guest_unmap(&m->guest, self->iova, 16 * PAGE_SIZE);
		zpci_guest_unmap(&m->guest, self->iova + IOAT_FRAME_1M,
				 4 * PAGE_SIZE);
		ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova, size).cc);
		ASSERT_WORKS(pinned_is(m, &self->before, 0));
	}
}

static const char *fail_to_unmap(struct zpci_vm *m, u64 iova, int err)
{
	u64 size = SEGMENTS * IOAT_FRAME_1M;
	struct zpci_rpcit r;

	write_many(m, iova, true);
	if (zpci_guest_rpcit(&m->guest, iova, size).cc)
		return "RPCIT fails without a fault";
	write_many(m, iova, false);
	zpci_fault_refresh(1, FOR_EVER, err);
	r = zpci_guest_rpcit(&m->guest, iova, size);
	return judge(&r, err);
}

/* Detach needs no refresh: the function loses the whole table. */
TEST_F_TIMEOUT(zpci_hostfail, detach, LIMIT)
{
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(fail_to_unmap(m, self->iova, variant->err));
	ASSERT_EQ(0, zpci_vm_detach(m));
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, 0));
	ASSERT_WORKS(is_refused(m, self->iova));
}

TEST_F_TIMEOUT(zpci_hostfail, close_function, LIMIT)
{
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(fail_to_unmap(m, self->iova, variant->err));
	zpci_vm_close_function(m);
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, 0));
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_fault_require();
	return zpci_harness_run(argc, argv);
}
