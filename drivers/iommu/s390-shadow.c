// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow engine: a guest's I/O translation table mirrored into a host table
 *
 * Invariants that this file keeps:
 *
 * 1. The function never reaches a page that was released: an entry is replaced
 *    or invalidated in the host table, then the host refresh is done, and only
 *    then is the page unpinned. The entry that was swapped out names the page.
 *    If the host refresh fails, the batch waits in limbo with its pages pinned.
 * 2. When a refresh returns 0, the host table equals the guest's table over the
 *    range, as the guest's table stood at some moment after the call, and the
 *    function has forgotten what it was before. All entries that lead to a
 *    segment are fetched under the lock of the segment's bucket, so the last to
 *    hold the lock leaves the latest value. Who finds nothing to change but an
 *    unfinished batch of someone else (bucket->unflushed) does a host refresh
 *    of his own. A segment may be passed over without its lock if neither side
 *    has anything there: before that, locks that are held are waited for, as
 *    their holders may be about to write what they fetched before the call, and
 *    after that, unfinished batches are looked for.
 * 3. Every guest entry is fetched once under the lock, and only the copy is
 *    judged. What s390_shadow_next_segment() fetches without the lock decides
 *    solely whether a segment is looked at.
 * 4. Every pinned page is charged before it is pinned and uncharged after it
 *    was unpinned. Tables are charged to the memory cgroup of the caller.
 * 5. Teardown does not fail and does not allocate.
 *
 * Shadow page tables are pages: the first half is the page table that the
 * function translates with, the second half its mirror, the guest's entries
 * (address and combined protection only) that the first half was made from. To
 * find out that nothing changed, a refresh compares guest entries with the
 * mirror and needs neither the memory slots nor the pin machinery.
 *
 * A shadow page table exists as long as the guest's segment table entry is
 * valid. The guest need not spend as much, since its entries may all lead to
 * the same page table: the limit is that of the memory cgroup, and a page table
 * for each segment of the aperture.
 *
 * Lock order: live -> bucket->lock -> (locks of the guest ops, mmap_lock);
 * live -> limbo_lock. Bucket locks do not nest.
 */

#include <linux/device.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <kunit/static_stub.h>

#include "s390-shadow.h"

#define CREATE_TRACE_POINTS
#include <trace/events/s390_shadow.h>

/**
 * s390_shadow_alloc_leaf() - allocate a shadow page table
 *
 * Return: a page with all entries of both halves invalid, or NULL
 */
struct page *s390_shadow_alloc_leaf(void)
{
	struct page *page;

	KUNIT_STATIC_STUB_REDIRECT(s390_shadow_alloc_leaf);

	page = alloc_page(S390_SHADOW_GFP);
	if (page)
		memset64(page_address(page), ZPCI_PTE_INVALID,
			 2 * ZPCI_PT_ENTRIES);
	return page;
}

static u64 *leaf_mirror(unsigned long *leaf)
{
	return (u64 *)leaf + ZPCI_PT_ENTRIES;
}

/*
 * Write one entry of the host table and of the mirror. The caller owns the
 * bucket's lock; @host is ZPCI_PTE_INVALID or names a pinned page.
 */
static void segment_set(struct s390_shadow_segment *seg, unsigned int px, u64 host,
			u64 want)
{
	struct s390_shadow *shadow = seg->shadow;
	struct s390_shadow_batch *batch = seg->batch;
	u64 iova = seg->iova + ((u64)px << PAGE_SHIFT);
	u64 *mirror = leaf_mirror(seg->leaf);
	u64 old = xchg(&seg->leaf[px], host);

	if (s390_iot_pte_valid(old)) {
		trace_s390_shadow_unmap(shadow->id, iova, mirror[px]);
		atomic64_inc(&shadow->unmapped);
		batch->old[batch->nr++] = old;
		s390_shadow_batch_cover(batch, iova, iova + PAGE_SIZE - 1);
		seg->changed = true;
	}
	if (s390_iot_pte_valid(host)) {
		trace_s390_shadow_map(shadow->id, iova, want);
		atomic64_inc(&shadow->mapped);
		if (shadow->refresh_new) {
			s390_shadow_batch_cover(batch, iova, iova + PAGE_SIZE - 1);
			seg->changed = true;
		}
	}
	mirror[px] = want;
}

static void segment_clear(struct s390_shadow_segment *seg, unsigned int px)
{
	segment_set(seg, px, ZPCI_PTE_INVALID, ZPCI_PTE_INVALID);
}

