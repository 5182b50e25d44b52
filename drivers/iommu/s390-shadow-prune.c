// SPDX-License-Identifier: GPL-2.0
/*
 * Pruning: free empty host tables
 *
 * A host page table is kept when its last entry becomes invalid, because guests
 * reuse I/O addresses. The tables above it are kept, too. Empty tables are pruned
 * when there are more tables than the mapped frames can need, see
 * S390_SHADOW_PRUNE_MIN. Otherwise a guest could use up memory by mapping one
 * frame after the other in different segments.
 *
 * Invariants: segment and region tables are removed under &s390_shadow.tree_lock
 * for writing, because refreshes walk them without a bucket lock. They are freed
 * after a host refresh.
 */

#include <linux/mm.h>
#include <linux/sched.h>

#include "s390-shadow.h"

/*
 * Add @table to the list of removed tables. The function may read the table until
 * the host refresh, so the link to the next table is stored in the ignored bits
 * of its first entry, which stays invalid.
 */
static void batch_add_table(struct s390_shadow_batch *batch,
			    unsigned long *table)
{
	WRITE_ONCE(table[0], (unsigned long)batch->tables | ZPCI_TABLE_INVALID);
	batch->tables = table;
}

static unsigned long *next_table(const unsigned long *table)
{
	return (unsigned long *)(table[0] & ZPCI_RTE_ADDR_MASK);
}

/**
 * s390_shadow_free_tables() - free the segment and region tables of a batch
 * @shadow: the shadow
 * @batch: the batch, whose host refresh has succeeded
 *
 * Context: process
 */
void s390_shadow_free_tables(struct s390_shadow *shadow,
			     struct s390_shadow_batch *batch)
{
	unsigned long *table = batch->tables;
	unsigned long *next;

	for (; table; table = next) {
		next = next_table(table);
		dma_free_cpu_table(table);
		atomic64_dec(&shadow->tables);
	}
	batch->tables = NULL;
}

/**
 * s390_shadow_move_tables() - move segment and region tables to another batch
 * @from: the batch that loses the tables
 * @to: the batch that gets them
 */
void s390_shadow_move_tables(struct s390_shadow_batch *from,
			     struct s390_shadow_batch *to)
{
	unsigned long *table = from->tables;
	unsigned long *next;

	for (; table; table = next) {
		next = next_table(table);
		batch_add_table(to, table);
	}
	from->tables = NULL;
}

/*
 * Remove empty tables below @table, bottom up. Recurses once for each level.
 *
 * Return: true if @table is empty
 */
static bool prune_table(struct s390_shadow *shadow,
			struct s390_shadow_batch *batch, unsigned long *table,
			enum zpci_table_level level, u64 iova)
{
	u64 span = BIT_ULL(zpci_table_shift(level));
	bool empty = true;
	unsigned int i;

	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++, iova += span) {
		unsigned long *next;

		if (!reg_entry_isvalid(table[i]))
			continue;
		next = dma_next_cpu_table(level, table[i]);
		if (level == ZPCI_LEVEL_ST) {
			if (page_private(virt_to_page(next))) {
				empty = false;
				continue;
			}
			s390_shadow_unlink_pt(shadow, batch, &table[i], iova);
		} else {
			if (!prune_table(shadow, batch, next, level - 1, iova)) {
				empty = false;
				continue;
			}
			WRITE_ONCE(table[i], ZPCI_TABLE_INVALID);
			batch_add_table(batch, next);
			s390_shadow_batch_add_range(batch, iova, iova + span - 1);
		}
		atomic64_inc(&shadow->tables_pruned);
	}
	cond_resched();
	return empty;
}

/**
 * s390_shadow_prune() - free empty host tables
 * @shadow: the shadow
 * @batchp: an empty batch; set to NULL if the host refresh failed
 *
 * Returns at once if a refresh is in progress, which will prune when it ends.
 * With four times as many tables as the limit it waits for the refresh.
 *
 * Context: process; sleeps. &s390_shadow.tree_lock must not be held.
 */
void s390_shadow_prune(struct s390_shadow *shadow,
		       struct s390_shadow_batch **batchp)
{
	struct s390_shadow_batch *batch = *batchp;

	if (!down_write_trylock(&shadow->tree_lock)) {
		u64 used = atomic64_read(&shadow->pts_used);

		if (atomic64_read(&shadow->tables) <
		    4 * (S390_SHADOW_PRUNE_MIN + S390_SHADOW_PRUNE_FACTOR * used))
			return;
		if (down_write_killable(&shadow->tree_lock))
			return;
	}
	if (!READ_ONCE(shadow->dead)) {
		prune_table(shadow, batch, shadow->root, shadow->top, 0);
		/* On failure the tables wait in failed_batches */
		s390_shadow_batch_flush(shadow, batchp);
	}
	up_write(&shadow->tree_lock);
}
