// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the pins that are kept for the next time
 *
 * The VM is nothing but an address space, that of the test's own thread. The pins
 * are told the user address of each frame, so they need no memory slots either.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/s390_iommu_shadow.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shrinker.h>
#include "pci_pins.h"

/* More than what is given back at once */
#define PAGES		80

/* So many are kept at most */
#define PLACES		1024
#define HVAS		4096
/* Frames that have both places of frame 0 */
#define RIVAL(n)	((n) * (PLACES + 1))

/* Where the guest has its first frame; user addresses differ from it */
#define GUEST		0x40000000UL

/*
 * No user memory is there. A frame that is found among the kept ones can be had
 * with this address, and no other can.
 */
#define NOWHERE		0UL

struct pins_fixture {
	struct kvm *kvm;
	struct kvm_s390_pins pins;
	unsigned long memory;
	struct page *pages[PAGES];
	struct page *again[PAGES];
	struct s390_shadow_frame frames[PAGES];
	u64 gaddr[PAGES];
	bool ended;
};

static u64 gaddr(unsigned int frame)
{
	return GUEST + frame * PAGE_SIZE;
}

static unsigned long hva(struct pins_fixture *f, unsigned int frame)
{
	return f->memory + frame * PAGE_SIZE;
}

static int pins_test_init(struct kunit *test)
{
	struct pins_fixture *f;

	f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f);
	f->kvm = kunit_kzalloc(test, sizeof(*f->kvm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->kvm);

	/* Gives the thread an address space, too */
	f->memory = kunit_vm_mmap(test, NULL, 0, PAGES * PAGE_SIZE,
				  PROT_READ | PROT_WRITE,
				  MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, f->memory, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(f->memory));
	f->kvm->mm = current->mm;
	KUNIT_ASSERT_EQ(test, kvm_s390_pins_init(&f->pins, f->kvm, false), 0);
	/* As KVM does: the thread will have ended when the pins do */
	mmgrab(f->kvm->mm);
	test->priv = f;
	return 0;
}

static void end(struct pins_fixture *f)
{
	kvm_s390_pins_end(&f->pins);
	f->ended = true;
}

/*
 * The thread has ended, and its address space with it. What a test has left in
 * use was lost there; it is for each test to put what it got.
 */
static void pins_test_exit(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	unsigned long timeout;
	struct mm_struct *mm;

	if (!f)
		return;
	mm = f->kvm->mm;
	/* Who waits for a thread is woken before it gives up its address space */
	timeout = jiffies + 10 * HZ;
	while (READ_ONCE(f->pins.kept) && time_before(jiffies, timeout))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(test, f->pins.kept, 0);
	if (!f->ended)
		end(f);
	KUNIT_EXPECT_EQ(test, f->pins.used, 0);
	KUNIT_EXPECT_EQ(test, f->pins.charged, 0);
	KUNIT_EXPECT_EQ(test, mm->locked_vm, 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(f->pins.hvas, 0,
					   HVAS * sizeof(*f->pins.hvas)));
	kvm_s390_pins_release(&f->pins);
	mmdrop(mm);
}

/* Section: what the engine does */

static u64 as_entry(u64 gaddr, bool write)
{
	return gaddr | (write ? 0 : S390_SHADOW_FRAME_PROTECTED);
}

/* The pins' own answer to a list of consecutive frames, in a slot just for them */
static long get_some(struct pins_fixture *f, u64 gaddr, unsigned long hva,
		     unsigned int nr, bool write, struct page **pages)
{
	const struct kvm_memory_slot slot = {
		.base_gfn = gpa_to_gfn(gaddr),
		.npages = nr,
		.userspace_addr = hva,
	};
	unsigned int i;

	for (i = 0; i < nr; i++)
		f->gaddr[i] = as_entry(gaddr + i * PAGE_SIZE, write);
	return kvm_s390_pins_get(&f->pins, &slot, f->gaddr, nr, pages);
}

/* Pin frames that lie at @hva, as many as can be had. */
static int get_at(struct pins_fixture *f, u64 gaddr, unsigned long hva,
		  unsigned int nr, bool write, struct page **pages)
{
	unsigned int done = 0;
	long rc;

	rc = kvm_s390_pins_charge(&f->pins, nr);
	if (rc)
		return rc;
	do {
		rc = get_some(f, gaddr + done * PAGE_SIZE,
			      hva + done * PAGE_SIZE, nr - done, write,
			      &pages[done]);
		if (rc > 0)
			done += rc;
	} while (rc > 0 && done < nr);
	/* Also takes back what was charged for those that were found */
	kvm_s390_pins_uncharge(&f->pins, nr - done);
	return rc < 0 ? rc : 0;
}

static int get(struct pins_fixture *f, unsigned int frame, unsigned int nr,
	       bool write)
{
	return get_at(f, gaddr(frame), hva(f, frame), nr, write,
		      &f->pages[frame]);
}

static void put_at(struct pins_fixture *f, u64 gaddr, unsigned int nr,
		   bool write, struct page **pages)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		f->frames[i] = (struct s390_shadow_frame) {
			.gaddr = as_entry(gaddr + i * PAGE_SIZE, write),
			.addr = page_to_phys(pages[i]),
		};
	kvm_s390_pins_put(&f->pins, f->frames, nr);
	/* The rounds come when a test says so, however slow the machine is */
	cancel_delayed_work_sync(&f->pins.work);
	/* Take back what is charged for nothing, as the work would */
	kvm_s390_pins_uncharge(&f->pins, 0);
}

