// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory of s390 PCI functions that is pinned on demand
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>

#include <linux/fs.h>
#include <linux/userfaultfd.h>

#include "s390_nested.h"

FIXTURE_VARIANT_ADD(s390_nested, by_user) {
	.config = {
		.flags = IOMMU_HWPT_ALLOC_ON_DEMAND,
		.limited = true,
	},
};

FIXTURE_VARIANT_ADD(s390_nested, by_process) {
	.config = {
		.flags = IOMMU_HWPT_ALLOC_ON_DEMAND,
		.limited = true,
		.by_process = true,
	},
};

/* Frames that vm_start() maps */
#define STARTED	(DRIVER_SIZE / SZ_4K + 2)

/* Guest memory that is not touched before */
#define HOLE	(12 * SZ_1M)
#define MORE	(8 * SZ_1M)

/* The kernel may keep some pages charged while others are pinned */
#define MAX_SPARE	32

static int refresh_hwpt(struct vm *vm, u32 id, u64 gaddr, u64 size)
{
	u32 nested = vm->nested;
	int rc;

	vm->nested = id;
	rc = refresh(vm, gaddr, size, NULL);
	vm->nested = nested;
	return rc;
}

static void unmap_range(struct vm *vm, u64 gaddr, u64 size)
{
	map_range(vm, gaddr, size, IOAT_PTE_INVALID);
}

/* What is mapped is pinned, once for all HWPTs, and nothing else. */
TEST_F(s390_nested, pins)
{
	struct vm *vm = &self->vm;
	struct iommu_hwpt_s390_zpci data = nested_data(vm);
	u32 second;

	EXPECT_EQ(0, pinned());
	EXPECT_EQ(0, status_pages("VmLck:"));
	vm_start(vm);
	EXPECT_EQ(STARTED, pinned());
	if (vm->config.by_process) {
		EXPECT_LE(STARTED, status_pages("VmLck:"));
		EXPECT_GE(STARTED + MAX_SPARE, status_pages("VmLck:"));
	}

	/* A frame at two I/O addresses, and in two HWPTs */
	WRITE_ONCE(*pte(vm, MORE), DST);
	ASSERT_EQ(0, refresh(vm, MORE, SIZE, NULL));
	EXPECT_EQ(STARTED, pinned());
	ASSERT_EQ(0, alloc_nested(vm, &data, &second));
	ASSERT_EQ(0, refresh_hwpt(vm, second, 0, GUEST_SIZE));
	EXPECT_EQ(STARTED, pinned());

	/* The last one gives it back. */
	unmap_range(vm, DST, SIZE);
	unmap_range(vm, MORE, SIZE);
	ASSERT_EQ(0, refresh(vm, 0, GUEST_SIZE, NULL));
	EXPECT_EQ(STARTED, pinned());
	ASSERT_EQ(0, refresh_hwpt(vm, second, DST, SIZE));
	EXPECT_EQ(STARTED, pinned());
	ASSERT_EQ(0, refresh_hwpt(vm, second, MORE, SIZE));
	EXPECT_EQ(STARTED - 1, pinned());
	ASSERT_EQ(0, map(vm, DST, SIZE, 0));
	EXPECT_EQ(STARTED, pinned());
	EXPECT_TRUE(copies(vm));

	/* Detached, a HWPT keeps what it has. Destroyed, it has nothing. */
	ASSERT_EQ(0, attach(vm, second));
	EXPECT_EQ(STARTED, pinned());
	ASSERT_EQ(0, destroy(vm, vm->nested));
	EXPECT_EQ(STARTED - 1, pinned());
	ASSERT_EQ(0, -__vfio_device_detach_iommufd_pt(vm->device->fd));
	ASSERT_EQ(0, destroy(vm, second));
	EXPECT_EQ(0, pinned());
	EXPECT_EQ(0, status_pages("VmLck:"));
}

