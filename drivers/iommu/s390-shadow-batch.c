// SPDX-License-Identifier: GPL-2.0
/*
 * Batches: frames and tables that wait for a host refresh
 *
 * Invariant: a page is unpinned, and a table freed, only after a host refresh
 * that covers it has succeeded. If the refresh fails, the batch is queued in
 * failed_batches. The next s390_shadow_refresh() begins with a refresh of the
 * whole aperture, which releases these batches. Teardown releases them, too: the
 * function does not use the table any more.
 *
 * Every page is charged before it is pinned, and uncharged after it is unpinned.
 */

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "s390-shadow.h"
#include <trace/events/s390_shadow.h>

/**
 * s390_shadow_alloc_batch() - allocate a batch
 * @gfp: allocation flags
 *
 * Context: process; sleeps
 * Return: an empty batch or NULL
 */
struct s390_shadow_batch *s390_shadow_alloc_batch(gfp_t gfp)
{
	struct s390_shadow_batch *batch;

	batch = kmalloc_obj(*batch, gfp);
	if (!batch)
		return NULL;
	batch->charged = gfp & __GFP_ACCOUNT;
	batch->walk_cache = (struct s390_shadow_walk_cache) {};
	s390_shadow_init_batch(batch);
	return batch;
}

static void batch_clear_range(struct s390_shadow_batch *batch)
{
	batch->refresh = false;
	batch->first = U64_MAX;
	batch->last = 0;
}

/**
 * s390_shadow_init_batch() - initialize a batch
 * @batch: the batch; it keeps the memory of its walk cache
 */
void s390_shadow_init_batch(struct s390_shadow_batch *batch)
{
	batch->nr = 0;
	INIT_LIST_HEAD(&batch->pts);
	batch->tables = NULL;
	batch->buckets = 0;
	batch_clear_range(batch);
	batch->budget = S390_SHADOW_BUDGET;
	batch->walk_cache.valid = false;
}

static void destroy_batch(struct s390_shadow_batch *batch)
{
	if (batch->walk_cache.table)
		dma_free_cpu_table(batch->walk_cache.table);
	kfree(batch);
}

/**
 * s390_shadow_free_batch() - free an empty batch
 * @shadow: the shadow
 * @batch: the batch or NULL
 *
 * Keeps the spare batch of @shadow, and one idle batch for the next refresh, if
 * it is charged.
 *
 * Context: process
 */
void s390_shadow_free_batch(struct s390_shadow *shadow,
			    struct s390_shadow_batch *batch)
{
	if (!batch || batch == shadow->spare)
		return;
	if (!batch->charged || cmpxchg(&shadow->idle, NULL, batch))
		destroy_batch(batch);
}

/**
 * s390_shadow_free_idle() - free the idle batch
 * @shadow: the shadow
 */
void s390_shadow_free_idle(struct s390_shadow *shadow)
{
	struct s390_shadow_batch *batch = xchg(&shadow->idle, NULL);

	if (batch)
		destroy_batch(batch);
}

/**
 * s390_shadow_free_pt() - free a shadow page table
 * @shadow: the shadow
 * @page: the page table, which the function can't reach any more
 */
void s390_shadow_free_pt(struct s390_shadow *shadow, struct page *page)
{
	atomic64_dec(&shadow->tables);
	set_page_private(page, 0);
	__free_page(page);
}

/**
 * s390_shadow_batch_release() - unpin the frames and free the tables of a batch
 * @shadow: the shadow
 * @batch: the batch, whose host refresh has succeeded; empty afterwards
 *
 * Context: process; sleeps
 */
void s390_shadow_batch_release(struct s390_shadow *shadow,
			       struct s390_shadow_batch *batch)
{
	struct page *page, *tmp;
	u64 buckets;

	s390_shadow_unpin(shadow, batch->frames, batch->nr);
	batch->nr = 0;

	list_for_each_entry_safe(page, tmp, &batch->pts, lru) {
		list_del(&page->lru);
		s390_shadow_free_pt(shadow, page);
	}
	if (batch->tables)
		s390_shadow_free_tables(shadow, batch);

	for (buckets = batch->buckets; buckets;
	     buckets &= ~BIT_ULL(__fls(buckets))) {
		atomic_dec_return_release(&shadow->buckets[__fls(buckets)].unflushed);
		atomic_dec_return_release(&shadow->unflushed);
	}
	batch->buckets = 0;

	batch_clear_range(batch);
}

/**
 * s390_shadow_batch_add_unflushed() - add a range if other batches are unflushed
 * @shadow: the shadow
 * @batch: the batch whose host refresh shall cover the range
 * @first: first I/O address of the range
 * @last: last I/O address of the range (inclusive)
 *
 * Call this after skipping empty segments without their locks: another batch may
 * have emptied them and not refreshed the host yet.
 */
void s390_shadow_batch_add_unflushed(struct s390_shadow *shadow,
				     struct s390_shadow_batch *batch, u64 first,
				     u64 last)
{
	/* Pairs with s390_shadow_batch_mark_bucket() */
	smp_rmb();
	if (atomic_read_acquire(&shadow->unflushed) >
	    (int)hweight64(batch->buckets))
		s390_shadow_batch_add_range(batch, first, last);
}

/* 2^64 does not fit in u64 */
static noinline int shadow_call_refresh_twice(struct s390_shadow *shadow)
{
	u64 half = 1ULL << 63;

	return shadow->host_ops->refresh(shadow->host, 0, half) ?:
	       shadow->host_ops->refresh(shadow->host, half, half);
}

