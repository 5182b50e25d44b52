// SPDX-License-Identifier: GPL-2.0
/*
 * Nested domains of the s390 IOMMU driver
 *
 * A guest builds the I/O translation table of a function in its own memory. A
 * nested domain mirrors that table into a host table, with which the function
 * translates (see s390-shadow.c). The guest's memory is what the parent domain
 * maps: guest absolute address 0 is at I/O address @base of the parent.
 *
 * Invariants:
 *
 * 1. Only the shadow writes the host table of a nested domain. A nested domain
 *    has no map operation.
 * 2. Nothing is pinned here, and nothing is read by way of user addresses: the
 *    owner of the parent domain keeps every page pinned that the parent maps. A
 *    parent that maps nothing is another matter, see s390-nested-demand.c.
 * 3. When an unmap of the parent returns, no attached function can reach the
 *    pages by way of a nested domain, and no refresh reads them. The parent's
 *    entry is invalidated first. s390_nested_unmap() then clears what earlier
 *    look-ups have installed, and waits for refreshes in progress. If the
 *    machine does not forget a translation, the function loses its table; if
 *    it does not lose that either, references on the pages are leaked.
 * 4. A guest can't map more frames than the parent maps, and a few. So host page
 *    tables take at most as much memory as the guest has; tables above them are
 *    in proportion (s390-shadow-prune.c). All are charged to the memory cgroup.
 * 5. Attach, detach and allocation neither walk tables nor wait for user space.
 *
 * Lifetime: iommufd holds the nested domain and, for it, the parent. The shadow
 * has references of its own, because nested_get_shadow() may find it just before
 * nested_free() tears it down; later refreshes return -ENODEV.
 *
 * Lock order: group->mutex of the IOMMU core or the locks of iommufd's unmap ->
 * children_lock of the parent -> locks of the shadow -> attach_lock of the
 * nested domain -> zdev->ioat_lock.
 */

#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/s390_iommu_shadow.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "s390-iommu.h"
#include "s390-iotable.h"
#include "s390-shadow.h"

/**
 * struct s390_nested_domain - a guest's I/O address space
 * @rcu: for kfree_rcu()
 * @domain: what the IOMMU core knows
 * @parent: maps the guest's memory; iommufd keeps it while this exists
 * @shadow: mirrors the guest's table; referenced
 * @base: I/O address of guest absolute address 0 in @parent
 * @entries: frames that are mapped, or about to be
 * @node: in &s390_domain.children of @parent
 * @zdev: the function that translates with @shadow, or NULL; under @attach_lock
 * @busy: a function is attached, or being attached; under @attach_lock
 * @dead: no function may be attached any more; under @attach_lock
 * @stuck: a function may still translate with @shadow; under @attach_lock
 * @leaked: so @shadow is never freed, and has references on its frames
 * @attach_lock: read: a host refresh is in progress; write: attach and detach
 */
struct s390_nested_domain {
	struct rcu_head		rcu;
	struct iommu_domain	domain;
	struct s390_domain	*parent;
	struct s390_shadow	*shadow;
	u64			base;
	atomic64_t		entries;
	struct list_head	node;
	struct zpci_dev		*zdev;
	bool			busy;
	bool			dead;
	bool			stuck;
	bool			leaked;
	struct rw_semaphore	attach_lock;	/* zdev, busy, dead, stuck */
};

static struct s390_nested_domain *to_nested(struct iommu_domain *domain)
{
	return container_of(domain, struct s390_nested_domain, domain);
}

/**
 * struct nested_cursor - place in the parent's table
 * @nested: the nested domain
 * @segment: I/O address of the segment that was looked up last, U64_MAX for none
 * @pt: the parent's page table of that segment; it exists as long as the parent
 *
 * Tables, and frames, often lie close together.
 */
struct nested_cursor {
	const struct s390_nested_domain *nested;
	u64 segment;
	const unsigned long *pt;
};

static struct nested_cursor nested_cursor(const struct s390_nested_domain *nested)
{
	return (struct nested_cursor) { .nested = nested, .segment = U64_MAX };
}

