// SPDX-License-Identifier: GPL-2.0
/*
 * Nested domains of s390 PCI functions, while the kernel runs into faults
 *
 * The faults are injected: no memory, no access to user memory, and a machine that
 * does not refresh translations.
 */
#include <sys/rseq.h>
#include <sys/syscall.h>

#include "s390_nested.h"

FIXTURE_VARIANT_ADD(s390_nested, pinned) {
	.config = {},
};

FIXTURE_VARIANT_ADD(s390_nested, on_demand) {
	.config = { .flags = IOMMU_HWPT_ALLOC_ON_DEMAND },
};

/* Write @text to a file of the kernel; returns if that worked. */
static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), len = strlen(text);
	bool ok = fd >= 0 && write(fd, text, len) == len;

	if (fd >= 0)
		close(fd);
	return ok;
}

static int fail_nth_fd = -1;

/* Let allocations fail that a task asks for by number, with any flags. */
static bool faults_available(void)
{
	if (!write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") ||
	    !write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N") ||
	    !write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0"))
		return false;
	/* To open the file could fail, too */
	fail_nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	/* The kernel kills a task whose struct rseq it can't write. */
	syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset,
		32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
	return fail_nth_fd >= 0;
}

/* Let the nth allocation, or access to user memory, from here on fail. */
static void fail_nth(unsigned int n)
{
	char text[16];

	snprintf_assert(text, sizeof(text), "%u", n);
	VFIO_ASSERT_EQ(pwrite(fail_nth_fd, text, strlen(text), 0), strlen(text));
}

/* Return if it has failed. From here on nothing fails. */
static bool failed_nth(void)
{
	int len, retries = 3;
	char text[16];

	/* These calls may meet the fault themselves. */
	do {
		len = pread(fail_nth_fd, text, sizeof(text) - 1, 0);
	} while (len <= 0 && retries--);
	VFIO_ASSERT_GT(len, 0);
	text[len] = 0;
	while (pwrite(fail_nth_fd, "0", 1, 0) != 1 && retries--)
		;
	return atoi(text) == 0;
}

/*
 * Let each allocation, and each access to user memory, of @_op fail in its turn.
 * @_op returns @_err or EFAULT then, and works the next time. @_undo makes it
 * undone. Leaves it done.
 */
#define SWEEP(_op, _err, _undo) do {					\
	unsigned int __n = 0;						\
	bool __again = false;						\
	int __rc;							\
									\
	for (;;) {							\
		if (!__again)						\
			fail_nth(++__n);				\
		__rc = (_op);						\
		if (!__again) {						\
			if (!failed_nth())				\
				break;					\
			/* Some allocations are optional */		\
			__again = __rc;					\
			EXPECT_TRUE(!__rc || __rc == (_err) || __rc == EFAULT) { \
				TH_LOG("%s, allocation %u: %s", #_op,	\
				       __n, strerror(__rc));		\
			}						\
			if (__again)					\
				continue;				\
		}							\
		/* Done, but not reported: it exists */			\
		EXPECT_TRUE(!__rc || __rc == EEXIST) {			\
			TH_LOG("%s, again after %u: %s", #_op,		\
			       __n, strerror(__rc));			\
		}							\
		__again = false;					\
		_undo;							\
	}								\
	EXPECT_EQ(0, __rc);						\
	EXPECT_LT(1, __n) {						\
		TH_LOG("%s allocates nothing", #_op);			\
	}								\
} while (0)

TEST_F_TIMEOUT(s390_nested, fail_nth, 300)
{
	struct vm *vm = &self->vm;
	struct iommu_hwpt_s390_zpci data = nested_data(vm);
	struct iommu_hwpt_s390_zpci_invalidate inv;
	struct iommu_hw_info_s390_zpci info;
	u32 len = sizeof(info), id;
	unsigned int n;
	int rc;

	if (!faults_available())
		SKIP(return, "the kernel has no fault injection");

	ASSERT_EQ(0, unplug(vm, 0, GUEST_SIZE));
	ASSERT_EQ(0, plug(vm, 0, DST, RW));
	ASSERT_EQ(0, plug(vm, DST, SIZE, RW));
	/* Two page tables of a pinned parent, so that a map can fail half-way */
	ASSERT_EQ(0, unplug(vm, 0, DST));
	SWEEP(plug(vm, 0, DST, RW), ENOMEM, unplug(vm, 0, DST));
	SWEEP(hw_info(vm, &info, &len), ENOMEM, (void)0);
	SWEEP(alloc_parent(vm, &id), ENOMEM, destroy(vm, id));
	SWEEP(alloc_nested(vm, &data, &vm->nested), ENOMEM, destroy(vm, vm->nested));
	SWEEP(attach(vm, vm->nested), ENOMEM,
	      __vfio_device_detach_iommufd_pt(vm->device->fd));

	/* A refresh takes back what the guest has given up: a table, too */
	map_range(vm, SZ_64K, SIZE, 0);
	SWEEP(refresh(vm, SZ_64K, SIZE, &inv), EIO, {
		if (inv.status)
			EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_NO_RESOURCES, inv.status);
		ASSERT_EQ(0, -__vfio_device_detach_iommufd_pt(vm->device->fd));
		ASSERT_EQ(0, destroy(vm, vm->nested));
		ASSERT_EQ(0, alloc_nested(vm, &data, &vm->nested));
	});

	/* An unmap of the parent needs no memory. */
	vm_start(vm);
	for (n = 1; n < 20; n++) {
		fail_nth(n);
		rc = unplug(vm, DST, SIZE);
		failed_nth();
		/* The request could not be read, or the answer not be written. */
		if (rc == EFAULT) {
			rc = unplug(vm, DST, SIZE);
			if (rc == ENOENT)
				rc = 0;
		}
		EXPECT_EQ(0, rc);
		EXPECT_FALSE(copies(vm));
		EXPECT_TRUE(untouched(vm));
		ASSERT_EQ(0, plug(vm, DST, SIZE, RW));
		ASSERT_EQ(0, refresh(vm, DST, SIZE, NULL));
		EXPECT_TRUE(copies(vm));
	}
}

