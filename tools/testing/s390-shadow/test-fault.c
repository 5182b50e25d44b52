// SPDX-License-Identifier: GPL-2.0
/*
 * Let the nth operation of each kind fail, for every n up to 40, then for some.
 * Let the nth check for a signal find one. Unmap memory slots. Tear down at any
 * time.
 */

#include "s390-shadow-ops.h"

#include "harness.h"

#define IOVA	0x7fe00000ULL

static void setup(int top, bool refresh_new)
{
	unsigned int i;

	world_init(top, refresh_new);
	world.pba = IOVA - 0x800000;
	if (top > ST)
		world.pal = IOVA + 0x80ffffff;
	for (i = 0; i < 2; i++)
		world_link(IOVA + i * 0x100000, i);
	for (i = 0; i < 40; i++)
		world_map(IOVA + i * 0x3000, i * 3 / 256,
			  WORLD_DATA + i * 4096, i & 1);
	world_create();
	expect(!world_refresh_all(), "at first");
}

/* Map, unmap and replace some pages; unmap one segment and map another */
static void change(void)
{
	unsigned int i;
	u64 iova;

	for (i = 0; i < 20; i++)
		world_unmap(IOVA + i * 0x3000, i * 3 / 256);
	for (i = 0; i < 50; i++)
		world_map(IOVA + 0x80000 + i * 0x1000, 0,
			  WORLD_DATA + 0x100000 + i * 4096, i > 25);
	guest_store(world_table(ST, 0) + 8 * world_index(ST, IOVA + 0x100000),
		    0x20);
	/* Use another region, if there are any */
	iova = world.top == ST ? IOVA - 0x300000 : IOVA + 0x80000000ULL;
	world_link(iova, 2);
	for (i = 0; i < 10; i++)
		world_map(iova + i * 0x2000, 2,
			  WORLD_DATA + 0x200000 + i * 4096, false);
}

static const struct {
	enum fault fault;
	int rc;
} kinds[] = {
	{ FAULT_READ, -EFAULT },
	{ FAULT_READ, -EINTR },
	{ FAULT_PIN, -EFAULT },
	{ FAULT_PIN, -ENOMEM },
	{ FAULT_PIN, -EINTR },
	{ FAULT_CHARGE, -ENOMEM },
	{ FAULT_CHARGE, -EINTR },
	{ FAULT_REFRESH, -EIO },
	{ FAULT_REFRESH, -ENOMEM },
	{ FAULT_KMALLOC, -ENOMEM },
	{ FAULT_PAGE, -ENOMEM },
	{ FAULT_TABLE, -ENOMEM },
	{ FAULT_SIGNAL, -EINTR },
	{ FAULT_KILL, -EINTR },
};

enum then { TRY_AGAIN, RESUME, TEAR_DOWN, CHANGE_BACK, NR_THENS };

static void nth(enum fault fault, int rc_fault, unsigned int count)
{
	int top = PT, then, refresh_new, rc;
	char text[80];
	u64 n;

	while (world_next_top(&top)) {
		for (then = 0; then < NR_THENS; then++) {
			/* Skip some of the later ones, which are alike */
			for (n = 1;; n += 1 + n / 40) {
				refresh_new = n & 1;
				snprintf(text, sizeof(text),
					 "%s %llu fails %u times with %d, then %d",
					 fault_names[fault], n, count, rc_fault,
					 then);
				context(text);
				setup(top, refresh_new || then == RESUME);
				change();
				engine_free_idle();
				fault_arm(fault, n, count, rc_fault);
				rc = check_refresh(world.pba, world.pal,
						   then == RESUME);
				expect(rc <= 0 && rc != -EAGAIN, "%d", rc);
				if (!fault_fired()) {
					expect(!rc, "returned %d", rc);
					world_end();
					break;
				}
				/* The injected error is returned, and no other */
				expect(!rc || rc == rc_fault ||
				       (fault == FAULT_REFRESH && rc == -ENOMEM),
				       "returned %d", rc);
				fault_arm(FAULT_NONE, 0, 0, 0);
				fault_clear_signal();
				if (then == RESUME && rc_fault == -EINTR)
					expect(!rc, "resumed: %d", rc);
				if (then == CHANGE_BACK) {
					unsigned int i;

					for (i = 0; i < 50; i++)
						world_unmap(IOVA + 0x80000 +
							    i * 0x1000, 0);
				}
				if (then != TEAR_DOWN) {
					rc = world_refresh_all();
					expect(!rc, "again: %d", rc);
				}
				world_end();
			}
			expect(n > 1 || fault == FAULT_KILL ||
			       (fault == FAULT_TABLE && top == ST),
			       "there is no such operation");
		}
	}
	context("");
}