static void put(struct pins_fixture *f, unsigned int frame, unsigned int nr,
		bool write)
{
	put_at(f, gaddr(frame), nr, write, &f->pages[frame]);
}

/* Is the frame kept? Then it is in use now. */
static bool find(struct pins_fixture *f, unsigned int frame, bool write,
		 struct page **page)
{
	return !get_at(f, gaddr(frame), NOWHERE, 1, write, page);
}

/* Section: what has come of it */

static unsigned int times_pinned(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (folio_test_large(folio))
		return atomic_read(&folio->_pincount);
	return folio_ref_count(folio) / GUP_PIN_COUNTING_BIAS;
}

/* How many of the frames are pinned as often as that */
static unsigned int pinned(struct pins_fixture *f, unsigned int frame,
			   unsigned int nr, unsigned int times)
{
	unsigned int i, n = 0;

	for (i = frame; i < frame + nr; i++)
		n += times_pinned(f->pages[i]) == times;
	return n;
}

/* Each frame that is pinned is charged, and nothing else. */
#define EXPECT_PINS(test, used_, kept_) do {				\
	struct kunit *_test = (test);					\
	struct pins_fixture *_f = _test->priv;				\
	unsigned long _used = (used_), _kept = (kept_);			\
									\
	KUNIT_EXPECT_EQ(_test, _f->pins.used, _used);			\
	KUNIT_EXPECT_EQ(_test, _f->pins.kept, _kept);			\
	KUNIT_EXPECT_EQ(_test, _f->pins.reserved, 0);			\
	KUNIT_EXPECT_EQ(_test, _f->pins.charged, _used + _kept);	\
	KUNIT_EXPECT_EQ(_test, _f->kvm->mm->locked_vm, _used + _kept);	\
} while (0)

static void get_and_put(struct kunit *test, unsigned int frame, unsigned int nr,
			bool write)
{
	struct pins_fixture *f = test->priv;

	KUNIT_ASSERT_EQ(test, get(f, frame, nr, write), 0);
	put(f, frame, nr, write);
}

/* Other memory comes to where frames are. */
static void replace(struct kunit *test, unsigned int frame, unsigned int nr)
{
	unsigned long at = hva(test->priv, frame);

	KUNIT_ASSERT_EQ(test, vm_munmap(at, nr * PAGE_SIZE), 0);
	KUNIT_ASSERT_EQ(test, vm_mmap(NULL, at, nr * PAGE_SIZE,
				      PROT_READ | PROT_WRITE,
				      MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED,
				      0), at);
}

/* The page that the process has there, of which the caller gets a reference */
static struct page *present_page(struct kunit *test, unsigned int frame)
{
	struct page *page;

	/* Out of memory that is movable, or a pin would replace it */
	KUNIT_ASSERT_EQ(test, pin_user_pages_fast(hva(test->priv, frame), 1,
						  FOLL_WRITE | FOLL_LONGTERM,
						  &page), 1);
	get_page(page);
	unpin_user_page(page);
	return page;
}

/* One round of the work */
static void go_round(struct pins_fixture *f)
{
	/* One run: flush_delayed_work() would not wait for the timer of the next */
	mod_delayed_work(system_percpu_wq, &f->pins.work, 0);
	flush_work(&f->pins.work.work);
	cancel_delayed_work_sync(&f->pins.work);
}

/* Section: what is kept is found again */

static void kept_and_found(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, get(f, 0, PAGES, true), 0);
	EXPECT_PINS(test, PAGES, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, PAGES, 1), PAGES);
	put(f, 0, PAGES, true);
	EXPECT_PINS(test, 0, PAGES);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, PAGES, 1), PAGES);

	KUNIT_ASSERT_EQ(test, get_at(f, GUEST, NOWHERE, PAGES, true, f->again),
			0);
	EXPECT_PINS(test, PAGES, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, PAGES, 1), PAGES);
	for (i = 0; i < PAGES; i++)
		KUNIT_EXPECT_PTR_EQ(test, f->again[i], f->pages[i]);
	put_at(f, GUEST, PAGES, true, f->again);
	EXPECT_PINS(test, 0, PAGES);
}

/* What may be read only must not be had for writing. */
static void kept_for_reading(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct page *page;

	/* Not the page of zeroes */
	put_page(present_page(test, 0));
	get_and_put(test, 0, 1, false);
	EXPECT_PINS(test, 0, 1);
	KUNIT_ASSERT_TRUE(test, find(f, 0, false, &page));
	put_at(f, GUEST, 1, false, &page);
	KUNIT_EXPECT_FALSE(test, find(f, 0, true, &page));
	EXPECT_PINS(test, 0, 1);
	/* It is pinned anew, and that is kept from now on */
	get_and_put(test, 0, 1, true);
	EXPECT_PINS(test, 0, 1);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, 1), 1);
	KUNIT_ASSERT_TRUE(test, find(f, 0, true, &page));
	put_at(f, GUEST, 1, true, &page);
}

/* What may be written may be read; to do so changes nothing about it. */
static void kept_for_writing(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct page *page;

	get_and_put(test, 0, 1, true);
	KUNIT_ASSERT_TRUE(test, find(f, 0, false, &page));
	EXPECT_PINS(test, 1, 0);
	KUNIT_EXPECT_PTR_EQ(test, page, f->pages[0]);
	put_at(f, GUEST, 1, false, &page);
	EXPECT_PINS(test, 0, 1);
	KUNIT_ASSERT_TRUE(test, find(f, 0, true, &page));
	put_at(f, GUEST, 1, true, &page);
	EXPECT_PINS(test, 0, 1);
}