/* Memory that leaves the IOAS is given back, whatever the guest's table says. */
TEST_F(s390_nested, unplug)
{
	struct vm *vm = &self->vm;

	ASSERT_EQ(0, unplug(vm, 0, GUEST_SIZE));
	ASSERT_EQ(0, plug(vm, 0, DST, RW));
	ASSERT_EQ(0, plug(vm, DST, SZ_1M, RW));
	vm_start(vm);
	ASSERT_EQ(0, map(vm, DST, SZ_64K, 0));
	EXPECT_EQ(STARTED + 15, pinned());
	ASSERT_EQ(0, unplug(vm, DST, SZ_1M));
	EXPECT_EQ(STARTED - 1, pinned());
	EXPECT_FALSE(copies(vm));
	EXPECT_TRUE(untouched(vm));
	ASSERT_EQ(0, unplug(vm, 0, DST));
	EXPECT_EQ(0, pinned());
	ASSERT_EQ(0, plug(vm, 0, GUEST_SIZE, RW));
}

static void set_limit(unsigned long pages)
{
	struct rlimit limit = { pages * SZ_4K, RLIM_INFINITY };

	VFIO_ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

/* A limit that is reached is told, and nothing stays charged. */
TEST_F(s390_nested, limit)
{
	struct vm *vm = &self->vm;
	struct iommu_hwpt_s390_zpci_invalidate inv;
	unsigned int i;

	set_limit(STARTED + 4);
	vm_start(vm);
	for (i = 0; i < 3; i++) {
		map_range(vm, MORE, 8 * SZ_4K, 0);
		EXPECT_EQ(EIO, refresh(vm, MORE, 8 * SZ_4K, &inv));
		EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_NO_RESOURCES, inv.status);
		EXPECT_GE(STARTED + 4, pinned());
		EXPECT_TRUE(copies(vm));

		unmap_range(vm, MORE, 8 * SZ_4K);
		ASSERT_EQ(0, refresh(vm, MORE, 8 * SZ_4K, NULL));
		EXPECT_EQ(STARTED, pinned());
		ASSERT_EQ(0, map(vm, MORE + i * SZ_4K, 4 * SZ_4K, 0));
		EXPECT_EQ(STARTED + 4, pinned());
		unmap_range(vm, MORE, 8 * SZ_4K);
		ASSERT_EQ(0, refresh(vm, MORE, 8 * SZ_4K, NULL));
	}
	set_limit(STARTED + 8);
	ASSERT_EQ(0, map(vm, MORE, 8 * SZ_4K, 0));
	EXPECT_EQ(STARTED + 8, pinned());
}

/* The kernel keeps so many pages pinned for the next time */
#define MAX_KEPT	1024

/* Page tables, and above, that it may have read */
#define MAX_TABLES	20

static long all_pinned(void)
{
	return status_pages("VmPin:");
}

static void map_and_unmap(struct vm *vm, u64 gaddr, u64 size)
{
	VFIO_ASSERT_EQ(map(vm, gaddr, size, 0), 0);
	unmap_range(vm, gaddr, size);
	VFIO_ASSERT_EQ(refresh(vm, gaddr, size, NULL), 0);
}

/* What is unmapped stays pinned, up to a limit, and is given back. */
TEST_F(s390_nested, kept)
{
	struct vm *vm = &self->vm;
	unsigned int i;

	vm_start(vm);
	map_and_unmap(vm, MORE, SZ_1M);
	EXPECT_LE(STARTED + SZ_1M / SZ_4K, all_pinned());
	EXPECT_GE(STARTED + SZ_1M / SZ_4K + MAX_TABLES, all_pinned());
	ASSERT_EQ(0, map(vm, MORE, SZ_1M, 0));
	EXPECT_EQ(STARTED + SZ_1M / SZ_4K, pinned());
	unmap_range(vm, MORE, SZ_1M);
	ASSERT_EQ(0, refresh(vm, MORE, SZ_1M, NULL));
	EXPECT_EQ(STARTED, pinned());

	for (i = 0; i < 2; i++) {
		map_and_unmap(vm, MORE, 6 * SZ_1M);
		EXPECT_LT(STARTED + MAX_KEPT / 2, all_pinned());
		EXPECT_GE(STARTED + MAX_KEPT, all_pinned());
	}
	EXPECT_TRUE(copies(vm));
	if (vm->config.by_process) {
		EXPECT_LE(all_pinned(), status_pages("VmLck:"));
		EXPECT_GE(all_pinned() + MAX_SPARE, status_pages("VmLck:"));
	}
	ASSERT_EQ(0, -__vfio_device_detach_iommufd_pt(vm->device->fd));
	ASSERT_EQ(0, destroy(vm, vm->nested));
	ASSERT_EQ(0, destroy(vm, vm->parent));
	EXPECT_EQ(0, all_pinned());
	EXPECT_EQ(0, status_pages("VmLck:"));
}

