// SPDX-License-Identifier: GPL-2.0
/*
 * Refresh the same ranges from many threads while the table changes
 *
 * Each thread owns some entries of the guest's table: page table entries in shared
 * tables, and a segment. After it has refreshed a range with them, the function
 * must translate them as stored, whatever other threads change and refresh at the
 * same time. An older value or a cached translation is a failure.
 */

#include <unistd.h>

#include "harness.h"

#define REFRESHERS	3
#define SHARED		3		/* page tables */
#define IOVA		0x7ff00000ULL	/* up to the end of a region, and beyond */

static bool stop, ending;
static unsigned int iterations;
static bool exact;	/* no injected faults */
static u64 thread_seed;

static u64 shared_iova(unsigned int nr)
{
	return IOVA + nr * 4096ULL;
}

static void store_pte(unsigned int nr, u64 pte)
{
	guest_store(world_pte_gaddr(shared_iova(nr), nr / 256), pte);
}

static u64 data(unsigned int n)
{
	return WORLD_DATA + n % WORLD_DATA_NR * 4096ULL;
}

static void compare(u64 iova, u64 pte)
{
	u64 want = pte & NO_PTE ? NO_PTE : SHIM_FRAME_PHYS + (pte & 0x200) +
		   (u64)guest_frame(pte & PAGE_MASK) * 4096;
	u64 is = function_translates(iova);

	/* The table may have been detached just before */
	expect(is == want || !function_has_table(),
	       "0x%llx: a thread stored 0x%llx and refreshed, the function should find 0x%llx, but finds 0x%llx",
	       iova, pte, want, is);
}

static void *refresher(void *arg)
{
	unsigned int me = (uintptr_t)arg, i, k, n;
	u64 mine[8], own = IOVA + (SHARED + me) * 0x100000ULL, segment;
	unsigned int nr[8];
	int rc;

	rnd_seed(thread_seed + me);
	for (i = 0; i < iterations; i++) {
		u64 first = U64_MAX, last = 0;

		n = 1 + rnd_below(8);
		for (k = 0; k < n; k++) {
			nr[k] = rnd_below(SHARED * 64) * 4 + me;
			mine[k] = rnd_below(3) ? data(rnd()) | rnd_below(2) << 9 :
				  NO_PTE;
			store_pte(nr[k], mine[k]);
			first = min(first, shared_iova(nr[k]));
			last = max(last, shared_iova(nr[k]) | 0xfff);
		}
		/* The last store to an entry counts */
		for (k = 0; k < n; k++)
			guest_load(world_pte_gaddr(shared_iova(nr[k]), nr[k] / 256),
				   &mine[k]);
		segment = rnd_below(2) ? 0x20 :
			  world_entry(ST, world_table(PT, SHARED + me));
		guest_store(world_table(ST, (own >> 31) & 1) +
			    8 * world_index(ST, own), segment);
		if (rnd_below(2)) {
			first = min(first, own);
			last = max(last, own | 0xfffff);
		} else {
			segment = 0;
		}
		if (!rnd_below(6)) {
			first = world.pba;
			last = world.pal;
		}
		rc = engine_refresh(first, last, true);
		fault_clear_signal();
		expect(!rc || !exact || rc == -EFAULT || rc == -EINVAL ||
		       (rc == -ENODEV && __atomic_load_n(&ending,
							 __ATOMIC_SEQ_CST)),
		       "a refresh returned %d", rc);
		if (rc == -ENODEV)
			break;
		if (rc)
			continue;
		for (k = 0; k < n; k++)
			compare(shared_iova(nr[k]), mine[k]);
		if (segment)
			compare(own + 0x5000, segment == 0x20 ? NO_PTE :
				data(me));
	}
	return NULL;
}

/* Change the thread's entries, some to malformed ones or unpinnable frames */
static void *mutator(void *arg)
{
	unsigned int nr;

	rnd_seed(thread_seed + 100);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		nr = rnd_below(SHARED * 64) * 4 + 3;
		switch (rnd_below(8)) {
		case 0:
			store_pte(nr, NO_PTE);
			break;
		case 1:
			store_pte(nr, WORLD_RO + rnd_below(WORLD_RO_NR) * 4096 +
				  0x200);
			break;
		case 2:
			if (rnd_below(20))
				break;
			store_pte(nr, 0);
			sched_yield();
			store_pte(nr, NO_PTE);
			break;
		default:
			store_pte(nr, data(rnd()) | rnd_below(2) << 9);
		}
		if (!rnd_below(16))
			sched_yield();
	}
	return NULL;
}

