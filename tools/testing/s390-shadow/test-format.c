// SPDX-License-Identifier: GPL-2.0
/* Malformed tables, and limits of the format */

#include "harness.h"

static const unsigned int shifts[] = { 12, 20, 31, 42, 53 };

/* Check s390_shadow_config_check() */
static void config(void)
{
	int dt;

	world_init(RT, false);
	for (dt = 0; dt < 8; dt++) {
		u64 iota = world_table(RT, 0) | 0x800 | (u64)dt << 2;
		u64 reach = dt < 4 ? world_reach(ST + dt) : 0xfffffffULL;
		bool can = engine_designations() >> dt & 1;

		expect(!can || dt < 4, "designation type %d can't be supported",
		       dt);
		/* Even if its length, 2^64, does not fit in u64 */
		expect(engine_config_check(iota, 0, reach) ==
		       (can ? 0 : -EOPNOTSUPP), "type %d, whole reach", dt);
		expect(!can || !engine_config_check(iota, 0x1000, reach),
		       "type %d, all but the first page", dt);
		expect(engine_config_check(iota & ~0x800ULL, 0, reach) ==
		       -EOPNOTSUPP, "type %d, translation disabled", dt);
		if (!can)
			continue;
		expect(!engine_config_check(iota | 0x200, reach - 0xfff, reach),
		       "type %d, last page", dt);
		expect(engine_config_check(iota, 0, reach - 1) == -EINVAL,
		       "type %d, end is no page's", dt);
		expect(engine_config_check(iota, 0x800, reach) == -EINVAL,
		       "type %d, begin is no page's", dt);
		expect(engine_config_check(iota, 0x2000, 0x1fff) == -EINVAL,
		       "type %d, empty aperture", dt);
		if (reach != U64_MAX)
			expect(engine_config_check(iota, 0, reach + 0x1000) ==
			       -EINVAL, "type %d, aperture beyond its reach",
			       dt);
	}
}

/* Map first and last entries of each level, and their neighbours */
static void edges_of(int top, u64 pba, u64 pal)
{
	u64 at[64], page;
	unsigned int n = 0, i, level;

	world_init(top, false);
	world.pba = pba;
	world.pal = pal;
	at[n++] = pba;
	at[n++] = pal - 0xfff;
	for (level = ST; level <= (unsigned int)top; level++) {
		u64 edge = (pba | ((1ULL << shifts[level]) - 1)) + 1;

		if (edge > pba && edge < pal) {
			at[n++] = edge;
			at[n++] = edge - 0x1000;
		}
		edge = pal & ~((1ULL << shifts[level]) - 1);
		if (edge > pba) {
			at[n++] = edge;
			at[n++] = edge - 0x1000;
		}
	}
	for (i = 0; i < n; i++) {
		unsigned int pt = (at[i] >> 20) % WORLD_PTS;

		world_link(at[i], pt);
		world_map(at[i], pt, WORLD_DATA + i * 0x1000, i & 1);
	}
	world_create();
	/* One by one, so that a wrong neighbour is found */
	for (i = 0; i < n; i++)
		world_refresh(at[i], at[i] | 0xfff);
	expect(!world_refresh_all(), "edges");
	for (i = 0; i < n; i++)
		expect(!(function_translates(at[i]) & NO_PTE),
		       "0x%llx is not mapped", at[i]);
	/* Unmap them, with ranges that begin before and end after the page */
	for (i = 0; i < n; i++) {
		for (page = 0; page < WORLD_PTS; page++)
			world_unmap(at[i], page);
		world_refresh(max(at[i], pba + 0x1000) - 0x1000,
			      min(at[i], pal - 0x1fff) + 0x1fff);
	}
	world_refresh_all();
	expect(!check_host_entries(), "all was unmapped");
	world_end();
}

