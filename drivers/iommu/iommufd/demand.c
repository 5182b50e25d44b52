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
 * 4. A page without users may stay pinned and charged, for the next pin: up to
 *    DEMAND_KEPT pages of a context. They are unpinned when there are more, in least
 *    recently used order; when memory is scarce; when a charge fails; and when memory
 *    is unmapped, or a parent HWPT freed, before that returns. There is no MMU
 *    notifier: who discards memory that an IOAS maps must unmap it first, as with
 *    any memory that is pinned.
 *
 * Locks: iopt->areas_lock protects look-ups of areas. In it, the xa_lock of
 * iopt_pages::demand protects the pins and the charge that is kept. In that,
 * iommufd_demand_cache::lock protects the list of blocks. None of them is held while
 * anything sleeps.
 */
#include <linux/file.h>
#include <linux/interval_tree.h>
#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/list_lru.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "io_pagetable.h"
#include "iommufd_private.h"

/* Pages of a context that may stay pinned without users: 4 MiB */
#define DEMAND_KEPT	1024

/* Fail at the limit of the memory cgroup, rather than to call the OOM killer */
#define DEMAND_GFP	(GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL)

/*
 * Pages that may stay charged after they were unpinned, if the charge takes the
 * mmap_lock, as long as other pages are pinned. More if the lock is contended, until
 * the next call.
 */
#define DEMAND_STOCK	32

/* Pages that have one struct iopt_demand_block */
#define DEMAND_BLOCK	32

/**
 * struct iopt_demand_block - pins of DEMAND_BLOCK consecutive pages
 * @pages: the iopt_pages
 * @nr: index in iopt_pages::demand
 * @item: in iommufd_demand_cache::blocks, if there may be pages without users
 * @lru: in demand_lru while @item is in a list, but for what the shrinker isolates
 * @recent: pages were used since the block was considered last
 * @pinned: number of pages that are pinned
 * @users: for each page, how often iommufd_demand_ops::pin() was called less unpin()
 * @page: each page that is pinned, else NULL
 */
struct iopt_demand_block {
	struct iopt_pages *pages;
	unsigned long nr;
	struct list_head item;
	struct list_head lru;
	bool recent;
	unsigned int pinned;
	unsigned int users[DEMAND_BLOCK];
	struct page *page[DEMAND_BLOCK];
};

static struct kmem_cache *demand_blocks;
static struct list_lru demand_lru;
static struct shrinker *demand_shrinker;

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

/* Like demand_uncharge(). The xa_lock is held. */
static void demand_uncharge_locked(struct iopt_pages *pages, unsigned long nr)
{
	unsigned long keep = xa_empty(&pages->demand) ? 0 : DEMAND_STOCK;
	int rc;

	atomic64_sub(nr, &pages->source_mm->pinned_vm);
	switch (pages->account_mode) {
	case IOPT_PAGES_ACCOUNT_USER:
		decr_user_locked_vm(pages, nr);
		break;
	case IOPT_PAGES_ACCOUNT_MM:
		pages->demand_stock += nr;
		if (pages->demand_stock > keep &&
		    demand_account_mm(pages, pages->demand_stock, false, &rc))
			pages->demand_stock = 0;
		break;
	}
}

/*
 * Uncharge @nr pages that were unpinned. If the mmap_lock is contended, they stay
 * charged until another call, or until iopt_demand_settle().
 */
static void demand_uncharge(struct iopt_pages *pages, unsigned long nr)
{
	xa_lock(&pages->demand);
	demand_uncharge_locked(pages, nr);
	xa_unlock(&pages->demand);
}

/*
 * Unpin what has no users. Frees the block if nothing is left. The xa_lock and the
 * lock of the cache are held.
 */
static void demand_drop(struct iopt_demand_block *block)
{
	struct iopt_pages *pages = block->pages;
	struct page *gone[DEMAND_BLOCK];
	unsigned int i, n = 0;

	list_del_init(&block->item);
	list_lru_del_obj(&demand_lru, &block->lru);
	for (i = 0; i < DEMAND_BLOCK; i++) {
		if (!block->page[i] || block->users[i])
			continue;
		gone[n++] = block->page[i];
		block->page[i] = NULL;
	}
	if (!n)
		return;
	/* They were marked dirty when their last user went */
	unpin_user_pages(gone, n);
	atomic_long_sub(n, &pages->demand_cache->kept);
	block->pinned -= n;
	if (!block->pinned) {
		__xa_erase(&pages->demand, block->nr);
		kmem_cache_free(demand_blocks, block);
	}
	demand_uncharge_locked(pages, n);
}