/* Some frames of a range are kept, at its start and in the midst of others. */
static void some_kept(struct kunit *test)
{
	struct pins_fixture *f = test->priv;

	get_and_put(test, 0, 3, true);
	get_and_put(test, 10, 3, true);
	get_and_put(test, 70, 1, true);
	KUNIT_ASSERT_EQ(test, get(f, 0, PAGES, true), 0);
	EXPECT_PINS(test, PAGES, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, PAGES, 1), PAGES);
	put(f, 0, PAGES, true);
	EXPECT_PINS(test, 0, PAGES);
}

/* How many of four frames are pinned together; they are put again. */
static long how_many(struct kunit *test, const struct kvm_memory_slot *slot,
		     const u64 list[4])
{
	struct pins_fixture *f = test->priv;
	struct page *pages[4];
	long rc, i;

	KUNIT_ASSERT_EQ(test, kvm_s390_pins_charge(&f->pins, 4), 0);
	rc = kvm_s390_pins_get(&f->pins, slot, list, 4, pages);
	KUNIT_ASSERT_GT(test, rc, 0);
	kvm_s390_pins_uncharge(&f->pins, 4 - rc);
	for (i = 0; i < rc; i++) {
		u64 frame = (list[i] - GUEST) / PAGE_SIZE;

		if (f->pages[frame])
			KUNIT_EXPECT_PTR_EQ(test, pages[i], f->pages[frame]);
		put_at(f, list[i] & PAGE_MASK, 1,
		       !(list[i] & S390_SHADOW_FRAME_PROTECTED), &pages[i]);
	}
	return rc;
}

/*
 * Those that are kept are found together in any order, others are pinned together
 * if they are consecutive; neither beyond the slot.
 */
static void in_any_order(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct kvm_memory_slot slot = {
		.base_gfn = gpa_to_gfn(GUEST),
		.npages = PAGES,
		.userspace_addr = hva(f, 0),
	};
	const u64 kept[4] = { gaddr(5), gaddr(3), gaddr(9), as_entry(gaddr(4), false) };
	const u64 new[4] = { gaddr(20), gaddr(21), gaddr(22), gaddr(30) };
	const u64 others[4] = { gaddr(22), gaddr(23), gaddr(24), gaddr(30) };
	const u64 mixed[4] = { gaddr(40), as_entry(gaddr(41), false), gaddr(42) };

	get_and_put(test, 0, 10, true);
	KUNIT_EXPECT_EQ(test, how_many(test, &slot, kept), 4);
	EXPECT_PINS(test, 0, 10);
	slot.npages = 9;
	KUNIT_EXPECT_EQ(test, how_many(test, &slot, kept), 2);
	slot.npages = 22;
	KUNIT_EXPECT_EQ(test, how_many(test, &slot, new), 2);
	EXPECT_PINS(test, 0, 12);
	slot.npages = PAGES;
	KUNIT_EXPECT_EQ(test, how_many(test, &slot, new), 2);
	KUNIT_EXPECT_EQ(test, how_many(test, &slot, others), 3);
	KUNIT_EXPECT_EQ(test, how_many(test, &slot, mixed), 1);
	EXPECT_PINS(test, 0, 16);
}

/* The guest maps a frame for two I/O addresses: one pin is enough. */
static void mapped_twice(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct page *page;

	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	KUNIT_ASSERT_TRUE(test, find(f, 0, true, &page));
	KUNIT_EXPECT_PTR_EQ(test, page, f->pages[0]);
	EXPECT_PINS(test, 2, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, 1), 1);
	put(f, 0, 1, true);
	EXPECT_PINS(test, 1, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, 1), 1);
	put(f, 0, 1, true);
	EXPECT_PINS(test, 0, 1);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, 1), 1);
}

/* For reading, then for writing: the pin is for both from then on. */
static void mapped_for_both(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct page *page;

	put_page(present_page(test, 0));
	KUNIT_ASSERT_EQ(test, get(f, 0, 1, false), 0);
	folio_clear_dirty(page_folio(f->pages[0]));
	KUNIT_EXPECT_FALSE(test, find(f, 0, true, &page));
	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	KUNIT_EXPECT_TRUE(test, folio_test_dirty(page_folio(f->pages[0])));
	EXPECT_PINS(test, 2, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, 1), 1);
	put(f, 0, 1, true);
	put(f, 0, 1, false);
	EXPECT_PINS(test, 0, 1);
	KUNIT_ASSERT_TRUE(test, find(f, 0, true, &page));
	put(f, 0, 1, true);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, 1), 1);
}

/* One pin for three, and then there is other memory: it goes with the last. */
static void replaced_while_used_twice(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct page *page;
	int i;

	for (i = 0; i < 3; i++)
		KUNIT_ASSERT_EQ(test, get(f, 0, 1, i < 2), 0);
	page = f->pages[0];
	get_page(page);
	replace(test, 0, 1);
	folio_clear_dirty(page_folio(page));
	EXPECT_PINS(test, 3, 0);
	KUNIT_EXPECT_FALSE(test, find(f, 0, false, &f->again[0]));
	put(f, 0, 1, true);
	put(f, 0, 1, true);
	EXPECT_PINS(test, 1, 0);
	KUNIT_EXPECT_EQ(test, times_pinned(page), 1);
	put(f, 0, 1, false);
	EXPECT_PINS(test, 0, 0);
	KUNIT_EXPECT_EQ(test, times_pinned(page), 0);
	/* The first two may have written */
	KUNIT_EXPECT_TRUE(test, folio_test_dirty(page_folio(page)));
	put_page(page);
}