static noinline bool nested_move_cursor(struct nested_cursor *cursor, u64 iova)
{
	const struct s390_domain *parent = cursor->nested->parent;
	const unsigned long *pt;

	if (iova > parent->domain.geometry.aperture_end)
		return false;
	pt = dma_lookup_table(parent->dma_table, parent->top, ZPCI_LEVEL_PT, iova);
	if (!pt)
		return false;
	cursor->pt = pt;
	cursor->segment = iova & ZPCI_SEGMENT_MASK;
	return true;
}

/* Find the page that the parent maps for @gaddr */
static __always_inline int nested_lookup(struct nested_cursor *cursor, u64 gaddr,
					 bool write, u64 *addr)
{
	const struct s390_nested_domain *nested = cursor->nested;
	unsigned long pte;
	u64 iova;

	if (check_add_overflow(gaddr, nested->base, &iova))
		return -EFAULT;
	if ((iova & ZPCI_SEGMENT_MASK) != cursor->segment &&
	    !nested_move_cursor(cursor, iova))
		return -EFAULT;
	pte = READ_ONCE(cursor->pt[zpci_table_index(ZPCI_LEVEL_PT, iova)]);
	if (!pt_entry_isvalid(pte) || (write && pte & ZPCI_TABLE_PROTECTED))
		return -EFAULT;
	*addr = pte & ZPCI_PTE_ADDR_MASK;
	/* Pairs with s390_iommu_note_io() */
	smp_rmb();
	if (unlikely(READ_ONCE(nested->parent->maps_io)) &&
	    !s390_iommu_is_memory(PHYS_PFN(*addr)))
		return -EFAULT;
	return 0;
}

static int nested_read(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	struct nested_cursor cursor = nested_cursor(guest);
	unsigned int n;
	u64 addr;
	int rc;

	for (; nr; nr -= n, dst += n, gaddr += n * sizeof(*dst)) {
		n = min_t(unsigned int, nr,
			  (PAGE_SIZE - offset_in_page(gaddr)) / sizeof(*dst));
		rc = nested_lookup(&cursor, gaddr, false, &addr);
		if (rc)
			return rc;
		memcpy(dst, phys_to_virt(addr + offset_in_page(gaddr)),
		       n * sizeof(*dst));
	}
	return 0;
}

/* Fetch entries that lie in one page */
static __always_inline int nested_fetch_entries(struct nested_cursor *cursor,
						u64 gaddr, u64 *dst,
						unsigned int nr)
{
	const u64 *src;
	u64 addr;
	int rc;

	rc = nested_lookup(cursor, gaddr, false, &addr);
	if (rc)
		return rc;
	src = phys_to_virt(addr + offset_in_page(gaddr));
	while (nr--)
		*dst++ = READ_ONCE(*src++);
	return 0;
}

static __always_inline int nested_fetch_entry(void *cursor, enum zpci_table_level level,
					      u64 gaddr, u64 *entry)
{
	return nested_fetch_entries(cursor, gaddr, entry, 1);
}

static int nested_fetch(void *guest, u64 gaddr, u64 *dst, unsigned int nr)
{
	struct nested_cursor cursor = nested_cursor(guest);

	return nested_fetch_entries(&cursor, gaddr, dst, nr);
}

static int nested_walk(void *guest, struct dma_walk *path, u64 *pte,
		       unsigned int nr)
{
	struct nested_cursor cursor = nested_cursor(guest);
	int rc;

	rc = dma_walk_trans(path, ZPCI_LEVEL_PT, nested_fetch_entry, &cursor);
	if (rc != ZPCI_ENTRY_TABLE || !nr)
		return rc;
	/* A page table is 2 KiB, aligned */
	return nested_fetch_entries(&cursor, path->addr +
				    zpci_table_index(ZPCI_LEVEL_PT, path->iova) *
				    sizeof(*pte), pte, nr) ?: rc;
}

static long nested_pin(void *guest, const u64 *gaddr, unsigned int nr,
		       struct page **pages)
{
	struct nested_cursor cursor = nested_cursor(guest);
	long i, rc;
	u64 addr;

