/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The shadow engine: a guest's I/O address space mirrored into a host table
 *
 * Private to drivers/iommu. The public face is <linux/s390_iommu_shadow.h>.
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

struct s390_domain;

/* One bit of a u64 for each bucket, see struct s390_shadow_batch */
#define S390_SHADOW_BUCKETS	64

/* Fewer page table entries than that are not read in bulk first */
#define S390_SHADOW_BULK_MIN		8

/*
 * Steps after which a refresh returns to its caller, who holds locks that others
 * may wait for. A segment that is synced, a look for the next, as many entries
 * read for that as a page table has, and a page that is to be pinned are a step
 * each.
 */
#define S390_SHADOW_BUDGET	2048

/*
 * Empty host tables are pruned when there are more than this, and more tables
 * than PRUNE_FACTOR for each page table in use. That one may need a table of
 * each level for itself.
 */
#define S390_SHADOW_PRUNE_MIN		64
#define S390_SHADOW_PRUNE_FACTOR	(2 * (ZPCI_LEVELS - 1))

/* Frames that are pinned or unpinned at once, if they are on the stack */
#define S390_SHADOW_PIN_CHUNK	32

/*
 * A guest that runs into the limit of its memory cgroup shall get status 16 for
 * an answer, and not have its virtual machine killed.
 */
#define S390_SHADOW_GFP		(GFP_KERNEL_ACCOUNT | __GFP_NOWARN | \
				 __GFP_RETRY_MAYFAIL)

/* Frames that a batch holds back until the host refresh */
#define S390_SHADOW_BATCH_FRAMES	(2 * ZPCI_PT_ENTRIES)

/**
 * struct s390_shadow_host_ops - what the engine wants of the host
 *
 * A structure of its own so that KUnit can put itself in the host's place.
 */
struct s390_shadow_host_ops {
	/**
	 * @refresh: make the function forget translations of @size bytes from
	 * I/O address @start on. Process context, may sleep. Returns 0, -ENOMEM
	 * if the machine below is out of resources, -EIO for anything else.
	 */
	int (*refresh)(void *host, u64 start, u64 size);
	/**
	 * @abandon: make the function lose the table for good, then call
	 * s390_shadow_engine_teardown(). Process context, may sleep, does not
	 * fail, does not allocate.
	 */
	void (*abandon)(void *host);
};

/**
 * struct s390_shadow_bucket - lock for the segments that hash to it
 * @lock: held while the entries of a segment are fetched from the guest,
 *	compared and written
 * @unflushed: batches that changed a segment of this bucket and whose host
 *	refresh has not succeeded yet
 *
 * Of a size that makes it cheap to find.
 */
struct s390_shadow_bucket {
	struct mutex lock;	/* of the segments' entries */
	atomic_t unflushed;
} __aligned(64);

/**
 * struct s390_shadow_walk_cache - what a look for segments has seen of guest tables
 * @gaddr: guest absolute address of the last entry of each level that was found to
 *	lead to another table, U64_MAX for none
 * @next: guest absolute addresses of these tables
 * @table: copies of @nr entries of one table; memory for a whole one, or NULL
 * @table_gaddr: guest absolute address of the first of them
 * @nr: number of entries in @table
 * @begun: something was seen; all but @table has no meaning before that
 * @ours: I/O address of the next segment that the host has a page table for, or
 *	U64_MAX
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
 * struct s390_shadow_batch - changes that await one host refresh
 * @nr: number of @frames
 * @leaves: shadow page tables taken out of the host table, by page->lru
 * @tables: segment and region tables taken out, linked by their first entry,
 *	see s390-shadow-prune.c
 * @buckets: bit n: this batch counts in @unflushed of bucket n
 * @refresh: the host refresh is needed
 * @first: first I/O address that changed
 * @last: last I/O address that changed
 * @steps: what is left of S390_SHADOW_BUDGET
 * @node: in &s390_shadow.failed_batches when the host refresh failed
 * @seen: entries that were fetched while looking for segments
 * @guest: page table entries fetched from the guest
 * @frames: what page table entries that were swapped out of the host table named,
 *	to be unpinned
 */
