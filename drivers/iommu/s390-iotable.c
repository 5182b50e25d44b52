// SPDX-License-Identifier: GPL-2.0
/*
 * I/O translation tables of s390 PCI functions: allocation and walk
 *
 * A host table is a segment or region table. Lower tables are allocated as they
 * are needed. Walks that allocate may run concurrently without a lock: an
 * upper-level entry is made valid by compare-and-swap, once, and the loser of a
 * race frees its table. No function here makes an entry invalid again, except
 * that dma_cleanup_tables() frees the whole table.
 *
 * A caller may replace the entry that dma_lookup_seg_trans() returns: the shadow
 * (s390-shadow.c) links page tables of its own there.
 */

#include <linux/io.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "s390-iotable.h"

static struct kmem_cache *dma_region_table_cache;
static struct kmem_cache *dma_page_table_cache;

/**
 * dma_alloc_cpu_table_caches() - create the slab caches of tables
 *
 * Context: once at boot, before the first function is probed.
 * Return: 0 or -ENOMEM
 */
int __init dma_alloc_cpu_table_caches(void)
{
	dma_region_table_cache = kmem_cache_create("PCI_DMA_region_tables",
						   ZPCI_TABLE_SIZE,
						   ZPCI_TABLE_ALIGN, 0, NULL);
	if (!dma_region_table_cache)
		return -ENOMEM;

	dma_page_table_cache = kmem_cache_create("PCI_DMA_page_tables",
						 ZPCI_PT_SIZE, ZPCI_PT_ALIGN,
						 0, NULL);
	if (!dma_page_table_cache) {
		kmem_cache_destroy(dma_region_table_cache);
		return -ENOMEM;
	}
	return 0;
}

/**
 * dma_alloc_cpu_table_raw() - allocate an uninitialized region or segment table
 * @gfp: allocation flags
 *
 * Context: any that @gfp allows
 * Return: memory for 2048 entries, to be freed by dma_free_cpu_table(), or NULL
 */
unsigned long *dma_alloc_cpu_table_raw(gfp_t gfp)
{
	return kmem_cache_alloc(dma_region_table_cache, gfp);
}

/**
 * dma_alloc_cpu_table() - allocate a region or segment table
 * @gfp: allocation flags
 *
 * Context: any that @gfp allows
 * Return: a table of 2048 invalid entries, or NULL. Freed by
 * dma_free_cpu_table(), or by dma_cleanup_tables() with the table above it.
 */
unsigned long *dma_alloc_cpu_table(gfp_t gfp)
{
	unsigned long *table;

	table = dma_alloc_cpu_table_raw(gfp);
	if (table)
		memset64((u64 *)table, ZPCI_TABLE_INVALID, ZPCI_TABLE_ENTRIES);
	return table;
}

/**
 * dma_free_cpu_table() - free one region or segment table
 * @table: the table; lower tables are not freed
 *
 * Context: any
 */
void dma_free_cpu_table(unsigned long *table)
{
	kmem_cache_free(dma_region_table_cache, table);
}

static unsigned long *dma_alloc_page_table(gfp_t gfp)
{
	unsigned long *pt = kmem_cache_alloc(dma_page_table_cache, gfp);

	if (pt)
		memset64((u64 *)pt, ZPCI_PTE_INVALID, ZPCI_PT_ENTRIES);
	return pt;
}

/**
 * dma_cleanup_tables() - free a table and all tables below it
 * @root: segment or region table, or NULL
 * @top: level of @root
 *
 * All page tables must come from dma_walk_cpu_trans(). No function may translate
 * with the table any more.
 *
 * Context: any; recurses once for each level
 */
void dma_cleanup_tables(unsigned long *root, enum zpci_table_level top)
{
	unsigned long *next;
	unsigned int i;

	if (!root)
		return;

	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++) {
		if (!reg_entry_isvalid(root[i]))
			continue;
		next = dma_next_cpu_table(top, root[i]);
		if (top == ZPCI_LEVEL_ST)
			kmem_cache_free(dma_page_table_cache, next);
		else
			dma_cleanup_tables(next, top - 1);
	}
	dma_free_cpu_table(root);
}

/**
 * struct alloc_walk - how a walk allocates tables
 * @gfp: allocation flags
 * @nr: number of tables that were linked
 */
struct alloc_walk {
	gfp_t gfp;
	unsigned int nr;
};

/* Fetch an entry of a host table; if it is invalid, link a new table first */
static __always_inline int fetch_or_alloc(void *ctx, enum zpci_table_level level,
					  u64 addr, u64 *entry)
{
	unsigned long *table, *entryp = phys_to_virt(addr);
	unsigned long old = READ_ONCE(*entryp), new;
	bool pt = level == ZPCI_LEVEL_ST;
	struct alloc_walk *alloc = ctx;

	*entry = old;
	if (likely(reg_entry_isvalid(old)))
		return 0;
	table = pt ? dma_alloc_page_table(alloc->gfp) :
		     dma_alloc_cpu_table(alloc->gfp);
	if (!table)
		return -ENOMEM;
	new = pt ? zpci_make_ste(virt_to_phys(table)) :
		   zpci_make_rte(level, virt_to_phys(table));
	if (try_cmpxchg(entryp, &old, new)) {
		*entry = new;
		alloc->nr++;
		return 0;
	}
	/* Lost a race: use the winner's table */
	*entry = old;
	if (pt)
		kmem_cache_free(dma_page_table_cache, table);
	else
		dma_free_cpu_table(table);
	return 0;
}

