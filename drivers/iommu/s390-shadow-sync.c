// SPDX-License-Identifier: GPL-2.0
/*
 * Refresh a range of a shadow from the guest's table, segment by segment
 *
 * Invariants:
 *
 * 1. The function never reaches a page that was released. An entry is replaced or
 *    invalidated in the host table, then the host is refreshed, then the page is
 *    unpinned. If the host refresh fails, the batch is queued in failed_batches
 *    and its pages stay pinned.
 * 2. When a refresh returns 0, the host table equals the guest's table over the
 *    range, as the guest's table was at some moment after the first call for the
 *    walk, and the function does not use older translations.
 *    - All entries on the path to a segment are fetched under the lock of the
 *      segment's bucket, so the last holder of the lock writes the latest value.
 *    - If another batch changed the bucket and is not flushed (bucket->unflushed),
 *      the refresh does a host refresh of its own, even if it changes nothing.
 *    - A segment is skipped without its lock if neither guest nor host have a
 *      table there. Before that, wait_for_syncs() waits for holders of bucket
 *      locks, which may write entries that they fetched before the call. After
 *      that, s390_shadow_batch_add_unflushed() checks for unflushed batches.
 *    Each call does all of this for the part of the range that it covers. So a
 *    walk may be continued at any later time.
 * 3. Every guest entry is fetched once under the lock, and only the copy is
 *    checked. Entries that s390_shadow_find_segment() fetches without the lock
 *    decide only whether a segment is synced.
 * 4. Every page is charged before it is pinned and uncharged after it is
 *    unpinned. Tables are charged to the memory cgroup of the caller.
 */

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "s390-shadow.h"

#define CREATE_TRACE_POINTS
#include <trace/events/s390_shadow.h>

/*
 * Account for @nr frames, which were added at the end of the batch's array and
 * come from the entries @px to @px + @entries - 1.
 */
static __always_inline void account_unmapped(struct s390_shadow_segment *seg,
					     unsigned int px, unsigned int entries,
					     unsigned int nr)
{
	u64 iova = seg->iova + ((u64)px << PAGE_SHIFT);

	if (!nr)
		return;
	seg->batch->nr += nr;
	seg->unmapped += nr;
	seg->changed = true;
	s390_shadow_batch_add_range(seg->batch, iova,
				    iova + ((u64)entries << PAGE_SHIFT) - 1);
}

static noinline void trace_unmapped(struct s390_shadow_segment *seg,
				    const u64 *pte, u64 mirror)
{
	u64 px = pte - (u64 *)seg->pt;

	trace_s390_shadow_unmap(seg->shadow->id, seg->iova + (px << PAGE_SHIFT),
				mirror);
}

static noinline void trace_mapped(struct s390_shadow_segment *seg,
				  unsigned int px, u64 want)
{
	trace_s390_shadow_map(seg->shadow->id,
			      seg->iova + ((u64)px << PAGE_SHIFT), want);
}

/* Compute the arguments of a trace event only if it is enabled */
static __always_inline void trace_unmap(struct s390_shadow_segment *seg,
					const u64 *pte, u64 mirror)
{
	if (trace_s390_shadow_unmap_enabled())
		trace_unmapped(seg, pte, mirror);
}

static __always_inline void trace_map(struct s390_shadow_segment *seg,
				      unsigned int px, u64 want)
{
	if (trace_s390_shadow_map_enabled())
		trace_mapped(seg, px, want);
}

/**
 * s390_shadow_segment_unmap() - unmap the valid entries of a range
 * @seg: the segment, which has a page table
 * @px: page table index of the first entry
 * @nr: number of page table entries
 *
 * Adds the frames to the batch, which must have room for them.
 *
 * Context: the lock of the segment's bucket is held
 */
