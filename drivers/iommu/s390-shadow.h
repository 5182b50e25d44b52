/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The shadow engine: mirror a guest's I/O translation table in a host table
 *
 * Private to drivers/iommu. What others may call is in <linux/s390_iommu_shadow.h>.
 */
#ifndef _S390_SHADOW_H
#define _S390_SHADOW_H

#include <linux/gfp.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/s390_iommu_shadow.h>

#include "s390-iotable.h"
#include "s390-shadow-ops.h"

/* At most 64: struct s390_shadow_batch has one bit for each bucket */
#define S390_SHADOW_BUCKETS	64

/* Read at least this many page table entries in bulk; fetch fewer one by one */
#define S390_SHADOW_BULK_MIN		8

/*
 * Work that one call of s390_shadow_refresh() may do. The caller holds locks, so
 * the call returns -EAGAIN when the budget is used up. Each of these costs 1: a
 * segment synced, a lookup of the next segment, 256 entries read for a lookup,
 * a page pinned.
 */
#define S390_SHADOW_BUDGET	2048

/*
 * Prune empty host tables when there are more tables than PRUNE_MIN plus
 * PRUNE_FACTOR for each page table in use. A page table in use may need one
 * table of each level.
 */
#define S390_SHADOW_PRUNE_MIN		64
#define S390_SHADOW_PRUNE_FACTOR	(2 * (ZPCI_LEVELS - 1))

/* Frames pinned or unpinned in one call from an array on the stack */
#define S390_SHADOW_PIN_CHUNK	32

/*
 * Fail at the limit of the memory cgroup: the guest gets status 16. Without
 * __GFP_RETRY_MAYFAIL the OOM killer would kill the virtual machine.
 */
#define S390_SHADOW_GFP		(GFP_KERNEL_ACCOUNT | __GFP_NOWARN | \
				 __GFP_RETRY_MAYFAIL)

/* Frames that a batch can keep pinned until its host refresh */
#define S390_SHADOW_BATCH_FRAMES	(2 * ZPCI_PT_ENTRIES)

/**
 * struct s390_shadow_host_ops - operations on the function that uses the table
 *
 * Tests replace them by a model of a function.
 */
struct s390_shadow_host_ops {
	/**
	 * @refresh: flush the function's cached translations of @size bytes at
	 * I/O address @start. Process context, may sleep. Returns 0, -ENOMEM
	 * if the underlying hypervisor is out of resources, else -EIO.
	 */
	int (*refresh)(void *host, u64 start, u64 size);
	/**
	 * @detach: take the table away from the function, then call
	 * s390_shadow_engine_teardown(). Process context, may sleep. Must not
	 * fail or allocate.
	 */
	void (*detach)(void *host);
};

/**
 * s390_shadow_walk_init() - begin a refresh
 * @walk: progress of the refresh
 * @first: first I/O address of the range, a multiple of 4096, in the aperture
 * @last: last I/O address of the range (inclusive), in the aperture; @last + 1
 *	is a multiple of 4096
 */
static inline void s390_shadow_walk_init(struct s390_shadow_walk *walk,
					 u64 first, u64 last)
{
	*walk = (struct s390_shadow_walk) {
		.first = first,
		.last = last,
		.next = first,
	};
}

/**
 * struct s390_shadow_bucket - lock for the segments that hash to it
 * @lock: held while a segment's guest entries are fetched, compared and written
 *	to the host table
 * @unflushed: number of batches that changed a segment of this bucket and whose
 *	host refresh has not succeeded yet
 *
 * Aligned to a power of two, so that indexing is a shift.
 */
struct s390_shadow_bucket {
	struct mutex lock;	/* host entries of the bucket's segments */
	atomic_t unflushed;
} __aligned(64);

/**
 * struct s390_shadow_walk_cache - guest tables on the path to the last segment
 * @gaddr: by level, guest absolute address of the entry on the path, U64_MAX for
 *	none
 * @next: by level, guest absolute address of the table that the entry points to
 * @table: copies of @nr entries of one guest table; memory for a whole table, or
 *	NULL
 * @table_gaddr: guest absolute address of the first entry in @table
 * @nr: number of entries in @table
 * @valid: all fields but @table are initialized
 * @next_pt: I/O address of the next segment with a host page table, or U64_MAX
 */
struct s390_shadow_walk_cache {
	u64 gaddr[ZPCI_LEVELS];
	u64 next[ZPCI_LEVELS];
	unsigned long *table;
	u64 table_gaddr;
	unsigned int nr;
	bool valid;
	u64 next_pt;
};

