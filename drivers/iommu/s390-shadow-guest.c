// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's side of a shadow: fetching and judging its translation table
 *
 * Invariants that this file keeps: an entry is fetched once and only the copy
 * is judged; protection is combined down the levels; what is fetched without
 * the lock of a segment decides solely whether the segment is looked at.
 */

#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "s390-shadow.h"

/* Fetch the guest's entry of @level that covers @iova from the table @origin */
static int guest_entry(struct s390_shadow *shadow, enum s390_iot_level level,
		       u64 origin, u64 iova, u64 *entry)
{
	u64 gaddr = origin + s390_iot_index(level, iova) * sizeof(*entry);

	return shadow->ops->read(shadow->guest, gaddr, entry, 1);
}

static u64 shadow_guest_root(const struct s390_shadow *shadow, bool *prot)
{
	*prot = shadow->cfg.iota & ZPCI_TABLE_PROTECTED;
	return shadow->cfg.iota & PAGE_MASK;
}

/* Reduce guest page table entries to address and combined protection */
static int normalize_ptes(u64 *ptes, unsigned int first, unsigned int last,
			  bool prot)
{
	unsigned int px;

	for (px = first; px <= last; px++) {
		bool p = prot;
		u64 addr;

		switch (s390_iot_decode(S390_IOT_PT, ptes[px], &addr, &p)) {
		case S390_IOT_FRAME:
			ptes[px] = s390_iot_pte(addr, p);
			break;
		case S390_IOT_INVALID:
			ptes[px] = ZPCI_PTE_INVALID;
			break;
		default:
			return -EINVAL;
		}
	}
	return 0;
}

/**
 * s390_shadow_fetch_segment() - what does the guest want of a segment?
 * @seg: the segment; the lock of its bucket is held
 *
 * Fetches all entries from the region table down and leaves those of the range
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
	u64 entry, addr;
	unsigned int px;
	bool prot;
	int rc;

	addr = shadow_guest_root(shadow, &prot);
	rc = guest_entry(shadow, S390_IOT_RT, addr, seg->iova, &entry);
	if (rc)
		return rc;
	switch (s390_iot_decode(S390_IOT_RT, entry, &addr, &prot)) {
	case S390_IOT_TABLE:
		break;
	case S390_IOT_INVALID:
		return 0;
	default:
		return -EINVAL;
	}

	rc = guest_entry(shadow, S390_IOT_ST, addr, seg->iova, &entry);
	if (rc)
		return rc;
	switch (s390_iot_decode(S390_IOT_ST, entry, &addr, &prot)) {
	case S390_IOT_TABLE:
		rc = shadow->ops->read(shadow->guest,
				       addr + seg->px_first * sizeof(u64),
				       &want[seg->px_first],
				       seg->px_last - seg->px_first + 1);
		if (!rc)
			rc = normalize_ptes(want, seg->px_first, seg->px_last,
					    prot);
		return rc ?: 1;
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

/* Number of entries from @gaddr on that one read may fetch */
static unsigned int window_size(u64 gaddr, unsigned int nr)
{
	unsigned int to_page_end = (PAGE_SIZE - offset_in_page(gaddr)) / 8;

	return min3(nr, to_page_end, (unsigned int)S390_SHADOW_WINDOW);
}

/* The guest's region-third table entry for @iova, by way of the window */
static int peek_rte(struct s390_shadow *shadow, struct s390_shadow_batch *batch,
		    u64 iova, u64 last, u64 *rte)
{
	unsigned int rtx = s390_iot_index(S390_IOT_RT, iova);
	unsigned int nr, end = s390_iot_index(S390_IOT_RT, last);
	bool prot;
	u64 gaddr;
	int rc;

	if (rtx < batch->rt_first || rtx >= batch->rt_first + batch->rt_nr) {
		gaddr = shadow_guest_root(shadow, &prot) + rtx * sizeof(u64);
		nr = window_size(gaddr, end - rtx + 1);
		batch->rt_nr = 0;
		rc = shadow->ops->read(shadow->guest, gaddr, batch->rt, nr);
		if (rc)
			return rc;
		batch->rt_first = rtx;
		batch->rt_nr = nr;
	}
	*rte = batch->rt[rtx - batch->rt_first];
	return 0;
}

/* The guest's segment table entry for @iova, likewise */
static int peek_ste(struct s390_shadow *shadow, struct s390_shadow_batch *batch,
		    u64 sto, u64 iova, u64 last, u64 *ste)
{
	u64 idx = (iova - batch->st_first) >> ZPCI_ST_SHIFT;
	u64 gaddr, region_last = iova | (S390_IOT_REGION_SIZE - 1);
	unsigned int nr;
	int rc;

	if (iova < batch->st_first || idx >= batch->st_nr) {
		gaddr = sto + s390_iot_index(S390_IOT_ST, iova) * sizeof(u64);
		nr = ((min(last, region_last) - iova) >> ZPCI_ST_SHIFT) + 1;
		nr = window_size(gaddr, nr);
		batch->st_nr = 0;
		rc = shadow->ops->read(shadow->guest, gaddr, batch->st, nr);
		if (rc)
			return rc;
		batch->st_first = iova;
		batch->st_nr = nr;
		idx = 0;
	}
	*ste = batch->st[idx];
	return 0;
}

/**
 * s390_shadow_next_segment() - find the next segment that needs a look
 * @shadow: the shadow; &s390_shadow.live is held
 * @batch: keeps the entries fetched between calls
 * @iova: where to begin, start of a segment
 * @last: last I/O address of the range
 *
 * A segment needs a look if the guest has a table or a frame there, or the host
 * has a page table, or the guest's entry can't be fetched or is malformed (the
 * locked path will say so). Segments that have neither are passed over without
 * a lock; see invariant 2 in s390-shadow.c for what the caller does about it.
 * Comes back early if the walk is to end.
 *
 * Context: process; sleeps
 * Return: the I/O address of the segment, or one above @last if there is none
 */
u64 s390_shadow_next_segment(struct s390_shadow *shadow,
			     struct s390_shadow_batch *batch, u64 iova,
			     u64 last)
{
	while (iova <= last) {
		u64 rte, ste, sto = 0, region_last, host_rte;
		enum s390_iot_kind kind;
		unsigned long *hostp;
		bool prot = false;

		if (peek_rte(shadow, batch, iova, last, &rte))
			return iova;
		kind = s390_iot_decode(S390_IOT_RT, rte, &sto, &prot);
		if (kind == S390_IOT_MALFORMED)
			return iova;

		region_last = iova | (S390_IOT_REGION_SIZE - 1);
		host_rte = READ_ONCE(shadow->rto[s390_iot_index(S390_IOT_RT,
								iova)]);
		if (kind == S390_IOT_INVALID &&
		    !s390_iot_entry_valid(host_rte)) {
			iova = region_last + 1;
			goto next;
		}

		batch->st_nr = 0;
		for (; iova <= min(last, region_last);
		     iova += S390_IOT_SEGMENT_SIZE) {
			hostp = s390_iot_lookup_ste(shadow->rto, iova);
			if (hostp && s390_iot_entry_valid(READ_ONCE(*hostp)))
				return iova;
			if (kind == S390_IOT_INVALID)
				continue;
			if (peek_ste(shadow, batch, sto, iova, last, &ste) ||
			    !ste || s390_iot_entry_valid(ste))
				return iova;
		}
next:
		/* The caller looks into why after one segment more */
		if (signal_pending(current) || READ_ONCE(shadow->dead))
			return iova;
		cond_resched();
	}
	return iova;
}