	for (i = 0; i < nr; i++) {
		rc = nested_lookup(&cursor, gaddr[i] & PAGE_MASK,
				   !(gaddr[i] & S390_SHADOW_FRAME_PROTECTED),
				   &addr);
		if (rc)
			return i ?: rc;
		pages[i] = phys_to_page(addr);
	}
	return nr;
}

/*
 * The parent's owner pins and charges frames: invariant 2. Limit the page tables
 * that a guest can make the host allocate: a few tables of its own may name the
 * same frame at any number of I/O addresses.
 */
static int nested_charge(void *guest, unsigned long nr)
{
	struct s390_nested_domain *nested = guest;

	if (atomic64_add_return(nr, &nested->entries) <=
	    S390_NESTED_SLACK + atomic64_read(&nested->parent->nr_mapped))
		return 0;
	atomic64_sub(nr, &nested->entries);
	return -ENOMEM;
}

static void nested_uncharge(void *guest, unsigned long nr)
{
	struct s390_nested_domain *nested = guest;

	atomic64_sub(nr, &nested->entries);
}

static void nested_unpin(void *guest, const struct s390_shadow_frame *frames,
			 unsigned int nr)
{
	nested_uncharge(guest, nr);
}

static const struct s390_shadow_guest_ops nested_guest_ops = {
	.read = nested_read,
	.fetch = nested_fetch,
	.walk = nested_walk,
	.pin = nested_pin,
	.unpin = nested_unpin,
	.charge = nested_charge,
	.uncharge = nested_uncharge,
};

static int nested_host_refresh(void *host, u64 start, u64 size)
{
	struct s390_nested_domain *nested = host;

	guard(rwsem_read)(&nested->attach_lock);
	if (nested->stuck)
		return -EIO;
	/* Without a function there are no translations to forget */
	if (!nested->zdev)
		return 0;
	return zpci_refresh_dma_table(nested->zdev, nested->shadow->iota, start,
				      size);
}

static void leak_pt(const unsigned long *pt)
{
	unsigned int px;

	for (px = 0; px < ZPCI_PT_ENTRIES; px++)
		if (pt_entry_isvalid(pt[px]))
			get_page(phys_to_page(pt[px] & ZPCI_PTE_ADDR_MASK));
}

/*
 * The machine does not take the table from the function. Keep the table, and
 * references on all pages that the function may reach by it, for good.
 */
static void nested_leak(struct s390_nested_domain *nested)
{
	struct s390_shadow *shadow = nested->shadow;
	struct s390_shadow_batch *batch;
	u64 iova = shadow->cfg.pba & ZPCI_SEGMENT_MASK;
	unsigned long *step;
	unsigned int i;

	/* Refreshes end, and what is mapped stays as it is */
	WRITE_ONCE(shadow->dead, true);
	down_write(&shadow->tree_lock);
	if (nested->leaked)
		goto out;
	nested->leaked = true;
	shadow->gone = true;
	while (dma_find_seg_trans(shadow->root, shadow->top, &iova,
				  shadow->cfg.pal)) {
		step = dma_lookup_seg_trans(shadow->root, shadow->top, iova);
		leak_pt(dma_next_cpu_table(ZPCI_LEVEL_ST, *step));
		iova = zpci_span_last(ZPCI_LEVEL_ST, iova);
		if (iova >= shadow->cfg.pal)
			break;
		iova++;
	}
	/*
	 * Invalid in the table, but the host refresh has failed. A page may have
	 * been unpinned since, after another refresh.
	 */
	list_for_each_entry(batch, &shadow->failed_batches, node)
		for (i = 0; i < batch->nr; i++)
			folio_try_get(page_folio(phys_to_page(batch->frames[i].addr)));
out:
	up_write(&shadow->tree_lock);
}

/* The function does not forget translations. Take its table away. */
static void nested_host_detach(void *host)
{
	struct s390_nested_domain *nested = host;

	down_write(&nested->attach_lock);
	nested->dead = true;
	if (nested->zdev && !zpci_drop_dma_table(nested->zdev))
		nested->stuck = true;
	up_write(&nested->attach_lock);
	if (nested->stuck)
		nested_leak(nested);
	else
		s390_shadow_engine_teardown(nested->shadow);
}