static void once(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		nth(kinds[i].fault, kinds[i].rc, 1);
}

static void often(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].rc != -EINTR)
			nth(kinds[i].fault, kinds[i].rc, 1000000);
}

static void create(void)
{
	static const enum fault faults[] = {
		FAULT_KMALLOC, FAULT_PAGE, FAULT_TABLE,
	};
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		for (n = 1;; n++) {
			world_init(RT, false);
			fault_arm(faults[i], n, 1, -ENOMEM);
			if (engine_try_create(RT)) {
				expect(!fault_fired(), "a failure is ignored");
				world_end();
				break;
			}
			expect(fault_fired(), "creation fails for no reason");
			check_nothing_left();
		}
	}
}

/* Interrupt a refresh at every check: it resumes where it stopped */
static void signals(void)
{
	unsigned int i, nr = 0;
	int top = PT, rc;

	while (world_next_top(&top)) {
		struct engine_walk *walk;

		setup(top, true);
		change();
		for (i = 0; i < WORLD_PTS; i++) {
			u64 iova = IOVA - i * 0x100000ULL;

			world_link(iova, i);
			world_map(iova, i, WORLD_DATA, false);
		}
		walk = engine_walk_start(world.pba, world.pal);
		nr = 0;
		for (;;) {
			/* Handle it, and raise another at the next check */
			fault_clear_signal();
			fault_arm(FAULT_SIGNAL, 1 + nr % 3, 1, -EINTR);
			rc = engine_refresh_once(walk);
			check_invariants();
			if (!rc)
				break;
			expect(rc == -EINTR || rc == -EAGAIN, "%d", rc);
			expect(++nr < 100000,
			       "interrupted again and again, it comes to no end");
		}
		engine_walk_end(walk);
		fault_reset();
		expect(nr > 1, "interrupted only %u times", nr);
		/* Another refresh has nothing to do */
		guest_stats.pin_calls = 0;
		expect(!world_refresh_all(), "after the interruptions");
		expect(!guest_stats.pin_calls, "something was lost");
		world_end();
	}
}

/* Unmap memory slots whose frames are mapped, then add them again */
static void unmap_slots(void)
{
	static const enum fault faults[] = { FAULT_NONE, FAULT_REFRESH };
	unsigned int f, n, slot;
	u64 pinned, refreshes;
	int top = PT, rc;

	while (world_next_top(&top)) {
		for (f = 0; f < ARRAY_SIZE(faults); f++) {
			for (n = 1; n < 5; n++) {
				struct guest_slot *s;

				slot = 1 + n % 3;
				s = &guest_slots[slot];
				setup(top, n & 1);
				world_map(IOVA, 0, WORLD_RO, true);
				world_map(IOVA + 0x1000, 0, WORLD_RO + 0x3f000,
					  true);
				world_map(IOVA + 0x2000, 0, WORLD_HIGH, false);
				rc = world_refresh_all();
				expect(!rc, "before: %d", rc);
				/* Queue a failed batch with some of the frames */
				if (n > 2) {
					fault_arm(FAULT_REFRESH, 1, 9, -EIO);
					world_unmap(IOVA, 0);
					check_refresh(world.pba, world.pal, false);
				}
				pinned = guest_pinned();
				refreshes = function_refreshes;
				if (n <= 2)
					engine_unmap_gpa_range(WORLD_HOLE,
							       WORLD_HOLE + 0xfffff);
				expect(guest_pinned() == pinned &&
				       function_refreshes == refreshes,
				       "nothing was there, and something was done");
				pinned -= guest_slot_pinned(slot);
				fault_arm(faults[f], 1, n == 1 ? 1 : 100,
					  n & 1 ? -EIO : -ENOMEM);
				guest_slot_present(slot, false);
				function_access_all();
				engine_unmap_gpa_range(s->gaddr, s->gaddr +
						s->nr * 4096ULL - 1);
				fault_arm(FAULT_NONE, 0, 0, 0);
				guest_check_slot_free(slot);
				check_invariants();
				expect(engine_alive() || faults[f],
				       "the function lost its table for nothing");
				expect(n > 2 || faults[f] ||
				       (guest_pinned() == pinned &&
					function_refreshes == refreshes + 1),
				       "%llu pages left of %llu after %llu host refreshes",
				       guest_pinned(), pinned,
				       function_refreshes - refreshes);
				if (engine_alive()) {
					rc = world_refresh_all();
					expect(rc == -EFAULT, "gone: %d", rc);
					guest_slot_present(slot, true);
					rc = world_refresh_all();
					expect(!rc, "back: %d", rc);
				} else {
					check_refresh(world.pba, world.pal, false);
				}
				world_end();
			}
		}
	}
}

