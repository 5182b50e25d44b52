// SPDX-License-Identifier: GPL-2.0
/*
 * Model of a PCI function that caches every translation
 *
 * The model caches page table entries and, by level, the addresses of tables. It
 * uses the cache before it reads the host's table. Only a host refresh removes
 * entries from the cache: page table entries in the refreshed range, and tables
 * whose whole range within the aperture was refreshed. The architecture allows a
 * function to cache as much.
 *
 * In a host that is a guest itself, functions may also cache that there is no
 * translation: see @caches_invalid of function_reset().
 */

#include "harness.h"

struct cached {
	struct cached *next;
	u64 iova;	/* first I/O address that the entry covers */
	u64 value;	/* a page table entry, or a table's address */
	int level;	/* of the entry */
};

#define BUCKETS	8192

u64 function_host_limit;
u64 function_refreshes;
void (*function_refresh_hook)(void);
u64 function_refresh_first, function_refresh_last;

static struct cached *cache[BUCKETS];
static unsigned long nr_cached;
static unsigned int frame_refs[SHIM_FRAMES][2];	/* [1]: may write */
static u64 aperture_first, aperture_last;
static bool caches_invalid;
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

static struct cached *cache_find(int level, u64 iova)
{
	struct cached *m;

	iova = span_first(level, iova);
	for (m = cache[bucket_of(level, iova)]; m; m = m->next)
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

/* A frame that the function can reach is pinned, for writing if it can write */
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

static void cache_insert(int level, u64 iova, u64 value)
{
	struct cached *m = malloc(sizeof(*m));
	unsigned int b;

	m->level = level;
	m->iova = span_first(level, iova);
	m->value = value;
	b = bucket_of(level, m->iova);
	m->next = cache[b];
	cache[b] = m;
	nr_cached++;
	if (level == PT) {
		count_frame(value, 1);
		if (!(value & NO_PTE))
			check_frame(((value & PAGE_MASK) - SHIM_FRAME_PHYS) >>
				    PAGE_SHIFT);
	}
}

static void cache_remove(struct cached **mp)
{
	struct cached *m = *mp;

	if (m->level == PT)
		count_frame(m->value, -1);
	*mp = m->next;
	free(m);
	nr_cached--;
}

static void cache_clear(void)
{
	unsigned int b;

	for (b = 0; nr_cached && b < BUCKETS; b++)
		while (cache[b])
			cache_remove(&cache[b]);
}

void function_reset(u64 pba, u64 pal, bool invalid_too)
{
	cache_clear();
	aperture_first = pba;
	aperture_last = pal;
	caches_invalid = invalid_too;
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

/* Translate with the cache and the host's table, cache the result; the lock is held */
static u64 look_up(u64 iova)
{
	struct cached *m = cache_find(PT, iova);
	u64 table, entry;
	int level, top;

	if (m)
		return m->value;
	if (!has_table)
		return NO_PTE;

	table = engine_root(&top);
	level = top;
	for (int l = ST; l <= top; l++) {
		m = cache_find(l, iova);
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
			if (caches_invalid)
				cache_insert(PT, iova, NO_PTE);
			return NO_PTE;
		}
		table = entry & (level == ST ? ~0x7ffULL : ~0x3fffULL);
		cache_insert(level, iova, table);
	}
	entry = __atomic_load_n(entry_in(table, PT, iova), __ATOMIC_SEQ_CST);
	if (entry & NO_PTE)
		entry = NO_PTE;
	if (!(entry & NO_PTE) || caches_invalid)
		cache_insert(PT, iova, entry);
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

void function_access(u64 iova)
{
	function_translates(iova);
}

void function_access_all(void)
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
			function_access(s.iova[i] + ((u64)px << 12));
	segments_free(&s);
}

void function_frame_unpinned(unsigned int frame)
{
	check_frame(frame);
}

/* Called when a table is freed: it must not be in the cache */
void shim_table_freed(u64 phys)
{
	struct cached *m;
	unsigned int b;
	int top;

	pthread_mutex_lock(&lock);
	for (b = 0; nr_cached && b < BUCKETS; b++)
		for (m = cache[b]; m; m = m->next)
			expect(m->level == PT || m->value != phys,
			       "a host table for 0x%llx is freed, but the function knows it still: freed before the host refresh",
			       m->iova);
	expect(!has_table || !engine_alive() || phys != engine_root(&top),
	       "the host's topmost table is freed, but the function has it still");
	pthread_mutex_unlock(&lock);
}

static bool is_flushed(const struct cached *m, u64 first, u64 last)
{
	if (m->level == PT)
		return m->iova >= first && m->iova <= last;
	return max(m->iova, aperture_first) >= first &&
	       min(span_last(m->level, m->iova), aperture_last) <= last;
}

static void cache_flush_range(u64 first, u64 last)
{
	struct cached **mp;
	unsigned int b;
	int level;
	u64 iova;

	/* Look up single pages and the segment in a small range */
	if (last - first < 256 << 12 && first >> 20 == last >> 20) {
		for (iova = first; iova <= last && iova >= first; iova += 4096)
			for (level = PT; level <= ST; level++) {
				mp = &cache[bucket_of(level,
						       span_first(level, iova))];
				while (*mp) {
					if (is_flushed(*mp, first, last))
						cache_remove(mp);
					else
						mp = &(*mp)->next;
				}
			}
		return;
	}
	for (b = 0; b < BUCKETS; b++)
		for (mp = &cache[b]; *mp;) {
			if (is_flushed(*mp, first, last))
				cache_remove(mp);
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
	/* A host refresh that fails removes nothing, the worst case */
	if (!rc)
		cache_flush_range(start, last);
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

void function_detach_table(void)
{
	pthread_mutex_lock(&lock);
	has_table = false;
	cache_clear();
	pthread_mutex_unlock(&lock);
}
