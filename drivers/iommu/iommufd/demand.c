// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of an IOAS that are pinned one by one, as a nested domain asks for them
 *
 * A parent HWPT of IOMMU_HWPT_ALLOC_ON_DEMAND maps nothing. The driver of its
 * nested domains reads the guest's tables, and pins the pages that they name by
 * struct iommufd_demand_ops.
 *
 * Invariants:
 *
 * 1. Pins are counted by page of an iopt_pages, in iopt_pages::demand. However
 *    many nested domains name a page, and by whichever IOAS, it is pinned and
 *    charged once, until the last of them unpins it.
 * 2. Nothing here waits for user space. A page that is not present, and a
 *    mmap_lock that is contended, end with -EAGAIN. The caller drops its locks,
 *    calls iommufd_demand_fault_in(), and tries again.
 * 3. When an unmap of the IOAS returns, none of its pages is pinned for this IOAS:
 *    area->pages is NULL before iommu_domain_ops::demand_unmap() is called. A pin
 *    that has found the area earlier is undone by it.
 *
 * Locks: iopt->areas_lock protects look-ups of areas, the xa_lock of
 * iopt_pages::demand protects the pins and the charge that is kept. None of them is
 * held while anything sleeps.
 */
#include <linux/file.h>
#include <linux/interval_tree.h>
#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "io_pagetable.h"
#include "iommufd_private.h"

/* Pages that are pinned or faulted in at once */
#define DEMAND_CHUNK	32

/*
 * Pages that may stay charged after they were unpinned, if the charge takes the
 * mmap_lock, as long as other pages are pinned. More if the lock is contended, until
 * the next call.
 */
#define DEMAND_STOCK	32

/**
 * struct iopt_demand_pin - a pinned page
 * @page: the page
 * @users: how often iommufd_demand_ops::pin() was called less unpin()
 */
struct iopt_demand_pin {
	struct page *page;
	unsigned long users;
};

static struct io_pagetable *demand_iopt(struct iommu_domain *domain)
{
	return &to_hwpt_paging(domain->iommufd_hwpt)->ioas->iopt;
}

/*
 * Find what is mapped at @iova. Set @index, and reduce @nr to what follows in the
 * same area. The area stays until its pages are unpinned, so the result does too.
 */
static struct iopt_pages *demand_find(struct io_pagetable *iopt,
				      unsigned long iova, unsigned long *index,
				      unsigned int *nr, int *prot, bool unpin)
{
	struct interval_tree_node *node;
	struct iopt_pages *pages;
	struct iopt_area *area;

	guard(read_lock)(&iopt->areas_lock);
	node = interval_tree_iter_first(&iopt->area_itree, iova, iova);
	if (!node)
		return NULL;
	area = container_of(node, struct iopt_area, node);
	pages = unpin ? area->demand_pages : area->pages;
	if (!pages)
		return NULL;
	*index = iopt_area_iova_to_index(area, iova);
	*nr = min_t(unsigned long, *nr,
		    (iopt_area_last_iova(area) - iova) / PAGE_SIZE + 1);
	*prot = area->iommu_prot;
	return pages;
}

/* Tell what has to be there before the next try. What was told first is kept. */
static int demand_fault(struct iommufd_demand_fault *fault,
			struct iopt_pages *pages, unsigned long index,
			unsigned int nr, bool longterm)
{
	if (fault->kind)
		return -EAGAIN;
	*fault = (struct iommufd_demand_fault) {
		.nr = nr,
		.longterm = longterm,
		.write = longterm && pages->writable,
	};
	if (pages->type == IOPT_ADDRESS_FILE) {
		fault->kind = IOMMUFD_DEMAND_FAULT_FILE;
		fault->file = get_file(pages->file);
		fault->start = pages->start + index * PAGE_SIZE;
	} else {
		fault->kind = IOMMUFD_DEMAND_FAULT_USER;
		fault->mm = pages->source_mm;
		mmgrab(fault->mm);
		fault->start = (uintptr_t)pages->uptr + index * PAGE_SIZE;
	}
	return -EAGAIN;
}

static int demand_fault_lock(struct iommufd_demand_fault *fault,
			     struct iopt_pages *pages)
{
	if (!fault->kind) {
		*fault = (struct iommufd_demand_fault) {
			.kind = IOMMUFD_DEMAND_FAULT_LOCK,
			.mm = pages->source_mm,
		};
		mmgrab(fault->mm);
	}
	return -EAGAIN;
}

static bool demand_account_mm(struct iopt_pages *pages, unsigned long nr, bool inc,
			      int *rc)
{
	struct mm_struct *mm = pages->source_mm;

	if (!mmap_write_trylock(mm))
		return false;
	*rc = __account_locked_vm(mm, nr, inc, pages->source_task, false);
	mmap_write_unlock(mm);
	return true;
}