/* Two places are for all frames that have them: who comes later gets one. */
static void same_places(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct page *other[2], *page;

	get_and_put(test, 0, 1, true);
	KUNIT_ASSERT_EQ(test, get_at(f, gaddr(RIVAL(1)), hva(f, 1), 1, true,
				     &other[0]), 0);
	EXPECT_PINS(test, 1, 1);
	KUNIT_ASSERT_TRUE(test, find(f, 0, true, &page));
	KUNIT_EXPECT_PTR_EQ(test, page, f->pages[0]);
	put(f, 0, 1, true);
	EXPECT_PINS(test, 1, 1);
	KUNIT_ASSERT_EQ(test, get_at(f, gaddr(RIVAL(2)), hva(f, 2), 1, true,
				     &other[1]), 0);
	EXPECT_PINS(test, 2, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, 0), 1);
	KUNIT_EXPECT_FALSE(test, find(f, 0, true, &page));

	/* Unless what is there is in use */
	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	put(f, 0, 1, true);
	EXPECT_PINS(test, 2, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, 0), 1);
	put_at(f, gaddr(RIVAL(1)), 1, true, &other[0]);
	put_at(f, gaddr(RIVAL(2)), 1, true, &other[1]);
	EXPECT_PINS(test, 0, 2);
	KUNIT_EXPECT_FALSE(test, find(f, 0, true, &page));
	KUNIT_ASSERT_TRUE(test, find(f, RIVAL(1), true, &page));
	KUNIT_EXPECT_PTR_EQ(test, page, other[0]);
	put_at(f, gaddr(RIVAL(1)), 1, true, &page);
	KUNIT_ASSERT_TRUE(test, find(f, RIVAL(2), true, &page));
	KUNIT_EXPECT_PTR_EQ(test, page, other[1]);
	put_at(f, gaddr(RIVAL(2)), 1, true, &page);
}

/* A frame at its second place stays there when the first gets free. */
static void one_pin_of_a_frame(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct page *other;

	/* A page that comes to be while it is pinned is not known */
	get_and_put(test, 0, 1, true);
	kvm_s390_pins_give_back(&f->pins);
	KUNIT_ASSERT_EQ(test, get_at(f, gaddr(RIVAL(1)), hva(f, 1), 1, true,
				     &other), 0);
	KUNIT_ASSERT_EQ(test, get(f, 0, 1, false), 0);
	put_at(f, gaddr(RIVAL(1)), 1, true, &other);
	EXPECT_PINS(test, 1, 1);
	kvm_s390_pins_give_back(&f->pins);
	EXPECT_PINS(test, 1, 0);

	/* Pinned once more, to write to it, but one pin does */
	KUNIT_ASSERT_EQ(test, get_at(f, gaddr(0), hva(f, 0), 1, true, f->again),
			0);
	KUNIT_EXPECT_PTR_EQ(test, f->again[0], f->pages[0]);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, 1), 1);
	put_at(f, gaddr(0), 1, true, f->again);
	EXPECT_PINS(test, 1, 0);
	put(f, 0, 1, false);
	EXPECT_PINS(test, 0, 1);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, 1), 1);

	/* Memory is taken away while it is in use at the second place */
	kvm_s390_pins_give_back(&f->pins);
	KUNIT_ASSERT_EQ(test, get_at(f, gaddr(RIVAL(1)), hva(f, 1), 1, true,
				     &other), 0);
	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	put_at(f, gaddr(RIVAL(1)), 1, true, &other);
	kvm_s390_pins_give_back(&f->pins);
	replace(test, 0, 1);
	KUNIT_ASSERT_EQ(test, get_at(f, gaddr(0), hva(f, 0), 1, true, f->again),
			0);
	EXPECT_PINS(test, 2, 0);
	put_at(f, gaddr(0), 1, true, f->again);
	EXPECT_PINS(test, 1, 0);
	put(f, 0, 1, true);
	EXPECT_PINS(test, 0, 0);
}

/* A frame whose places are taken is pinned anew, and not those after it. */
static void beside_taken_places(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	const struct kvm_memory_slot slot = {
		.base_gfn = gpa_to_gfn(GUEST),
		.npages = PAGES,
		.userspace_addr = hva(f, 0),
	};
	const u64 list[4] = { gaddr(0), gaddr(1), gaddr(2), gaddr(3) };
	struct page *other[2];
	int i;

	for (i = 0; i < 2; i++)
		KUNIT_ASSERT_EQ(test, get_at(f, gaddr(RIVAL(i + 1)), hva(f, 9),
					     1, true, &other[i]), 0);
	get_and_put(test, 0, 4, true);
	EXPECT_PINS(test, 2, 3);
	KUNIT_EXPECT_EQ(test, how_many(test, &slot, list), 1);
	EXPECT_PINS(test, 2, 3);
	for (i = 0; i < 2; i++)
		put_at(f, gaddr(RIVAL(i + 1)), 1, true, &other[i]);
}

