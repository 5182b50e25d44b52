// SPDX-License-Identifier: GPL-2.0
/*
 * Check each step
 *
 * After every step: each frame is pinned, and pinned for writing, as often as it
 * occurs in entries of the host's table and in batches that wait for a host
 * refresh. The charge equals the pins, and so do the statistics. function.c checks
 * at every unpin that the function can't reach the frame.
 *
 * After a refresh that returned 0, the function translates each page of the range
 * as the guest's table does.
 *
 * Outside the range nothing has changed, with one exception: if the guest has no
 * page table for a segment that the range touches, the host's page table of the
 * whole segment is removed.
 *
 * After a refresh that failed, each page of the range is mapped as before, mapped
 * as in the guest's table, or unmapped.
 */

#include "harness.h"

u64 check_refreshes, check_pages;

static unsigned int refs[SHIM_FRAMES][2];
static u64 seen_sum;

static void see(u64 pte)
{
	u64 frame = ((pte & PAGE_MASK) - SHIM_FRAME_PHYS) >> PAGE_SHIFT;

	if (pte & NO_PTE)
		return;
	expect(frame < guest_frames(),
	       "the host's entry 0x%llx names no frame of the guest", pte);
	refs[frame][!(pte & 0x200)]++;
	seen_sum++;
}

u64 check_host_entries(void)
{
	struct segments s = {};
	unsigned int i, px;
	u64 root, nr = 0;
	int top;

	root = engine_root(&top);
	oracle_host_segments(root, top, &s);
	for (i = 0; i < s.nr; i++)
		for (px = 0; px < 256; px++)
			nr += !(oracle_host(root, top,
					    s.iova[i] + ((u64)px << 12)) & NO_PTE);
	segments_free(&s);
	return nr;
}

void check_invariants(void)
{
	struct segments s = {};
	unsigned int i, px;
	u64 root;
	int top;

	if (!engine_alive())
		return;
	memset(refs, 0, guest_frames() * sizeof(refs[0]));
	seen_sum = 0;
	root = engine_root(&top);
	oracle_host_segments(root, top, &s);
	for (i = 0; i < s.nr; i++)
		for (px = 0; px < 256; px++)
			see(oracle_host(root, top, s.iova[i] + ((u64)px << 12)));
	segments_free(&s);
	engine_each_failed(see);

	expect(guest_pinned() == seen_sum,
	       "%llu pins, but %llu entries in the host's table or awaiting a refresh",
	       guest_pinned(), seen_sum);
	expect(guest_charged() == seen_sum, "%llu charged, but %llu pinned",
	       guest_charged(), seen_sum);
	expect(engine_pinned() == seen_sum,
	       "statistics: %llu pinned, but it is %llu", engine_pinned(),
	       seen_sum);
	for (i = 0; i < guest_frames(); i++)
		for (px = 0; px < 2; px++)
			expect(refs[i][px] == guest_pins(i, px),
			       "frame %u: pinned %u times %s, named by %u entries",
			       i, guest_pins(i, px),
			       px ? "for writing" : "for reading", refs[i][px]);
}

void check_nothing_left(void)
{
	static const char *const names[] = {
		"allocations", "page tables of the shadow",
		"region and segment tables", "page tables",
	};
	unsigned int i;

	expect(!guest_pinned(), "%llu frames left pinned", guest_pinned());
	expect(!guest_charged(), "%llu frames left charged", guest_charged());
	for (i = 0; i < NR_SHIM_ALLOCS; i++)
		expect(!shim_live(i), "%ld %s left behind", shim_live(i),
		       names[i]);
}

/* Entries of the host's table before a refresh, by segment */
struct before {
	struct segments s;
	u64 (*pte)[256];
};

static void before_take(struct before *b)
{
	unsigned int i, px;
	u64 root;
	int top;

	memset(b, 0, sizeof(*b));
	root = engine_root(&top);
	oracle_host_segments(root, top, &b->s);
	b->pte = malloc((b->s.nr ?: 1) * sizeof(*b->pte));
	for (i = 0; i < b->s.nr; i++)
		for (px = 0; px < 256; px++)
			b->pte[i][px] = oracle_host(root, top, b->s.iova[i] +
						    ((u64)px << 12));
}