static const struct s390_shadow_host_ops nested_host_ops = {
	.refresh = nested_host_refresh,
	.detach = nested_host_detach,
};

/**
 * s390_nested_unmap() - the parent of nested domains has unmapped a range
 * @parent: the parent domain, whose entries are invalid already
 * @first: first I/O address in @parent
 * @last: last I/O address in @parent
 *
 * Context: process; sleeps. Does not allocate, does not fail.
 */
void s390_nested_unmap(struct s390_domain *parent, u64 first, u64 last)
{
	struct s390_nested_domain *nested;

	guard(mutex)(&parent->children_lock);
	list_for_each_entry(nested, &parent->children, node) {
		if (last < nested->base)
			continue;
		s390_shadow_unmap_gpa_range(nested->shadow,
					    max(first, nested->base) - nested->base,
					    last - nested->base);
	}
}

/*
 * A hypervisor that keeps a copy of the table (tlb_refresh) does not know what was
 * mapped for an earlier attach. If it lacks resources, the next refresh retries.
 */
static void nested_refresh_mapped(struct s390_shadow *shadow,
				  struct zpci_dev *zdev)
{
	if (!zdev->tlb_refresh ||
	    atomic64_read(&shadow->mapped) == atomic64_read(&shadow->unmapped))
		return;
	scoped_guard(mutex, &shadow->failed_lock)
		WRITE_ONCE(shadow->flush_failed, true);
	guard(rwsem_read)(&shadow->tree_lock);
	if (!shadow->dead)
		s390_shadow_retry_flush(shadow);
}

static int nested_attach_dev(struct iommu_domain *domain, struct device *dev,
			     struct iommu_domain *old)
{
	struct s390_nested_domain *nested = to_nested(domain);
	struct s390_shadow *shadow = nested->shadow;
	struct zpci_dev *zdev = to_zpci_dev(dev);
	int rc;

	/* All that can be wrong is found before DMA is blocked */
	if (shadow->cfg.pba < zdev->start_dma || shadow->cfg.pal > zdev->max_dma ||
	    (shadow->top > ZPCI_LEVEL_RT &&
	     !zpci_level_in_dtsm(shadow->top, zdev->dtsm)) ||
	    (zdev->tlb_refresh && !shadow->refresh_new))
		return -EINVAL;
	scoped_guard(rwsem_write, &nested->attach_lock) {
		if (nested->dead || nested->busy)
			return -EINVAL;
		nested->busy = true;
	}

	s390_iommu_block(dev, old);
	scoped_guard(rwsem_write, &nested->attach_lock) {
		rc = nested->dead ? -EINVAL :
		     zpci_set_dma_table(zdev, shadow->iota, shadow->cfg.pba,
					shadow->cfg.pal);
		/* If it is in error state or gone, a reset registers the table */
		if (rc == -ENODEV)
			rc = 0;
		if (!rc) {
			nested->zdev = zdev;
		} else {
			nested->busy = false;
			zpci_drop_dma_table(zdev);
		}
	}
	if (rc)
		goto fail;
	nested_refresh_mapped(shadow, zdev);
	s390_iommu_set_domain(zdev, domain);
	return 0;

fail:
	if (old && old->ops->attach_dev(old, dev, NULL))
		pr_err("%08x: DMA is blocked: neither the new nor the previous I/O translation table can be registered; reset the function\n",
		       zdev->fid);
	return rc;
}

/**
 * s390_nested_detach() - take its table from the function of a nested domain
 * @domain: the nested domain that is attached
 *
 * Context: process; sleeps. The group's mutex is held.
 */
void s390_nested_detach(struct iommu_domain *domain)
{
	struct s390_nested_domain *nested = to_nested(domain);

	down_write(&nested->attach_lock);
	if (!zpci_drop_dma_table(nested->zdev)) {
		nested->stuck = true;
		nested->dead = true;
	}
	nested->zdev = NULL;
	nested->busy = false;
	up_write(&nested->attach_lock);
	if (nested->stuck)
		nested_leak(nested);
}