/*
 * Unmap more pages than a batch holds, while a failed batch has few pages. The
 * nth host refresh fails, the next succeeds.
 */
static void unmap_many(void)
{
	static const int rcs[] = { -EIO, -ENOMEM };
	unsigned int i, k, n, few, count;
	int top = PT, rc;

	while (world_next_top(&top)) {
		for (k = 0; k < 2 * 2 * 12; k++) {
			few = k & 1 ? 100 : 0;
			rc = rcs[k >> 1 & 1];
			n = 1 + k / 4;
			/* After -ENOMEM the whole aperture is refreshed: fail that, too */
			count = rc == -ENOMEM ? 2 : 1;
			world_init(top, false);
			for (i = 0; i < 5; i++)
				world_link(IOVA - 0x200000 + i * 0x100000, i);
			/* Map pages of both slots, so that batches can be merged */
			for (i = 0; i < 4 * 256; i++)
				if (i % 5 < 3)
					world_map(IOVA - 0x200000 + i * 4096,
						  i / 256, WORLD_DATA + i * 4096,
						  i & 1);
			for (i = 0; i < 100; i++)
				world_map(IOVA + 0x200000 + i * 4096, 4,
					  WORLD_HIGH + i * 4096, false);
			world_create();
			expect(!world_refresh_all(), "at first");
			for (i = 0; i < few; i++)
				world_unmap(IOVA + 0x200000 + i * 4096, 4);
			fault_arm(FAULT_REFRESH, 1, 2, -EIO);
			if (few)
				expect(check_refresh(world.pba, world.pal,
						     false) == -EIO, "failed batch");
			fault_arm(FAULT_REFRESH, n, count, rc);
			guest_slot_present(1, false);
			function_access_all();
			engine_unmap_gpa_range(WORLD_DATA, WORLD_DATA +
					WORLD_DATA_NR * 4096ULL - 1);
			fault_arm(FAULT_NONE, 0, 0, 0);
			guest_check_slot_free(1);
			check_invariants();
			guest_slot_present(1, true);
			/* The last host refresh may be the retry for the failed batch */
			expect(engine_alive() || few,
			       "the function lost its table for nothing");
			if (engine_alive())
				expect(!world_refresh_all(), "back");
			world_end();
		}
	}
}

