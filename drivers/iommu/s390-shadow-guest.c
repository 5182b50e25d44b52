// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's side of a shadow: fetching and judging its translation table
 *
 * Invariants that this file keeps: an entry that counts is fetched once, as a
 * whole, and only the copy is judged; protection is combined down the levels;
 * what is fetched without the lock of a segment decides solely whether the
 * segment is looked at.
 *
 * To fetch entries one by one costs more than to read them in bulk, and nearly
 * all are as they were. So they are read in bulk if there are many, and what does
 * not look as it was, or leads the way to other tables, is fetched. If what was
 * read in bulk equals the mirror although it is a mixture of two values, the guest
 * is storing this very entry, and will refresh it.
 */

#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "s390-shadow.h"

static u64 shadow_guest_root(const struct s390_shadow *shadow, bool *prot)
{
	*prot = shadow->cfg.iota & ZPCI_TABLE_PROTECTED;
	return shadow->cfg.iota & PAGE_MASK;
}

/*
 * Reduce a guest page table entry to address and combined protection; if it is
 * invalid leave it as it is.
 */
static bool normalize_pte(u64 *pte, bool prot)
{
	u64 addr;

	if (!pt_entry_isvalid(*pte))
		return true;
	switch (zpci_decode_entry(ZPCI_LEVEL_PT, *pte, &addr, &prot)) {
	case ZPCI_ENTRY_FRAME:
		*pte = zpci_make_pte(addr, prot);
		return true;
	default:
		return false;
	}
}

/* Reduce @nr entries, at least one, as they were fetched */
static int normalize_run(u64 *pte, unsigned int nr, bool prot)
{
	do {
		if (!normalize_pte(pte++, prot))
			return -EINVAL;
	} while (--nr);
	return 0;
}

/* Fetch entries @first to @end - 1 of the guest's page table at @pto */
static int fetch_run(struct s390_shadow_segment *seg, u64 pto, bool prot,
		     unsigned int first, unsigned int end)
{
	struct s390_shadow *shadow = seg->shadow;
	u64 *want = &seg->batch->guest[first];
	unsigned int nr = end - first;
	int rc;

	rc = shadow->ops->fetch(shadow->guest, pto + first * sizeof(u64), want,
				nr);
	return rc ?: normalize_run(want, nr, prot);
}

/* What a segment without a page table has mapped */
static const u64 empty_mirror[ZPCI_PT_ENTRIES] = {
	[0 ... ZPCI_PT_ENTRIES - 1] = ZPCI_PTE_INVALID,
};

/* Fetch the range's entries of the guest's page table at @pto */
static int fetch_ptes(struct s390_shadow_segment *seg, u64 pto, bool prot)
{
	unsigned int first, px = seg->px_first, end = seg->px_last + 1;
	struct s390_shadow *shadow = seg->shadow;
	u64 *want = seg->batch->guest;
	const u64 *mirror;
	int rc;

	rc = shadow->ops->read(shadow->guest, pto + px * sizeof(u64),
			       &want[px], end - px);
	if (rc)
		return rc;

	/* A malformed entry remains what is in no mirror */
	for (first = px; prot && first < end; first++)
		normalize_pte(&want[first], prot);

	mirror = seg->pt ? s390_shadow_mirror(seg->pt) : empty_mirror;
	seg->same = seg->pt;
	for (;;) {
		px += zpci_same_len(&want[px], &mirror[px], end - px);
		if (px == end)
			return 0;
		/* A few too many do no harm */
		for (first = px; px < end && want[px] != mirror[px];)
			px = min(px + S390_SHADOW_BULK_MIN, end);
		rc = fetch_run(seg, pto, prot, first, px);
		if (rc)
			return rc;
		seg->same = false;
	}
}

/* Entry by entry, the way to a segment is the one that leads on from there, too */
static noinline void cache_path(struct s390_shadow *shadow,
			      struct s390_shadow_walk_cache *cache,
			      const struct dma_guest_walk *path)
{
	enum zpci_table_level level = shadow->guest_top;
	bool prot;
	u64 addr;

	/* Nothing on the way, or the one that is known */
	if (level == ZPCI_LEVEL_ST ||
	    cache->next[ZPCI_LEVEL_RT] == path->table[ZPCI_LEVEL_ST])
		return;
	addr = shadow_guest_root(shadow, &prot);
	for (; level > ZPCI_LEVEL_ST; level--) {
		cache->gaddr[level] = addr + zpci_table_index(level, path->iova) *
					    sizeof(u64);
		addr = path->table[level - 1];
		cache->next[level] = addr;
	}
}