static void shadow_account_pinned(struct s390_shadow *shadow, unsigned int nr)
{
	s64 now = atomic64_add_return(nr, &shadow->pinned);
	s64 peak = atomic64_read(&shadow->pinned_peak);

	while (now > peak &&
	       !atomic64_try_cmpxchg(&shadow->pinned_peak, &peak, now))
		;
}

/*
 * Map entries @px to @px + @nr - 1, which name consecutive guest frames with
 * the same protection. What can't be pinned is left invalid.
 */
static int segment_map_run(struct s390_shadow_segment *seg, const u64 *want,
			   unsigned int px, unsigned int nr)
{
	struct s390_shadow *shadow = seg->shadow;
	struct page *pages[S390_SHADOW_PIN_CHUNK];
	unsigned int i, n;
	long got;
	int rc;

	while (nr) {
		bool prot = want[px] & ZPCI_TABLE_PROTECTED;

		n = min_t(unsigned int, nr, ARRAY_SIZE(pages));
		rc = shadow->ops->charge(shadow->guest, n);
		if (rc)
			goto fail;
		got = shadow->ops->pin(shadow->guest,
				       want[px] & ZPCI_PTE_ADDR_MASK, n, !prot,
				       pages);
		if (got < (long)n)
			shadow->ops->uncharge(shadow->guest,
					      n - max(got, 0L));
		if (got <= 0) {
			rc = got ?: -EFAULT;
			goto fail;
		}
		shadow_account_pinned(shadow, got);
		for (i = 0; i < got; i++)
			segment_set(seg, px + i,
				    s390_iot_pte(page_to_phys(pages[i]), prot),
				    want[px + i]);
		px += got;
		nr -= got;
	}
	return 0;

fail:
	/* The function must not keep what the guest has replaced */
	for (i = 0; i < nr; i++)
		if (s390_iot_pte_valid(seg->leaf[px + i]))
			segment_clear(seg, px + i);
	return rc;
}

/* Bring the host entries of the range to what the guest wants */
static int segment_apply(struct s390_shadow_segment *seg, const u64 *want,
			 bool unmap_only)
{
	u64 *mirror = leaf_mirror(seg->leaf);
	unsigned int px, nr;
	int rc, ret = 0;

	/* First give back, so that limits do not stand in the way */
	for (px = seg->px_first; px <= seg->px_last; px++)
		if (!s390_iot_pte_valid(want[px]) &&
		    s390_iot_pte_valid(mirror[px]))
			segment_clear(seg, px);
	if (unmap_only)
		return 0;

	for (px = seg->px_first; px <= seg->px_last; px += nr) {
		nr = 1;
		if (want[px] == mirror[px] || !s390_iot_pte_valid(want[px]))
			continue;
		while (px + nr <= seg->px_last &&
		       want[px + nr] != mirror[px + nr] &&
		       want[px + nr] == want[px] + ((u64)nr << PAGE_SHIFT))
			nr++;
		rc = segment_map_run(seg, want, px, nr);
		if (rc)
			ret = ret ?: rc;
	}
	return ret;
}

static bool wants_any(const struct s390_shadow_segment *seg)
{
	unsigned int px;

	for (px = seg->px_first; px <= seg->px_last; px++)
		if (s390_iot_pte_valid(seg->batch->guest[px]))
			return true;
	return false;
}

/* The batch has a change in the segment's bucket that awaits the host refresh */
static void segment_count(struct s390_shadow_segment *seg)
{
	u64 bit = BIT_ULL(seg->bucket);

	if (seg->batch->buckets & bit)
		return;
	seg->batch->buckets |= bit;
	atomic_inc(&seg->shadow->buckets[seg->bucket].unflushed);
	/* Counted before a cleared segment table entry can be seen */
	smp_mb__after_atomic();
}