/* No more are kept than there are places. One page does for all of them. */
static void places_are_few(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	unsigned int i;

	KUNIT_ASSERT_GT(test, limit, PLACES + PAGES);
	for (i = 0; i < PLACES + PAGES; i++) {
		KUNIT_ASSERT_EQ(test, get_at(f, gaddr(i), hva(f, 0), 1, true,
					     f->pages), 0);
		put_at(f, gaddr(i), 1, true, f->pages);
	}
	EXPECT_PINS(test, 0, PLACES);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, PLACES), 1);
}

/* Section: memory is taken away */

static void replaced_while_kept(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct page *old[2], *page;
	unsigned int i;

	get_and_put(test, 0, 8, true);
	/* So that the new ones can't be the same again */
	for (i = 0; i < 2; i++) {
		old[i] = f->pages[3 + i];
		get_page(old[i]);
	}
	replace(test, 3, 2);
	/* At once; what is charged follows */
	KUNIT_EXPECT_EQ(test, f->pins.kept, 6);
	KUNIT_EXPECT_EQ(test, pinned(f, 3, 2, 0), 2);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 3, 1), 3);
	KUNIT_EXPECT_EQ(test, pinned(f, 5, 3, 1), 3);
	go_round(f);
	EXPECT_PINS(test, 0, 6);

	KUNIT_EXPECT_FALSE(test, find(f, 3, true, &page));
	KUNIT_EXPECT_FALSE(test, find(f, 4, true, &page));
	KUNIT_ASSERT_EQ(test, get(f, 0, 8, true), 0);
	EXPECT_PINS(test, 8, 0);
	for (i = 0; i < 2; i++) {
		page = present_page(test, 3 + i);
		KUNIT_EXPECT_PTR_EQ(test, f->pages[3 + i], page);
		KUNIT_EXPECT_PTR_NE(test, f->pages[3 + i], old[i]);
		put_page(page);
		put_page(old[i]);
	}
	put(f, 0, 8, true);
	EXPECT_PINS(test, 0, 8);
}

/* The frame whose address is 0, and so is its pin's key: it has a pin all the same. */
static void first_frame_replaced(struct kunit *test)
{
	struct pins_fixture *f = test->priv;

	get_and_put(test, 0, 1, true);
	kvm_s390_pins_give_back(&f->pins);
	KUNIT_ASSERT_EQ(test, get_at(f, 0, hva(f, 0), 1, false, f->pages), 0);
	replace(test, 0, 1);
	EXPECT_PINS(test, 1, 0);
	put_at(f, 0, 1, false, f->pages);
	EXPECT_PINS(test, 0, 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(f->pins.hvas, 0,
					   HVAS * sizeof(*f->pins.hvas)));
}

/* A pin is found in a range of any length, wherever it is in there. */
static void replaced_in_a_range(struct kunit *test)
{
	static const unsigned int ranges[][3] = {
		/* the pin, the first page, how many */
		{ 5, 3, 3 },
		{ 5, 5, 3 },
		{ 63, 0, 64 },
		{ 64, 0, 65 },
		{ PAGES - 1, 0, PAGES },
	};
	struct pins_fixture *f = test->priv;
	struct page *page;
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		get_and_put(test, ranges[i][0], 1, true);
		EXPECT_PINS(test, 0, 1);
		if (ranges[i][1])
			replace(test, ranges[i][1] - 1, 1);
		EXPECT_PINS(test, 0, 1);
		replace(test, ranges[i][1], ranges[i][2]);
		kvm_s390_pins_uncharge(&f->pins, 0);
		EXPECT_PINS(test, 0, 0);
		KUNIT_EXPECT_FALSE(test, find(f, ranges[i][0], true, &page));
	}
}

/* A function may use it as long as the guest has it mapped, but not again. */
static void replaced_while_used(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct page *old, *page;

	KUNIT_ASSERT_EQ(test, get(f, 0, 8, true), 0);
	old = f->pages[3];
	get_page(old);
	replace(test, 3, 1);
	EXPECT_PINS(test, 8, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 8, 1), 8);
	/* Mapped once more: the old one has its place until the end */
	KUNIT_ASSERT_EQ(test, get_at(f, gaddr(3), hva(f, 3), 1, true, &page),
			0);
	KUNIT_EXPECT_PTR_NE(test, page, old);

	put(f, 0, 8, true);
	EXPECT_PINS(test, 1, 7);
	KUNIT_EXPECT_EQ(test, pinned(f, 3, 1, 0), 1);
	put_at(f, gaddr(3), 1, true, &page);
	EXPECT_PINS(test, 0, 7);
	/* From now on it is the new one's */
	get_and_put(test, 3, 1, true);
	EXPECT_PINS(test, 0, 8);
	KUNIT_EXPECT_PTR_EQ(test, f->pages[3], page);
	put_page(old);
}

/*
 * Memory that becomes read-only stays where it is: only the notifier tells. There
 * is no way to do that to this address space, but to be the one who tells.
 */
static void invalidate(struct kunit *test, unsigned int frame, unsigned int nr,
		       bool start)
{
	struct pins_fixture *f = test->priv;
	struct mmu_notifier *notifier = &f->pins.notifier;
	struct mmu_notifier_range range;

	mmu_notifier_range_init(&range, MMU_NOTIFY_PROTECTION_VMA, 0,
				f->kvm->mm, hva(f, frame), hva(f, frame + nr));
	if (start)
		notifier->ops->invalidate_range_start(notifier, &range);
	else
		notifier->ops->invalidate_range_end(notifier, &range);
}