void s390_shadow_segment_unmap(struct s390_shadow_segment *seg, unsigned int px,
			       unsigned int nr)
{
	struct s390_shadow_frame *frame = &seg->batch->frames[seg->batch->nr];
	u64 *mirror = s390_shadow_mirror(seg->pt);
	unsigned int i, n = 0;
	u64 old;

	for (i = px; i < px + nr; i++) {
		old = seg->pt[i];
		if (!pt_entry_isvalid(old))
			continue;
		WRITE_ONCE(seg->pt[i], ZPCI_PTE_INVALID);
		frame[n++] = s390_shadow_frame(old, mirror[i]);
		trace_unmap(seg, (u64 *)&seg->pt[i], mirror[i]);
		mirror[i] = ZPCI_PTE_INVALID;
	}
	account_unmapped(seg, px, nr, n);
}

/**
 * s390_shadow_segment_account() - update the counters after a change
 * @seg: the segment
 *
 * Context: the lock of the segment's bucket is held and released next
 */
void s390_shadow_segment_account(struct s390_shadow_segment *seg)
{
	struct s390_shadow *shadow = seg->shadow;

	if (seg->mapped)
		atomic64_add(seg->mapped, &shadow->mapped);
	if (seg->unmapped)
		atomic64_add(seg->unmapped, &shadow->unmapped);
	if (seg->mapped != seg->unmapped)
		s390_shadow_account_pt(shadow, seg->pt,
				       (int)seg->mapped - (int)seg->unmapped);
	if (seg->changed)
		s390_shadow_batch_mark_bucket(shadow, seg->batch, seg->bucket);
}

static void shadow_account_pinned(struct s390_shadow *shadow, unsigned int nr)
{
	s64 now = atomic64_add_return(nr, &shadow->pinned);
	s64 peak = atomic64_read(&shadow->pinned_peak);

	while (now > peak &&
	       !atomic64_try_cmpxchg(&shadow->pinned_peak, &peak, now))
		;
}

/* Map @pages, which are pinned, by @nr entries from @px on */
static noinline void segment_map_pages(struct s390_shadow_segment *seg,
				       const u64 *want, unsigned int px,
				       struct page **pages, unsigned int nr)
{
	struct s390_shadow_frame *frames = &seg->batch->frames[seg->batch->nr];
	struct s390_shadow_frame *frame = frames;
	u64 iova = seg->iova + ((u64)px << PAGE_SHIFT);
	u64 *mirror = s390_shadow_mirror(seg->pt) + px;
	u64 *pt = (u64 *)seg->pt + px;
	unsigned int i;

	want += px;
	for (i = 0; i < nr; i++) {
		u64 old = pt[i];

		WRITE_ONCE(pt[i], zpci_make_pte(page_to_phys(pages[i]),
						want[i] & ZPCI_TABLE_PROTECTED));
		if (pt_entry_isvalid(old)) {
			*frame++ = s390_shadow_frame(old, mirror[i]);
			trace_unmap(seg, &pt[i], mirror[i]);
		}
		trace_map(seg, px + i, want[i]);
		mirror[i] = want[i];
	}
	account_unmapped(seg, px, nr, frame - frames);
	seg->mapped += nr;
	if (seg->shadow->refresh_new) {
		s390_shadow_batch_add_range(seg->batch, iova,
					    iova + ((u64)nr << PAGE_SHIFT) - 1);
		seg->changed = true;
	}
}

/*
 * Pin and map @nr entries from @px on, which are charged. On failure the rest is
 * left invalid.
 */
static int segment_map_run(struct s390_shadow_segment *seg, const u64 *want,
			   unsigned int px, unsigned int nr)
{
	struct s390_shadow *shadow = seg->shadow;
	struct page *pages[S390_SHADOW_PIN_CHUNK];
	unsigned int n;
	long got;
	int rc;

	while (nr) {
		n = min_t(unsigned int, nr, ARRAY_SIZE(pages));
		got = shadow->ops->pin(shadow->guest, &want[px], n, pages);
		seg->batch->budget -= max(got, 1L);
		if (got <= 0) {
			rc = got ?: -EFAULT;
			goto fail;
		}
		seg->charged -= got;
		shadow_account_pinned(shadow, got);
		segment_map_pages(seg, want, px, pages, got);
		px += got;
		nr -= got;
	}
	return 0;

fail:
	s390_shadow_segment_unmap(seg, px, nr);
	return rc;
}

