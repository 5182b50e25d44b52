/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shadow of a guest's I/O address space, for an s390 PCI function
 *
 * A shadow reads the I/O translation table that a guest built in its own memory,
 * and mirrors it in a table of the host, with which the function translates. It
 * accesses guest memory only through struct s390_shadow_guest_ops.
 */
#ifndef _LINUX_S390_IOMMU_SHADOW_H
#define _LINUX_S390_IOMMU_SHADOW_H

#include <linux/s390_iotable.h>
#include <linux/types.h>

struct device;
struct iommufd_demand_fault;
struct page;
struct s390_shadow;
struct seq_file;
struct zpci_dev;

/**
 * struct s390_shadow_frame - a pinned guest frame
 * @gaddr: guest absolute address of the frame, ORed with
 *	S390_SHADOW_FRAME_PROTECTED if the function can't write to it
 * @addr: host absolute address of the page
 */
struct s390_shadow_frame {
	u64 gaddr;
	phys_addr_t addr;
};

#define S390_SHADOW_FRAME_PROTECTED	0x200UL

/**
 * struct s390_shadow_guest_ops - operations on the guest's memory
 *
 * @read, @fetch, @walk, @pin, @charge and @uncharge are called from
 * s390_shadow_refresh() only, in the context of its caller, and may sleep. @unpin
 * is also called from s390_shadow_unmap_gpa_range() and from teardown; @end is
 * called from teardown. Teardown runs in s390_shadow_destroy() or when the domain
 * is detached (VFIO, iommufd, removal of the function), in process context, with
 * locks of the IOMMU core held. @unpin and @end may sleep. They must not fail and
 * must not take a lock under which IOMMU API functions are called.
 *
 * The argument @guest of s390_shadow_create() is passed to each operation. It
 * must stay valid until s390_shadow_destroy() has returned.
 */
struct s390_shadow_guest_ops {
	/**
	 * @read: copy @nr doublewords, at most 2048, from the guest absolute
	 * address @gaddr, which is doubleword aligned, to @dst. Each byte is
	 * fetched exactly once, but a doubleword that the guest stores
	 * meanwhile may be torn. Returns 0, -EFAULT if part of the range is not
	 * guest memory, -EINTR if a signal must be handled first, or -EAGAIN if
	 * memory has to be faulted in by the caller of s390_shadow_refresh().
	 */
	int (*read)(void *guest, u64 gaddr, u64 *dst, unsigned int nr);
	/**
	 * @fetch: like @read, but each doubleword is fetched as a whole. The
	 * range does not cross a 4 KiB boundary.
	 */
	int (*fetch)(void *guest, u64 gaddr, u64 *dst, unsigned int nr);
	/**
	 * @walk: walk to the page table, then fetch @nr entries, as
	 * dma_walk_ptes() does with a function that fetches like @fetch.
	 * Returns its result; an error is one of @fetch.
	 */
	int (*walk)(void *guest, struct dma_walk *path, u64 *pte,
		    unsigned int nr);
	/**
	 * @pin: pin up to @nr 4 KiB guest frames for long-term DMA. @gaddr holds
	 * their addresses, each as in &struct s390_shadow_frame. Pins from the
	 * first frame on, stores the pages to @pages and returns their number,
	 * at least one. Else returns -EFAULT if the first frame does not exist
	 * or is not writable, -ENOMEM if out of memory, -EINTR if a signal must
	 * be handled first, -EAGAIN if the frame has to be faulted in by the
	 * caller of s390_shadow_refresh().
	 */
	long (*pin)(void *guest, const u64 *gaddr, unsigned int nr,
		    struct page **pages);
	/**
	 * @unpin: unpin @nr frames and uncharge them. They may come from several
	 * calls of @pin, in any order.
	 */
	void (*unpin)(void *guest, const struct s390_shadow_frame *frames,
		      unsigned int nr);
	/**
	 * @charge: charge @nr pages to the owner of the guest before they are
	 * pinned. Returns 0, -ENOMEM if a limit is reached, or -EINTR.
	 */
	int (*charge)(void *guest, unsigned long nr);
	/** @uncharge: uncharge @nr pages that were charged but not pinned. */
	void (*uncharge)(void *guest, unsigned long nr);
	/**
	 * @end: called at the end of teardown, when nothing is pinned any more.
	 * May be NULL.
	 */
	void (*end)(void *guest);
	/**
	 * @release: called when the last reference on the shadow is dropped. May
	 * be NULL.
	 */
	void (*release)(void *guest);
};

