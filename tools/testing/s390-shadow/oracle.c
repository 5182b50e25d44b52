// SPDX-License-Identifier: GPL-2.0
/*
 * Translate one I/O address at a time with a guest's or the host's table
 *
 * Slow and simple. Shares no code with the shadow: the constants are copied from
 * arch/s390/include/asm/pci_dma.h and from QEMU's hw/s390x/s390-pci-bus.c
 * (table_translate()).
 */

#include "harness.h"

#define ENTRY_INVALID		0x20ULL		/* region and segment tables */
#define PTE_INVALID		0x400ULL
#define PROTECTED		0x200ULL
#define FORMAT_CONTROL		0x400ULL	/* segment tables: 1 MiB frame */
#define TYPE			0xcULL
#define LENGTH			0x3ULL
#define OFFSET			0xc0ULL

/* By level, number of address bits that an entry does not translate */
static const unsigned int shifts[] = { 12, 20, 31, 42, 53 };

static u64 entry_number(int level, u64 iova)
{
	return level == PT ? iova >> 12 & 0xff : iova >> shifts[level] & 0x7ff;
}

static int anchor_level(u64 iota)
{
	return ST + (iota >> 2 & 7);
}

/*
 * Decode one entry, set *origin to the table or frame that it points to. Above
 * the page table ORACLE_MAPPED means that there is a table.
 */
static enum oracle_kind decode_entry(int level, u64 entry, u64 *origin, bool *prot,
				     bool *frame)
{
	*frame = level == PT;
	/* QEMU refuses a zero entry and a zero origin */
	if (!entry)
		return ORACLE_MALFORMED;
	if (level == PT) {
		if (entry & PTE_INVALID)
			return ORACLE_UNMAPPED;
		*origin = entry & ~0xfffULL;
	} else {
		if (entry & ENTRY_INVALID)
			return ORACLE_NO_SEGMENT;
		if ((entry & TYPE) >> 2 != (u64)(level - ST))
			return ORACLE_MALFORMED;
		if (level == ST) {
			*frame = entry & FORMAT_CONTROL;
			*origin = entry & (*frame ? ~0xfffffULL : ~0x7ffULL);
		} else {
			if ((entry & LENGTH) != LENGTH || entry & OFFSET ||
			    entry & FORMAT_CONTROL)
				return ORACLE_MALFORMED;
			*origin = entry & ~0x3fffULL;
		}
	}
	if (!*origin)
		return ORACLE_MALFORMED;
	if (entry & PROTECTED)
		*prot = true;
	return ORACLE_MAPPED;
}

struct oracle_answer oracle_translate(u64 iota, u64 iova)
{
	struct oracle_answer a = { .prot = iota & PROTECTED };
	u64 origin = iota & ~0xfffULL, entry;
	bool frame;
	int level;

	for (level = anchor_level(iota);; level--) {
		a.level = level;
		if (!guest_load(origin + 8 * entry_number(level, iova), &entry)) {
			a.kind = ORACLE_NO_MEMORY;
			return a;
		}
		a.kind = decode_entry(level, entry, &origin, &a.prot, &frame);
		if (a.kind != ORACLE_MAPPED)
			return a;
		if (frame) {
			a.gaddr = level == PT ? origin :
				  origin + (iova & 0xff000);
			return a;
		}
	}
}

/* Find the host's page table entry; all entries above it must be well-formed */
u64 oracle_host(u64 root, int top, u64 iova)
{
	u64 origin = root, entry;
	bool frame, prot = false;
	int level;

	for (level = top;; level--) {
		expect(shim_phys_live(origin),
		       "the host's table of level %d for 0x%llx was freed", level,
		       iova);
		entry = __atomic_load_n(shim_phys_ptr(origin) +
					entry_number(level, iova),
					__ATOMIC_SEQ_CST);
		switch (decode_entry(level, entry, &origin, &prot, &frame)) {
		case ORACLE_UNMAPPED:
		case ORACLE_NO_SEGMENT:
			return NO_PTE;
		case ORACLE_MAPPED:
			break;
		default:
			fail("the host's table has 0x%llx at level %d for 0x%llx",
			     entry, level, iova);
		}
		expect(!frame || level == PT, "the host's table has a large frame");
		if (level == PT)
			return entry;
		expect(!prot, "the host's table protects at level %d", level);
	}
}

void segments_add(struct segments *s, u64 iova)
{
	if (s->nr == s->space) {
		s->space = s->space ? 2 * s->space : 64;
		s->iova = realloc(s->iova, s->space * sizeof(u64));
	}
	s->iova[s->nr++] = iova & ~0xfffffULL;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Sort and remove duplicates */
void segments_sort(struct segments *s)
{
	unsigned int i, n = 0;

	if (!s->nr)
		return;
	qsort(s->iova, s->nr, sizeof(u64), compare);
	for (i = 0; i < s->nr; i++)
		if (!n || s->iova[n - 1] != s->iova[i])
			s->iova[n++] = s->iova[i];
	s->nr = n;
}

void segments_free(struct segments *s)
{
	free(s->iova);
	memset(s, 0, sizeof(*s));
}

/* Add the segments of all entries that are not invalid */
static void guest_segments(int level, u64 origin, u64 base, u64 first, u64 last,
			   struct segments *s)
{
	u64 span = 1ULL << shifts[level], iova, entry, next;
	bool frame, prot;
	unsigned int i;

	for (i = 0; i < 2048; i++) {
		iova = base + i * span;
		if (iova > last || iova + (span - 1) < first)
			continue;
		/* Too many to check each; sample the rest */
		if (s->nr > 20000)
			return;
		if (!guest_load(origin + 8 * i, &entry)) {
			segments_add(s, max(iova, first));
			continue;
		}
		switch (decode_entry(level, entry, &next, &prot, &frame)) {
		case ORACLE_NO_SEGMENT:
			break;
		case ORACLE_MAPPED:
			if (level > ST) {
				guest_segments(level - 1, next, iova, first,
					       last, s);
				break;
			}
			fallthrough;
		default:
			segments_add(s, max(iova, first));
		}
	}
}

void oracle_guest_segments(u64 iota, u64 first, u64 last, struct segments *s)
{
	guest_segments(anchor_level(iota), iota & ~0xfffULL, 0, first, last, s);
}

static void host_segments(int level, u64 origin, u64 base, struct segments *s)
{
	u64 *table, entry;
	unsigned int i;

	expect(shim_phys_live(origin), "a host table of level %d was freed",
	       level);
	table = shim_phys_ptr(origin);
	for (i = 0; i < 2048; i++) {
		entry = __atomic_load_n(&table[i], __ATOMIC_SEQ_CST);
		if (entry & ENTRY_INVALID)
			continue;
		if (level == ST)
			segments_add(s, base + ((u64)i << 20));
		else
			host_segments(level - 1, entry & ~0x3fffULL,
				      base + ((u64)i << shifts[level]), s);
	}
}

void oracle_host_segments(u64 root, int top, struct segments *s)
{
	host_segments(top, root, 0, s);
}