static void edges(void)
{
	int top = PT;

	while (world_next_top(&top)) {
		u64 reach = world_reach(top);

		edges_of(top, 0, reach);
		edges_of(top, 0, reach - 0x1000);
		edges_of(top, 0x1000, reach);
		edges_of(top, reach - 0x1fff, reach);
		edges_of(top, reach - 0x300fff, reach);
		edges_of(top, 0x1ff000, 0x300fff);
		edges_of(top, 0xff000, 0x100fff);
		edges_of(top, 0x12345000, 0x5fffffff);
		if (top > ST)
			edges_of(top, 0x7ff01000, 0x101000fff);
	}
}

/*
 * Map up to the last address that a table translates. Each loop over the aperture
 * must end there, even at 2^64 - 1.
 */
static void whole_reach(void)
{
	int top = PT, k, rc;

	while (world_next_top(&top)) {
		for (k = 0; k < 10; k++) {
			struct guest_slot *slot = &guest_slots[1];
			u64 pba = 0, pal = world_reach(top);
			struct engine_walk *walk;
			unsigned int i, n;
			u64 at[5];

			world_init(top, k & 1);
			at[0] = pba;
			at[1] = pba + 0x100000;
			at[2] = pal / 2 & ~0xfffULL;
			at[3] = pal - 0x100fff;
			at[4] = pal - 0xfff;
			for (i = 0; i < ARRAY_SIZE(at); i++) {
				world_link(at[i], i);
				world_map(at[i], i, WORLD_DATA + i * 0x1000, false);
			}
			world_create();
			switch (k / 2) {
			case 0:		/* the last page, then the others */
				expect(!world_refresh(pal - 0xfff, pal), "last");
				expect(!world_refresh(pba, pal - 0x1000),
				       "all but the last");
				break;
			case 1:		/* run out of resources in the middle, then retry */
				guest_charge_limit = 2;
				rc = check_refresh(pba, pal, false);
				expect(rc == -ENOMEM, "limit: %d", rc);
				guest_charge_limit = U64_MAX;
				expect(!world_refresh_all(), "no limit");
				break;
			case 2:		/* a signal at each check */
				walk = engine_walk_start(pba, pal);
				for (n = 0, rc = -EINTR; rc; n++) {
					fault_clear_signal();
					fault_arm(FAULT_SIGNAL, 1 + n % 3, 1,
						  -EINTR);
					rc = engine_refresh_once(walk);
					expect(!rc || rc == -EINTR ||
					       rc == -EAGAIN, "signals: %d", rc);
					expect(n < 100000, "no end");
				}
				engine_walk_end(walk);
				fault_reset();
				break;
			case 3:		/* a host refresh runs out of resources */
				expect(!world_refresh_all(), "at first");
				for (i = 0; i < ARRAY_SIZE(at); i++)
					world_map(at[i], i, WORLD_DATA + 0x10000,
						  false);
				fault_arm(FAULT_REFRESH, 1, 3, -ENOMEM);
				rc = check_refresh(pba, pal, false);
				expect(rc == -ENOMEM, "host is full: %d", rc);
				break;
			default:	/* remove the memory, then add it again */
				expect(!world_refresh_all(), "at first");
				guest_slot_present(1, false);
				engine_unmap_gpa_range(slot->gaddr, U64_MAX);
				guest_check_slot_free(1);
				expect(!check_host_entries(), "still mapped");
				guest_slot_present(1, true);
			}
			expect(!world_refresh_all(), "in the end");
			for (i = 0; i < ARRAY_SIZE(at); i++)
				expect(!(function_translates(at[i]) & NO_PTE),
				       "0x%llx is not mapped", at[i]);
			/* Link tables that are empty up to the end */
			for (i = 0; i < ARRAY_SIZE(at); i++)
				world_unmap(at[i], i);
			expect(!world_refresh_all() && !guest_pinned(), "nothing");
			guest_store(world_table(top, 0) +
				    8 * world_index(top, pal), 0x20);
			expect(!world_refresh_all(), "nothing at the end");
			world_end();
		}
	}
}

