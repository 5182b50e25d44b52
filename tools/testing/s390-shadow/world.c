// SPDX-License-Identifier: GPL-2.0
/* Build a guest's tables */

#include "harness.h"

#define WORLD_PT_BASE	(WORLD_BASE + 4 * WORLD_TABLES * 0x4000)

/* Invalid in a table of any level */
#define ANY_INVALID	0x420ULL

struct world world;

static const unsigned int shifts[] = { 12, 20, 31, 42, 53 };

u64 world_reach(int top)
{
	return top == RF ? U64_MAX : (1ULL << (shifts[top] + 11)) - 1;
}

u64 world_table(int level, unsigned int nr)
{
	if (level == PT)
		return WORLD_PT_BASE + nr * 0x800;
	return WORLD_BASE + ((level - ST) * WORLD_TABLES + nr) * 0x4000;
}

unsigned int world_index(int level, u64 iova)
{
	return level == PT ? iova >> 12 & 0xff : iova >> shifts[level] & 0x7ff;
}

u64 world_entry(int level, u64 origin)
{
	return level == ST ? origin : origin | (u64)(level - ST) << 2 | 3;
}

u64 world_pte(u64 gaddr, bool prot)
{
	return gaddr | (prot ? 0x200 : 0);
}

/* Skip levels that can't be shadowed */
bool world_next_top(int *top)
{
	while (++*top <= RF)
		if (engine_designations() & BIT(*top - ST))
			return true;
	return false;
}

/* Set up a guest with empty tables and no faults */
void world_init(int top, bool refresh_new)
{
	fault_reset();
	guest_reset();
	guest_add_slot(WORLD_BASE, WORLD_BASE_NR, true, ANY_INVALID);
	guest_add_slot(WORLD_DATA, WORLD_DATA_NR, true, 0);
	guest_add_slot(WORLD_RO, WORLD_RO_NR, false, 0);
	guest_add_slot(WORLD_HIGH, WORLD_HIGH_NR, true, 0);
	world = (struct world) {
		.top = top,
		.iota = world_table(top, 0) | 0x800 | (u64)(top - ST) << 2,
		.pal = world_reach(top),
		.refresh_new = refresh_new,
	};
	function_reset(world.pba, world.pal, refresh_new);
}

void world_create(void)
{
	expect(!engine_config_check(world.iota, world.pba, world.pal),
	       "iota 0x%llx, aperture 0x%llx to 0x%llx is refused", world.iota,
	       world.pba, world.pal);
	function_reset(world.pba, world.pal, world.refresh_new);
	/* The smallest table, as in the kernel, or that which the test asks for */
	while (world.host_top < RT || world_reach(world.host_top) < world.pal)
		world.host_top++;
	engine_create(world.host_top);
}

void world_end(void)
{
	fault_random(0);
	check_invariants();
	function_access_all();
	function_detach_table();
	engine_teardown();
	check_nothing_left();
}

/* Link page table @pt at @iova, through table 0 of each level */
void world_link(u64 iova, unsigned int pt)
{
	int level;

	for (level = world.top; level > ST; level--)
		guest_store(world_table(level, 0) + 8 * world_index(level, iova),
			    world_entry(level, world_table(level - 1, 0)));
	guest_store(world_table(ST, 0) + 8 * world_index(ST, iova),
		    world_entry(ST, world_table(PT, pt)));
}

u64 world_pte_gaddr(u64 iova, unsigned int pt)
{
	return world_table(PT, pt) + 8 * world_index(PT, iova);
}

void world_map(u64 iova, unsigned int pt, u64 gaddr, bool prot)
{
	guest_store(world_pte_gaddr(iova, pt), world_pte(gaddr, prot));
}

void world_unmap(u64 iova, unsigned int pt)
{
	guest_store(world_pte_gaddr(iova, pt), NO_PTE);
}

int world_refresh(u64 first, u64 last)
{
	return check_refresh_no_fault(first, last, 0);
}

int world_refresh_all(void)
{
	return world_refresh(world.pba, world.pal);
}
