// SPDX-License-Identifier: GPL-2.0
/*
 * Pins of guest frames for DMA, some of them kept for the next time
 *
 * Copyright (C) 2026 the authors of the s390 KVM zPCI series
 *
 * A guest maps the same frames for DMA again and again, often before it refreshes
 * what it has unmapped. To pin a frame, to charge it, and to undo both costs several
 * times what else there is to do for it. So some of the pins are known by the frame:
 * they serve for all mappings of it, and are kept for a while when there are none.
 *
 * Invariants:
 *
 * 1. A pin that is found again is of the page that the process has there: when
 *    memory is taken away from the process, or from the guest, what is kept of it
 *    is given back, and what is in use of it is not found any more.
 * 2. Each mapping of a frame is charged to the VM's process, and so is each frame
 *    that is kept.
 * 3. At most KVM_S390_PINS frames are kept. They are given back when memory is
 *    scarce, when one of the VM's functions is at the process's limit, when they were
 *    not used for two rounds of a second, and before kvm_s390_pins_end() returns.
 * 4. A page that a known pin for writing holds is dirty. It is marked so before the
 *    pin is noted, and nothing can make it clean without the notifier: to clean a
 *    page takes write access away from those who map it.
 * 5. The table has at most one pin of a frame.
 *
 * What is kept is not accessible to the function: its entry in the host's table is
 * invalid, and the host refresh was done, before the pin comes here.
 *
 * Lifetime: part of a registration, see pci_ioat.c. kvm_s390_pins_end() makes the
 * work, the shrinker and the notifier go; pins that are still in use may be put
 * after it, and nothing is got.
 *
 * Locking: pins->lock is a leaf but for what it takes to schedule the work. It is
 * taken where memory is reclaimed, with mmap_lock and the locks of the reverse
 * mapping held. So what is charged is not given back there, but by the work.
 */

#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/s390_iommu_shadow.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <kunit/static_stub.h>
#include "pci_pins.h"

/* A power of 2: 4 MiB. The pin of a frame can be at one of two places. */
#define KVM_S390_PINS		1024

/*
 * Each pin of a page adds GUP_PIN_COUNTING_BIAS to its reference count. Leave some
 * for others, to whom an overflow would not be forgiven.
 */
#define PINS_MAX_PAGE_REFS	(INT_MAX / 2)

/* A pin that is known serves for this many mappings; then there is another one */
#define PINS_MAX_USERS		(UINT_MAX / 2)

/* Counters of the pins by user address; a range of so many pages is looked up there */
#define PINS_HVAS		4096
#define PINS_FEW_PAGES		64

/* As many at once, with their pointers on the stack and a bit of a u32 for each */
#define PINS_CHUNK		32

/* What a pin's key tells beside the guest absolute address */
#define PIN_KNOWN	BIT(0)	/* may be found */
#define PIN_WRITE	BIT(1)	/* pinned for writing */

/**
 * struct kvm_s390_pin - a pin that is known by the guest frame
 * @key: guest absolute address of the frame, with PIN_KNOWN and PIN_WRITE; without
 *	PIN_KNOWN the memory was taken away while it was in use. 0 for none, if
 *	there are no @users either.
 * @addr: host absolute address of the page
 * @hva: the user address
 * @users: for how many mappings of the guest it stands; it is kept if there are none
 * @round: when it was kept
 */
struct kvm_s390_pin {
	u64 key;
	phys_addr_t addr;
	unsigned long hva;
	unsigned int users;
	u8 round;
};

/*
 * The first of a frame's places. Frames that are close to each other have places of
 * their own, and what begins at round addresses does not come to the same one.
 */
static struct kvm_s390_pin *pin_of(struct kvm_s390_pins *pins, u64 gaddr)
{
	gfn_t gfn = gpa_to_gfn(gaddr);

	return &pins->table[(gfn ^ gfn / KVM_S390_PINS) % KVM_S390_PINS];
}

/*
 * The second, where the frame's pin is if the first was taken: what a guest has
 * in use lies anywhere, and would have one place for two frames all too often.
 */
