// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the shadow of a guest's I/O address space
 *
 * The test plays both sides. The guest is an array of frames, some of which
 * hold an I/O translation table. The host is a model of a function that
 * remembers translations: before each step it looks up every address that the
 * test uses, and it forgets only what a host refresh tells it to. When a frame
 * is unpinned, the model is asked whether the function could still reach it,
 * through the host table or from memory. That is the order that matters:
 * replace, refresh, release.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/completion.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "s390-shadow.h"

/* Guest memory: frames of 4 KiB that begin at this guest absolute address */
#define GUEST_BASE	0x10000000UL
#define NR_FRAMES	600

/* What the frames hold: tables first, then data, at last a 1 MiB frame */
#define FRAME_RT	0			/* 16 KiB */
#define FRAME_ST	4			/* 16 KiB */
#define FRAME_PT	8			/* two page tables a frame */
#define FRAME_DATA	16
#define FRAME_LARGE	256			/* GUEST_BASE + 1 MiB */

#define APERTURE_FIRST	0x100000000UL
#define APERTURE_LAST	0x2ffffffffUL

/* Two page tables' worth of I/O addresses, in neighbouring segments */
#define IOVA		0x180000000UL
#define NR_IOVAS	(2 * ZPCI_PT_ENTRIES)

/* Operations that can be told to fail */
enum fail_op {
	FAIL_NONE,
	FAIL_READ,
	FAIL_PIN,
	FAIL_CHARGE,
	FAIL_REFRESH,
	FAIL_BATCH,
	FAIL_LEAF,
	FAIL_TABLE,
	NR_FAIL_OPS,
};

struct fixture {
	struct kunit *test;
	struct page *frames[NR_FRAMES];
	unsigned int pins[NR_FRAMES];
	bool dirty[NR_FRAMES];
	struct s390_shadow *shadow;
	struct s390_shadow_config cfg;

	/* Host page table entries that the function remembers */
	u64 tlb[NR_IOVAS];
	/* Guest address of an entry that is read with bits of another */
	u64 torn;
	u64 torn_bits;

	bool lost_table;
	bool abandoned;
	unsigned int refresh_calls;

	unsigned int calls[NR_FAIL_OPS];
	enum fail_op fail_op;
	unsigned int fail_nth;		/* counts from 1; 0: never */
	bool fail_all;			/* from the nth on, not just the nth */
	int fail_rc;

	unsigned long charged;
	unsigned long charge_limit;
	unsigned int unpins;
	unsigned int ends;
	u64 refresh_first;
	u64 refresh_last;

	/* More host entries than this are too many for the host below */
	unsigned int host_limit;

	/* Called once, from within the next pin or host refresh */
	void (*in_pin)(struct fixture *f);
	void (*in_refresh)(struct fixture *f);
	struct completion other_done;
	int other_rc;
};

static unsigned long gaddr_of(unsigned int frame)
{
	return GUEST_BASE + frame * PAGE_SIZE;
}

static u64 *guest_table(struct fixture *f, unsigned int frame,
			unsigned int entry)
{
	frame += entry * sizeof(u64) / PAGE_SIZE;
	entry %= PAGE_SIZE / sizeof(u64);
	return (u64 *)page_address(f->frames[frame]) + entry;
}

static u64 *guest_rte(struct fixture *f)
{
	return guest_table(f, FRAME_RT, s390_iot_index(S390_IOT_RT, IOVA));
}

static u64 *guest_ste(struct fixture *f, unsigned int segment)
{
	return guest_table(f, FRAME_ST,
			   s390_iot_index(S390_IOT_ST, IOVA) + segment);
}

static u64 *guest_pte(struct fixture *f, unsigned int nr)
{
	return guest_table(f, FRAME_PT, nr);
}

static u64 iova_of(unsigned int nr)
{
	return IOVA + (u64)nr * PAGE_SIZE;
}

static bool fails(struct fixture *f, enum fail_op op)
{
	f->calls[op]++;
	if (op != f->fail_op || !f->fail_nth)
		return false;
	return f->fail_all ? f->calls[op] >= f->fail_nth :
			     f->calls[op] == f->fail_nth;
}

static u64 host_pte(struct fixture *f, unsigned int nr)
{
	unsigned long *pte = s390_iot_lookup_pte(f->shadow->root,
						 f->shadow->top, iova_of(nr));

	return pte ? *pte : ZPCI_PTE_INVALID;
}

static unsigned int host_entries(struct fixture *f)
{
	unsigned int nr, count = 0;

	for (nr = 0; nr < NR_IOVAS; nr++)
		count += s390_iot_pte_valid(host_pte(f, nr));
	return count;
}

/* The function uses all its addresses, and remembers */
static void function_looks_up_all(struct fixture *f)
{
	unsigned int nr;
	u64 pte;

	for (nr = 0; nr < NR_IOVAS; nr++) {
		pte = host_pte(f, nr);
		if (s390_iot_pte_valid(pte))
			f->tlb[nr] = pte;
	}
}

static bool pte_names(u64 pte, struct page *page)
{
	return s390_iot_pte_valid(pte) &&
	       (pte & ZPCI_PTE_ADDR_MASK) == page_to_phys(page);
}

static bool function_reaches(struct fixture *f, struct page *page)
{
	unsigned int nr;

	for (nr = 0; nr < NR_IOVAS; nr++)
		if (pte_names(f->tlb[nr], page) ||
		    (!f->lost_table && pte_names(host_pte(f, nr), page)))
			return true;
	return false;
}

static void run_once(struct fixture *f, void (**hook)(struct fixture *f))
{
	void (*fn)(struct fixture *f) = *hook;

	*hook = NULL;
	if (fn)
		fn(f);
}

static int frame_of(struct fixture *f, u64 gaddr)
{
	if (gaddr < GUEST_BASE || gaddr >= gaddr_of(NR_FRAMES))
		return -EFAULT;
	return (gaddr - GUEST_BASE) / PAGE_SIZE;
}

static int copy_frames(struct fixture *f, u64 gaddr, u64 *dst, unsigned int nr)
{
	unsigned int i;
	int frame;

	if (fails(f, FAIL_READ))
		return f->fail_rc;
	KUNIT_EXPECT_EQ(f->test, gaddr % sizeof(u64), 0);
	KUNIT_EXPECT_LE(f->test, nr, ZPCI_TABLE_ENTRIES);
	for (i = 0; i < nr; i++, gaddr += sizeof(u64)) {
		frame = frame_of(f, gaddr);
		if (frame < 0)
			return frame;
		dst[i] = *(u64 *)(page_address(f->frames[frame]) +
				  offset_in_page(gaddr));
	}
	return 0;
}

static int fake_read(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	struct fixture *f = guest;

	KUNIT_EXPECT_LE(f->test, offset_in_page(gaddr) + nr * sizeof(u64),
			PAGE_SIZE);
	return copy_frames(f, gaddr, dst, nr);
}

static int fake_fetch(void *guest, u64 gaddr, u64 *entry)
{
	return fake_read(guest, gaddr, entry, 1);
}

static int fake_walk(void *guest, struct s390_iot_path *path, u64 *pte,
		     unsigned int nr)
{
	return s390_iot_walk(path, pte, nr, fake_fetch, guest);
}

/* In bulk, a doubleword that the guest stores may be half old and half new */
static int fake_read_in_bulk(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	struct fixture *f = guest;
	int rc = copy_frames(f, gaddr, dst, nr);
	unsigned int i;

	for (i = 0; !rc && i < nr; i++)
		if (f->torn && gaddr + i * sizeof(u64) == f->torn)
			dst[i] ^= f->torn_bits;
	return rc;
}

static long fake_pin(void *guest, const u64 *gaddr, unsigned int nr,
		     struct page **pages)
{
	struct fixture *f = guest;
	unsigned int i;
	int frame;

	run_once(f, &f->in_pin);
	if (fails(f, FAIL_PIN))
		return f->fail_rc;
	for (i = 0; i < nr; i++) {
		frame = frame_of(f, gaddr[i] & PAGE_MASK);
		if (frame < 0)
			return i ? (long)i : frame;
		f->pins[frame]++;
		pages[i] = f->frames[frame];
	}
	return nr;
}

static void fake_uncharge(void *guest, unsigned long nr)
{
	struct fixture *f = guest;

	KUNIT_EXPECT_GE(f->test, f->charged, nr);
	f->charged -= nr;
}