/* Unpin what was not used recently, until few enough pages are kept */
static void demand_evict(struct iommufd_demand_cache *cache)
{
	struct iopt_demand_block *block;
	struct iopt_pages *pages;

	guard(spinlock)(&cache->lock);
	while (atomic_long_read(&cache->kept) > DEMAND_KEPT &&
	       !list_empty(&cache->blocks)) {
		block = list_first_entry(&cache->blocks, struct iopt_demand_block,
					 item);
		list_move_tail(&block->item, &cache->blocks);
		if (READ_ONCE(block->recent)) {
			WRITE_ONCE(block->recent, false);
			continue;
		}
		/* Against the lock order. Who holds it will be here, too. */
		pages = block->pages;
		if (!xa_trylock(&pages->demand))
			break;
		demand_drop(block);
		xa_unlock(&pages->demand);
	}
}

/* Unpin all that is kept, of @pages or of the context. Return whether that was any. */
static bool demand_drop_all(struct iommufd_demand_cache *cache,
			    struct iopt_pages *pages)
{
	struct iopt_demand_block *block, *next;
	struct iopt_pages *locked;
	bool any = false;

	if (pages && xa_empty(&pages->demand))
		return false;
retry:
	spin_lock(&cache->lock);
	list_for_each_entry_safe(block, next, &cache->blocks, item) {
		locked = block->pages;
		if (pages && pages != locked)
			continue;
		if (!xa_trylock(&locked->demand)) {
			spin_unlock(&cache->lock);
			cpu_relax();
			goto retry;
		}
		demand_drop(block);
		xa_unlock(&locked->demand);
		any = true;
	}
	spin_unlock(&cache->lock);
	return any;
}

/* Pages of the block have no user any more */
static void demand_keep(struct iopt_demand_block *block)
{
	struct iommufd_demand_cache *cache = block->pages->demand_cache;

	if (!list_empty(&block->item))
		return;
	scoped_guard(spinlock, &cache->lock)
		list_add_tail(&block->item, &cache->blocks);
	list_lru_add_obj(&demand_lru, &block->lru);
}

static unsigned long demand_count(struct shrinker *shrinker,
				  struct shrink_control *sc)
{
	return list_lru_shrink_count(&demand_lru, sc);
}

static enum lru_status demand_isolate(struct list_head *item,
				      struct list_lru_one *lru, void *arg)
	__must_hold(&lru->lock)
{
	struct iopt_demand_block *block =
		container_of(item, struct iopt_demand_block, lru);
	/* Stays while it has blocks in the list */
	struct iopt_pages *pages = block->pages;

	/* Against the lock order */
	if (!xa_trylock(&pages->demand))
		return LRU_SKIP;
	list_lru_isolate(lru, item);
	spin_unlock(&lru->lock);
	scoped_guard(spinlock, &pages->demand_cache->lock)
		demand_drop(block);
	xa_unlock(&pages->demand);
	return LRU_REMOVED_RETRY;
}

static unsigned long demand_scan(struct shrinker *shrinker,
				 struct shrink_control *sc)
{
	return list_lru_shrink_walk(&demand_lru, sc, demand_isolate, NULL);
}

/**
 * iopt_demand_init() - Prepare for pages that are pinned on demand
 *
 * Return: 0 or -ENOMEM
 */
int __init iopt_demand_init(void)
{
	demand_blocks = KMEM_CACHE(iopt_demand_block, SLAB_ACCOUNT);
	if (!demand_blocks)
		return -ENOMEM;
	demand_shrinker = shrinker_alloc(SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE,
					 "iommufd-demand");
	if (!demand_shrinker)
		goto err_blocks;
	if (list_lru_init_memcg(&demand_lru, demand_shrinker))
		goto err_shrinker;
	demand_shrinker->count_objects = demand_count;
	demand_shrinker->scan_objects = demand_scan;
	shrinker_register(demand_shrinker);
	return 0;

err_shrinker:
	shrinker_free(demand_shrinker);
err_blocks:
	kmem_cache_destroy(demand_blocks);
	return -ENOMEM;
}

