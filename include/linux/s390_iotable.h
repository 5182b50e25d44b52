/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Format of the I/O translation tables of s390 PCI functions
 *
 * Encode and decode region, segment and page table entries. Host tables, which a
 * function translates with, and guest tables, which the IOMMU driver mirrors, have
 * the same format. The bits are defined in <asm/pci_dma.h>.
 *
 * Levels are counted from the page table up.
 */
#ifndef _LINUX_S390_IOTABLE_H
#define _LINUX_S390_IOTABLE_H

#include <linux/bits.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/types.h>
#include <linux/unroll.h>
#include <asm/page.h>
#include <asm/pci_dma.h>

/**
 * enum zpci_table_level - levels of an I/O translation table
 * @ZPCI_LEVEL_PT: page table, 256 entries of 4 KiB each
 * @ZPCI_LEVEL_ST: segment table, 2048 entries of 1 MiB each
 * @ZPCI_LEVEL_RT: region-third table, 2048 entries of 2 GiB each
 * @ZPCI_LEVEL_RS: region-second table, 2048 entries of 4 TiB each
 * @ZPCI_LEVEL_RF: region-first table, 2048 entries of 8 PiB each
 * @ZPCI_LEVELS: number of levels
 *
 * An I/O translation anchor designates a table of any level but a page table. The
 * type of a segment or region table entry and the designation type of its table
 * are the same number: the level minus ZPCI_LEVEL_ST.
 */
enum zpci_table_level {
	ZPCI_LEVEL_PT,
	ZPCI_LEVEL_ST,
	ZPCI_LEVEL_RT,
	ZPCI_LEVEL_RS,
	ZPCI_LEVEL_RF,
	ZPCI_LEVELS,
};

/**
 * enum zpci_entry_kind - result of zpci_decode_entry()
 * @ZPCI_ENTRY_INVALID: the entry is marked invalid
 * @ZPCI_ENTRY_TABLE: the entry points to a table of the next lower level
 * @ZPCI_ENTRY_FRAME: the entry points to a frame of the size that it covers
 * @ZPCI_ENTRY_MALFORMED: the entry is marked valid, but violates the format
 */
enum zpci_entry_kind {
	ZPCI_ENTRY_INVALID,
	ZPCI_ENTRY_TABLE,
	ZPCI_ENTRY_FRAME,
	ZPCI_ENTRY_MALFORMED,
};

/*
 * Format control: a segment table entry with it designates a 1 MiB frame. Its
 * meaning in a region table entry is not documented.
 */
#define ZPCI_STE_FC			0x400UL
#define ZPCI_STE_SFAA_MASK		(~0xfffffUL)

/* Designation type in an I/O translation anchor */
#define ZPCI_IOTA_DT_SHIFT		2
#define ZPCI_IOTA_DT_MASK		0x7UL

#define ZPCI_SEGMENT_SIZE		BIT(ZPCI_ST_SHIFT)
#define ZPCI_SEGMENT_MASK		(~(ZPCI_SEGMENT_SIZE - 1))

/**
 * zpci_table_shift() - get the binary logarithm of the range of an entry
 * @level: level of the table that the entry is in
 *
 * Return: number of address bits that the entry does not translate
 */
static inline unsigned int zpci_table_shift(enum zpci_table_level level)
{
	static const u8 shift[ZPCI_LEVELS] = {
		[ZPCI_LEVEL_PT] = PAGE_SHIFT,
		[ZPCI_LEVEL_ST] = ZPCI_ST_SHIFT,
		[ZPCI_LEVEL_RT] = ZPCI_RT_SHIFT,
		[ZPCI_LEVEL_RS] = ZPCI_RS_SHIFT,
		[ZPCI_LEVEL_RF] = ZPCI_RF_SHIFT,
	};

	return shift[level];
}

/**
 * zpci_span_last() - get the last I/O address that an entry covers
 * @level: level of the table that the entry is in
 * @iova: I/O address that the entry covers
 *
 * Return: the last I/O address that the entry covers
 */
static inline u64 zpci_span_last(enum zpci_table_level level, u64 iova)
{
	return iova | (BIT_ULL(zpci_table_shift(level)) - 1);
}

/**
 * zpci_table_last() - get the last I/O address that a topmost table translates
 * @level: level of the table, not ZPCI_LEVEL_PT
 *
 * Return: the last I/O address
 */
