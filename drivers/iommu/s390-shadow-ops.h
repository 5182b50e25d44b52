/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The shadow engine, as its users see it: parameters, guest memory, counters
 *
 * Private to drivers/iommu. The engine is in s390-shadow.h.
 */
#ifndef _S390_SHADOW_OPS_H
#define _S390_SHADOW_OPS_H

#include <linux/s390_iotable.h>
#include <linux/types.h>

struct page;

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
 * is also called from s390_shadow_unmap_gpa_range() and from
 * s390_shadow_engine_teardown(), in process context, with locks of iommufd held. It
 * may sleep. It must not fail and must not take a lock under which IOMMU API
 * functions are called.
 *
 * The argument @guest of s390_shadow_engine_create() is passed to each operation.
 * It must stay valid until s390_shadow_engine_teardown() has returned, and until
 * @release if there is that.
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
	 * @walk: walk to the page table, as dma_walk_trans() does, then fetch @nr
	 * of its entries, beginning with that of path->iova. @nr may be 0. Each
	 * entry is fetched as by @fetch. Returns the result of dma_walk_trans();
	 * an error is one of @fetch.
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

#endif /* _S390_SHADOW_OPS_H */