static struct kvm_s390_pin *other_pin_of(struct kvm_s390_pins *pins,
					 struct kvm_s390_pin *pin)
{
	return &pins->table[(pin - pins->table) ^ KVM_S390_PINS / 2];
}

static bool is_pin_of(const struct kvm_s390_pin *pin, u64 gaddr)
{
	return (pin->key || pin->users) && !((pin->key ^ gaddr) & PAGE_MASK);
}

/* Section: the user addresses of pins */

/* Of a pin at @hva and some others; lock is held */
static u16 *pins_at(struct kvm_s390_pins *pins, unsigned long hva)
{
	return &pins->hvas[(hva >> PAGE_SHIFT) % PINS_HVAS];
}

/* The place of a pin gets free; lock is held */
static void free_place(struct kvm_s390_pins *pins, struct kvm_s390_pin *pin)
{
	pin->key = 0;
	--*pins_at(pins, pin->hva);
}

/*
 * Can there be a pin in [@first, @last]? The process may write to pages for the first
 * time one after the other, and each time the answer is no; lock is held.
 */
static bool any_pin_in(struct kvm_s390_pins *pins, unsigned long first,
		       unsigned long last)
{
	if ((!pins->kept && !pins->used) || first > pins->last_hva ||
	    last < pins->first_hva)
		return false;
	if (last - first >= PINS_FEW_PAGES * PAGE_SIZE)
		return true;
	for (first &= PAGE_MASK; first <= last; first += PAGE_SIZE)
		if (*pins_at(pins, first))
			return true;
	return false;
}

/* Section: what is charged */

static int change_charge(struct kvm_s390_pins *pins, unsigned long nr, bool inc)
{
	struct mm_struct *mm = pins->kvm->mm;
	int rc;

	if (!inc)
		mmap_write_lock(mm);
	else if (mmap_write_lock_killable(mm))
		return -EINTR;
	rc = __account_locked_vm(mm, nr, inc, current, !inc || pins->lock_cap);
	mmap_write_unlock(mm);
	return rc;
}

/* Frames that are charged and neither pinned nor to be; lock is held */
static unsigned long surplus(struct kvm_s390_pins *pins)
{
	return pins->charged - pins->used - pins->kept - pins->reserved;
}

/*
 * Give back the surplus. May be called by any process, and after the VM's process
 * has given up its address space: KVM's reference keeps struct mm_struct, and no
 * more of it is used.
 */
static unsigned long settle(struct kvm_s390_pins *pins)
{
	unsigned long nr;

	spin_lock(&pins->lock);
	nr = surplus(pins);
	pins->charged -= nr;
	spin_unlock(&pins->lock);
	if (nr)
		change_charge(pins, nr, false);
	return nr;
}

/* Section: what is kept is given back */

/*
 * Give back up to @nr of the pins that are kept, those that were kept @age rounds ago
 * or earlier. What is charged for them is surplus then.
 */
static unsigned long give_back(struct kvm_s390_pins *pins, unsigned long nr,
			       int age)
{
	struct page *pages[PINS_CHUNK];
	unsigned long done = 0;
	unsigned int i = 0, n;
	struct kvm_s390_pin *pin;

	while (i < KVM_S390_PINS && done < nr) {
		n = 0;
		spin_lock(&pins->lock);
		for (; i < KVM_S390_PINS && n < PINS_CHUNK && done + n < nr &&
		     pins->kept; i++) {
			pin = &pins->table[i];
			if (!pin->key || pin->users ||
			    (u8)(pins->round - pin->round) < age)
				continue;
			free_place(pins, pin);
			pages[n++] = phys_to_page(pin->addr);
			pins->kept--;
		}
		if (!pins->kept)
			i = KVM_S390_PINS;
		spin_unlock(&pins->lock);
		if (n)
			unpin_user_pages(pages, n);
		done += n;
	}
	return done;
}

