/* SPDX-License-Identifier: GPL-2.0 */
/*
 * I/O translation tables of the host
 *
 * How they are allocated, walked and freed. What their entries look like is in
 * <linux/s390_iotable.h>.
 */
#ifndef _S390_IOTABLE_H
#define _S390_IOTABLE_H

#include <linux/gfp_types.h>
#include <linux/io.h>
#include <linux/s390_iotable.h>

/**
 * s390_iot_next() - the table that a valid host entry leads to
 * @level: level of the table that @entry is from
 * @entry: a valid segment or region table entry of a host table
 *
 * Return: the table of the next lower level
 */
static inline unsigned long *s390_iot_next(enum s390_iot_level level,
					   unsigned long entry)
{
	if (level == S390_IOT_ST)
		return phys_to_virt(entry & ZPCI_STE_ADDR_MASK);
	return phys_to_virt(entry & ZPCI_RTE_ADDR_MASK);
}

int s390_iot_init(void);
unsigned long *s390_iot_alloc_table(gfp_t gfp);
unsigned long *s390_iot_alloc_raw(gfp_t gfp);
void s390_iot_free_table(unsigned long *table);
void s390_iot_free_tree(unsigned long *root, enum s390_iot_level top);
unsigned long *s390_iot_lookup_ste(unsigned long *root, enum s390_iot_level top,
				   u64 iova);
unsigned long *s390_iot_lookup_pte(unsigned long *root, enum s390_iot_level top,
				   u64 iova);
unsigned long *s390_iot_walk_ste(unsigned long *root, enum s390_iot_level top,
				 u64 iova, gfp_t gfp, unsigned int *nr);
unsigned long *s390_iot_walk_pte(unsigned long *root, enum s390_iot_level top,
				 u64 iova, gfp_t gfp);
bool s390_iot_find_ste(unsigned long *root, enum s390_iot_level top, u64 *iova,
		       u64 last);
bool s390_iot_has_mappings(unsigned long *root, enum s390_iot_level top);

#endif /* _S390_IOTABLE_H */
