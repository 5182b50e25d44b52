// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow engine: mirror a guest's I/O translation table in a host table
 *
 * - s390-shadow.c: create, count, tear down
 * - s390-shadow-sync.c: refresh a range from the guest's table
 * - s390-shadow-guest.c: read the guest's table
 * - s390-shadow-unmap.c: unmap guest memory that goes away
 * - s390-shadow-prune.c: free empty host tables
 * - s390-shadow-batch.c: refresh the host, then unpin frames and free tables
 * - s390-nested.c: attach the engine to a nested domain
 *
 * Invariant: teardown does not fail and does not allocate. Nothing is pinned,
 * charged or allocated after it.
 *
 * A shadow page table is a page. The first half is the page table that the
 * function translates with. The second half is the mirror: the guest's entries
 * that the first half was made from, valid ones reduced to address and combined
 * protection, invalid ones unchanged. A refresh that changes nothing compares the
 * guest's entries with the mirror and needs no lookup of guest memory.
 * page->private counts the valid entries of the first half.
 *
 * Limits on what a guest can make the host spend: each valid host entry is
 * charged as a locked page. The number of tables is limited to a constant plus a
 * multiple of the page tables in use (s390-shadow-prune.c); all are charged to
 * the memory cgroup. There is one batch for each refresh in progress, and one
 * idle batch.
 *
 * Lock order: spare_lock -> tree_lock -> bucket->lock -> (locks of the guest ops,
 * mmap_lock); tree_lock -> failed_lock -> locks of the host ops and of the guest
 * ops. Bucket locks do not nest. The detach operation is called with spare_lock
 * held.
 */

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "s390-shadow.h"

/**
 * s390_shadow_alloc_pt() - allocate a shadow page table
 *
 * Context: process; sleeps
 * Return: a page with all entries of both halves invalid, or NULL
 */
struct page *s390_shadow_alloc_pt(void)
{
	struct page *page;

	page = alloc_page(S390_SHADOW_GFP);
	if (page)
		memset64(page_address(page), ZPCI_PTE_INVALID,
			 2 * ZPCI_PT_ENTRIES);
	return page;
}

/**
 * s390_shadow_unlink_pt() - remove a shadow page table from the host table
 * @shadow: the shadow
 * @batch: frees the page table after its host refresh
 * @step: the segment table entry that points to the page table
 * @iova: I/O address of the segment
 *
 * No entry of the page table may be valid.
 *
 * Context: the lock of the segment's bucket is held, or &s390_shadow.tree_lock
 * for writing
 */
void s390_shadow_unlink_pt(struct s390_shadow *shadow,
			   struct s390_shadow_batch *batch,
			   unsigned long *step, u64 iova)
{
	struct page *page = virt_to_page(dma_next_cpu_table(ZPCI_LEVEL_ST, *step));

	s390_shadow_batch_mark_bucket(shadow, batch, s390_shadow_bucket(iova));
	WRITE_ONCE(*step, ZPCI_TABLE_INVALID);
	s390_shadow_batch_add_range(batch, iova,
				    zpci_span_last(ZPCI_LEVEL_ST, iova));
	list_add(&page->lru, &batch->pts);
}

/**
 * s390_shadow_config_check() - check translation parameters
 * @cfg: the parameters
 *
 * Context: any
 * Return:
 * * 0		 - the parameters can be shadowed
 * * -EOPNOTSUPP - the IOTA does not enable translation, or the designation type
 *		   is not supported
 * * -EINVAL	 - the aperture is empty, is not made of whole 4 KiB frames, or
 *		   ends beyond what the table can translate
 */
int s390_shadow_config_check(const struct s390_shadow_config *cfg)
{
	enum zpci_table_level top = zpci_iota_level(cfg->iota);

	if (top == ZPCI_LEVEL_PT)
		return -EOPNOTSUPP;
	if (offset_in_page(cfg->pba) || !PAGE_ALIGNED(cfg->pal + 1) ||
	    cfg->pba > cfg->pal ||
	    cfg->pal > zpci_table_last(top))
		return -EINVAL;
	return 0;
}

/**
 * s390_shadow_designations() - get the designation types that can be shadowed
 *
 * Context: any
 * Return: bit n set: type n of the DT field of an IOTA (enum zpci_ioat_dtype)
 */
