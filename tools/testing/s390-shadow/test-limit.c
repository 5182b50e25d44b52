// SPDX-License-Identifier: GPL-2.0
/* Limits: a refresh fails, then succeeds after the guest has unmapped */

#include "s390-shadow-ops.h"

#include "harness.h"

#define IOVA	0x40300000ULL
#define SEGMENTS 4

static void setup(int top, bool refresh_new)
{
	unsigned int i;

	world_init(top, refresh_new);
	for (i = 0; i < SEGMENTS; i++)
		world_link(IOVA + i * 0x100000, i);
	world_create();
}

static void map_pages(unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < SEGMENTS * 256; i++) {
		u64 iova = IOVA + i * 4096ULL;

		if (i < nr)
			world_map(iova, i / 256, WORLD_DATA + i * 4096ULL, false);
		else
			world_unmap(iova, i / 256);
	}
}

/* Map too much, unmap some, twice; @limit is one of three limits */
static void limited(u64 *limit, u64 value, unsigned int too_many,
		    unsigned int few, bool refresh_new, int top)
{
	unsigned int again;
	int rc;

	setup(top, refresh_new);
	for (again = 0; again < 2; again++) {
		map_pages(few);
		expect(!world_refresh_all(), "below the limit");
		*limit = value;
		map_pages(too_many);
		rc = check_refresh(world.pba, world.pal, false);
		expect(rc == -ENOMEM, "above the limit: %d", rc);
		rc = check_refresh(world.pba, world.pal, false);
		expect(rc == -ENOMEM, "still above the limit: %d", rc);
		/* Mapped pages stay, unmapped pages free resources */
		map_pages(few);
		rc = check_refresh(IOVA + 0x200000, IOVA + 0x3fffff, false);
		expect(!rc || rc == -ENOMEM, "unmapped a part: %d", rc);
		rc = check_refresh(world.pba, world.pal, false);
		expect(!rc, "below the limit again: %d", rc);
		expect(guest_pinned() == few, "pinned");
		*limit = U64_MAX;
		map_pages(too_many);
		expect(!world_refresh_all(), "without a limit");
		map_pages(0);
		expect(!world_refresh_all(), "nothing");
		expect(!guest_pinned(), "pinned");
	}
	world_end();
}

/* Replace all pages with resources for at most a part: no old page stays mapped */
static void all_replaced(void)
{
	static const u64 limits[] = { 0, 255, 300, 767, 1000, 1023 };
	unsigned int i, k, kept;
	int top = PT, rc;

	while (world_next_top(&top)) {
		for (k = 0; k < 2 * ARRAY_SIZE(limits); k++) {
			setup(top, k & 1);
			map_pages(SEGMENTS * 256);
			expect(!world_refresh_all(), "at first");
			for (i = 0; i < SEGMENTS * 256; i++)
				world_map(IOVA + i * 4096, i / 256, WORLD_DATA +
					  (SEGMENTS * 256 - 1 - i) * 4096ULL,
					  i & 1);
			/* Charging fails, or pinning fails */
			if (k & 1)
				guest_charge_limit = limits[k / 2];
			else
				/* One call pins up to 32 pages */
				fault_arm(FAULT_PIN, 1 + limits[k / 2] / 32,
					  U64_MAX / 2, -ENOMEM);
			rc = check_refresh(world.pba, world.pal, false);
			expect(rc == -ENOMEM, "all replaced: %d", rc);
			for (kept = 0, i = 0; i < SEGMENTS * 256; i++)
				kept += function_translates(IOVA + i * 4096) ==
					(SHIM_FRAME_PHYS + 4096ULL *
					 guest_frame(WORLD_DATA + i * 4096));
			expect(!kept, "%u pages that were replaced are still there",
			       kept);
			/* The new pages are mapped as far as the limit allows */
			expect(!(k & 1) ||
			       guest_pinned() == limits[k / 2] / 256 * 256,
			       "%llu pinned, segments of 256, limit %llu",
			       guest_pinned(), limits[k / 2]);
			fault_arm(FAULT_NONE, 0, 0, 0);
			guest_charge_limit = U64_MAX;
			expect(!world_refresh_all(), "without a limit");
			world_end();
		}
	}
}

