// SPDX-License-Identifier: GPL-2.0
/*
 * I/O translation tables of s390 PCI functions: allocation and walk
 *
 * A host table is a region-third table whose segment and page tables appear as
 * they are needed. Walks that allocate may run side by side without a lock: an
 * upper-level entry goes from invalid to valid by compare-and-swap, once, and
 * the loser of a race gives back its table. Upper-level entries that the
 * functions here made valid stay so until s390_iot_free_tree().
 *
 * What is written through s390_iot_lookup_ste() is the business of the caller:
 * the shadow (s390-shadow.c) keeps page tables of its own behind it.
 */

#include <linux/io.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <kunit/static_stub.h>

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
 * s390_iot_alloc_table() - allocate a region or segment table
 * @gfp: allocation flags
 *
 * Return: a table of 2048 invalid entries, or NULL. Freed by
 * s390_iot_free_table() or with the tree that it becomes part of.
 */
unsigned long *s390_iot_alloc_table(gfp_t gfp)
{
	unsigned long *table;

	KUNIT_STATIC_STUB_REDIRECT(s390_iot_alloc_table, gfp);

	table = kmem_cache_alloc(s390_iot_table_cache, gfp);
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

static unsigned long *s390_iot_next(enum s390_iot_level level,
				    unsigned long entry)
{
	if (level == S390_IOT_RT)
		return phys_to_virt(entry & ZPCI_RTE_ADDR_MASK);
	return phys_to_virt(entry & ZPCI_STE_ADDR_MASK);
}

/**
 * s390_iot_free_tree() - free a table with all that hangs below it
 * @rto: region-third table or NULL
 *
 * The page tables must be those that s390_iot_walk_pte() allocated. The caller
 * makes sure that no function translates with the table any more.
 */
void s390_iot_free_tree(unsigned long *rto)
{
	unsigned int rtx, sx;
	unsigned long *sto;

	if (!rto)
		return;

	for (rtx = 0; rtx < ZPCI_TABLE_ENTRIES; rtx++) {
		if (!s390_iot_entry_valid(rto[rtx]))
			continue;
		sto = s390_iot_next(S390_IOT_RT, rto[rtx]);
		for (sx = 0; sx < ZPCI_TABLE_ENTRIES; sx++)
			if (s390_iot_entry_valid(sto[sx]))
				kmem_cache_free(s390_iot_pt_cache,
						s390_iot_next(S390_IOT_ST,
							      sto[sx]));
		s390_iot_free_table(sto);
	}
	s390_iot_free_table(rto);
}

/**
 * s390_iot_lookup_ste() - find the segment table entry of an I/O address
 * @rto: region-third table
 * @iova: I/O address
 *
 * Return: the entry, or NULL if there is no segment table
 */
unsigned long *s390_iot_lookup_ste(unsigned long *rto, u64 iova)
{
	unsigned long rte = READ_ONCE(rto[s390_iot_index(S390_IOT_RT, iova)]);

	if (!s390_iot_entry_valid(rte))
		return NULL;
	return s390_iot_next(S390_IOT_RT, rte) +
	       s390_iot_index(S390_IOT_ST, iova);
}

/**
 * s390_iot_lookup_pte() - find the page table entry of an I/O address
 * @rto: region-third table
 * @iova: I/O address
 *
 * Return: the entry, or NULL if there is no page table
 */
unsigned long *s390_iot_lookup_pte(unsigned long *rto, u64 iova)
{
	unsigned long *step = s390_iot_lookup_ste(rto, iova);
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
 * @rto: region-third table
 * @iova: I/O address
 * @gfp: flags for the allocation of a segment table
 *
 * Context: any that @gfp allows; needs no lock
 * Return: the entry, or NULL if a table can't be allocated
 */
unsigned long *s390_iot_walk_ste(unsigned long *rto, u64 iova, gfp_t gfp)
{
	unsigned long *rtep = &rto[s390_iot_index(S390_IOT_RT, iova)];
	unsigned long *sto, old;

	old = READ_ONCE(*rtep);
	if (!s390_iot_entry_valid(old)) {
		sto = s390_iot_alloc_table(gfp);
		if (!sto)
			return NULL;
		old = cmpxchg(rtep, ZPCI_TABLE_INVALID,
			      s390_iot_rte(virt_to_phys(sto)));
		if (old == ZPCI_TABLE_INVALID)
			return sto + s390_iot_index(S390_IOT_ST, iova);
		/* Someone else was faster: use theirs */
		s390_iot_free_table(sto);
	}
	return s390_iot_next(S390_IOT_RT, old) +
	       s390_iot_index(S390_IOT_ST, iova);
}

/**
 * s390_iot_walk_pte() - find or make the page table entry of an I/O address
 * @rto: region-third table
 * @iova: I/O address
 * @gfp: flags for the allocation of tables
 *
 * Context: any that @gfp allows; needs no lock
 * Return: the entry, or NULL if a table can't be allocated
 */
unsigned long *s390_iot_walk_pte(unsigned long *rto, u64 iova, gfp_t gfp)
{
	unsigned long *step, *pto, old;

	step = s390_iot_walk_ste(rto, iova, gfp);
	if (!step)
		return NULL;

	old = READ_ONCE(*step);
	if (!s390_iot_entry_valid(old)) {
		pto = s390_iot_alloc_pt(gfp);
		if (!pto)
			return NULL;
		old = cmpxchg(step, ZPCI_TABLE_INVALID,
			      s390_iot_ste(virt_to_phys(pto)));
		if (old == ZPCI_TABLE_INVALID)
			return pto + s390_iot_index(S390_IOT_PT, iova);
		kmem_cache_free(s390_iot_pt_cache, pto);
	}
	return s390_iot_next(S390_IOT_ST, old) +
	       s390_iot_index(S390_IOT_PT, iova);
}

/**
 * s390_iot_has_mappings() - does a table translate any address?
 * @rto: region-third table
 *
 * Context: process. The answer lasts while the caller keeps writers away.
 * Return: true if there is a valid page table entry
 */
bool s390_iot_has_mappings(unsigned long *rto)
{
	unsigned long *sto, *pto, rte, ste;
	unsigned int rtx, sx, px;

	for (rtx = 0; rtx < ZPCI_TABLE_ENTRIES; rtx++) {
		rte = READ_ONCE(rto[rtx]);
		if (!s390_iot_entry_valid(rte))
			continue;
		sto = s390_iot_next(S390_IOT_RT, rte);
		for (sx = 0; sx < ZPCI_TABLE_ENTRIES; sx++) {
			ste = READ_ONCE(sto[sx]);
			if (!s390_iot_entry_valid(ste))
				continue;
			pto = s390_iot_next(S390_IOT_ST, ste);
			for (px = 0; px < ZPCI_PT_ENTRIES; px++)
				if (s390_iot_pte_valid(READ_ONCE(pto[px])))
					return true;
		}
		cond_resched();
	}
	return false;
}