static void protected_while_kept(struct kunit *test)
{
	struct pins_fixture *f = test->priv;

	get_and_put(test, 0, 8, true);
	invalidate(test, 0, 1, true);
	invalidate(test, 0, 1, false);
	invalidate(test, 6, 10, true);
	invalidate(test, 6, 10, false);
	go_round(f);
	EXPECT_PINS(test, 0, 5);
	KUNIT_EXPECT_EQ(test, pinned(f, 1, 5, 1), 5);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 8, 0), 3);
}

/* Just while it goes on, who knows of which page a pin is. */
static void pinned_meanwhile(struct kunit *test)
{
	struct pins_fixture *f = test->priv;

	invalidate(test, 0, 4, true);
	invalidate(test, 8, 4, true);
	invalidate(test, 0, 4, false);
	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	invalidate(test, 8, 4, false);
	KUNIT_ASSERT_EQ(test, get(f, 1, 1, true), 0);
	put(f, 0, 2, true);
	EXPECT_PINS(test, 0, 1);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 1, 0), 1);
	KUNIT_EXPECT_EQ(test, pinned(f, 1, 1, 1), 1);
}

/* What takes memory away comes to its end just when the old page was pinned. */
static long gup_until_end(unsigned long hva, unsigned int nr,
			  unsigned int gup_flags, struct page **pages)
{
	long rc = pin_user_pages_fast(hva, nr, gup_flags, pages);

	invalidate(kunit_get_current_test(), 0, 1, false);
	return rc;
}

static void pinned_until_the_end(struct kunit *test)
{
	struct pins_fixture *f = test->priv;

	put_page(present_page(test, 0));
	invalidate(test, 0, 1, true);
	kunit_activate_static_stub(test, kvm_s390_pins_gup, gup_until_end);
	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	kunit_deactivate_static_stub(test, kvm_s390_pins_gup);
	put(f, 0, 1, true);
	EXPECT_PINS(test, 0, 0);
}

/*
 * Memory that was never written to is a page of zeroes to those who read. A
 * function needs one that stays, and that takes the other away, while it is pinned.
 */
static void replaced_while_pinned(struct kunit *test)
{
	get_and_put(test, 0, 1, false);
	EXPECT_PINS(test, 0, 0);
	get_and_put(test, 0, 1, false);
	EXPECT_PINS(test, 0, 1);
}

/* The guest's memory goes, and the process keeps it. */
static void slot_deleted(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct kvm_memory_slot slot = {
		.userspace_addr = hva(f, 4),
		.npages = 8,
	};

	/* Of those in the slot, half are in use */
	get_and_put(test, 0, 16, true);
	KUNIT_ASSERT_EQ(test, get(f, 8, 8, true), 0);
	kvm_s390_pins_forget(&f->pins, &slot);
	EXPECT_PINS(test, 8, 4);
	KUNIT_EXPECT_EQ(test, pinned(f, 4, 4, 0), 4);
	put(f, 8, 8, true);
	EXPECT_PINS(test, 0, 8);
	KUNIT_EXPECT_EQ(test, pinned(f, 4, 8, 0), 8);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 4, 1), 4);
	KUNIT_EXPECT_EQ(test, pinned(f, 12, 4, 1), 4);
}

/* The process ends; what its function has is put after that. */
static void process_ends(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct mm_struct *mm = current->mm;

	get_and_put(test, 0, 8, true);
	KUNIT_ASSERT_EQ(test, get(f, 0, 2, true), 0);
	kthread_unuse_mm(mm);
	mmput(mm);
	KUNIT_EXPECT_EQ(test, f->pins.kept, 0);
	/* The function can still reach these */
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 2, 1), 2);
	put(f, 0, 2, true);
	EXPECT_PINS(test, 0, 0);
}

/* Section: what is charged */

/* For this thread alone: it shares no limits with others */
static void set_limit(unsigned long pages)
{
	current->signal->rlim[RLIMIT_MEMLOCK].rlim_cur = pages << PAGE_SHIFT;
}

/* What is kept makes room for what the guest wants. */
static void limit_is_reached(struct kunit *test)
{
	struct pins_fixture *f = test->priv;

	set_limit(10);
	get_and_put(test, 0, 8, true);
	EXPECT_PINS(test, 0, 8);
	KUNIT_ASSERT_EQ(test, get(f, 20, 10, true), 0);
	EXPECT_PINS(test, 10, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 8, 0), 8);

	/* Nothing is kept that could */
	KUNIT_EXPECT_EQ(test, get(f, 0, 1, true), -ENOMEM);
	EXPECT_PINS(test, 10, 0);
	put(f, 20, 10, true);
	EXPECT_PINS(test, 0, 10);
	/* More than the limit, whatever is kept */
	KUNIT_EXPECT_EQ(test, get(f, 0, 11, true), -ENOMEM);
	go_round(f);
	EXPECT_PINS(test, 0, 0);

	f->pins.lock_cap = true;
	KUNIT_ASSERT_EQ(test, get(f, 0, 11, true), 0);
	EXPECT_PINS(test, 11, 0);
	put(f, 0, 11, true);
}