/* Charge @nr pages that are about to be pinned */
static int demand_charge(struct iopt_pages *pages, unsigned long nr,
			 struct iommufd_demand_fault *fault)
{
	unsigned long stock;
	int rc = 0;

	if (iommufd_should_fail())
		return -ENOMEM;
	switch (pages->account_mode) {
	case IOPT_PAGES_ACCOUNT_USER:
		rc = incr_user_locked_vm(pages, nr);
		break;
	case IOPT_PAGES_ACCOUNT_MM:
		xa_lock(&pages->demand);
		stock = min(pages->demand_stock, nr);
		pages->demand_stock -= stock;
		xa_unlock(&pages->demand);
		if (stock == nr)
			break;
		if (!demand_account_mm(pages, nr - stock, true, &rc))
			rc = demand_fault_lock(fault, pages);
		if (rc) {
			xa_lock(&pages->demand);
			pages->demand_stock += stock;
			xa_unlock(&pages->demand);
		}
		break;
	}
	if (!rc)
		atomic64_add(nr, &pages->source_mm->pinned_vm);
	return rc;
}

/*
 * Uncharge @nr pages that were unpinned. If the mmap_lock is contended, they stay
 * charged until another call, or until iopt_demand_settle().
 */
static void demand_uncharge(struct iopt_pages *pages, unsigned long nr)
{
	unsigned long keep = DEMAND_STOCK;
	int rc;

	atomic64_sub(nr, &pages->source_mm->pinned_vm);
	switch (pages->account_mode) {
	case IOPT_PAGES_ACCOUNT_USER:
		decr_user_locked_vm(pages, nr);
		break;
	case IOPT_PAGES_ACCOUNT_MM:
		xa_lock(&pages->demand);
		pages->demand_stock += nr;
		if (xa_empty(&pages->demand))
			keep = 0;
		nr = pages->demand_stock > keep ? pages->demand_stock : 0;
		pages->demand_stock -= nr;
		xa_unlock(&pages->demand);
		if (!nr || demand_account_mm(pages, nr, false, &rc))
			break;
		xa_lock(&pages->demand);
		pages->demand_stock += nr;
		xa_unlock(&pages->demand);
		break;
	}
}

/*
 * Take what is pinned already, from @index on. If that is nothing, set @nr to the
 * number of pages that are not.
 */
static unsigned int demand_get_pinned(struct iopt_pages *pages,
				      unsigned long index, unsigned int *nr,
				      struct page **out)
{
	struct iopt_demand_pin *pin;
	unsigned int i;

	guard(spinlock)(&pages->demand.xa_lock);
	for (i = 0; i < *nr; i++) {
		pin = xa_load(&pages->demand, index + i);
		if (!pin)
			break;
		pin->users++;
		out[i] = pin->page;
	}
	if (i)
		return i;
	for (i = 1; i < *nr; i++)
		if (xa_load(&pages->demand, index + i))
			break;
	*nr = i;
	return 0;
}

/* Pin pages of the user address space that are present. No lock is waited for. */
static int demand_pin_user(struct iopt_pages *pages, unsigned long index,
			   unsigned int nr, struct page **out)
{
	unsigned int gup_flags = FOLL_LONGTERM | (pages->writable ? FOLL_WRITE : 0);
	uintptr_t uptr = (uintptr_t)pages->uptr + index * PAGE_SIZE;
	struct mm_struct *mm = pages->source_mm;
	bool remote = mm != current->mm;
	int rc = 0;

	if (!remote)
		rc = pin_user_pages_fast_only(uptr, nr, gup_flags, out);
	if (rc > 0)
		return rc;

	/* Memory that the fast path does not know, or of another process */
	if (remote && !mmget_not_zero(mm))
		return -EFAULT;
	rc = 0;
	if (mmap_read_trylock(mm)) {
		rc = pin_user_pages_remote(mm, uptr, nr, gup_flags | FOLL_NOFAULT,
					   out, NULL);
		mmap_read_unlock(mm);
	}
	if (remote)
		mmput_async(mm);
	return rc > 0 ? rc : -EAGAIN;
}

static struct page *demand_cached_page(struct iopt_pages *pages,
				       unsigned long index)
{
	return iommufd_demand_cached_page(pages->file,
					  PHYS_PFN(pages->start) + index);
}

/*
 * Pin pages of a memfd that are present. One that is truncated just then is
 * allocated anew, and one that may not be pinned is migrated. That may wait for a
 * swap device, but not for user space.
 */
