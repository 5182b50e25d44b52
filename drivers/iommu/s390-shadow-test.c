// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the shadow of a guest's I/O address space
 *
 * tools/testing/s390-shadow runs the same source files in a program and checks
 * them against an oracle. A case is here only if it needs a real kernel: the s390
 * instruction that compares entries, tables at the kernel's addresses, or the
 * kernel's locks, lockdep and scheduler.
 *
 * The guest is an array of frames, some of which hold an I/O translation table.
 * The host is a model of a function that caches translations. Before each step
 * the model translates all addresses of the test. Only a host refresh removes
 * translations from its cache. When a frame is unpinned, the test checks that the
 * function can't reach it through the host table or through the cache.
 */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mm.h>

#include "s390-shadow.h"

/* Guest absolute address of the first frame of guest memory */
#define GUEST_BASE	0x10000000UL
#define NR_FRAMES	256

/* Number of the first frame of each table, and of the data */
#define FRAME_RT	0			/* 16 KiB */
#define FRAME_ST	4			/* 16 KiB */
#define FRAME_PT	8			/* two page tables a frame */
#define FRAME_DATA	16

#define APERTURE_FIRST	0x100000000UL
#define APERTURE_LAST	0x2ffffffffUL
#define NR_REGIONS	4

/* The I/O addresses of the test: two adjacent segments */
#define IOVA		0x180000000UL
#define NR_IOVAS	(2 * ZPCI_PT_ENTRIES)

struct fixture {
	struct kunit *test;
	struct page *frames[NR_FRAMES];
	unsigned int pins[NR_FRAMES];
	struct s390_shadow *shadow;
	struct s390_shadow_config cfg;

	/* Host page table entries in the function's cache */
	u64 tlb[NR_IOVAS];

	bool lost_table;
	bool detached;
	unsigned long charged;

	unsigned int refreshes;
	unsigned int failing_refreshes;	/* this many of the next ones fail */

	/* Called once, after the next walk, or during the next host refresh */
	void (*in_walk)(struct fixture *f);
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
	return guest_table(f, FRAME_RT, zpci_table_index(ZPCI_LEVEL_RT, IOVA));
}

static u64 *guest_ste(struct fixture *f, unsigned int segment)
{
	return guest_table(f, FRAME_ST,
			   zpci_table_index(ZPCI_LEVEL_ST, IOVA) + segment);
}

static u64 *guest_pte(struct fixture *f, unsigned int nr)
{
	return guest_table(f, FRAME_PT, nr);
}

static u64 iova_of(unsigned int nr)
{
	return IOVA + (u64)nr * PAGE_SIZE;
}

static u64 host_pte(struct fixture *f, unsigned int nr)
{
	unsigned long *pte = dma_lookup_cpu_trans(f->shadow->root,
						  f->shadow->top, iova_of(nr));

	return pte ? *pte : ZPCI_PTE_INVALID;
}

/* The function accesses all addresses of the test and caches the entries */
static void function_access_all(struct fixture *f)
{
	unsigned int nr;
	u64 pte;

	for (nr = 0; nr < NR_IOVAS; nr++) {
		pte = host_pte(f, nr);
		if (pt_entry_isvalid(pte))
			f->tlb[nr] = pte;
	}
}

static bool pte_names(u64 pte, struct page *page)
{
	return pt_entry_isvalid(pte) &&
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

static int fake_read(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	struct fixture *f = guest;
	unsigned int i;
	int frame;

	for (i = 0; i < nr; i++, gaddr += sizeof(u64)) {
		frame = frame_of(f, gaddr);
		if (frame < 0)
			return frame;
		dst[i] = *(u64 *)(page_address(f->frames[frame]) +
				  offset_in_page(gaddr));
	}
	return 0;
}

static int fake_fetch(void *guest, enum zpci_table_level level, u64 gaddr,
		      u64 *entry)
{
	return fake_read(guest, gaddr, entry, 1);
}

static int fake_walk(void *guest, struct dma_walk *path, u64 *pte,
		     unsigned int nr)
{
	struct fixture *f = guest;
	int rc = dma_walk_trans(path, ZPCI_LEVEL_PT, fake_fetch, guest);

	if (rc == ZPCI_ENTRY_TABLE)
		rc = fake_read(guest, path->addr +
			       zpci_table_index(ZPCI_LEVEL_PT, path->iova) *
			       sizeof(*pte), pte, nr) ?: rc;
	run_once(f, &f->in_walk);
	return rc;
}

static long fake_pin(void *guest, const u64 *gaddr, unsigned int nr,
		     struct page **pages)
{
	struct fixture *f = guest;
	unsigned int i;
	int frame;

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
		if (!f->pins[frame])
			KUNIT_EXPECT_FALSE_MSG(f->test,
					       function_reaches(f, phys_to_page(frames[i].addr)),
					       "frame %u unpinned before the host refresh: the function can still reach it",
					       frame);
	}
	fake_uncharge(guest, nr);
}

