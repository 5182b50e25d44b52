// SPDX-License-Identifier: GPL-2.0
/*
 * Read and check the guest's I/O translation table
 *
 * Invariants:
 *
 * - An entry is fetched once, as a whole, and only the copy is checked.
 * - Protection is combined down the levels.
 * - Entries fetched without the lock of a segment's bucket decide only whether
 *   the segment is synced.
 *
 * A bulk read is cheaper than single fetches, but it may tear an entry that the
 * guest stores meanwhile. So page table entries are read in bulk and compared
 * with the mirror; those that differ are fetched again, as a whole. A torn entry
 * that equals the mirror by chance does no harm: the guest is storing the entry
 * and will refresh it. Entries that point to tables are always fetched.
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
 * Reduce a valid guest page table entry to address and combined protection.
 * Return false if the entry is malformed.
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

/* Normalize @nr entries, at least one */
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

/* Mirror of a segment without a host page table */
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

	/* A malformed entry stays as it is and equals no mirror entry */
	for (first = px; prot && first < end; first++)
		normalize_pte(&want[first], prot);

	mirror = seg->pt ? s390_shadow_mirror(seg->pt) : empty_mirror;
	seg->same = seg->pt;
	for (;;) {
		px += zpci_same_len(&want[px], &mirror[px], end - px);
		if (px == end)
			return 0;
		/* Fetching a few unchanged entries does no harm */
		for (first = px; px < end && want[px] != mirror[px];)
			px = min(px + S390_SHADOW_BULK_MIN, end);
		rc = fetch_run(seg, pto, prot, first, px);
		if (rc)
			return rc;
		seg->same = false;
	}
}

/* Remember the tables just walked */
static noinline void cache_path(struct s390_shadow *shadow,
				struct s390_shadow_walk_cache *cache,
				const struct dma_walk *path)
{
	enum zpci_table_level level = shadow->guest_top;
	bool prot;
	u64 addr;

	/* There are no tables to remember, or they are known */
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
 * s390_shadow_fetch_segment() - fetch the guest's entries of a range
 * @seg: the range; &s390_shadow_segment.pt is set if there is a page table
 *
 * Walks the guest's table from the top. Stores the page table entries of the range
 * to &s390_shadow_batch.guest, valid ones reduced to address and combined
 * protection, or sets &s390_shadow_segment.same.
 *
 * Context: process; sleeps. The lock of the segment's bucket is held.
 * Return:
 * * 1	     - the guest has a page table or a 1 MiB frame there
 * * 0	     - an entry above the page table is invalid
 * * -EINVAL - an entry is malformed
 * * other   - error of the guest operation that failed
 */
int s390_shadow_fetch_segment(struct s390_shadow_segment *seg)
{
	struct s390_shadow *shadow = seg->shadow;
	u64 *want = seg->batch->guest, *pte = &want[seg->px_first];
	struct dma_walk path;
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

/* Find the copy of the guest's entry at @gaddr; return NULL if there is none */
static unsigned long *cached_entry(struct s390_shadow_walk_cache *cache, u64 gaddr)
{
	u64 i = (gaddr - cache->table_gaddr) / sizeof(u64);

	return gaddr >= cache->table_gaddr && i < cache->nr ? &cache->table[i] :
							   NULL;
}

/*
 * Read @nr entries at @gaddr of a guest table in bulk. Return NULL if that fails:
 * the caller then fetches them one by one.
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
 * Get the guest's entry at @gaddr. Use a copy read in bulk only for the valid bit,
 * which is in one byte and can't be torn. Fetch an entry that points to a table.
 */
static int lookup_entry(struct s390_shadow *shadow, enum zpci_table_level level,
			struct s390_shadow_walk_cache *cache, u64 gaddr, u64 *entry)
{
	unsigned long *copy = cached_entry(cache, gaddr);

	/* The address in a segment table entry is not used */
	if (copy && (level == ZPCI_LEVEL_ST || !reg_entry_isvalid(*copy))) {
		*entry = *copy;
		return 0;
	}
	return shadow->ops->fetch(shadow->guest, gaddr, entry, 1);
}

/*
 * Walk the guest's table to the segment of @iova. Set @levelp and @gaddrp to the
 * level and the guest address of the entry where the walk ends, and return its
 * kind.
 *
 * Read segment table entries in bulk, as far as @last. If @read_ahead is set, also
 * read the first uncached entry and those after it in bulk, because entries after
 * an invalid part of a table are mostly invalid.
 */
static enum zpci_entry_kind lookup_guest(struct s390_shadow *shadow,
					 struct s390_shadow_batch *batch, u64 iova,
					 u64 last, bool read_ahead,
					 enum zpci_table_level *levelp, u64 *gaddrp)
{
	struct s390_shadow_walk_cache *cache = &batch->walk_cache;
	enum zpci_table_level level = shadow->guest_top;
	enum zpci_entry_kind kind;
	u64 addr, entry, gaddr;
	bool prot;

	addr = shadow_guest_root(shadow, &prot);
	for (;; level--) {
		gaddr = addr + zpci_table_index(level, iova) * sizeof(entry);
		/* Don't fetch an entry again while the walk stays below it */
		if (cache->gaddr[level] == gaddr) {
			addr = cache->next[level];
			continue;
		}
		*levelp = level;
		*gaddrp = gaddr;
		if (read_ahead || level == ZPCI_LEVEL_ST) {
			read_ahead = false;
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
 * Find the end of a run of invalid entries in a guest table of @level. The first
 * is at @gaddr and covers @iova. Return the last I/O address of the run, looking
 * no further than @last. If the table can't be read, the run is one entry.
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
	/* The entry may have become valid meanwhile */
	if (!copy || reg_entry_isvalid(*copy))
		goto one;
	return zpci_run_last(level, iova, zpci_run_len(copy, nr));
one:
	return zpci_span_last(level, iova);
}

/**
 * s390_shadow_find_segment() - find the next segment to sync
 * @shadow: the shadow
 * @batch: batch whose walk cache keeps entries between calls
 * @iova: where to begin, start of a segment; set to the I/O address of the
 *	  segment found
 * @last: last I/O address of the range (inclusive)
 *
 * A segment must be synced if the guest has a table or a frame there, if the host
 * has a page table, or if the guest's entry can't be fetched or is malformed. The
 * sync under the lock then returns the error. Other segments are skipped without
 * their locks; see invariant 2 in s390-shadow-sync.c for what the caller must do.
 * The time is proportional to the number of tables of guest and host.
 *
 * Returns early, with any segment, if the budget is used up, a signal is pending
 * or the shadow is torn down.
 *
 * Context: process; sleeps. &s390_shadow.tree_lock is held.
 * Return: true if a segment was found
 */
bool s390_shadow_find_segment(struct s390_shadow *shadow,
			      struct s390_shadow_batch *batch, u64 *iova,
			      u64 last)
{
	struct s390_shadow_walk_cache *cache = &batch->walk_cache;
	enum zpci_table_level level;
	u64 addr = *iova, gaddr;

	/* Read each part of the guest's and of the host's table only once */
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
		/* Skip to the next segment with a host page table, if any */
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