/* At the limit, unmap pages at the end of a long walk and map as many at its start */
static void moved(void)
{
	u64 last = 0x7ff00000;
	unsigned int i;
	int top = PT;

	while (world_next_top(&top)) {
		world_init(top, false);
		for (i = 0; i < 2048; i++)
			guest_store(world_table(ST, 0) + 8 * i,
				    world_entry(ST, world_table(PT, 2)));
		world_link(0, 0);
		world_link(last, 1);
		for (i = 0; i < 256; i++)
			world_map(last + i * 4096, 1, WORLD_DATA + i * 4096,
				  false);
		world_create();
		guest_charge_limit = 256;
		expect(!world_refresh_all(), "at the limit");
		for (i = 0; i < 256; i++) {
			world_unmap(last + i * 4096, 1);
			world_map(i * 4096, 0, WORLD_DATA + i * 4096, false);
		}
		expect(!world_refresh_all(), "moved");
		expect(guest_pinned() == 256, "pinned");
		world_end();
	}
}

/* Frames that can't be pinned for a while */
static void unpinnable(void)
{
	int top = PT;
	unsigned int i;

	while (world_next_top(&top)) {
		setup(top, true);
		map_pages(600);
		for (i = 0; i < 600; i += 37)
			guest_set_pinnable(WORLD_DATA + i * 4096ULL, false);
		expect(world_refresh_all() == -EFAULT, "frames can't be pinned");
		for (i = 37; i < 600; i += 37)
			guest_set_pinnable(WORLD_DATA + i * 4096ULL, true);
		expect(world_refresh_all() == -EFAULT, "one can't be pinned");
		expect(world_refresh(IOVA + 0x1000, world.pal) == 0, "all others");
		expect(guest_pinned() == 599, "pinned");
		/* A mapped page is not pinned again */
		guest_set_pinnable(WORLD_DATA, true);
		expect(!world_refresh_all(), "all");
		world_end();
	}
}

static void charge(void)
{
	int top = PT;

	while (world_next_top(&top)) {
		limited(&guest_charge_limit, 300, 301, 299, false, top);
		limited(&guest_charge_limit, 300, 1000, 256, true, top);
		limited(&guest_charge_limit, 1, 1000, 1, false, top);
		limited(&guest_charge_limit, 1000, 1024, 1000, false, top);
	}
}

/* Limit the mappings of the underlying hypervisor */
static void host(void)
{
	int top = PT;

	while (world_next_top(&top)) {
		limited(&function_host_limit, 300, 301, 299, true, top);
		limited(&function_host_limit, 300, 1000, 256, true, top);
		limited(&function_host_limit, 1, 1000, 1, true, top);
		limited(&function_host_limit, 1000, 1024, 1000, true, top);
	}
}

/* Limit the tables of the memory cgroup */
static void tables(void)
{
	int top = PT, rc, n;

	while (world_next_top(&top)) {
		for (n = 0; n < 8; n++) {
			setup(top, n & 1);
			fault_table_limit = 1 + n;
			map_pages(SEGMENTS * 256);
			rc = check_refresh(world.pba, world.pal, false);
			expect(!rc || rc == -ENOMEM, "table limit %d: %d", n, rc);
			expect(rc == -ENOMEM || n > 3, "table limit %d: not met",
			       n);
			/* Pages up to the limit are mapped */
			map_pages(0);
			rc = check_refresh(world.pba, world.pal, false);
			expect(!rc, "table limit %d, nothing mapped: %d", n, rc);
			expect(!guest_pinned(), "pinned");
			fault_table_limit = U64_MAX;
			map_pages(SEGMENTS * 256);
			expect(!world_refresh_all(), "without a limit");
			world_end();
		}
	}
}

