/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shadow of a guest's I/O address space in the domain of an s390 PCI function
 *
 * The shadow reads the I/O translation table that a guest built in its own
 * memory, pins the guest frames that the table makes accessible, and mirrors
 * the table into the iommu_domain that the function is attached to. It knows
 * nothing of the hypervisor: guest memory is reached only through struct
 * s390_shadow_guest_ops.
 */
#ifndef _LINUX_S390_IOMMU_SHADOW_H
#define _LINUX_S390_IOMMU_SHADOW_H

#include <linux/s390_iotable.h>
#include <linux/types.h>

struct device;
struct page;
struct s390_shadow;
struct seq_file;
struct zpci_dev;

/**
 * struct s390_shadow_frame - a guest frame that was pinned
 * @gaddr: guest absolute address that it was pinned for; with
 *	S390_SHADOW_FRAME_PROTECTED if the function could not write to it
 * @addr: host absolute address of the page
 */
struct s390_shadow_frame {
	u64 gaddr;
	phys_addr_t addr;
};

#define S390_SHADOW_FRAME_PROTECTED	0x200UL

/**
 * struct s390_shadow_guest_ops - how a shadow reaches the guest's memory
 *
 * @read, @fetch, @walk, @pin, @charge and @uncharge are called from
 * s390_shadow_refresh() only, in the context of its caller, and may sleep. @unpin
 * is also called from s390_shadow_unmap_gpa_range() and, like @end, when the shadow is
 * torn down: from s390_shadow_destroy() or from whoever detaches the domain (VFIO,
 * iommufd, removal of the function), in process context, with locks of the IOMMU
 * core held. They may sleep, must not fail and must not take a lock under which
 * IOMMU API functions are called.
 *
 * The pointer @guest that was given to s390_shadow_create() must stay valid
 * until s390_shadow_destroy() has returned.
 */
struct s390_shadow_guest_ops {
	/**
	 * @read: copy @nr doublewords of guest memory at the guest absolute
	 * address @gaddr, which is doubleword aligned, to @dst; 2048 at most,
	 * the size of a table. Each byte is fetched exactly once; if the guest
	 * stores into a doubleword meanwhile, some of its bytes may be old and
	 * some new. Returns 0, or -EFAULT if there is no guest memory in
	 * some of the range, or -EINTR if a signal must be handled first.
	 */
	int (*read)(void *guest, u64 gaddr, u64 *dst, unsigned int nr);
	/**
	 * @fetch: like @read, but in a range that does not cross a 4 KiB
	 * boundary, and each doubleword is fetched as a whole: it is what it was
	 * before a store of the guest, or after it.
	 */
	int (*fetch)(void *guest, u64 gaddr, u64 *dst, unsigned int nr);
	/**
	 * @walk: dma_walk_guest_trans() of the guest's table, each entry fetched as
	 * @fetch does it. Returns what that returns; an error is one of @read.
	 */
	int (*walk)(void *guest, struct dma_guest_walk *path, u64 *pte,
		    unsigned int nr);
	/**
	 * @pin: pin up to @nr 4 KiB guest frames for DMA of unlimited duration,
	 * the addresses of which are in @gaddr, each as in &struct
	 * s390_shadow_frame. Returns how many of them were pinned and stored to
	 * @pages, from the first on and at least one, or -EFAULT if the first
	 * frame does not exist or is not writable, -ENOMEM if it can't be pinned
	 * for want of memory, -EINTR if a signal must be handled first.
	 */
	long (*pin)(void *guest, const u64 *gaddr, unsigned int nr,
		    struct page **pages);
	/**
	 * @unpin: release @nr frames, any number that @pin returned, and take
	 * back their charge.
	 */
	void (*unpin)(void *guest, const struct s390_shadow_frame *frames,
		      unsigned int nr);
	/**
	 * @charge: charge @nr pages, which are about to be pinned, to the owner
	 * of the guest. Returns 0, or -ENOMEM if a limit is reached, or -EINTR.
	 */
	int (*charge)(void *guest, unsigned long nr);
	/**
	 * @uncharge: take back the charge of @nr pages that were not pinned
	 * after all.
	 */
	void (*uncharge)(void *guest, unsigned long nr);
	/**
	 * @end: the shadow was torn down. Nothing is pinned for it any more, and
	 * nothing will be. May be NULL.
	 */
	void (*end)(void *guest);
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
 * struct s390_shadow_walk - how far a refresh has come
 * @first: first I/O address of the range
 * @last: last I/O address of the range (inclusive)
 * @next: first I/O address that is not done in this pass
 * @making_room: this pass just takes out what the guest has given up
 * @made_room: there was such a pass
 * @nomem: something could not be mirrored in this pass for want of resources
 * @again: this is the second pass after such a one
 *
 * Set up by s390_shadow_walk_init(), and of no concern to the caller.
 */
struct s390_shadow_walk {
	u64 first;
	u64 last;
	u64 next;
	bool making_room;
	bool made_room;
	bool nomem;
	bool again;
};

/**
 * s390_shadow_walk_init() - begin a refresh
 * @walk: state of the refresh
 * @first: first I/O address, aligned to 4 KiB, within the aperture
 * @last: last I/O address (inclusive), last byte of a 4 KiB frame, likewise
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
 * @mapped: frames made accessible to the function
 * @unmapped: frames withdrawn from the function
 * @pinned: frames pinned now
 * @pinned_peak: the most frames that were ever pinned at once
 * @refreshes: host RPCITs issued
 * @refresh_errors: host RPCITs that failed
 * @tables: host page, segment and region tables now, without the topmost
 * @tables_pruned: host tables that were freed because they were empty
 * @walks: refreshes that came to their end, whatever the result
 * @refused_nomem: those that ended with -ENOMEM
 * @refused_format: those that ended with -EINVAL
 * @refused_memory: those that ended with -EFAULT
 * @refused_host: those that ended with -EIO
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
void s390_shadow_unmap_gpa_range(struct s390_shadow *shadow, u64 gaddr, u64 last);
void s390_shadow_stats(struct s390_shadow *shadow,
		       struct s390_shadow_stats *stats);
int s390_shadow_show(struct zpci_dev *zdev, struct seq_file *m);
u32 s390_shadow_designations(void);
u64 s390_shadow_frame_sizes(void);

#endif /* _LINUX_S390_IOMMU_SHADOW_H */