/* Store every kind of entry at every level of a well-formed table */
static void entries(void)
{
	int top = PT, level, k, end;

	while (world_next_top(&top)) {
		for (level = PT; level <= top; level++) {
			for (k = 0; k < 4 * 22; k++) {
				u64 iova = k & 1 ? world_reach(top) - 0xfff : 0;
				u64 good, bad, gaddr, below;
				bool refresh_new = k & 2;

				world_init(top, refresh_new);
				if (k & 1) {
					world.pal = world_reach(top);
					world.pba = 0x1000;
				}
				world_link(iova, 0);
				world_map(iova, 0, WORLD_DATA + 0x5000, false);
				world_map(iova ^ 0x1000, 0, WORLD_DATA, true);
				gaddr = world_table(level, 0) +
					8 * world_index(level, iova);
				expect(guest_load(gaddr, &good), "load");
				below = level == PT ? WORLD_DATA :
					world_table(level - 1, 1);
				switch (k / 4) {
				case 0:
					bad = 0;
					break;
				case 1:	/* types of other levels */
				case 2:
				case 3:
					bad = good ^ (u64)(k / 4) << 2;
					break;
				case 4:
					bad = good & ~1ULL;
					break;
				case 5:
					bad = good & ~2ULL;
					break;
				case 6:
					bad = good | 0x40;
					break;
				case 7:
					bad = good | 0x80;
					break;
				case 8:
					bad = good | 0x400;
					break;
				case 9:
					bad = good | 0x20;
					break;
				case 10:
					bad = good & 0xfff;
					break;
				case 11:	/* outside guest memory */
					bad = (good & 0xfff) | WORLD_HOLE;
					break;
				case 12:
					bad = (good & 0xfff) | ~0x3fffULL;
					break;
				case 13:	/* a table that ends outside guest memory */
					bad = (good & 0xfff) |
					      ((WORLD_DATA + WORLD_DATA_NR *
						0x1000ULL - 0x4000) & ~0x3fffULL);
					break;
				case 14:	/* points to its own table */
					bad = (good & 0xfff) |
					      (world_table(level, 0) & ~0x7ffULL);
					break;
				case 15:	/* points to a higher table */
					bad = (good & 0xfff) |
					      world_table(top, 0);
					break;
				case 16:	/* points to data: all zero */
					bad = (good & 0xfff) | WORLD_DATA;
					break;
				case 17:	/* all ignored bits */
					bad = good | 0x100 | 0x10 |
					      (level == PT ? 0x8ff : 0) |
					      (level == ST ? 0x3 : 0);
					break;
				case 18:	/* read only */
					bad = good | 0x200;
					break;
				case 19:	/* address zero, and not all zero */
					bad = (good & 0xfff) | 0x200;
					break;
				case 20:	/* invalid, and of another type */
					bad = good ^ 0x424;
					break;
				default:	/* points to an empty table */
					bad = (good & 0xfff) | below;
				}
				/* Bad, then good, then bad again */
				for (end = 0; end < 2; end++) {
					guest_store(gaddr, bad);
					if (!end)
						world_create();
					world_refresh(max(iova & ~0x1fffULL,
							  world.pba),
						      iova | 0x1fff);
					world_refresh_all();
					guest_store(gaddr, good);
					expect(!world_refresh_all(),
					       "level %d, kind %d: a good table is refused",
					       level, k / 4);
				}
				guest_store(gaddr, bad);
				world_refresh_all();
				world_end();
			}
		}
	}
}