/* The work is to look after what is kept or charged for nothing; lock is held */
static void schedule_round(struct kvm_s390_pins *pins)
{
	if (pins->scheduled || pins->ended || (!pins->kept && !surplus(pins)))
		return;
	pins->scheduled = true;
	schedule_delayed_work(&pins->work, HZ);
}

static void pins_work(struct work_struct *work)
{
	struct kvm_s390_pins *pins = container_of(to_delayed_work(work),
						  struct kvm_s390_pins, work);

	give_back(pins, ULONG_MAX, 2);
	settle(pins);
	spin_lock(&pins->lock);
	pins->round++;
	/* Others may have given back meanwhile, who can't settle */
	pins->scheduled = false;
	schedule_round(pins);
	spin_unlock(&pins->lock);
}

static unsigned long pins_count(struct shrinker *shrinker,
				struct shrink_control *sc)
{
	struct kvm_s390_pins *pins = shrinker->private_data;

	return READ_ONCE(pins->kept) ?: SHRINK_EMPTY;
}

static unsigned long pins_scan(struct shrinker *shrinker,
			       struct shrink_control *sc)
{
	struct kvm_s390_pins *pins = shrinker->private_data;

	return give_back(pins, sc->nr_to_scan, 0) ?: SHRINK_STOP;
}

/* Section: memory is taken away */

/*
 * What is in [@first, @last] of the process's memory is not what it was: it is not
 * found any more, and what is kept of it is given back. Nothing becomes known there
 * meanwhile: the caller sees to that.
 */
static void forget(struct kvm_s390_pins *pins, unsigned long first,
		   unsigned long last)
{
	struct page *pages[PINS_CHUNK];
	unsigned int i = 0, n;
	struct kvm_s390_pin *pin;
	bool any;

	do {
		n = 0;
		spin_lock(&pins->lock);
		any = any_pin_in(pins, first, last);
		for (; any && i < KVM_S390_PINS && n < PINS_CHUNK; i++) {
			pin = &pins->table[i];
			if (!pin->key || pin->hva < first || pin->hva > last)
				continue;
			/* Each is judged once, or one that is kept would escape */
			if (pin->users) {
				pin->key &= ~PIN_KNOWN;
				continue;
			}
			free_place(pins, pin);
			pages[n++] = phys_to_page(pin->addr);
			pins->kept--;
		}
		spin_unlock(&pins->lock);
		if (n)
			unpin_user_pages(pages, n);
	} while (any && i < KVM_S390_PINS);
}

static int pins_invalidate_start(struct mmu_notifier *notifier,
				 const struct mmu_notifier_range *range)
{
	struct kvm_s390_pins *pins = container_of(notifier, struct kvm_s390_pins,
						  notifier);

	spin_lock(&pins->lock);
	pins->invalidating++;
	spin_unlock(&pins->lock);
	forget(pins, range->start, range->end - 1);
	return 0;
}

static void pins_invalidate_end(struct mmu_notifier *notifier,
				const struct mmu_notifier_range *range)
{
	struct kvm_s390_pins *pins = container_of(notifier, struct kvm_s390_pins,
						  notifier);

	spin_lock(&pins->lock);
	/* Here, not at the start: for what was pinned since and is not noted yet */
	pins->invalidated++;
	pins->invalidating--;
	spin_unlock(&pins->lock);
}

static void keep_nothing(struct kvm_s390_pins *pins)
{
	spin_lock(&pins->lock);
	pins->ended = true;
	spin_unlock(&pins->lock);
	forget(pins, 0, ULONG_MAX);
}

static void pins_mm_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	keep_nothing(container_of(notifier, struct kvm_s390_pins, notifier));
}

static const struct mmu_notifier_ops pins_notifier_ops = {
	.invalidate_range_start = pins_invalidate_start,
	.invalidate_range_end = pins_invalidate_end,
	.release = pins_mm_release,
};

