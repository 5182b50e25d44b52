// SPDX-License-Identifier: GPL-2.0
/* Random programs, and random tables with many valid entries */

#include "harness.h"

static void programs(void)
{
	u8 data[600];
	unsigned int i, k, size;

	for (i = 0; i < 800 * rounds; i++) {
		size = 20 + rnd_below(sizeof(data) - 20);
		for (k = 0; k < size; k++)
			data[k] = rnd() >> 40;
		program_run(data, size);
	}
}

/* Pick an entry that is mostly well-formed */
static u64 entry_for(int level, unsigned int bad)
{
	u64 e;

	if (level == PT)
		e = world_pte(WORLD_DATA + rnd_below(WORLD_DATA_NR) * 4096ULL,
			      rnd_below(2));
	else
		e = world_entry(level, world_table(level - 1, level == ST ?
						   rnd_below(WORLD_PTS) :
						   rnd_below(WORLD_TABLES)));
	if (level == ST && !rnd_below(8))
		e = (WORLD_DATA + rnd_below(4) * 0x100000) | 0x400;
	if (!rnd_below(6))
		e |= 0x200;
	if (level == PT ? rnd_below(2) : !rnd_below(20))
		e |= level == PT ? 0x400 : 0x20;
	if (bad && !rnd_below(bad))
		e ^= 1ULL << rnd_below(64);
	return e;
}

/* Fill some entries of each table, refresh random ranges */
static void tables(void)
{
	unsigned int i, k, bad, full;
	int top, level;

	for (i = 0; i < 60 * rounds; i++) {
		do
			top = ST + rnd_below(4);
		while (!(engine_designations() & BIT(top - ST)));
		world_init(top, rnd_below(2));
		guest_pins_less = rnd_below(2);
		bad = rnd_below(3) ? 0 : 1 + rnd_below(300);
		/* The number of pages is the product over all levels */
		full = 1 + rnd_below(top > RT ? 2 : 4);
		world_create();
		for (k = 0; k < 4; k++) {
			unsigned int n, t, x;

			for (level = PT; level <= top; level++)
				for (t = 0; t < (level ? WORLD_TABLES : WORLD_PTS); t++)
					for (x = 0; x < (level ? full : 40); x++) {
						n = level ? 2048 : 256;
						n = rnd_below(2) ? n - 1 - x : x;
						guest_store(world_table(level, t) + 8 * n,
							    entry_for(level, bad));
					}
			for (t = 0; t < 3; t++) {
				u64 a = rnd() & world.pal & ~0xfffULL;
				u64 b = rnd() & world.pal & ~0xfffULL;

				/* Entries are near both ends */
				if (rnd_below(2))
					a &= 0x3fffff;
				if (rnd_below(2))
					b |= world.pal & ~0xffffffULL;
				if (a > b)
					swap(a, b);
				world_refresh(a, b | 0xfff);
			}
			world_refresh_all();
		}
		world_end();
	}
}

/* Refresh ranges of all sizes over dense page tables */
static void ranges(void)
{
	u64 base = 0x7fe00000;	/* four segments, in two regions if there are */
	unsigned int i, k;
	int top = PT;

	while (world_next_top(&top)) {
		u64 span = top == ST ? 0x200000 : 0x400000;

		world_init(top, false);
		for (k = 0; k < span >> 20; k++)
			world_link(base + k * 0x100000ULL, k);
		world_create();
		for (i = 0; i < 400 * rounds; i++) {
			u64 a = base + rnd_below(span >> 12) * 4096ULL;
			u64 b = base + rnd_below(span >> 12) * 4096ULL;

			if (a > b)
				swap(a, b);
			for (k = 0; k < 20; k++) {
				u64 at = base + rnd_below(span >> 12) * 4096ULL;
				unsigned int pt = (at - base) >> 20;

				if (rnd_below(2))
					world_map(at, pt, WORLD_DATA +
						  rnd_below(WORLD_DATA_NR) * 4096ULL,
						  rnd_below(2));
				else
					world_unmap(at, pt);
			}
			/* Link or unlink a segment */
			if (!rnd_below(8)) {
				u64 at = base + rnd_below(span >> 20) * 0x100000ULL;

				if (rnd_below(2))
					world_link(at, (at - base) >> 20);
				else
					guest_store(world_table(ST, 0) +
						    8 * world_index(ST, at), 0x20);
			}
			expect(!world_refresh(a, b | 0xfff), "a good table");
		}
		world_end();
	}
}

const struct test random_tests[] = {
	{ "random/programs", programs },
	{ "random/tables", tables },
	{ "random/ranges", ranges },
	{}
};