/* It leaves with the memory of the IOAS. */
TEST_F(s390_nested, kept_unplug)
{
	struct vm *vm = &self->vm;

	ASSERT_EQ(0, unplug(vm, 0, GUEST_SIZE));
	ASSERT_EQ(0, plug(vm, 0, MORE, RW));
	ASSERT_EQ(0, plug(vm, MORE, SZ_1M, RW));
	vm_start(vm);
	map_and_unmap(vm, MORE, SZ_1M);
	EXPECT_LE(STARTED + SZ_1M / SZ_4K, all_pinned());
	ASSERT_EQ(0, unplug(vm, MORE, SZ_1M));
	EXPECT_GE(STARTED + MAX_TABLES, all_pinned());
	ASSERT_EQ(0, plug(vm, MORE, SZ_1M, RW));
	map_and_unmap(vm, MORE, SZ_1M);
	EXPECT_TRUE(copies(vm));
}

/* It is given back rather than that a pin fails. */
TEST_F(s390_nested, kept_limit)
{
	struct vm *vm = &self->vm;
	unsigned int i;

	set_limit(STARTED + 8);
	vm_start(vm);
	for (i = 0; i < 16; i++)
		map_and_unmap(vm, MORE + i * SZ_64K, 8 * SZ_4K);
	EXPECT_TRUE(copies(vm));
	EXPECT_EQ(STARTED, pinned());
}

#define CGROUP	"/sys/fs/cgroup"

static bool write_cgroup(const char *name, const char *value)
{
	int fd = open(name, O_WRONLY), rc;

	if (fd < 0)
		return false;
	rc = write(fd, value, strlen(value));
	VFIO_ASSERT_EQ(close(fd), 0);
	return rc > 0;
}

/* The memory cgroup that it is charged to gets it back. */
TEST_F(s390_nested, kept_reclaim)
{
	struct vm *vm = &self->vm;

	mkdir(CGROUP "/kept", 0755);
	if (!write_cgroup(CGROUP "/cgroup.subtree_control", "+memory") ||
	    !write_cgroup(CGROUP "/kept/cgroup.procs", "0"))
		SKIP(return, "no memory cgroup");
	vm_start(vm);
	map_and_unmap(vm, MORE, SZ_1M);
	EXPECT_LE(STARTED + SZ_1M / SZ_4K, all_pinned());
	/* Fails, because there is not as much */
	write_cgroup(CGROUP "/kept/memory.reclaim", "1G");
	EXPECT_GE(STARTED + MAX_TABLES, all_pinned());
	ASSERT_TRUE(write_cgroup(CGROUP "/cgroup.procs", "0"));
	EXPECT_EQ(0, rmdir(CGROUP "/kept"));
}

#define SWAP_DEVICE	"/dev/ram0"

/* Swap to a RAM disk; return if there is one. */
static bool swap_on(void)
{
	static union {
		u8 page[SZ_4K];
		struct {
			u8 boot[SZ_1K];
			u32 version;
			u32 last_page;
		};
	} header = { .version = 1 };
	int fd = open(SWAP_DEVICE, O_RDWR);
	u64 size;

	if (fd < 0)
		return false;
	VFIO_ASSERT_EQ(ioctl(fd, BLKGETSIZE64, &size), 0);
	header.last_page = size / SZ_4K - 1;
	memcpy(&header.page[SZ_4K - 10], "SWAPSPACE2", 10);
	VFIO_ASSERT_EQ(write(fd, &header, SZ_4K), SZ_4K);
	VFIO_ASSERT_EQ(fsync(fd), 0);
	VFIO_ASSERT_EQ(close(fd), 0);
	return !swapon(SWAP_DEVICE, 0);
}

/* Pages of @size bytes at @gaddr that are in memory */
static unsigned int resident(struct vm *vm, u64 gaddr, u64 size)
{
	unsigned char vec[GUEST_SIZE / SZ_4K];
	unsigned int i, nr = 0;

	VFIO_ASSERT_EQ(mincore(vm->mem + gaddr, size, vec), 0);
	for (i = 0; i < size / SZ_4K; i++)
		nr += vec[i] & 1;
	return nr;
}

