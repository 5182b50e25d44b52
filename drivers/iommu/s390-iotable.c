// SPDX-License-Identifier: GPL-2.0
/*
 * I/O translation tables of s390 PCI functions: allocation and walk
 *
 * A host table is a segment or region table whose lower tables appear as they
 * are needed. Walks that allocate may run side by side without a lock: an
 * upper-level entry goes from invalid to valid by compare-and-swap, once, and
 * the loser of a race gives back its table. The functions here make no entry
 * invalid again before s390_iot_free_tree().
 *
 * What is written through s390_iot_lookup_ste() is the business of the caller:
 * the shadow (s390-shadow.c) keeps page tables of its own behind it.
 */

#include <linux/io.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "s390-iotable.h"

static struct kmem_cache *s390_iot_table_cache;
static struct kmem_cache *s390_iot_pt_cache;

/**
 * s390_iot_init() - create the caches that tables come from
 *
 * Context: once at boot, before the first function is probed.
 * Return: 0 or -ENOMEM
 */
int __init s390_iot_init(void)
{
	s390_iot_table_cache = kmem_cache_create("PCI_DMA_region_tables",
						 ZPCI_TABLE_SIZE,
						 ZPCI_TABLE_ALIGN, 0, NULL);
	if (!s390_iot_table_cache)
		return -ENOMEM;

	s390_iot_pt_cache = kmem_cache_create("PCI_DMA_page_tables",
					      ZPCI_PT_SIZE, ZPCI_PT_ALIGN,
					      0, NULL);
	if (!s390_iot_pt_cache) {
		kmem_cache_destroy(s390_iot_table_cache);
		return -ENOMEM;
	}
	return 0;
}

/**
 * s390_iot_alloc_raw() - allocate as much memory as a table has
 * @gfp: allocation flags
 *
 * Return: memory for 2048 entries, not initialized, or NULL. Freed by
 * s390_iot_free_table().
 */
unsigned long *s390_iot_alloc_raw(gfp_t gfp)
{
	return kmem_cache_alloc(s390_iot_table_cache, gfp);
}

/**
 * s390_iot_alloc_table() - allocate a region or segment table
 * @gfp: allocation flags
 *
 * Return: a table of 2048 invalid entries, or NULL. Freed by
 * s390_iot_free_table() or with the tree that it becomes part of.
 */
unsigned long *s390_iot_alloc_table(gfp_t gfp)
{
	unsigned long *table;

	table = s390_iot_alloc_raw(gfp);
	if (table)
		memset64((u64 *)table, ZPCI_TABLE_INVALID, ZPCI_TABLE_ENTRIES);
	return table;
}

/**
 * s390_iot_free_table() - free one region or segment table
 * @table: the table; what its entries lead to is not freed
 */
void s390_iot_free_table(unsigned long *table)
{
	kmem_cache_free(s390_iot_table_cache, table);
}

static unsigned long *s390_iot_alloc_pt(gfp_t gfp)
{
	unsigned long *pt = kmem_cache_alloc(s390_iot_pt_cache, gfp);

	if (pt)
		memset64((u64 *)pt, ZPCI_PTE_INVALID, ZPCI_PT_ENTRIES);
	return pt;
}

/**
 * s390_iot_free_tree() - free a table with all that hangs below it
 * @root: segment or region table, or NULL
 * @top: level of @root
 *
 * The page tables must be those that s390_iot_walk_pte() allocated. The caller
 * makes sure that no function translates with the table any more.
 *
 * Context: any; calls itself, once for each level
 */
void s390_iot_free_tree(unsigned long *root, enum s390_iot_level top)
{
	unsigned long *next;
	unsigned int i;

	if (!root)
		return;

	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++) {
		if (!s390_iot_entry_valid(root[i]))
			continue;
		next = s390_iot_next(top, root[i]);
		if (top == S390_IOT_ST)
			kmem_cache_free(s390_iot_pt_cache, next);
		else
			s390_iot_free_tree(next, top - 1);
	}
	s390_iot_free_table(root);
}

/**
 * s390_iot_lookup_ste() - find the segment table entry of an I/O address
 * @root: segment or region table
 * @top: level of @root
 * @iova: I/O address
 *
 * Return: the entry, or NULL if there is no segment table
 */
unsigned long *s390_iot_lookup_ste(unsigned long *root, enum s390_iot_level top,
				   u64 iova)
{
	enum s390_iot_level level;
	unsigned long entry;

	for (level = top; level > S390_IOT_ST; level--) {
		entry = READ_ONCE(root[s390_iot_index(level, iova)]);
		if (!s390_iot_entry_valid(entry))
			return NULL;
		root = s390_iot_next(level, entry);
	}
	return root + s390_iot_index(S390_IOT_ST, iova);
}

/**
 * s390_iot_lookup_pte() - find the page table entry of an I/O address
 * @root: segment or region table
 * @top: level of @root
 * @iova: I/O address
 *
 * Return: the entry, or NULL if there is no page table
 */
unsigned long *s390_iot_lookup_pte(unsigned long *root, enum s390_iot_level top,
				   u64 iova)
{
	unsigned long *step = s390_iot_lookup_ste(root, top, iova);
	unsigned long ste;

	if (!step)
		return NULL;
	ste = READ_ONCE(*step);
	if (!s390_iot_entry_valid(ste))
		return NULL;
	return s390_iot_next(S390_IOT_ST, ste) +
	       s390_iot_index(S390_IOT_PT, iova);
}