/**
 * kvm_s390_pins_init - get ready to pin frames
 * @pins: the pins; all zeroes
 * @kvm: the VM, which must exist until kvm_s390_pins_release()
 * @lock_cap: whoever registers may exceed RLIMIT_MEMLOCK
 *
 * Context: Process context of the VM's process, may sleep. Takes mmap_lock.
 *
 * Return: 0, -ENOMEM, or -EINTR if a signal is pending
 */
int kvm_s390_pins_init(struct kvm_s390_pins *pins, struct kvm *kvm,
		       bool lock_cap)
{
	int rc = -ENOMEM;

	pins->kvm = kvm;
	pins->lock_cap = lock_cap;
	pins->first_hva = ULONG_MAX;
	spin_lock_init(&pins->lock);
	INIT_DELAYED_WORK(&pins->work, pins_work);
	pins->notifier.ops = &pins_notifier_ops;

	pins->table = kvcalloc(KVM_S390_PINS, sizeof(*pins->table),
			       GFP_KERNEL_ACCOUNT);
	if (!pins->table)
		return -ENOMEM;
	pins->hvas = kvcalloc(PINS_HVAS, sizeof(*pins->hvas),
			      GFP_KERNEL_ACCOUNT);
	if (!pins->hvas)
		goto free_table;
	pins->shrinker = shrinker_alloc(0, "kvm-s390-zpci");
	if (!pins->shrinker)
		goto free_hvas;
	pins->shrinker->count_objects = pins_count;
	pins->shrinker->scan_objects = pins_scan;
	pins->shrinker->private_data = pins;

	rc = mmu_notifier_register(&pins->notifier, kvm->mm);
	if (rc)
		goto free_shrinker;
	shrinker_register(pins->shrinker);
	return 0;

free_shrinker:
	shrinker_free(pins->shrinker);
free_hvas:
	kvfree(pins->hvas);
free_table:
	kvfree(pins->table);
	pins->table = NULL;
	return rc;
}

/**
 * kvm_s390_pins_stop - keep nothing any more
 * @pins: the pins
 *
 * When it returns, nothing is charged but what is in use, and nothing else is pinned
 * but by who is just about to give it back.
 *
 * Context: Process context, may sleep. Takes mmap_lock.
 */
void kvm_s390_pins_stop(struct kvm_s390_pins *pins)
{
	keep_nothing(pins);
	settle(pins);
}

/**
 * kvm_s390_pins_end - no more frames will be pinned
 * @pins: the pins
 *
 * Does what kvm_s390_pins_stop() does, and waits for all who may give back. What is
 * in use may still be put.
 *
 * Context: Process context, may sleep. Takes mmap_lock.
 */
void kvm_s390_pins_end(struct kvm_s390_pins *pins)
{
	kvm_s390_pins_stop(pins);
	mmu_notifier_unregister(&pins->notifier, pins->kvm->mm);
	shrinker_free(pins->shrinker);
	cancel_delayed_work_sync(&pins->work);
}

/**
 * kvm_s390_pins_release - counterpart of kvm_s390_pins_init()
 * @pins: the pins; kvm_s390_pins_end() was called, and nothing is in use
 *
 * Context: Process context, may sleep.
 */
void kvm_s390_pins_release(struct kvm_s390_pins *pins)
{
	WARN_ON_ONCE(pins->used || pins->kept || pins->charged);
	kvfree(pins->hvas);
	kvfree(pins->table);
}

static int pins_reserve(struct kvm_s390_pins *pins, unsigned long nr)
{
	unsigned long more = 0, have;
	int rc;

	spin_lock(&pins->lock);
	have = surplus(pins);
	if (nr > have)
		more = nr - have;
	pins->reserved += nr;
	pins->charged += more;
	spin_unlock(&pins->lock);
	if (!more)
		return 0;

	rc = change_charge(pins, more, true);
	if (rc) {
		spin_lock(&pins->lock);
		pins->reserved -= nr;
		pins->charged -= more;
		schedule_round(pins);
		spin_unlock(&pins->lock);
	}
	return rc;
}