/* Stop a refresh of the largest possible table by each limit */
static void most_tables(void)
{
	unsigned int i;
	int rc;

	world_init(RT, false);
	for (i = 0; i < 2048; i++)
		guest_store(world_table(RT, 0) + 8 * i,
			    world_entry(RT, world_table(ST, 0)));
	for (i = 0; i < 2048; i++)
		guest_store(world_table(ST, 0) + 8 * i,
			    world_entry(ST, world_table(PT, 0)));
	for (i = 0; i < 256; i++)
		world_map(i * 4096, 0, WORLD_DATA, false);
	world_create();
	/* Limit the range: the whole would be four million pages */
	guest_charge_limit = 20000;
	fault_table_limit = 200;
	rc = engine_refresh(0, (600ULL << 20) - 1, false);
	expect(rc == -ENOMEM, "the largest table: %d", rc);
	check_invariants();
	expect(guest_pinned() <= 20000, "more pinned than the limit allows");
	for (i = 0; i < 256; i++)
		world_unmap(i * 4096, 0);
	rc = engine_refresh(0, (600ULL << 20) - 1, false);
	expect(!rc, "the largest table, unmapped: %d", rc);
	check_invariants();
	expect(!guest_pinned(), "pinned");
	/* A refresh of one page works */
	world_map(0, 0, WORLD_DATA, false);
	rc = engine_refresh(0, 0xfff, false);
	expect(!rc && guest_pinned() == 1, "after the largest table: %d", rc);
	world_end();
}

/* Make all entries of a table of @level point to the next lower table */
static void lead_all(int level)
{
	unsigned int i;

	for (i = 0; i < (level == PT ? 256 : 2048); i++)
		guest_store(world_table(level, 0) + 8 * i, level == PT ?
			    world_pte(WORLD_DATA + i * 4096ULL, false) :
			    world_entry(level, world_table(level - 1, 0)));
}

/*
 * Link one page table in all segments. A refresh that runs out of resources does
 * not try all segments, and pages that are mapped stay correct.
 */
static void endless_table(void)
{
	static const u64 limits[] = { 0, 1, 255, 256, 1000, 5000, 20000 };
	unsigned int i, k, calls, most;
	int top = PT, level, rc;

	while (world_next_top(&top)) {
		for (i = 0; i < 2 * ARRAY_SIZE(limits); i++) {
			struct engine_walk *walk;
			bool charge = i & 1;
			u64 limit = charge ? limits[i / 2] : limits[i / 2] / 100;

			world_init(top, i & 2);
			/* Sometimes fill only the segment table */
			for (level = PT; level <= (i % 4 ? top : ST); level++)
				lead_all(level);
			world_link(0, 0);
			world_create();
			if (charge)
				guest_charge_limit = limit;
			else
				fault_table_limit = 1 + limit;
			walk = engine_walk_start(world.pba, world.pal);
			for (calls = 0, rc = -EAGAIN; rc == -EAGAIN; calls++) {
				rc = engine_refresh_once(walk);
				expect(calls < 1000, "no end");
			}
			engine_walk_end(walk);
			expect(rc == -ENOMEM, "the endless table: %d", rc);
			/* Each page and table costs 1 of the budget of 2048; two passes */
			most = 6 + 2 * (charge ? limit : limit * 256) / 2048;
			expect(calls <= most,
			       "it takes %u calls to find that %llu %s are too few, not %u",
			       calls, limit, charge ? "pages" : "tables", most);
			check_invariants();
			expect(!charge || guest_charged() == limit / 256 * 256,
			       "a segment is charged as a whole: %llu of %llu",
			       guest_charged(), limit);
			/* Unmapping works at any limit */
			for (k = 0; k < 256; k++)
				world_unmap(k * 4096, 0);
			if (top == ST || !(i % 4)) {
				rc = check_refresh(world.pba, world.pal, false);
				expect(!rc, "the endless table, unmapped: %d", rc);
			} else {
				guest_store(world_table(top, 0), 0x20);
				for (k = 0; k < 2048; k++)
					guest_store(world_table(top, 0) + 8 * k,
						    0x20);
				rc = check_refresh(world.pba, world.pal, false);
				expect(!rc, "the endless table, cut off: %d", rc);
			}
			expect(!guest_pinned(), "pinned");
			world_end();
		}
	}
}