/**
 * s390_iot_walk_ste() - find or make the segment table entry of an I/O address
 * @root: segment or region table
 * @top: level of @root
 * @iova: I/O address
 * @gfp: flags for the allocation of tables
 * @nr: incremented for each table that was allocated and stays in the tree,
 *	whatever is returned; may be NULL
 *
 * Context: any that @gfp allows; needs no lock
 * Return: the entry, or NULL if a table can't be allocated
 */
unsigned long *s390_iot_walk_ste(unsigned long *root, enum s390_iot_level top,
				 u64 iova, gfp_t gfp, unsigned int *nr)
{
	unsigned long *entryp, *table, old;
	enum s390_iot_level level;

	for (level = top; level > S390_IOT_ST; level--) {
		entryp = &root[s390_iot_index(level, iova)];
		old = READ_ONCE(*entryp);
		if (s390_iot_entry_valid(old)) {
			root = s390_iot_next(level, old);
			continue;
		}
		table = s390_iot_alloc_table(gfp);
		if (!table)
			return NULL;
		if (try_cmpxchg(entryp, &old,
				s390_iot_rte(level, virt_to_phys(table)))) {
			if (nr)
				(*nr)++;
			root = table;
			continue;
		}
		/* Someone else was faster: use theirs */
		s390_iot_free_table(table);
		root = s390_iot_next(level, old);
	}
	return root + s390_iot_index(S390_IOT_ST, iova);
}

/**
 * s390_iot_walk_pte() - find or make the page table entry of an I/O address
 * @root: segment or region table
 * @top: level of @root
 * @iova: I/O address
 * @gfp: flags for the allocation of tables
 *
 * Context: any that @gfp allows; needs no lock
 * Return: the entry, or NULL if a table can't be allocated
 */
unsigned long *s390_iot_walk_pte(unsigned long *root, enum s390_iot_level top,
				 u64 iova, gfp_t gfp)
{
	unsigned long *step, *pto, old;

	step = s390_iot_walk_ste(root, top, iova, gfp, NULL);
	if (!step)
		return NULL;

	old = READ_ONCE(*step);
	if (!s390_iot_entry_valid(old)) {
		pto = s390_iot_alloc_pt(gfp);
		if (!pto)
			return NULL;
		if (try_cmpxchg(step, &old, s390_iot_ste(virt_to_phys(pto))))
			return pto + s390_iot_index(S390_IOT_PT, iova);
		kmem_cache_free(s390_iot_pt_cache, pto);
	}
	return s390_iot_next(S390_IOT_ST, old) +
	       s390_iot_index(S390_IOT_PT, iova);
}

/**
 * s390_iot_find_ste() - find the next segment that has a page table
 * @root: segment or region table
 * @top: level of @root
 * @iova: where to begin; set to the first I/O address from there on whose
 *	  segment table entry is valid
 * @last: last I/O address to look at
 *
 * Takes time in proportion to the tables that exist, not to the range.
 *
 * Context: process; needs no lock but what keeps tables from being freed. Those
 * that appear meanwhile may be seen or not.
 * Return: true if there is such an address
 */
bool s390_iot_find_ste(unsigned long *root, enum s390_iot_level top, u64 *iova,
		       u64 last)
{
	enum s390_iot_level level;
	unsigned long *table, entry;
	u64 addr = *iova, skip;
	unsigned int run;

	while (addr <= last) {
		table = root;
		for (level = top;; level--) {
			entry = READ_ONCE(table[s390_iot_index(level, addr)]);
			if (!s390_iot_entry_valid(entry))
				break;
			if (level == S390_IOT_ST) {
				*iova = addr;
				return true;
			}
			table = s390_iot_next(level, entry);
		}
		/* Above them there are far fewer, and each takes but a moment */
		if (level == S390_IOT_ST)
			cond_resched();
		/*
		 * All invalid entries are the same, and no two valid ones are:
		 * should the first have become valid it is a run of its own.
		 */
		run = s390_iot_run(&table[s390_iot_index(level, addr)],
				   s390_iot_run_nr(level, addr, last));
		skip = s390_iot_run_last(level, addr, run);
		if (skip >= last)
			break;
		addr = skip + 1;
	}
	return false;
}

/**
 * s390_iot_has_mappings() - does a table translate any address?
 * @root: segment or region table
 * @top: level of @root
 *
 * Context: process. The answer lasts while the caller keeps writers away.
 * Return: true if there is a valid page table entry
 */
bool s390_iot_has_mappings(unsigned long *root, enum s390_iot_level top)
{
	unsigned long *ptep;
	unsigned int px;
	u64 iova = 0;

	while (s390_iot_find_ste(root, top, &iova, s390_iot_last(top))) {
		ptep = s390_iot_lookup_pte(root, top, iova);
		for (px = 0; ptep && px < ZPCI_PT_ENTRIES; px++)
			if (s390_iot_pte_valid(READ_ONCE(ptep[px])))
				return true;
		iova = s390_iot_span_last(S390_IOT_ST, iova);
		if (iova == s390_iot_last(top))
			break;
		iova++;
		cond_resched();
	}
	return false;
}