static inline u64 zpci_table_last(enum zpci_table_level level)
{
	return level == ZPCI_LEVEL_RF ? U64_MAX : zpci_span_last(level + 1, 0);
}

/**
 * zpci_table_index() - get the index of an I/O address in a table
 * @level: level of the table
 * @iova: I/O address
 *
 * Return: index of the entry that covers @iova
 */
static inline unsigned int zpci_table_index(enum zpci_table_level level, u64 iova)
{
	return (iova >> zpci_table_shift(level)) &
	       (level == ZPCI_LEVEL_PT ? ZPCI_PT_MASK : ZPCI_INDEX_MASK);
}

/**
 * zpci_same_len() - count equal entries at the start of two arrays
 * @a: first array
 * @b: second array, which may overlap the first
 * @nr: number of entries in each array
 *
 * One instruction finds the first difference, however many entries are equal.
 *
 * Return: number of entries before the first that differs, @nr if none does
 */
static inline unsigned int zpci_same_len(const u64 *a, const u64 *b,
					 unsigned int nr)
{
#ifdef CONFIG_S390
	union register_pair r1, r3;

	if (!nr || READ_ONCE(*a) != READ_ONCE(*b))
		return 0;
	r1 = (union register_pair) {
		.even = (unsigned long)a, .odd = nr * sizeof(*a),
	};
	r3 = (union register_pair) {
		.even = (unsigned long)b, .odd = nr * sizeof(*b),
	};

	/* Stops at the first byte that differs; cc 3: not complete, repeat */
	asm volatile("0:	clcle	%[r1],%[r3],0\n"
		     "	jo	0b\n"
		     : [r1] "+d" (r1.pair), [r3] "+d" (r3.pair)
		     : : "cc", "memory");
	return nr - (r1.odd + sizeof(*a) - 1) / sizeof(*a);
#else
	unsigned int i = 0;

	while (i < nr && READ_ONCE(a[i]) == READ_ONCE(b[i]))
		i++;
	return i;
#endif
}

/**
 * zpci_run_len() - count equal entries at the start of an array
 * @entry: the first entry
 * @nr: number of entries, at least one
 *
 * Return: number of entries, at least one, that equal the first
 */
static inline unsigned int zpci_run_len(const unsigned long *entry,
					unsigned int nr)
{
	const u64 *first = (const u64 *)entry;

	return 1 + zpci_same_len(first + 1, first, nr - 1);
}

/**
 * zpci_run_nr() - count the entries of a table that cover a range
 * @level: level of the table
 * @iova: first I/O address of the range
 * @last: last I/O address of the range (inclusive), maybe beyond the table
 *
 * Return: number of entries from that of @iova to that of @last or to the end of
 * the table, whichever comes first
 */
static inline unsigned int zpci_run_nr(enum zpci_table_level level, u64 iova,
				       u64 last)
{
	u64 end = level == ZPCI_LEVEL_RF ? U64_MAX :
					 zpci_span_last(level + 1, iova);

	return zpci_table_index(level, min(last, end)) -
	       zpci_table_index(level, iova) + 1;
}

/**
 * zpci_run_last() - get the last I/O address that a run of entries covers
 * @level: level of the table
 * @iova: I/O address that the first entry covers
 * @nr: number of entries, at least one, in the same table
 *
 * Return: the last I/O address that the last entry covers
 */
static inline u64 zpci_run_last(enum zpci_table_level level, u64 iova,
				unsigned int nr)
{
	return zpci_span_last(level, iova) +
	       ((u64)(nr - 1) << zpci_table_shift(level));
}

/**
 * pt_entry_isvalid() - is a page table entry valid?
 * @pte: the entry
 *
 * Return: true if the entry designates a frame
 */
static inline bool pt_entry_isvalid(u64 pte)
{
	return (pte & ZPCI_PTE_VALID_MASK) == ZPCI_PTE_VALID;
}

/**
 * reg_entry_isvalid() - is a region or segment table entry valid?
 * @entry: the entry
 *
 * Return: true if the entry designates a table or a frame
 */
static inline bool reg_entry_isvalid(u64 entry)
{
	return (entry & ZPCI_TABLE_VALID_MASK) == ZPCI_TABLE_VALID;
}

/**
 * zpci_make_pte() - compose a valid page table entry
 * @addr: absolute address of the frame
 * @prot: the function must not store to the frame
 *
 * Return: the entry
 */