static inline int shadow_call_refresh(struct s390_shadow *shadow, u64 first,
				      u64 last)
{
	u64 size = last - first + 1;

	if (!size)
		return shadow_call_refresh_twice(shadow);
	return shadow->host_ops->refresh(shadow->host, first, size);
}

/*
 * The underlying hypervisor ran out of resources. Refresh the whole aperture, so
 * that it frees all mappings that are gone from the table.
 */
static noinline int shadow_refresh_all(struct s390_shadow *shadow)
{
	atomic64_inc(&shadow->refreshes);
	return shadow_call_refresh(shadow, shadow->cfg.pba, shadow->cfg.pal);
}

static __always_inline int shadow_host_refresh(struct s390_shadow *shadow,
					       u64 first, u64 last)
{
	int rc;

	/* Tables reach beyond the aperture: clamp the range to it */
	first = max(first, shadow->cfg.pba);
	last = min(last, shadow->cfg.pal);

	atomic64_inc(&shadow->refreshes);
	rc = shadow_call_refresh(shadow, first, last);
	if (unlikely(rc == -ENOMEM))
		rc = shadow_refresh_all(shadow);
	if (rc)
		atomic64_inc(&shadow->refresh_errors);
	return rc;
}

static bool batch_is_empty(const struct s390_shadow_batch *batch)
{
	return !batch->nr && list_empty(&batch->pts) && !batch->tables &&
	       !batch->buckets;
}

/* Move the contents of @batch to @into; return false if there is no room */
static bool batch_merge(struct s390_shadow *shadow,
			struct s390_shadow_batch *into,
			struct s390_shadow_batch *batch)
{
	u64 both = into->buckets & batch->buckets;
	unsigned int i;

	if (into->nr + batch->nr > ARRAY_SIZE(into->frames))
		return false;
	memcpy(&into->frames[into->nr], batch->frames,
	       batch->nr * sizeof(batch->frames[0]));
	into->nr += batch->nr;
	batch->nr = 0;
	list_splice_init(&batch->pts, &into->pts);
	s390_shadow_move_tables(batch, into);
	/* The two batches count once in a bucket from now on */
	for (i = 0; both; i++, both >>= 1) {
		if (both & 1) {
			atomic_dec(&shadow->buckets[i].unflushed);
			atomic_dec(&shadow->unflushed);
		}
	}
	into->buckets |= batch->buckets;
	batch->buckets = 0;
	return true;
}

/*
 * Queue @batch, whose host refresh failed. Fill the queued batches first: a guest
 * can repeat this and must not allocate a batch each time.
 */
static void queue_failed_batch(struct s390_shadow *shadow,
			       struct s390_shadow_batch *batch)
{
	struct s390_shadow_batch *into;

	mutex_lock(&shadow->failed_lock);
	WRITE_ONCE(shadow->flush_failed, true);
	into = list_first_entry_or_null(&shadow->failed_batches,
					struct s390_shadow_batch, node);
	if (batch_is_empty(batch) ||
	    (into && batch_merge(shadow, into, batch))) {
		/* The spare batch is not freed but used again */
		batch_clear_range(batch);
		s390_shadow_free_batch(shadow, batch);
	} else {
		list_add(&batch->node, &shadow->failed_batches);
	}
	mutex_unlock(&shadow->failed_lock);
}

/**
 * s390_shadow_batch_flush() - refresh the host, then release a batch
 * @shadow: the shadow
 * @batchp: the batch, empty afterwards. On failure the batch is queued in
 *	    &s390_shadow.failed_batches and *@batchp is set to NULL.
 *
 * Context: process; sleeps. &s390_shadow.tree_lock is held.
 * Return: 0, or the error of the host refresh: -ENOMEM or -EIO
 */
int s390_shadow_batch_flush(struct s390_shadow *shadow,
			    struct s390_shadow_batch **batchp)
{
	struct s390_shadow_batch *batch = *batchp;
	int rc;

	if (!batch->refresh) {
		s390_shadow_batch_release(shadow, batch);
		return 0;
	}

	rc = shadow_host_refresh(shadow, batch->first, batch->last);
	trace_s390_shadow_flush(shadow->id, batch->first, batch->last,
				batch->nr, rc);
	if (!rc) {
		s390_shadow_batch_release(shadow, batch);
		return 0;
	}

	queue_failed_batch(shadow, batch);
	*batchp = NULL;
	return rc;
}

/**
 * s390_shadow_retry_flush() - retry host refreshes that failed
 * @shadow: the shadow
 *
 * Refreshes the whole aperture, then releases all failed batches. Does nothing if
 * no host refresh has failed.
 *
 * Context: process; sleeps. &s390_shadow.tree_lock is held.
 * Return: 0, or the error of the host refresh: -ENOMEM or -EIO
 */
int s390_shadow_retry_flush(struct s390_shadow *shadow)
{
	struct s390_shadow_batch *batch, *tmp;
	int rc = 0;

	mutex_lock(&shadow->failed_lock);
	if (shadow->flush_failed) {
		rc = shadow_host_refresh(shadow, shadow->cfg.pba,
					 shadow->cfg.pal);
		if (rc)
			goto out;
		list_for_each_entry_safe(batch, tmp, &shadow->failed_batches, node) {
			list_del(&batch->node);
			s390_shadow_batch_release(shadow, batch);
			s390_shadow_free_batch(shadow, batch);
		}
		WRITE_ONCE(shadow->flush_failed, false);
	}
out:
	mutex_unlock(&shadow->failed_lock);
	return rc;
}
