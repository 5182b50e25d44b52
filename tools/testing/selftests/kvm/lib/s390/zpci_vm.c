// SPDX-License-Identifier: GPL-2.0
/*
 * A virtual machine with an NVMe function passed through to it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include <linux/iommufd.h>
#include <linux/vfio_zdev.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "zpci_function.h"
#include "zpci_vm.h"

/* Skip the test if the host lacks something. Say what. */
void zpci_vm_require(void)
{
	int caps;

	if (!zpci_function_find())
		ksft_exit_skip("VFIO_SELFTESTS_BDF names no NVMe function\n");
	if (access("/dev/kvm", R_OK | W_OK))
		ksft_exit_skip("no /dev/kvm\n");
	caps = kvm_check_cap(KVM_CAP_S390_ZPCI_DEVICE);
	if (!(caps & KVM_S390_ZPCI_CAP_IOAT))
		ksft_exit_skip("KVM_CAP_S390_ZPCI_DEVICE is %d: no IOAT\n",
			       caps);
	if (!zpci_shadow_has_stats())
		ksft_exit_skip("no statistics of functions in debugfs\n");
}

/* Create the VM and open the function. zpci_vm_start() does the rest. */
void zpci_vm_create(struct zpci_vm *m, const char *mode)
{
	memset(m, 0, sizeof(*m));
	zpci_guest_create(&m->guest);
	m->kvm_vfio = -1;
	m->zpci = kvm_create_device(m->guest.vm, KVM_DEV_TYPE_S390_ZPCI);
	zpci_vm_open_function(m, mode);
}

static u32 alloc_hwpt(struct zpci_vm *m, u32 flags, u32 pt_id,
		      struct iommu_hwpt_s390_zpci *data)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.dev_id = m->device->devid,
		.pt_id = pt_id,
		.data_type = data ? IOMMU_HWPT_DATA_S390_ZPCI : 0,
		.data_len = data ? sizeof(*data) : 0,
		.data_uptr = (uintptr_t)data,
	};

	return ioctl(m->device->iommu->iommufd, IOMMU_HWPT_ALLOC, &cmd) ?
	       0 : cmd.out_hwpt_id;
}

/* Let the functions see memory of the guest. Return 0 or an errno. */
int zpci_vm_plug(struct zpci_vm *m,
		 const struct kvm_userspace_memory_region2 *memory)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
		.ioas_id = m->ioas,
		.user_va = memory->userspace_addr,
		.iova = m->start_dma + memory->guest_phys_addr,
		.length = memory->memory_size,
	};

	if (!m->ioas)
		return 0;
	if (!(memory->flags & KVM_MEM_READONLY))
		map.flags |= IOMMU_IOAS_MAP_WRITEABLE;
	if (ioctl(m->device->iommu->iommufd, IOMMU_IOAS_MAP, &map))
		return errno;
	m->plugged += memory->memory_size;
	return 0;
}

int zpci_vm_unplug(struct zpci_vm *m,
		   const struct kvm_userspace_memory_region2 *memory)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = m->ioas,
		.iova = m->start_dma + memory->guest_phys_addr,
		.length = memory->memory_size,
	};

	if (!m->ioas)
		return 0;
	if (ioctl(m->device->iommu->iommufd, IOMMU_IOAS_UNMAP, &unmap))
		return errno;
	m->plugged -= memory->memory_size;
	return 0;
}

/* Map the guest's memory into an IOAS as its functions see it. */
static void create_parent(struct zpci_vm *m)
{
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct userspace_mem_region *region;
	u32 flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
	int bkt, i, err = 0;

	TEST_ASSERT(!ioctl(m->device->iommu->iommufd, IOMMU_IOAS_ALLOC, &ioas),
		    "IOMMU_IOAS_ALLOC: %s", strerror(errno));
	m->ioas = ioas.out_ioas_id;
	hash_for_each(m->guest.vm->regions.slot_hash, bkt, region, slot_node)
		err = err ? : zpci_vm_plug(m, &region->region);
	for (i = 0; i < ZPCI_SLOTS; i++) {
		if (m->slots[i].memory_size)
			err = err ? : zpci_vm_plug(m, &m->slots[i]);
	}
	TEST_ASSERT(!err, "IOMMU_IOAS_MAP: %s", strerror(err));
	if (zpci_mode_is_on_demand(m->mode))
		flags |= IOMMU_HWPT_ALLOC_ON_DEMAND;
	m->parent = alloc_hwpt(m, flags, m->ioas, NULL);
	TEST_ASSERT(m->parent, "IOMMU_HWPT_ALLOC: %s", strerror(errno));
}