static int demand_pin_file(struct iopt_pages *pages, unsigned long index,
			   unsigned int nr, struct page **out)
{
	loff_t start = pages->start + index * PAGE_SIZE;
	struct folio *folio;
	struct page *page;
	pgoff_t offset;
	unsigned int i;
	long rc = 0;

	for (i = 0; i < nr; i++, start += PAGE_SIZE) {
		page = demand_cached_page(pages, index + i);
		if (!page) {
			rc = -EAGAIN;
			break;
		}
		put_page(page);
		rc = memfd_pin_folios(pages->file, start, start + PAGE_SIZE - 1,
				      &folio, 1, &offset);
		/* Perhaps it is in use and can't be migrated now */
		if (rc == -ENOMEM)
			rc = -EAGAIN;
		if (rc <= 0)
			break;
		out[i] = folio_page(folio, offset >> PAGE_SHIFT);
	}
	return i ?: rc ?: -EAGAIN;
}

/*
 * Count a page that was pinned. Return 1 if another task has done so: the pin is
 * not needed, and @page is set to the page that the other one has pinned.
 */
static int demand_add(struct iopt_pages *pages, unsigned long index,
		      struct page **page)
{
	struct iopt_demand_pin *pin, *new;
	int rc;

	new = kmalloc_obj(*new, GFP_KERNEL_ACCOUNT | __GFP_NOWARN |
				__GFP_RETRY_MAYFAIL);
	if (!new)
		return -ENOMEM;
	new->page = *page;
	new->users = 1;

	xa_lock(&pages->demand);
	do {
		pin = xa_load(&pages->demand, index);
		if (pin) {
			pin->users++;
			rc = 1;
		} else {
			/* May drop the lock to allocate memory */
			rc = __xa_insert(&pages->demand, index, new,
					 GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		}
	} while (rc == -EBUSY);
	xa_unlock(&pages->demand);

	if (!rc)
		return 0;
	kfree(new);
	if (rc > 0) {
		unpin_user_page(*page);
		*page = pin->page;
	}
	return rc;
}

static int demand_pin_pages(struct iopt_pages *pages, unsigned long index,
			    unsigned int nr, struct page **out,
			    struct iommufd_demand_fault *fault)
{
	unsigned int spare, wanted;
	int done, got, rc;

	nr = min_t(unsigned int, nr, DEMAND_CHUNK);
	done = demand_get_pinned(pages, index, &nr, out);
	if (done)
		return done;

	wanted = nr;
	rc = demand_charge(pages, nr, fault);
	if (rc == -ENOMEM && nr > 1) {
		/* The limit may still allow some */
		nr = 1;
		rc = demand_charge(pages, nr, fault);
	}
	if (rc)
		return rc;

	if (pages->type == IOPT_ADDRESS_FILE)
		got = demand_pin_file(pages, index, nr, out);
	else
		got = demand_pin_user(pages, index, nr, out);
	spare = nr - max(got, 0);
	if (got == -EAGAIN)
		demand_fault(fault, pages, index, wanted, true);

	for (rc = min(got, 0); done < got; done++) {
		rc = demand_add(pages, index + done, &out[done]);
		if (rc < 0)
			break;
		spare += rc;
	}
	if (done < got) {
		unpin_user_pages(&out[done], got - done);
		spare += got - done;
	}
	if (spare)
		demand_uncharge(pages, spare);
	return done ?: rc;
}

/*
 * iommufd_demand_ops::pin(). Returns the number of pages that were pinned, from the
 * first on, or an error.
 */
static int demand_pin(struct iommu_domain *domain, unsigned long iova,
		      unsigned int nr, bool write, struct page **out,
		      struct iommufd_demand_fault *fault)
{
	struct iopt_pages *pages;
	unsigned long index;
	int prot;

	pages = demand_find(demand_iopt(domain), iova, &index, &nr, &prot, false);
	if (!pages || iopt_is_dmabuf(pages) ||
	    !(prot & (write ? IOMMU_WRITE : IOMMU_READ)))
		return -EFAULT;
	return demand_pin_pages(pages, index, nr, out, fault);
}

static void demand_unpin_pages(struct iopt_pages *pages, unsigned long index,
			       unsigned int nr)
{
	struct page *gone[DEMAND_CHUNK];
	struct iopt_demand_pin *pin;
	unsigned int i, n = 0;

	xa_lock(&pages->demand);
	for (i = 0; i < nr; i++) {
		pin = xa_load(&pages->demand, index + i);
		if (WARN_ON_ONCE(!pin) || --pin->users)
			continue;
		__xa_erase(&pages->demand, index + i);
		gone[n++] = pin->page;
		kfree(pin);
	}
	xa_unlock(&pages->demand);
	if (!n)
		return;
	unpin_user_pages_dirty_lock(gone, n, pages->writable);
	demand_uncharge(pages, n);
}

/* iommufd_demand_ops::unpin() */
static void demand_unpin(struct iommu_domain *domain, unsigned long iova,
			 unsigned int nr)
{
	struct io_pagetable *iopt = demand_iopt(domain);
	struct iopt_pages *pages;
	unsigned long index;
	unsigned int n;
	int prot;

	for (; nr; nr -= n, iova += n * PAGE_SIZE) {
		n = min_t(unsigned int, nr, DEMAND_CHUNK);
		pages = demand_find(iopt, iova, &index, &n, &prot, true);
		if (WARN_ON_ONCE(!pages))
			return;
		demand_unpin_pages(pages, index, n);
	}
}

static int demand_get_user(struct iopt_pages *pages, unsigned long index,
			   struct page **page)
{
	uintptr_t uptr = (uintptr_t)pages->uptr + index * PAGE_SIZE;
	struct mm_struct *mm = pages->source_mm;
	bool remote = mm != current->mm;
	long rc = 0;