/* Sync the range of @seg; its bucket's lock is held */
static int segment_sync_locked(struct s390_shadow_segment *seg, bool unmap_only)
{
	struct s390_shadow *shadow = seg->shadow;
	struct s390_shadow_batch *batch = seg->batch;
	unsigned long *step, ste;
	struct page *page;
	unsigned int px;
	int rc;

	step = s390_iot_lookup_ste(shadow->rto, seg->iova);
	ste = step ? READ_ONCE(*step) : ZPCI_TABLE_INVALID;
	if (s390_iot_entry_valid(ste))
		seg->leaf = phys_to_virt(ste & ZPCI_STE_ADDR_MASK);

	rc = s390_shadow_fetch_segment(seg);
	if (rc < 0)
		return rc;

	if (!rc) {
		if (!seg->leaf)
			return 0;
		/* The guest gave up the whole segment: so do we */
		for (px = 0; px < ZPCI_PT_ENTRIES; px++)
			if (s390_iot_pte_valid(seg->leaf[px]))
				segment_clear(seg, px);
		segment_count(seg);
		WRITE_ONCE(*step, ZPCI_TABLE_INVALID);
		s390_shadow_batch_cover(batch, seg->iova, seg->iova +
					S390_IOT_SEGMENT_SIZE - 1);
		seg->changed = true;
		list_add(&virt_to_page(seg->leaf)->lru, &batch->leaves);
		return 0;
	}

	if (!seg->leaf) {
		if (unmap_only || !wants_any(seg))
			return 0;
		page = s390_shadow_alloc_leaf();
		if (!page)
			return -ENOMEM;
		step = s390_iot_walk_ste(shadow->rto, seg->iova,
					 S390_SHADOW_GFP);
		if (!step) {
			__free_page(page);
			return -ENOMEM;
		}
		atomic64_inc(&shadow->leaf_pages);
		seg->leaf = page_address(page);
		WRITE_ONCE(*step, s390_iot_ste(page_to_phys(page)));
	}

	return segment_apply(seg, batch->guest, unmap_only);
}

/* Has another batch changed a segment of bucket @nr and not been flushed yet? */
static bool unfinished_by_others(struct s390_shadow *shadow,
				 struct s390_shadow_batch *batch,
				 unsigned int nr)
{
	int own = !!(batch->buckets & BIT_ULL(nr));

	return atomic_read_acquire(&shadow->buckets[nr].unflushed) > own;
}

/* Sync [@first, @last], which lies within one segment */
static int segment_sync(struct s390_shadow *shadow,
			struct s390_shadow_batch *batch, u64 first, u64 last,
			bool unmap_only)
{
	struct s390_shadow_segment seg = {
		.shadow = shadow,
		.batch = batch,
		.iova = first & S390_IOT_SEGMENT_MASK,
		.bucket = (first >> ZPCI_ST_SHIFT) % S390_SHADOW_BUCKETS,
		.px_first = s390_iot_index(S390_IOT_PT, first),
		.px_last = s390_iot_index(S390_IOT_PT, last),
	};
	struct s390_shadow_bucket *bucket = &shadow->buckets[seg.bucket];
	int rc;

	if (mutex_lock_killable(&bucket->lock))
		return -EINTR;

	rc = segment_sync_locked(&seg, unmap_only);
	if (seg.changed)
		segment_count(&seg);
	/*
	 * Someone else has changed a segment of this bucket and not told the
	 * function yet. Our caller may rely on what we found only after that.
	 */
	if (unfinished_by_others(shadow, batch, seg.bucket))
		s390_shadow_batch_cover(batch, first, last);

	mutex_unlock(&bucket->lock);
	return rc;
}

/*
 * Wait for those who may have fetched guest entries before our caller began,
 * and will write what they make of them after we looked.
 */
static int shadow_settle(struct s390_shadow *shadow)
{
	unsigned int i;

	/* The guest stored its entries before; pairs with taking a lock */
	smp_mb();
	for (i = 0; i < S390_SHADOW_BUCKETS; i++) {
		struct mutex *lock = &shadow->buckets[i].lock;

		if (!mutex_is_locked(lock))
			continue;
		if (mutex_lock_killable(lock))
			return -EINTR;
		mutex_unlock(lock);
	}
	/* What they wrote is seen by our looks without a lock */
	smp_mb();
	return 0;
}

/* Segments were passed over: was one of them given up just before? */
static void shadow_cover_unfinished(struct s390_shadow *shadow,
				    struct s390_shadow_batch *batch, u64 start,
				    u64 last)
{
	unsigned int i;

	/* Pairs with segment_count() */
	smp_rmb();
	for (i = 0; i < S390_SHADOW_BUCKETS; i++) {
		if (unfinished_by_others(shadow, batch, i)) {
			s390_shadow_batch_cover(batch, start, last);
			return;
		}
	}
}