/**
 * kvm_s390_pins_charge - charge frames that are about to be pinned
 * @pins: the pins
 * @nr: number of frames
 *
 * Charges locked_vm of the VM's process, as VFIO type1 does for its mappings, so
 * that a function is subject to the same limit however it is mapped.
 *
 * Context: Process context, may sleep. Takes mmap_lock.
 *
 * Return: 0, -ENOMEM if the process is at its limit, -EINTR if a fatal signal is
 * pending
 */
int kvm_s390_pins_charge(struct kvm_s390_pins *pins, unsigned long nr)
{
	int rc = pins_reserve(pins, nr);

	/* What is kept must not be what keeps others from being pinned */
	if (rc == -ENOMEM) {
		give_back(pins, ULONG_MAX, 0);
		rc = pins_reserve(pins, nr);
	}
	return rc;
}

/**
 * kvm_s390_pins_give_back - give back what is kept now
 * @pins: the pins
 *
 * Context: Process context, may sleep. Takes mmap_lock.
 *
 * Return: how many frames are not charged any more
 */
unsigned long kvm_s390_pins_give_back(struct kvm_s390_pins *pins)
{
	unsigned long nr = give_back(pins, ULONG_MAX, 0);

	/* Someone else may have settled that, or have left more */
	return settle(pins) ?: nr;
}

/**
 * kvm_s390_pins_uncharge - frames are not pinned that were charged
 * @pins: the pins
 * @nr: number of frames
 *
 * Context: Process context, may sleep. Takes mmap_lock.
 */
void kvm_s390_pins_uncharge(struct kvm_s390_pins *pins, unsigned long nr)
{
	spin_lock(&pins->lock);
	pins->reserved -= nr;
	spin_unlock(&pins->lock);
	settle(pins);
}

static bool for_write(u64 gaddr)
{
	return !(gaddr & S390_SHADOW_FRAME_PROTECTED);
}

/* Is it known as @key, or does what it is known as do for reading? */
static bool is_known(const struct kvm_s390_pin *pin, u64 key, u64 gaddr)
{
	/* What is pinned for writing will do for both */
	return pin->key == key ||
	       (!for_write(gaddr) && pin->key == (key & ~PIN_WRITE));
}

static noinline struct kvm_s390_pin *
find_at_other(struct kvm_s390_pins *pins, struct kvm_s390_pin *pin, u64 key,
	      u64 gaddr)
{
	pin = other_pin_of(pins, pin);
	return is_known(pin, key, gaddr) ? pin : NULL;
}

/* The pin of a frame if it is known, and for what is wanted; lock is held */
static __always_inline struct kvm_s390_pin *
find_known(struct kvm_s390_pins *pins, u64 gaddr)
{
	u64 key = (gaddr & PAGE_MASK) | PIN_KNOWN | PIN_WRITE;
	struct kvm_s390_pin *pin = pin_of(pins, key);

	/* Nearly always */
	if (is_known(pin, key, gaddr))
		return pin;
	return find_at_other(pins, pin, key, gaddr);
}

/* The first of the frames, those that are known and in the slot; lock is held */
static unsigned int get_known(struct kvm_s390_pins *pins,
			      const struct kvm_memory_slot *slot,
			      const u64 *gaddr, unsigned int nr,
			      struct page **pages)
{
	gfn_t base = slot->base_gfn, npages = slot->npages;
	struct kvm_s390_pin *pin;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (gpa_to_gfn(gaddr[i]) - base >= npages)
			break;
		pin = find_known(pins, gaddr[i]);
		if (!pin || pin->users >= PINS_MAX_USERS)
			break;
		if (!pin->users++)
			pins->kept--;
		pages[i] = phys_to_page(pin->addr);
	}
	pins->used += i;
	pins->reserved -= i;
	return i;
}

/*
 * The first frame is not known. How many are to be pinned with it: consecutive, in
 * the slot, in the same manner, and not known either? lock is held.
 */