/* The process locks memory itself. */
static void limit_is_reached_by_others(struct kunit *test)
{
	struct pins_fixture *f = test->priv;

	set_limit(10);
	get_and_put(test, 0, 4, true);
	KUNIT_ASSERT_EQ(test, account_locked_vm(f->kvm->mm, 6, true), 0);
	KUNIT_EXPECT_EQ(test, get(f, 20, 5, true), -ENOMEM);
	KUNIT_ASSERT_EQ(test, get(f, 20, 4, true), 0);
	account_locked_vm(f->kvm->mm, 6, false);
	EXPECT_PINS(test, 4, 0);
	put(f, 20, 4, true);
}

static void not_all_are_pinned(struct kunit *test)
{
	struct pins_fixture *f = test->priv;

	KUNIT_ASSERT_EQ(test, kvm_s390_pins_charge(&f->pins, 10), 0);
	KUNIT_EXPECT_EQ(test, f->pins.reserved, 10);
	KUNIT_EXPECT_EQ(test, f->kvm->mm->locked_vm, 10);
	KUNIT_ASSERT_EQ(test, get_some(f, gaddr(0), hva(f, 0), 4, true,
				       f->pages), 4);
	KUNIT_EXPECT_EQ(test, f->pins.reserved, 6);
	kvm_s390_pins_uncharge(&f->pins, 6);
	EXPECT_PINS(test, 4, 0);
	put(f, 0, 4, true);

	/* The memory has an end. */
	KUNIT_ASSERT_EQ(test, vm_munmap(hva(f, PAGES - 2), 2 * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, get(f, PAGES - 4, 4, true), -EFAULT);
	EXPECT_PINS(test, 2, 4);
	put(f, PAGES - 4, 2, true);
	EXPECT_PINS(test, 0, 6);
}

/* Others need references, too. */
static void too_many_references(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct page *page = present_page(test, 1);

	page_ref_add(page, INT_MAX / 2);
	KUNIT_EXPECT_EQ(test, get(f, 0, 3, true), -ENOMEM);
	EXPECT_PINS(test, 1, 0);
	page_ref_sub(page, INT_MAX / 2);
	KUNIT_EXPECT_EQ(test, times_pinned(page), 0);
	put_page(page);
	KUNIT_ASSERT_EQ(test, get(f, 1, 2, true), 0);
	put(f, 0, 3, true);
	EXPECT_PINS(test, 0, 3);
}

/* Section: what is kept is given back */

static void memory_is_scarce(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct shrinker *shrinker = f->pins.shrinker;
	struct shrink_control sc = {
		.gfp_mask = GFP_KERNEL,
		.nr_to_scan = 37,
	};

	KUNIT_EXPECT_EQ(test, shrinker->count_objects(shrinker, &sc),
			SHRINK_EMPTY);
	KUNIT_EXPECT_EQ(test, shrinker->scan_objects(shrinker, &sc),
			SHRINK_STOP);
	get_and_put(test, 0, PAGES, true);
	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	KUNIT_EXPECT_EQ(test, shrinker->count_objects(shrinker, &sc),
			PAGES - 1);
	KUNIT_EXPECT_EQ(test, shrinker->scan_objects(shrinker, &sc), 37);
	KUNIT_EXPECT_EQ(test, f->pins.kept, PAGES - 1 - 37);
	/* The lock for what is charged may be held; it takes a round. */
	KUNIT_EXPECT_EQ(test, f->pins.charged, PAGES);
	go_round(f);
	EXPECT_PINS(test, 1, PAGES - 1 - 37);

	sc.nr_to_scan = PAGES;
	KUNIT_EXPECT_EQ(test, shrinker->scan_objects(shrinker, &sc),
			PAGES - 1 - 37);
	go_round(f);
	EXPECT_PINS(test, 1, 0);
	put(f, 0, 1, true);
}

/* What is used again within two rounds stays, all else goes. */
static void not_used_for_long(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	unsigned int i;

	get_and_put(test, 0, PAGES, true);
	for (i = 0; i < 2; i++) {
		go_round(f);
		EXPECT_PINS(test, 0, PAGES);
		get_and_put(test, 0, 2, true);
	}
	go_round(f);
	EXPECT_PINS(test, 0, 2);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 2, 1), 2);
	/* What was used is as good as new */
	go_round(f);
	EXPECT_PINS(test, 0, 2);
	go_round(f);
	EXPECT_PINS(test, 0, 0);

	/* In use is in use, for however long */
	KUNIT_ASSERT_EQ(test, get(f, 0, 2, true), 0);
	for (i = 0; i < 4; i++)
		go_round(f);
	EXPECT_PINS(test, 2, 0);
	put(f, 0, 2, true);
	EXPECT_PINS(test, 0, 2);
}

/* Somebody must come for what is kept, and nobody for what is not. */
static void work_is_scheduled(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct delayed_work *work = &f->pins.work;
	struct s390_shadow_frame frame = { .gaddr = gaddr(0) };

	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(work));
	frame.addr = page_to_phys(f->pages[0]);
	kvm_s390_pins_put(&f->pins, &frame, 1);
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(work));
	/* Does not wait for its time, and schedules itself as long as needed */
	while (delayed_work_pending(work))
		flush_delayed_work(work);
	EXPECT_PINS(test, 0, 0);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(work));

	get_and_put(test, 0, 1, true);
	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	go_round(f);
	kvm_s390_pins_put(&f->pins, &frame, 1);
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(work));
	end(f);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(work));
}