/*
 * Invalidate @pte, queue its page for unpinning, record @new in the mirror.
 * Return the end of the queue.
 */
static __always_inline struct s390_shadow_frame *
unmap_entry(struct s390_shadow_segment *seg, u64 *pte, u64 new,
	    struct s390_shadow_frame *frame)
{
	u64 *mirror = s390_shadow_mirror(pte), old = *pte;

	if (pt_entry_isvalid(old)) {
		WRITE_ONCE(*pte, ZPCI_PTE_INVALID);
		*frame++ = s390_shadow_frame(old, *mirror);
		trace_unmap(seg, pte, *mirror);
	}
	*mirror = new;
	return frame;
}

/*
 * segment_unmap_changed() for a range of one entry, the most frequent case. Saves
 * 77 to 93 of 1,200 to 1,850 instructions under TCG; not measured on a machine.
 */
static unsigned int segment_unmap_changed_one(struct s390_shadow_segment *seg,
					      const u64 *want, bool unmap_only)
{
	struct s390_shadow_frame *frames = &seg->batch->frames[seg->batch->nr];
	unsigned int px = seg->px_first;
	struct s390_shadow_frame *frame;
	u64 *pte = (u64 *)&seg->pt[px];
	u64 new = want[px];

	if (new == *s390_shadow_mirror(pte))
		return 0;
	if (pt_entry_isvalid(new)) {
		if (!unmap_only)
			return 1;
		new = ZPCI_PTE_INVALID;
	}
	frame = unmap_entry(seg, pte, new, frames);
	account_unmapped(seg, px, 1, frame - frames);
	return 0;
}

/*
 * Unmap entries from @px on while they differ from the guest's, up to one that
 * will be mapped. Return the index where the run ends.
 *
 * Not inlined: an RPCIT of many pages spends most of its time in this loop, and
 * inlining it spills registers.
 */
static noinline unsigned long
unmap_run(struct s390_shadow_segment *seg, const u64 *want,
	  unsigned long px, unsigned long end, bool unmap_only)
{
	struct s390_shadow_frame *frames = &seg->batch->frames[seg->batch->nr];
	struct s390_shadow_frame *frame = frames;
	const u64 *new, *last = &want[end];
	u64 *pte = (u64 *)&seg->pt[px];

	for (new = &want[px]; new < last; new++, pte++) {
		u64 *mirror = s390_shadow_mirror(pte), now = *new;

		if (now == *mirror)
			break;
		if (pt_entry_isvalid(now)) {
			if (!unmap_only)
				break;
			now = ZPCI_PTE_INVALID;
		}
		frame = unmap_entry(seg, pte, now, frame);
	}
	end = new - want;
	account_unmapped(seg, px, end - px, frame - frames);
	return end;
}

/* Find the end of a run of entries to map */
static noinline unsigned long map_run_end(const u64 *want, const u64 *mirror,
					  unsigned long px, unsigned long end)
{
	while (px < end && want[px] != mirror[px] &&
	       pt_entry_isvalid(want[px]))
		px++;
	return px;
}

/*
 * Unmap the entries that the guest unmapped. With @unmap_only also unmap those
 * that it replaced.
 *
 * Return: number of entries to map, which lie between @mapp[0] and @mapp[1]
 */
static unsigned int segment_unmap_changed(struct s390_shadow_segment *seg,
					  const u64 *want, bool unmap_only,
					  unsigned int mapp[2])
{
	unsigned long px = seg->px_first, end = seg->px_last + 1, first;
	u64 *mirror = s390_shadow_mirror(seg->pt);
	unsigned int to_map = 0;

	while (px < end) {
		px += zpci_same_len(&want[px], &mirror[px], end - px);
		px = unmap_run(seg, want, px, end, unmap_only);
		if (unmap_only)
			continue;

		first = px;
		px = map_run_end(want, mirror, px, end);
		if (px == first)
			continue;
		if (!to_map)
			mapp[0] = first;
		mapp[1] = px - 1;
		to_map += px - first;
	}
	return to_map;
}