static int shadow_sync(struct s390_shadow *shadow,
		       struct s390_shadow_batch **batchp, u64 start, u64 last,
		       bool unmap_only)
{
	bool many = (start ^ last) & S390_IOT_SEGMENT_MASK;
	u64 seg, seg_last, first = start;
	int rc, ret = 0;

	if (many) {
		rc = shadow_settle(shadow);
		if (rc)
			return rc;
	}

	for (;;) {
		struct s390_shadow_batch *batch = *batchp;

		seg_last = first | (S390_IOT_SEGMENT_SIZE - 1);
		rc = segment_sync(shadow, batch, first, min(seg_last, last),
				  unmap_only);
		/* Out of resources: go on, what follows may give some back */
		if (rc == -ENOMEM)
			ret = rc;
		else if (rc)
			return rc;

		if (batch->nr > S390_SHADOW_BATCH - ZPCI_PT_ENTRIES) {
			rc = s390_shadow_batch_flush(shadow, batchp);
			if (rc)
				return rc;
			batch = *batchp;
		}
		if (seg_last >= last)
			break;
		seg = s390_shadow_next_segment(shadow, batch, seg_last + 1,
					       last);
		if (seg > last)
			break;
		first = seg;
		if (signal_pending(current))
			return -EINTR;
		if (READ_ONCE(shadow->dead))
			return -ENODEV;
		cond_resched();
	}
	if (many)
		shadow_cover_unfinished(shadow, *batchp, start, last);
	return ret;
}

/*
 * An earlier host refresh failed. If that was for want of resources below us,
 * what the guest has given up since makes room there: so take that out first,
 * before everything is refreshed.
 */
static int shadow_recover(struct s390_shadow *shadow,
			  struct s390_shadow_batch **batchp, u64 start,
			  u64 last)
{
	int rc, rc_flush;

	rc = s390_shadow_leave_limbo(shadow);
	if (rc != -ENOMEM)
		return rc;

	rc = shadow_sync(shadow, batchp, start, last, true);
	if (*batchp) {
		/* Its own refresh may fail, too: then it joins those in limbo */
		rc_flush = s390_shadow_batch_flush(shadow, batchp);
		rc = rc ?: rc_flush;
	}
	if (rc && rc != -ENOMEM)
		return rc;
	rc = s390_shadow_leave_limbo(shadow);
	if (rc || *batchp)
		return rc;

	*batchp = s390_shadow_alloc_batch();
	return *batchp ? 0 : -ENOMEM;
}

/**
 * s390_shadow_refresh() - mirror a range of the guest's I/O translation table
 * @shadow: the shadow; the caller holds a reference
 * @start: first I/O address, aligned to 4 KiB
 * @last: last I/O address (inclusive)
 *
 * What RPCIT asks for. The range must lie within the aperture. Whatever the
 * result, what was mirrored stays mirrored, and no page is accessible to the
 * function that is not pinned.
 *
 * Context: process context of the guest's owner; sleeps. May run on many CPUs
 * at once. Fetches guest memory through the guest operations, so whatever they
 * need to be held must be held.
 * Return:
 * * 0		- the host table equals the guest's table over the range
 * * -ENOMEM	- out of memory, or a limit is reached, here or below us
 * * -EINTR	- a signal is pending; call again after it was handled
 * * -ENODEV	- the shadow was destroyed or its domain detached
 * * -EINVAL	- an entry of the guest's table is malformed
 * * -EFAULT	- the guest's table or a frame is not in guest memory
 * * -EIO	- the host refresh failed
 */
int s390_shadow_refresh(struct s390_shadow *shadow, u64 start, u64 last)
{
	struct s390_shadow_batch *batch;
	int rc, rc_flush;

	batch = s390_shadow_alloc_batch();
	if (!batch) {
		rc = -ENOMEM;
		goto refuse;
	}

	down_read(&shadow->live);
	if (shadow->dead) {
		rc = -ENODEV;
		goto out;
	}
	if (WARN_ON_ONCE(start < shadow->cfg.pba || last > shadow->cfg.pal ||
			 start > last || offset_in_page(start))) {
		rc = -EINVAL;
		goto out;
	}
	if (READ_ONCE(shadow->stale)) {
		rc = shadow_recover(shadow, &batch, start, last);
		if (rc)
			goto out;
	}

	rc = shadow_sync(shadow, &batch, start, last, false);
	if (rc == -ENOMEM && batch) {
		/* See what the range gives back, and try once more */
		rc = s390_shadow_batch_flush(shadow, &batch);
		if (!rc)
			rc = shadow_sync(shadow, &batch, start, last, true);
		if (!rc)
			rc = s390_shadow_batch_flush(shadow, &batch);
		if (!rc)
			rc = shadow_sync(shadow, &batch, start, last, false);
	}
	if (batch) {
		rc_flush = s390_shadow_batch_flush(shadow, &batch);
		rc = rc ?: rc_flush;
	}
out:
	up_read(&shadow->live);
	kfree(batch);
refuse:
	if (rc)
		trace_s390_shadow_refuse(shadow->id, start, rc);
	return rc;
}
EXPORT_SYMBOL_GPL(s390_shadow_refresh);