/**
 * iopt_demand_exit() - Undo iopt_demand_init()
 */
void iopt_demand_exit(void)
{
	shrinker_free(demand_shrinker);
	list_lru_destroy(&demand_lru);
	kmem_cache_destroy(demand_blocks);
}

/* Lock what @cursor looks up. The first look-up locks the pins, too. */
static void demand_lock(struct iommufd_demand_cursor *cursor)
{
	cursor->iopt = &to_hwpt_paging(cursor->domain->iommufd_hwpt)->ioas->iopt;
	cursor->area = NULL;
	cursor->pages = NULL;
	read_lock(&cursor->iopt->areas_lock);
}

static void demand_unlock(struct iommufd_demand_cursor *cursor)
{
	struct iommufd_demand_cache *cache = cursor->cache;

	if (cursor->pages)
		xa_unlock(&cursor->pages->demand);
	read_unlock(&cursor->iopt->areas_lock);
	cursor->size = 0;
	if (cursor->kept &&
	    atomic_long_add_return(cursor->kept, &cache->kept) > DEMAND_KEPT)
		demand_evict(cache);
	cursor->kept = 0;
}

static bool demand_move_area(struct iommufd_demand_cursor *cursor,
			     unsigned long iova)
{
	struct interval_tree_node *node;
	struct iopt_pages *pages = NULL;
	struct iopt_area *area;

	node = interval_tree_iter_first(&cursor->iopt->area_itree, iova, iova);
	if (node) {
		area = container_of(node, struct iopt_area, node);
		pages = cursor->unpin ? area->demand_pages : area->pages;
	}
	if (pages && iopt_is_dmabuf(pages))
		pages = NULL;
	if (pages != cursor->pages) {
		if (cursor->pages)
			xa_unlock(&cursor->pages->demand);
		if (pages) {
			xa_lock(&pages->demand);
			cursor->cache = pages->demand_cache;
		}
	}
	cursor->pages = pages;
	cursor->area = pages ? area : NULL;
	return pages;
}

/* Move the cursor to the block of the page at @addr. Return whether there is a page. */
static noinline bool demand_move(struct iommufd_demand_cursor *cursor, u64 addr)
{
	unsigned long iova = cursor->base + (addr & PAGE_MASK);
	unsigned long first, index, slot, before;
	struct iopt_area *area = cursor->area;
	struct iopt_demand_block *block;

	cursor->size = 0;
	if (iova < cursor->base)
		return false;
	if (!area || iova < iopt_area_iova(area) || iova > iopt_area_last_iova(area)) {
		if (!demand_move_area(cursor, iova))
			return false;
		area = cursor->area;
	}
	index = iopt_area_iova_to_index(area, iova);
	slot = index % DEMAND_BLOCK;
	first = max(iopt_area_iova(area), cursor->base);
	before = min(slot, (iova - first) / PAGE_SIZE);
	cursor->index = index - before;
	cursor->addr = (addr & PAGE_MASK) - before * PAGE_SIZE;
	cursor->nr = min(DEMAND_BLOCK - slot,
			 (iopt_area_last_iova(area) - iova) / PAGE_SIZE + 1) + before;
	block = xa_load(&cursor->pages->demand, index / DEMAND_BLOCK);
	cursor->block = block;
	if (!block)
		return true;
	WRITE_ONCE(block->recent, true);
	cursor->page = &block->page[slot - before];
	cursor->users = &block->users[slot - before];
	cursor->size = cursor->nr * PAGE_SIZE;
	return true;
}

/*
 * Find the page at @addr, and move the cursor to its block. Return its place from
 * cursor->addr on, or a negative number if the IOAS has no page there.
 */
static int demand_find(struct iommufd_demand_cursor *cursor, u64 addr)
{
	if ((addr & PAGE_MASK) - cursor->addr >= cursor->size &&
	    !demand_move(cursor, addr))
		return -1;
	return ((addr & PAGE_MASK) - cursor->addr) / PAGE_SIZE;
}