static int fake_charge(void *guest, unsigned long nr)
{
	struct fixture *f = guest;

	f->charged += nr;
	return 0;
}

static const struct s390_shadow_guest_ops fake_guest_ops = {
	.read = fake_read,
	.fetch = fake_read,
	.walk = fake_walk,
	.pin = fake_pin,
	.unpin = fake_unpin,
	.charge = fake_charge,
	.uncharge = fake_uncharge,
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
	f->refreshes++;
	if (f->failing_refreshes) {
		f->failing_refreshes--;
		return -EIO;
	}
	for (nr = 0; nr < NR_IOVAS; nr++)
		if (iova_of(nr) >= start && iova_of(nr) < start + size)
			f->tlb[nr] = ZPCI_PTE_INVALID;
	return 0;
}

/* Detach the function from its table, as a deregistration does */
static void function_detach_table(struct fixture *f)
{
	unsigned int nr;

	for (nr = 0; nr < NR_IOVAS; nr++)
		f->tlb[nr] = ZPCI_PTE_INVALID;
	f->lost_table = true;
}

static void fake_detach(void *host)
{
	struct fixture *f = host;

	f->detached = true;
	function_detach_table(f);
	s390_shadow_engine_teardown(f->shadow);
}

static const struct s390_shadow_host_ops fake_host_ops = {
	.refresh = fake_refresh,
	.detach = fake_detach,
};

static int refresh_range(struct fixture *f, u64 first, u64 last)
{
	struct s390_shadow_walk walk;
	int rc;

	s390_shadow_walk_init(&walk, first, last);
	do {
		rc = s390_shadow_refresh(f->shadow, &walk);
	} while (rc == -EAGAIN);
	return rc;
}

static int refresh(struct fixture *f, unsigned int nr, unsigned int count)
{
	function_access_all(f);
	return refresh_range(f, iova_of(nr), iova_of(nr + count) - 1);
}

static int refresh_all(struct fixture *f)
{
	function_access_all(f);
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

static void start_shadow(struct fixture *f)
{
	f->cfg.pba = APERTURE_FIRST;
	f->cfg.pal = APERTURE_LAST;
	f->cfg.iota = gaddr_of(FRAME_RT) | ZPCI_IOTA_RTTO_FLAG;
	KUNIT_ASSERT_EQ(f->test, s390_shadow_config_check(&f->cfg), 0);
	f->shadow = s390_shadow_engine_create(&f->cfg, ZPCI_LEVEL_RT,
					      &fake_guest_ops, f,
					      &fake_host_ops, f, true, 1);
	KUNIT_ASSERT_NOT_NULL(f->test, f->shadow);
	f->lost_table = false;
	f->detached = false;
}

static u64 tables(struct fixture *f)
{
	struct s390_shadow_stats stats;

	s390_shadow_stats(f->shadow, &stats);
	return stats.tables;
}

/* Tear down and check for leaks */
static void end_shadow(struct fixture *f)
{
	if (!f->shadow)
		return;
	function_detach_table(f);
	s390_shadow_engine_teardown(f->shadow);
	KUNIT_EXPECT_EQ(f->test, pinned(f), 0);
	KUNIT_EXPECT_EQ(f->test, tables(f), 0);
	s390_shadow_put(f->shadow);
	f->shadow = NULL;
}

/* Link all tables of the guest, make all page table entries invalid */
static void guest_build_table(struct fixture *f)
{
	unsigned int i;

	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++) {
		*guest_table(f, FRAME_RT, i) = ZPCI_TABLE_INVALID;
		*guest_table(f, FRAME_ST, i) = ZPCI_TABLE_INVALID;
	}
	for (i = 0; i < NR_IOVAS; i++)
		*guest_pte(f, i) = ZPCI_PTE_INVALID;
	*guest_rte(f) = zpci_make_rte(ZPCI_LEVEL_RT, gaddr_of(FRAME_ST));
	*guest_ste(f, 0) = zpci_make_ste(gaddr_of(FRAME_PT));
	*guest_ste(f, 1) = zpci_make_ste(gaddr_of(FRAME_PT) + ZPCI_PT_SIZE);
}

static void guest_map(struct fixture *f, unsigned int nr, unsigned int frame,
		      bool prot)
{
	*guest_pte(f, nr) = zpci_make_pte(gaddr_of(frame), prot);
}