u32 s390_shadow_designations(void)
{
	return BIT(ZPCI_IOTA_STO) | BIT(ZPCI_IOTA_RTTO) |
	       BIT(ZPCI_IOTA_RSTO) | BIT(ZPCI_IOTA_RFTO);
}

/**
 * s390_shadow_frame_sizes() - get the frame sizes that a guest's table may use
 *
 * Context: any
 * Return: the sizes in bytes, each a power of two, ORed together
 */
u64 s390_shadow_frame_sizes(void)
{
	return PAGE_SIZE | ZPCI_SEGMENT_SIZE;
}

/**
 * s390_shadow_stats() - read the counters of a shadow
 * @shadow: the shadow; the caller holds a reference
 * @stats: set to the counters
 *
 * Context: any. Refreshes may change counters between the reads of two of them.
 */
void s390_shadow_stats(struct s390_shadow *shadow,
		       struct s390_shadow_stats *stats)
{
	/* Read before mapped, so that mapped - unmapped is never negative */
	u64 unmapped = atomic64_read(&shadow->unmapped);

	/* Pairs with the bucket lock, under which both are incremented */
	smp_rmb();
	*stats = (struct s390_shadow_stats) {
		.mapped = atomic64_read(&shadow->mapped),
		.unmapped = unmapped,
		.pinned = atomic64_read(&shadow->pinned),
		.pinned_peak = atomic64_read(&shadow->pinned_peak),
		.refreshes = atomic64_read(&shadow->refreshes),
		.refresh_errors = atomic64_read(&shadow->refresh_errors),
		.tables = atomic64_read(&shadow->tables),
		.tables_pruned = atomic64_read(&shadow->tables_pruned),
		.walks = atomic64_read(&shadow->walks),
		.refused_nomem = atomic64_read(&shadow->refused_nomem),
		.refused_format = atomic64_read(&shadow->refused_format),
		.refused_memory = atomic64_read(&shadow->refused_memory),
		.refused_host = atomic64_read(&shadow->refused_host),
		.interrupted = atomic64_read(&shadow->interrupted),
	};
}

/**
 * s390_shadow_engine_create() - create an empty shadow
 * @cfg: the guest's translation parameters, checked
 * @top: level of the host table, which must reach the end of the aperture
 * @ops: access to guest memory
 * @guest: argument of @ops
 * @host_ops: access to the host
 * @host: argument of @host_ops
 * @refresh_new: entries that become valid need a host refresh, too
 * @id: function ID, for trace events
 *
 * Call s390_shadow_engine_teardown() before the last s390_shadow_put().
 *
 * Context: process; sleeps
 * Return: the shadow with one reference, or NULL if out of memory
 */
struct s390_shadow *
s390_shadow_engine_create(const struct s390_shadow_config *cfg,
			  enum zpci_table_level top,
			  const struct s390_shadow_guest_ops *ops, void *guest,
			  const struct s390_shadow_host_ops *host_ops,
			  void *host, bool refresh_new, u32 id)
{
	static atomic64_t created;
	struct s390_shadow *shadow;
	unsigned int i;

	shadow = kzalloc_obj(*shadow, GFP_KERNEL_ACCOUNT);
	if (!shadow)
		return NULL;
	shadow->spare = s390_shadow_alloc_batch(S390_SHADOW_GFP);
	if (!shadow->spare)
		goto free_shadow;
	shadow->root = dma_alloc_cpu_table(S390_SHADOW_GFP);
	if (!shadow->root)
		goto free_spare;
	shadow->top = top;
	shadow->iota = zpci_make_iota(top, virt_to_phys(shadow->root));
	kref_init(&shadow->ref);
	init_rwsem(&shadow->tree_lock);
	shadow->cfg = *cfg;
	shadow->guest_top = zpci_iota_level(cfg->iota);
	shadow->ops = ops;
	shadow->guest = guest;
	shadow->host_ops = host_ops;
	shadow->host = host;
	shadow->refresh_new = refresh_new;
	shadow->nr = atomic64_add_return(1, &created);
	shadow->id = id;
	for (i = 0; i < S390_SHADOW_BUCKETS; i++)
		mutex_init(&shadow->buckets[i].lock);
	mutex_init(&shadow->spare_lock);
	INIT_LIST_HEAD(&shadow->failed_batches);
	mutex_init(&shadow->failed_lock);
	return shadow;

free_spare:
	kfree(shadow->spare);
free_shadow:
	kfree(shadow);
	return NULL;
}