/**
 * s390_shadow_config_check() - can translation parameters be shadowed?
 * @cfg: the parameters
 *
 * Context: any
 * Return: 0, -EOPNOTSUPP if translation is not enabled in the IOTA or the
 * designation type is not supported, -EINVAL if the aperture is empty or not
 * made of whole 4 KiB frames or the table can't reach its end
 */
int s390_shadow_config_check(const struct s390_shadow_config *cfg)
{
	if (!(cfg->iota & ZPCI_IOTA_IOT_ENABLED) ||
	    (cfg->iota & (7UL << 2)) != ZPCI_IOTA_DT_RT)
		return -EOPNOTSUPP;
	if (offset_in_page(cfg->pba) || !PAGE_ALIGNED(cfg->pal + 1) ||
	    cfg->pba > cfg->pal || cfg->pal >= ZPCI_TABLE_SIZE_RT)
		return -EINVAL;
	return 0;
}
EXPORT_SYMBOL_GPL(s390_shadow_config_check);

/**
 * s390_shadow_designations() - designation types that can be shadowed
 *
 * Return: bit n set: type n of the DT field of an IOTA (enum zpci_ioat_dtype)
 */
u32 s390_shadow_designations(void)
{
	return BIT(ZPCI_IOTA_RTTO);
}
EXPORT_SYMBOL_GPL(s390_shadow_designations);

/**
 * s390_shadow_frame_sizes() - frame sizes that a guest's table may use
 *
 * Return: the sizes in bytes, each a power of two, or-ed together
 */
u64 s390_shadow_frame_sizes(void)
{
	return PAGE_SIZE | S390_IOT_SEGMENT_SIZE;
}
EXPORT_SYMBOL_GPL(s390_shadow_frame_sizes);

/**
 * s390_shadow_stats() - read the counters of a shadow
 * @shadow: the shadow; the caller holds a reference
 * @stats: where to store them
 *
 * Context: any. The counters are read one by one, while refreshes go on.
 */
void s390_shadow_stats(struct s390_shadow *shadow,
		       struct s390_shadow_stats *stats)
{
	*stats = (struct s390_shadow_stats) {
		.mapped = atomic64_read(&shadow->mapped),
		.unmapped = atomic64_read(&shadow->unmapped),
		.pinned = atomic64_read(&shadow->pinned),
		.pinned_peak = atomic64_read(&shadow->pinned_peak),
		.refreshes = atomic64_read(&shadow->refreshes),
		.refresh_errors = atomic64_read(&shadow->refresh_errors),
		.tables = atomic64_read(&shadow->leaf_pages),
	};
}
EXPORT_SYMBOL_GPL(s390_shadow_stats);

/**
 * s390_shadow_engine_create() - make an empty shadow
 * @cfg: the guest's translation parameters, checked
 * @ops: access to guest memory
 * @guest: argument of @ops
 * @host_ops: access to the host
 * @host: argument of @host_ops
 * @refresh_new: entries that become valid need a host refresh, too
 * @id: function ID, for trace events
 *
 * Return: the shadow with one reference, or NULL if there is no memory. Before
 * the reference is put, s390_shadow_engine_teardown() must have been called.
 */
