// SPDX-License-Identifier: GPL-2.0
/*
 * Unmap guest memory that goes away
 *
 * Invariant: when s390_shadow_unmap_gpa_range() returns, the function can't reach
 * the frames of the range, and none of them is pinned. It does not fail and does
 * not allocate: it uses a preallocated batch. If the host refresh fails, it
 * detaches the function from the table.
 */

#include <linux/mm.h>
#include <linux/sched.h>

#include "s390-shadow.h"

static void segment_unmap_gpa_range(struct s390_shadow *shadow,
				    struct s390_shadow_batch *batch, u64 iova,
				    u64 gaddr, u64 last)
{
	struct s390_shadow_segment seg = {
		.shadow = shadow,
		.batch = batch,
		.iova = iova,
		.bucket = s390_shadow_bucket(iova),
	};
	struct s390_shadow_bucket *bucket = &shadow->buckets[seg.bucket];
	unsigned long *step;
	unsigned int px;
	u64 *mirror;

	mutex_lock(&bucket->lock);
	step = dma_lookup_seg_trans(shadow->root, shadow->top, iova);
	if (!reg_entry_isvalid(READ_ONCE(*step)))
		goto out;
	seg.pt = dma_next_cpu_table(ZPCI_LEVEL_ST, READ_ONCE(*step));
	mirror = s390_shadow_mirror(seg.pt);
	for (px = 0; px < ZPCI_PT_ENTRIES; px++) {
		u64 addr = mirror[px] & ZPCI_PTE_ADDR_MASK;

		if (pt_entry_isvalid(mirror[px]) && addr >= gaddr &&
		    addr <= last)
			s390_shadow_segment_unmap(&seg, px, 1);
	}
	s390_shadow_segment_account(&seg);
out:
	mutex_unlock(&bucket->lock);
}

/* Flush the spare batch; return false if the host refresh fails twice */
static bool flush_spare(struct s390_shadow *shadow)
{
	struct s390_shadow_batch *batch = shadow->spare;

	return !s390_shadow_batch_flush(shadow, &batch) ||
	       !s390_shadow_retry_flush(shadow);
}

static bool unmap_gpa_range(struct s390_shadow *shadow, u64 gaddr, u64 last)
{
	struct s390_shadow_batch *batch = shadow->spare;
	u64 iova = shadow->cfg.pba & ZPCI_SEGMENT_MASK;
	u64 pal = shadow->cfg.pal;

	s390_shadow_init_batch(batch);
	while (dma_find_seg_trans(shadow->root, shadow->top, &iova, pal)) {
		segment_unmap_gpa_range(shadow, batch, iova, gaddr, last);
		if (batch->nr > S390_SHADOW_BATCH_FRAMES - ZPCI_PT_ENTRIES &&
		    !flush_spare(shadow))
			return false;
		iova = zpci_span_last(ZPCI_LEVEL_ST, iova);
		if (iova >= pal)
			break;
		iova++;
		cond_resched();
	}
	/* Batches of refreshes in progress may hold frames of the range */
	s390_shadow_batch_add_unflushed(shadow, batch, shadow->cfg.pba, pal);
	if (!flush_spare(shadow))
		return false;
	/* So may batches whose host refresh failed */
	return !s390_shadow_retry_flush(shadow);
}

/**
 * s390_shadow_unmap_gpa_range() - unmap and unpin a range of guest memory
 * @shadow: the shadow; the caller holds a reference
 * @gaddr: first guest absolute address of the range
 * @last: last guest absolute address of the range (inclusive)
 *
 * Unmaps the frames from the function, whatever the guest's table says. A later
 * refresh pins and maps a frame again if the pin operation finds it. So the
 * caller must make the pin operation fail for the range before the call.
 *
 * Context: process; sleeps. Waits for refreshes in progress. May take the locks
 * that s390_shadow_engine_teardown() and the host operations take.
 */
void s390_shadow_unmap_gpa_range(struct s390_shadow *shadow, u64 gaddr, u64 last)
{
	bool done = true;

	mutex_lock(&shadow->spare_lock);
	down_read(&shadow->tree_lock);
	/* Not if it is just dead: teardown may not have unmapped anything yet */
	if (!shadow->gone)
		done = unmap_gpa_range(shadow, gaddr, last);
	up_read(&shadow->tree_lock);
	if (!done)
		shadow->host_ops->detach(shadow->host);
	/* Wait for refreshes whose batches still hold pins */
	down_write(&shadow->tree_lock);
	up_write(&shadow->tree_lock);
	mutex_unlock(&shadow->spare_lock);
}