static bool demand_permits(const struct iommufd_demand_cursor *cursor, u64 addr)
{
	return cursor->area->iommu_prot &
	       (addr & IOMMUFD_DEMAND_READ_ONLY ? IOMMU_READ : IOMMU_WRITE);
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

static struct iopt_demand_block *demand_alloc_block(struct iopt_pages *pages,
						    unsigned long nr)
{
	struct iopt_demand_block *block;

	block = kmem_cache_alloc_lru(demand_blocks, &demand_lru,
				     DEMAND_GFP | __GFP_ZERO);
	if (!block)
		return NULL;
	block->pages = pages;
	block->nr = nr;
	INIT_LIST_HEAD(&block->item);
	INIT_LIST_HEAD(&block->lru);
	return block;
}

/* Find the block of a page, or add one. If there is one, its lock is held. */
static struct iopt_demand_block *demand_lock_block(struct iopt_pages *pages,
						   unsigned long index)
{
	struct iopt_demand_block *block, *new = NULL;

	index /= DEMAND_BLOCK;
	xa_lock(&pages->demand);
	for (;;) {
		block = xa_load(&pages->demand, index);
		if (block)
			break;
		xa_unlock(&pages->demand);
		new = new ?: demand_alloc_block(pages, index);
		if (!new)
			return NULL;
		xa_lock(&pages->demand);
		/* May drop the lock to allocate memory */
		switch (__xa_insert(&pages->demand, index, new, DEMAND_GFP)) {
		case 0:
			return new;
		case -EBUSY:
			break;
		default:
			xa_unlock(&pages->demand);
			kmem_cache_free(demand_blocks, new);
			return NULL;
		}
	}
	if (new)
		kmem_cache_free(demand_blocks, new);
	return block;
}

/*
 * Count @nr pages that were pinned and have one block. Return how many, from the
 * first on. Add to @spare how many of the pins are not needed, because another task
 * has pinned the page: they are undone, and @out is set to the other one's.
 */
static int demand_add(struct iopt_pages *pages, unsigned long index,
		      unsigned int nr, struct page **out, unsigned int *spare)
{
	unsigned int i, slot = index % DEMAND_BLOCK, n = 0;
	struct page *twice[DEMAND_BLOCK];
	struct iopt_demand_block *block;

	block = demand_lock_block(pages, index);
	if (!block)
		return 0;
	for (i = 0; i < nr; i++, slot++) {
		if (!++block->users[slot]) {
			block->users[slot]--;
			break;
		}
		if (block->page[slot]) {
			if (block->users[slot] == 1)
				atomic_long_dec(&pages->demand_cache->kept);
			twice[n++] = out[i];
			out[i] = block->page[slot];
		} else {
			block->page[slot] = out[i];
			block->pinned++;
		}
	}
	xa_unlock(&pages->demand);
	unpin_user_pages(twice, n);
	*spare += n;
	return i;
}

/* Pin @nr pages from @index on, which have one block and were not pinned */
static int demand_pin_pages(struct iopt_pages *pages, unsigned long index,
			    unsigned int nr, struct page **out,
			    struct iommufd_demand_fault *fault)
{
	unsigned int done = 0, spare, wanted = nr;
	int got, rc;

	rc = demand_charge(pages, nr, fault);
	if (rc == -ENOMEM && demand_drop_all(pages->demand_cache, NULL))
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
	if (got == -EAGAIN)
		demand_fault(fault, pages, index, wanted, true);

	spare = nr - max(got, 0);
	if (got > 0) {
		done = demand_add(pages, index, got, out, &spare);
		unpin_user_pages(&out[done], got - done);
		spare += got - done;
		got = -ENOMEM;
	}
	if (spare)
		demand_uncharge(pages, spare);
	return done ?: got;
}

/* Take what is pinned already and has one block, from the first page on */
static unsigned int demand_get_run(struct iommufd_demand_cursor *cursor,
				   const u64 *addrs, unsigned int nr,
				   struct page **out)
{
	const u64 first = cursor->addr, size = cursor->size;
	unsigned int *users = cursor->users, i;
	struct page **pages = cursor->page;
	long kept = 0;

	for (i = 0; i < nr; i++) {
		u64 off = (addrs[i] & PAGE_MASK) - first;
		struct page *page;

		if (off >= size)
			break;
		off /= PAGE_SIZE;
		page = pages[off];
		if (!page || users[off] == UINT_MAX)
			break;
		if (!users[off]++)
			kept--;
		out[i] = page;
	}
	cursor->kept += kept;
	return i;
}

/* Take what is pinned already, from the first page on */
static unsigned int demand_get_pinned(struct iommufd_demand_cursor *cursor,
				      const u64 *addrs, unsigned int nr,
				      struct page **out)
{
	const int rw = IOMMU_READ | IOMMU_WRITE;
	unsigned int i, n;

	for (i = 0; i < nr; i += n) {
		if (demand_find(cursor, addrs[i]) < 0 || !demand_permits(cursor, addrs[i]))
			break;
		n = (cursor->area->iommu_prot & rw) == rw ? nr - i : 1;
		n = demand_get_run(cursor, addrs + i, n, out + i);
		if (!n)
			break;
	}
	return i;
}

/*
 * Tell why demand_get_pinned() has not taken the first page: return an error, or how
 * many consecutive pages of its block are not pinned, and set @index to the first.
 */
static int demand_missing(struct iommufd_demand_cursor *cursor, const u64 *addrs,
			  unsigned int nr, unsigned long *index)
{
	int at = demand_find(cursor, addrs[0]), n;

	if (at < 0 || !demand_permits(cursor, addrs[0]))
		return -EFAULT;
	/* It has as many users as can be counted */
	if (cursor->block && cursor->page[at])
		return -ENOMEM;
	*index = cursor->index + at;
	nr = min(nr, cursor->nr - at);
	for (n = 1; n < nr && addrs[n] == addrs[0] + n * PAGE_SIZE; n++)
		if (cursor->block && cursor->page[at + n])
			break;
	return n;
}

/*
 * iommufd_demand_ops::pin(). Returns the number of pages that were pinned, from the
 * first on, or an error.
 */
static int demand_pin(struct iommu_domain *domain, unsigned long base,
		      const u64 *addrs, unsigned int nr, struct page **out,
		      struct iommufd_demand_fault *fault)
{
	struct iommufd_demand_cursor cursor = { .domain = domain, .base = base };
	unsigned int done = 0;
	unsigned long index;
	int rc;

	do {
		demand_lock(&cursor);
		done += demand_get_pinned(&cursor, addrs + done, nr - done, out + done);
		rc = done < nr ? demand_missing(&cursor, addrs + done, nr - done,
						&index) : 0;
		demand_unlock(&cursor);
		/* The area stays until its pages are unpinned, so its pages do, too */
		if (rc > 0)
			rc = demand_pin_pages(cursor.pages, index, rc, out + done,
					      fault);
		if (rc > 0)
			done += rc;
	} while (rc > 0 && done < nr);
	return done ?: rc;
}

/*
 * Give up pages that have one block, from the first on, and return how many. Set
 * @clean to the next one if it has to be marked dirty first, because a device may have
 * written to it. That was done with @marked.
 */
static unsigned int demand_put_run(struct iommufd_demand_cursor *cursor,
				   const void *addrs, size_t stride,
				   unsigned int nr, const struct page *marked,
				   struct page **clean)
{
	const bool writable = cursor->pages->writable;
	const u64 first = cursor->addr, size = cursor->size;
	unsigned int *users = cursor->users, i;
	struct page **pages = cursor->page;
	long kept = 0;

	for (i = 0; i < nr; i++, addrs += stride) {
		u64 off = (*(const u64 *)addrs & PAGE_MASK) - first;
		unsigned int left;

		if (off >= size)
			break;
		off /= PAGE_SIZE;
		left = users[off] - 1;
		if (!left) {
			struct page *page = pages[off];

			if (writable && !folio_test_dirty(page_folio(page)) &&
			    page != marked) {
				*clean = page;
				break;
			}
			kept++;
		} else if (WARN_ON_ONCE(left == UINT_MAX)) {
			continue;
		}
		users[off] = left;
	}
	cursor->kept += kept;
	if (kept)
		demand_keep(cursor->block);
	return i;
}

/* iommufd_demand_ops::unpin() */
static void demand_unpin(struct iommu_domain *domain, unsigned long base,
			 const u64 *addrs, size_t stride, unsigned int nr)
{
	struct iommufd_demand_cursor cursor = {
		.domain = domain,
		.base = base,
		.unpin = true,
	};
	struct page *clean, *marked = NULL;
	unsigned int n;

	demand_lock(&cursor);
	for (; nr; nr -= n, addrs = (const void *)addrs + n * stride) {
		if (WARN_ON_ONCE(demand_find(&cursor, *addrs) < 0 || !cursor.size))
			break;
		clean = NULL;
		n = demand_put_run(&cursor, addrs, stride, nr, marked, &clean);
		if (!clean)
			continue;
		/* It stays pinned, because it has not been given up */
		demand_unlock(&cursor);
		set_page_dirty_lock(clean);
		marked = clean;
		demand_lock(&cursor);
	}
	demand_unlock(&cursor);
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

/* Take a reference on a page that is not pinned */
static int demand_get_page(struct iommufd_demand_cursor *cursor,
			   struct iopt_pages *pages, unsigned long index)
{
	int rc;

	if (pages->type == IOPT_ADDRESS_FILE) {
		cursor->got = demand_cached_page(pages, index);
		rc = cursor->got ? 0 : -EAGAIN;
	} else {
		rc = demand_get_user(pages, index, &cursor->got);
	}
	return rc == -EAGAIN ?
	       demand_fault(&cursor->fault, pages, index, 1, false) : rc;
}

/* iommufd_demand_ops::read_end() */
static void demand_read_end(struct iommufd_demand_cursor *cursor)
{
	if (cursor->got) {
		put_page(cursor->got);
		cursor->got = NULL;
	} else if (cursor->locked) {
		demand_unlock(cursor);
		cursor->locked = false;
	}
}

/* Pin a page that is read, so that the next read finds it */
static bool demand_keep_page(struct iommufd_demand_cursor *cursor,
			     struct iopt_pages *pages, unsigned long index,
			     u64 addr)
{
	struct iommufd_demand_fault fault = {};
	struct page *page;

	if (demand_pin_pages(pages, index, 1, &page, &fault) == 1) {
		demand_unpin(cursor->domain, cursor->base, &addr, 0, 1);
		return true;
	}
	iommufd_demand_fault_put(&fault);
	return false;
}

/* The next look-up of the page must not find it in the cursor */
static struct page *demand_unreadable(struct iommufd_demand_cursor *cursor)
{
	cursor->size = 0;
	return ERR_PTR(-EFAULT);
}

/* iommufd_demand_ops::read_page() */
static struct page *demand_read_page(struct iommufd_demand_cursor *cursor, u64 addr)
{
	bool keep = true;
	int at, rc;

retry:
	if (!cursor->locked) {
		demand_read_end(cursor);
		demand_lock(cursor);
		cursor->locked = true;
	}
	at = demand_find(cursor, addr);
	if (at < 0 || !(cursor->area->iommu_prot & IOMMU_READ))
		return demand_unreadable(cursor);
	if (cursor->block && cursor->page[at])
		return cursor->page[at];
	demand_read_end(cursor);
	if (keep) {
		keep = false;
		if (demand_keep_page(cursor, cursor->pages, cursor->index + at, addr))
			goto retry;
	}
	rc = demand_get_page(cursor, cursor->pages, cursor->index + at);
	return rc ? ERR_PTR(rc) : cursor->got;
}

/* iommufd_demand_ops::nr_pages() */
static unsigned long demand_nr_pages(struct iommu_domain *domain)
{
	struct io_pagetable *iopt = &to_hwpt_paging(domain->iommufd_hwpt)->ioas->iopt;

	return READ_ONCE(iopt->nr_pages);
}

const struct iommufd_demand_ops iommufd_demand_ops = {
	.pin = demand_pin,
	.unpin = demand_unpin,
	.read_page = demand_read_page,
	.read_end = demand_read_end,
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
 * iopt_demand_settle() - Unpin and uncharge what is kept for nothing
 * @pages: The pages
 *
 * Context: Process context; may sleep. Waits for the mmap_lock.
 */
void iopt_demand_settle(struct iopt_pages *pages)
{
	unsigned long nr;

	demand_drop_all(pages->demand_cache, pages);
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
	struct iopt_demand_block *block;
	unsigned long index, nr = 0;

	demand_drop_all(pages->demand_cache, pages);
	xa_for_each(&pages->demand, index, block) {
		nr += block->pinned;
		kmem_cache_free(demand_blocks, block);
	}
	xa_destroy(&pages->demand);
	if (nr)
		demand_uncharge(pages, nr);
	iopt_demand_settle(pages);
}