/* Protection at any level applies to all lower levels */
static void protect(void)
{
	int top = PT, level;
	unsigned int bits;

	while (world_next_top(&top)) {
		u64 iova = 0x40305000, entry, gaddr;

		for (bits = 0; bits < 1U << (top + 2); bits++) {
			world_init(top, bits & 1);
			world_link(iova, 0);
			world_map(iova, 0, WORLD_DATA, false);
			world_map(iova + 0x1000, 0, WORLD_RO, false);
			if (bits >> (top + 1))
				world.iota |= 0x200;
			for (level = PT; level <= top; level++) {
				gaddr = world_table(level, 0) +
					8 * world_index(level, iova);
				guest_load(gaddr, &entry);
				if (bits >> level & 1)
					guest_store(gaddr, entry | 0x200);
			}
			world_create();
			world_refresh(iova, iova + 0xfff);
			expect(!(function_translates(iova) & 0x200) == !bits,
			       "protection bits 0x%x by level", bits);
			world_refresh_all();
			/* Remove the protection again */
			for (level = PT; level <= top; level++) {
				gaddr = world_table(level, 0) +
					8 * world_index(level, iova);
				guest_load(gaddr, &entry);
				guest_store(gaddr, entry & ~0x200ULL);
			}
			world_refresh_all();
			world_end();
		}
	}
}

static void large_frames(void)
{
	int top = PT;

	while (world_next_top(&top)) {
		u64 iova = 0x40300000, ste;

		world_init(top, top & 1);
		world_link(iova, 0);
		world_link(iova + 0x100000, 1);
		ste = world_table(ST, 0) + 8 * world_index(ST, iova);
		world_create();

		guest_store(ste, WORLD_DATA | 0x400);
		expect(!world_refresh(iova + 0x3000, iova + 0x80fff), "part of a frame");
		expect(!world_refresh_all(), "a frame");
		expect(guest_pinned() == 256, "%llu pinned of 256", guest_pinned());
		/* Two large frames, one of them protected */
		guest_store(ste + 8, (WORLD_DATA + 0x100000) | 0x600);
		expect(!world_refresh_all(), "two frames");
		guest_store(ste, (WORLD_DATA + 0x200000) | 0x400);
		expect(!world_refresh_all(), "another frame");
		/* Low bits of the address are ignored */
		guest_store(ste, (WORLD_DATA + 0x2ff000) | 0x4cf);
		world_refresh_all();
		guest_store(ste, (WORLD_DATA + 0x2ff000) | 0x4c3);
		expect(!world_refresh_all(), "address bits of a frame");
		/* Replace the frame by a page table with some of the same pages, and back */
		guest_store(ste, world_entry(ST, world_table(PT, 0)));
		world_map(iova + 0x5000, 0, WORLD_DATA + 0x205000, false);
		world_map(iova + 0x6000, 0, WORLD_DATA + 0x206000, true);
		guest_stats.frames_pinned = 0;
		expect(!world_refresh_all(), "frame to table");
		expect(guest_stats.frames_pinned == 1,
		       "one page of two has changed, %llu pins",
		       guest_stats.frames_pinned);
		guest_store(ste, WORLD_DATA | 0x400);
		expect(!world_refresh_all(), "table to frame");
		/* A frame that extends beyond guest memory */
		guest_store(ste, 0x40000000 | 0x600);
		expect(world_refresh_all() == -EFAULT, "frame beyond memory");
		guest_store(ste, 0x40000000 | 0x400);
		expect(world_refresh_all() == -EFAULT, "frame that is read only");
		guest_store(ste, 0x000ff4cfULL & ~0xcULL);
		expect(world_refresh_all() == -EINVAL, "frame at zero");
		guest_store(ste, 0x20);
		guest_store(ste + 8, 0x20);
		expect(!world_refresh_all(), "no frames");
		expect(!guest_pinned(), "pinned");
		world_end();
	}
}