static void fake_unpin(void *guest, const struct s390_shadow_frame *frames,
		       unsigned int nr)
{
	struct fixture *f = guest;
	unsigned int i, frame;

	for (i = 0; i < nr; i++) {
		for (frame = 0; frame < NR_FRAMES; frame++)
			if (page_to_phys(f->frames[frame]) == frames[i].addr)
				break;
		KUNIT_ASSERT_LT(f->test, frame, NR_FRAMES);
		KUNIT_EXPECT_GT(f->test, f->pins[frame], 0);
		KUNIT_EXPECT_EQ(f->test, frame_of(f, frames[i].gaddr & PAGE_MASK),
				frame);
		f->pins[frame]--;
		f->dirty[frame] |= !(frames[i].gaddr &
				     S390_SHADOW_FRAME_PROTECTED);
		f->unpins++;
		if (!f->pins[frame])
			KUNIT_EXPECT_FALSE_MSG(f->test,
					       function_reaches(f, phys_to_page(frames[i].addr)),
					       "frame %u unpinned before the host refresh: the function can still reach it",
					       frame);
	}
	fake_uncharge(guest, nr);
}

static void fake_end(void *guest)
{
	struct fixture *f = guest;
	unsigned int frame;

	f->ends++;
	KUNIT_EXPECT_EQ(f->test, f->charged, 0);
	for (frame = 0; frame < NR_FRAMES; frame++)
		KUNIT_EXPECT_EQ(f->test, f->pins[frame], 0);
}

static int fake_charge(void *guest, unsigned long nr)
{
	struct fixture *f = guest;

	if (fails(f, FAIL_CHARGE))
		return f->fail_rc;
	if (f->charged + nr > f->charge_limit)
		return -ENOMEM;
	f->charged += nr;
	return 0;
}

static const struct s390_shadow_guest_ops fake_guest_ops = {
	.read = fake_read_in_bulk,
	.fetch = fake_read,
	.walk = fake_walk,
	.pin = fake_pin,
	.unpin = fake_unpin,
	.charge = fake_charge,
	.uncharge = fake_uncharge,
	.end = fake_end,
};

static int fake_refresh(void *host, u64 start, u64 size)
{
	struct fixture *f = host;
	unsigned int nr;

	KUNIT_EXPECT_EQ(f->test, offset_in_page(start), 0);
	KUNIT_EXPECT_EQ(f->test, offset_in_page(size), 0);
	KUNIT_EXPECT_GE(f->test, start, f->cfg.pba);
	KUNIT_EXPECT_LE(f->test, start + size - 1, f->cfg.pal);
	run_once(f, &f->in_refresh);
	if (fails(f, FAIL_REFRESH))
		return f->fail_rc;
	f->refresh_first = start;
	f->refresh_last = start + size - 1;
	for (nr = 0; nr < NR_IOVAS; nr++)
		if (iova_of(nr) >= start && iova_of(nr) < start + size)
			f->tlb[nr] = ZPCI_PTE_INVALID;
	return host_entries(f) > f->host_limit ? -ENOMEM : 0;
}

/* What the function translates with is gone: as after deregistration */
static void function_loses_table(struct fixture *f)
{
	unsigned int nr;

	for (nr = 0; nr < NR_IOVAS; nr++)
		f->tlb[nr] = ZPCI_PTE_INVALID;
	f->lost_table = true;
}

static void fake_abandon(void *host)
{
	struct fixture *f = host;

	f->abandoned = true;
	function_loses_table(f);
	s390_shadow_engine_teardown(f->shadow);
}

static const struct s390_shadow_host_ops fake_host_ops = {
	.refresh = fake_refresh,
	.abandon = fake_abandon,
};

static int refresh_range(struct fixture *f, u64 first, u64 last)
{
	struct s390_shadow_walk walk;
	int rc;

	s390_shadow_walk_init(&walk, first, last);
	do {
		rc = s390_shadow_refresh(f->shadow, &walk);
		f->refresh_calls++;
	} while (rc == -EAGAIN);
	return rc;
}

static int refresh(struct fixture *f, unsigned int nr, unsigned int count)
{
	function_looks_up_all(f);
	return refresh_range(f, iova_of(nr), iova_of(nr + count) - 1);
}

static int refresh_all(struct fixture *f)
{
	function_looks_up_all(f);
	return refresh_range(f, f->cfg.pba, f->cfg.pal);
}

static u64 pinned(struct fixture *f)
{
	struct s390_shadow_stats stats;
	unsigned int frame;
	u64 sum = 0;

	s390_shadow_stats(f->shadow, &stats);
	for (frame = 0; frame < NR_FRAMES; frame++)
		sum += f->pins[frame];
	KUNIT_EXPECT_EQ(f->test, stats.pinned, sum);
	KUNIT_EXPECT_EQ(f->test, f->charged, sum);
	return sum;
}

static void start_shadow_with(struct fixture *f, enum s390_iot_level top,
			      bool refresh_new)
{
	KUNIT_ASSERT_EQ(f->test, s390_shadow_config_check(&f->cfg), 0);
	f->shadow = s390_shadow_engine_create(&f->cfg, top, &fake_guest_ops, f,
					      &fake_host_ops, f, refresh_new,
					      1);
	KUNIT_ASSERT_NOT_NULL(f->test, f->shadow);
	f->lost_table = false;
	f->abandoned = false;
}

static void start_shadow(struct fixture *f, bool refresh_new)
{
	f->cfg.pba = APERTURE_FIRST;
	f->cfg.pal = APERTURE_LAST;
	f->cfg.iota |= gaddr_of(FRAME_RT) | ZPCI_IOTA_RTTO_FLAG;
	start_shadow_with(f, S390_IOT_RT, refresh_new);
}

/* Teardown must work from any state and leave nothing behind */
static void end_shadow(struct fixture *f)
{
	struct s390_shadow_stats stats;

	if (!f->shadow)
		return;
	f->fail_op = FAIL_NONE;
	memset(f->calls, 0, sizeof(f->calls));
	function_loses_table(f);
	s390_shadow_engine_teardown(f->shadow);
	KUNIT_EXPECT_EQ(f->test, pinned(f), 0);
	s390_shadow_stats(f->shadow, &stats);
	KUNIT_EXPECT_EQ(f->test, stats.tables, 0);
	KUNIT_EXPECT_EQ(f->test, stats.mapped, stats.unmapped);
	KUNIT_EXPECT_EQ(f->test, f->calls[FAIL_TABLE] + f->calls[FAIL_LEAF] +
			f->calls[FAIL_BATCH], 0);

	memset(f->calls, 0, sizeof(f->calls));
	KUNIT_EXPECT_EQ(f->test,
			refresh_range(f, f->cfg.pba, f->cfg.pal), -ENODEV);
	KUNIT_EXPECT_EQ(f->test, f->calls[FAIL_READ] + f->calls[FAIL_PIN] +
			f->calls[FAIL_REFRESH], 0);
	/* Again, from the state "torn down" */
	s390_shadow_engine_teardown(f->shadow);
	KUNIT_EXPECT_EQ(f->test, f->ends, 1);
	f->ends = 0;
	s390_shadow_put(f->shadow);
	f->shadow = NULL;
}

/* The guest's empty table: everything linked, all page table entries invalid */
static void guest_builds_table(struct fixture *f)
{
	unsigned int i;

	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++) {
		*guest_table(f, FRAME_RT, i) = ZPCI_TABLE_INVALID;
		*guest_table(f, FRAME_ST, i) = ZPCI_TABLE_INVALID;
	}
	for (i = 0; i < NR_IOVAS; i++)
		*guest_pte(f, i) = ZPCI_PTE_INVALID;
	*guest_rte(f) = s390_iot_rte(S390_IOT_RT, gaddr_of(FRAME_ST));
	*guest_ste(f, 0) = s390_iot_ste(gaddr_of(FRAME_PT));
	*guest_ste(f, 1) = s390_iot_ste(gaddr_of(FRAME_PT) + ZPCI_PT_SIZE);
}

static void guest_maps(struct fixture *f, unsigned int nr, unsigned int frame,
		       bool prot)
{
	*guest_pte(f, nr) = s390_iot_pte(gaddr_of(frame), prot);
}

static void guest_unmaps(struct fixture *f, unsigned int nr)
{
	*guest_pte(f, nr) = ZPCI_PTE_INVALID;
}

static void expect_host(struct fixture *f, unsigned int nr, unsigned int frame,
			bool prot)
{
	KUNIT_EXPECT_EQ_MSG(f->test, host_pte(f, nr),
			    s390_iot_pte(page_to_phys(f->frames[frame]), prot),
			    "host entry of page %u", nr);
}

