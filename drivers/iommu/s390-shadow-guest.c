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
 * all are as they were. So they are read in bulk, and what does not look as it
 * was, or leads the way to other tables, is fetched. If what was read in bulk
 * equals the mirror although it is a mixture of two values, the guest is storing
 * this very entry, and will refresh it.
 */

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "s390-shadow.h"

/* Fetch the guest's entry of @level that covers @iova from the table @origin */
static int guest_entry(struct s390_shadow *shadow, enum s390_iot_level level,
		       u64 origin, u64 iova, u64 *entry)
{
	u64 gaddr = origin + s390_iot_index(level, iova) * sizeof(*entry);

	return shadow->ops->fetch(shadow->guest, gaddr, entry, 1);
}

static u64 shadow_guest_root(const struct s390_shadow *shadow, bool *prot)
{
	*prot = shadow->cfg.iota & ZPCI_TABLE_PROTECTED;
	return shadow->cfg.iota & PAGE_MASK;
}

/* Reduce a guest page table entry to address and combined protection */
static bool normalize_pte(u64 *pte, bool prot)
{
	u64 addr;

	switch (s390_iot_decode(S390_IOT_PT, *pte, &addr, &prot)) {
	case S390_IOT_FRAME:
		*pte = s390_iot_pte(addr, prot);
		return true;
	case S390_IOT_INVALID:
		*pte = ZPCI_PTE_INVALID;
		return true;
	default:
		return false;
	}
}

/* Fetch the range's entries of the guest's page table at @pto */
static int fetch_ptes(struct s390_shadow_segment *seg, u64 pto, bool prot)
{
	struct s390_shadow *shadow = seg->shadow;
	DECLARE_BITMAP(changed, ZPCI_PT_ENTRIES);
	u64 *want = seg->batch->guest;
	unsigned int px, first, end;
	u64 *mirror, now;
	int rc;

	rc = shadow->ops->read(shadow->guest, pto + seg->px_first * sizeof(u64),
			       &want[seg->px_first],
			       seg->px_last - seg->px_first + 1);
	if (rc)
		return rc;

	bitmap_zero(changed, ZPCI_PT_ENTRIES);
	mirror = seg->leaf ? s390_shadow_mirror(seg->leaf) : NULL;
	for (px = seg->px_first; px <= seg->px_last; px++) {
		now = mirror ? mirror[px] : ZPCI_PTE_INVALID;
		if (!normalize_pte(&want[px], prot) || want[px] != now)
			__set_bit(px, changed);
	}

	for_each_set_bitrange(first, end, changed, ZPCI_PT_ENTRIES) {
		rc = shadow->ops->fetch(shadow->guest,
					pto + first * sizeof(u64), &want[first],
					end - first);
		if (rc)
			return rc;
		for (px = first; px < end; px++)
			if (!normalize_pte(&want[px], prot))
				return -EINVAL;
	}
	return 0;
}

/**
 * s390_shadow_fetch_segment() - what does the guest want of a segment?
 * @seg: the segment with its leaf, if it has one; the lock of its bucket is held
 *
 * Fetches all entries from the topmost table down and leaves those of the range
 * in &s390_shadow_batch.guest, reduced to address and combined protection or to
 * ZPCI_PTE_INVALID.
 *
 * Context: process; sleeps
 * Return: 1 if the guest has a page table or a large frame there, 0 if the
 * segment is invalid as a whole, -EINVAL if an entry is malformed, or the
 * error of the read operation
 */
int s390_shadow_fetch_segment(struct s390_shadow_segment *seg)
{
	struct s390_shadow *shadow = seg->shadow;
	u64 *want = seg->batch->guest;
	enum s390_iot_level level;
	u64 entry, addr;
	unsigned int px;
	bool prot;
	int rc;

	addr = shadow_guest_root(shadow, &prot);
	for (level = shadow->guest_top; level >= S390_IOT_ST; level--) {
		rc = guest_entry(shadow, level, addr, seg->iova, &entry);
		if (rc)
			return rc;
		switch (s390_iot_decode(level, entry, &addr, &prot)) {
		case S390_IOT_TABLE:
			break;
		case S390_IOT_FRAME:
			for (px = seg->px_first; px <= seg->px_last; px++)
				want[px] = s390_iot_pte(addr + ((u64)px << PAGE_SHIFT),
							prot);
			return 1;
		case S390_IOT_INVALID:
			return 0;
		default:
			return -EINVAL;
		}
	}

	rc = fetch_ptes(seg, addr, prot);
	return rc ?: 1;
}