/* Page tables that map tables, including themselves */
static void own_tables(void)
{
	int top = PT;
	unsigned int i;

	while (world_next_top(&top)) {
		u64 iova = 0x7ff00000, first = world_table(ST, 0);

		world_init(top, false);
		world_link(iova, 0);
		for (i = 0; i < 68; i++)
			world_map(iova + i * 4096, 0, first + i * 4096, i & 1);
		world_create();
		expect(!world_refresh_all(), "tables are data");
		/* Use a segment table as page table: its entries are malformed */
		guest_store(world_table(ST, 0) + 8 * world_index(ST, iova),
			    world_entry(ST, world_table(ST, 0)));
		world_refresh_all();
		/* All entries of a segment table point to it */
		for (i = 0; i < 2048; i++)
			guest_store(world_table(ST, 0) + 8 * i,
				    world_entry(ST, world_table(ST, 0)));
		world_refresh(iova, iova + 0xfffff);
		world_refresh(iova - 0x300000, iova + 0xfffff);
		expect(!check_prediction(iova, iova + 0xfffff),
		       "entries of a segment table are those of a page table");
		/* The first entries of all tables point to the table */
		for (i = ST; i <= (unsigned int)top; i++)
			guest_store(world_table(i, 0),
				    world_entry(i, world_table(i, 0)));
		world_refresh(0, 0x3fffff);
		world_end();
	}
}

/* All entries point to one page table, all its entries to one page */
static void one_page_everywhere(void)
{
	int top = PT;
	unsigned int i;

	while (world_next_top(&top)) {
		u64 pages = 24 * 256;

		world_init(top, false);
		for (i = 0; i < 2048; i++)
			guest_store(world_table(ST, 0) + 8 * i,
				    world_entry(ST, world_table(PT, 0)));
		for (i = 0; top > ST && i < 2048; i++)
			guest_store(world_table(RT, 0) + 8 * i,
				    world_entry(RT, world_table(ST, 0)));
		world_link(0, 0);
		for (i = 0; i < 256; i++)
			world_map(i * 4096, 0, WORLD_DATA, false);
		world.pal = pages * 4096 - 1;
		world_create();
		expect(!world_refresh_all(), "one page everywhere");
		expect(guest_pinned() == pages, "pinned");
		for (i = 0; i < 256; i++)
			world_map(i * 4096, 0, WORLD_DATA + 0x1000, i & 1);
		expect(!world_refresh_all(), "another page everywhere");
		for (i = 0; i < 256; i++)
			world_unmap(i * 4096, 0);
		expect(!world_refresh_all(), "nothing");
		expect(!guest_pinned(), "pinned");
		world_end();
	}
}

/* Anchors that point to other tables or outside memory */
static void anchors(void)
{
	static const u64 origins[] = {
		0, 0x1000, WORLD_HOLE, WORLD_DATA - 0x1000, WORLD_DATA,
		WORLD_DATA + WORLD_DATA_NR * 0x1000ULL - 0x3000,
		WORLD_RO, WORLD_HIGH, ~0xfffULL, ~0x3fffULL, 1ULL << 63,
	};
	int top = PT;
	unsigned int i, k;

	while (world_next_top(&top)) {
		for (i = 0; i < ARRAY_SIZE(origins); i++) {
			world_init(top, false);
			world.iota = origins[i] | (world.iota & 0xfff);
			for (k = 0; k < 2048; k++)
				guest_store(origins[i] + 8 * k, 0x20);
			guest_store(origins[i] + 8,
				    world_entry(top, world_table(top - 1, 0)));
			world_link(0, 0);
			if (top > ST)
				guest_store(world_table(ST, 0),
					    world_entry(ST, world_table(PT, 0)));
			world_map(0, 0, WORLD_DATA + 0x8000, false);
			world_create();
			world_refresh(0, 0xfff);
			world_refresh(1ULL << shifts[top],
				      (1ULL << shifts[top]) + 0xfff);
			world_refresh_all();
			world_end();
		}
	}
}

/*
 * Each entry on the path is fetched once, because the guest may change it
 * meanwhile. A page table entry is fetched if a bulk read shows a change.
 */