void zpci_vm_open_function(struct zpci_vm *m, const char *mode)
{
	/* A VM can have one. */
	if (m->kvm_vfio < 0)
		m->kvm_vfio = kvm_create_device(m->guest.vm,
						KVM_DEV_TYPE_VFIO);
	m->device = zpci_function_open(mode, m->kvm_vfio);
	m->mode = mode;
	zpci_function_dma_range(m->device, &m->start_dma, &m->end_dma);
	m->pba = m->start_dma + ZPCI_VM_PBA_OFFSET;
	m->pal = m->start_dma + ZPCI_VM_PAL_OFFSET;
	TEST_ASSERT(m->pal < m->end_dma,
		    "the function has too small a DMA aperture");
	if (zpci_mode_is_nested(mode))
		create_parent(m);
}

/* Close the function and the VFIO file that KVM holds: a group or a cdev. */
void zpci_vm_close_function(struct zpci_vm *m)
{
	if (m->kvm_vfio >= 0)
		close(m->kvm_vfio);
	m->kvm_vfio = -1;
	if (m->device)
		zpci_function_close(m->device);
	m->device = NULL;
	m->ioas = 0;
	m->plugged = 0;
	m->nested = 0;
}

void zpci_vm_close_zpci(struct zpci_vm *m)
{
	if (m->zpci >= 0)
		close(m->zpci);
	m->zpci = -1;
}

/* Close everything in the order that user space should use. */
void zpci_vm_destroy(struct zpci_vm *m)
{
	zpci_vm_close_zpci(m);
	zpci_vm_close_function(m);
	if (m->guest.vm)
		zpci_guest_free(&m->guest);
	free(m->copy);
	m->copy = NULL;
}

/* The functions below return 0 or an errno for the test to check. */
static int attr_set(struct zpci_vm *m, u32 group, u64 attr, void *value)
{
	return __kvm_device_attr_set(m->zpci, group, attr, value) ? errno : 0;
}

int zpci_vm_bind(struct zpci_vm *m)
{
	struct kvm_s390_zpci_bind bind = { .vfio_fd = m->device->fd };

	return attr_set(m, KVM_DEV_S390_ZPCI_BIND,
			KVM_DEV_S390_ZPCI_BIND_VFIO, &bind);
}

static int destroy_hwpt(struct zpci_vm *m, u32 id)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = id };
	int fd = m->device->iommu->iommufd;

	/* EFAULT: an injected fault. The caller has no other chance. */
	if (!ioctl(fd, IOMMU_DESTROY, &destroy) ||
	    (errno == EFAULT && !ioctl(fd, IOMMU_DESTROY, &destroy)))
		return 0;
	return errno;
}

/*
 * Have all memory of the guest present, and moved to where it may be pinned, by
 * pinning it for a moment.
 */
void zpci_vm_make_pinnable(struct zpci_vm *m)
{
	u32 id = alloc_hwpt(m, IOMMU_HWPT_ALLOC_NEST_PARENT, m->ioas, NULL);

	TEST_ASSERT(id, "IOMMU_HWPT_ALLOC: %s", strerror(errno));
	TEST_ASSERT(!destroy_hwpt(m, id), "IOMMU_DESTROY: %s", strerror(errno));
}

/* Let KVM answer the RPCITs of the function while it has a table of the guest. */
int zpci_vm_ioat_on(struct zpci_vm *m)
{
	struct kvm_s390_zpci_ioat ioat = { .fh = ZPCI_GUEST_FH };

	return attr_set(m, KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_ON,
			&ioat);
}

int zpci_vm_ioat_off(struct zpci_vm *m)
{
	return attr_set(m, KVM_DEV_S390_ZPCI_IOAT, KVM_DEV_S390_ZPCI_IOAT_OFF,
			NULL);
}

/*
 * Give the function a table of the guest, in place of the one that it has. KVM
 * need not know.
 */
int zpci_vm_attach_table(struct zpci_vm *m, u64 iota, u64 pba, u64 pal)
{
	struct iommu_hwpt_s390_zpci data = {
		.iota = iota,
		.pba = pba,
		.pal = pal,
		.base = m->start_dma,
	};
	u32 old = m->nested, new;
	int err;

	new = alloc_hwpt(m, 0, m->parent, &data);
	if (!new)
		return errno;
	err = -__vfio_device_attach_iommufd_pt(m->device->fd, new);
	if (err) {
		destroy_hwpt(m, new);
		return err;
	}
	m->nested = new;
	return old ? destroy_hwpt(m, old) : 0;
}