static void nested_free(struct iommu_domain *domain)
{
	struct s390_nested_domain *nested = to_nested(domain);

	/* Refreshes in progress end here, later ones return -ENODEV */
	if (!nested->leaked)
		s390_shadow_engine_teardown(nested->shadow);
	/* Not earlier: until then an unmap of the parent waits for refreshes */
	scoped_guard(mutex, &nested->parent->children_lock)
		list_del(&nested->node);
	if (nested->leaked)
		return;
	s390_shadow_put(nested->shadow);
	kfree_rcu(nested, rcu);
}

/* A guest can make a refresh last as long as it likes. Return after this time. */
#define NESTED_REFRESH_TIME	(2 * HZ)

/* What a refresh ended with, as user space reads it */
static u32 nested_status(int rc)
{
	switch (rc) {
	case 0:
		return IOMMU_S390_ZPCI_REFRESH_DONE;
	case -EAGAIN:
	case -EINTR:
		return IOMMU_S390_ZPCI_REFRESH_INTERRUPTED;
	case -ENOMEM:
		return IOMMU_S390_ZPCI_REFRESH_NO_RESOURCES;
	case -EINVAL:
		return IOMMU_S390_ZPCI_REFRESH_BAD_ENTRY;
	case -EFAULT:
		return IOMMU_S390_ZPCI_REFRESH_BAD_ADDRESS;
	default:
		return IOMMU_S390_ZPCI_REFRESH_HOST_ERROR;
	}
}

/*
 * Refresh [first, last]. Set @next to the address where an error stopped it. The
 * caller holds the HWPT, and IOMMU_DESTROY waits for that: do not work for long.
 */
static int shadow_refresh_range(struct s390_shadow *shadow, u64 first, u64 last,
				unsigned long end, u64 *next,
				struct iommufd_demand_fault *fault)
{
	struct s390_shadow_walk walk;
	int rc;

	s390_shadow_walk_init(&walk, first, last);
	do {
		rc = s390_nested_refresh(shadow, &walk, fault);
		cond_resched();
	} while (rc == -EAGAIN && !fault->kind && time_before(jiffies, end));
	if (rc == -EAGAIN && !fault->kind)
		rc = -EINTR;
	/* A pass that only gives back has left out what was to be mapped */
	*next = walk.pass != S390_SHADOW_PASS_MAP ? first : walk.next;
	return rc;
}

static int nested_invalidate_one(struct s390_shadow *shadow,
				 const struct iommu_user_data *entry,
				 unsigned long end,
				 struct iommufd_demand_fault *fault)
{
	struct iommu_hwpt_s390_zpci_invalidate inv;
	int rc, rc_copy;

	rc = iommu_copy_struct_from_user(&inv, entry,
					 IOMMU_HWPT_INVALIDATE_DATA_S390_ZPCI,
					 flags);
	if (rc)
		return rc;
	if (inv.flags)
		return -EOPNOTSUPP;
	if (inv.first > inv.last || offset_in_page(inv.first) ||
	    !PAGE_ALIGNED(inv.last + 1) || inv.first < shadow->cfg.pba ||
	    inv.last > shadow->cfg.pal)
		return -EINVAL;

	rc = shadow_refresh_range(shadow, inv.first, inv.last, end, &inv.next,
				  fault);
	inv.status = nested_status(rc);
	rc_copy = iommu_copy_struct_to_user(entry, &inv,
					    IOMMU_HWPT_INVALIDATE_DATA_S390_ZPCI,
					    flags);
	if (rc && rc != -EINTR && rc != -EAGAIN)
		rc = -EIO;
	if (rc_copy) {
		iommufd_demand_fault_put(fault);
		return rc_copy;
	}
	/* If the memory that is awaited can't be present */
	fault->failed_uptr = entry->uptr +
			     offsetof(struct iommu_hwpt_s390_zpci_invalidate, status);
	fault->failed = IOMMU_S390_ZPCI_REFRESH_BAD_ADDRESS;
	return rc;
}