#define DEBUG_DIR	"/sys/kernel/debug/fail_function/"
#define HOST_RPCIT	"zpci_refresh_trans"

/* Let the host's RPCITs fail, or not. Return false if the kernel can't do that. */
static bool host_fails(bool fails)
{
	if (!write_file(DEBUG_DIR "probability", "0"))
		return false;
	if (access(DEBUG_DIR HOST_RPCIT "/retval", W_OK) &&
	    !write_file(DEBUG_DIR "inject", HOST_RPCIT))
		return false;
	if (!fails)
		return true;
	/* -EIO: a negative number is taken as unsigned and in hexadecimal only. */
	return write_file(DEBUG_DIR HOST_RPCIT "/retval", "0xfffffffffffffffb") &&
	       write_file(DEBUG_DIR "verbose", "0") &&
	       write_file(DEBUG_DIR "space", "0") &&
	       write_file(DEBUG_DIR "times", "-1") &&
	       write_file(DEBUG_DIR "probability", "100");
}

/* A host that does not forget translations must not keep them for ever. */
TEST_F(s390_nested, host_fails)
{
	struct vm *vm = &self->vm;
	struct iommu_hwpt_s390_zpci data = nested_data(vm);
	struct iommu_hwpt_s390_zpci_invalidate inv;
	u32 id;

	if (!host_fails(false))
		SKIP(return, "the kernel has no injection of errors");

	ASSERT_EQ(0, unplug(vm, 0, GUEST_SIZE));
	ASSERT_EQ(0, plug(vm, 0, DST, RW));
	ASSERT_EQ(0, plug(vm, DST, SIZE, RW));
	vm_start(vm);
	ASSERT_TRUE(copies(vm));

	/* The guest learns of it, and the next refresh makes up for it. */
	map_range(vm, DST, SIZE, IOAT_PTE_INVALID);
	ASSERT_TRUE(host_fails(true));
	EXPECT_EQ(EIO, refresh(vm, DST, SIZE, &inv));
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_HOST_ERROR, inv.status);
	ASSERT_TRUE(host_fails(false));
	EXPECT_EQ(0, refresh(vm, DST, SIZE, NULL));
	EXPECT_FALSE(copies(vm));
	EXPECT_TRUE(untouched(vm));
	ASSERT_EQ(0, map(vm, DST, SIZE, 0));
	ASSERT_TRUE(copies(vm));

	/* Memory that goes away: the function loses its table. */
	ASSERT_TRUE(host_fails(true));
	EXPECT_EQ(0, unplug(vm, DST, SIZE));
	ASSERT_TRUE(host_fails(false));
	EXPECT_EQ(EIO, refresh(vm, SRC, SIZE, &inv));
	EXPECT_EQ(IOMMU_S390_ZPCI_REFRESH_HOST_ERROR, inv.status);
	ASSERT_EQ(0, plug(vm, DST, SIZE, RW));

	/* Another table serves it as before. */
	ASSERT_EQ(0, alloc_nested(vm, &data, &id));
	ASSERT_EQ(0, attach(vm, id));
	EXPECT_EQ(0, destroy(vm, vm->nested));
	vm->nested = id;
	ASSERT_EQ(0, refresh(vm, 0, GUEST_SIZE, NULL));
	vfio_pci_device_reset(vm->device);
	vfio_pci_driver_remove(vm->device);
	vfio_pci_driver_init(vm->device);
	EXPECT_TRUE(copies(vm));
}

int main(int argc, char *argv[])
{
	device_bdf = vfio_selftests_get_bdf(&argc, argv);
	return test_harness_run(argc, argv);
}
