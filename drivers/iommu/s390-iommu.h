/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Domains of the s390 IOMMU driver
 *
 * Private to drivers/iommu. Shared by the driver (s390-iommu.c) and its nested
 * domains (s390-nested.c).
 */
#ifndef _S390_IOMMU_H
#define _S390_IOMMU_H

#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <asm/pci_dma.h>
#include <linux/s390_iotable.h>

struct iommu_hw_info_s390_zpci;
struct iommufd_demand_fault;
struct s390_shadow;
struct s390_shadow_guest_ops;
struct s390_shadow_walk;
struct zpci_dev;

/* Frames that a guest may map beyond the number of frames that it has */
#define S390_NESTED_SLACK	4096

/**
 * struct s390_domain - a paging domain
 * @domain: domain of the IOMMU core
 * @devices: attached functions, linked by zpci_dev->iommu_list
 * @ctrs: counters shown in the function's debugfs statistics
 * @dma_table: topmost table that iommu_map() writes
 * @top: level of @dma_table
 * @leaked: a function may still translate with the tables, do not free them
 * @list_lock: protects @devices
 * @nest_parent: may be the parent of nested domains
 * @nr_mapped: pages that are mapped, if @nest_parent
 * @maps_io: something else than memory is mapped, or was, if @nest_parent
 * @children_lock: protects @children
 * @children: nested domains whose parent this is
 * @rcu: for call_rcu()
 */
struct s390_domain {
	struct iommu_domain	domain;
	struct list_head	devices;
	struct zpci_iommu_ctrs	ctrs;
	unsigned long		*dma_table;
	enum zpci_table_level	top;
	bool			leaked;
	spinlock_t		list_lock;	/* devices */
	bool			nest_parent;
	atomic64_t		nr_mapped;
	bool			maps_io;
	struct mutex		children_lock;	/* children */
	struct list_head	children;
	struct rcu_head		rcu;
};

/**
 * to_s390_domain() - convert a paging domain
 * @dom: a domain of this driver, not the identity or the blocking domain
 *
 * Return: the s390 domain that contains @dom
 */
static inline struct s390_domain *to_s390_domain(struct iommu_domain *dom)
{
	return container_of(dom, struct s390_domain, domain);
}

/**
 * s390_iommu_is_memory() - is a page frame memory that can be read as such?
 * @pfn: page frame number that iommu_map() was called with; may be that of a
 *	device's BAR
 *
 * Return: true if it has a struct page, which is not a device's
 */
static inline bool s390_iommu_is_memory(unsigned long pfn)
{
	return pfn_valid(pfn) && !is_zone_device_page(pfn_to_page(pfn));
}

void s390_iommu_block(struct device *dev, struct iommu_domain *old);
void s390_iommu_set_domain(struct zpci_dev *zdev, struct iommu_domain *domain);

#ifdef CONFIG_S390_IOMMU_SHADOW
struct iommu_domain *
s390_domain_alloc_nested(struct device *dev, struct iommu_domain *parent,
			 u32 flags, const struct iommu_user_data *user_data);
void s390_nested_detach(struct iommu_domain *domain);
void s390_nested_unmap(struct s390_domain *parent, u64 first, u64 last);
void s390_nested_hw_info(struct iommu_hw_info_s390_zpci *info);
extern const struct s390_shadow_guest_ops s390_demand_guest_ops;
void *s390_demand_create(struct iommu_domain *parent, u64 base);
int s390_nested_refresh(struct s390_shadow *shadow, struct s390_shadow_walk *walk,
			struct iommufd_demand_fault *fault);
#else
#define s390_domain_alloc_nested NULL

static inline void s390_nested_detach(struct iommu_domain *domain)
{
}

static inline void s390_nested_unmap(struct s390_domain *parent, u64 first, u64 last)
{
}

static inline void s390_nested_hw_info(struct iommu_hw_info_s390_zpci *info)
{
}
#endif

#endif /* _S390_IOMMU_H */