/* Pages that are on the list of another CPU can't be reclaimed: empty the lists */
static void drain_lists(void)
{
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY);

	if (fd < 0)
		return;
	VFIO_ASSERT_EQ(write(fd, "1", 1), 1);
	VFIO_ASSERT_EQ(close(fd), 0);
}

/* The guest's memory can be reclaimed but for what the function can reach. */
TEST_F(s390_nested, reclaim)
{
	struct vm *vm = &self->vm;
	unsigned int i;

	if (!swap_on())
		SKIP(return, SWAP_DEVICE " is no device to swap to");
	vm_start(vm);
	memset(vm->mem + MORE, 0xaa, SZ_1M);
	for (i = 0; i < 20 && resident(vm, MORE, SZ_1M) + resident(vm, ST, SIZE); i++) {
		drain_lists();
		drop_kept();
		ASSERT_EQ(0, madvise(vm->mem, GUEST_SIZE, MADV_PAGEOUT));
	}
	EXPECT_EQ(0, resident(vm, MORE, SZ_1M));
	EXPECT_EQ(0, resident(vm, ST, SIZE));
	EXPECT_EQ(DRIVER_SIZE / SZ_4K, resident(vm, DRIVER, DRIVER_SIZE));
	EXPECT_EQ(1, resident(vm, DST, SIZE));

	/* Tables and frames come back when they are named. */
	ASSERT_EQ(0, map(vm, MORE, SZ_1M, 0));
	EXPECT_EQ(STARTED + SZ_1M / SZ_4K, pinned());
	EXPECT_EQ(SZ_1M / SZ_4K, resident(vm, MORE, SZ_1M));
	EXPECT_TRUE(copies(vm));
	EXPECT_EQ(0xaa, *(u8 *)(vm->mem + MORE));
	ASSERT_EQ(0, swapoff(SWAP_DEVICE));
}

struct waiter {
	struct vm *vm;
	u32 id;
	int rc;
};

static void *wait_refresh(void *arg)
{
	struct waiter *waiter = arg;
	struct vm *vm = waiter->vm;
	struct iommu_hwpt_s390_zpci_invalidate inv = {
		.first = iova_of(vm, HOLE),
		.last = iova_of(vm, HOLE) + SIZE - 1,
	};
	u32 nr = 1;

	waiter->rc = invalidate(vm, waiter->id, &inv, &nr);
	return NULL;
}

/* Accesses to @size bytes at @gaddr wait until they are answered. */
static int hold_back(struct vm *vm, u64 gaddr, u64 size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)vm->mem + gaddr, size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	VFIO_ASSERT_GE(fd, 0);
	VFIO_ASSERT_EQ(ioctl(fd, UFFDIO_API, &api), 0);
	VFIO_ASSERT_EQ(ioctl(fd, UFFDIO_REGISTER, &reg), 0);
	return fd;
}

/* Return once an access waits. */
static void await_access(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg;

	VFIO_ASSERT_EQ(poll(&pollfd, 1, 60000), 1);
	VFIO_ASSERT_EQ(read(fd, &msg, sizeof(msg)), sizeof(msg));
}

static void on_signal(int nr)
{
}

/* Move the page table of HOLE's segment to where accesses wait. */
static void hide_table(struct vm *vm)
{
	u64 *st = vm->mem + ST;

	WRITE_ONCE(st[iova_of(vm, HOLE) >> IOAT_ST_SHIFT & IOAT_INDEX_MASK], HOLE);
}