static unsigned int find_new(struct kvm_s390_pins *pins,
			     const struct kvm_memory_slot *slot,
			     const u64 *gaddr, unsigned int nr)
{
	gfn_t left = slot->base_gfn + slot->npages - gpa_to_gfn(gaddr[0]);
	unsigned int i = 1;

	nr = min_t(gfn_t, nr, left);
	while (i < nr && gaddr[i] == gaddr[0] + i * PAGE_SIZE &&
	       !find_known(pins, gaddr[i]))
		i++;
	return i;
}

/*
 * Where a frame is to be noted: where it is, or at a free place, or in place of what
 * is kept there. If all is in use, what the caller gets is so; lock is held.
 */
static struct kvm_s390_pin *place_for(struct kvm_s390_pins *pins, u64 gaddr)
{
	struct kvm_s390_pin *pin = pin_of(pins, gaddr);
	struct kvm_s390_pin *other = other_pin_of(pins, pin);

	if (is_pin_of(pin, gaddr))
		return pin;
	if (is_pin_of(other, gaddr) || pin->users ||
	    (pin->key && !other->key && !other->users))
		return other;
	return pin;
}

/*
 * @nr pages were pinned. Note them, in place of what is kept there. What is not
 * needed any more goes to @old, which has room; lock is held.
 */
static unsigned int note_new(struct kvm_s390_pins *pins, u64 gaddr,
			     unsigned long hva, unsigned int nr, bool write,
			     struct page **pages, struct page **old)
{
	u64 flags = PIN_KNOWN | (write ? PIN_WRITE : 0);
	struct kvm_s390_pin *pin;
	unsigned int i, n = 0;

	pins->first_hva = min(pins->first_hva, hva);
	pins->last_hva = max(pins->last_hva, hva + nr * PAGE_SIZE - 1);
	for (i = 0; i < nr; i++, gaddr += PAGE_SIZE, hva += PAGE_SIZE) {
		pin = place_for(pins, gaddr);
		if ((pin->key & ~PIN_WRITE) == (gaddr | PIN_KNOWN) &&
		    pin->addr == page_to_phys(pages[i]) && pin->users < PINS_MAX_USERS) {
			/* Known for reading, or since just now: one pin will do */
			if (!pin->users++)
				pins->kept--;
			pin->key |= flags;
			old[n++] = pages[i];
			continue;
		}
		if (pin->users)
			continue;
		if (pin->key) {
			old[n++] = phys_to_page(pin->addr);
			free_place(pins, pin);
			pins->kept--;
		}
		++*pins_at(pins, hva);
		*pin = (struct kvm_s390_pin) {
			.key = gaddr | flags,
			.addr = page_to_phys(pages[i]),
			.hva = hva,
			.users = 1,
		};
	}
	return n;
}

static void mark_dirty(struct page *page)
{
	struct folio *folio = page_folio(page);

	/* As unpin_user_pages_dirty_lock() does it, for the same reasons */
	if (folio_test_dirty(folio))
		return;
	folio_lock(folio);
	folio_mark_dirty(folio);
	folio_unlock(folio);
}

/**
 * kvm_s390_pins_gup - pin user pages
 * @hva: user address of the first
 * @nr: number of pages
 * @gup_flags: as for pin_user_pages_fast()
 * @pages: set to the pages
 *
 * A function of its own for KUnit to put itself between.
 *
 * Context: Process context, may sleep.
 *
 * Return: what pin_user_pages_fast() returns
 */
long kvm_s390_pins_gup(unsigned long hva, unsigned int nr,
		       unsigned int gup_flags, struct page **pages)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_s390_pins_gup, hva, nr, gup_flags, pages);

	return pin_user_pages_fast(hva, nr, gup_flags, pages);
}

/* Pin consecutive frames, which are not known */
static long get_new(struct kvm_s390_pins *pins, u64 gaddr, unsigned long hva,
		    unsigned int nr, bool write, unsigned long invalidated,
		    struct page **pages)
{
	unsigned int gup_flags = FOLL_LONGTERM | (write ? FOLL_WRITE : 0);
	struct page *old[PINS_CHUNK];
	unsigned int n = 0;
	long rc, i;

