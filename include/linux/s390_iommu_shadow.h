/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Nested domains of s390 PCI functions, as other parts of the kernel see them
 */
#ifndef _LINUX_S390_IOMMU_SHADOW_H
#define _LINUX_S390_IOMMU_SHADOW_H

#include <linux/types.h>

struct seq_file;
struct zpci_dev;

/**
 * enum s390_shadow_pass - passes of a refresh over its range
 * @S390_SHADOW_PASS_MAP: map and unmap
 * @S390_SHADOW_PASS_UNMAP: rest of a pass that ran out of resources: only unmap,
 *	then begin another @S390_SHADOW_PASS_MAP
 * @S390_SHADOW_PASS_MAKE_ROOM: only unmap, retry host refreshes that failed, then
 *	begin another @S390_SHADOW_PASS_MAP
 */
enum s390_shadow_pass {
	S390_SHADOW_PASS_MAP,
	S390_SHADOW_PASS_UNMAP,
	S390_SHADOW_PASS_MAKE_ROOM,
};

/**
 * struct s390_shadow_walk - progress of a refresh
 * @first: first I/O address of the range
 * @last: last I/O address of the range (inclusive)
 * @next: first I/O address that is not done in this pass
 * @pass: the current pass
 * @retried: there was a pass to unmap; the next lack of resources is an error
 * @made_room: there was a pass to make room; don't begin another one
 * @shadow_nr: number of the shadow that the range belongs to, 0 for none
 *
 * Private to the IOMMU driver. Callers of s390_iommu_refresh() zero it before the
 * first call.
 */
struct s390_shadow_walk {
	u64 first;
	u64 last;
	u64 next;
	enum s390_shadow_pass pass;
	bool retried;
	bool made_room;
	u64 shadow_nr;
};

#ifdef CONFIG_S390_IOMMU_SHADOW

int s390_iommu_refresh(struct zpci_dev *zdev, u64 start, u64 len,
		       struct s390_shadow_walk *walk);
void s390_shadow_show(struct zpci_dev *zdev, struct seq_file *m);

#else

static inline void s390_shadow_show(struct zpci_dev *zdev, struct seq_file *m)
{
}

#endif /* CONFIG_S390_IOMMU_SHADOW */

#endif /* _LINUX_S390_IOMMU_SHADOW_H */