/**
 * s390_shadow_fetch_segment() - what does the guest want of a segment?
 * @seg: the segment with its leaf, if it has one; the lock of its bucket is held
 *
 * Fetches all entries from the topmost table down and leaves those of the range
 * in &s390_shadow_batch.guest, the valid ones reduced to address and combined
 * protection, or sets &s390_shadow_segment.same.
 *
 * Context: process; sleeps
 * Return: 1 if the guest has a page table or a large frame there, 0 if the
 * segment is invalid as a whole, -EINVAL if an entry is malformed, or the
 * error of the operation that could not get at it
 */
int s390_shadow_fetch_segment(struct s390_shadow_segment *seg)
{
	struct s390_shadow *shadow = seg->shadow;
	u64 *want = seg->batch->guest, *pte = &want[seg->px_first];
	struct dma_guest_walk path;
	unsigned int px, nr = seg->px_last - seg->px_first + 1;
	int rc;

	path.iova = seg->iova + ((u64)seg->px_first << PAGE_SHIFT);
	path.top = shadow->guest_top;
	path.addr = shadow_guest_root(shadow, &path.prot);
	if (nr >= S390_SHADOW_BULK_MIN)
		nr = 0;
	rc = shadow->ops->walk(shadow->guest, &path, pte, nr);
	if (likely(rc == ZPCI_ENTRY_TABLE)) {
		if (seg->batch->walk_cache.valid)
			cache_path(shadow, &seg->batch->walk_cache, &path);
		if (!nr)
			return fetch_ptes(seg, path.addr, path.prot) ?: 1;
		return normalize_run(pte, nr, path.prot) ?: 1;
	}

	switch (rc) {
	case ZPCI_ENTRY_FRAME:
		for (px = seg->px_first; px <= seg->px_last; px++)
			want[px] = zpci_make_pte(path.addr + ((u64)px << PAGE_SHIFT),
						 path.prot);
		return 1;
	case ZPCI_ENTRY_INVALID:
		return 0;
	case ZPCI_ENTRY_MALFORMED:
		return -EINVAL;
	default:
		return rc;
	}
}

/* The copy of the guest's entry at @gaddr that was read in bulk, or NULL */
static unsigned long *cached_entry(struct s390_shadow_walk_cache *cache, u64 gaddr)
{
	u64 i = (gaddr - cache->table_gaddr) / sizeof(u64);

	return gaddr >= cache->table_gaddr && i < cache->nr ? &cache->table[i] :
							   NULL;
}

/*
 * Read the guest's entries from that at @gaddr on, @nr of them to the end of its
 * table or of the range. If that can't be done, they are looked at one by one.
 */
static unsigned long *cache_entries(struct s390_shadow *shadow,
				  struct s390_shadow_batch *batch, u64 gaddr,
				  unsigned int nr)
{
	struct s390_shadow_walk_cache *cache = &batch->walk_cache;

	batch->budget -= nr / ZPCI_PT_ENTRIES;
	if (!cache->table)
		cache->table = dma_alloc_cpu_table_raw(S390_SHADOW_GFP);
	cache->nr = 0;
	if (!cache->table ||
	    shadow->ops->read(shadow->guest, gaddr, (u64 *)cache->table, nr))
		return NULL;
	cache->table_gaddr = gaddr;
	cache->nr = nr;
	return cache->table;
}

/*
 * The guest's entry at @gaddr for a look. An entry that leads to other tables is
 * fetched, not to be half an old one, half a new one; what an entry says about
 * itself, valid or not, is in one byte and needs no such care.
 */
static int lookup_entry(struct s390_shadow *shadow, enum zpci_table_level level,
		      struct s390_shadow_walk_cache *cache, u64 gaddr, u64 *entry)
{
	unsigned long *copy = cached_entry(cache, gaddr);

	/* Where a segment's page table is does not matter here */
	if (copy && (level == ZPCI_LEVEL_ST || !reg_entry_isvalid(*copy))) {
		*entry = *copy;
		return 0;
	}
	return shadow->ops->fetch(shadow->guest, gaddr, entry, 1);
}

/*
 * The guest's last word on @iova above the page tables: the level at which its
 * walk ends, at which entry, and how.
 *
 * Segments are looked at together, as far as @last. So is what follows a table
 * that the walk is @passing: where there is nothing in the table, there is nothing
 * after it, as a rule.
 */
static enum zpci_entry_kind lookup_guest(struct s390_shadow *shadow,
				 struct s390_shadow_batch *batch, u64 iova,
				 u64 last, bool passing,
				 enum zpci_table_level *levelp, u64 *gaddrp)
{
	struct s390_shadow_walk_cache *cache = &batch->walk_cache;
	enum zpci_table_level level = shadow->guest_top;
	enum zpci_entry_kind kind;
	u64 addr, entry, gaddr;
	bool prot;