/* Map those of the entries @px to @last that differ from the mirror */
static int segment_map(struct s390_shadow_segment *seg, const u64 *want,
		       unsigned int px, unsigned int last, int charge_rc)
{
	u64 *mirror = s390_shadow_mirror(seg->pt);
	unsigned int nr;
	int rc, ret = 0;

	for (; px <= last; px += nr) {
		nr = 1;
		if (want[px] == mirror[px])
			continue;
		while (px + nr <= last && want[px + nr] != mirror[px + nr])
			nr++;
		if (charge_rc) {
			s390_shadow_segment_unmap(seg, px, nr);
			rc = charge_rc;
		} else {
			rc = segment_map_run(seg, want, px, nr);
		}
		ret = ret ?: rc;
	}
	return ret;
}

/* Charge and map @total entries, which lie between @map[0] and @map[1] */
static noinline int segment_map_all(struct s390_shadow_segment *seg,
				    const u64 *want, const unsigned int map[2],
				    unsigned int total)
{
	struct s390_shadow *shadow = seg->shadow;
	int rc;

	/* Charge all at once: it takes a lock that page faults need, too */
	rc = shadow->ops->charge(shadow->guest, total);
	seg->charged = rc ? 0 : total;
	rc = segment_map(seg, want, map[0], map[1], rc);
	if (seg->charged)
		shadow->ops->uncharge(shadow->guest, seg->charged);
	return rc;
}

/* Make the host entries of the range equal @want */
static int segment_apply(struct s390_shadow_segment *seg, const u64 *want,
			 bool unmap_only)
{
	unsigned int map[2] = { seg->px_first, seg->px_last };
	unsigned int total;

	/* Unmap first, to stay below the limits */
	if (seg->px_first == seg->px_last)
		total = segment_unmap_changed_one(seg, want, unmap_only);
	else
		total = segment_unmap_changed(seg, want, unmap_only, map);
	return total ? segment_map_all(seg, want, map, total) : 0;
}

static bool wants_any(const struct s390_shadow_segment *seg)
{
	unsigned int px;

	for (px = seg->px_first; px <= seg->px_last; px++)
		if (pt_entry_isvalid(seg->batch->guest[px]))
			return true;
	return false;
}

/* Add a page table for the segment, and the tables above it */
static noinline int segment_link_pt(struct s390_shadow_segment *seg)
{
	struct s390_shadow *shadow = seg->shadow;
	struct page *page = s390_shadow_alloc_pt();
	unsigned int tables = 1;
	unsigned long *step;

	if (!page)
		return -ENOMEM;
	step = dma_walk_seg_trans(shadow->root, shadow->top, seg->iova,
				  S390_SHADOW_GFP, &tables);
	if (!step) {
		__free_page(page);
		tables--;
	}
	atomic64_add(tables, &shadow->tables);
	if (!step)
		return -ENOMEM;
	seg->pt = page_address(page);
	WRITE_ONCE(*step, zpci_make_ste(page_to_phys(page)));
	/*
	 * Before frames are looked up: s390_shadow_unmap_gpa_range(), which is
	 * called when a look-up fails, has to find the page table.
	 */
	smp_mb();
	return 0;
}

/* Out of resources: only unmap, to free some */
static bool walk_unmaps_only(const struct s390_shadow_walk *walk)
{
	return walk->pass != S390_SHADOW_PASS_MAP;
}

