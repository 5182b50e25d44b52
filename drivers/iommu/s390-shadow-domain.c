// SPDX-License-Identifier: GPL-2.0
/*
 * Claim an iommu_domain for a shadow
 *
 * Invariants:
 *
 * 1. One writer. While a shadow has claimed a domain, iommu_map() fails and no
 *    second function can be attached. A domain with mappings or with more than
 *    one function can't be claimed, so iommu_unmap() finds nothing to do.
 * 2. A table is freed, and its pages are unpinned, only after the function can't
 *    translate with it any more.
 *
 * While the domain is claimed, the function translates with the table of the
 * shadow, not with that of the domain. So iommu_map() and the shadow never write
 * to the same table. The function is switched between the two tables by
 * registering its I/O address translation again, which flushes all cached
 * translations.
 *
 * References: the creator holds one on the shadow, the shadow one on the device.
 * The domain and the shadow point to each other without a reference. Both
 * pointers are cleared under zdev->attach_lock by s390_shadow_destroy() or by the
 * detach of the domain, whichever comes first. A domain is freed only after it
 * was detached, so the pointer to it is valid while it is not NULL.
 *
 * Lock order: group->mutex of the IOMMU core -> zdev->attach_lock ->
 * shadow->tree_lock (see s390-shadow.c) -> locks of the guest operations. Callers
 * of s390_shadow_create() and s390_shadow_destroy() hold no lock of the IOMMU
 * core. zdev->ioat_lock (arch/s390/pci/pci.c) is the innermost lock. It keeps a
 * hot reset, which can't take attach_lock, from registering a table that is about
 * to be freed. It keeps a refresh from the function while it has no table.
 */

#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <asm/pci_insn.h>

#include "s390-iommu.h"
#include "s390-shadow.h"

/* shadow->tree_lock is held and the shadow is not dead, so the domain is set */
static int shadow_domain_refresh(void *host, u64 start, u64 size)
{
	struct s390_shadow *shadow = host;
	struct zpci_dev *zdev = to_zpci_dev(shadow->dev);

	atomic64_inc(&shadow->domain->ctrs.sync_rpcits);
	return zpci_refresh_dma_table(zdev, shadow->iota, start, size);
}

/*
 * Register the table of the domain again. Return false if the function may still
 * translate with the table of the shadow.
 */
static bool shadow_restore_table(struct zpci_dev *zdev,
				 struct s390_domain *s390_domain)
{
	u64 iota = zpci_make_iota(s390_domain->top,
				  virt_to_phys(s390_domain->dma_table));

	/*
	 * After any other error the function has no table: it is disabled, in
	 * error state or gone. A reset registers the table of the domain.
	 */
	return zpci_set_dma_table(zdev, iota, zdev->start_dma,
				  zdev->end_dma) != -EBUSY;
}

static int shadow_claim(struct s390_domain *s390_domain, struct zpci_dev *zdev,
			struct s390_shadow *shadow)
{
	unsigned long flags;
	int rc = -EBUSY;

	spin_lock_irqsave(&s390_domain->list_lock, flags);
	if (!s390_domain->shadow &&
	    list_is_singular(&s390_domain->devices) &&
	    list_first_entry(&s390_domain->devices, struct zpci_dev,
			     iommu_list) == zdev) {
		WRITE_ONCE(s390_domain->shadow, shadow);
		rc = 0;
	}
	spin_unlock_irqrestore(&s390_domain->list_lock, flags);
	return rc;
}

static void shadow_unclaim(struct s390_domain *s390_domain)
{
	unsigned long flags;

	spin_lock_irqsave(&s390_domain->list_lock, flags);
	WRITE_ONCE(s390_domain->shadow, NULL);
	spin_unlock_irqrestore(&s390_domain->list_lock, flags);
}

/*
 * Detach the function from the shadow's table, tear down the shadow, release the
 * domain. Do nothing if the domain was released already.
 */