/* One of two mappings goes: nothing is kept for it, but it was charged. */
static void work_is_scheduled_for_a_charge(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct delayed_work *work = &f->pins.work;
	struct s390_shadow_frame frame = { .gaddr = gaddr(0) };

	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	EXPECT_PINS(test, 2, 0);
	frame.addr = page_to_phys(f->pages[0]);
	kvm_s390_pins_put(&f->pins, &frame, 1);
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(work));
	flush_delayed_work(work);
	EXPECT_PINS(test, 1, 0);

	/* Who asks for room is told that there is more now */
	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	kvm_s390_pins_put(&f->pins, &frame, 1);
	KUNIT_EXPECT_EQ(test, kvm_s390_pins_give_back(&f->pins), 1);
	EXPECT_PINS(test, 1, 0);
	put(f, 0, 1, true);
}

/* The function's shadow is torn down; others may still be on their way. */
static void nothing_kept_when_stopped(struct kunit *test)
{
	struct pins_fixture *f = test->priv;

	get_and_put(test, 0, 8, true);
	KUNIT_ASSERT_EQ(test, get(f, 0, 2, true), 0);
	kvm_s390_pins_stop(&f->pins);
	EXPECT_PINS(test, 2, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 2, 6, 0), 6);
	put(f, 0, 2, true);
	EXPECT_PINS(test, 0, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 2, 0), 2);

	get_and_put(test, 0, 2, true);
	EXPECT_PINS(test, 0, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 0, 2, 0), 2);
}

static void ended_with_pins(struct kunit *test)
{
	struct pins_fixture *f = test->priv;

	get_and_put(test, 0, PAGES, true);
	KUNIT_ASSERT_EQ(test, get(f, 0, 2, true), 0);
	end(f);
	EXPECT_PINS(test, 2, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 2, PAGES - 2, 0), PAGES - 2);
	/* Memory may go as before */
	replace(test, 0, 1);
	put(f, 0, 2, true);
	EXPECT_PINS(test, 0, 0);
	KUNIT_EXPECT_EQ(test, pinned(f, 1, 1, 0), 1);
}

/* Section: what the function has written */

/* A page is dirty before the pin is known, and then until the notifier says so */
static void dirty_when_pinned(struct kunit *test)
{
	struct pins_fixture *f = test->priv;
	struct folio *folio;

	KUNIT_ASSERT_EQ(test, get(f, 0, 1, false), 0);
	folio = page_folio(f->pages[0]);
	folio_clear_dirty(folio);
	put(f, 0, 1, false);
	KUNIT_EXPECT_FALSE(test, folio_test_dirty(folio));

	KUNIT_ASSERT_EQ(test, get(f, 0, 1, true), 0);
	KUNIT_EXPECT_TRUE(test, folio_test_dirty(page_folio(f->pages[0])));
	put(f, 0, 1, true);
	EXPECT_PINS(test, 0, 1);
}

static bool becomes_dirty(struct kunit *test, bool write)
{
	struct pins_fixture *f = test->priv;
	struct folio *folio;
	bool dirty;

	KUNIT_ASSERT_EQ(test, get(f, 0, 1, write), 0);
	folio = page_folio(f->pages[0]);
	folio_get(folio);
	replace(test, 0, 1);
	folio_clear_dirty(folio);
	put(f, 0, 1, write);
	EXPECT_PINS(test, 0, 0);
	dirty = folio_test_dirty(folio);
	folio_put(folio);
	return dirty;
}

/* Who holds a pin that is not known any more may have written since */
static void dirty_when_put(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, becomes_dirty(test, true));
	KUNIT_EXPECT_FALSE(test, becomes_dirty(test, false));
}

static struct kunit_case pins_test_cases[] = {
	KUNIT_CASE(kept_and_found),
	KUNIT_CASE(kept_for_reading),
	KUNIT_CASE(kept_for_writing),
	KUNIT_CASE(some_kept),
	KUNIT_CASE(in_any_order),
	KUNIT_CASE(mapped_twice),
	KUNIT_CASE(mapped_for_both),
	KUNIT_CASE(replaced_while_used_twice),
	KUNIT_CASE(same_places),
	KUNIT_CASE(one_pin_of_a_frame),
	KUNIT_CASE(beside_taken_places),
	KUNIT_CASE(places_are_few),
	KUNIT_CASE(replaced_while_kept),
	KUNIT_CASE(first_frame_replaced),
	KUNIT_CASE(replaced_in_a_range),
	KUNIT_CASE(replaced_while_used),
	KUNIT_CASE(protected_while_kept),
	KUNIT_CASE(pinned_meanwhile),
	KUNIT_CASE(pinned_until_the_end),
	KUNIT_CASE(replaced_while_pinned),
	KUNIT_CASE(slot_deleted),
	KUNIT_CASE(process_ends),
	KUNIT_CASE(limit_is_reached),
	KUNIT_CASE(limit_is_reached_by_others),
	KUNIT_CASE(not_all_are_pinned),
	KUNIT_CASE(too_many_references),
	KUNIT_CASE(memory_is_scarce),
	KUNIT_CASE(not_used_for_long),
	KUNIT_CASE(work_is_scheduled),
	KUNIT_CASE(work_is_scheduled_for_a_charge),
	KUNIT_CASE(nothing_kept_when_stopped),
	KUNIT_CASE(ended_with_pins),
	KUNIT_CASE(dirty_when_pinned),
	KUNIT_CASE(dirty_when_put),
	{}
};

static struct kunit_suite pins_test_suite = {
	.name = "kvm_s390_pins",
	.init = pins_test_init,
	.exit = pins_test_exit,
	.test_cases = pins_test_cases,
};

kunit_test_suite(pins_test_suite);
