// SPDX-License-Identifier: GPL-2.0
/*
 * A guest's I/O translation tables, written from outside of the guest
 */
#include <linux/compiler.h>

#include "ioat.h"
#include "processor.h"
#include "test_util.h"
#include "zpci_tables.h"

/* splitmix64: any state is good, be it the next number or one far away. */
u64 zpci_random(struct zpci_random *r)
{
	u64 z = r->state += 0x9e3779b97f4a7c15UL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebUL;
	return z ^ z >> 31;
}

u64 zpci_random_below(struct zpci_random *r, u64 n)
{
	return zpci_random(r) % n;
}

bool zpci_random_chance(struct zpci_random *r, unsigned int percent)
{
	return zpci_random_below(r, 100) < percent;
}

/* log2 of what an entry of a table of that level covers */
unsigned int zpci_tables_shift(unsigned int level)
{
	return IOAT_ST_SHIFT + 11 * level;
}

/* Last I/O address that a first table of that level reaches */
u64 zpci_tables_reach(unsigned int top)
{
	return top == 3 ? ~0UL : (1UL << zpci_tables_shift(top + 1)) - 1;
}

static u64 *table_at(struct zpci_tables *t, u64 gpa)
{
	TEST_ASSERT(gpa >= t->gpa && gpa < t->gpa + t->size,
		    "no table at 0x%lx", gpa);
	return t->hva + (gpa - t->gpa);
}

static u64 new_table(struct zpci_tables *t, u64 size, u64 invalid)
{
	u64 i, gpa, *table;

	t->used = (t->used + size - 1) & -size;
	TEST_ASSERT(t->used + size <= t->size, "no room for tables");
	gpa = t->gpa + t->used;
	t->used += size;
	table = table_at(t, gpa);
	for (i = 0; i < size / sizeof(u64); i++)
		WRITE_ONCE(table[i], invalid);
	return gpa;
}

/* Nothing is valid. */
void zpci_tables_clear(struct zpci_tables *t)
{
	t->used = 0;
	new_table(t, IOAT_TABLE_SIZE, IOAT_INVALID);
}

u64 zpci_tables_iota(const struct zpci_tables *t)
{
	return t->gpa | IOTA_ENABLED | t->top << 2;
}

/*
 * The entry for @iova in the table of that level. Tables above it are made if
 * there are none, so entries that lead to it must be well formed.
 */
u64 *zpci_tables_entry(struct zpci_tables *t, u64 iova, unsigned int level)
{
	u64 *table = table_at(t, t->gpa), *entry, next;
	unsigned int l;

	for (l = t->top; ; l--) {
		entry = &table[iova >> zpci_tables_shift(l) & IOAT_INDEX_MASK];
		if (l == level)
			return entry;
		if (*entry & IOAT_INVALID) {
			next = new_table(t, IOAT_TABLE_SIZE, IOAT_INVALID);
			WRITE_ONCE(*entry, next | l << 2 | IOAT_LENGTH);
		}
		table = table_at(t, *entry & IOAT_RTE_ORIGIN);
	}
}

/* The page table entry for @iova, likewise */
u64 *zpci_tables_page(struct zpci_tables *t, u64 iova)
{
	u64 *entry = zpci_tables_entry(t, iova, ZPCI_TABLES_ST);

	if (*entry & IOAT_INVALID)
		WRITE_ONCE(*entry, zpci_tables_spare(t));
	return table_at(t, *entry & IOAT_STE_ORIGIN) +
	       (iova >> IOAT_PT_SHIFT & IOAT_PX_MASK);
}

/* An empty page table that no entry leads to yet: a segment table entry for it */
u64 zpci_tables_spare(struct zpci_tables *t)
{
	return new_table(t, IOAT_PT_SIZE, IOAT_PTE_INVALID) | IOAT_TYPE_ST;
}

/*
 * What follows is slow and simple on purpose: the kernel's answer is compared
 * with it. The tables must be well formed and not be changed meanwhile.
 */

/* Frames of 4 KiB from @first to @last that lie in the aperture */
static u64 frames_in(struct zpci_tables *t, u64 first, u64 last)
{
	if (last < t->pba || first > t->pal)
		return 0;
	if (first < t->pba)
		first = t->pba;
	if (last > t->pal)
		last = t->pal;
	return (last - first + 1) / IOAT_FRAME_4K;
}

static u64 count_pages(struct zpci_tables *t, const u64 *table, u64 iova)
{
	u64 i, count = 0;

	for (i = 0; i < IOAT_PT_ENTRIES; i++, iova += IOAT_FRAME_4K) {
		if (!(table[i] & IOAT_PTE_INVALID))
			count += frames_in(t, iova, iova + IOAT_FRAME_4K - 1);
	}
	return count;
}

static u64 count_table(struct zpci_tables *t, u64 gpa, unsigned int level,
		       u64 iova)
{
	u64 *table = table_at(t, gpa), size, i, count = 0;

	size = 1UL << zpci_tables_shift(level);
	for (i = 0; i < IOAT_TABLE_ENTRIES; i++, iova += size) {
		if (table[i] & IOAT_INVALID)
			continue;
		if (level)
			count += count_table(t, table[i] & IOAT_RTE_ORIGIN,
					     level - 1, iova);
		else if (table[i] & IOAT_STE_FC)
			count += frames_in(t, iova, iova + size - 1);
		else
			count += count_pages(t, table_at(t, table[i] &
							 IOAT_STE_ORIGIN),
					     iova);
	}
	return count;
}

/* How many frames of 4 KiB are accessible in the aperture */
u64 zpci_tables_count(struct zpci_tables *t)
{
	return count_table(t, t->gpa, t->top, 0);
}

/*
 * Where @iova leads to: a guest address, with IOAT_PROTECTED if it can't be
 * written to, or IOAT_PTE_INVALID
 */
u64 zpci_tables_lookup(struct zpci_tables *t, u64 iova)
{
	u64 *table = table_at(t, t->gpa), entry, protected = 0;
	unsigned int level;

	for (level = t->top; ; level--) {
		entry = table[iova >> zpci_tables_shift(level) &
			      IOAT_INDEX_MASK];
		if (entry & IOAT_INVALID)
			return IOAT_PTE_INVALID;
		protected |= entry & IOAT_PROTECTED;
		if (!level)
			break;
		table = table_at(t, entry & IOAT_RTE_ORIGIN);
	}
	if (entry & IOAT_STE_FC)
		return (entry & -IOAT_FRAME_1M) |
		       (iova & (IOAT_FRAME_1M - 1) & -IOAT_FRAME_4K) |
		       protected;
	table = table_at(t, entry & IOAT_STE_ORIGIN);
	entry = table[iova >> IOAT_PT_SHIFT & IOAT_PX_MASK];
	if (entry & IOAT_PTE_INVALID)
		return IOAT_PTE_INVALID;
	return (entry & -IOAT_FRAME_4K) | protected | (entry & IOAT_PROTECTED);
}