static void expect_no_host(struct fixture *f, unsigned int nr)
{
	KUNIT_EXPECT_EQ_MSG(f->test, host_pte(f, nr), ZPCI_PTE_INVALID,
			    "host entry of page %u", nr);
}

static int shadow_test_init(struct kunit *test)
{
	struct fixture *f;
	unsigned int i;

	f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	if (!f)
		return -ENOMEM;
	f->test = test;
	test->priv = f;
	f->charge_limit = ULONG_MAX;
	f->host_limit = UINT_MAX;
	init_completion(&f->other_done);
	for (i = 0; i < NR_FRAMES; i++) {
		f->frames[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!f->frames[i])
			return -ENOMEM;
	}
	function_loses_table(f);
	guest_builds_table(f);
	return 0;
}

static void shadow_test_exit(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	if (!f)
		return;
	end_shadow(f);
	for (i = 0; i < NR_FRAMES; i++)
		if (f->frames[i])
			__free_page(f->frames[i]);
}

static void map_unmap(struct kunit *test)
{
	struct fixture *f = test->priv;

	start_shadow(f, true);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);

	guest_maps(f, 3, FRAME_DATA, false);
	/* Nothing happens before the guest says so */
	expect_no_host(f, 3);
	KUNIT_EXPECT_EQ(test, refresh(f, 3, 1), 0);
	expect_host(f, 3, FRAME_DATA, false);
	expect_no_host(f, 2);
	expect_no_host(f, 4);
	KUNIT_EXPECT_EQ(test, pinned(f), 1);
	KUNIT_EXPECT_EQ(test, f->refresh_first, iova_of(3));
	KUNIT_EXPECT_EQ(test, f->refresh_last, iova_of(4) - 1);

	guest_unmaps(f, 3);
	KUNIT_EXPECT_EQ(test, refresh(f, 3, 1), 0);
	expect_no_host(f, 3);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
	KUNIT_EXPECT_TRUE(test, f->dirty[FRAME_DATA]);
}

static void remap(struct kunit *test)
{
	struct fixture *f = test->priv;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	guest_maps(f, 0, FRAME_DATA + 1, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	expect_host(f, 0, FRAME_DATA + 1, false);
	KUNIT_EXPECT_EQ(test, f->pins[FRAME_DATA], 0);
	KUNIT_EXPECT_EQ(test, f->pins[FRAME_DATA + 1], 1);

	/* Same frame, less access */
	guest_maps(f, 0, FRAME_DATA + 1, true);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	expect_host(f, 0, FRAME_DATA + 1, true);
	KUNIT_EXPECT_EQ(test, f->pins[FRAME_DATA + 1], 1);
}

/* A range that begins and ends within segments, many frames at once */
static void scattered(struct kunit *test)
{
	struct fixture *f = test->priv;
	const unsigned int first = 200, count = 120;
	unsigned int i;

	start_shadow(f, true);
	for (i = 0; i < NR_IOVAS; i++)
		guest_maps(f, i, FRAME_DATA + i % 240, false);
	/* Break the run, so that pages are pinned one by one there */
	for (i = first; i < first + 10; i++)
		guest_maps(f, i, FRAME_DATA + 100 - i % 100, i & 1);
	KUNIT_EXPECT_EQ(test, refresh(f, first, count), 0);
	for (i = 0; i < NR_IOVAS; i++) {
		if (i < first || i >= first + count)
			expect_no_host(f, i);
		else if (i < first + 10)
			expect_host(f, i, FRAME_DATA + 100 - i % 100, i & 1);
		else
			expect_host(f, i, FRAME_DATA + i % 240, false);
	}
	KUNIT_EXPECT_EQ(test, pinned(f), count);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 1);

	for (i = 0; i < NR_IOVAS; i++)
		guest_unmaps(f, i);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 2);
}

static void large_frame(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	start_shadow(f, true);
	*guest_ste(f, 1) = gaddr_of(FRAME_LARGE) | S390_IOT_FC |
			   ZPCI_TABLE_TYPE_SX;
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	for (i = 0; i < ZPCI_PT_ENTRIES; i++)
		expect_host(f, ZPCI_PT_ENTRIES + i, FRAME_LARGE + i, false);
	KUNIT_EXPECT_EQ(test, pinned(f), ZPCI_PT_ENTRIES);

	/* Protected from now on: all frames are remapped */
	*guest_ste(f, 1) |= ZPCI_TABLE_PROTECTED;
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	expect_host(f, ZPCI_PT_ENTRIES, FRAME_LARGE, true);

	/* Back to a page table, with one entry that stays as it was */
	*guest_ste(f, 1) = s390_iot_ste(gaddr_of(FRAME_PT) + ZPCI_PT_SIZE);
	guest_maps(f, ZPCI_PT_ENTRIES + 7, FRAME_LARGE + 7, true);
	f->unpins = 0;
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 1);
	KUNIT_EXPECT_EQ(test, f->unpins, ZPCI_PT_ENTRIES - 1);
}

/* Protection at any level protects */
static void protection(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int level;

	for (level = 0; level < 4; level++) {
		guest_builds_table(f);
		guest_maps(f, 0, FRAME_DATA, level == 0);
		if (level == 1)
			*guest_ste(f, 0) |= ZPCI_TABLE_PROTECTED;
		if (level == 2)
			*guest_rte(f) |= ZPCI_TABLE_PROTECTED;
		f->cfg.iota = level == 3 ? ZPCI_TABLE_PROTECTED : 0;
		memset(f->dirty, 0, sizeof(f->dirty));
		start_shadow(f, true);
		KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
		expect_host(f, 0, FRAME_DATA, true);
		end_shadow(f);
		KUNIT_EXPECT_FALSE(test, f->dirty[FRAME_DATA]);
	}
}

struct bad_entry {
	const char *what;
	enum s390_iot_level level;
	u64 entry;
	int rc;
};

static const struct bad_entry bad_entries[] = {
	{ "zero page table entry", S390_IOT_PT, 0, -EINVAL },
	{ "frame at address zero", S390_IOT_PT, ZPCI_TABLE_PROTECTED,
	  -EINVAL },
	{ "frame outside guest memory", S390_IOT_PT, 0x7000000000UL, -EFAULT },
	{ "zero segment table entry", S390_IOT_ST, 0, -EINVAL },
	{ "segment table entry of type RTX", S390_IOT_ST,
	  GUEST_BASE | ZPCI_TABLE_TYPE_RTX, -EINVAL },
	{ "page table at address zero", S390_IOT_ST, ZPCI_TABLE_PROTECTED,
	  -EINVAL },
	{ "page table outside guest memory", S390_IOT_ST, 0x7000000000UL,
	  -EFAULT },
	{ "large frame at address zero", S390_IOT_ST, S390_IOT_FC,
	  -EINVAL },
	{ "zero region table entry", S390_IOT_RT, 0, -EINVAL },
	{ "region table entry of type SX", S390_IOT_RT,
	  GUEST_BASE | ZPCI_TABLE_TYPE_SX | ZPCI_TABLE_LEN_RTX, -EINVAL },
	{ "region table entry of type RSX", S390_IOT_RT,
	  GUEST_BASE | ZPCI_TABLE_TYPE_RSX | ZPCI_TABLE_LEN_RTX, -EINVAL },
	{ "short segment table", S390_IOT_RT,
	  GUEST_BASE | ZPCI_TABLE_TYPE_RTX | 2, -EINVAL },
	{ "segment table with an offset", S390_IOT_RT,
	  GUEST_BASE | ZPCI_TABLE_TYPE_RTX | ZPCI_TABLE_LEN_RTX | 0x40,
	  -EINVAL },
	{ "segment table outside guest memory", S390_IOT_RT,
	  0x7000000000UL | ZPCI_TABLE_TYPE_RTX | ZPCI_TABLE_LEN_RTX, -EFAULT },
};