	if (!remote && get_user_page_fast_only(uptr, 0, page))
		return 0;
	if (remote && !mmget_not_zero(mm))
		return -EFAULT;
	if (mmap_read_trylock(mm)) {
		rc = get_user_pages_remote(mm, uptr, 1, FOLL_NOFAULT, page, NULL);
		mmap_read_unlock(mm);
	}
	if (remote)
		mmput_async(mm);
	return rc == 1 ? 0 : -EAGAIN;
}

/* iommufd_demand_ops::get_page() */
static int demand_get_page(struct iommu_domain *domain, unsigned long iova,
			   struct page **page, struct iommufd_demand_fault *fault)
{
	struct iopt_pages *pages;
	unsigned int nr = 1;
	unsigned long index;
	int prot, rc;

	pages = demand_find(demand_iopt(domain), iova, &index, &nr, &prot, false);
	if (!pages || iopt_is_dmabuf(pages) || !(prot & IOMMU_READ))
		return -EFAULT;
	if (pages->type == IOPT_ADDRESS_FILE) {
		*page = demand_cached_page(pages, index);
		rc = *page ? 0 : -EAGAIN;
	} else {
		rc = demand_get_user(pages, index, page);
	}
	return rc == -EAGAIN ? demand_fault(fault, pages, index, 1, false) : rc;
}

/* iommufd_demand_ops::nr_pages() */
static unsigned long demand_nr_pages(struct iommu_domain *domain)
{
	return READ_ONCE(demand_iopt(domain)->nr_pages);
}

const struct iommufd_demand_ops iommufd_demand_ops = {
	.pin = demand_pin,
	.unpin = demand_unpin,
	.get_page = demand_get_page,
	.nr_pages = demand_nr_pages,
};

/**
 * iopt_demand_unmap() - Withdraw the pages of an area
 * @iopt: io_pagetable of the area
 * @iova: First address of the area
 * @last_iova: Last address of the area
 *
 * area->pages is NULL already, so nothing is pinned any more.
 */
void iopt_demand_unmap(struct io_pagetable *iopt, unsigned long iova,
		       unsigned long last_iova)
{
	struct iommufd_hwpt_paging *hwpt_paging;
	struct iommu_domain *domain;

	lockdep_assert_held(&iopt->domains_rwsem);

	list_for_each_entry(hwpt_paging, &iopt->demand_list, demand_item) {
		domain = hwpt_paging->common.domain;
		domain->ops->demand_unmap(domain, iova, last_iova);
	}
}

/**
 * iopt_demand_settle() - Uncharge what is charged for nothing
 * @pages: The pages
 *
 * Context: Process context; may sleep. Waits for the mmap_lock.
 */
void iopt_demand_settle(struct iopt_pages *pages)
{
	unsigned long nr;

	xa_lock(&pages->demand);
	nr = pages->demand_stock;
	pages->demand_stock = 0;
	xa_unlock(&pages->demand);
	if (!nr)
		return;
	mmap_write_lock(pages->source_mm);
	__account_locked_vm(pages->source_mm, nr, false, pages->source_task,
			    false);
	mmap_write_unlock(pages->source_mm);
}

/**
 * iopt_demand_release() - Release what is left when pages are released
 * @pages: The pages
 *
 * A pin is left only if the driver could not take the page from the device. The
 * page stays pinned for good, but its owner need not be charged for it.
 */
void iopt_demand_release(struct iopt_pages *pages)
{
	struct iopt_demand_pin *pin;
	unsigned long index, nr = 0;

	xa_for_each(&pages->demand, index, pin) {
		kfree(pin);
		nr++;
	}
	xa_destroy(&pages->demand);
	if (nr)
		demand_uncharge(pages, nr);
	iopt_demand_settle(pages);
}