/* Check the number of failed batches */
static void check_failed_batches(const char *when)
{
	u64 pages = guest_pinned() - check_host_entries();
	u64 batches = engine_failed_batches();

	/* Neighbours in the list are too large to be merged */
	expect(batches <= 1 + 2 * DIV_ROUND_UP(pages, 512),
	       "%s: %llu failed batches for %llu pages", when, batches, pages);
	/* The shadow, its spare batch and its idle batch */
	expect((u64)shim_live(SHIM_KMALLOC) <= 3 + batches,
	       "%s: %ld allocations for %llu failed batches", when,
	       shim_live(SHIM_KMALLOC), batches);
}

/* Let host refreshes fail again and again while the guest maps and unmaps */
static void failing_refreshes(void)
{
	static const int rcs[] = { -EIO, -ENOMEM };
	unsigned int i, k, tables;
	int top = PT, rc;
	bool some;

	while (world_next_top(&top)) {
		for (k = 0; k < 8; k++) {
			rc = rcs[k & 1];
			/* Refreshes of the whole aperture fail always or sometimes */
			some = k & 2;
			setup(top, k & 4);
			map_pages(SEGMENTS * 256);
			expect(!world_refresh_all(), "at first");
			function_access_all();
			tables = engine_tables();
			if (!some)
				fault_arm(FAULT_REFRESH, 1, U64_MAX / 2, rc);
			for (i = 0; i < 600; i++) {
				u64 page = (u64)i * 37 % (SEGMENTS * 256);
				u64 iova = IOVA + page * 4096;
				u64 last = i % 3 ? iova | 0xfff : world.pal;
				int got;

				if (i % 4 == 1)
					world_unmap(iova, page / 256);
				else if (i % 4 == 2)
					world_map(iova, page / 256,
						  WORLD_HIGH + i % 64 * 4096, i & 1);
				if (some)
					fault_arm(FAULT_REFRESH, 1, 1 + i % 5, rc);
				got = i % 16 ? engine_refresh(iova, last, false) :
				      check_refresh(iova, last, false);
				expect(got == rc || some || !got,
				       "refresh %u: %d", i, got);
				check_failed_batches("host refreshes fail");
				expect(engine_tables() <= tables,
				       "%llu tables", engine_tables());
			}
			/* A refresh without changes only retries the host refresh */
			fault_arm(FAULT_REFRESH, 1, U64_MAX / 2, rc);
			for (i = 0; i < 600; i++)
				engine_refresh(IOVA, IOVA + 0xfff, false);
			check_invariants();
			check_failed_batches("the same again");
			/* Unmap more than a batch holds, and whole segments */
			map_pages(k);
			for (i = 0; i < 4; i++) {
				check_refresh(world.pba, world.pal, false);
				check_failed_batches("nearly all pages go");
			}
			for (i = 0; i < SEGMENTS; i++) {
				guest_store(world_table(ST, 0) + 8 *
					    world_index(ST, IOVA + i * 0x100000),
					    0x20);
				check_refresh(world.pba, world.pal, false);
				check_failed_batches("segments go");
			}
			fault_arm(FAULT_NONE, 0, 0, 0);
			expect(!world_refresh_all(), "when all is well again");
			expect(!engine_failed_batches() && !guest_pinned(),
			       "%llu batches wait still, %llu pages are pinned",
			       engine_failed_batches(), guest_pinned());
			check_failed_batches("when all is well again");
			/* No batch is counted as unflushed any more */
			function_refreshes = 0;
			expect(!world_refresh_all() && !function_refreshes,
			       "nothing changed, but %llu host refreshes",
			       function_refreshes);
			world_end();
		}
	}
}