static void guest_unmap(struct fixture *f, unsigned int nr)
{
	*guest_pte(f, nr) = ZPCI_PTE_INVALID;
}

static void expect_host(struct fixture *f, unsigned int nr, unsigned int frame,
			bool prot)
{
	KUNIT_EXPECT_EQ_MSG(f->test, host_pte(f, nr),
			    zpci_make_pte(page_to_phys(f->frames[frame]), prot),
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
	init_completion(&f->other_done);
	for (i = 0; i < NR_FRAMES; i++) {
		f->frames[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!f->frames[i])
			return -ENOMEM;
	}
	function_detach_table(f);
	guest_build_table(f);
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

	start_shadow(f);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);

	guest_map(f, 3, FRAME_DATA, false);
	/* Nothing is mapped before the refresh */
	expect_no_host(f, 3);
	KUNIT_EXPECT_EQ(test, refresh(f, 3, 1), 0);
	expect_host(f, 3, FRAME_DATA, false);
	expect_no_host(f, 2);
	expect_no_host(f, 4);
	KUNIT_EXPECT_EQ(test, pinned(f), 1);

	guest_unmap(f, 3);
	KUNIT_EXPECT_EQ(test, refresh(f, 3, 1), 0);
	expect_no_host(f, 3);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
}

/* Refresh a range that begins and ends within segments */
static void scattered(struct kunit *test)
{
	struct fixture *f = test->priv;
	const unsigned int first = 200, count = 120;
	unsigned int i;

	start_shadow(f);
	for (i = 0; i < NR_IOVAS; i++)
		guest_map(f, i, FRAME_DATA + i % 240, false);
	/* Map non-consecutive frames here */
	for (i = first; i < first + 10; i++)
		guest_map(f, i, FRAME_DATA + 100 - i % 100, i & 1);
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
	KUNIT_EXPECT_EQ(test, f->refreshes, 1);

	for (i = 0; i < NR_IOVAS; i++)
		guest_unmap(f, i);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
	KUNIT_EXPECT_EQ(test, f->refreshes, 2);
}

/* Another virtual CPU refreshes the whole aperture */
static int other_cpu(void *data)
{
	struct fixture *f = data;

	f->other_rc = refresh_range(f, f->cfg.pba, f->cfg.pal);
	complete_all(&f->other_done);
	return 0;
}

static void start_other_cpu(struct fixture *f)
{
	struct task_struct *task;

	reinit_completion(&f->other_done);
	task = kthread_run(other_cpu, f, "s390_shadow_test");
	KUNIT_EXPECT_FALSE(f->test, IS_ERR(task));
}

/* Invalidate the segment after its entry was fetched, before it is mapped */
static void guest_invalidate_segment(struct fixture *f)
{
	*guest_ste(f, 1) = ZPCI_TABLE_INVALID;
	start_other_cpu(f);
	/* It must wait for this refresh, which will map the old entry */
	KUNIT_EXPECT_EQ(f->test,
			wait_for_completion_timeout(&f->other_done,
						    msecs_to_jiffies(100)), 0);
}

/* A refresh with an invalid entry waits for one that fetched the old entry */
static void wait_for_older_fetch(struct kunit *test)
{
	struct fixture *f = test->priv;

	start_shadow(f);
	guest_map(f, ZPCI_PT_ENTRIES, FRAME_DATA, false);
	f->in_walk = guest_invalidate_segment;
	KUNIT_EXPECT_EQ(test, refresh(f, ZPCI_PT_ENTRIES, 1), 0);
	wait_for_completion(&f->other_done);
	KUNIT_EXPECT_EQ(test, f->other_rc, 0);
	expect_no_host(f, ZPCI_PT_ENTRIES);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
}

/* Refresh the same range on another CPU during the host refresh */
static void refresh_on_other_cpu(struct fixture *f)
{
	unsigned int before = f->refreshes;

	start_other_cpu(f);
	wait_for_completion(&f->other_done);
	KUNIT_EXPECT_EQ(f->test, f->other_rc, 0);
	KUNIT_EXPECT_GT_MSG(f->test, f->refreshes, before,
			    "done before a host refresh");
}