/**
 * struct s390_shadow_config - the guest's I/O translation parameters
 * @iota: I/O translation anchor as given to MPCIFC
 * @pba: first I/O address of the aperture
 * @pal: last I/O address of the aperture (inclusive)
 */
struct s390_shadow_config {
	u64 iota;
	u64 pba;
	u64 pal;
};

/**
 * enum s390_shadow_pass - passes of a refresh over its range
 * @S390_SHADOW_PASS_MAP: map and unmap
 * @S390_SHADOW_PASS_UNMAP: rest of a pass that ran out of resources: only unmap,
 *	then begin another @S390_SHADOW_PASS_MAP
 * @S390_SHADOW_PASS_MAKE_ROOM: only unmap, retry host refreshes that failed, then
 *	begin another @S390_SHADOW_PASS_MAP
 */
enum s390_shadow_pass {
	S390_SHADOW_PASS_MAP,
	S390_SHADOW_PASS_UNMAP,
	S390_SHADOW_PASS_MAKE_ROOM,
};

/**
 * struct s390_shadow_walk - progress of a refresh
 * @first: first I/O address of the range
 * @last: last I/O address of the range (inclusive)
 * @next: first I/O address that is not done in this pass
 * @pass: the current pass
 * @retried: there was a pass to unmap; the next lack of resources is an error
 * @made_room: there was a pass to make room; don't begin another one
 * @shadow_nr: number of the shadow, for s390_iommu_refresh()
 *
 * Private to the shadow after s390_shadow_walk_init().
 */
struct s390_shadow_walk {
	u64 first;
	u64 last;
	u64 next;
	enum s390_shadow_pass pass;
	bool retried;
	bool made_room;
	u64 shadow_nr;
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
 * struct s390_shadow_stats - counters of a shadow since its creation
 * @mapped: frames mapped
 * @unmapped: frames unmapped
 * @pinned: frames pinned now
 * @pinned_peak: largest number of frames pinned at once
 * @refreshes: host RPCITs issued
 * @refresh_errors: host RPCITs that failed
 * @tables: host page, segment and region tables now, without the topmost
 * @tables_pruned: empty host tables that were freed by pruning
 * @walks: refreshes that are complete, successful or not
 * @refused_nomem: refreshes that ended with -ENOMEM
 * @refused_format: refreshes that ended with -EINVAL
 * @refused_memory: refreshes that ended with -EFAULT
 * @refused_host: refreshes that ended with -EIO
 * @interrupted: calls of s390_shadow_refresh() that ended with -EINTR
 */
struct s390_shadow_stats {
	u64 mapped;
	u64 unmapped;
	u64 pinned;
	u64 pinned_peak;
	u64 refreshes;
	u64 refresh_errors;
	u64 tables;
	u64 tables_pruned;
	u64 walks;
	u64 refused_nomem;
	u64 refused_format;
	u64 refused_memory;
	u64 refused_host;
	u64 interrupted;
};

int s390_shadow_config_check(const struct s390_shadow_config *cfg);
struct s390_shadow *s390_shadow_create(struct device *dev,
				       const struct s390_shadow_config *cfg,
				       const struct s390_shadow_guest_ops *ops,
				       void *guest);
void s390_shadow_destroy(struct s390_shadow *shadow);
struct s390_shadow *s390_shadow_get(struct s390_shadow *shadow);
void s390_shadow_put(struct s390_shadow *shadow);
int s390_shadow_refresh(struct s390_shadow *shadow,
			struct s390_shadow_walk *walk);
int s390_iommu_refresh(struct zpci_dev *zdev, struct s390_shadow_walk *walk,
		       struct iommufd_demand_fault *fault);
void s390_iommu_shadow_stats(struct zpci_dev *zdev,
			     struct s390_shadow_stats *stats);
void s390_shadow_unmap_gpa_range(struct s390_shadow *shadow, u64 gaddr, u64 last);
void s390_shadow_stats(struct s390_shadow *shadow,
		       struct s390_shadow_stats *stats);
int s390_shadow_show(struct zpci_dev *zdev, struct seq_file *m);
u32 s390_shadow_designations(void);
u64 s390_shadow_frame_sizes(void);

#endif /* _LINUX_S390_IOMMU_SHADOW_H */
