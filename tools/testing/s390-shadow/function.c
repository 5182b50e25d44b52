// SPDX-License-Identifier: GPL-2.0
/*
 * A PCI function that remembers every translation it ever saw
 *
 * It remembers page table entries and, by level, the tables that it was led to,
 * and uses what it remembers before it looks at the host's table. It forgets by
 * nothing but a host refresh: the entries in the refreshed range, and tables
 * whose whole range, as far as it lies in the aperture, was refreshed. That is
 * the least that the architecture allows for.
 *
 * If it is like the functions of a host that is a guest itself, it remembers
 * that there is no translation, too.
 */

#include "harness.h"

struct memory {
	struct memory *next;
	u64 iova;	/* of the first byte that it says something about */
	u64 value;	/* a page table entry, or a table's address */
	int level;	/* of the entry */
};

#define BUCKETS	8192

u64 function_host_limit;
u64 function_refreshes;
void (*function_refresh_hook)(void);
u64 function_refresh_first, function_refresh_last;

static struct memory *memory[BUCKETS];
static unsigned long remembered;
static unsigned int frame_refs[SHIM_FRAMES][2];	/* [1]: may write */
static u64 aperture_first, aperture_last;
static bool remembers_invalid;
static bool has_table;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const unsigned int shifts[] = { 12, 20, 31, 42, 53 };

static unsigned int bucket_of(int level, u64 iova)
{
	u64 key = (iova >> shifts[level]) * 5 + level;

	return (key * 0x9e3779b97f4a7c15ULL) >> 51;
}

static u64 span_first(int level, u64 iova)
{
	return iova & ~((1ULL << shifts[level]) - 1);
}

static u64 span_last(int level, u64 iova)
{
	return iova | ((1ULL << shifts[level]) - 1);
}

static struct memory *recall(int level, u64 iova)
{
	struct memory *m;

	iova = span_first(level, iova);
	for (m = memory[bucket_of(level, iova)]; m; m = m->next)
		if (m->level == level && m->iova == iova)
			return m;
	return NULL;
}

static void count_frame(u64 pte, int change)
{
	u64 frame;

	if (pte & NO_PTE)
		return;
	frame = ((pte & PAGE_MASK) - SHIM_FRAME_PHYS) >> PAGE_SHIFT;
	expect(frame < SHIM_FRAMES, "the host's entry 0x%llx names no frame",
	       pte);
	__atomic_fetch_add(&frame_refs[frame][!(pte & 0x200)], change,
			   __ATOMIC_SEQ_CST);
}

/* What the function can reach is pinned, for writing if it can write */
static void check_frame(unsigned int frame)
{
	unsigned int refs_w, refs, pins_w, pins;

	refs_w = __atomic_load_n(&frame_refs[frame][1], __ATOMIC_SEQ_CST);
	refs = refs_w + __atomic_load_n(&frame_refs[frame][0], __ATOMIC_SEQ_CST);
	pins_w = guest_pins(frame, true);
	pins = pins_w + guest_pins(frame, false);
	expect(refs_w <= pins_w && refs <= pins,
	       "frame %u: the function can still reach it by %u entries (%u for writing), but it is pinned %u times (%u for writing): unpinned before the host refresh",
	       frame, refs, refs_w, pins, pins_w);
}

static void remember(int level, u64 iova, u64 value)
{
	struct memory *m = malloc(sizeof(*m));
	unsigned int b;

	m->level = level;
	m->iova = span_first(level, iova);
	m->value = value;
	b = bucket_of(level, m->iova);
	m->next = memory[b];
	memory[b] = m;
	remembered++;
	if (level == PT) {
		count_frame(value, 1);
		if (!(value & NO_PTE))
			check_frame(((value & PAGE_MASK) - SHIM_FRAME_PHYS) >>
				    PAGE_SHIFT);
	}
}

static void forget(struct memory **mp)
{
	struct memory *m = *mp;

	if (m->level == PT)
		count_frame(m->value, -1);
	*mp = m->next;
	free(m);
	remembered--;
}

static void forget_all(void)
{
	unsigned int b;

	for (b = 0; remembered && b < BUCKETS; b++)
		while (memory[b])
			forget(&memory[b]);
}

void function_reset(u64 pba, u64 pal, bool invalid_too)
{
	forget_all();
	aperture_first = pba;
	aperture_last = pal;
	remembers_invalid = invalid_too;
	has_table = true;
	function_host_limit = U64_MAX;
	function_refreshes = 0;
	function_refresh_hook = NULL;
}

static u64 *entry_in(u64 table, int level, u64 iova)
{
	expect(shim_phys_live(table),
	       "the function uses a host table of level %d that was freed, for 0x%llx",
	       level, iova);
	return shim_phys_ptr(table) + (level == PT ? iova >> 12 & 0xff :
				       iova >> shifts[level] & 0x7ff);
}