/**
 * struct s390_shadow_batch - changes that wait for one host refresh
 * @nr: number of @frames
 * @charged: charged to the memory cgroup, and may be kept for the next refresh
 * @pts: shadow page tables removed from the host table, linked by page->lru
 * @tables: segment and region tables removed from the host table, linked by
 *	their first entry, see s390-shadow-prune.c
 * @buckets: bit n: this batch counts in @unflushed of bucket n
 * @refresh: the host refresh is needed
 * @first: first I/O address to refresh
 * @last: last I/O address to refresh (inclusive)
 * @budget: work left for this call, see S390_SHADOW_BUDGET
 * @node: entry in &s390_shadow.failed_batches
 * @walk_cache: guest tables on the path to the last segment
 * @guest: page table entries fetched from the guest
 * @frames: frames removed from the host table, to be unpinned
 */
struct s390_shadow_batch {
	unsigned int nr;
	bool charged;
	struct list_head pts;
	unsigned long *tables;
	u64 buckets;
	bool refresh;
	u64 first;
	u64 last;
	int budget;
	struct list_head node;
	struct s390_shadow_walk_cache walk_cache;
	u64 guest[ZPCI_PT_ENTRIES];
	struct s390_shadow_frame frames[S390_SHADOW_BATCH_FRAMES];
};

/**
 * struct s390_shadow_segment - a range within one segment, synced under one lock
 * @shadow: the shadow
 * @batch: the batch of the refresh in progress
 * @iova: I/O address of the segment
 * @bucket: index of its bucket
 * @px_first: page table index of the first entry of the range
 * @px_last: page table index of the last entry of the range (inclusive)
 * @pt: shadow page table of the segment, or NULL
 * @charged: number of pages charged and not pinned yet
 * @mapped: number of frames mapped
 * @unmapped: number of frames unmapped
 * @same: the guest's entries equal the mirror
 * @changed: the host table was changed in a way that needs the host refresh
 */
struct s390_shadow_segment {
	struct s390_shadow *shadow;
	struct s390_shadow_batch *batch;
	u64 iova;
	unsigned int bucket;
	unsigned int px_first;
	unsigned int px_last;
	unsigned long *pt;
	unsigned int charged;
	unsigned int mapped;
	unsigned int unmapped;
	bool same;
	bool changed;
};

/**
 * struct s390_shadow - a guest's I/O address space and its mirror
 * @rcu: for kfree_rcu(), which wants it near the start
 * @ref: lifetime of this object; s390_shadow_put() frees it
 * @tree_lock: read: walk the host table; write: remove tables, tear down
 * @dead: set by teardown, before it takes @tree_lock for writing
 * @gone: nothing is mapped any more, or what is mapped is leaked; set under
 *	@tree_lock for writing
 * @root: topmost host table, which the function translates with
 * @top: level of @root
 * @iota: I/O translation anchor that designates @root
 * @cfg: the guest's translation parameters
 * @guest_top: level of the table that the guest's IOTA designates
 * @ops: access to guest memory
 * @guest: argument of @ops
 * @host_ops: access to the host
 * @host: argument of @host_ops
 * @nr: number of the shadow, never 0 and never used again
 * @id: function ID, for trace events
 * @refresh_new: an entry that becomes valid needs a host refresh, too
 * @unflushed: sum of @unflushed of all buckets
 * @syncing: number of tasks that hold or wait for a bucket lock in order to sync
 *	a segment
 * @spare: preallocated batch for s390_shadow_unmap_gpa_range()
 * @spare_lock: protects @spare
 * @idle: an empty batch for the next refresh, or NULL; exchanged atomically
 * @failed_batches: batches whose host refresh failed; their pages stay pinned
 *	until a refresh of the whole aperture succeeds or the shadow is torn down
 * @failed_lock: protects @failed_batches
 * @flush_failed: a host refresh failed and was not made up for yet; written under
 *	@failed_lock
 * @mapped: see struct s390_shadow_stats
 * @unmapped: see struct s390_shadow_stats
 * @pinned: see struct s390_shadow_stats
 * @pinned_peak: see struct s390_shadow_stats
 * @refreshes: see struct s390_shadow_stats
 * @refresh_errors: see struct s390_shadow_stats
 * @tables: see struct s390_shadow_stats
 * @tables_pruned: see struct s390_shadow_stats
 * @pts_used: number of shadow page tables with a valid entry
 * @walks: see struct s390_shadow_stats
 * @refused_nomem: see struct s390_shadow_stats
 * @refused_format: see struct s390_shadow_stats
 * @refused_memory: see struct s390_shadow_stats
 * @refused_host: see struct s390_shadow_stats
 * @interrupted: see struct s390_shadow_stats
 * @buckets: locks of the segments
 */