/* Sync the range of @seg, whose bucket lock is held */
static int segment_sync_locked(struct s390_shadow_segment *seg, bool unmap_only)
{
	struct s390_shadow *shadow = seg->shadow;
	struct s390_shadow_batch *batch = seg->batch;
	unsigned long *step, ste;
	int rc;

	step = dma_lookup_seg_trans(shadow->root, shadow->top, seg->iova);
	ste = step ? READ_ONCE(*step) : ZPCI_TABLE_INVALID;
	if (reg_entry_isvalid(ste))
		seg->pt = phys_to_virt(ste & ZPCI_STE_ADDR_MASK);

	rc = s390_shadow_fetch_segment(seg);
	if (rc < 0)
		return rc;
	if (seg->same)
		return 0;

	if (!rc) {
		if (!seg->pt)
			return 0;
		s390_shadow_segment_unmap(seg, 0, ZPCI_PT_ENTRIES);
		s390_shadow_unlink_pt(shadow, batch, step, seg->iova);
		seg->changed = true;
		return 0;
	}

	if (!seg->pt) {
		if (unmap_only || !wants_any(seg))
			return 0;
		rc = segment_link_pt(seg);
		if (rc)
			return rc;
	}

	return segment_apply(seg, batch->guest, unmap_only);
}

/* Sync [@first, @last], which lies within one segment */
static int segment_sync(struct s390_shadow *shadow,
			struct s390_shadow_batch *batch, u64 first, u64 last,
			bool unmap_only)
{
	struct s390_shadow_segment seg = {
		.shadow = shadow,
		.batch = batch,
		.iova = first & ZPCI_SEGMENT_MASK,
		.bucket = s390_shadow_bucket(first),
		.px_first = zpci_table_index(ZPCI_LEVEL_PT, first),
		.px_last = zpci_table_index(ZPCI_LEVEL_PT, last),
	};
	struct s390_shadow_bucket *bucket = &shadow->buckets[seg.bucket];
	int rc;

	atomic_inc(&shadow->syncing);
	/* Count before fetching entries; pairs with wait_for_syncs() */
	smp_mb__after_atomic();
	if (mutex_lock_killable(&bucket->lock)) {
		rc = -EINTR;
		goto out;
	}

	rc = segment_sync_locked(&seg, unmap_only);
	batch->budget--;
	s390_shadow_segment_account(&seg);
	/*
	 * Another batch changed a segment of this bucket, and its host refresh
	 * has not succeeded yet. The guest may rely on the change only after a
	 * host refresh.
	 */
	if (s390_shadow_has_unflushed(bucket, batch, seg.bucket))
		s390_shadow_batch_add_range(batch, first, last);

	mutex_unlock(&bucket->lock);
out:
	atomic_dec_return_release(&shadow->syncing);
	return rc;
}

/*
 * Wait for syncs that may have fetched guest entries before this refresh began:
 * they may write the host table after the lookups of this refresh.
 */
static int wait_for_syncs(struct s390_shadow *shadow)
{
	unsigned int i;

	/* Order after the guest's stores; pairs with segment_sync() */
	smp_mb();
	if (!atomic_read_acquire(&shadow->syncing))
		return 0;
	for (i = 0; i < S390_SHADOW_BUCKETS; i++) {
		struct mutex *lock = &shadow->buckets[i].lock;

		if (!mutex_is_locked(lock))
			continue;
		if (mutex_lock_killable(lock))
			return -EINTR;
		mutex_unlock(lock);
	}
	/* Order their stores before lookups without a lock */
	smp_mb();
	return 0;
}

/*
 * Find the next segment to sync. A pass that only unmaps looks just for host page
 * tables: the guest's table may be very large.
 */
static bool walk_next(struct s390_shadow *shadow,
		      struct s390_shadow_batch *batch,
		      struct s390_shadow_walk *walk)
{
	if (walk_unmaps_only(walk)) {
		batch->budget--;
		return dma_find_seg_trans(shadow->root, shadow->top,
					  &walk->next, walk->last);
	}
	return s390_shadow_find_segment(shadow, batch, &walk->next,
					walk->last);
}

/* Sync up to @last, which is in the segment of &s390_shadow_walk.next */
static int walk_segment(struct s390_shadow *shadow,
			struct s390_shadow_batch *batch,
			struct s390_shadow_walk *walk, u64 last)
{
	int rc = segment_sync(shadow, batch, walk->next, last,
			      walk_unmaps_only(walk));

	/* Unmapping the rest of the range may free resources */
	if (rc == -ENOMEM && !walk->retried) {
		walk->pass = S390_SHADOW_PASS_UNMAP;
		rc = 0;
	}
	return rc;
}