/* Look up, by way of what is remembered, and remember. The lock is held. */
static u64 look_up(u64 iova)
{
	struct memory *m = recall(PT, iova);
	u64 table, entry;
	int level, top;

	if (m)
		return m->value;
	if (!has_table)
		return NO_PTE;

	table = engine_root(&top);
	level = top;
	for (int l = ST; l <= top; l++) {
		m = recall(l, iova);
		if (m) {
			table = m->value;
			level = l - 1;
			break;
		}
	}
	for (; level > PT; level--) {
		entry = __atomic_load_n(entry_in(table, level, iova),
					__ATOMIC_SEQ_CST);
		if (entry & 0x20) {
			if (remembers_invalid)
				remember(PT, iova, NO_PTE);
			return NO_PTE;
		}
		table = entry & (level == ST ? ~0x7ffULL : ~0x3fffULL);
		remember(level, iova, table);
	}
	entry = __atomic_load_n(entry_in(table, PT, iova), __ATOMIC_SEQ_CST);
	if (entry & NO_PTE)
		entry = NO_PTE;
	if (!(entry & NO_PTE) || remembers_invalid)
		remember(PT, iova, entry);
	return entry;
}

u64 function_translates(u64 iova)
{
	u64 pte;

	pthread_mutex_lock(&lock);
	pte = look_up(iova);
	pthread_mutex_unlock(&lock);
	return pte;
}

void function_use(u64 iova)
{
	function_translates(iova);
}

void function_use_all(void)
{
	struct segments s = {};
	unsigned int i, px;
	int top;
	u64 root;

	if (!function_has_table())
		return;
	root = engine_root(&top);
	oracle_host_segments(root, top, &s);
	for (i = 0; i < s.nr; i++)
		for (px = 0; px < 256; px++)
			function_use(s.iova[i] + ((u64)px << 12));
	segments_free(&s);
}

void function_frame_unpinned(unsigned int frame)
{
	check_frame(frame);
}

/* Called when a table is freed: the function must not know it any more */
void shim_table_freed(u64 phys)
{
	struct memory *m;
	unsigned int b;
	int top;

	pthread_mutex_lock(&lock);
	for (b = 0; remembered && b < BUCKETS; b++)
		for (m = memory[b]; m; m = m->next)
			expect(m->level == PT || m->value != phys,
			       "a host table for 0x%llx is freed, but the function knows it still: freed before the host refresh",
			       m->iova);
	expect(!has_table || !engine_alive() || phys != engine_root(&top),
	       "the host's topmost table is freed, but the function has it still");
	pthread_mutex_unlock(&lock);
}

static bool forgets(const struct memory *m, u64 first, u64 last)
{
	if (m->level == PT)
		return m->iova >= first && m->iova <= last;
	return max(m->iova, aperture_first) >= first &&
	       min(span_last(m->level, m->iova), aperture_last) <= last;
}

static void forget_range(u64 first, u64 last)
{
	struct memory **mp;
	unsigned int b;
	int level;
	u64 iova;

	/* Few pages: look for them and the segment by name */
	if (last - first < 256 << 12 && first >> 20 == last >> 20) {
		for (iova = first; iova <= last && iova >= first; iova += 4096)
			for (level = PT; level <= ST; level++) {
				mp = &memory[bucket_of(level,
						       span_first(level, iova))];
				while (*mp) {
					if (forgets(*mp, first, last))
						forget(mp);
					else
						mp = &(*mp)->next;
				}
			}
		return;
	}
	for (b = 0; b < BUCKETS; b++)
		for (mp = &memory[b]; *mp;) {
			if (forgets(*mp, first, last))
				forget(mp);
			else
				mp = &(*mp)->next;
		}
}

int function_refresh(u64 start, u64 size)
{
	u64 last = start + size - 1;
	int rc;

	shim_might_sleep();
	expect(!(start & 0xfff) && !(size & 0xfff), "host refresh of 0x%llx, 0x%llx bytes",
	       start, size);
	expect(start >= aperture_first && last <= aperture_last && start <= last,
	       "host refresh of 0x%llx to 0x%llx leaves the aperture 0x%llx to 0x%llx",
	       start, last, aperture_first, aperture_last);
	if (function_refresh_hook)
		function_refresh_hook();
	rc = fault_hit(FAULT_REFRESH);
	__atomic_fetch_add(&function_refreshes, 1, __ATOMIC_RELAXED);
	if (!rc && function_host_limit != U64_MAX &&
	    check_host_entries() > function_host_limit)
		rc = -ENOMEM;
	pthread_mutex_lock(&lock);
	function_refresh_first = start;
	function_refresh_last = last;
	/* One that fails may have done a part; none is the worst case */
	if (!rc)
		forget_range(start, last);
	pthread_mutex_unlock(&lock);
	return rc;
}

bool function_has_table(void)
{
	bool has;

	pthread_mutex_lock(&lock);
	has = has_table;
	pthread_mutex_unlock(&lock);
	return has;
}

void function_lose_table(void)
{
	pthread_mutex_lock(&lock);
	has_table = false;
	forget_all();
	pthread_mutex_unlock(&lock);
}