/* Unpin the frames of a shadow page table, then free it */
static void teardown_pt(struct s390_shadow *shadow, unsigned long *pt)
{
	struct s390_shadow_frame frames[S390_SHADOW_PIN_CHUNK];
	u64 *mirror = s390_shadow_mirror(pt);
	unsigned int px, nr = 0;

	for (px = 0; px < ZPCI_PT_ENTRIES; px++) {
		if (!pt_entry_isvalid(pt[px]))
			continue;
		frames[nr++] = s390_shadow_frame(pt[px], mirror[px]);
		if (nr < ARRAY_SIZE(frames))
			continue;
		atomic64_add(nr, &shadow->unmapped);
		s390_shadow_unpin(shadow, frames, nr);
		nr = 0;
	}
	atomic64_add(nr, &shadow->unmapped);
	s390_shadow_unpin(shadow, frames, nr);
	s390_shadow_free_pt(shadow, virt_to_page(pt));
}

/* Free a table and all tables below it. Recurses once for each level. */
static void teardown_table(struct s390_shadow *shadow, unsigned long *table,
			   enum zpci_table_level level)
{
	unsigned long *next;
	unsigned int i;

	for (i = 0; i < ZPCI_TABLE_ENTRIES; i++) {
		if (!reg_entry_isvalid(table[i]))
			continue;
		next = dma_next_cpu_table(level, table[i]);
		if (level == ZPCI_LEVEL_ST) {
			teardown_pt(shadow, next);
			cond_resched();
		} else {
			teardown_table(shadow, next, level - 1);
			atomic64_dec(&shadow->tables);
		}
	}
	dma_free_cpu_table(table);
	cond_resched();
}

/**
 * s390_shadow_engine_teardown() - unpin all frames and free all tables
 * @shadow: the shadow
 *
 * The function must not translate with &s390_shadow.root any more. Waits for
 * refreshes in progress. Later refreshes return -ENODEV; later calls do nothing.
 * Does not fail and does not allocate.
 *
 * Context: process; sleeps. Takes &s390_shadow.tree_lock for writing.
 */
void s390_shadow_engine_teardown(struct s390_shadow *shadow)
{
	struct s390_shadow_batch *batch, *tmp;

	/* Make long walks return at the next segment */
	WRITE_ONCE(shadow->dead, true);
	down_write(&shadow->tree_lock);
	if (shadow->gone)
		goto out;
	shadow->gone = true;

	teardown_table(shadow, shadow->root, shadow->top);
	shadow->root = NULL;

	list_for_each_entry_safe(batch, tmp, &shadow->failed_batches, node) {
		list_del(&batch->node);
		s390_shadow_batch_release(shadow, batch);
		s390_shadow_free_batch(shadow, batch);
	}
	WRITE_ONCE(shadow->flush_failed, false);
out:
	up_write(&shadow->tree_lock);
}

/**
 * s390_shadow_get() - take a reference on a shadow
 * @shadow: the shadow
 *
 * A reference keeps the object from being freed. It does not keep the shadow from
 * being torn down: a refresh may return -ENODEV at any time.
 *
 * Context: any. @shadow may be found under rcu_read_lock(), because it is freed
 * after a grace period.
 * Return: @shadow, or NULL if the last reference is gone
 */
struct s390_shadow *s390_shadow_get(struct s390_shadow *shadow)
{
	return kref_get_unless_zero(&shadow->ref) ? shadow : NULL;
}

static void shadow_free(struct kref *ref)
{
	struct s390_shadow *shadow = container_of(ref, struct s390_shadow, ref);

	WARN_ON_ONCE(shadow->root);
	WARN_ON_ONCE(atomic64_read(&shadow->pinned) ||
		     atomic64_read(&shadow->tables));
	if (shadow->ops->release)
		shadow->ops->release(shadow->guest);
	s390_shadow_free_idle(shadow);
	kfree(shadow->spare);
	kfree_rcu(shadow, rcu);
}

/**
 * s390_shadow_put() - drop a reference on a shadow
 * @shadow: the shadow
 *
 * Context: process
 */
void s390_shadow_put(struct s390_shadow *shadow)
{
	kref_put(&shadow->ref, shadow_free);
}