static void shadow_release_domain(struct s390_shadow *shadow)
{
	struct zpci_dev *zdev = to_zpci_dev(shadow->dev);
	struct s390_domain *s390_domain;

	guard(mutex)(&zdev->attach_lock);
	s390_domain = shadow->domain;
	if (!s390_domain)
		return;
	/* Leak the shadow if the function may still translate with its table */
	if (s390_domain->leaked || !shadow_restore_table(zdev, s390_domain)) {
		s390_domain->leaked = true;
		kref_get(&shadow->ref);
		return;
	}
	s390_shadow_engine_teardown(shadow);
	shadow->domain = NULL;
	shadow_unclaim(s390_domain);
}

static void shadow_domain_detach(void *host)
{
	shadow_release_domain(host);
}

static const struct s390_shadow_host_ops shadow_domain_host_ops = {
	.refresh = shadow_domain_refresh,
	.detach = shadow_domain_detach,
};

/**
 * s390_shadow_alloc() - allocate an empty shadow for a function
 * @zdev: the function
 * @cfg: the guest's translation parameters
 * @ops: access to guest memory
 * @guest: argument of @ops
 * @host_ops: access to the host
 * @host: argument of @host_ops
 *
 * Checks @cfg, and chooses the smallest host table that the function supports and
 * that reaches the end of the aperture. The largest one reaches max_dma.
 *
 * Context: process; sleeps
 * Return: what s390_shadow_engine_create() returns, or
 * * -EOPNOTSUPP - the format of the guest's table is not supported
 * * -EINVAL	 - the aperture is malformed or out of the function's reach
 * * -ENOMEM	 - no memory
 */
struct s390_shadow *
s390_shadow_alloc(struct zpci_dev *zdev, const struct s390_shadow_config *cfg,
		  const struct s390_shadow_guest_ops *ops, void *guest,
		  const struct s390_shadow_host_ops *host_ops, void *host)
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
	shadow = s390_shadow_engine_create(cfg, top, ops, guest, host_ops, host,
					   zdev->tlb_refresh, zdev->fid);
	return shadow ?: ERR_PTR(-ENOMEM);
}

/**
 * s390_shadow_create() - create a shadow that claims a function's domain
 * @dev: the device of the PCI function
 * @cfg: the guest's translation parameters; the aperture must lie between
 *	 &zpci_dev.start_dma and &zpci_dev.max_dma
 * @ops: operations on guest memory
 * @guest: argument of @ops; must stay valid until s390_shadow_destroy() returns
 *
 * The function must be attached to an unmanaged domain (VFIO, iommufd) without
 * mappings. The shadow is empty until the first s390_shadow_refresh().
 *
 * Context: process; sleeps. No lock of the IOMMU core may be held.
 * Return: the shadow, to be passed to s390_shadow_destroy(), or an ERR_PTR():
 * * -ENODEV	 - not a zPCI function, or no unmanaged domain is attached
 * * -EBUSY	 - the domain has mappings, another function or a shadow
 * * -EOPNOTSUPP - the format of the guest's table is not supported
 * * -EINVAL	 - the aperture is malformed or not within the function's DMA range
 * * -ENOMEM	 - out of memory
 * * -EIO	 - registering the table with the function failed
 */