struct s390_shadow_batch {
	unsigned int nr;
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
 * struct s390_shadow_segment - the range that is worked on under one lock
 * @shadow: the shadow
 * @batch: the batch of the refresh in progress
 * @iova: I/O address of the segment
 * @bucket: number of its bucket
 * @px_first: page table index of the first entry of the range
 * @px_last: page table index of the last entry of the range (inclusive)
 * @leaf: shadow page table of the segment, or NULL
 * @charged: pages that are charged and not pinned yet
 * @mapped: frames that were made accessible
 * @unmapped: frames that were withdrawn
 * @same: the guest's entries are those in the mirror
 * @changed: something was changed that awaits the host refresh
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
 * @rcu: for the deferred release; first, as kfree_rcu() wants it near the start
 * @ref: memory lifetime; freed by s390_shadow_put()
 * @live: read: refreshes in progress; write: teardown
 * @dead: set, under @live for writing, when nothing is mirrored any more
 * @root: host table that the function translates with
 * @top: level of @root
 * @iota: I/O translation anchor that designates @root
 * @cfg: the guest's translation parameters
 * @guest_top: level of the table that the guest's IOTA designates
 * @ops: access to guest memory
 * @guest: argument of @ops
 * @host_ops: access to the host
 * @host: argument of @host_ops
 * @id: function ID, for trace events
 * @refresh_new: an entry that becomes valid needs a host refresh, too
 * @unflushed: sum of @unflushed of all buckets
 * @syncing: how many hold the lock of a bucket, or are about to take one, to
 *	fetch the guest's entries
 * @spare: batch for who must not fail, see s390_shadow_unmap_gpa_range()
 * @spare_lock: protects @spare
 * @idle: an empty batch for the next refresh, or NULL; exchanged atomically
 * @limbo: batches whose host refresh failed; their pages stay pinned until a
 *	refresh of everything succeeds or the function has lost the table
 * @failed_lock: protects @limbo
 * @stale: @limbo is not empty
 * @mapped: see struct s390_shadow_stats
 * @unmapped: see struct s390_shadow_stats
 * @pinned: see struct s390_shadow_stats
 * @pinned_peak: see struct s390_shadow_stats
 * @refreshes: see struct s390_shadow_stats
 * @refresh_errors: see struct s390_shadow_stats
 * @tables: see struct s390_shadow_stats
 * @tables_pruned: see struct s390_shadow_stats
 * @pts_used: shadow page tables with a valid entry
 * @walks: see struct s390_shadow_stats
 * @refused_nomem: see struct s390_shadow_stats
 * @refused_format: see struct s390_shadow_stats
 * @refused_memory: see struct s390_shadow_stats
 * @refused_host: see struct s390_shadow_stats
 * @interrupted: see struct s390_shadow_stats
 * @dev: the function, referenced; NULL in tests (s390-shadow-domain.c)
 * @domain: the claimed domain, NULL once it is detached or released; protected
 *	by the function's attach_lock, good under @live for who reads while the
 *	shadow is not @dead (s390-shadow-domain.c)
 * @buckets: locks of the segments
 */
struct s390_shadow {
	struct rcu_head rcu;
	struct kref ref;
	struct rw_semaphore tree_lock;
	bool dead;
	unsigned long *root;
	enum zpci_table_level top;
	u64 iota;
	struct s390_shadow_config cfg;
	enum zpci_table_level guest_top;
	const struct s390_shadow_guest_ops *ops;
	void *guest;
	const struct s390_shadow_host_ops *host_ops;
	void *host;
	u32 id;
	bool refresh_new;
	atomic_t unflushed;
	atomic_t syncing;
	struct s390_shadow_batch *spare;
	struct mutex spare_lock;	/* protects spare */
	struct s390_shadow_batch *idle;
	struct list_head failed_batches;
	struct mutex failed_lock;	/* protects limbo */
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
	struct device *dev;
	struct s390_domain *domain;
	struct s390_shadow_bucket buckets[S390_SHADOW_BUCKETS];
};

struct s390_shadow *
s390_shadow_engine_create(const struct s390_shadow_config *cfg,
			  enum zpci_table_level top,
			  const struct s390_shadow_guest_ops *ops, void *guest,
			  const struct s390_shadow_host_ops *host_ops,
			  void *host, bool refresh_new, u32 id);
void s390_shadow_engine_teardown(struct s390_shadow *shadow);
struct page *s390_shadow_alloc_pt(void);
void s390_shadow_free_pt(struct s390_shadow *shadow, struct page *page);
void s390_shadow_unlink_pt(struct s390_shadow *shadow,
			  struct s390_shadow_batch *batch, unsigned long *step,
			  u64 iova);

/* s390-shadow-batch.c */
struct s390_shadow_batch *s390_shadow_alloc_batch(void);
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
 * s390_shadow_get_batch() - get what a refresh needs to work
 * @shadow: the shadow
 *
 * As a rule one refresh comes after the other, and there is one that the last
 * has left behind, which is empty.
 *
 * Return: an empty batch or NULL, to be freed by s390_shadow_free_batch()
 */
static inline struct s390_shadow_batch *
s390_shadow_get_batch(struct s390_shadow *shadow)
{
	struct s390_shadow_batch *batch = xchg(&shadow->idle, NULL);

	if (!batch)
		return s390_shadow_alloc_batch();
	batch->budget = S390_SHADOW_BUDGET;
	batch->walk_cache.valid = false;
	return batch;
}

/**
 * s390_shadow_unpin() - unpin and uncharge frames
 * @shadow: the shadow
 * @frames: the frames; the function can't use them any more
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

/* The host refresh of @batch must cover [@first, @last] */
static inline void s390_shadow_batch_add_range(struct s390_shadow_batch *batch,
					   u64 first, u64 last)
{
	batch->refresh = true;
	batch->first = min(batch->first, first);
	batch->last = max(batch->last, last);
}

/* The batch changes a segment of a bucket, whose lock is held */
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
	/* Counted before a cleared segment table entry can be seen */
	smp_mb__after_atomic();
}