static void *function(void *arg)
{
	rnd_seed(thread_seed + 200);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		function_access(shared_iova(rnd_below((SHARED + REFRESHERS) * 256)));
		if (!rnd_below(64))
			sched_yield();
	}
	return NULL;
}

/* Remove a memory slot, add it again */
static void *remover(void *arg)
{
	const unsigned int slot = 2;

	rnd_seed(thread_seed + 300);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		guest_slot_present(slot, false);
		engine_unmap_gpa_range(guest_slots[slot].gaddr, guest_slots[slot].gaddr +
				guest_slots[slot].nr * 4096ULL - 1);
		guest_slot_present(slot, true);
		usleep(rnd_below(2000));
	}
	return NULL;
}

static void race(int top, bool refresh_new, bool faults, bool end_early)
{
	pthread_t refreshers[REFRESHERS], others[3];
	unsigned int i;

	world_init(top, refresh_new);
	for (i = 0; i < SHARED + REFRESHERS; i++) {
		u64 iova = IOVA + i * 0x100000ULL;

		world_link(iova, i);
		/* Each of the two regions has a segment table */
		if (top > ST)
			guest_store(world_table(RT, 0) + 8 * world_index(RT, iova),
				    world_entry(RT, world_table(ST, iova >> 31 & 1)));
		guest_store(world_table(ST, top > ST ? iova >> 31 & 1 : 0) +
			    8 * world_index(ST, iova),
			    world_entry(ST, world_table(PT, i)));
	}
	/* Allocate all frames of tables before there are threads */
	for (i = 0; i < WORLD_PTS * 256; i++)
		guest_store(world_table(PT, 0) + i * 8, NO_PTE);
	for (i = 0; i < REFRESHERS; i++)
		guest_store(world_table(PT, SHARED + i) + 8 * 5, data(i));
	world_create();

	guest_concurrent = true;
	stop = false;
	ending = false;
	exact = !faults;
	if (faults)
		fault_random(400);
	thread_seed = rnd();
	for (i = 0; i < REFRESHERS; i++)
		pthread_create(&refreshers[i], NULL, refresher,
			       (void *)(uintptr_t)i);
	pthread_create(&others[0], NULL, mutator, NULL);
	pthread_create(&others[1], NULL, function, NULL);
	pthread_create(&others[2], NULL, remover, NULL);
	if (end_early) {
		usleep(1000 + rnd_below(20000));
		__atomic_store_n(&ending, true, __ATOMIC_SEQ_CST);
		function_detach_table();
		engine_teardown_now();
	}
	for (i = 0; i < REFRESHERS; i++)
		pthread_join(refreshers[i], NULL);
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		pthread_join(others[i], NULL);
	guest_concurrent = false;
	fault_random(0);
	fault_clear_signal();

	/* No thread runs: the function translates as the guest's table does */
	if (engine_alive())
		expect(!world_refresh_all(), "at the end");
	world_end();
}

static void changing(void)
{
	int top = RT - 1;

	iterations = 600 * rounds;
	while (world_next_top(&top)) {
		race(top, false, false, false);
		race(top, true, false, false);
	}
}

static void failing(void)
{
	iterations = 600 * rounds;
	race(RT, false, true, false);
	race(RT, true, true, false);
}

static void ends(void)
{
	unsigned int i;

	iterations = 10000;
	for (i = 0; i < 40 * rounds; i++)
		race(RT, i & 1, i & 2, true);
}

/*
 * Run two refreshes in a fixed order. The first stops at a certain point until the
 * other has returned or, if the other waits for it, for a while.
 */
static bool first_is_there, second_is_back;
static __thread bool is_first;

static void wait_for(bool *flag, unsigned int ms)
{
	while (ms-- && !__atomic_load_n(flag, __ATOMIC_SEQ_CST))
		usleep(1000);
}

static void stop_first(void)
{
	if (!is_first)
		return;
	is_first = false;
	__atomic_store_n(&first_is_there, true, __ATOMIC_SEQ_CST);
	wait_for(&second_is_back, 100);
}

static void *first_refresher(void *arg)
{
	is_first = true;
	expect(!engine_refresh(IOVA, IOVA + 0xfff, false), "the first");
	return NULL;
}