	/* Without FOLL_WRITE, FOLL_LONGTERM resolves copy-on-write just as well */
	rc = kvm_s390_pins_gup(hva, nr, gup_flags, pages);
	for (i = 0; i < rc; i++)
		if (folio_ref_count(page_folio(pages[i])) > PINS_MAX_PAGE_REFS)
			break;
	if (i < rc) {
		unpin_user_pages(&pages[i], rc - i);
		rc = i ?: -ENOMEM;
	}
	if (rc <= 0)
		return rc;

	/* While it is known it remains so, see invariant 4 */
	for (i = 0; write && i < rc; i++)
		mark_dirty(pages[i]);

	spin_lock(&pins->lock);
	pins->used += rc;
	pins->reserved -= rc;
	/* Has none of this memory been taken away since before it was pinned? */
	if (!pins->ended && !pins->invalidating &&
	    pins->invalidated == invalidated)
		n = note_new(pins, gaddr, hva, rc, write, pages, old);
	spin_unlock(&pins->lock);
	if (n)
		unpin_user_pages(old, n);
	return rc;
}

/**
 * kvm_s390_pins_get - pin frames that are charged
 * @pins: the pins
 * @slot: memory slot of the first frame; nothing is pinned beyond it
 * @gaddr: the frames, each as in &struct s390_shadow_frame
 * @nr: number of frames
 * @pages: set to the pages that were pinned
 *
 * Context: Process context of the VM's process, may sleep. In a read section of
 * kvm->srcu, in which @slot was found.
 *
 * Return: how many were pinned, from the first on and at least one, or -ENOMEM,
 * -EINTR, -EFAULT if the slot is not for writing, or any other error of
 * pin_user_pages_fast()
 */
long kvm_s390_pins_get(struct kvm_s390_pins *pins,
		       const struct kvm_memory_slot *slot, const u64 *gaddr,
		       unsigned int nr, struct page **pages)
{
	bool write = for_write(gaddr[0]);
	unsigned long invalidated;
	unsigned int n;
	u64 first;

	nr = min_t(unsigned int, nr, PINS_CHUNK);
	spin_lock(&pins->lock);
	n = get_known(pins, slot, gaddr, nr, pages);
	if (!n)
		nr = find_new(pins, slot, gaddr, nr);
	invalidated = pins->invalidated;
	spin_unlock(&pins->lock);
	if (n)
		return n;

	if (write && slot->flags & KVM_MEM_READONLY)
		return -EFAULT;
	first = gaddr[0] & PAGE_MASK;
	return get_new(pins, first,
		       __gfn_to_hva_memslot(slot, gpa_to_gfn(first)),
		       nr, write, invalidated, pages);
}

/*
 * Put a frame if its pin is known and at the first place; counts in @kept if it is for
 * no mapping any more. lock is held.
 */
static __always_inline bool put_known(struct kvm_s390_pins *pins,
				      const struct s390_shadow_frame *frame,
				      u8 round, unsigned int *kept)
{
	struct kvm_s390_pin *pin = pin_of(pins, frame->gaddr);

	if (pin->key != ((frame->gaddr & PAGE_MASK) | PIN_KNOWN | PIN_WRITE) ||
	    pin->addr != frame->addr || !pin->users)
		return false;
	if (!--pin->users) {
		pin->round = round;
		++*kept;
	}
	return true;
}

/*
 * Put any other frame. Returns whether its page is to be unpinned, and in @dirty
 * whether it may have been written to; lock is held.
 *
 * A frame may have been pinned for itself although its pin is known, or was, for
 * others: if there was no telling whether the memory is still there. Then its pin
 * and theirs are pins of one page, and it does not matter which of them goes.
 */