/* Free the host page table of a segment that the guest invalidates */
static void unmapped_segment(void)
{
	int top = PT;
	u64 tables;

	while (world_next_top(&top)) {
		setup(top, true);
		world_map(IOVA, 0, WORLD_DATA, false);
		world_map(IOVA + 0x100000, 1, WORLD_DATA, false);
		expect(!world_refresh_all(), "two segments");
		/* Two page tables, and a table of each level below the topmost */
		tables = 2 + world.host_top - ST;
		expect(engine_tables() == tables, "%llu host tables, not %llu",
		       engine_tables(), tables);
		guest_store(world_table(ST, 0) + 8 * world_index(ST, IOVA), 0x20);
		/* A refresh of one page frees the whole page table */
		expect(!world_refresh(IOVA + 0x9000, IOVA + 0x9fff), "unmapped segment");
		expect(engine_tables() == tables - 1 && guest_pinned() == 1,
		       "%llu host tables, not %llu, and %llu pages",
		       engine_tables(), tables - 1, guest_pinned());
		world_end();
	}
}

/* Map single pages in many segments: empty tables are pruned */
static void prune_tables(void)
{
	u64 stays = 0x507000, most = 0;
	struct s390_shadow_stats stats;
	unsigned int i;
	int top = PT;

	while (world_next_top(&top)) {
		world_init(top, false);
		for (i = 0; top > ST && i < 2048; i++)
			guest_store(world_table(RT, 0) + 8 * i,
				    world_entry(RT, world_table(ST, 0)));
		for (i = 0; i < 2048; i++)
			guest_store(world_table(ST, 0) + 8 * i,
				    world_entry(ST, world_table(PT, 0)));
		world_link(0, 0);
		world_link(stays, 1);
		world_map(stays, 1, WORLD_DATA, false);
		world_create();
		expect(!engine_refresh(stays, stays + 0xfff, false), "stays");
		for (i = 0; i < 3000; i++) {
			u64 iova = (top == ST ? i % 2048 * 0x100000ULL :
				    i % 500 * 0x100000ULL * 2049) &
				   (world.pal < 0x3ffffffffffULL ? world.pal :
				    0x3ffffffffffULL) & ~0xfffffULL;

			world_map(0, 0, WORLD_DATA, false);
			expect(!engine_refresh(iova, iova + 0xfff, false), "map");
			function_access(iova);
			world_unmap(0, 0);
			expect(!engine_refresh(iova, iova + 0xfff, false),
			       "unmap");
			most = max(most, engine_tables());
			if (!(i % 100))
				check_invariants();
		}
		expect(guest_pinned() == 1 &&
		       !(function_translates(stays) & NO_PTE),
		       "what is in use was pruned");
		expect(most <= 64 + 8 * 2 + 4,
		       "%llu host tables for one page here and there", most);
		engine_stats(&stats);
		expect(stats.tables_pruned > 256, "statistics: %llu tables pruned",
		       stats.tables_pruned);
		expect((u64)(shim_live(SHIM_PAGE) + shim_live(SHIM_TABLE)) ==
		       engine_tables() + 1,
		       "statistics: %llu tables, but there are %ld and the top",
		       engine_tables(),
		       shim_live(SHIM_PAGE) + shim_live(SHIM_TABLE) - 1);
		world_end();
	}
}

const struct test limit_tests[] = {
	{ "limit/unpinnable", unpinnable },
	{ "limit/charge", charge },
	{ "limit/replaced", all_replaced },
	{ "limit/moved", moved },
	{ "limit/host", host },
	{ "limit/tables", tables },
	{ "limit/largest-table", most_tables },
	{ "limit/endless-table", endless_table },
	{ "limit/host-refreshes-fail", failing_refreshes },
	{ "limit/unmapped-segment", unmapped_segment },
	{ "limit/prune-tables", prune_tables },
	{}
};