/*
 * A guest's entry by way of the window of its level. The window knows no
 * tables, just memory, so that it need not be told when the walk goes on in
 * another table.
 */
static int peek_entry(struct s390_shadow *shadow, enum s390_iot_level level,
		      struct s390_shadow_batch *batch, u64 gaddr, u64 *entry)
{
	struct s390_shadow_window *win = &batch->window[level - S390_IOT_ST];
	unsigned int to_page_end, nr;
	int rc;

	if (gaddr < win->gaddr || (gaddr - win->gaddr) / sizeof(u64) >= win->nr) {
		to_page_end = (PAGE_SIZE - offset_in_page(gaddr)) / sizeof(u64);
		nr = min_t(unsigned int, to_page_end, S390_SHADOW_WINDOW);
		win->nr = 0;
		rc = shadow->ops->read(shadow->guest, gaddr, win->entry, nr);
		if (rc)
			return rc;
		win->gaddr = gaddr;
		win->nr = nr;
		win->whole = 0;
	}
	*entry = win->entry[(gaddr - win->gaddr) / sizeof(u64)];
	return 0;
}

/*
 * The walk is about to follow the entry at @gaddr, which is in the window: make
 * sure that it is not half an old one, half a new one. What the entry says about
 * itself, valid or not, is in one byte and needs no such care.
 */
static int peek_whole(struct s390_shadow *shadow, enum s390_iot_level level,
		      struct s390_shadow_batch *batch, u64 gaddr, u64 *entry)
{
	struct s390_shadow_window *win = &batch->window[level - S390_IOT_ST];
	unsigned int i = (gaddr - win->gaddr) / sizeof(u64);
	int rc;

	BUILD_BUG_ON(S390_SHADOW_WINDOW > 8 * sizeof(win->whole));
	if (!(win->whole & BIT(i))) {
		rc = shadow->ops->fetch(shadow->guest, gaddr, &win->entry[i], 1);
		if (rc)
			return rc;
		win->whole |= BIT(i);
	}
	*entry = win->entry[i];
	return 0;
}

/*
 * The guest's last word on @iova above the page tables: the level at which its
 * walk ends, and how.
 */
static enum s390_iot_kind peek(struct s390_shadow *shadow,
			       struct s390_shadow_batch *batch, u64 iova,
			       enum s390_iot_level *levelp)
{
	enum s390_iot_level level = shadow->guest_top;
	enum s390_iot_kind kind;
	u64 addr, gaddr, entry;
	bool prot;

	/* Protection does not matter here */
	addr = shadow_guest_root(shadow, &prot);
	for (;; level--) {
		*levelp = level;
		gaddr = addr + s390_iot_index(level, iova) * sizeof(entry);
		if (peek_entry(shadow, level, batch, gaddr, &entry))
			return S390_IOT_MALFORMED;
		kind = s390_iot_decode(level, entry, &addr, &prot);
		if (kind == S390_IOT_TABLE && level > S390_IOT_ST) {
			if (peek_whole(shadow, level, batch, gaddr, &entry))
				return S390_IOT_MALFORMED;
			kind = s390_iot_decode(level, entry, &addr, &prot);
		}
		if (kind != S390_IOT_TABLE || level == S390_IOT_ST)
			return kind;
	}
}

/**
 * s390_shadow_next_segment() - find the next segment that needs a look
 * @shadow: the shadow; &s390_shadow.live is held
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
bool s390_shadow_next_segment(struct s390_shadow *shadow,
			      struct s390_shadow_batch *batch, u64 *iova,
			      u64 last)
{
	enum s390_iot_level level;
	u64 span_last;

	for (;;) {
		if (--batch->steps <= 0 || signal_pending(current) ||
		    READ_ONCE(shadow->dead))
			return true;
		if (peek(shadow, batch, *iova, &level) != S390_IOT_INVALID)
			return true;
		/* Nothing there of the guest's, but maybe of ours */
		span_last = min(s390_iot_span_last(level, *iova), last);
		if (s390_iot_find_ste(shadow->root, shadow->top, iova,
				      span_last))
			return true;
		if (span_last == last)
			return false;
		*iova = span_last + 1;
		cond_resched();
	}
}