static int nested_cache_invalidate_user(struct iommu_domain *domain,
					struct iommu_user_data_array *array)
{
	struct s390_shadow *shadow = to_nested(domain)->shadow;
	struct iommu_user_data entry = {
		.type = array->type,
		.uptr = array->uptr,
		.len = array->entry_len,
	};
	unsigned long end = jiffies + NESTED_REFRESH_TIME;
	u32 i, nr = array->entry_num;
	int rc = 0;

	array->entry_num = 0;
	if (array->type != IOMMU_HWPT_INVALIDATE_DATA_S390_ZPCI)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		if (i && (time_after(jiffies, end) || signal_pending(current)))
			rc = -EINTR;
		else
			rc = nested_invalidate_one(shadow, &entry, end,
						   array->fault);
		if (rc)
			break;
		array->entry_num = i + 1;
		entry.uptr += entry.len;
	}
	return rc;
}

/* Take a reference on the shadow of the nested domain of @zdev, or return NULL */
static struct s390_shadow *nested_get_shadow(struct zpci_dev *zdev)
{
	struct iommu_domain *domain;

	/* Domains that are freed are freed after a grace period */
	guard(rcu)();
	/* Pairs with zdev_s390_domain_update() */
	domain = smp_load_acquire(&zdev->s390_domain);
	if (!domain || domain->type != IOMMU_DOMAIN_NESTED)
		return NULL;
	return s390_shadow_get(to_nested(domain)->shadow);
}

/*
 * Set up @walk for the part of the @len bytes at @start that lies in the aperture.
 * Ranges are clipped as by QEMU's rpcit_service_call() (hw/s390x/s390-pci-inst.c),
 * which raises an error event where this returns -ERANGE.
 *
 * Return: 1 if there is a range to refresh, 0 if not, or -ERANGE
 */
static int nested_clip(const struct s390_shadow *shadow, u64 start, u64 len,
		       struct s390_shadow_walk *walk)
{
	u64 pba = shadow->cfg.pba, pal = shadow->cfg.pal;
	u64 first = max(start, pba), last = start + len - 1;

	/* Wraps around, ends below the aperture or starts above it */
	if ((len && last < start) || start > pal ||
	    (start < pba && pba - start > len))
		return -ERANGE;

	/* Succeed if the range is empty or ends where the aperture starts */
	if (!len || last < first)
		return 0;

	/* Round to frames: the aperture consists of whole frames */
	s390_shadow_walk_init(walk, first & PAGE_MASK, min(last, pal) | ~PAGE_MASK);
	walk->shadow_nr = shadow->nr;
	return 1;
}

/* Refresh for a while; -EAGAIN if there is more to do */
static int nested_refresh_some(struct s390_shadow *shadow, u64 start, u64 len,
			       struct s390_shadow_walk *walk,
			       struct iommufd_demand_fault *fault)
{
	int rc;

	/* Another table since the previous call: begin anew */
	if (walk->shadow_nr != shadow->nr) {
		rc = nested_clip(shadow, start, len, walk);
		if (rc <= 0)
			return rc;
	}
	return s390_nested_refresh(shadow, walk, fault);
}

/**
 * s390_iommu_refresh() - refresh the nested domain of a function
 * @zdev: the function, which the caller keeps from being freed
 * @start: first I/O address, as in a guest's RPCIT
 * @len: number of bytes, as in a guest's RPCIT
 * @walk: how far the refresh came; zeroed before the first call
 *
 * For KVM, which answers RPCIT of a guest. Does what IOMMU_HWPT_INVALIDATE does, for
 * the part of the range that lies in the aperture of the nested domain that @zdev is
 * attached to. The domain may be detached, replaced or destroyed meanwhile: none of
 * that waits for this function. If it is replaced, the refresh begins anew.
 *
 * Context: process; sleeps. The caller holds no lock that anybody else needs: this
 * may wait until user space provides memory that the guest's table names.
 * Return:
 * * 0	     - the function translates as the guest's table says
 * * -EINTR  - a signal is pending: handle it, then call again with the same @walk
 * * -ENOMEM - out of memory, or a limit of the host or of the underlying hypervisor
 *	       is reached
 * * -ENODEV - no nested domain is attached, or it is not usable any more
 * * -ERANGE - no part of the range is in the aperture
 * * -EINVAL - an entry of the guest's table is malformed
 * * -EFAULT - the guest's table or a frame is not in guest memory
 * * -EIO    - the host refresh failed
 */
