/* SPDX-License-Identifier: GPL-2.0 */
/*
 * I/O translation tables of the host: allocate, walk, free
 *
 * The format of entries is in <linux/s390_iotable.h>.
 */
#ifndef _S390_IOTABLE_H
#define _S390_IOTABLE_H

#include <linux/gfp_types.h>
#include <linux/io.h>
#include <linux/s390_iotable.h>

/**
 * dma_next_cpu_table() - get the table that a valid host entry points to
 * @level: level of the table that @entry is from
 * @entry: a valid segment or region table entry of a host table
 *
 * Return: the table of the next lower level
 */
static inline unsigned long *dma_next_cpu_table(enum zpci_table_level level,
						unsigned long entry)
{
	if (level == ZPCI_LEVEL_ST)
		return phys_to_virt(entry & ZPCI_STE_ADDR_MASK);
	return phys_to_virt(entry & ZPCI_RTE_ADDR_MASK);
}

/* Of a host table, which this kernel wrote */
static __always_inline int dma_fetch_cpu_entry(void *ctx, enum zpci_table_level level,
					       u64 addr, u64 *entry)
{
	*entry = READ_ONCE(*(u64 *)phys_to_virt(addr));
	return 0;
}

/**
 * dma_lookup_table() - find the table of a level for an I/O address
 * @root: segment or region table of the host
 * @top: level of @root
 * @level: level of the table to find
 * @iova: I/O address
 *
 * Context: any; the caller keeps tables from being freed
 * Return: the table, or NULL if there is none
 */
static __always_inline unsigned long *
dma_lookup_table(unsigned long *root, enum zpci_table_level top,
		 const enum zpci_table_level level, u64 iova)
{
	struct dma_walk walk = {
		.iova = iova, .top = top, .addr = virt_to_phys(root),
	};

	if (dma_walk_trans(&walk, level, dma_fetch_cpu_entry, NULL) !=
	    ZPCI_ENTRY_TABLE)
		return NULL;
	return phys_to_virt(walk.addr);
}

/**
 * dma_lookup_seg_trans() - find the segment table entry of an I/O address
 * @root: segment or region table of the host
 * @top: level of @root
 * @iova: I/O address
 *
 * Context: any; the caller keeps tables from being freed
 * Return: the entry, or NULL if there is no segment table
 */
static inline unsigned long *dma_lookup_seg_trans(unsigned long *root,
						  enum zpci_table_level top, u64 iova)
{
	unsigned long *st = dma_lookup_table(root, top, ZPCI_LEVEL_ST, iova);

	return st ? st + zpci_table_index(ZPCI_LEVEL_ST, iova) : NULL;
}

/**
 * dma_lookup_cpu_trans() - find the page table entry of an I/O address
 * @root: segment or region table of the host
 * @top: level of @root
 * @iova: I/O address
 *
 * Context: any; the caller keeps tables from being freed
 * Return: the entry, or NULL if there is no page table
 */
static inline unsigned long *dma_lookup_cpu_trans(unsigned long *root,
						  enum zpci_table_level top, u64 iova)
{
	unsigned long *pt = dma_lookup_table(root, top, ZPCI_LEVEL_PT, iova);

	return pt ? pt + zpci_table_index(ZPCI_LEVEL_PT, iova) : NULL;
}

int dma_alloc_cpu_table_caches(void);
unsigned long *dma_alloc_cpu_table(gfp_t gfp);
unsigned long *dma_alloc_cpu_table_raw(gfp_t gfp);
void dma_free_cpu_table(unsigned long *table);
void dma_cleanup_tables(unsigned long *root, enum zpci_table_level top);
unsigned long *dma_walk_seg_trans(unsigned long *root, enum zpci_table_level top,
				  u64 iova, gfp_t gfp, unsigned int *nr);
unsigned long *dma_walk_cpu_trans(unsigned long *root, enum zpci_table_level top,
				  u64 iova, gfp_t gfp);
bool dma_find_seg_trans(unsigned long *root, enum zpci_table_level top, u64 *iova,
			u64 last);
bool dma_has_cpu_trans(unsigned long *root, enum zpci_table_level top);

#endif /* _S390_IOTABLE_H */