/* Give the function the guest's table: a new nested HWPT, with nothing mapped */
int zpci_vm_attach(struct zpci_vm *m)
{
	return zpci_vm_attach_table(m, zpci_guest_iota(&m->guest), m->pba,
				    m->pal);
}

/* Take the table from the function, if it has one. */
int zpci_vm_detach(struct zpci_vm *m)
{
	int err;

	if (!m->nested)
		return 0;
	err = zpci_function_detach(m->device);
	if (!err)
		err = destroy_hwpt(m, m->nested);
	if (!err)
		m->nested = 0;
	return err;
}

/* Do all that a function needs that has been opened: what QEMU does, too. */
int zpci_vm_start(struct zpci_vm *m)
{
	int err = zpci_vm_bind(m);

	if (!err)
		err = zpci_vm_ioat_on(m);
	return err ? : zpci_vm_attach(m);
}

/*
 * Recover the function from error state. The reset clears its translation cache:
 * attach an empty table.
 */
int zpci_vm_recover(struct zpci_vm *m)
{
	int err;

	err = zpci_vm_detach(m);
	if (err)
		return err;
	zpci_function_recover(m->device);
	zpci_guest_clear_tables(&m->guest);
	return zpci_vm_attach(m);
}

int zpci_vm_get_stats(struct zpci_vm *m, struct kvm_s390_zpci_ioat_stats *s)
{
	memset(s, 0, sizeof(*s));
	return __kvm_device_attr_get(m->zpci, KVM_DEV_S390_ZPCI_IOAT,
				     KVM_DEV_S390_ZPCI_IOAT_STATS, s) ?
	       errno : 0;
}

struct kvm_s390_zpci_ioat_stats zpci_vm_stats(struct zpci_vm *m)
{
	struct kvm_s390_zpci_ioat_stats stats;
	int err = zpci_vm_get_stats(m, &stats);

	TEST_ASSERT(!err, "IOAT_STATS: %s", strerror(err));
	return stats;
}

/*
 * Tell what is pinned and charged for @frames frames of the guest's table. The parent
 * pins all memory, or each frame once.
 */
struct zpci_pins zpci_vm_pins(struct zpci_vm *m, u64 frames)
{
	if (zpci_mode_is_on_demand(m->mode))
		return (struct zpci_pins) {
			.system = frames,
			.pinned_kb = frames * PAGE_SIZE / 1024,
		};
	return (struct zpci_pins) {
		.system = m->plugged / PAGE_SIZE,
		.pinned_kb = m->plugged / 1024,
	};
}

/*
 * Check that since @before nothing was pinned and charged but for @frames frames,
 * each mapped once. Return NULL or an error text.
 */
const char *zpci_vm_check_pins(struct zpci_vm *m, const struct zpci_pins *before,
			       u64 frames)
{
	struct zpci_pins pins = zpci_vm_pins(m, frames);

	pins.system += before->system;
	pins.pinned_kb += before->pinned_kb;
	return zpci_pins_leaked(&pins);
}

/* Return valid parameters: one interruption and a summary bit. */
struct kvm_s390_zpci_aif zpci_vm_aif(void)
{
	return (struct kvm_s390_zpci_aif) {
		.flags = KVM_S390_ZPCI_AIF_SUMMARY,
		.noi = 1,
		.ibv = ZPCI_VM_IBV,
		.sb = ZPCI_VM_SB,
		.isc = 3,
	};
}

/* Register with @flags added to those of zpci_vm_aif(). */
int zpci_vm_aif_register(struct zpci_vm *m, u32 flags)
{
	struct kvm_s390_zpci_aif aif = zpci_vm_aif();

	aif.flags |= flags;
	return attr_set(m, KVM_DEV_S390_ZPCI_AIF, KVM_DEV_S390_ZPCI_AIF_REG,
			&aif);
}

int zpci_vm_aif_deregister(struct zpci_vm *m)
{
	return attr_set(m, KVM_DEV_S390_ZPCI_AIF, KVM_DEV_S390_ZPCI_AIF_DEREG,
			NULL);
}

int zpci_vm_aif_stats(struct zpci_vm *m, struct kvm_s390_zpci_aif_stats *s)
{
	return __kvm_device_attr_get(m->zpci, KVM_DEV_S390_ZPCI_AIF,
				     KVM_DEV_S390_ZPCI_AIF_STATS, s) ?
	       errno : 0;
}