/* The second refreshes the page, its segment or the whole aperture */
static void two(int top, u64 first, u64 last, bool unlinks_segment)
{
	pthread_t thread;

	first_is_there = false;
	second_is_back = false;
	guest_concurrent = true;
	pthread_create(&thread, NULL, first_refresher, NULL);
	wait_for(&first_is_there, 10000);
	expect(__atomic_load_n(&first_is_there, __ATOMIC_SEQ_CST),
	       "the first did not come to where it should stop");
	/* The first has fetched the entry: change it now */
	if (unlinks_segment)
		guest_store(world_table(ST, 0) + 8 * world_index(ST, IOVA), 0x20);
	expect(!engine_refresh(first, last, false), "the second");
	compare(IOVA, NO_PTE);
	__atomic_store_n(&second_is_back, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	compare(IOVA, NO_PTE);
	guest_concurrent = false;
	world_refresh_all();
	world_end();
}

static void in_order(void)
{
	static const u64 ranges[][2] = {
		{ IOVA, IOVA + 0xfff },
		{ IOVA, IOVA + 0xfffff },
		{ 0, 0 },
	};
	unsigned int i, k;
	int top = PT;

	while (world_next_top(&top)) {
		for (i = 0; i < ARRAY_SIZE(ranges); i++) {
			for (k = 0; k < 4; k++) {
				world_init(top, false);
				/* Keep the range small enough for one call */
				world.pba = IOVA - 0x800000;
				world_link(IOVA, 0);
				world_map(IOVA, 0, WORLD_DATA, false);
				world_create();
				if (k == 3) {
					/* Stop it after it has fetched the entry */
					guest_watched = world_pte_gaddr(IOVA, 0);
					guest_read_hook = stop_first;
				} else if (k) {
					/* Stop it before its host refresh */
					world_refresh_all();
					function_access_all();
					if (k == 1)
						world_unmap(IOVA, 0);
					else
						guest_store(world_table(ST, 0) + 8 *
							    world_index(ST, IOVA),
							    0x20);
					function_refresh_hook = stop_first;
				} else {
					/* Stop it before it maps */
					guest_pin_hook = stop_first;
				}
				two(top, ranges[i][1] ? ranges[i][0] : world.pba,
				    ranges[i][1] ?: world.pal, !k || k == 3);
			}
		}
	}
}

static void *slot_unmapper(void *arg)
{
	const struct guest_slot *slot = arg;

	wait_for(&first_is_there, 10000);
	engine_unmap_gpa_range(slot->gaddr, slot->gaddr + slot->nr * 4096ULL - 1);
	guest_check_slot_free(slot - guest_slots);
	__atomic_store_n(&second_is_back, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Unmap memory while the batch of a refresh holds pages of it */
static void unmap_during_refresh(void)
{
	int top = PT, unlinks_segment, refresh_new;
	pthread_t threads[2];

	while (world_next_top(&top)) {
		for (unlinks_segment = 0; unlinks_segment < 2; unlinks_segment++) {
			for (refresh_new = 0; refresh_new < 2; refresh_new++) {
				world_init(top, refresh_new);
				world.pba = IOVA - 0x800000;
				world_link(IOVA, 0);
				world_map(IOVA, 0, WORLD_DATA, false);
				world_create();
				world_refresh_all();
				function_access_all();
				if (unlinks_segment)
					guest_store(world_table(ST, 0) + 8 *
						    world_index(ST, IOVA), 0x20);
				else
					world_map(IOVA, 0, WORLD_RO, true);
				first_is_there = false;
				second_is_back = false;
				guest_concurrent = true;
				/* Stop it before its host refresh */
				function_refresh_hook = stop_first;
				guest_slot_present(1, false);
				pthread_create(&threads[0], NULL,
					       first_refresher, NULL);
				pthread_create(&threads[1], NULL, slot_unmapper,
					       &guest_slots[1]);
				pthread_join(threads[0], NULL);
				pthread_join(threads[1], NULL);
				guest_concurrent = false;
				expect(engine_alive(), "the shadow is dead");
				world_refresh_all();
				world_end();
			}
		}
	}
}

static u64 pins_before;

static void stop_until_contended(void)
{
	unsigned int ms = 10000;

	if (!is_first)
		return;
	is_first = false;
	__atomic_store_n(&first_is_there, true, __ATOMIC_SEQ_CST);
	while (ms-- && !engine_contended())
		usleep(1000);
	expect(engine_contended(), "no task waits for refreshes to end");
	pins_before = __atomic_load_n(&guest_stats.frames_pinned,
				      __ATOMIC_RELAXED);
}

/* A long refresh gives way to a task that waits for the end of all refreshes */
static void gives_way(void)
{
	struct engine_walk *walk;
	pthread_t thread;
	unsigned int i;
	int top = PT, rc;

	while (world_next_top(&top)) {
		world_init(top, false);
		world.pal = 0x18ffffff;
		world_link(0, 0);
		for (i = 0; i < 400; i++)
			guest_store(world_table(ST, 0) + 8 * i,
				    world_entry(ST, world_table(PT, 0)));
		world_map(0, 0, WORLD_DATA, false);
		world_create();
		first_is_there = false;
		second_is_back = false;
		guest_concurrent = true;
		/* Stop it while it searches for segments without a lock */
		guest_watched = world_table(ST, 0) + 8 * 200;
		guest_read_hook = stop_until_contended;
		is_first = true;
		pthread_create(&thread, NULL, slot_unmapper, &guest_slots[2]);
		walk = engine_walk_start(world.pba, world.pal);
		rc = engine_refresh_once(walk);
		expect(rc == -EAGAIN && guest_stats.frames_pinned -
		       pins_before <= 2,
		       "a task waits, but a call goes on with %llu segments",
		       guest_stats.frames_pinned - pins_before);
		while (rc == -EAGAIN)
			rc = engine_refresh_once(walk);
		engine_walk_end(walk);
		pthread_join(thread, NULL);
		guest_concurrent = false;
		expect(!rc && guest_pinned() == 400, "after that: %d", rc);
		check_invariants();
		world_end();
	}
}

static bool fails_then;

static void stop_until_pruned(void)
{
	if (!is_first)
		return;
	stop_until_contended();
	/* Its own host refresh, and that of the waiting task */
	if (fails_then)
		fault_arm(FAULT_REFRESH, 1, 2, -EIO);
}

static void *unmapper(void *arg)
{
	int rc;

	is_first = true;
	rc = engine_refresh(IOVA, IOVA + 0xfff, false);
	expect(rc == (fails_then ? -EIO : 0), "the refresh in progress: %d", rc);
	return NULL;
}

/*
 * Add many tables during a long refresh: the task that adds them must wait for the
 * refresh to end, then prune them. In a variant, host refreshes fail then.
 */
static void prune_tables(void)
{
	u64 most, i, iova;
	pthread_t thread;
	int top = RT - 1, k;

	while (world_next_top(&top)) {
		for (k = 0; k < 4; k++) {
			fails_then = k & 1;
			world_init(top, k & 2);
			world_link(IOVA, 0);
			world_map(IOVA, 0, WORLD_DATA, false);
			for (i = 0; i < 2048; i++) {
				guest_store(world_table(RT, 0) + 8 * i,
					    world_entry(RT, world_table(ST, 0)));
				guest_store(world_table(ST, 0) + 8 * i,
					    world_entry(ST, world_table(PT, 1)));
			}
			world_link(IOVA, 0);
			world_create();
			expect(!engine_refresh(IOVA, IOVA + 0xfff, false), "map");
			function_access_all();
			world_unmap(IOVA, 0);
			first_is_there = false;
			guest_concurrent = true;
			function_refresh_hook = stop_until_pruned;
			pthread_create(&thread, NULL, unmapper, NULL);
			wait_for(&first_is_there, 10000);
			most = 0;
			for (i = 1; i < 1000; i++) {
				/* Distant addresses other than IOVA */
				iova = i * 0x80100000ULL % 0x1000000000ULL;
				world_map(0, 1, WORLD_DATA + 0x1000, false);
				engine_refresh(iova, iova + 0xfff, false);
				function_access(iova);
				world_unmap(0, 1);
				engine_refresh(iova, iova + 0xfff, false);
				most = max(most, engine_tables());
			}
			pthread_join(thread, NULL);
			guest_concurrent = false;
			expect(most > 200 && most <= 4 * (64 + 8 * 2) + 4,
			       "%llu host tables during a refresh", most);
			expect(engine_tables() <= 64 + 8 * 2 + 4,
			       "%llu host tables after a refresh",
			       engine_tables());
			for (i = 0; i < 2048; i++)
				guest_store(world_table(top, 0) + 8 * i, 0x20);
			expect(!world_refresh_all() && !guest_pinned(),
			       "after that");
			world_end();
		}
	}
}

const struct test thread_tests[] = {
	{ "threads/in-order", in_order },
	{ "threads/unmap-during-refresh", unmap_during_refresh },
	{ "threads/gives-way", gives_way },
	{ "threads/prune-tables", prune_tables },
	{ "threads/changing-tables", changing },
	{ "threads/failing-operations", failing },
	{ "threads/teardown", ends },
	{}
};