/* -ENOMEM of a host refresh: refresh the whole aperture before giving up */
static void out_of_resources(void)
{
	int rc;

	world_init(RT, true);
	world_link(IOVA, 0);
	world_map(IOVA, 0, WORLD_DATA, false);
	world_create();
	fault_arm(FAULT_REFRESH, 1, 1, -ENOMEM);
	expect(!world_refresh(IOVA, IOVA + 0xfff), "not made up for");
	expect(function_refreshes == 2 && function_refresh_first == world.pba &&
	       function_refresh_last == world.pal,
	       "%llu host refreshes, the last of 0x%llx to 0x%llx",
	       function_refreshes, function_refresh_first, function_refresh_last);

	/* The entry is in the host table, but its host refresh failed */
	fault_arm(FAULT_REFRESH, 1, 100, -ENOMEM);
	world_map(IOVA + 0x1000, 0, WORLD_DATA + 0x1000, false);
	rc = check_refresh(IOVA + 0x1000, IOVA + 0x1fff, false);
	expect(rc == -ENOMEM, "out of resources: %d", rc);
	fault_arm(FAULT_NONE, 0, 0, 0);
	function_refreshes = 0;
	expect(!world_refresh(IOVA + 0x1000, IOVA + 0x1fff), "once more");
	expect(function_refreshes == 1, "%llu host refreshes to make up for it",
	       function_refreshes);
	world_end();
}

/*
 * Page tables of two segments wait in one batch for a host without resources. The
 * shadow is torn down before a refresh uses the other batch again.
 */
static void merged_batches(void)
{
	u64 next = IOVA + 0x100000, segment;

	world_init(RT, true);
	world_link(IOVA, 0);
	world_link(next, 1);
	world_map(IOVA, 0, WORLD_DATA, false);
	world_map(next, 1, WORLD_DATA + 0x1000, false);
	world_create();
	expect(!world_refresh(IOVA, next + 0xfff), "two segments");
	fault_arm(FAULT_REFRESH, 1, 100, -ENOMEM);
	for (segment = IOVA; segment <= next; segment += 0x100000) {
		guest_store(world_table(ST, 0) + 8 * world_index(ST, segment), 0x20);
		expect(check_refresh(segment, segment + 0xfffff, false) == -ENOMEM,
		       "no resources");
	}
	world_end();
}

/* Cause each result once and check the counters */
static void results(void)
{
	u64 next = IOVA + 0x1000, last = next + 0xfff;
	struct s390_shadow_stats stats;

	world_init(RT, true);
	world_link(IOVA, 0);
	world_map(IOVA, 0, WORLD_DATA, false);
	world_create();
	expect(!world_refresh(IOVA, IOVA + 0xfff), "one page");
	guest_store(world_pte_gaddr(next, 0), 0);
	expect(world_refresh(next, last) == -EINVAL, "malformed");
	world_map(next, 0, WORLD_HOLE, false);
	expect(world_refresh(next, last) == -EFAULT, "no memory there");
	world_map(next, 0, WORLD_DATA, false);
	fault_arm(FAULT_READ, 1, 1, -EINTR);
	expect(check_refresh(next, last, false) == -EINTR, "a signal");
	guest_charge_limit = 1;
	expect(check_refresh(next, last, false) == -ENOMEM, "the limit");
	world_unmap(IOVA, 0);
	fault_arm(FAULT_REFRESH, 1, 1, -EIO);
	expect(check_refresh(IOVA, IOVA + 0xfff, false) == -EIO, "the host");

	engine_stats(&stats);
	expect(stats.walks == 5 && stats.interrupted == 1,
	       "%llu walks, %llu calls interrupted", stats.walks,
	       stats.interrupted);
	expect(stats.refused_format == 1 && stats.refused_memory == 1 &&
	       stats.refused_nomem == 1 && stats.refused_host == 1 &&
	       stats.refresh_errors == 1,
	       "refused: format %llu, memory %llu, resources %llu, host %llu; %llu host refreshes failed",
	       stats.refused_format, stats.refused_memory, stats.refused_nomem,
	       stats.refused_host, stats.refresh_errors);
	world_end();
}

const struct test fault_tests[] = {
	{ "fault/nth-fails", once },
	{ "fault/all-from-nth-fail", often },
	{ "fault/create", create },
	{ "fault/interrupted", signals },
	{ "fault/out-of-resources", out_of_resources },
	{ "fault/merged-batches", merged_batches },
	{ "fault/results", results },
	{ "fault/unmap-slots", unmap_slots },
	{ "fault/unmap-many", unmap_many },
	{}
};