int zpci_vm_interp(struct zpci_vm *m, bool on)
{
	return attr_set(m, KVM_DEV_S390_ZPCI_INTERP,
			on ? KVM_DEV_S390_ZPCI_INTERP_ON :
			     KVM_DEV_S390_ZPCI_INTERP_OFF, NULL);
}

int zpci_vm_interp_state(struct zpci_vm *m, struct kvm_s390_zpci_interp *s)
{
	return __kvm_device_attr_get(m->zpci, KVM_DEV_S390_ZPCI_INTERP,
				     KVM_DEV_S390_ZPCI_INTERP_STATE, s) ?
	       errno : 0;
}

/*
 * Test a flag of the VFIO capability. Machines without interpretation lack it.
 */
bool zpci_vm_has(struct zpci_vm *m, u32 flag)
{
	struct vfio_device_info_cap_zpci_interp *cap;
	bool has;

	cap = (void *)vfio_pci_device_cap(m->device,
					  VFIO_DEVICE_INFO_CAP_ZPCI_INTERP);
	has = cap && cap->flags & flag;
	free(cap);
	return has;
}

/* The functions below return NULL or an error text. */

/* Check that the kernel completed an RPCIT. */
static const char *judge(const struct zpci_rpcit *r)
{
	struct zpci_shadow_stats s;
	static char text[160];

	if (r->exits) {
		s = zpci_shadow_stats();
		snprintf(text, sizeof(text),
			 "RPCIT left the kernel; %s, reasons so far: format %lu, memory %lu, host %lu",
			 s.attached ? "a table is attached" : "no table",
			 s.refused_format, s.refused_memory, s.refused_host);
		return text;
	}
	if (!r->pgm && !r->cc)
		return NULL;
	snprintf(text, sizeof(text),
		 "RPCIT: cc %u, status %u, program interruption %u", r->cc,
		 r->status, r->pgm);
	return text;
}

/* Let the guest map @size bytes at @gpa to @iova. */
const char *zpci_vm_map(struct zpci_vm *m, u64 iova, u64 gpa, u64 size,
			u64 flags)
{
	struct zpci_rpcit rpcit;

	zpci_guest_map(&m->guest, iova, gpa, size, flags);
	rpcit = zpci_guest_rpcit(&m->guest, iova, size);
	return judge(&rpcit);
}

const char *zpci_vm_unmap(struct zpci_vm *m, u64 iova, u64 size)
{
	struct zpci_rpcit rpcit;

	zpci_guest_unmap(&m->guest, iova, size);
	rpcit = zpci_guest_rpcit(&m->guest, iova, size);
	return judge(&rpcit);
}

/* Return the I/O address of a queue page. */
u64 zpci_vm_queue_iova(struct zpci_vm *m, int page)
{
	return m->pba + page * PAGE_SIZE;
}

static struct nvme_queue_pages queue_pages(struct zpci_vm *m, int sq, int cq)
{
	struct nvme_queue_pages pages = {
		.sq = zpci_guest_hva(&m->guest, ZPCI_GUEST_PAGE(sq)),
		.cq = zpci_guest_hva(&m->guest, ZPCI_GUEST_PAGE(cq)),
		.sq_iova = zpci_vm_queue_iova(m, sq),
		.cq_iova = zpci_vm_queue_iova(m, cq),
	};

	return pages;
}

/* Let the guest map the admin queues. Enable the controller with them. */
const char *zpci_vm_start_nvme(struct zpci_vm *m)
{
	struct nvme_queue_pages admin = queue_pages(m, ZPCI_PAGE_ASQ,
						    ZPCI_PAGE_ACQ);
	const char *err;
	int ret;

	err = zpci_vm_map(m, admin.sq_iova, ZPCI_GUEST_PAGE(ZPCI_PAGE_ASQ),
			  2 * PAGE_SIZE, 0);
	if (err)
		return err;
	ret = nvme_enable(&m->nvme, m->device, &admin);
	return ret ? nvme_result(ret) : NULL;
}

/* Let the guest map the I/O queues. Read the size of the disk. */
const char *zpci_vm_start_io(struct zpci_vm *m)
{
	struct nvme_queue_pages io = queue_pages(m, ZPCI_PAGE_SQ, ZPCI_PAGE_CQ);
	const char *err;
	int ret;

	err = zpci_vm_map(m, io.sq_iova, ZPCI_GUEST_PAGE(ZPCI_PAGE_SQ),
			  2 * PAGE_SIZE, 0);
	if (err)
		return err;
	/* Use the page of the submission queue for the data. */
	ret = nvme_identify_ns(&m->nvme, io.sq, io.sq_iova);
	if (!ret)
		ret = nvme_create_io_queues(&m->nvme, &io);
	if (!ret)
		return NULL;
	if (ret < 0)
		return "DMA through a valid entry failed: host refresh missing?";
	return nvme_result(ret);
}

