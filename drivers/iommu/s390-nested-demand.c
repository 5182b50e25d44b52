// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory that is pinned on demand, for nested domains of the s390 driver
 *
 * The parent maps nothing. What the guest's table names is pinned through the
 * operations of iommufd (struct iommufd_demand_ops), and unpinned when no nested
 * domain maps it any more.
 *
 * Invariants:
 *
 * 1. No operation waits for user space. A page that is not present ends the refresh
 *    with -EAGAIN. s390_nested_refresh() then tells its caller what has to be there.
 *    The caller drops its locks, waits for it, and refreshes again.
 * 2. A page of a guest table is held only while it is read.
 * 3. A guest can't map more frames than the IOAS of the parent maps, and a few; see
 *    s390-nested.c. What the IOAS maps need not be present, so its owner sets that
 *    limit; tables are charged to the memory cgroup.
 *
 * Lifetime: struct nested_demand is freed with the shadow. Operations run while the
 * shadow is not torn down, so the parent exists.
 */

#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/s390_iommu_shadow.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "s390-iommu.h"
#include "s390-shadow.h"

/**
 * struct nested_demand - the guest's memory, as a nested domain sees it
 * @parent: parent domain
 * @base: I/O address of guest absolute address 0 in @parent
 * @entries: frames that are mapped, or about to be
 * @calls: refreshes in progress
 * @lock: protects @calls
 */
struct nested_demand {
	struct iommu_domain	*parent;
	u64			base;
	atomic64_t		entries;
	struct list_head	calls;
	spinlock_t		lock;	/* calls */
};

/**
 * struct demand_call - a refresh in progress
 * @task: the caller
 * @fault: what it has to wait for
 * @node: in &nested_demand.calls
 */
struct demand_call {
	struct task_struct		*task;
	struct iommufd_demand_fault	*fault;
	struct list_head		node;
};

/* Tell the caller of the refresh, which is this task, what it has to wait for */
static void demand_note_fault(struct nested_demand *demand,
			      struct iommufd_demand_fault *fault)
{
	struct demand_call *call;

	if (!fault->kind)
		return;
	scoped_guard(spinlock, &demand->lock)
		list_for_each_entry(call, &demand->calls, node)
			if (call->task == current && !call->fault->kind) {
				*call->fault = *fault;
				return;
			}
	iommufd_demand_fault_put(fault);
}

/**
 * struct demand_reader - reads of guest tables
 * @cursor: place in the parent's memory
 * @demand: the guest's memory
 */
struct demand_reader {
	struct iommufd_demand_cursor	cursor;
	struct nested_demand		*demand;
};

static struct demand_reader demand_reader(struct nested_demand *demand)
{
	return (struct demand_reader) {
		.cursor.domain = demand->parent,
		.cursor.base = demand->base,
		.demand = demand,
	};
}

static const u64 *demand_table(struct demand_reader *reader, u64 gaddr)
{
	struct page *page = iommufd_demand_read_page(&reader->cursor, gaddr);

	return IS_ERR(page) ? ERR_CAST(page) :
			      page_address(page) + offset_in_page(gaddr);
}

static void demand_read_end(struct demand_reader *reader)
{
	struct nested_demand *demand = reader->demand;

	demand->parent->demand_ops->read_end(&reader->cursor);
	demand_note_fault(demand, &reader->cursor.fault);
}

static int demand_read(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	struct demand_reader reader = demand_reader(guest);
	const u64 *src;
	unsigned int n;
	int rc = 0;

	for (; nr; nr -= n, dst += n, gaddr += n * sizeof(*dst)) {
		n = min_t(unsigned int, nr,
			  (PAGE_SIZE - offset_in_page(gaddr)) / sizeof(*dst));
		src = demand_table(&reader, gaddr);
		if (IS_ERR(src)) {
			rc = PTR_ERR(src);
			break;
		}
		memcpy(dst, src, n * sizeof(*dst));
	}
	demand_read_end(&reader);
	return rc;
}

/* Fetch entries that lie in one page */
static int demand_fetch_entries(struct demand_reader *reader, u64 gaddr, u64 *dst,
				unsigned int nr)
{
	const u64 *src = demand_table(reader, gaddr);

	if (IS_ERR(src))
		return PTR_ERR(src);
	while (nr--)
		*dst++ = READ_ONCE(*src++);
	return 0;
}

static int demand_fetch_entry(void *reader, enum zpci_table_level level, u64 gaddr,
			      u64 *entry)
{
	return demand_fetch_entries(reader, gaddr, entry, 1);
}

static int demand_fetch(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	struct demand_reader reader = demand_reader(guest);
	int rc;

	rc = demand_fetch_entries(&reader, gaddr, dst, nr);
	demand_read_end(&reader);
	return rc;
}