/**
 * s390_shadow_has_unflushed() - does another batch await its host refresh?
 * @bucket: the bucket that is asked about
 * @batch: the batch that asks
 * @nr: number of the bucket
 *
 * Return: true if another batch has changed a segment of the bucket and was not
 * flushed yet
 */
static inline bool s390_shadow_has_unflushed(struct s390_shadow_bucket *bucket,
					  struct s390_shadow_batch *batch,
					  unsigned int nr)
{
	int own = !!(batch->buckets & BIT_ULL(nr));

	return atomic_read_acquire(&bucket->unflushed) > own;
}

/* Number of the bucket of the segment that @iova lies in */
static inline unsigned int s390_shadow_bucket(u64 iova)
{
	return (iova >> ZPCI_ST_SHIFT) % S390_SHADOW_BUCKETS;
}

/*
 * The guest entry that the entry @pte of a page table was made from, and those after
 * it: the valid ones reduced to address and combined protection
 */
static inline u64 *s390_shadow_mirror(void *pte)
{
	return (u64 *)pte + ZPCI_PT_ENTRIES;
}

/**
 * s390_shadow_account_pt() - a shadow page table has more or less valid entries
 * @shadow: the shadow
 * @leaf: the page table; the lock of its bucket is held
 * @change: how many more
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

/* The frame that a valid host entry names, with its entry in the mirror */
static inline struct s390_shadow_frame s390_shadow_frame(u64 host, u64 mirror)
{
	/* All that a valid entry of the mirror tells */
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

/* s390-shadow-prune.c */
void s390_shadow_prune(struct s390_shadow *shadow,
		       struct s390_shadow_batch **batchp);
void s390_shadow_move_tables(struct s390_shadow_batch *from,
			     struct s390_shadow_batch *to);
void s390_shadow_free_tables(struct s390_shadow *shadow,
			     struct s390_shadow_batch *batch);

#endif /* _S390_SHADOW_H */