/*
 * Sync from &s390_shadow_walk.next on, until the end of the range or until the
 * caller must handle a signal or release its locks. Advance
 * &s390_shadow_walk.next.
 */
static noinline int walk_segments(struct s390_shadow *shadow,
				  struct s390_shadow_batch **batchp,
				  struct s390_shadow_walk *walk)
{
	u64 seg_last, start = walk->next, last = walk->last;
	int rc;

	rc = wait_for_syncs(shadow);
	if (rc)
		return rc;
	/* Only whole segments can be skipped */
	if (!(start & ~ZPCI_SEGMENT_MASK) &&
	    !walk_next(shadow, *batchp, walk)) {
		walk->next = last;
		goto passed;
	}

	for (;;) {
		struct s390_shadow_batch *batch = *batchp;

		seg_last = zpci_span_last(ZPCI_LEVEL_ST, walk->next);
		rc = walk_segment(shadow, batch, walk, min(seg_last, last));
		if (rc)
			break;
		if (seg_last >= last) {
			walk->next = last;
			break;
		}
		walk->next = seg_last + 1;

		if (batch->nr > S390_SHADOW_BATCH_FRAMES - ZPCI_PT_ENTRIES) {
			rc = s390_shadow_batch_flush(shadow, batchp);
			if (rc)
				return rc;
			batch = *batchp;
		}
		if (!walk_next(shadow, batch, walk)) {
			walk->next = last;
			break;
		}
		if (READ_ONCE(shadow->dead))
			rc = -ENODEV;
		else if (signal_pending(current))
			rc = -EINTR;
		else if (batch->budget <= 0 || rwsem_is_contended(&shadow->tree_lock))
			rc = -EAGAIN;
		if (rc)
			break;
		cond_resched();
	}
passed:
	/* Segments were skipped: check for batches that emptied them */
	if (walk->next > start)
		s390_shadow_batch_add_unflushed(shadow, *batchp, start,
						walk->next == last ?
						last : walk->next - 1);
	return rc;
}

static int shadow_sync(struct s390_shadow *shadow,
		       struct s390_shadow_batch **batchp,
		       struct s390_shadow_walk *walk)
{
	int rc;

	if ((walk->next ^ walk->last) & ZPCI_SEGMENT_MASK)
		return walk_segments(shadow, batchp, walk);
	rc = walk_segment(shadow, *batchp, walk, walk->last);
	if (!rc)
		walk->next = walk->last;
	return rc;
}

/* Are there more tables than the mapped frames can need? */
static bool shadow_needs_pruning(struct s390_shadow *shadow)
{
	u64 used = atomic64_read(&shadow->pts_used);

	if (atomic64_read(&shadow->tables) <=
	    S390_SHADOW_PRUNE_MIN + S390_SHADOW_PRUNE_FACTOR * used)
		return false;
	/* Tables in failed_batches can't be freed */
	return !READ_ONCE(shadow->flush_failed);
}

static void walk_restart(struct s390_shadow_walk *walk,
			 enum s390_shadow_pass pass)
{
	walk->next = walk->first;
	walk->pass = pass;
}

/*
 * Retry host refreshes that failed. If the underlying hypervisor is out of
 * resources, unmap first what the guest unmapped since, then retry once more.
 */
static int walk_retry_flush(struct s390_shadow *shadow,
			    struct s390_shadow_walk *walk)
{
	int rc;

	if (walk->pass == S390_SHADOW_PASS_MAKE_ROOM)
		return 0;
	rc = s390_shadow_retry_flush(shadow);
	if (rc != -ENOMEM || walk->made_room)
		return rc;
	walk->made_room = true;
	walk_restart(walk, S390_SHADOW_PASS_MAKE_ROOM);
	return 0;
}

/* Begin the next pass; return 0 if there is none */
static int walk_next_pass(struct s390_shadow *shadow,
			  struct s390_shadow_walk *walk)
{
	switch (walk->pass) {
	case S390_SHADOW_PASS_MAKE_ROOM:
		walk_restart(walk, S390_SHADOW_PASS_MAP);
		return s390_shadow_retry_flush(shadow) ?: -EAGAIN;
	case S390_SHADOW_PASS_UNMAP:
		walk->retried = true;
		walk_restart(walk, S390_SHADOW_PASS_MAP);
		return -EAGAIN;
	default:
		return 0;
	}
}