	/* Protection does not matter here */
	addr = shadow_guest_root(shadow, &prot);
	for (;; level--) {
		gaddr = addr + zpci_table_index(level, iova) * sizeof(entry);
		/* As long as the walk stays below it, it need not be fetched again */
		if (cache->gaddr[level] == gaddr) {
			addr = cache->next[level];
			continue;
		}
		*levelp = level;
		*gaddrp = gaddr;
		if (passing || level == ZPCI_LEVEL_ST) {
			passing = false;
			if (!cached_entry(cache, gaddr))
				cache_entries(shadow, batch, gaddr,
					    zpci_run_nr(level, iova, last));
		}
		if (lookup_entry(shadow, level, cache, gaddr, &entry))
			return ZPCI_ENTRY_MALFORMED;
		kind = zpci_decode_entry(level, entry, &addr, &prot);
		if (kind != ZPCI_ENTRY_TABLE || level == ZPCI_LEVEL_ST)
			return kind;
		cache->gaddr[level] = gaddr;
		cache->next[level] = addr;
	}
}

/*
 * The guest's entry of @level at @gaddr, which covers @iova, is invalid. Up to
 * which address is the table so, as far as @last? If it can't be read, at least
 * the one entry is.
 */
static u64 find_last_invalid(struct s390_shadow *shadow,
			 struct s390_shadow_batch *batch,
			 enum zpci_table_level level, u64 gaddr, u64 iova,
			 u64 last)
{
	unsigned int nr = zpci_run_nr(level, iova, last);
	struct s390_shadow_walk_cache *cache = &batch->walk_cache;
	unsigned long *copy = cached_entry(cache, gaddr);

	if (nr == 1)
		goto one;
	if (!copy || copy + nr > cache->table + cache->nr)
		copy = cache_entries(shadow, batch, gaddr, nr);
	/* Not any more? Then it has become valid after the look. */
	if (!copy || reg_entry_isvalid(*copy))
		goto one;
	return zpci_run_last(level, iova, zpci_run_len(copy, nr));
one:
	return zpci_span_last(level, iova);
}

/**
 * s390_shadow_find_segment() - find the next segment that needs a look
 * @shadow: the shadow; &s390_shadow.tree_lock is held
 * @batch: keeps the entries fetched between calls
 * @iova: where to begin, start of a segment; set to the I/O address of the
 *	  segment found
 * @last: last I/O address of the range
 *
 * A segment needs a look if the guest has a table or a frame there, or the host
 * has a page table, or the guest's entry can't be fetched or is malformed (the
 * locked path will say so). Segments that have neither are passed over without
 * a lock; see invariant 2 in s390-shadow-sync.c for what the caller does about
 * it. Takes time in proportion to the tables that exist, on either side.
 *
 * Comes back early, with any segment, if the walk is to pause or to end.
 *
 * Context: process; sleeps
 * Return: true if there is such a segment
 */
bool s390_shadow_find_segment(struct s390_shadow *shadow,
			      struct s390_shadow_batch *batch, u64 *iova,
			      u64 last)
{
	struct s390_shadow_walk_cache *cache = &batch->walk_cache;
	enum zpci_table_level level;
	u64 addr = *iova, gaddr;

	/* Each part of either table is looked at once in the course of a refresh */
	if (!cache->valid) {
		memset(cache->gaddr, 0xff, sizeof(cache->gaddr));
		memset(cache->next, 0xff, sizeof(cache->next));
		cache->nr = 0;
	}
	if (!cache->valid || cache->next_pt < addr) {
		cache->next_pt = addr;
		if (!dma_find_seg_trans(shadow->root, shadow->top, &cache->next_pt,
					last))
			cache->next_pt = U64_MAX;
		cache->valid = true;
	}

	while (addr != cache->next_pt) {
		if (--batch->budget <= 0 || signal_pending(current) ||
		    READ_ONCE(shadow->dead))
			break;
		if (lookup_guest(shadow, batch, addr, last, addr != *iova, &level,
			 &gaddr) != ZPCI_ENTRY_INVALID)
			break;
		/* Nothing there of the guest's, but maybe of ours */
		addr = find_last_invalid(shadow, batch, level, gaddr, addr, last);
		if (addr >= min(cache->next_pt, last)) {
			addr = cache->next_pt;
			break;
		}
		addr++;
		cond_resched();
	}
	*iova = addr;
	return addr != U64_MAX;
}
