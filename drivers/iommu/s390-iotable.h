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

int dma_alloc_cpu_table_caches(void);
unsigned long *dma_alloc_cpu_table(gfp_t gfp);
unsigned long *dma_alloc_cpu_table_raw(gfp_t gfp);
void dma_free_cpu_table(unsigned long *table);
void dma_cleanup_tables(unsigned long *root, enum zpci_table_level top);
unsigned long *dma_lookup_seg_trans(unsigned long *root, enum zpci_table_level top,
				    u64 iova);
unsigned long *dma_lookup_cpu_trans(unsigned long *root, enum zpci_table_level top,
				    u64 iova);
unsigned long *dma_walk_seg_trans(unsigned long *root, enum zpci_table_level top,
				  u64 iova, gfp_t gfp, unsigned int *nr);
unsigned long *dma_walk_cpu_trans(unsigned long *root, enum zpci_table_level top,
				  u64 iova, gfp_t gfp);
bool dma_find_seg_trans(unsigned long *root, enum zpci_table_level top, u64 *iova,
			u64 last);
bool dma_has_cpu_trans(unsigned long *root, enum zpci_table_level top);

#endif /* _S390_IOTABLE_H */