static void bad_entry_desc(const struct bad_entry *bad, char *desc)
{
	strscpy(desc, bad->what, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(bad_entry, bad_entries, bad_entry_desc);

/* What the guest must not write is refused, alone and in a longer range */
static void malformed(struct kunit *test)
{
	const struct bad_entry *bad = test->param_value;
	struct fixture *f = test->priv;
	u64 *entry;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	guest_maps(f, ZPCI_PT_ENTRIES, FRAME_DATA + 1, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);

	switch (bad->level) {
	case S390_IOT_PT:
		entry = guest_pte(f, ZPCI_PT_ENTRIES);
		break;
	case S390_IOT_ST:
		entry = guest_ste(f, 1);
		break;
	default:
		entry = guest_rte(f);
		break;
	}
	*entry = bad->entry;
	KUNIT_EXPECT_EQ(test, refresh(f, ZPCI_PT_ENTRIES, 1), bad->rc);
	KUNIT_EXPECT_EQ(test, refresh_all(f), bad->rc);
	/* What was mirrored stays */
	expect_host(f, 0, FRAME_DATA, false);
}

/* Invalid is invalid, whatever the other bits say */
static void invalid_entries(struct kunit *test)
{
	struct fixture *f = test->priv;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	*guest_pte(f, 0) |= ZPCI_PTE_INVALID;
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	expect_no_host(f, 0);

	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	*guest_ste(f, 0) |= ZPCI_TABLE_INVALID | ZPCI_TABLE_TYPE_RTX;
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	expect_no_host(f, 0);

	*guest_ste(f, 0) = s390_iot_ste(gaddr_of(FRAME_PT));
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	expect_host(f, 0, FRAME_DATA, false);
	*guest_rte(f) = ZPCI_TABLE_INVALID;
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	expect_no_host(f, 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
}

/* No shadow page table without one of the guest's */
static void tables_follow_guest(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct s390_shadow_stats stats;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	guest_maps(f, ZPCI_PT_ENTRIES, FRAME_DATA + 1, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	s390_shadow_stats(f->shadow, &stats);
	/* The segment table comes on top */
	KUNIT_EXPECT_EQ(test, stats.tables, 3);

	/* One page of the segment is enough to hear that it is gone */
	*guest_ste(f, 0) = ZPCI_TABLE_INVALID;
	KUNIT_EXPECT_EQ(test, refresh(f, 9, 1), 0);
	s390_shadow_stats(f->shadow, &stats);
	KUNIT_EXPECT_EQ(test, stats.tables, 2);
	expect_no_host(f, 0);
	expect_host(f, ZPCI_PT_ENTRIES, FRAME_DATA + 1, false);
	KUNIT_EXPECT_EQ(test, pinned(f), 1);
}

/* Cost follows what changed */
static void nothing_changed(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	start_shadow(f, true);
	for (i = 0; i < 64; i++)
		guest_maps(f, i, FRAME_DATA + i, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);

	memset(f->calls, 0, sizeof(f->calls));
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_PIN], 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_CHARGE], 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 0);
	/* Populated tables only: not one fetch for each of 8192 segments */
	KUNIT_EXPECT_LE(test, f->calls[FAIL_READ], 96);

	guest_maps(f, 5, FRAME_DATA + 100, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_PIN], 1);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 1);
}

/* A host that does not remember invalid entries needs no refresh for new ones */
static void refresh_only_if_needed(struct kunit *test)
{
	struct fixture *f = test->priv;

	start_shadow(f, false);
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 0);
	guest_unmaps(f, 0);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 1);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
}

/* Someone else changed the segment, and his host refresh is still to come */
static void unfinished_neighbour(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int nr = (IOVA >> ZPCI_ST_SHIFT) % S390_SHADOW_BUCKETS;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	memset(f->calls, 0, sizeof(f->calls));

	atomic_inc(&f->shadow->buckets[nr].unflushed);
	atomic_inc(&f->shadow->unflushed);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 1);
	atomic_dec(&f->shadow->buckets[nr].unflushed);
	atomic_dec(&f->shadow->unflushed);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 1);
	/* Our own batches have all been counted out again */
	KUNIT_EXPECT_EQ(test, atomic_read(&f->shadow->buckets[nr].unflushed),
			0);
}

/* The limit is answered with -ENOMEM, and what is given back can be used */
static void limit(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	f->charge_limit = 8;
	start_shadow(f, true);
	for (i = 0; i < 16; i++)
		guest_maps(f, i, FRAME_DATA + i, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 16), -ENOMEM);
	KUNIT_EXPECT_LE(test, pinned(f), 8);

	/* Gives back eight at the end of the range, needs them at its start */
	for (i = 0; i < 16; i++)
		guest_unmaps(f, i);
	for (i = 0; i < 8; i++)
		guest_maps(f, ZPCI_PT_ENTRIES + i, FRAME_DATA + i, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 8);
	for (i = 0; i < 8; i++) {
		guest_unmaps(f, ZPCI_PT_ENTRIES + i);
		guest_maps(f, i, FRAME_DATA + 32 + i, false);
	}
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 8);
	for (i = 0; i < 8; i++)
		expect_host(f, i, FRAME_DATA + 32 + i, false);
}

/* A failed host refresh: nothing is released before one that succeeds */
static void refresh_fails(struct kunit *test)
{
	struct fixture *f = test->priv;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);

	guest_unmaps(f, 0);
	f->fail_op = FAIL_REFRESH;
	f->fail_nth = 1;
	f->fail_all = true;
	f->fail_rc = -EIO;
	f->calls[FAIL_REFRESH] = 0;
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), -EIO);
	expect_no_host(f, 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 1);
	/* The guest's table has not changed since, but nothing is certain */
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), -EIO);
	KUNIT_EXPECT_EQ(test, pinned(f), 1);

	f->fail_op = FAIL_NONE;
	KUNIT_EXPECT_EQ(test, refresh(f, 20, 1), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
	KUNIT_EXPECT_EQ(test, f->refresh_first, f->cfg.pba);
	KUNIT_EXPECT_EQ(test, f->refresh_last, f->cfg.pal);
}

/* Out of resources below us: everything is refreshed before we give up */
static void refresh_out_of_resources(struct kunit *test)
{
	struct fixture *f = test->priv;

	start_shadow(f, true);
	f->fail_op = FAIL_REFRESH;
	f->fail_nth = 1;
	f->fail_rc = -ENOMEM;
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 2);
	KUNIT_EXPECT_EQ(test, f->refresh_first, f->cfg.pba);

	f->fail_all = true;
	f->calls[FAIL_REFRESH] = 0;
	guest_maps(f, 1, FRAME_DATA + 1, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 1, 1), -ENOMEM);

	/* The guest tries again: the entry is there, the function not told */
	f->fail_op = FAIL_NONE;
	f->calls[FAIL_REFRESH] = 0;
	KUNIT_EXPECT_EQ(test, refresh(f, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 1);
}

/*
 * The host below has too few resources: what the guest gives back helps, also
 * when it is the next thing that is asked for.
 */
static void host_limit(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	start_shadow(f, true);
	f->host_limit = 4;
	for (i = 0; i < 6; i++)
		guest_maps(f, i, FRAME_DATA + i, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 6), -ENOMEM);
	KUNIT_EXPECT_EQ(test, refresh_all(f), -ENOMEM);

	for (i = 2; i < 6; i++)
		guest_unmaps(f, i);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 2);
	expect_host(f, 1, FRAME_DATA + 1, false);
	expect_no_host(f, 2);
}

/* Another virtual CPU refreshes the whole aperture */
static int other_cpu(void *data)
{
	struct fixture *f = data;

	f->other_rc = refresh_range(f, f->cfg.pba, f->cfg.pal);
	complete(&f->other_done);
	return 0;
}

static void start_other_cpu(struct fixture *f)
{
	struct task_struct *task;

	reinit_completion(&f->other_done);
	task = kthread_run(other_cpu, f, "s390_shadow_test");
	KUNIT_EXPECT_FALSE(f->test, IS_ERR(task));
}

/* In the middle of a mapping, the guest gives up the segment, and says so */
static void guest_gives_up_segment(struct fixture *f)
{
	*guest_ste(f, 1) = ZPCI_TABLE_INVALID;
	start_other_cpu(f);
	/* It must wait for us: we are about to write what is not true any more */
	KUNIT_EXPECT_EQ(f->test,
			wait_for_completion_timeout(&f->other_done,
						    msecs_to_jiffies(100)), 0);
}

/* The older value is not left behind where the newer is "nothing there" */
static void older_value_in_flight(struct kunit *test)
{
	struct fixture *f = test->priv;

	start_shadow(f, true);
	guest_maps(f, ZPCI_PT_ENTRIES, FRAME_DATA, false);
	f->in_pin = guest_gives_up_segment;
	KUNIT_EXPECT_EQ(test, refresh(f, ZPCI_PT_ENTRIES, 1), 0);
	wait_for_completion(&f->other_done);
	KUNIT_EXPECT_EQ(test, f->other_rc, 0);
	expect_no_host(f, ZPCI_PT_ENTRIES);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
}