struct s390_shadow *s390_shadow_create(struct device *dev,
				       const struct s390_shadow_config *cfg,
				       const struct s390_shadow_guest_ops *ops,
				       void *guest)
{
	struct s390_domain *s390_domain;
	struct s390_shadow *shadow;
	struct iommu_domain *domain;
	struct zpci_dev *zdev;
	int rc;

	if (!dev_is_pci(dev) || !device_iommu_mapped(dev))
		return ERR_PTR(-ENODEV);
	zdev = to_zpci_dev(dev);

	shadow = s390_shadow_alloc(zdev, cfg, ops, guest, &shadow_domain_host_ops,
				   NULL);
	if (IS_ERR(shadow))
		return shadow;
	shadow->host = shadow;
	shadow->dev = get_device(dev);

	mutex_lock(&zdev->attach_lock);
	domain = zdev->s390_domain;
	if (domain->type != IOMMU_DOMAIN_UNMANAGED) {
		rc = -ENODEV;
		goto fail;
	}
	s390_domain = to_s390_domain(domain);
	/* Don't make iommu_map() fail on a domain that can't be claimed */
	rc = -EBUSY;
	if (dma_has_cpu_trans(s390_domain->dma_table, s390_domain->top))
		goto fail;
	rc = shadow_claim(s390_domain, zdev, shadow);
	if (rc)
		goto fail;

	/* Wait for iommu_map() calls that did not see the claim */
	synchronize_srcu(&s390_iommu_map_srcu);
	if (dma_has_cpu_trans(s390_domain->dma_table, s390_domain->top)) {
		rc = -EBUSY;
		goto fail_unclaim;
	}

	rc = zpci_set_dma_table(zdev, shadow->iota, cfg->pba, cfg->pal);
	if (rc) {
		rc = -EIO;
		shadow_restore_table(zdev, s390_domain);
		goto fail_unclaim;
	}
	shadow->domain = s390_domain;
	mutex_unlock(&zdev->attach_lock);
	return shadow;

fail_unclaim:
	shadow_unclaim(s390_domain);
fail:
	mutex_unlock(&zdev->attach_lock);
	s390_shadow_engine_teardown(shadow);
	s390_shadow_put(shadow);
	return ERR_PTR(rc);
}
EXPORT_SYMBOL_GPL(s390_shadow_create);

/**
 * s390_shadow_destroy() - tear down a shadow and release its domain
 * @shadow: the shadow
 *
 * Waits for refreshes in progress, registers the domain's own, empty table, then
 * unpins and uncharges all pages. No guest operation is called afterwards. If the
 * domain was detached, this was done then. Does not fail. Drops the creator's
 * reference.
 *
 * Context: process; sleeps. No lock of the IOMMU core may be held.
 */
void s390_shadow_destroy(struct s390_shadow *shadow)
{
	shadow_release_domain(shadow);
	s390_shadow_put(shadow);
}
EXPORT_SYMBOL_GPL(s390_shadow_destroy);

/**
 * s390_shadow_domain_detached() - tear down the shadow of a detached domain
 * @s390_domain: the domain
 *
 * The driver has unregistered the function's I/O address translation and cleared
 * zdev->dma_iota. If the domain is claimed, tears down the shadow and releases the
 * domain. If the function may still translate with the shadow's table, leaks both.
 *
 * Context: process; sleeps. attach_lock of the function and group->mutex of
 * the IOMMU core are held. Waits for refreshes in progress, which may wait for
 * user space (userfaultfd) until they are killed.
 */
void s390_shadow_domain_detached(struct s390_domain *s390_domain)
{
	struct s390_shadow *shadow = s390_domain->shadow;

	if (!shadow || s390_domain->leaked)
		return;
	s390_shadow_engine_teardown(shadow);
	shadow->domain = NULL;
	shadow_unclaim(s390_domain);
}

/**
 * s390_shadow_show() - print the counters of a function's shadow
 * @zdev: the function
 * @m: output, a file in the function's debugfs directory
 *
 * Prints nothing if no shadow has claimed the function's domain.
 *
 * Context: process; sleeps. Takes attach_lock of the function, and so may wait for
 * a detach that waits for refreshes.
 * Return: 0, or -EINTR if a signal is pending
 */
int s390_shadow_show(struct zpci_dev *zdev, struct seq_file *m)
{
	struct iommu_domain *domain;
	struct s390_shadow *shadow = NULL;
	struct s390_shadow_stats stats;

	if (mutex_lock_interruptible(&zdev->attach_lock))
		return -EINTR;
	domain = zdev->s390_domain;
	if (domain && domain->type == IOMMU_DOMAIN_UNMANAGED)
		shadow = to_s390_domain(domain)->shadow;
	if (shadow)
		s390_shadow_stats(shadow, &stats);
	mutex_unlock(&zdev->attach_lock);
	if (!shadow)
		return 0;

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
	return 0;
}