struct s390_shadow {
	struct rcu_head rcu;
	struct kref ref;
	struct rw_semaphore tree_lock;
	bool dead;
	bool gone;
	unsigned long *root;
	enum zpci_table_level top;
	u64 iota;
	struct s390_shadow_config cfg;
	enum zpci_table_level guest_top;
	const struct s390_shadow_guest_ops *ops;
	void *guest;
	const struct s390_shadow_host_ops *host_ops;
	void *host;
	u64 nr;
	u32 id;
	bool refresh_new;
	atomic_t unflushed;
	atomic_t syncing;
	struct s390_shadow_batch *spare;
	struct mutex spare_lock;	/* protects spare */
	struct s390_shadow_batch *idle;
	struct list_head failed_batches;
	struct mutex failed_lock;	/* protects failed_batches, flush_failed */
	bool flush_failed;
	atomic64_t mapped;
	atomic64_t unmapped;
	atomic64_t pinned;
	atomic64_t pinned_peak;
	atomic64_t refreshes;
	atomic64_t refresh_errors;
	atomic64_t tables;
	atomic64_t tables_pruned;
	atomic64_t pts_used;
	atomic64_t walks;
	atomic64_t refused_nomem;
	atomic64_t refused_format;
	atomic64_t refused_memory;
	atomic64_t refused_host;
	atomic64_t interrupted;
	struct s390_shadow_bucket buckets[S390_SHADOW_BUCKETS];
};

int s390_shadow_config_check(const struct s390_shadow_config *cfg);
u32 s390_shadow_designations(void);
u64 s390_shadow_frame_sizes(void);
struct s390_shadow *
s390_shadow_engine_create(const struct s390_shadow_config *cfg,
			  enum zpci_table_level top,
			  const struct s390_shadow_guest_ops *ops, void *guest,
			  const struct s390_shadow_host_ops *host_ops,
			  void *host, bool refresh_new, u32 id);
void s390_shadow_engine_teardown(struct s390_shadow *shadow);
struct s390_shadow *s390_shadow_get(struct s390_shadow *shadow);
void s390_shadow_put(struct s390_shadow *shadow);
void s390_shadow_stats(struct s390_shadow *shadow,
		       struct s390_shadow_stats *stats);
struct page *s390_shadow_alloc_pt(void);
void s390_shadow_free_pt(struct s390_shadow *shadow, struct page *page);
void s390_shadow_unlink_pt(struct s390_shadow *shadow,
			   struct s390_shadow_batch *batch,
			   unsigned long *step, u64 iova);

/* s390-shadow-batch.c */
struct s390_shadow_batch *s390_shadow_alloc_batch(gfp_t gfp);
void s390_shadow_init_batch(struct s390_shadow_batch *batch);
void s390_shadow_free_batch(struct s390_shadow *shadow,
			    struct s390_shadow_batch *batch);
void s390_shadow_free_idle(struct s390_shadow *shadow);
void s390_shadow_batch_release(struct s390_shadow *shadow,
			       struct s390_shadow_batch *batch);
int s390_shadow_batch_flush(struct s390_shadow *shadow,
			    struct s390_shadow_batch **batchp);
int s390_shadow_retry_flush(struct s390_shadow *shadow);
void s390_shadow_batch_add_unflushed(struct s390_shadow *shadow,
				     struct s390_shadow_batch *batch, u64 first,
				     u64 last);

/**
 * s390_shadow_get_batch() - get an empty batch
 * @shadow: the shadow
 *
 * Reuses the batch of the last refresh, if no other refresh has taken it.
 *
 * Context: process; sleeps
 * Return: the batch, to be freed by s390_shadow_free_batch(), or NULL
 */
static inline struct s390_shadow_batch *
s390_shadow_get_batch(struct s390_shadow *shadow)
{
	struct s390_shadow_batch *batch = xchg(&shadow->idle, NULL);

	if (!batch) {
		/* A guest at the limit of its memory cgroup must be able to unmap */
		return s390_shadow_alloc_batch(S390_SHADOW_GFP) ?:
		       s390_shadow_alloc_batch(S390_SHADOW_GFP & ~__GFP_ACCOUNT);
	}
	batch->budget = S390_SHADOW_BUDGET;
	batch->walk_cache.valid = false;
	return batch;
}

/**
 * s390_shadow_unpin() - unpin and uncharge frames
 * @shadow: the shadow
 * @frames: the frames, which the function can't reach any more
 * @nr: number of frames
 *
 * Context: process; sleeps
 */
static inline void s390_shadow_unpin(struct s390_shadow *shadow,
				     const struct s390_shadow_frame *frames,
				     unsigned int nr)
{
	if (!nr)
		return;
	shadow->ops->unpin(shadow->guest, frames, nr);
	atomic64_sub(nr, &shadow->pinned);
}

/**
 * s390_shadow_batch_add_range() - extend the host refresh of a batch
 * @batch: the batch
 * @first: first I/O address to refresh
 * @last: last I/O address to refresh (inclusive)
 */
static inline void s390_shadow_batch_add_range(struct s390_shadow_batch *batch,
					       u64 first, u64 last)
{
	batch->refresh = true;
	batch->first = min(batch->first, first);
	batch->last = max(batch->last, last);
}

