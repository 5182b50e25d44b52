// SPDX-License-Identifier: GPL-2.0
/*
 * Pruning: a shadow gives back host tables that translate nothing
 *
 * A host page table is kept when its last entry becomes invalid, since a guest
 * that maps and unmaps does so in the same place again. Tables above it are kept
 * too. So that a guest can't make them pile up by mapping here and there, they
 * are pruned when there are more of them than what is mapped can need: see
 * S390_SHADOW_PRUNE_MIN.
 *
 * Invariants that this file keeps: tables leave the tree only while no refresh
 * is in progress (&s390_shadow.tree_lock is held for writing), which finds its way
 * through them without a lock; and they are freed after a host refresh.
 */

#include <linux/mm.h>
#include <linux/sched.h>

#include "s390-shadow.h"

/*
 * The function may look into a table that left the tree until it is told. All
 * entries of the table are invalid, and of an invalid entry nothing else means
 * anything: the rest of the first one links the table to the next.
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
 * @batch: the batch; the function has forgotten what it took out
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
 * s390_shadow_move_tables() - from one batch to another
 * @from: has no segment and region tables afterwards
 * @to: has them on top of its own
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
 * Take what is empty out of a table, and what becomes empty by that. Calls
 * itself, once for each level.
 *
 * Return: true if the table itself is empty
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
 * s390_shadow_prune() - give back empty host tables
 * @shadow: the shadow; &s390_shadow.tree_lock is not held
 * @batchp: an empty batch; NULL afterwards if the host refresh failed
 *
 * Does nothing if a refresh is in progress elsewhere: the last of them to end
 * will come here, too. Unless there are very many tables: then it waits.
 *
 * Context: process; sleeps
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
		/* On failure the tables wait in limbo, like anything else */
		s390_shadow_batch_flush(shadow, batchp);
	}
	up_write(&shadow->tree_lock);
}