/* Find the entry for @iova in the table of level @end, allocate tables on the way */
static __always_inline unsigned long *
walk_alloc(unsigned long *root, enum zpci_table_level top,
	   const enum zpci_table_level end, u64 iova, struct alloc_walk *alloc)
{
	struct dma_walk walk = {
		.iova = iova, .top = top, .addr = virt_to_phys(root),
	};

	if (dma_walk_trans(&walk, end, fetch_or_alloc, alloc) != ZPCI_ENTRY_TABLE)
		return NULL;
	return (unsigned long *)phys_to_virt(walk.addr) + zpci_table_index(end, iova);
}

/**
 * dma_walk_seg_trans() - find a segment table entry, allocate tables above it
 * @root: segment or region table
 * @top: level of @root
 * @iova: I/O address
 * @gfp: flags for the allocation of tables
 * @nr: incremented for each table that is linked, even on failure
 *
 * Context: any that @gfp allows; needs no lock
 * Return: the entry, or NULL if a table can't be allocated
 */
unsigned long *dma_walk_seg_trans(unsigned long *root, enum zpci_table_level top,
				  u64 iova, gfp_t gfp, unsigned int *nr)
{
	struct alloc_walk alloc = { .gfp = gfp };
	unsigned long *step;

	step = walk_alloc(root, top, ZPCI_LEVEL_ST, iova, &alloc);
	*nr += alloc.nr;
	return step;
}

/**
 * dma_walk_cpu_trans() - find a page table entry, allocate tables above it
 * @root: segment or region table
 * @top: level of @root
 * @iova: I/O address
 * @gfp: flags for the allocation of tables
 *
 * Context: any that @gfp allows; needs no lock
 * Return: the entry, or NULL if a table can't be allocated
 */
unsigned long *dma_walk_cpu_trans(unsigned long *root, enum zpci_table_level top,
				  u64 iova, gfp_t gfp)
{
	struct alloc_walk alloc = { .gfp = gfp };

	return walk_alloc(root, top, ZPCI_LEVEL_PT, iova, &alloc);
}

/**
 * dma_find_seg_trans() - find the next segment that has a page table
 * @root: segment or region table
 * @top: level of @root
 * @iova: where to begin; set to the first I/O address at or after it whose
 *	  segment table entry is valid
 * @last: last I/O address of the search (inclusive)
 *
 * The time is proportional to the number of tables, not to the range. A table that
 * is linked concurrently may be missed.
 *
 * Context: process; the caller keeps tables from being freed
 * Return: true if there is such an address
 */
bool dma_find_seg_trans(unsigned long *root, enum zpci_table_level top, u64 *iova,
			u64 last)
{
	enum zpci_table_level level;
	unsigned long *table, entry;
	u64 addr = *iova, skip;
	unsigned int run;

	while (addr <= last) {
		table = root;
		for (level = top;; level--) {
			entry = READ_ONCE(table[zpci_table_index(level, addr)]);
			if (!reg_entry_isvalid(entry))
				break;
			if (level == ZPCI_LEVEL_ST) {
				*iova = addr;
				return true;
			}
			table = dma_next_cpu_table(level, entry);
		}
		/* Region tables are too few to need this */
		if (level == ZPCI_LEVEL_ST)
			cond_resched();
		/*
		 * All invalid entries are equal, no two valid ones are. If the
		 * first has become valid meanwhile, the run is one entry.
		 */
		run = zpci_run_len(&table[zpci_table_index(level, addr)],
				   zpci_run_nr(level, addr, last));
		skip = zpci_run_last(level, addr, run);
		if (skip >= last)
			break;
		addr = skip + 1;
	}
	return false;
}

/**
 * dma_has_cpu_trans() - does a table translate any address?
 * @root: segment or region table
 * @top: level of @root
 *
 * Context: process. The caller excludes writers.
 * Return: true if there is a valid page table entry
 */
bool dma_has_cpu_trans(unsigned long *root, enum zpci_table_level top)
{
	unsigned long *ptep;
	unsigned int px;
	u64 iova = 0;

	while (dma_find_seg_trans(root, top, &iova, zpci_table_last(top))) {
		ptep = dma_lookup_cpu_trans(root, top, iova);
		for (px = 0; ptep && px < ZPCI_PT_ENTRIES; px++)
			if (pt_entry_isvalid(READ_ONCE(ptep[px])))
				return true;
		iova = zpci_span_last(ZPCI_LEVEL_ST, iova);
		if (iova == zpci_table_last(top))
			break;
		iova++;
		cond_resched();
	}
	return false;
}
