// SPDX-License-Identifier: GPL-2.0
/*
 * Refresh of a shadow: a guest's I/O translation table mirrored segment by
 * segment
 *
 * Invariants that this file keeps:
 *
 * 1. The function never reaches a page that was released: an entry is replaced
 *    or invalidated in the host table, then the host refresh is done, and only
 *    then is the page unpinned. The entry that was swapped out names the page.
 *    If the host refresh fails, the batch waits in limbo with its pages pinned.
 * 2. When a refresh returns 0, the host table equals the guest's table over the
 *    range, as the guest's table stood at some moment after the first call for
 *    the walk, and the function has forgotten what it was before. All entries
 *    that lead to a segment are fetched under the lock of the segment's bucket,
 *    so the last to hold the lock leaves the latest value. Who finds nothing to
 *    change but an unfinished batch of someone else (bucket->unflushed) does a
 *    host refresh of his own. A segment may be passed over without its lock if
 *    neither side has anything there: before that, locks that are held are
 *    waited for, as their holders may be about to write what they fetched before
 *    the call, and after that, unfinished batches are looked for. Each call does
 *    all of this for the part of the range that it covers, which is why a walk
 *    may be carried on after any pause.
 * 3. Every guest entry is fetched once under the lock, and only the copy is
 *    judged. What s390_shadow_find_segment() fetches without the lock decides
 *    solely whether a segment is looked at.
 * 4. Every pinned page is charged before it is pinned and uncharged after it
 *    was unpinned. Tables are charged to the memory cgroup of the caller.
 */

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "s390-shadow.h"

#define CREATE_TRACE_POINTS
#include <trace/events/s390_shadow.h>

/*
 * Frames @nr from the batch's end on were taken out of the entries @px to
 * @px + @entries - 1
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

/* For each page: what is traced is put together only if it is */
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
 * s390_shadow_segment_unmap() - withdraw frames
 * @seg: the segment, which has a leaf; the lock of its bucket is held
 * @px: page table index of the first
 * @nr: number of page table entries
 *
 * What was there is added to the batch, which must have room for it.
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
 * s390_shadow_segment_account() - account for what was done to a segment
 * @seg: the segment; the lock of its bucket is held, and about to be released
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

/* Entries @px on were pinned as @pages: that is what the guest wants there */
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
 * Map entries @px to @px + @nr - 1, which are charged. What can't be pinned is left
 * invalid.
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
 * The guest has @new in place of what @pte has been made from, and that is nothing,
 * or nothing for now. Returns where the next frame is to be noted.
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

/* What segment_unmap_changed() does, for a range of one entry, which most are */
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
 * Entries from @px on are not what the guest has: drop them, up to one that is going
 * to be mapped. This loop is what an RPCIT of many pages costs, and short of
 * registers if it is inlined. Returns the index where it ended.
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

/* Where does a run of entries end that are to be mapped? */
static noinline unsigned long map_run_end(const u64 *want, const u64 *mirror,
					   unsigned long px, unsigned long end)
{
	while (px < end && want[px] != mirror[px] &&
	       pt_entry_isvalid(want[px]))
		px++;
	return px;
}

/*
 * Give back what the guest has given up; if nothing is going to be mapped, what it
 * has replaced goes as well.
 *
 * Return: how many are to be mapped, between entries @mapp[0] and @mapp[1]
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

/* Map what the guest wants of entries @px to @last, and has not yet */
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

/* Map @total entries, which are between @map[0] and @map[1] */
static noinline int segment_map_all(struct s390_shadow_segment *seg,
				    const u64 *want, const unsigned int map[2],
				    unsigned int total)
{
	struct s390_shadow *shadow = seg->shadow;
	int rc;

	/* All of them at once: to charge takes a lock that page faults want */
	rc = shadow->ops->charge(shadow->guest, total);
	seg->charged = rc ? 0 : total;
	rc = segment_map(seg, want, map[0], map[1], rc);
	if (seg->charged)
		shadow->ops->uncharge(shadow->guest, seg->charged);
	return rc;
}

/* Bring the host entries of the range to what the guest wants */
static int segment_apply(struct s390_shadow_segment *seg, const u64 *want,
			 bool unmap_only)
{
	unsigned int map[2] = { seg->px_first, seg->px_last };
	unsigned int total;

	/* First give back, so that limits do not stand in the way */
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

/* The segment gets a page table, and what leads to it */
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
	return 0;
}

/* Sync the range of @seg; its bucket's lock is held */
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
		/* The guest gave up the whole segment: so do we */
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
	/* Counted before entries are fetched; pairs with wait_for_syncs() */
	smp_mb__after_atomic();
	if (mutex_lock_killable(&bucket->lock)) {
		rc = -EINTR;
		goto out;
	}

	rc = segment_sync_locked(&seg, unmap_only);
	batch->budget--;
	s390_shadow_segment_account(&seg);
	/*
	 * Someone else has changed a segment of this bucket and not told the
	 * function yet. Our caller may rely on what we found only after that.
	 */
	if (s390_shadow_has_unflushed(bucket, batch, seg.bucket))
		s390_shadow_batch_add_range(batch, first, last);

	mutex_unlock(&bucket->lock);
out:
	atomic_dec_return_release(&shadow->syncing);
	return rc;
}