/**
 * s390_shadow_batch_mark_bucket() - count a batch as unflushed in a bucket
 * @shadow: the shadow
 * @batch: the batch, which changes a segment of the bucket
 * @bucket: index of the bucket
 *
 * Context: the lock of the bucket is held, or &s390_shadow.tree_lock for writing
 */
static inline void s390_shadow_batch_mark_bucket(struct s390_shadow *shadow,
						 struct s390_shadow_batch *batch,
						 unsigned int bucket)
{
	u64 bit = BIT_ULL(bucket);

	if (batch->buckets & bit)
		return;
	batch->buckets |= bit;
	atomic_inc(&shadow->unflushed);
	atomic_inc(&shadow->buckets[bucket].unflushed);
	/*
	 * Count before a segment table entry is cleared. Pairs with smp_rmb() in
	 * s390_shadow_batch_add_unflushed()
	 */
	smp_mb__after_atomic();
}

/**
 * s390_shadow_has_unflushed() - is another batch unflushed in a bucket?
 * @bucket: the bucket
 * @batch: the batch of the caller, which does not count
 * @nr: index of the bucket
 *
 * Context: the lock of the bucket is held
 * Return: true if another batch changed a segment of the bucket and its host
 * refresh has not succeeded yet
 */
static inline bool s390_shadow_has_unflushed(struct s390_shadow_bucket *bucket,
					     struct s390_shadow_batch *batch,
					     unsigned int nr)
{
	int own = !!(batch->buckets & BIT_ULL(nr));

	return atomic_read_acquire(&bucket->unflushed) > own;
}

/**
 * s390_shadow_bucket() - find the bucket of a segment
 * @iova: an I/O address in the segment
 *
 * Return: index of the bucket
 */
static inline unsigned int s390_shadow_bucket(u64 iova)
{
	return (iova >> ZPCI_ST_SHIFT) % S390_SHADOW_BUCKETS;
}

/**
 * s390_shadow_mirror() - find the mirror of a shadow page table entry
 * @pte: the entry, in the first half of the page
 *
 * Return: the guest entry that @pte was made from: a valid one reduced to address
 * and combined protection, an invalid one unchanged
 */
static inline u64 *s390_shadow_mirror(void *pte)
{
	return (u64 *)pte + ZPCI_PT_ENTRIES;
}

/**
 * s390_shadow_account_pt() - update the count of valid entries of a page table
 * @shadow: the shadow
 * @pt: the shadow page table
 * @change: number of entries that became valid less those that became invalid
 *
 * Context: the lock of the page table's bucket is held
 */
static inline void s390_shadow_account_pt(struct s390_shadow *shadow,
					  unsigned long *pt, int change)
{
	struct page *page = virt_to_page(pt);
	unsigned long before = page_private(page);
	unsigned long now = before + change;

	set_page_private(page, now);
	if (!before)
		atomic64_inc(&shadow->pts_used);
	else if (!now)
		atomic64_dec(&shadow->pts_used);
}

/**
 * s390_shadow_frame() - find the frame of a valid page table entry
 * @host: entry of the host table
 * @mirror: entry of the mirror
 *
 * Return: the frame
 */
static inline struct s390_shadow_frame s390_shadow_frame(u64 host, u64 mirror)
{
	/* A valid mirror entry is an address and this bit */
	BUILD_BUG_ON(S390_SHADOW_FRAME_PROTECTED != ZPCI_TABLE_PROTECTED);
	return (struct s390_shadow_frame) {
		.gaddr = mirror,
		.addr = host & ZPCI_PTE_ADDR_MASK,
	};
}

/* s390-shadow-guest.c */
int s390_shadow_fetch_segment(struct s390_shadow_segment *seg);
bool s390_shadow_find_segment(struct s390_shadow *shadow,
			      struct s390_shadow_batch *batch, u64 *iova,
			      u64 last);

/* s390-shadow-sync.c */
void s390_shadow_segment_unmap(struct s390_shadow_segment *seg,
			       unsigned int px, unsigned int nr);
void s390_shadow_segment_account(struct s390_shadow_segment *seg);
int s390_shadow_refresh(struct s390_shadow *shadow,
			struct s390_shadow_walk *walk);

/* s390-shadow-unmap.c */
void s390_shadow_unmap_gpa_range(struct s390_shadow *shadow, u64 gaddr, u64 last);

/* s390-shadow-prune.c */
void s390_shadow_prune(struct s390_shadow *shadow,
		       struct s390_shadow_batch **batchp);
void s390_shadow_move_tables(struct s390_shadow_batch *from,
			     struct s390_shadow_batch *to);
void s390_shadow_free_tables(struct s390_shadow *shadow,
			     struct s390_shadow_batch *batch);

#endif /* _S390_SHADOW_H */