int s390_iommu_refresh(struct zpci_dev *zdev, u64 start, u64 len,
		       struct s390_shadow_walk *walk)
{
	struct iommufd_demand_fault fault = {};
	struct s390_shadow *shadow;
	int rc;

	for (;;) {
		shadow = nested_get_shadow(zdev);
		if (!shadow)
			return -ENODEV;
		rc = nested_refresh_some(shadow, start, len, walk, &fault);
		s390_shadow_put(shadow);
		if (rc != -EAGAIN)
			return rc;
		if (signal_pending(current)) {
			iommufd_demand_fault_put(&fault);
			return -EINTR;
		}
		rc = iommufd_demand_fault_in(&fault);
		if (rc)
			return rc;
		cond_resched();
	}
}
EXPORT_SYMBOL_GPL(s390_iommu_refresh);

/**
 * s390_nested_hw_info() - describe the guest tables that can be mirrored
 * @info: its fields @designations and @frame_sizes are set
 *
 * Context: any
 */
void s390_nested_hw_info(struct iommu_hw_info_s390_zpci *info)
{
	info->designations = s390_shadow_designations();
	info->frame_sizes = s390_shadow_frame_sizes();
}

/**
 * s390_shadow_show() - print the counters of a function's nested domain
 * @zdev: the function
 * @m: output, a file in the function's debugfs directory
 *
 * Prints nothing if no nested domain is attached.
 *
 * Context: process. Takes no lock.
 */
void s390_shadow_show(struct zpci_dev *zdev, struct seq_file *m)
{
	struct s390_shadow *shadow = nested_get_shadow(zdev);
	struct s390_shadow_stats stats;

	if (!shadow)
		return;
	s390_shadow_stats(shadow, &stats);
	s390_shadow_put(shadow);

	seq_puts(m, "Shadow of a guest's I/O address space:\n");
	seq_printf(m, "%26s:\t%llu\n", "Frames mapped now",
		   stats.mapped - stats.unmapped);
	seq_printf(m, "%26s:\t%llu\n", "Frames pinned now", stats.pinned);
	seq_printf(m, "%26s:\t%llu\n", "Frames pinned at peak",
		   stats.pinned_peak);
	seq_printf(m, "%26s:\t%llu\n", "Frames mapped", stats.mapped);
	seq_printf(m, "%26s:\t%llu\n", "Frames unmapped", stats.unmapped);
	seq_printf(m, "%26s:\t%llu\n", "Guest refreshes", stats.walks);
	seq_printf(m, "%26s:\t%llu\n", "Host RPCITs", stats.refreshes);
	seq_printf(m, "%26s:\t%llu\n", "Host RPCITs failed",
		   stats.refresh_errors);
	seq_printf(m, "%26s:\t%llu\n", "Tables now", stats.tables);
	seq_printf(m, "%26s:\t%llu\n", "Tables pruned", stats.tables_pruned);
	seq_printf(m, "%26s:\t%llu\n", "Refused, no resources",
		   stats.refused_nomem);
	seq_printf(m, "%26s:\t%llu\n", "Refused, bad entry",
		   stats.refused_format);
	seq_printf(m, "%26s:\t%llu\n", "Refused, no such memory",
		   stats.refused_memory);
	seq_printf(m, "%26s:\t%llu\n", "Refused, host RPCIT failed",
		   stats.refused_host);
	seq_printf(m, "%26s:\t%llu\n", "Interrupted by a signal",
		   stats.interrupted);
}

static const struct iommu_domain_ops s390_nested_ops = {
	.attach_dev = nested_attach_dev,
	.cache_invalidate_user = nested_cache_invalidate_user,
	.free = nested_free,
};