static void shadow_account_result(struct s390_shadow *shadow, u64 iova, int rc)
{
	switch (rc) {
	case -EAGAIN:
		return;
	case -EINTR:
		atomic64_inc(&shadow->interrupted);
		return;
	case -ENOMEM:
		atomic64_inc(&shadow->refused_nomem);
		break;
	case -EINVAL:
		atomic64_inc(&shadow->refused_format);
		break;
	case -EFAULT:
		atomic64_inc(&shadow->refused_memory);
		break;
	case -EIO:
		atomic64_inc(&shadow->refused_host);
		break;
	}
	atomic64_inc(&shadow->walks);
	if (rc)
		trace_s390_shadow_refuse(shadow->id, iova, rc);
}

/**
 * s390_shadow_refresh() - mirror a range of the guest's I/O translation table
 * @shadow: the shadow; the caller holds a reference
 * @walk: set up by s390_shadow_walk_init(); the range must lie within the aperture
 *
 * Does the work of an RPCIT. On failure the entries mirrored so far stay mapped.
 * The function can never reach a page that is not pinned.
 *
 * A large range takes many calls. Each call makes progress and does a limited
 * amount of work, so that the caller can release its locks in between.
 *
 * Context: process; sleeps. May run on many CPUs at once. Does not wait for user
 * space.
 * Return:
 * * 0		- the host table equals the guest's table over the range
 * * -EAGAIN	- there is more to do: call again with the same @walk, after waiting
 *		  for what a guest operation has asked for
 * * -EINTR	- a signal is pending: handle it, then call again
 * * -ENOMEM	- out of memory, or a limit of the host or of the underlying
 *		  hypervisor is reached
 * * -ENODEV	- the shadow was torn down
 * * -EINVAL	- an entry of the guest's table is malformed
 * * -EFAULT	- the guest's table or a frame is not in guest memory
 * * -EIO	- the host refresh failed
 */
int s390_shadow_refresh(struct s390_shadow *shadow,
			struct s390_shadow_walk *walk)
{
	struct s390_shadow_batch *batch;
	u64 next = walk->next;
	int rc, rc_flush;

	batch = s390_shadow_get_batch(shadow);
	if (!batch) {
		rc = -ENOMEM;
		goto refuse;
	}

	/* Killable: the writer may wait for another task's page fault */
	if (down_read_killable(&shadow->tree_lock)) {
		rc = -EINTR;
		goto free;
	}
	if (READ_ONCE(shadow->dead)) {
		rc = -ENODEV;
		goto out;
	}
	if (WARN_ON_ONCE(next < shadow->cfg.pba || next > walk->last ||
			 walk->last > shadow->cfg.pal)) {
		rc = -EINVAL;
		goto out;
	}
	if (READ_ONCE(shadow->flush_failed)) {
		rc = walk_retry_flush(shadow, walk);
		if (rc)
			goto out;
	}

	rc = shadow_sync(shadow, &batch, walk);
	if (batch) {
		rc_flush = s390_shadow_batch_flush(shadow, &batch);
		if (!rc || rc == -EAGAIN)
			rc = rc_flush ?: rc;
	}
	/* Go on making room: a batch that can't be flushed is queued for a retry */
	if (rc == -ENOMEM && walk->pass == S390_SHADOW_PASS_MAKE_ROOM)
		rc = walk->next < walk->last ? -EAGAIN : 0;
	if (!rc)
		rc = walk_next_pass(shadow, walk);
out:
	up_read(&shadow->tree_lock);
	if (batch && shadow_needs_pruning(shadow))
		s390_shadow_prune(shadow, &batch);
free:
	s390_shadow_free_batch(shadow, batch);
refuse:
	shadow_account_result(shadow, next, rc);
	return rc;
}