static inline u64 zpci_make_pte(u64 addr, bool prot)
{
	return (addr & ZPCI_PTE_ADDR_MASK) | ZPCI_PTE_VALID |
	       (prot ? ZPCI_TABLE_PROTECTED : ZPCI_TABLE_UNPROTECTED);
}

/**
 * zpci_make_ste() - compose a segment table entry that points to a page table
 * @pto: absolute address of the page table
 *
 * Return: the entry
 */
static inline u64 zpci_make_ste(u64 pto)
{
	return (pto & ZPCI_STE_ADDR_MASK) | ZPCI_TABLE_TYPE_SX |
	       ZPCI_TABLE_VALID | ZPCI_TABLE_UNPROTECTED;
}

/**
 * zpci_level_type() - get the designation type of a table
 * @level: level of the table, not ZPCI_LEVEL_PT
 *
 * Return: type as in enum zpci_ioat_dtype
 */
static inline unsigned int zpci_level_type(enum zpci_table_level level)
{
	return level - ZPCI_LEVEL_ST;
}

/**
 * zpci_level_in_dtsm() - does a function support a topmost table of a level?
 * @level: level of the table, not ZPCI_LEVEL_PT
 * @dtsm: mask of designation types, from CLP; the leftmost bit is type 0. QEMU's
 *	  ZPCI_DTSM, 0x40, is the region-third table alone.
 *
 * Return: true if the function supports it
 */
static inline bool zpci_level_in_dtsm(enum zpci_table_level level, u8 dtsm)
{
	return dtsm & (0x80 >> zpci_level_type(level));
}

/**
 * zpci_make_rte() - compose a region table entry
 * @level: level of the region table
 * @origin: absolute address of a table of the next lower level, of full length
 *
 * Return: the entry
 */
static inline u64 zpci_make_rte(enum zpci_table_level level, u64 origin)
{
	return (origin & ZPCI_RTE_ADDR_MASK) | zpci_level_type(level) << ZPCI_IOTA_DT_SHIFT |
	       ZPCI_TABLE_LEN_RTX | ZPCI_TABLE_VALID | ZPCI_TABLE_UNPROTECTED;
}

/**
 * zpci_make_iota() - compose an I/O translation anchor
 * @level: level of the table, not ZPCI_LEVEL_PT
 * @origin: absolute address of the table
 *
 * Return: the anchor, with the storage key that the kernel uses
 */
static inline u64 zpci_make_iota(enum zpci_table_level level, u64 origin)
{
	return origin | ZPCI_IOTA_IOT_ENABLED | ZPCI_KEY |
	       zpci_level_type(level) << ZPCI_IOTA_DT_SHIFT;
}

/**
 * zpci_iota_level() - get the level of the table that an anchor designates
 * @iota: the anchor
 *
 * Return: the level, or ZPCI_LEVEL_PT if the anchor designates no segment or
 * region table or translation is not enabled
 */
static inline enum zpci_table_level zpci_iota_level(u64 iota)
{
	unsigned int dt = (iota >> ZPCI_IOTA_DT_SHIFT) &
			  ZPCI_IOTA_DT_MASK;

	if (!(iota & ZPCI_IOTA_IOT_ENABLED) || dt > ZPCI_IOTA_RFTO)
		return ZPCI_LEVEL_PT;
	return ZPCI_LEVEL_ST + dt;
}

/**
 * zpci_decode_entry() - check and decode a table entry
 * @level: level of the table that the entry was fetched from
 * @entry: a copy of the entry
 * @addr: set to the address of the table or frame, if the entry designates one
 * @prot: set to true if the entry protects from stores, else left unchanged: pass
 *	  the same variable for all levels to combine their protection
 *
 * An entry of all zeroes is malformed, as is one that designates address zero. The
 * architecture has no such rule for frames, but QEMU has (table_translate() in
 * hw/s390x/s390-pci-bus.c), and a guest must get the same result from both.
 *
 * Return: the kind of the entry
 */