/* A refresh of an empty segment flushes entries that another one removed */
static void flush_for_other_batch(struct kunit *test)
{
	struct fixture *f = test->priv;

	start_shadow(f);
	guest_map(f, ZPCI_PT_ENTRIES, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	*guest_ste(f, 1) = ZPCI_TABLE_INVALID;
	f->in_refresh = refresh_on_other_cpu;
	KUNIT_EXPECT_EQ(test, refresh(f, ZPCI_PT_ENTRIES, 1), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
}

/* Pruned tables are freed only after a host refresh has succeeded */
static void prune_with_failed_flush(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct s390_shadow_batch *batch;
	unsigned int i;

	/* All regions have the same segment table */
	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++)
		*guest_table(f, FRAME_RT, i) = *guest_rte(f);
	start_shadow(f);
	guest_map(f, 0, FRAME_DATA, false);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	guest_unmap(f, 0);
	KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
	KUNIT_EXPECT_EQ(test, pinned(f), 0);
	/* A segment table and a page table for each region */
	KUNIT_EXPECT_EQ(test, tables(f), 2 * NR_REGIONS);

	batch = s390_shadow_alloc_batch(S390_SHADOW_GFP);
	KUNIT_ASSERT_NOT_NULL(test, batch);
	f->failing_refreshes = 1;
	s390_shadow_prune(f->shadow, &batch);
	KUNIT_EXPECT_NULL(test, batch);
	KUNIT_EXPECT_EQ(test, tables(f), 2 * NR_REGIONS);
	KUNIT_EXPECT_EQ(test, refresh(f, 20, 1), 0);
	KUNIT_EXPECT_EQ(test, tables(f), 0);
}

/* Guest memory is unmapped even if the host refresh fails */
static void unmap_with_failed_flush(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int n;

	for (n = 1; n <= 3; n++) {
		start_shadow(f);
		guest_map(f, 0, FRAME_DATA, false);
		guest_map(f, 1, FRAME_DATA + 1, false);
		KUNIT_EXPECT_EQ(test, refresh_all(f), 0);
		function_access_all(f);
		/* If it fails once, a refresh of the whole aperture follows */
		f->failing_refreshes = n > 1 ? UINT_MAX : 1;
		if (n == 3) {
			/* Queue a failed batch before */
			guest_unmap(f, 0);
			KUNIT_EXPECT_EQ(test, refresh(f, 0, 1), -EIO);
			KUNIT_EXPECT_EQ(test, pinned(f), 2);
		}
		s390_shadow_unmap_gpa_range(f->shadow, gaddr_of(FRAME_DATA),
					    gaddr_of(FRAME_DATA + 1) - 1);
		KUNIT_EXPECT_EQ(test, f->detached, n > 1);
		KUNIT_EXPECT_EQ(test, pinned(f), n == 1 ? 1 : 0);
		f->failing_refreshes = 0;
		guest_build_table(f);
		end_shadow(f);
	}
}

/* Compare entries with the s390 instruction; level 0 uses a loop */
static void same_entries(struct kunit *test)
{
	static const unsigned int sizes[] = {
		0, 1, 2, 31, ZPCI_PT_ENTRIES, ZPCI_TABLE_ENTRIES,
	};
	static const u64 bits[] = { BIT_ULL(0), BIT_ULL(63) };
	unsigned int i, k, at, nr;
	unsigned long *run;
	u64 *a, *b;

	a = kunit_kcalloc(test, ZPCI_TABLE_ENTRIES, sizeof(*a), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, a);
	b = kunit_kcalloc(test, ZPCI_TABLE_ENTRIES, sizeof(*b), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, b);
	run = (unsigned long *)b;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		nr = sizes[i];
		KUNIT_EXPECT_EQ(test, zpci_same_len(a, b, nr), nr);
		if (nr)
			KUNIT_EXPECT_EQ(test, zpci_run_len(run, nr), nr);
		for (at = 0; at < nr; at += 1 + nr / ZPCI_PT_ENTRIES) {
			for (k = 0; k < ARRAY_SIZE(bits); k++) {
				b[at] ^= bits[k];
				KUNIT_EXPECT_EQ(test, zpci_same_len(a, b, nr),
						at);
				if (at)
					KUNIT_EXPECT_EQ(test,
							zpci_run_len(run, nr),
							at);
				b[at] ^= bits[k];
			}
		}
	}
}

static struct kunit_case shadow_test_cases[] = {
	KUNIT_CASE(map_unmap),
	KUNIT_CASE(scattered),
	KUNIT_CASE(wait_for_older_fetch),
	KUNIT_CASE(flush_for_other_batch),
	KUNIT_CASE(prune_with_failed_flush),
	KUNIT_CASE(unmap_with_failed_flush),
	KUNIT_CASE(same_entries),
	{}
};

static struct kunit_suite shadow_test_suite = {
	.name = "s390_shadow",
	.init = shadow_test_init,
	.exit = shadow_test_exit,
	.test_cases = shadow_test_cases,
};

kunit_test_suite(shadow_test_suite);