static const u64 *before_segment(const struct before *b, u64 iova)
{
	unsigned int lo = 0, hi = b->s.nr, mid;

	iova &= ~0xfffffULL;
	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (b->s.iova[mid] == iova)
			return b->pte[mid];
		if (b->s.iova[mid] < iova)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Compute the host's entry from the guest's table */
static u64 wanted(u64 iova)
{
	struct oracle_answer a = oracle_translate(world.iota, iova);
	int frame;

	if (a.kind != ORACLE_MAPPED)
		return NO_PTE;
	frame = guest_frame(a.gaddr);
	if (frame < 0)
		return NO_PTE;
	return SHIM_FRAME_PHYS + (u64)frame * 4096 + (a.prot ? 0x200 : 0);
}

/* Return 0 if a page can be mapped, else the error that a refresh must return */
static int page_error(u64 iova)
{
	struct oracle_answer a = oracle_translate(world.iota, iova);

	switch (a.kind) {
	case ORACLE_MALFORMED:
		return -EINVAL;
	case ORACLE_NO_MEMORY:
		return -EFAULT;
	case ORACLE_MAPPED:
		if (!guest_frame_pinnable(a.gaddr) ||
		    (!a.prot && !guest_frame_writable(a.gaddr)))
			return -EFAULT;
		return 0;
	default:
		return 0;
	}
}

/*
 * Compute what a refresh must return without injected faults: the error of the
 * first segment with one. A malformed entry precedes a frame that can't be pinned,
 * because the shadow fetches all entries of a segment first.
 */
int check_prediction(u64 first, u64 last)
{
	struct segments s = {};
	unsigned int i, px;
	int rc = 0, rc_page, rc_frame;

	oracle_guest_segments(world.iota, first, last, &s);
	segments_sort(&s);
	for (i = 0; i < s.nr && !rc; i++) {
		rc_frame = 0;
		for (px = 0; px < 256 && !rc; px++) {
			u64 iova = s.iova[i] + ((u64)px << 12);

			if (iova < first || iova > last)
				continue;
			rc_page = page_error(iova);
			if (oracle_translate(world.iota, iova).kind ==
			    ORACLE_MAPPED)
				rc_frame = rc_frame ?: rc_page;
			else
				rc = rc_page;
		}
		rc = rc ?: rc_frame;
	}
	segments_free(&s);
	return rc;
}

static void check_page(u64 iova, u64 first, u64 last, u64 was, u64 is, int rc)
{
	struct oracle_answer a;
	u64 want;

	check_pages++;
	if (iova < world.pba || iova > world.pal) {
		expect(is == NO_PTE, "0x%llx is mapped outside the aperture",
		       iova);
		return;
	}
	if (iova < first || iova > last) {
		if (is == was)
			return;
		a = oracle_translate(world.iota, iova);
		expect(is == NO_PTE && a.kind == ORACLE_NO_SEGMENT &&
		       iova >> 20 >= first >> 20 && iova >> 20 <= last >> 20,
		       "0x%llx, outside the refreshed range 0x%llx to 0x%llx, was 0x%llx, is 0x%llx, the guest's is of kind %d",
		       iova, first, last, was, is, a.kind);
		return;
	}
	want = wanted(iova);
	expect(is == want || (rc && (is == was || is == NO_PTE)),
	       "0x%llx: the host has 0x%llx, the guest wants 0x%llx; before the refresh it was 0x%llx; the refresh returned %d",
	       iova, is, want, was, rc);
	if (!rc) {
		u64 reach = function_translates(iova);

		expect(reach == want,
		       "0x%llx: the function still translates to 0x%llx, the guest wants 0x%llx: the host refresh did not cover it",
		       iova, reach, want);
	}
}

/* Refresh a range and check the result */
int check_refresh(u64 first, u64 last, bool resume)
{
	struct segments s = {}, empty = {};
	struct before b;
	unsigned int i, px;
	u64 root, reads;
	int rc, top;

	if (!engine_alive()) {
		reads = guest_stats.reads;
		rc = engine_refresh(first, last, resume);
		expect(guest_stats.reads == reads,
		       "a refresh of a dead shadow reads");
		expect(rc == -ENODEV || rc == -ENOMEM || rc == -EINTR,
		       "a refresh of a dead shadow returns %d", rc);
		return rc;
	}
	function_access_all();
	/* Access some untranslated addresses, too */
	for (i = 0; i < 4; i++)
		function_access(first + ((last - first) / 4096 * rnd_below(5) / 4) *
			     4096);
	before_take(&b);
	rc = engine_refresh(first, last, resume);
	check_refreshes++;
	root = engine_root(&top);
	oracle_host_segments(root, top, &s);
	oracle_guest_segments(world.iota, first, last, &s);
	for (i = 0; i < b.s.nr; i++)
		segments_add(&s, b.s.iova[i]);
	segments_sort(&s);
	for (i = 0; i < s.nr; i++) {
		const u64 *was = before_segment(&b, s.iova[i]);
		/* Sample the pages if there are very many */
		bool some = s.nr > 256 && i > 64 && i < s.nr - 64 && i % 16;

		for (px = 0; px < 256; px++) {
			u64 iova = s.iova[i] + ((u64)px << 12);

			if (some && px && px != 255 && px % 50 != i % 50)
				continue;
			check_page(iova, first, last, was ? was[px] : NO_PTE,
				   oracle_host(root, top, iova), rc);
		}
	}
	/* Sample addresses that must be unmapped */
	segments_add(&empty, first);
	segments_add(&empty, last);
	for (i = 0; i < 8; i++)
		segments_add(&empty, first + rnd() % ((last - first) ?: 1));
	for (i = 0; i < empty.nr; i++) {
		const u64 *was = before_segment(&b, empty.iova[i]);

		for (px = i % 5; px < 256; px += 50) {
			u64 iova = empty.iova[i] + ((u64)px << 12);

			check_page(iova, first, last, was ? was[px] : NO_PTE,
				   oracle_host(root, top, iova), rc);
		}
	}
	segments_free(&empty);
	segments_free(&s);
	segments_free(&b.s);
	free(b.pte);
	check_invariants();
	return rc;
}

/* Without injected faults the result is known, or is @may_fail */
int check_refresh_no_fault(u64 first, u64 last, int may_fail)
{
	int want = check_prediction(first, last);
	int rc = check_refresh(first, last, false);

	expect(rc == want || (may_fail && rc == may_fail),
	       "refresh of 0x%llx to 0x%llx returned %d, the oracle says %d",
	       first, last, rc, want);
	return rc;
}