/* While our host refresh is under way, the other one is asked for the same */
static void other_cpu_passes_by(struct fixture *f)
{
	unsigned int before = f->calls[FAIL_REFRESH];

	start_other_cpu(f);
	wait_for_completion(&f->other_done);
	KUNIT_EXPECT_EQ(f->test, f->other_rc, 0);
	KUNIT_EXPECT_GT_MSG(f->test, f->calls[FAIL_REFRESH], before,
			    "done before the function has forgotten");
}

/* A segment that was just given up has nothing, but is not forgotten yet */
static void given_up_in_flight(struct kunit *test)
{
	struct fixture *f = test->priv;

	start_shadow(f, true);
	guest_maps(f, ZPCI_PT_ENTRIES, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	*guest_ste(f, 1) = ZPCI_TABLE_INVALID;
	f->in_refresh = other_cpu_passes_by;
	KUNIT_EXPECT_EQ(test, refresh(f, ZPCI_PT_ENTRIES, 1), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
}

/* Teardown with batches in limbo; the others end in their own state */
static void teardown_in_limbo(struct kunit *test)
{
	struct fixture *f = test->priv;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	*guest_ste(f, 0) = ZPCI_TABLE_INVALID;
	guest_maps(f, ZPCI_PT_ENTRIES, FRAME_DATA + 1, false);
	f->fail_op = FAIL_REFRESH;
	f->fail_nth = 1;
	f->fail_all = true;
	f->fail_rc = -EIO;
	f->calls[FAIL_REFRESH] = 0;
	KUNIT_EXPECT_EQ(test, refresh_all(f), -EIO);
	KUNIT_EXPECT_EQ(test, pinned(f), 2);
	end_shadow(f);
}

/* Allocations that can be told to fail; the real ones do the work otherwise */
static struct page *fail_alloc_leaf(void)
{
	struct kunit *test = kunit_get_current_test();
	struct fixture *f = test->priv;
	struct page *page;

	if (fails(f, FAIL_LEAF))
		return NULL;
	kunit_deactivate_static_stub(test, s390_shadow_alloc_leaf);
	page = s390_shadow_alloc_leaf();
	kunit_activate_static_stub(test, s390_shadow_alloc_leaf,
				   fail_alloc_leaf);
	return page;
}

static struct s390_shadow_batch *fail_alloc_batch(void)
{
	struct kunit *test = kunit_get_current_test();
	struct fixture *f = test->priv;
	struct s390_shadow_batch *batch;

	if (fails(f, FAIL_BATCH))
		return NULL;
	kunit_deactivate_static_stub(test, s390_shadow_alloc_batch);
	batch = s390_shadow_alloc_batch();
	kunit_activate_static_stub(test, s390_shadow_alloc_batch,
				   fail_alloc_batch);
	return batch;
}

static unsigned long *fail_alloc_table(gfp_t gfp)
{
	struct kunit *test = kunit_get_current_test();
	struct fixture *f = test->priv;
	unsigned long *table;

	if (fails(f, FAIL_TABLE))
		return NULL;
	kunit_deactivate_static_stub(test, s390_iot_alloc_table);
	table = s390_iot_alloc_table(gfp);
	kunit_activate_static_stub(test, s390_iot_alloc_table,
				   fail_alloc_table);
	return table;
}

/* A life with everything in it. Stops at the first failure, as a guest may. */
static int life(struct fixture *f)
{
	unsigned int i;
	int rc;

	guest_builds_table(f);
	for (i = 250; i < 262; i++)
		guest_maps(f, i, FRAME_DATA + i - 250, i & 1);
	rc = refresh(f, 240, 30);
	if (rc)
		return rc;
	for (i = 250; i < 262; i += 2)
		guest_maps(f, i, FRAME_DATA + 64 + i - 250, false);
	for (i = 251; i < 262; i += 2)
		guest_unmaps(f, i);
	rc = refresh_all(f);
	if (rc)
		return rc;
	*guest_ste(f, 0) = ZPCI_TABLE_INVALID;
	rc = refresh(f, 0, 256);
	if (rc)
		return rc;
	*guest_rte(f) = ZPCI_TABLE_INVALID;
	return refresh_all(f);
}

struct fail_case {
	const char *what;
	enum fail_op op;
	int rc;
};

static const struct fail_case fail_cases[] = {
	{ "read: no memory there", FAIL_READ, -EFAULT },
	{ "read: signal", FAIL_READ, -EINTR },
	{ "pin: no memory", FAIL_PIN, -ENOMEM },
	{ "pin: fault", FAIL_PIN, -EFAULT },
	{ "pin: signal", FAIL_PIN, -EINTR },
	{ "charge", FAIL_CHARGE, -ENOMEM },
	{ "host refresh", FAIL_REFRESH, -EIO },
	{ "host refresh: resources", FAIL_REFRESH, -ENOMEM },
	{ "batch", FAIL_BATCH, -ENOMEM },
	{ "leaf", FAIL_LEAF, -ENOMEM },
	{ "table", FAIL_TABLE, -ENOMEM },
};

static void fail_case_desc(const struct fail_case *c, char *desc)
{
	strscpy(desc, c->what, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(fail_case, fail_cases, fail_case_desc);

/*
 * The nth call fails, for every n, once alone and once with all after it: the
 * failure is reported or made up for, the same life works afterwards, and
 * nothing is left behind.
 */
static void fail_nth(struct kunit *test)
{
	const struct fail_case *c = test->param_value;
	struct fixture *f = test->priv;
	unsigned int n, all, failed = 0;
	int rc;

	kunit_activate_static_stub(test, s390_shadow_alloc_leaf,
				   fail_alloc_leaf);
	kunit_activate_static_stub(test, s390_shadow_alloc_batch,
				   fail_alloc_batch);
	kunit_activate_static_stub(test, s390_iot_alloc_table,
				   fail_alloc_table);
	for (all = 0; all < 2; all++) {
		for (n = 1; ; n++) {
			f->fail_op = FAIL_NONE;
			f->cfg.iota = 0;
			start_shadow(f, true);
			memset(f->calls, 0, sizeof(f->calls));
			f->fail_op = c->op;
			f->fail_nth = n;
			f->fail_all = all;
			f->fail_rc = c->rc;
			rc = life(f);
			if (f->calls[c->op] < n)
				break;
			failed++;
			if (rc)
				KUNIT_EXPECT_EQ(test, rc, c->rc);
			else
				KUNIT_EXPECT_FALSE(test, all);
			pinned(f);
			if (n & 1) {
				f->fail_op = FAIL_NONE;
				KUNIT_EXPECT_EQ(test, life(f), 0);
				KUNIT_EXPECT_EQ(test, pinned(f), 0);
			}
			end_shadow(f);
		}
		KUNIT_EXPECT_EQ(test, rc, 0);
		end_shadow(f);
	}
	/* The sweep has found something to fail */
	KUNIT_EXPECT_GT(test, failed, 1);
}

/*
 * All designations, and a host table as large as the aperture needs: pages at
 * both ends of the address space that the table reaches.
 */
struct size_case {
	const char *what;
	enum s390_iot_level guest_top;
	enum s390_iot_level host_top;
	u64 pba;
};

static const struct size_case size_cases[] = {
	{ "segment table", S390_IOT_ST, S390_IOT_ST, 0 },
	{ "segment table, larger host table", S390_IOT_ST, S390_IOT_RT, 0 },
	{ "region third, 4 TiB", S390_IOT_RT, S390_IOT_RT, 0 },
	{ "region second, 8 PiB", S390_IOT_RS, S390_IOT_RS, 0 },
	{ "region first, all", S390_IOT_RF, S390_IOT_RF, PAGE_SIZE },
};

static void size_case_desc(const struct size_case *c, char *desc)
{
	strscpy(desc, c->what, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(size_case, size_cases, size_case_desc);

/* Frames for tables of all levels, twice, beyond the data and large frames */
#define FRAME_LOW	300
#define FRAME_HIGH	400

/*
 * Link tables of levels @top - 1 and down for @iova. They lie in frames from
 * @frame on; the topmost table is the same for all.
 */
static void guest_links(struct fixture *f, enum s390_iot_level top, u64 iova,
			unsigned int frame)
{
	unsigned int table = FRAME_RT;
	enum s390_iot_level level;

	for (level = top; level > S390_IOT_ST; level--) {
		unsigned int i;

		*guest_table(f, table, s390_iot_index(level, iova)) =
			s390_iot_rte(level, gaddr_of(frame));
		for (i = 0; i < ZPCI_TABLE_ENTRIES; i++)
			*guest_table(f, frame, i) = ZPCI_TABLE_INVALID;
		table = frame;
		frame += 4;
	}
	*guest_table(f, table, s390_iot_index(S390_IOT_ST, iova)) =
		s390_iot_ste(gaddr_of(frame));
	memset64(guest_table(f, frame, 0), ZPCI_PTE_INVALID, ZPCI_PT_ENTRIES);
	*guest_table(f, frame, s390_iot_index(S390_IOT_PT, iova)) =
		s390_iot_pte(gaddr_of(FRAME_DATA), false);
}

static bool host_maps(struct fixture *f, u64 iova)
{
	unsigned long *pte = s390_iot_lookup_pte(f->shadow->root,
						 f->shadow->top, iova);

	return pte && s390_iot_pte_valid(*pte) &&
	       (*pte & ZPCI_PTE_ADDR_MASK) == page_to_phys(f->frames[FRAME_DATA]);
}

static void sizes(struct kunit *test)
{
	const struct size_case *c = test->param_value;
	u64 low = c->pba, high = s390_iot_last(c->guest_top) & PAGE_MASK;
	struct fixture *f = test->priv;
	unsigned int i;

	/*
	 * GUEST_BASE is 16 KiB aligned, but the frames from FRAME_RT on, too:
	 * the tables of all levels are, as FRAME_LOW and FRAME_HIGH show.
	 */
	BUILD_BUG_ON(FRAME_LOW % 4 || FRAME_HIGH % 4);
	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++)
		*guest_table(f, FRAME_RT, i) = ZPCI_TABLE_INVALID;
	guest_links(f, c->guest_top, low, FRAME_LOW);
	guest_links(f, c->guest_top, high, FRAME_HIGH);

	f->cfg.pba = c->pba;
	f->cfg.pal = s390_iot_last(c->guest_top);
	f->cfg.iota = s390_iot_iota(c->guest_top, gaddr_of(FRAME_RT));
	start_shadow_with(f, c->host_top, true);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_TRUE(test, host_maps(f, low));
	KUNIT_EXPECT_TRUE(test, host_maps(f, high));
	KUNIT_EXPECT_EQ(test, pinned(f), 2);

	/* A whole refresh without a change: what is there, not what could be */
	memset(f->calls, 0, sizeof(f->calls));
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_PIN] + f->calls[FAIL_REFRESH], 0);
	/*
	 * The topmost table, and one of each level below at either end, of each
	 * its rest after an entry that is invalid, at two places at most; and
	 * what leads to the two segments, to find them and to refresh them.
	 */
	KUNIT_EXPECT_LE(test, f->calls[FAIL_READ],
			(2 * c->guest_top - 1) * 2 + 2 * 2 * c->guest_top + 2 * 2);

	guest_links(f, c->guest_top, high, FRAME_HIGH);
	*guest_table(f, FRAME_RT, ZPCI_TABLE_ENTRIES - 1) = ZPCI_TABLE_INVALID;
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_TRUE(test, host_maps(f, low));
	KUNIT_EXPECT_FALSE(test, host_maps(f, high));
	KUNIT_EXPECT_EQ(test, pinned(f), 1);
}

/* What is read while the guest stores it is one of the two values */
static void torn(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	guest_maps(f, ZPCI_PT_ENTRIES, FRAME_DATA + 1, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);

	/* A page table entry with the address of a third one, or malformed */
	for (i = 0; i < 2; i++) {
		guest_maps(f, 0, FRAME_DATA + 2 + i, false);
		f->torn = gaddr_of(FRAME_PT);
		f->torn_bits = i ? *guest_pte(f, 0) : 0xf000;
		KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
		expect_host(f, 0, FRAME_DATA + 2 + i, false);
		KUNIT_EXPECT_EQ(test, pinned(f), 2);
	}
	/* A region table entry that leads to where there is nothing */
	f->torn = gaddr_of(FRAME_RT) +
		  s390_iot_index(S390_IOT_RT, IOVA) * sizeof(u64);
	f->torn_bits = gaddr_of(FRAME_ST) ^ gaddr_of(FRAME_LARGE);
	memset64(guest_table(f, FRAME_LARGE, 0), ZPCI_TABLE_INVALID,
		 ZPCI_TABLE_ENTRIES / 4);
	memset64(guest_table(f, FRAME_LARGE + 1, 0), ZPCI_TABLE_INVALID,
		 ZPCI_TABLE_ENTRIES / 4);
	guest_maps(f, 5, FRAME_DATA + 8, false);
	guest_maps(f, ZPCI_PT_ENTRIES + 5, FRAME_DATA + 9, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	expect_host(f, 5, FRAME_DATA + 8, false);
	expect_host(f, ZPCI_PT_ENTRIES + 5, FRAME_DATA + 9, false);
	KUNIT_EXPECT_EQ(test, pinned(f), 4);
}

/* A guest whose tables lead in circles does not hold us up for ever */
static void endless_table(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct s390_shadow_walk walk;
	unsigned int i;
	u64 next;

	/* Each segment has the same page table, with nothing in it */
	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++) {
		*guest_table(f, FRAME_RT, i) =
			s390_iot_rte(S390_IOT_RT, gaddr_of(FRAME_ST));
		*guest_table(f, FRAME_ST, i) = s390_iot_ste(gaddr_of(FRAME_PT));
	}
	start_shadow(f, true);
	s390_shadow_walk_init(&walk, f->cfg.pba, f->cfg.pal);
	for (i = 0; i < 3; i++) {
		next = walk.next;
		memset(f->calls, 0, sizeof(f->calls));
		KUNIT_EXPECT_EQ(test, s390_shadow_refresh(f->shadow, &walk),
				-EAGAIN);
		KUNIT_EXPECT_GT(test, walk.next, next);
		KUNIT_EXPECT_LE(test, f->calls[FAIL_READ],
				4 * S390_SHADOW_STEPS);
	}
	/* And comes to its end all the same */
	f->refresh_calls = 0;
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_GT(test, f->refresh_calls, 3);
	KUNIT_EXPECT_LT(test, f->refresh_calls, 16);
}

/* The limit is met in the first part of a long walk, the way out in the last */
static void limit_in_long_walk(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	f->charge_limit = 4;
	start_shadow(f, true);
	/* Page 256 + n is mapped, in the segment after that of page n */
	for (i = 0; i < 4; i++)
		guest_maps(f, ZPCI_PT_ENTRIES + i, FRAME_DATA + i, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	for (i = 0; i < 4; i++) {
		guest_maps(f, i, FRAME_DATA + 8 + i, false);
		guest_unmaps(f, ZPCI_PT_ENTRIES + i);
	}
	/* So many segments between the ends of the walk that it pauses */
	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++)
		if (*guest_table(f, FRAME_ST, i) == ZPCI_TABLE_INVALID)
			*guest_table(f, FRAME_ST, i) =
				s390_iot_ste(gaddr_of(FRAME_PT + 1));
	memset64(guest_table(f, FRAME_PT + 1, 0), ZPCI_PTE_INVALID,
		 ZPCI_PT_ENTRIES);
	f->refresh_calls = 0;
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_GT(test, f->refresh_calls, 1);
	KUNIT_EXPECT_EQ(test, pinned(f), 4);
	for (i = 0; i < 4; i++)
		expect_host(f, i, FRAME_DATA + 8 + i, false);
}

/* What the guest has replaced goes, also if there is no room for anything new */
static void replaced_at_limit(struct kunit *test)
{
	struct fixture *f = test->priv;

	f->charge_limit = 2;
	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	guest_maps(f, ZPCI_PT_ENTRIES, FRAME_DATA + 1, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	guest_maps(f, 1, FRAME_DATA + 2, false);
	guest_maps(f, ZPCI_PT_ENTRIES, FRAME_DATA + 3, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), -ENOMEM);
	expect_host(f, 0, FRAME_DATA, false);
	expect_host(f, 1, FRAME_DATA + 2, false);
	expect_no_host(f, ZPCI_PT_ENTRIES);
	KUNIT_EXPECT_EQ(test, f->pins[FRAME_DATA + 1], 0);
	guest_unmaps(f, 0);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	expect_host(f, ZPCI_PT_ENTRIES, FRAME_DATA + 3, false);
}

/*
 * At its limit, a guest whose tables lead in circles gets its answer soon: not
 * after all that it wants to have mapped was found again and again
 */
static void limit_in_endless_table(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++) {
		*guest_table(f, FRAME_RT, i) =
			s390_iot_rte(S390_IOT_RT, gaddr_of(FRAME_ST));
		*guest_table(f, FRAME_ST, i) = s390_iot_ste(gaddr_of(FRAME_PT));
	}
	guest_maps(f, 3, FRAME_DATA, false);
	f->charge_limit = 100;
	start_shadow(f, true);
	f->refresh_calls = 0;
	KUNIT_EXPECT_EQ(test, refresh_all(f), -ENOMEM);
	KUNIT_EXPECT_LE(test, f->refresh_calls, 3);
	KUNIT_EXPECT_LE(test, f->calls[FAIL_READ], 4 * S390_SHADOW_STEPS);
	KUNIT_EXPECT_EQ(test, pinned(f), 100);

	/* And what it gives back can be used again */
	guest_unmaps(f, 3);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
}

static unsigned int batches_in_limbo(struct fixture *f)
{
	struct list_head *node;
	unsigned int nr = 0;

	list_for_each(node, &f->shadow->limbo)
		nr++;
	return nr;
}

/* A guest can't have the kernel pile up what waits for a host refresh */
static void limbo_is_filled(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	start_shadow(f, false);
	for (i = 0; i < NR_IOVAS; i++)
		guest_maps(f, i, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	f->fail_op = FAIL_REFRESH;
	f->fail_nth = 1;
	f->fail_all = true;
	f->fail_rc = -ENOMEM;
	for (i = 0; i < NR_IOVAS; i++) {
		guest_unmaps(f, i);
		KUNIT_EXPECT_EQ(test, refresh(f, i, 1), -ENOMEM);
		KUNIT_EXPECT_EQ(test, batches_in_limbo(f), 1);
	}
	KUNIT_EXPECT_EQ(test, pinned(f), NR_IOVAS);
	f->fail_op = FAIL_NONE;
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
	KUNIT_EXPECT_EQ(test, batches_in_limbo(f), 0);
}

/* A guest that maps here and there leaves no trail of empty tables */
static void pruning(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct s390_shadow_stats stats;
	unsigned int i, seg;
	u64 peak = 0;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	/* All segments of the region have the second page table */
	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++)
		if (i != s390_iot_index(S390_IOT_ST, IOVA))
			*guest_table(f, FRAME_ST, i) =
				s390_iot_ste(gaddr_of(FRAME_PT) + ZPCI_PT_SIZE);
	for (seg = 1; seg < 512; seg++) {
		u64 iova = IOVA + (u64)seg * S390_IOT_SEGMENT_SIZE;

		guest_maps(f, ZPCI_PT_ENTRIES, FRAME_DATA + 1, false);
		KUNIT_EXPECT_EQ(test, refresh_range(f, iova,
						    iova + PAGE_SIZE - 1), 0);
		KUNIT_EXPECT_EQ(test, pinned(f), 2);
		guest_unmaps(f, ZPCI_PT_ENTRIES);
		KUNIT_EXPECT_EQ(test, refresh_range(f, iova,
						    iova + PAGE_SIZE - 1), 0);
		KUNIT_EXPECT_EQ(test, pinned(f), 1);
		s390_shadow_stats(f->shadow, &stats);
		peak = max(peak, stats.tables);
	}
	KUNIT_EXPECT_LE(test, peak, S390_SHADOW_PRUNE_MIN +
			2 * S390_SHADOW_PRUNE_FACTOR);
	KUNIT_EXPECT_GT(test, stats.tables_pruned, 256);
	/* What is in use is not pruned */
	expect_host(f, 0, FRAME_DATA, false);

	/* Upper tables, too: with the last page they are of no use */
	guest_unmaps(f, 0);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	s390_shadow_prune(f->shadow, &f->shadow->spare);
	s390_shadow_stats(f->shadow, &stats);
	KUNIT_EXPECT_EQ(test, stats.tables, 0);
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	expect_host(f, 0, FRAME_DATA, false);
}

/* Pruned tables are not freed before the host refresh, either */
static void pruning_in_limbo(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct s390_shadow_batch *batch;
	struct s390_shadow_stats stats;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	guest_unmaps(f, 0);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	f->fail_op = FAIL_REFRESH;
	f->fail_nth = 1;
	f->fail_all = true;
	f->fail_rc = -EIO;
	f->calls[FAIL_REFRESH] = 0;
	batch = s390_shadow_alloc_batch();
	KUNIT_ASSERT_NOT_NULL(test, batch);
	s390_shadow_prune(f->shadow, &batch);
	KUNIT_EXPECT_NULL(test, batch);
	s390_shadow_stats(f->shadow, &stats);
	KUNIT_EXPECT_EQ(test, stats.tables, 2);
	f->fail_op = FAIL_NONE;
	KUNIT_EXPECT_EQ(test, refresh(f, 20, 1), 0);
	s390_shadow_stats(f->shadow, &stats);
	KUNIT_EXPECT_EQ(test, stats.tables, 0);
}

/* Guest memory goes away: what is in it, and nothing else, is withdrawn */
static void withdraw(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	start_shadow(f, true);
	for (i = 0; i < 8; i++) {
		guest_maps(f, i, FRAME_DATA + i, false);
		guest_maps(f, ZPCI_PT_ENTRIES + i, FRAME_DATA + 4 + i, i & 1);
	}
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	function_looks_up_all(f);
	f->calls[FAIL_REFRESH] = 0;
	s390_shadow_withdraw(f->shadow, gaddr_of(FRAME_DATA + 4),
			     gaddr_of(FRAME_DATA + 8) - 1);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 1);
	KUNIT_EXPECT_EQ(test, pinned(f), 8);
	for (i = 0; i < 8; i++) {
		if (i < 4) {
			expect_host(f, i, FRAME_DATA + i, false);
			expect_no_host(f, ZPCI_PT_ENTRIES + i);
		} else {
			expect_no_host(f, i);
			expect_host(f, ZPCI_PT_ENTRIES + i, FRAME_DATA + 4 + i,
				    i & 1);
		}
	}
	/* Nothing there: nothing to do */
	f->calls[FAIL_REFRESH] = 0;
	s390_shadow_withdraw(f->shadow, gaddr_of(FRAME_LARGE),
			     gaddr_of(NR_FRAMES) - 1);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 8);
	/* The guest's table names them still: they come back with a refresh */
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 16);
}

