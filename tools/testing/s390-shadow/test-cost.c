// SPDX-License-Identifier: GPL-2.0
/* Cost is proportional to the number of mapped tables and changed entries */

#include "harness.h"

/* Spread segments over as many tables as possible */
static u64 spread_iova(unsigned int i)
{
	u64 span = 1ULL << (world.top == ST ? 20 : 20 + 11 * (world.top - ST));

	return i * 64 * span + i * 4096ULL * 3;
}

static void refresh_counted(u64 first, u64 last)
{
	struct engine_walk *walk = engine_walk_start(first, last);
	u64 entries, calls;
	int rc;

	do {
		entries = guest_stats.entries;
		calls = guest_stats.frames_pinned;
		rc = engine_refresh_once(walk);
		/* Each call does a limited amount of work */
		expect(guest_stats.entries - entries <= 300000,
		       "one call reads %llu entries",
		       guest_stats.entries - entries);
		expect(guest_stats.frames_pinned - calls <= 70000,
		       "one call pins %llu frames",
		       guest_stats.frames_pinned - calls);
	} while (rc == -EAGAIN);
	expect(!rc, "refresh returned %d", rc);
	engine_walk_end(walk);
}

/* Empty parts of a large aperture cost nothing */
static void sparse(void)
{
	unsigned int nr, i;
	int top = PT;

	while (world_next_top(&top)) {
		for (nr = 0; nr <= WORLD_PTS; nr += 4) {
			u64 tables;

			world_init(top, false);
			for (i = 0; i < nr; i++) {
				world_link(spread_iova(i), i);
				world_map(spread_iova(i), i,
					  WORLD_DATA + i * 0x1000, false);
			}
			world_create();
			refresh_counted(world.pba, world.pal);
			expect(guest_stats.frames_pinned == nr, "pinned");
			world_refresh_all();

			/* The second refresh walks each table below the top once */
			memset(&guest_stats, 0, sizeof(guest_stats));
			function_refreshes = 0;
			refresh_counted(world.pba, world.pal);
			/* Some tables of a level are shared */
			tables = 1 + (u64)nr * nr * (top - ST) * 2;
			expect(guest_stats.entries <= tables * 2048 +
			       nr * nr * 300ULL + 2048,
			       "%u segments, level %d: %llu entries read", nr,
			       top, guest_stats.entries);
			expect(guest_stats.reads <= tables * 80 +
			       nr * nr * 10ULL + 80,
			       "%u segments, level %d: %llu reads", nr, top,
			       guest_stats.reads);
			expect(!guest_stats.pin_calls &&
			       !guest_stats.charge_calls,
			       "nothing changed, but %llu pins and %llu charges",
			       guest_stats.pin_calls, guest_stats.charge_calls);
			expect(!function_refreshes,
			       "nothing changed, but %llu host refreshes",
			       function_refreshes);
			world_end();
		}
	}
}

/* Map a page at each end of the aperture, each through tables of its own */
static void both_ends(void)
{
	int top = PT, level;
	unsigned int nr;
	u64 most;

	while (world_next_top(&top)) {
		world_init(top, true);
		for (nr = 0; nr < 2; nr++) {
			u64 iova = nr ? world.pal - 0xfff : world.pba;

			for (level = top; level > PT; level--)
				guest_store(world_table(level, level < top ? nr : 0) +
					    8 * world_index(level, iova),
					    world_entry(level,
							world_table(level - 1, nr)));
			world_map(iova, nr, WORLD_DATA, false);
		}
		world_create();
		expect(!world_refresh_all() && guest_pinned() == 2, "both ends");

		memset(&guest_stats, 0, sizeof(guest_stats));
		function_refreshes = 0;
		refresh_counted(world.pba, world.pal);
		expect(!guest_stats.pin_calls && !function_refreshes,
		       "nothing changed, but %llu pins and %llu host refreshes",
		       guest_stats.pin_calls, function_refreshes);
		/*
		 * Read the topmost table and one table of each lower level at
		 * either end, each in at most two parts. Fetch the entries on
		 * the path to each segment twice: to find it and to sync it.
		 */
		most = (2 * top - 1) * 2 + 2 * 2 * top + 2 * 2;
		expect(guest_stats.reads <= most,
		       "a page at each end, level %d: %llu reads, not %llu", top,
		       guest_stats.reads, most);

		guest_store(world_table(top, 0) + 8 * 2047, 0x20);
		expect(!world_refresh_all() && guest_pinned() == 1, "one end");
		world_end();
	}
}

/* Walk 8192 segments with empty page tables in calls of limited work */
static void long_walk(void)
{
	struct engine_walk *walk;
	unsigned int i, calls;
	int rc = -EAGAIN;
	u64 before;

	world_init(RT, true);
	world.pal = 0x1ffffffffULL;
	for (i = 0; i < 2048; i++) {
		guest_store(world_table(RT, 0) + 8 * i,
			    world_entry(RT, world_table(ST, 0)));
		guest_store(world_table(ST, 0) + 8 * i,
			    world_entry(ST, world_table(PT, 0)));
	}
	world_create();
	walk = engine_walk_start(world.pba, world.pal);
	for (calls = 0; rc == -EAGAIN && calls < 16; calls++) {
		before = guest_stats.reads;
		rc = engine_refresh_once(walk);
		expect(guest_stats.reads - before <= 4 * 2048,
		       "one call reads %llu times", guest_stats.reads - before);
	}
	engine_walk_end(walk);
	expect(!rc && calls > 3, "%d after %u calls", rc, calls);
	world_end();
}