static void fetched_once(void)
{
	u64 iova = 0x40305000, last = iova | 0xfffff;
	int top = PT, level, pass;

	while (world_next_top(&top)) {
		for (level = PT; level <= top; level++) {
			world_init(top, false);
			world_link(iova, 0);
			world_map(iova, 0, WORLD_DATA, false);
			world_create();
			guest_watched = world_table(level, 0) +
					8 * world_index(level, iova);
			/* map, change nothing, unmap */
			for (pass = 0; pass < 3; pass++) {
				if (pass == 2)
					guest_store(guest_watched, level == PT ?
						    NO_PTE : 0x20);
				memset(guest_watched_reads, 0,
				       sizeof(guest_watched_reads));
				expect(!engine_refresh(iova, last, false),
				       "refresh");
				expect(guest_watched_reads[0] == (level == PT) &&
				       guest_watched_reads[1] ==
				       (level > PT || pass != 1),
				       "an entry of level %d was read %u times, fetched %u times",
				       level, guest_watched_reads[0],
				       guest_watched_reads[1]);
			}
			world_end();
		}
	}
}

static u64 torn_entry;

static void tear(void)
{
	guest_store(guest_watched, torn_entry);
}

/* Change an entry while its bytes are read: the old or the new one is used */
static void changes_amid(void)
{
	u64 iova = 0x40305000, entry, was, is;
	int top = PT, level, range, first;

	while (world_next_top(&top)) {
		for (level = PT; level <= top; level++) {
			for (range = 0; range < 4; range++) {
				world_init(top, range & 1);
				/* A torn entry points to empty tables */
				guest_add_slot(WORLD_HIGH + WORLD_BASE,
					       WORLD_BASE_NR, true, 0x420);
				world_link(iova, 0);
				world_map(iova, 0, WORLD_DATA + 0x5000, false);
				guest_watched = world_table(level, 0) +
						8 * world_index(level, iova);
				guest_load(guest_watched, &entry);
				/* Link other tables with distant addresses */
				torn_entry = (entry & 0x7ff) | WORLD_HIGH;
				for (first = level - 1; first >= PT; first--) {
					u64 t = WORLD_HIGH + (level - 1 - first) *
						0x4000ULL;
					unsigned int i;

					for (i = 0; i < (first ? 2048 : 256); i++)
						guest_store(t + 8 * i, 0x420);
					guest_store(t + 8 * world_index(first, iova),
						    first ? world_entry(first, t + 0x4000) :
						    WORLD_HIGH + 0x80000);
				}
				if (level == PT)
					torn_entry = WORLD_HIGH + 0x80000;
				world_create();
				if (range & 2)
					expect(!world_refresh_all(), "before");
				guest_torn_hook = tear;
				expect(!engine_refresh(range & 1 ? world.pba : iova,
						       range & 1 ? world.pal :
						       iova | 0xfffff, false),
				       "level %d: an entry that was torn", level);
				guest_torn_hook = NULL;
				is = function_translates(iova);
				was = SHIM_FRAME_PHYS + 4096ULL *
				      guest_frame(WORLD_DATA + 0x5000);
				expect(is == was || is == SHIM_FRAME_PHYS + 4096ULL *
				       guest_frame(WORLD_HIGH + 0x80000),
				       "level %d: neither the old nor the new frame, but 0x%llx",
				       level, is);
				check_invariants();
				expect(!world_refresh_all(), "after");
				world_end();
			}
		}
	}
}

const struct test format_tests[] = {
	{ "format/config", config },
	{ "format/edges", edges },
	{ "format/whole-reach", whole_reach },
	{ "format/entries", entries },
	{ "format/protection", protect },
	{ "format/large-frames", large_frames },
	{ "format/own-tables", own_tables },
	{ "format/one-page-everywhere", one_page_everywhere },
	{ "format/anchors", anchors },
	{ "format/fetched-once", fetched_once },
	{ "format/torn", changes_amid },
	{}
};