/*
 * Wait for those who may have fetched guest entries before our caller began,
 * and will write what they make of them after we looked.
 */
static int wait_for_syncs(struct s390_shadow *shadow)
{
	unsigned int i;

	/* The guest stored its entries before; pairs with segment_sync() */
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
	/* What they wrote is seen by our looks without a lock */
	smp_mb();
	return 0;
}

/*
 * Find the next segment to sync. If nothing is to be mapped, because there are
 * no resources for it, only what we have can give some back: then the guest's
 * table, which may be endless, is not looked at.
 */
static bool walk_next(struct s390_shadow *shadow,
		      struct s390_shadow_batch *batch,
		      struct s390_shadow_walk *walk)
{
	if (walk->making_room || walk->nomem) {
		batch->budget--;
		return dma_find_seg_trans(shadow->root, shadow->top,
					  &walk->next, walk->last);
	}
	return s390_shadow_find_segment(shadow, batch, &walk->next,
					walk->last);
}

/* Sync as far as @last, which is in the segment where the walk stands */
static int walk_segment(struct s390_shadow *shadow,
			struct s390_shadow_batch *batch,
			struct s390_shadow_walk *walk, u64 last)
{
	int rc = segment_sync(shadow, batch, walk->next, last,
			      walk->making_room || walk->nomem);

	if (rc == -ENOMEM && !walk->again) {
		/* What follows may give some back */
		walk->nomem = true;
		rc = 0;
	}
	return rc;
}

/*
 * Sync from where the walk stands until its end, or until the caller is to have
 * a say. What was done when it returns is behind &s390_shadow_walk.next.
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
	/* A whole segment may be one that is passed over */
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
	/* Segments were passed over: was one of them given up just before? */
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

/* More tables than what is mapped can need? */
static bool shadow_wants_pruning(struct s390_shadow *shadow)
{
	u64 used = atomic64_read(&shadow->pts_used);

	if (atomic64_read(&shadow->tables) <=
	    S390_SHADOW_PRUNE_MIN + S390_SHADOW_PRUNE_FACTOR * used)
		return false;
	/* Those that await a host refresh can't be helped */
	return !READ_ONCE(shadow->flush_failed);
}

static void walk_restart(struct s390_shadow_walk *walk)
{
	walk->next = walk->first;
	walk->nomem = false;
}

/*
 * An earlier host refresh failed. If that was for want of resources below us,
 * what the guest has given up since makes room there: so a pass takes that out
 * first, before everything is refreshed.
 */
static int shadow_retry_flush(struct s390_shadow *shadow,
			  struct s390_shadow_walk *walk)
{
	int rc;

	if (walk->making_room)
		return 0;
	rc = s390_shadow_retry_flush(shadow);
	if (rc != -ENOMEM || walk->made_room)
		return rc;
	walk->making_room = true;
	walk_restart(walk);
	return 0;
}

/* A pass came to its end: was it the last? */
static int walk_end_pass(struct s390_shadow *shadow,
			   struct s390_shadow_walk *walk)
{
	int rc;

	if (walk->making_room) {
		walk->making_room = false;
		walk->made_room = true;
		walk_restart(walk);
		rc = s390_shadow_retry_flush(shadow);
		return rc ?: -EAGAIN;
	}
	if (!walk->nomem)
		return 0;
	/* See what the range has given back, and try once more */
	walk->again = true;
	walk_restart(walk);
	return -EAGAIN;
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
 * @walk: set up by s390_shadow_walk_init()
 *
 * What RPCIT asks for. The range must lie within the aperture. Whatever the
 * result, what was mirrored stays mirrored, and no page is accessible to the
 * function that is not pinned.
 *
 * A large range takes many calls. Each does a bounded amount of work, so that
 * the caller can drop the locks that others wait for, and at least some.
 *
 * Context: process context of the guest's owner; sleeps. May run on many CPUs
 * at once. Fetches guest memory through the guest operations, so whatever they
 * need to be held must be held.
 * Return:
 * * 0		- the host table equals the guest's table over the range
 * * -EAGAIN	- there is more to do: call again with the same @walk
 * * -EINTR	- a signal is pending: likewise, after it was handled
 * * -ENOMEM	- out of memory, or a limit is reached, here or below us
 * * -ENODEV	- the shadow was destroyed or its domain detached
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

	/* Whoever waits to write may wait for a page fault of someone else's */
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
		rc = shadow_retry_flush(shadow, walk);
		if (rc)
			goto out;
	}

	rc = shadow_sync(shadow, &batch, walk);
	if (batch) {
		rc_flush = s390_shadow_batch_flush(shadow, &batch);
		if (!rc || rc == -EAGAIN)
			rc = rc_flush ?: rc;
	}
	/* What can't be flushed while making room joins those in limbo */
	if (rc == -ENOMEM && walk->making_room)
		rc = walk->next < walk->last ? -EAGAIN : 0;
	if (!rc)
		rc = walk_end_pass(shadow, walk);
out:
	up_read(&shadow->tree_lock);
	if (batch && shadow_wants_pruning(shadow))
		s390_shadow_prune(shadow, &batch);
free:
	s390_shadow_free_batch(shadow, batch);
refuse:
	shadow_account_result(shadow, next, rc);
	return rc;
}
EXPORT_SYMBOL_GPL(s390_shadow_refresh);