static noinline bool put_other(struct kvm_s390_pins *pins,
			       const struct s390_shadow_frame *frame,
			       unsigned int *kept, bool *dirty)
{
	u64 gaddr = frame->gaddr;
	struct kvm_s390_pin *pin = pin_of(pins, gaddr);

	*dirty = for_write(gaddr);
	if (!is_pin_of(pin, gaddr))
		pin = other_pin_of(pins, pin);
	if (!is_pin_of(pin, gaddr) || !pin->users || pin->addr != frame->addr ||
	    (for_write(gaddr) && !(pin->key & PIN_WRITE)))
		return true;
	if (--pin->users)
		return false;
	if (pin->key & PIN_KNOWN) {
		pin->round = pins->round;
		++*kept;
		return false;
	}
	/* What any of the users has written */
	*dirty = pin->key & PIN_WRITE;
	free_place(pins, pin);
	return true;
}

/*
 * Keep what can be kept of @nr frames, and put the pages of the others to @gone,
 * which has room, bit n of @dirty for the nth of them; lock is held.
 */
static unsigned int keep(struct kvm_s390_pins *pins,
			 const struct s390_shadow_frame *frames,
			 unsigned int nr, struct page **gone, u32 *dirty)
{
	unsigned int i, n = 0, kept = 0;
	u8 round = pins->round;
	bool written;

	*dirty = 0;
	for (i = 0; i < nr; i++) {
		/* Nearly always */
		if (put_known(pins, &frames[i], round, &kept) ||
		    !put_other(pins, &frames[i], &kept, &written))
			continue;
		if (written)
			*dirty |= BIT(n);
		gone[n++] = phys_to_page(frames[i].addr);
	}
	pins->used -= nr;
	pins->kept += kept;
	return n;
}

/*
 * A single frame whose pin is known at the first place, which is the ordinary case. Once
 * nothing is to be kept, no pin is known, or keep_nothing() has yet to come by it.
 */
static bool put_one(struct kvm_s390_pins *pins,
		    const struct s390_shadow_frame *frame)
{
	unsigned int kept = 0;
	bool done;

	spin_lock(&pins->lock);
	done = put_known(pins, frame, pins->round, &kept);
	if (done) {
		pins->used--;
		if (kept)
			pins->kept++;
		schedule_round(pins);
	}
	spin_unlock(&pins->lock);
	return done;
}

static void put_many(struct kvm_s390_pins *pins,
		     const struct s390_shadow_frame *frames, unsigned int nr)
{
	struct page *gone[PINS_CHUNK];
	unsigned int i, chunk, n;
	bool any = false;
	u32 dirty;

	for (; nr; nr -= chunk, frames += chunk) {
		chunk = min_t(unsigned int, nr, PINS_CHUNK);
		spin_lock(&pins->lock);
		n = keep(pins, frames, chunk, gone, &dirty);
		schedule_round(pins);
		spin_unlock(&pins->lock);
		/* Nobody else does it in the end */
		any |= n || pins->ended;
		for (i = 0; i < n; i++) {
			if (dirty & BIT(i))
				mark_dirty(gone[i]);
			unpin_user_page(gone[i]);
		}
	}
	if (any)
		settle(pins);
}

/**
 * kvm_s390_pins_put - frames are not in use any more
 * @pins: the pins
 * @frames: the frames
 * @nr: number of frames
 *
 * Context: Process context, any process, may sleep. Takes mmap_lock.
 */
void kvm_s390_pins_put(struct kvm_s390_pins *pins,
		       const struct s390_shadow_frame *frames, unsigned int nr)
{
	if (nr != 1 || !put_one(pins, frames))
		put_many(pins, frames, nr);
}

/**
 * kvm_s390_pins_forget - guest memory goes away
 * @pins: the pins
 * @slot: the memory slot that is deleted or moved
 *
 * Context: Process context, may sleep. No reader of kvm->srcu finds the slot valid
 * any more.
 */
void kvm_s390_pins_forget(struct kvm_s390_pins *pins,
			  const struct kvm_memory_slot *slot)
{
	unsigned long last = slot->userspace_addr +
			     (slot->npages << PAGE_SHIFT) - 1;

	forget(pins, slot->userspace_addr, last);
	settle(pins);
}