/* An empty table costs one read of its entries */
static void empty_tables(void)
{
	u64 before, empty, one;

	world_init(RT, false);
	world_create();
	refresh_counted(world.pba, world.pal);
	before = guest_stats.entries;
	refresh_counted(world.pba, world.pal);
	empty = guest_stats.entries - before;
	expect(empty >= 2048 && empty <= 2048 + 600,
	       "an empty region table costs %llu entries", empty);
	guest_store(world_table(RT, 0) + 8 * 1000,
		    world_entry(RT, world_table(ST, 0)));
	before = guest_stats.entries;
	refresh_counted(world.pba, world.pal);
	one = guest_stats.entries - before;
	/* The table, and the rest of the region table again */
	expect(one <= empty + 2048 + 1048 + 600,
	       "an empty segment table costs %llu entries more", one - empty);
	world_end();
}

/* N changed entries cost N pins and one host refresh */
static void changes(void)
{
	static const unsigned int counts[] = { 1, 2, 31, 100, 256 };
	unsigned int i, k, n;
	int top = PT, refresh_new;

	while (world_next_top(&top)) {
		for (refresh_new = 0; refresh_new < 2; refresh_new++) {
			u64 iova = 0x7fe00000, last = iova + 0x1fffff;

			world_init(top, refresh_new);
			for (k = 0; k < 2; k++)
				world_link(iova + k * 0x100000, k);
			world_create();
			world_refresh_all();
			for (i = 0; i < ARRAY_SIZE(counts); i++) {
				n = counts[i];
				function_access(iova);
				memset(&guest_stats, 0, sizeof(guest_stats));
				function_refreshes = 0;
				for (k = 0; k < n; k++)
					world_map(iova + k * 0x2000, k / 128,
						  WORLD_DATA + k * 0x1000, k & 1);
				refresh_counted(iova, last);
				expect(guest_stats.frames_pinned == n,
				       "%u new entries, %llu pins", n,
				       guest_stats.frames_pinned);
				expect(guest_stats.charge_calls == 1 + (n > 128),
				       "%u new entries in %u segments, %llu charges",
				       n, 1 + (n > 128), guest_stats.charge_calls);
				expect(function_refreshes == refresh_new,
				       "%u new entries, %llu host refreshes", n,
				       function_refreshes);
				/* Replace all */
				memset(&guest_stats, 0, sizeof(guest_stats));
				function_refreshes = 0;
				for (k = 0; k < n; k++)
					world_map(iova + k * 0x2000, k / 128,
						  WORLD_DATA + 0x3f0000 -
						  k * 0x1000, false);
				refresh_counted(iova, last);
				expect(guest_stats.frames_pinned == n,
				       "%u changed entries, %llu pins", n,
				       guest_stats.frames_pinned);
				expect(function_refreshes == 1,
				       "%u changed entries, %llu host refreshes",
				       n, function_refreshes);
				/* Unmap all */
				memset(&guest_stats, 0, sizeof(guest_stats));
				function_refreshes = 0;
				for (k = 0; k < n; k++)
					world_unmap(iova + k * 0x2000, k / 128);
				refresh_counted(iova, last);
				expect(!guest_stats.pin_calls, "pins to unmap");
				expect(function_refreshes == 1,
				       "%u entries less, %llu host refreshes", n,
				       function_refreshes);
				expect(!guest_pinned(), "pinned");
				check_invariants();
			}
			world_end();
		}
	}
}

/* A host refresh covers only the changed range */
static void refresh_width(void)
{
	u64 iova = 0x40300000;
	int again;

	world_init(RT, true);
	world_link(iova, 0);
	world_map(iova, 0, WORLD_DATA, false);
	world_map(iova + 0x7000, 0, WORLD_DATA + 0x7000, false);
	world_create();
	world_refresh_all();
	for (again = 0; again < 2; again++) {
		if (again)
			world_map(iova + 0x7000, 0, WORLD_DATA, false);
		else
			world_unmap(iova + 0x7000, 0);
		function_refreshes = 0;
		world_refresh_all();
		expect(function_refreshes == 1 &&
		       function_refresh_first == iova + 0x7000 &&
		       function_refresh_last == iova + 0x7fff,
		       "host refresh of 0x%llx to 0x%llx for one page",
		       function_refresh_first, function_refresh_last);
	}
	world_end();
}

/* Consecutive guest pages are pinned in one call */
static void runs(void)
{
	u64 iova = 0x40300000;
	unsigned int k;

	world_init(RT, false);
	world_link(iova, 0);
	for (k = 0; k < 256; k++)
		world_map(iova + k * 4096, 0, WORLD_DATA + k * 4096, false);
	world_create();
	refresh_counted(iova, iova + 0xfffff);
	expect(guest_stats.frames_pinned == 256 && guest_stats.pin_calls <= 16,
	       "%llu frames in a run pinned by %llu calls",
	       guest_stats.frames_pinned, guest_stats.pin_calls);
	world_end();
}

const struct test cost_tests[] = {
	{ "cost/sparse", sparse },
	{ "cost/both-ends", both_ends },
	{ "cost/long-walk", long_walk },
	{ "cost/empty-tables", empty_tables },
	{ "cost/changes", changes },
	{ "cost/refresh-width", refresh_width },
	{ "cost/runs", runs },
	{}
};