static __always_inline enum zpci_entry_kind
zpci_decode_entry(enum zpci_table_level level, u64 entry, u64 *addr, bool *prot)
{
	enum zpci_entry_kind kind = ZPCI_ENTRY_TABLE;

	if (!entry)
		return ZPCI_ENTRY_MALFORMED;

	switch (level) {
	case ZPCI_LEVEL_PT:
		if (!pt_entry_isvalid(entry))
			return ZPCI_ENTRY_INVALID;
		*addr = entry & ZPCI_PTE_ADDR_MASK;
		kind = ZPCI_ENTRY_FRAME;
		break;
	case ZPCI_LEVEL_ST:
		if (!reg_entry_isvalid(entry))
			return ZPCI_ENTRY_INVALID;
		if ((entry & ZPCI_TABLE_TYPE_MASK) != ZPCI_TABLE_TYPE_SX)
			return ZPCI_ENTRY_MALFORMED;
		if (entry & ZPCI_STE_FC) {
			*addr = entry & ZPCI_STE_SFAA_MASK;
			kind = ZPCI_ENTRY_FRAME;
		} else {
			*addr = entry & ZPCI_STE_ADDR_MASK;
		}
		break;
	default:
		if (!reg_entry_isvalid(entry))
			return ZPCI_ENTRY_INVALID;
		if ((entry & ZPCI_TABLE_TYPE_MASK) >> 2 != zpci_level_type(level))
			return ZPCI_ENTRY_MALFORMED;
		/*
		 * Accept only a table of full length, TL 3 and TF 0. Refuse
		 * the format control, whose meaning is unknown here.
		 */
		if ((entry & ZPCI_TABLE_LEN_RTX) != ZPCI_TABLE_LEN_RTX ||
		    (entry & (ZPCI_TABLE_OFFSET_MASK | ZPCI_STE_FC)))
			return ZPCI_ENTRY_MALFORMED;
		*addr = entry & ZPCI_RTE_ADDR_MASK;
		break;
	}
	if (!*addr)
		return ZPCI_ENTRY_MALFORMED;
	if (entry & ZPCI_TABLE_PROTECTED)
		*prot = true;
	return kind;
}

/**
 * struct dma_walk - walk down a translation table
 * @iova: I/O address to translate
 * @top: level of the topmost table, not ZPCI_LEVEL_PT
 * @prot: in: the anchor protects from stores; out: the anchor or an entry does
 * @addr: in: address of the topmost table; out: address of the table or frame
 *	where the walk ended
 * @table: out: by level, addresses of the tables on the path, without the topmost;
 *	set down to the level where the walk ended
 */
struct dma_walk {
	u64 iova;
	enum zpci_table_level top;
	bool prot;
	u64 addr;
	u64 table[ZPCI_LEVELS];
};

/**
 * typedef dma_fetch_entry_t - fetch an entry of a table
 * @ctx: argument @ctx of dma_walk_trans()
 * @level: level of the table
 * @addr: address of the entry
 * @entry: where to store a copy
 *
 * Return: 0, or a negative error
 */
typedef int (*dma_fetch_entry_t)(void *ctx, enum zpci_table_level level, u64 addr,
				 u64 *entry);

/**
 * dma_walk_trans() - walk a translation table down to a level
 * @walk: the walk
 * @end: level of the table to reach, lower than the topmost table's or the same
 * @fetch: fetches an entry
 * @ctx: argument of @fetch
 *
 * Each look-up of one address uses it: in a host's table, with or without
 * allocation, and in a guest's, as @fetch does it. Inlined together with @fetch, and
 * unrolled, so that each level is a constant: a small RPCIT spends much of its time
 * here.
 *
 * Context: any that @fetch allows
 * Return: enum zpci_entry_kind of the entry where the walk ended, ZPCI_ENTRY_TABLE
 * if it reached the table, or the error of @fetch; then @walk is undefined
 */
static __always_inline int dma_walk_trans(struct dma_walk *walk,
					  const enum zpci_table_level end,
					  dma_fetch_entry_t fetch, void *ctx)
{
	u64 addr = walk->addr, iova = walk->iova, entry;
	enum zpci_table_level level = ZPCI_LEVEL_RF;
	int rc = ZPCI_ENTRY_TABLE;
	bool prot = walk->prot;

	unrolled_full
	do {
		if (level > walk->top)
			continue;
		rc = fetch(ctx, level,
			   addr + zpci_table_index(level, iova) * sizeof(entry),
			   &entry);
		if (rc)
			return rc;
		rc = zpci_decode_entry(level, entry, &addr, &prot);
		if (rc != ZPCI_ENTRY_TABLE)
			break;
		walk->table[level - 1] = addr;
	} while (--level > end);
	walk->addr = addr;
	walk->prot = prot;
	return rc;
}

#endif /* _LINUX_S390_IOTABLE_H */