struct s390_shadow *
s390_shadow_engine_create(const struct s390_shadow_config *cfg,
			  const struct s390_shadow_guest_ops *ops, void *guest,
			  const struct s390_shadow_host_ops *host_ops,
			  void *host, bool refresh_new, u32 id)
{
	struct s390_shadow *shadow;
	unsigned int i;

	shadow = kzalloc(sizeof(*shadow), GFP_KERNEL_ACCOUNT);
	if (!shadow)
		return NULL;
	shadow->rto = s390_iot_alloc_table(S390_SHADOW_GFP);
	if (!shadow->rto) {
		kfree(shadow);
		return NULL;
	}
	kref_init(&shadow->ref);
	init_rwsem(&shadow->live);
	shadow->cfg = *cfg;
	shadow->ops = ops;
	shadow->guest = guest;
	shadow->host_ops = host_ops;
	shadow->host = host;
	shadow->refresh_new = refresh_new;
	shadow->id = id;
	for (i = 0; i < S390_SHADOW_BUCKETS; i++)
		mutex_init(&shadow->buckets[i].lock);
	INIT_LIST_HEAD(&shadow->limbo);
	mutex_init(&shadow->limbo_lock);
	return shadow;
}

/* Unpin what the page table @leaf still names, and free it */
static void teardown_leaf(struct s390_shadow *shadow, unsigned long *leaf)
{
	u64 *old = leaf_mirror(leaf);
	unsigned int px, nr = 0;

	/* The mirror is of no use any more: collect the host entries in it */
	for (px = 0; px < ZPCI_PT_ENTRIES; px++)
		if (s390_iot_pte_valid(leaf[px]))
			old[nr++] = leaf[px];
	atomic64_add(nr, &shadow->unmapped);
	s390_shadow_unpin(shadow, old, nr);
	s390_shadow_free_leaf(shadow, virt_to_page(leaf));
}

/**
 * s390_shadow_engine_teardown() - give back all that a shadow holds
 * @shadow: the shadow
 *
 * The caller has made sure that the function can't translate with
 * &s390_shadow.rto any more. Waits for refreshes in progress; those to come
 * return -ENODEV. Further calls do nothing. Does not fail, does not allocate.
 *
 * Context: process; sleeps
 */
void s390_shadow_engine_teardown(struct s390_shadow *shadow)
{
	struct s390_shadow_batch *batch, *tmp;
	unsigned long *sto, ste;
	unsigned int rtx, sx;

	/* Makes long walks stop at the next segment */
	WRITE_ONCE(shadow->dead, true);
	down_write(&shadow->live);
	if (!shadow->rto)
		goto out;

	for (rtx = 0; rtx < ZPCI_TABLE_ENTRIES; rtx++) {
		if (!s390_iot_entry_valid(shadow->rto[rtx]))
			continue;
		sto = phys_to_virt(shadow->rto[rtx] & ZPCI_RTE_ADDR_MASK);
		for (sx = 0; sx < ZPCI_TABLE_ENTRIES; sx++) {
			ste = sto[sx];
			if (!s390_iot_entry_valid(ste))
				continue;
			teardown_leaf(shadow,
				      phys_to_virt(ste & ZPCI_STE_ADDR_MASK));
			cond_resched();
		}
		s390_iot_free_table(sto);
	}
	s390_iot_free_table(shadow->rto);
	shadow->rto = NULL;

	list_for_each_entry_safe(batch, tmp, &shadow->limbo, node) {
		list_del(&batch->node);
		s390_shadow_batch_release(shadow, batch);
		kfree(batch);
	}
	shadow->stale = false;
out:
	up_write(&shadow->live);
}

/**
 * s390_shadow_get() - take a reference on a shadow's memory
 * @shadow: the shadow
 *
 * A reference keeps the object from being freed, not the shadowing from being
 * ended: a refresh may return -ENODEV at any time.
 *
 * Context: any, also under rcu_read_lock() if the caller frees the pointer
 * through which it found @shadow only after a grace period.
 * Return: @shadow, or NULL if it is about to be freed
 */
struct s390_shadow *s390_shadow_get(struct s390_shadow *shadow)
{
	return kref_get_unless_zero(&shadow->ref) ? shadow : NULL;
}
EXPORT_SYMBOL_GPL(s390_shadow_get);

static void shadow_free(struct kref *ref)
{
	struct s390_shadow *shadow = container_of(ref, struct s390_shadow, ref);

	WARN_ON_ONCE(shadow->rto);
	put_device(shadow->dev);
	kfree_rcu(shadow, rcu);
}

/**
 * s390_shadow_put() - drop a reference on a shadow's memory
 * @shadow: the shadow
 *
 * Context: process
 */
void s390_shadow_put(struct s390_shadow *shadow)
{
	kref_put(&shadow->ref, shadow_free);
}
EXPORT_SYMBOL_GPL(s390_shadow_put);