static int demand_walk(void *guest, struct dma_walk *path, u64 *pte,
		       unsigned int nr)
{
	struct demand_reader reader = demand_reader(guest);
	int rc;

	rc = dma_walk_trans(path, ZPCI_LEVEL_PT, demand_fetch_entry, &reader);
	/* A page table is 2 KiB, aligned */
	if (rc == ZPCI_ENTRY_TABLE && nr)
		rc = demand_fetch_entries(&reader, path->addr +
					  zpci_table_index(ZPCI_LEVEL_PT, path->iova) *
					  sizeof(*pte), pte, nr) ?: rc;
	demand_read_end(&reader);
	return rc;
}

static long demand_pin(void *guest, const u64 *gaddr, unsigned int nr,
		       struct page **pages)
{
	struct iommufd_demand_fault fault = {};
	struct nested_demand *demand = guest;
	int rc;

	BUILD_BUG_ON(IOMMUFD_DEMAND_READ_ONLY != S390_SHADOW_FRAME_PROTECTED);
	rc = demand->parent->demand_ops->pin(demand->parent, demand->base, gaddr,
					     nr, pages, &fault);
	demand_note_fault(demand, &fault);
	return rc > 0 || rc == -EAGAIN || rc == -ENOMEM ? rc : -EFAULT;
}

/* Charged by @pin, once for all who map a frame. Here: the limit on page tables. */
static int demand_charge(void *guest, unsigned long nr)
{
	struct nested_demand *demand = guest;
	struct iommu_domain *parent = demand->parent;

	if (atomic64_add_return(nr, &demand->entries) <=
	    S390_NESTED_SLACK + parent->demand_ops->nr_pages(parent))
		return 0;
	atomic64_sub(nr, &demand->entries);
	return -ENOMEM;
}

static void demand_uncharge(void *guest, unsigned long nr)
{
	struct nested_demand *demand = guest;

	atomic64_sub(nr, &demand->entries);
}

static void demand_unpin(void *guest, const struct s390_shadow_frame *frames,
			 unsigned int nr)
{
	struct nested_demand *demand = guest;

	demand->parent->demand_ops->unpin(demand->parent, demand->base,
					  &frames->gaddr, sizeof(*frames), nr);
	demand_uncharge(guest, nr);
}

static void demand_release(void *guest)
{
	kfree(guest);
}

const struct s390_shadow_guest_ops s390_demand_guest_ops = {
	.read = demand_read,
	.fetch = demand_fetch,
	.walk = demand_walk,
	.pin = demand_pin,
	.unpin = demand_unpin,
	.charge = demand_charge,
	.uncharge = demand_uncharge,
	.release = demand_release,
};

/**
 * s390_demand_create() - prepare to pin guest memory on demand
 * @parent: parent domain, allocated with IOMMU_HWPT_ALLOC_ON_DEMAND
 * @base: I/O address of guest absolute address 0 in @parent
 *
 * Context: process; sleeps
 * Return: the argument @guest of s390_demand_guest_ops, or NULL if out of memory.
 * The shadow frees it.
 */
void *s390_demand_create(struct iommu_domain *parent, u64 base)
{
	struct nested_demand *demand;

	demand = kzalloc_obj(*demand, GFP_KERNEL_ACCOUNT);
	if (!demand)
		return NULL;
	demand->parent = parent;
	demand->base = base;
	INIT_LIST_HEAD(&demand->calls);
	spin_lock_init(&demand->lock);
	return demand;
}

/**
 * s390_nested_refresh() - call s390_shadow_refresh() for a nested domain
 * @shadow: the shadow of the nested domain; the caller holds a reference
 * @walk: set up by s390_shadow_walk_init()
 * @fault: none; set if the result is -EAGAIN and memory has to be present before the
 *	next call. Then drop all locks and call iommufd_demand_fault_in().
 *
 * Context: process; sleeps
 * Return: as s390_shadow_refresh()
 */
int s390_nested_refresh(struct s390_shadow *shadow, struct s390_shadow_walk *walk,
			struct iommufd_demand_fault *fault)
{
	struct demand_call call = { .task = current, .fault = fault };
	struct nested_demand *demand = shadow->guest;
	int rc;

	if (shadow->ops != &s390_demand_guest_ops)
		return s390_shadow_refresh(shadow, walk);

	scoped_guard(spinlock, &demand->lock)
		list_add(&call.node, &demand->calls);
	rc = s390_shadow_refresh(shadow, walk);
	scoped_guard(spinlock, &demand->lock)
		list_del(&call.node);
	/* Missed by a look-up ahead, and not needed in the end */
	if (rc != -EAGAIN)
		iommufd_demand_fault_put(fault);
	return rc;
}