/* More in it than a batch holds */
static void withdraw_much(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	start_shadow(f, true);
	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++)
		*guest_table(f, FRAME_ST, i) = s390_iot_ste(gaddr_of(FRAME_PT));
	for (i = 0; i < ZPCI_PT_ENTRIES; i++)
		guest_maps(f, i, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh_range(f, IOVA, IOVA +
					    5 * S390_IOT_SEGMENT_SIZE - 1), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 5 * ZPCI_PT_ENTRIES);
	function_looks_up_all(f);
	s390_shadow_withdraw(f->shadow, gaddr_of(FRAME_DATA),
			     gaddr_of(FRAME_DATA + 1) - 1);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
}

/* The memory goes whether or not the host refresh works */
static void withdraw_fails(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int n;

	for (n = 1; n <= 3; n++) {
		f->fail_op = FAIL_NONE;
		f->cfg.iota = 0;
		start_shadow(f, true);
		guest_maps(f, 0, FRAME_DATA, false);
		guest_maps(f, 1, FRAME_DATA + 1, false);
		KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
		function_looks_up_all(f);
		f->fail_op = FAIL_REFRESH;
		f->fail_nth = 1;
		f->fail_rc = -EIO;
		/* Once: a refresh of everything makes up for it. */
		f->fail_all = n > 1;
		f->calls[FAIL_REFRESH] = 0;
		if (n == 3) {
			/* What has failed before counts as well */
			guest_unmaps(f, 0);
			KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), -EIO);
			KUNIT_EXPECT_EQ(test, pinned(f), 2);
		}
		s390_shadow_withdraw(f->shadow, gaddr_of(FRAME_DATA),
				     gaddr_of(FRAME_DATA + 1) - 1);
		KUNIT_EXPECT_EQ(test, f->abandoned, n > 1);
		KUNIT_EXPECT_EQ(test, pinned(f), n == 1 ? 1 : 0);
		guest_builds_table(f);
		end_shadow(f);
	}
}