/*
 * Choose the smallest host table that the function supports and that reaches the
 * end of the aperture. The largest one reaches max_dma.
 */
static struct s390_shadow *
nested_alloc_shadow(struct zpci_dev *zdev, const struct s390_shadow_config *cfg,
		    const struct s390_shadow_guest_ops *ops, void *guest,
		    struct s390_nested_domain *nested)
{
	enum zpci_table_level top = ZPCI_LEVEL_RT;
	struct s390_shadow *shadow;
	int rc;

	rc = s390_shadow_config_check(cfg);
	if (rc)
		return ERR_PTR(rc);
	if (cfg->pba < zdev->start_dma || cfg->pal > zdev->max_dma)
		return ERR_PTR(-EINVAL);

	while (zpci_table_last(top) < cfg->pal ||
	       (top > ZPCI_LEVEL_RT && !zpci_level_in_dtsm(top, zdev->dtsm)))
		top++;
	shadow = s390_shadow_engine_create(cfg, top, ops, guest, &nested_host_ops,
					   nested, zdev->tlb_refresh, zdev->fid);
	return shadow ?: ERR_PTR(-ENOMEM);
}

/**
 * s390_domain_alloc_nested() - allocate a nested domain
 * @dev: the function that it is for
 * @parent: maps the guest's memory; allocated with IOMMU_HWPT_ALLOC_NEST_PARENT
 * @flags: none is defined
 * @user_data: a struct iommu_hwpt_s390_zpci
 *
 * Nothing is mirrored before the first refresh.
 *
 * Context: process; sleeps
 * Return: the domain, or
 * * -EOPNOTSUPP - a flag, or the format of the guest's table, is not supported
 * * -EINVAL	 - a parameter is malformed, or out of reach of the function
 * * -ENOMEM	 - no memory
 */
struct iommu_domain *
s390_domain_alloc_nested(struct device *dev, struct iommu_domain *parent,
			 u32 flags, const struct iommu_user_data *user_data)
{
	const struct s390_shadow_guest_ops *ops = &nested_guest_ops;
	struct s390_nested_domain *nested;
	struct iommu_hwpt_s390_zpci data;
	struct s390_shadow_config cfg;
	void *guest;
	int rc;

	if (flags)
		return ERR_PTR(-EOPNOTSUPP);
	rc = iommu_copy_struct_from_user(&data, user_data,
					 IOMMU_HWPT_DATA_S390_ZPCI, __reserved);
	if (rc)
		return ERR_PTR(rc);
	if (data.flags || data.__reserved)
		return ERR_PTR(-EOPNOTSUPP);
	cfg = (struct s390_shadow_config) {
		.iota = data.iota,
		.pba = data.pba,
		.pal = data.pal,
	};
	if (offset_in_page(data.base) || !to_s390_domain(parent)->nest_parent)
		return ERR_PTR(-EINVAL);

	nested = kzalloc_obj(*nested, GFP_KERNEL_ACCOUNT);
	if (!nested)
		return ERR_PTR(-ENOMEM);
	guest = nested;
	if (parent->demand_ops) {
		ops = &s390_demand_guest_ops;
		guest = s390_demand_create(parent, data.base);
		if (!guest) {
			rc = -ENOMEM;
			goto free_nested;
		}
	}
	nested->shadow = nested_alloc_shadow(to_zpci_dev(dev), &cfg, ops, guest,
					     nested);
	if (IS_ERR(nested->shadow)) {
		rc = PTR_ERR(nested->shadow);
		if (guest != nested)
			kfree(guest);
		goto free_nested;
	}
	nested->domain.type = IOMMU_DOMAIN_NESTED;
	nested->domain.ops = &s390_nested_ops;
	nested->parent = to_s390_domain(parent);
	nested->base = data.base;
	init_rwsem(&nested->attach_lock);
	scoped_guard(mutex, &nested->parent->children_lock)
		list_add(&nested->node, &nested->parent->children);
	return &nested->domain;

free_nested:
	kfree(nested);
	return ERR_PTR(rc);
}
