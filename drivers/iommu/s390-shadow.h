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
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/s390_iommu_shadow.h>

#include "s390-iotable.h"

struct s390_domain;

/* One bit of a u64 for each bucket, see struct s390_shadow_batch */
#define S390_SHADOW_BUCKETS	64

/* As many table entries as are fetched at once when looking for segments */
#define S390_SHADOW_WINDOW	64

/* Pages that are pinned or unpinned at once; their pointers are on the stack */
#define S390_SHADOW_PIN_CHUNK	32

/*
 * A guest that runs into the limit of its memory cgroup shall get status 16 for
 * an answer, and not have its virtual machine killed.
 */
#define S390_SHADOW_GFP		(GFP_KERNEL_ACCOUNT | __GFP_NOWARN | \
				 __GFP_RETRY_MAYFAIL)

/* Old entries that a batch holds back until the host refresh */
#define S390_SHADOW_BATCH	(2 * ZPCI_PT_ENTRIES)

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
};

/**
 * struct s390_shadow_bucket - lock for the segments that hash to it
 * @lock: held while the entries of a segment are fetched from the guest,
 *	compared and written
 * @unflushed: batches that changed a segment of this bucket and whose host
 *	refresh has not succeeded yet
 */
struct s390_shadow_bucket {
	struct mutex lock;	/* of the segments' entries */
	atomic_t unflushed;
};

/**
 * struct s390_shadow_batch - changes that await one host refresh
 * @old: page table entries that were swapped out of the host table; each names
 *	a page to unpin
 * @nr: number of entries in @old
 * @leaves: shadow page tables taken out of the host table, by page->lru
 * @buckets: bit n: this batch counts in @unflushed of bucket n
 * @refresh: the host refresh is needed
 * @first: first I/O address that changed
 * @last: last I/O address that changed
 * @node: in &s390_shadow.limbo when the host refresh failed
 * @guest: page table entries fetched from the guest
 * @rt: region table entries fetched from the guest while looking for segments
 * @rt_first: index of the first entry in @rt
 * @rt_nr: number of entries in @rt
 * @st: segment table entries, likewise
 * @st_first: I/O address of the first segment in @st
 * @st_nr: number of entries in @st
 */
struct s390_shadow_batch {
	u64 old[S390_SHADOW_BATCH];
	unsigned int nr;
	struct list_head leaves;
	u64 buckets;
	bool refresh;
	u64 first;
	u64 last;
	struct list_head node;
	u64 guest[ZPCI_PT_ENTRIES];
	u64 rt[S390_SHADOW_WINDOW];
	unsigned int rt_first;
	unsigned int rt_nr;
	u64 st[S390_SHADOW_WINDOW];
	u64 st_first;
	unsigned int st_nr;
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
 * @changed: something was changed that awaits the host refresh
 */
struct s390_shadow_segment {
	struct s390_shadow *shadow;
	struct s390_shadow_batch *batch;
	u64 iova;
	unsigned int bucket;
	unsigned int px_first;
	unsigned int px_last;
	unsigned long *leaf;
	bool changed;
};

/**
 * struct s390_shadow - a guest's I/O address space and its mirror
 * @rcu: for the deferred release; first, as kfree_rcu() wants it near the start
 * @ref: memory lifetime; freed by s390_shadow_put()
 * @live: read: refreshes in progress; write: teardown
 * @dead: set, under @live for writing, when nothing is mirrored any more
 * @rto: host region-third table that the function translates with
 * @cfg: the guest's translation parameters
 * @ops: access to guest memory
 * @guest: argument of @ops
 * @host_ops: access to the host
 * @host: argument of @host_ops
 * @id: function ID, for trace events
 * @refresh_new: an entry that becomes valid needs a host refresh, too
 * @buckets: locks of the segments
 * @limbo: batches whose host refresh failed; their pages stay pinned until a
 *	refresh of everything succeeds or the function has lost the table
 * @limbo_lock: protects @limbo
 * @stale: @limbo is not empty
 * @mapped: see struct s390_shadow_stats
 * @unmapped: see struct s390_shadow_stats
 * @pinned: see struct s390_shadow_stats
 * @pinned_peak: see struct s390_shadow_stats
 * @refreshes: see struct s390_shadow_stats
 * @refresh_errors: see struct s390_shadow_stats
 * @leaf_pages: see tables in struct s390_shadow_stats
 * @dev: the function, referenced; NULL in tests (s390-shadow-domain.c)
 * @domain: the claimed domain, NULL once it is detached or released; protected
 *	by the function's attach_lock, good under @live for who reads while the
 *	shadow is not @dead (s390-shadow-domain.c)
 */
struct s390_shadow {
	struct rcu_head rcu;
	struct kref ref;
	struct rw_semaphore live;
	bool dead;
	unsigned long *rto;
	struct s390_shadow_config cfg;
	const struct s390_shadow_guest_ops *ops;
	void *guest;
	const struct s390_shadow_host_ops *host_ops;
	void *host;
	u32 id;
	bool refresh_new;
	struct s390_shadow_bucket buckets[S390_SHADOW_BUCKETS];
	struct list_head limbo;
	struct mutex limbo_lock;	/* protects limbo */
	bool stale;
	atomic64_t mapped;
	atomic64_t unmapped;
	atomic64_t pinned;
	atomic64_t pinned_peak;
	atomic64_t refreshes;
	atomic64_t refresh_errors;
	atomic64_t leaf_pages;
	struct device *dev;
	struct s390_domain *domain;
};

struct s390_shadow *
s390_shadow_engine_create(const struct s390_shadow_config *cfg,
			  const struct s390_shadow_guest_ops *ops, void *guest,
			  const struct s390_shadow_host_ops *host_ops,
			  void *host, bool refresh_new, u32 id);
void s390_shadow_engine_teardown(struct s390_shadow *shadow);
struct page *s390_shadow_alloc_leaf(void);
void s390_shadow_free_leaf(struct s390_shadow *shadow, struct page *page);

/* s390-shadow-batch.c */
struct s390_shadow_batch *s390_shadow_alloc_batch(void);
void s390_shadow_unpin(struct s390_shadow *shadow, const u64 *old,
		       unsigned int nr);
void s390_shadow_batch_release(struct s390_shadow *shadow,
			       struct s390_shadow_batch *batch);
int s390_shadow_batch_flush(struct s390_shadow *shadow,
			    struct s390_shadow_batch **batchp);
int s390_shadow_leave_limbo(struct s390_shadow *shadow);

/* The host refresh of @batch must cover [@first, @last] */
static inline void s390_shadow_batch_cover(struct s390_shadow_batch *batch,
					   u64 first, u64 last)
{
	batch->refresh = true;
	batch->first = min(batch->first, first);
	batch->last = max(batch->last, last);
}

/* s390-shadow-guest.c */
int s390_shadow_fetch_segment(struct s390_shadow_segment *seg);
u64 s390_shadow_next_segment(struct s390_shadow *shadow,
			     struct s390_shadow_batch *batch, u64 iova,
			     u64 last);

#endif /* _S390_SHADOW_H */