/*
 * What is withdrawn joins what waits already, and the batch that carried it is
 * used again
 */
static void withdraw_into_limbo(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	start_shadow(f, true);
	for (i = 0; i < NR_IOVAS; i++)
		guest_maps(f, i, FRAME_DATA + (i >= 100), false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	for (i = 0; i < 100; i++)
		guest_unmaps(f, i);
	f->fail_op = FAIL_REFRESH;
	f->fail_nth = 1;
	f->fail_all = true;
	f->fail_rc = -EIO;
	f->calls[FAIL_REFRESH] = 0;
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 100), -EIO);
	KUNIT_EXPECT_EQ(test, pinned(f), NR_IOVAS);

	function_looks_up_all(f);
	f->fail_all = false;
	f->calls[FAIL_REFRESH] = 0;
	s390_shadow_withdraw(f->shadow, gaddr_of(FRAME_DATA + 1),
			     gaddr_of(FRAME_DATA + 2) - 1);
	KUNIT_EXPECT_GT(test, f->calls[FAIL_REFRESH], 1);
	KUNIT_EXPECT_FALSE(test, f->abandoned);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
	for (i = 0; i < S390_SHADOW_BUCKETS; i++)
		KUNIT_EXPECT_EQ(test, atomic_read(&f->shadow->buckets[i].unflushed),
				0);
}