/* Set up a VM and a function with an empty table. */
void zpci_vm_setup(struct zpci_vm *m, const char *mode)
{
	int err;

	zpci_vm_create(m, mode);
	err = zpci_vm_start(m);
	TEST_ASSERT(!err, "the function can't be started: %s", strerror(err));
}

/* Set up a controller too. With @io, also I/O queues. */
void zpci_vm_setup_nvme(struct zpci_vm *m, const char *mode, bool io)
{
	const char *err;

	zpci_vm_setup(m, mode);
	err = zpci_vm_start_nvme(m);
	if (!err && io)
		err = zpci_vm_start_io(m);
	TEST_ASSERT(!err, "the controller can't be set up: %s", err);
}

/* Compare all guest memory before and after DMA. */

static const u64 watched[][2] = {
	{ ZPCI_GUEST_TABLES, ZPCI_GUEST_TABLES_SIZE },
	{ ZPCI_GUEST_MEM, ZPCI_GUEST_MEM_SIZE },
	{ 0, 0 },	/* memory slot 0, of which the library knows the size */
};

static u64 watched_size(struct zpci_vm *m, int i)
{
	return watched[i][1] ? : memslot2region(m->guest.vm, 0)->region.memory_size;
}

/*
 * memcpy() and memcmp() of the library copy single bytes. That takes too long
 * for all memory on an emulated host.
 */
static void copy_page(u64 *to, const u64 *from)
{
	int i;

	for (i = 0; i < PAGE_SIZE / sizeof(u64); i++)
		to[i] = from[i];
}

static bool same_page(const u64 *a, const u64 *b)
{
	u64 different = 0;
	int i;

	for (i = 0; i < PAGE_SIZE / sizeof(u64); i++)
		different |= a[i] ^ b[i];
	return !different;
}

/* Let the controller write its Identify data to @iova. Check it at @hva. */
const char *zpci_vm_identify(struct zpci_vm *m, u64 iova, const void *hva,
			     const void *expected)
{
	int ret = nvme_identify_ctrl(&m->nvme, iova, 0);

	if (ret)
		return nvme_result(ret);
	return memcmp(hva, expected, NVME_IDENTIFY_SIZE) ?
	       "data did not arrive" : NULL;
}

/* Save the contents of guest memory. The guest must not run until the check. */
void zpci_vm_snapshot(struct zpci_vm *m)
{
	u64 offset, total = 0;
	void *copy, *hva;
	int i;

	for (i = 0; i < ARRAY_SIZE(watched); i++)
		total += watched_size(m, i);
	if (!m->copy)
		m->copy = malloc(total);
	TEST_ASSERT(m->copy, "no memory");
	copy = m->copy;
	for (i = 0; i < ARRAY_SIZE(watched); i++) {
		hva = zpci_guest_hva(&m->guest, watched[i][0]);
		for (offset = 0; offset < watched_size(m, i);
		     offset += PAGE_SIZE, copy += PAGE_SIZE)
			copy_page(copy, hva + offset);
	}
}

static bool listed(const u64 *pages, int nr_pages, u64 gpa)
{
	while (nr_pages--) {
		if (pages[nr_pages] == gpa)
			return true;
	}
	return false;
}

/*
 * Return the first changed page of guest memory, ~0 if there is none. Changes
 * of @pages and of the queues are allowed.
 */
u64 zpci_vm_stray_write(struct zpci_vm *m, const u64 *pages, int nr_pages)
{
	void *copy = m->copy, *hva;
	u64 offset, gpa;
	int i;

	for (i = 0; i < ARRAY_SIZE(watched); i++) {
		hva = zpci_guest_hva(&m->guest, watched[i][0]);
		for (offset = 0; offset < watched_size(m, i);
		     offset += PAGE_SIZE, copy += PAGE_SIZE) {
			gpa = watched[i][0] + offset;
			if (same_page(hva + offset, copy))
				continue;
			if (gpa >= ZPCI_GUEST_MEM &&
			    gpa < ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE))
				continue;
			if (!listed(pages, nr_pages, gpa))
				return gpa;
		}
	}
	return ~0UL;
}