/* A refresh that waits for user space, for a frame or for a table, is alone in it. */
static void never_answered(struct __test_metadata *_metadata, struct vm *vm,
			   bool table)
{
	struct iommu_hwpt_s390_zpci data = nested_data(vm);
	struct sigaction action = { .sa_handler = on_signal };
	struct waiter waiter = { .vm = vm };
	pthread_t thread;
	u32 second;
	int uffd;

	ASSERT_EQ(0, unplug(vm, 0, GUEST_SIZE));
	ASSERT_EQ(0, plug(vm, 0, MORE, RW));
	ASSERT_EQ(0, plug(vm, MORE, SZ_1M, RW));
	ASSERT_EQ(0, plug(vm, HOLE, SZ_1M, RW));
	vm_start(vm);
	ASSERT_EQ(0, map(vm, MORE, SIZE, 0));
	ASSERT_EQ(0, alloc_nested(vm, &data, &second));

	if (table)
		hide_table(vm);
	else
		map_range(vm, HOLE, SIZE, 0);
	uffd = hold_back(vm, HOLE, SIZE);
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	waiter.id = vm->nested;
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_refresh, &waiter));
	await_access(uffd);

	/* Another HWPT, and the same one */
	ASSERT_EQ(0, refresh_hwpt(vm, second, 0, MORE));
	ASSERT_EQ(0, refresh(vm, 0, MORE, NULL));
	EXPECT_TRUE(copies(vm));
	/* Other memory, and that memory */
	ASSERT_EQ(0, unplug(vm, MORE, SZ_1M));
	ASSERT_EQ(0, unplug(vm, HOLE, SZ_1M));
	/* A reset, detach, attach, destroy, close */
	vfio_pci_driver_remove(vm->device);
	vfio_pci_device_reset(vm->device);
	vfio_pci_driver_init(vm->device);
	ASSERT_EQ(0, attach(vm, second));
	EXPECT_TRUE(copies(vm));
	EXPECT_EQ(0, destroy(vm, vm->nested));
	vfio_pci_driver_remove(vm->device);
	ASSERT_EQ(0, -__vfio_device_detach_iommufd_pt(vm->device->fd));
	vfio_pci_device_close(vm->device);
	EXPECT_EQ(0, destroy(vm, second));
	EXPECT_EQ(0, destroy(vm, vm->parent));
	EXPECT_EQ(0, destroy(vm, vm->ioas));
	EXPECT_EQ(0, pinned());

	/* Only the page is missing: the refresh still waits, until a signal ends it */
	ASSERT_EQ(0, pthread_kill(thread, SIGUSR1));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(EINTR, waiter.rc);
	ASSERT_EQ(0, close(uffd));
}

TEST_F(s390_nested, frame_never_answered)
{
	never_answered(_metadata, &self->vm, false);
}

TEST_F(s390_nested, table_never_answered)
{
	never_answered(_metadata, &self->vm, true);
}

/* Answered, it goes on. */
TEST_F(s390_nested, answered)
{
	struct vm *vm = &self->vm;
	struct waiter waiter = { .vm = vm };
	struct uffdio_zeropage zero = {
		.range = { (uintptr_t)vm->mem + HOLE, SIZE },
	};
	pthread_t thread;
	int uffd;

	vm_start(vm);
	map_range(vm, HOLE, SIZE, 0);
	uffd = hold_back(vm, HOLE, SIZE);
	waiter.id = vm->nested;
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_refresh, &waiter));
	await_access(uffd);
	EXPECT_EQ(STARTED, pinned());
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(EINTR, waiter.rc);
	ASSERT_EQ(0, refresh(vm, HOLE, SIZE, NULL));
	EXPECT_EQ(STARTED + 1, pinned());
	ASSERT_EQ(0, close(uffd));
}

/* Memory that user space has taken away without telling is an error, no hang. */
TEST_F(s390_nested, unmapped_by_user)
{
	struct vm *vm = &self->vm;
	struct iommu_hwpt_s390_zpci_invalidate inv;

	vm_start(vm);
	ASSERT_EQ(0, munmap(vm->mem + HOLE, SIZE));
	map_range(vm, HOLE, SIZE, 0);
	EXPECT_EQ(EIO, refresh(vm, HOLE, SIZE, &inv));
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_BAD_ADDRESS, inv.status);
	EXPECT_EQ(iova_of(vm, HOLE), inv.next);
	EXPECT_EQ(STARTED, pinned());
	ASSERT_NE(MAP_FAILED, mmap(vm->mem + HOLE, SIZE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, vm->memfd, HOLE));
	EXPECT_EQ(0, refresh(vm, HOLE, SIZE, NULL));
	EXPECT_TRUE(copies(vm));
}

int main(int argc, char *argv[])
{
	device_bdf = vfio_selftests_get_bdf(&argc, argv);
	return test_harness_run(argc, argv);
}