/* Withdrawal makes sure of what others have taken out and not finished */
static void withdraw_unfinished(struct kunit *test)
{
	unsigned int nr = s390_shadow_bucket(IOVA);
	struct fixture *f = test->priv;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	f->calls[FAIL_REFRESH] = 0;
	atomic_inc(&f->shadow->buckets[nr].unflushed);
	atomic_inc(&f->shadow->unflushed);
	s390_shadow_withdraw(f->shadow, gaddr_of(FRAME_LARGE),
			     gaddr_of(FRAME_LARGE + 1) - 1);
	KUNIT_EXPECT_EQ(test, f->calls[FAIL_REFRESH], 1);
	atomic_dec(&f->shadow->buckets[nr].unflushed);
	atomic_dec(&f->shadow->unflushed);
}

/* Teardown in the middle of a walk, whose later calls then find nothing */
static void teardown_in_walk(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct s390_shadow_walk walk;
	unsigned int i;

	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++) {
		*guest_table(f, FRAME_RT, i) =
			s390_iot_rte(S390_IOT_RT, gaddr_of(FRAME_ST));
		*guest_table(f, FRAME_ST, i) = s390_iot_ste(gaddr_of(FRAME_PT));
	}
	start_shadow(f, true);
	guest_maps(f, 3, FRAME_DATA, false);
	s390_shadow_walk_init(&walk, f->cfg.pba, f->cfg.pal);
	KUNIT_EXPECT_EQ(test, s390_shadow_refresh(f->shadow, &walk), -EAGAIN);
	KUNIT_EXPECT_GT(test, pinned(f), 0);
	function_loses_table(f);
	s390_shadow_engine_teardown(f->shadow);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
	KUNIT_EXPECT_EQ(test, s390_shadow_refresh(f->shadow, &walk), -ENODEV);
	s390_shadow_withdraw(f->shadow, 0, U64_MAX);
	KUNIT_EXPECT_FALSE(test, f->abandoned);
}

/* The counters of results add up */
static void results_counted(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct s390_shadow_stats stats;

	start_shadow(f, true);
	guest_maps(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), 0);
	*guest_pte(f, 1) = 0;
	KUNIT_EXPECT_EQ(test, refresh(f, 1, 1), -EINVAL);
	*guest_pte(f, 1) = s390_iot_pte(GUEST_BASE - PAGE_SIZE, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 1, 1), -EFAULT);
	f->charge_limit = 1;
	guest_maps(f, 1, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh(f, 1, 1), -ENOMEM);
	guest_unmaps(f, 0);
	f->fail_op = FAIL_REFRESH;
	f->fail_nth = f->calls[FAIL_REFRESH] + 1;
	f->fail_rc = -EIO;
	KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), -EIO);

	s390_shadow_stats(f->shadow, &stats);
	KUNIT_EXPECT_EQ(test, stats.walks, 5);
	KUNIT_EXPECT_EQ(test, stats.refused_format, 1);
	KUNIT_EXPECT_EQ(test, stats.refused_memory, 1);
	KUNIT_EXPECT_EQ(test, stats.refused_nomem, 1);
	KUNIT_EXPECT_EQ(test, stats.refused_host, 1);
	KUNIT_EXPECT_EQ(test, stats.refresh_errors, 1);
}

static void config_check(struct kunit *test)
{
	const struct s390_shadow_config good = {
		.iota = GUEST_BASE | ZPCI_IOTA_RTTO_FLAG,
		.pba = APERTURE_FIRST,
		.pal = APERTURE_LAST,
	};
	struct s390_shadow_config cfg = good;

	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), 0);
	cfg.iota &= ~ZPCI_IOTA_IOT_ENABLED;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), -EOPNOTSUPP);
	cfg.iota = GUEST_BASE | ZPCI_IOTA_RFAA_FLAG;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), -EOPNOTSUPP);
	/* A segment table reaches 2 GiB, the aperture begins at 4 GiB */
	cfg.iota = GUEST_BASE | ZPCI_IOTA_STO_FLAG;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), -EINVAL);
	cfg.pba = 0;
	cfg.pal = (1UL << 31) - 1;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), 0);
	cfg.pal += PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), -EINVAL);
	cfg = good;
	cfg.iota = GUEST_BASE | ZPCI_IOTA_RSTO_FLAG;
	cfg.pal = (1UL << 53) - 1;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), 0);
	cfg.pal += PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), -EINVAL);
	cfg.iota = GUEST_BASE | ZPCI_IOTA_RFTO_FLAG;
	cfg.pal = U64_MAX;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), 0);
	cfg.pba = 0;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), 0);
	cfg = good;
	cfg.pba += 1;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), -EINVAL);
	cfg = good;
	cfg.pal -= 1;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), -EINVAL);
	cfg = good;
	cfg.pal = cfg.pba - 1;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), -EINVAL);
	cfg = good;
	cfg.pal = U64_MAX;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), -EINVAL);
	cfg.pal = ZPCI_TABLE_SIZE_RT - 1;
	KUNIT_EXPECT_EQ(test, s390_shadow_config_check(&cfg), 0);
}

static struct kunit_case shadow_test_cases[] = {
	KUNIT_CASE(map_unmap),
	KUNIT_CASE(remap),
	KUNIT_CASE(scattered),
	KUNIT_CASE(large_frame),
	KUNIT_CASE(protection),
	KUNIT_CASE_PARAM(malformed, bad_entry_gen_params),
	KUNIT_CASE(invalid_entries),
	KUNIT_CASE(tables_follow_guest),
	KUNIT_CASE(nothing_changed),
	KUNIT_CASE(refresh_only_if_needed),
	KUNIT_CASE(unfinished_neighbour),
	KUNIT_CASE(limit),
	KUNIT_CASE(refresh_fails),
	KUNIT_CASE(refresh_out_of_resources),
	KUNIT_CASE(host_limit),
	KUNIT_CASE(older_value_in_flight),
	KUNIT_CASE(given_up_in_flight),
	KUNIT_CASE(teardown_in_limbo),
	KUNIT_CASE_PARAM(fail_nth, fail_case_gen_params),
	KUNIT_CASE_PARAM(sizes, size_case_gen_params),
	KUNIT_CASE(torn),
	KUNIT_CASE(endless_table),
	KUNIT_CASE(limit_in_long_walk),
	KUNIT_CASE(pruning),
	KUNIT_CASE(pruning_in_limbo),
	KUNIT_CASE(replaced_at_limit),
	KUNIT_CASE(limit_in_endless_table),
	KUNIT_CASE(limbo_is_filled),
	KUNIT_CASE(withdraw_into_limbo),
	KUNIT_CASE(withdraw),
	KUNIT_CASE(withdraw_much),
	KUNIT_CASE(withdraw_fails),
	KUNIT_CASE(withdraw_unfinished),
	KUNIT_CASE(teardown_in_walk),
	KUNIT_CASE(results_counted),
	KUNIT_CASE(config_check),
	{}
};

static struct kunit_suite shadow_test_suite = {
	.name = "s390_shadow",
	.init = shadow_test_init,
	.exit = shadow_test_exit,
	.test_cases = shadow_test_cases,
};

kunit_test_suite(shadow_test_suite);
