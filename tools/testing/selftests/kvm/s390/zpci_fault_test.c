// SPDX-License-Identifier: GPL-2.0
/*
 * Test of all kinds of memory of a guest
 *
 * Pages may be swapped out, shared, huge, in memory that the kernel reclaims,
 * in files, or missing. RPCIT faults them in and pins them, or goes to user
 * space with the reason "memory".
 *
 * Some tests need RAM disks (CONFIG_BLK_DEV_RAM, the first is used for swap and
 * the second as a file) and the boot parameters movablecore= and cma=. A test
 * says what is missing. There are no tests of transparent huge pages: a process
 * with a VM has none on s390 (thp_split_mm() in arch/s390/mm/gmap.c).
 */
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_baseline.h"
#include "zpci_harness.h"
#include "zpci_slot.h"
#include "zpci_vm.h"

#define GPA		ZPCI_SLOT_GPA
#define SIZE		ZPCI_SLOT_SIZE
#define PAGES		(SIZE / PAGE_SIZE)

#define SWAP_DISK	"/dev/ram0"
#define FILE_DISK	"/dev/ram1"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

static u8 reference[NVME_IDENTIFY_SIZE];

FIXTURE(zpci_fault) {
	struct zpci_vm m;
	struct zpci_pins before;
	u64 iova;
	u64 queues;
};

/* On demand: a pinned parent is none of what is tested here. */
FIXTURE_SETUP(zpci_fault)
{
	struct zpci_vm *m = &self->m;

	self->before = zpci_pins_now();
	zpci_vm_setup_nvme(m, ZPCI_ON_DEMAND, true);
	self->queues = zpci_shadow_stats().pinned;
	self->iova = (m->pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
}

FIXTURE_TEARDOWN(zpci_fault)
{
	struct zpci_vm *m = &self->m;

	ASSERT_EQ(0, zpci_vm_detach(m));
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, 0));
	zpci_vm_destroy(m);
}

static void *anonymous(u64 size)
{
	return zpci_slot_memory(size, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int set_slot(struct zpci_vm *m, void *memory)
{
	return zpci_slot_set(m, ZPCI_SLOT, GPA, memory, SIZE, 0);
}

static void fill(void *page, u64 seed)
{
	u64 *word = page;
	int i;

	for (i = 0; i < PAGE_SIZE / sizeof(*word); i++)
		word[i] = zpci_pattern(seed, i);
}

static bool is_filled(const void *page, u64 seed)
{
	const u64 *word = page;
	int i;

	for (i = 0; i < PAGE_SIZE / sizeof(*word); i++) {
		if (word[i] != zpci_pattern(seed, i))
			return false;
	}
	return true;
}

/* Let the controller write to @iova. Check the data at @hva. */
static const char *arrives(struct zpci_vm *m, u64 iova, const void *hva)
{
	return zpci_vm_identify(m, iova, hva, reference);
}

/* Let the controller read from @iova. Check for the pattern of @seed. */
static const char *is_read(struct zpci_vm *m, u64 iova, u64 seed)
{
	u64 back = m->pba + 16 * PAGE_SIZE, gpa = ZPCI_GUEST_PAGE(40);
	const char *wrong = zpci_vm_map(m, back, gpa, PAGE_SIZE, 0);

	if (wrong)
		return wrong;
	if (nvme_write(&m->nvme, 0, PAGE_SIZE, iova, 0) ||
	    nvme_read(&m->nvme, 0, PAGE_SIZE, back, 0))
		return "the controller can't read the page";
	if (!is_filled(zpci_guest_hva(&m->guest, gpa), seed))
		return "the controller reads another page than the guest has";
	return zpci_vm_unmap(m, back, PAGE_SIZE);
}

static const char *is_passed_on(struct zpci_vm *m, u64 iova, u64 size)
{
	u64 before = zpci_vm_stats(m).rpcits_user;

	if (zpci_guest_rpcit(&m->guest, iova, size).exits != 1)
		return "the kernel did not pass it on";
	if (zpci_vm_stats(m).rpcits_user != before + 1)
		return "it is not counted";
	return NULL;
}

#define PAGEMAP_PRESENT		BIT(63)
#define PAGEMAP_SWAPPED		BIT(62)
#define PAGEMAP_PFN		(BIT(55) - 1)

static u64 page_info(const void *hva)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	u64 entry = 0;

	TEST_ASSERT(fd >= 0 && pread(fd, &entry, sizeof(entry),
				     (uintptr_t)hva / PAGE_SIZE * 8) == 8,
		    "/proc/self/pagemap can't be read");
	close(fd);
	return entry;
}

/*
 * Write what mkswap(8) writes, see union swap_header in include/linux/swap.h.
 */
static const char *make_swap(const char *disk)
{
	u32 header[PAGE_SIZE / sizeof(u32)] = {};
	off_t size;
	int fd;

	fd = open(disk, O_RDWR);
	if (fd < 0)
		return "no RAM disk: CONFIG_BLK_DEV_RAM";
	size = lseek(fd, 0, SEEK_END);
	header[256] = 1;			/* version */
	header[257] = size / PAGE_SIZE - 1;	/* last page */
	memcpy((void *)header + PAGE_SIZE - 10, "SWAPSPACE2", 10);
	if (pwrite(fd, header, sizeof(header), 0) != sizeof(header)) {
		close(fd);
		return "RAM disk can't be written to";
	}
	close(fd);
	return swapon(disk, 0) && errno != EBUSY ? "swapon failed" : NULL;
}

static bool page_out(void *page)
{
	int i;

	for (i = 0; i < 1000; i++) {
		madvise(page, PAGE_SIZE, MADV_PAGEOUT);
		if (page_info(page) & PAGEMAP_SWAPPED)
			return true;
		usleep(1000);
	}
	return false;
}

TEST_F(zpci_fault, swapped_out)
{
	struct zpci_vm *m = &self->m;
	void *memory = anonymous(SIZE);
	const char *missing;
	u64 *table;
	int i;

	missing = make_swap(SWAP_DISK);
	if (missing)
		SKIP(return, "%s", missing);
	/*
	 * A page that can't be swapped out goes to a list of this CPU. Other
	 * CPUs don't find it there.
	 */
	pin_self_to_cpu(sched_getcpu());
	ASSERT_EQ(0, set_slot(m, memory));
	for (i = 0; i < 8; i++) {
		fill(memory + i * PAGE_SIZE, i);
		ASSERT_TRUE(page_out(memory + i * PAGE_SIZE)) {
			TH_LOG("page %d can't be swapped out", i);
		}
	}
	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, 8 * PAGE_SIZE,
				 IOAT_PROTECTED));
	EXPECT_EQ(self->queues + 8, zpci_shadow_stats().pinned);
	for (i = 0; i < 8; i++)
		ASSERT_WORKS(is_read(m, self->iova + i * PAGE_SIZE, i));
	/* Pinned pages stay. */
	EXPECT_TRUE(page_info(memory) & PAGEMAP_PRESENT);
	madvise(memory, SIZE, MADV_PAGEOUT);
	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, self->iova, memory));

	/* Unmapped pages can be swapped out. */
	ASSERT_WORKS(zpci_vm_unmap(m, self->iova, 8 * PAGE_SIZE));
	zpci_pins_drop_kept();
	for (i = 0; i < 8; i++) {
		fill(memory + i * PAGE_SIZE, 8 + i);
		ASSERT_TRUE(page_out(memory + i * PAGE_SIZE));
	}
	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, 8 * PAGE_SIZE,
				 IOAT_PROTECTED));
	for (i = 0; i < 8; i++)
		ASSERT_WORKS(is_read(m, self->iova + i * PAGE_SIZE, 8 + i));

	/* The guest's page table itself */
	table = memory + 16 * PAGE_SIZE;
	for (i = 0; i < IOAT_PT_ENTRIES; i++)
		table[i] = IOAT_PTE_INVALID;
	table[0] = ZPCI_GUEST_PAGE(20);
	ASSERT_TRUE(page_out(table));
	zpci_guest_edit(&m->guest, IOAT_SEGMENT, self->iova, ~0UL,
			GPA + 16 * PAGE_SIZE);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova,
				      IOAT_FRAME_1M).cc);
	EXPECT_EQ(self->queues + 1, zpci_shadow_stats().pinned);
	ASSERT_WORKS(arrives(m, self->iova,
			     zpci_guest_hva(&m->guest, ZPCI_GUEST_PAGE(20))));
	swapoff(SWAP_DISK);
}

/* Shared memory: other mappings see the data. */
TEST_F(zpci_fault, shared_memory)
{
	int fd = memfd_create("zpci", 0);
	struct zpci_vm *m = &self->m;
	void *memory, *other;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	memory = zpci_slot_memory(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	other = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, other);
	ASSERT_EQ(0, set_slot(m, memory));
	/* Untouched pages: RPCIT allocates them. */
	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, 2 * PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, self->iova, other));
	/* Punch a hole: the page belongs to the function alone now. */
	ASSERT_EQ(0, fallocate(fd, 3 /* punch hole, keep size */, 0,
			       PAGE_SIZE));
	EXPECT_EQ(self->queues + 2, zpci_shadow_stats().pinned);
	ASSERT_EQ(0, nvme_identify_ctrl(&m->nvme, self->iova, 0));
	EXPECT_EQ(0, *(u64 *)other);
	ASSERT_WORKS(arrives(m, self->iova + PAGE_SIZE, other + PAGE_SIZE));
}

/*
 * A page that the function only reads must be the guest's page even if it was
 * never written to or is shared with a child. A write must not give the guest
 * another page.
 */
TEST_F(zpci_fault, copy_on_write)
{
	struct zpci_vm *m = &self->m;
	void *memory = anonymous(SIZE);
	int hold[2], status;
	pid_t child;
	char byte;

	ASSERT_EQ(0, set_slot(m, memory));
	/* Read, but never written */
	EXPECT_EQ(0, READ_ONCE(*(u64 *)memory));
	fill(memory + PAGE_SIZE, 1);
	ASSERT_EQ(0, pipe(hold));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		close(hold[1]);
		_exit(read(hold[0], &byte, 1) || !is_filled(memory + PAGE_SIZE,
							    1));
	}
	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, 2 * PAGE_SIZE,
				 IOAT_PROTECTED));
	fill(memory, 2);
	fill(memory + PAGE_SIZE, 3);
	ASSERT_WORKS(is_read(m, self->iova, 2));
	ASSERT_WORKS(is_read(m, self->iova + PAGE_SIZE, 3));
	ASSERT_WORKS(zpci_vm_map(m, self->iova + PAGE_SIZE, GPA + PAGE_SIZE,
				 PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, self->iova + PAGE_SIZE, memory + PAGE_SIZE));
	close(hold[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status) {
		TH_LOG("the child's copy has changed");
	}
}

TEST_F(zpci_fault, huge_page)
{
	struct zpci_vm *m = &self->m;
	void *memory;
	FILE *f;

	f = fopen("/sys/kernel/mm/hugepages/hugepages-1024kB/nr_hugepages",
		  "w");
	if (!f)
		SKIP(return, "this host has no huge pages of 1 MiB (EDAT-1)");
	fprintf(f, "4\n");
	fclose(f);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (memory == MAP_FAILED)
		SKIP(return, "no huge page is to be had: %s", strerror(errno));
	ASSERT_EQ(0, set_slot(m, memory));
	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA + 7 * PAGE_SIZE,
				 3 * PAGE_SIZE, 0));
	EXPECT_EQ(self->queues + 3, zpci_shadow_stats().pinned);
	ASSERT_WORKS(arrives(m, self->iova + 2 * PAGE_SIZE,
			     memory + 9 * PAGE_SIZE));
	zpci_guest_map_1m(&m->guest, self->iova, GPA, 0);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova,
				      IOAT_FRAME_1M).cc);
	EXPECT_EQ(self->queues + 256, zpci_shadow_stats().pinned);
	ASSERT_WORKS(arrives(m, self->iova + 0xff000, memory + 0xff000));
	zpci_guest_edit(&m->guest, IOAT_SEGMENT, self->iova, 0, IOAT_INVALID);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova,
				      IOAT_FRAME_1M).cc);
	EXPECT_EQ(self->queues, zpci_shadow_stats().pinned);
	EXPECT_EQ(0, munmap(memory, SIZE));
}

/*
 * Pages of a file with writeback can't be pinned for long. They can't be
 * written by DMA.
 */
TEST_F(zpci_fault, file)
{
	int fd = open(FILE_DISK, O_RDWR);
	struct zpci_vm *m = &self->m;
	void *memory;

	if (fd < 0)
		SKIP(return, "no RAM disk: CONFIG_BLK_DEV_RAM");
	memory = zpci_slot_memory(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	fill(memory, 5);
	ASSERT_EQ(0, set_slot(m, memory));
	zpci_guest_map(&m->guest, self->iova, GPA, 2 * PAGE_SIZE, 0);
	ASSERT_WORKS(is_passed_on(m, self->iova, 2 * PAGE_SIZE));
	EXPECT_EQ(self->queues, zpci_shadow_stats().pinned);
	zpci_guest_map(&m->guest, self->iova, GPA, 2 * PAGE_SIZE,
		       IOAT_PROTECTED);
	/* An IOAS with write access is pinned for writing. */
	ASSERT_WORKS(is_passed_on(m, self->iova, 2 * PAGE_SIZE));
	close(fd);
}

/* Secret memory can't be pinned. */
TEST_F(zpci_fault, secret)
{
	int fd = syscall(SYS_memfd_secret, 0);
	struct zpci_vm *m = &self->m;
	void *memory;

	if (fd < 0)
		SKIP(return, "no secret memory: CONFIG_SECRETMEM");
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	memory = zpci_slot_memory(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	fill(memory, 8);
	ASSERT_EQ(0, set_slot(m, memory));
	zpci_guest_map(&m->guest, self->iova, GPA, 2 * PAGE_SIZE, 0);
	ASSERT_WORKS(is_passed_on(m, self->iova, 2 * PAGE_SIZE));
	zpci_guest_map(&m->guest, self->iova, GPA, 2 * PAGE_SIZE,
		       IOAT_PROTECTED);
	ASSERT_WORKS(is_passed_on(m, self->iova, 2 * PAGE_SIZE));
	EXPECT_EQ(self->queues, zpci_shadow_stats().pinned);
	/* It can't hold a page table either. */
	zpci_guest_edit(&m->guest, IOAT_SEGMENT, self->iova + IOAT_FRAME_1M,
			~0UL, GPA);
	ASSERT_WORKS(is_passed_on(m, self->iova + IOAT_FRAME_1M, PAGE_SIZE));
	/* It is charged like pinned memory. */
	EXPECT_EQ(0, munmap(memory, SIZE));
	close(fd);
}

TEST_F(zpci_fault, not_accessible)
{
	struct zpci_vm *m = &self->m;
	void *memory = anonymous(SIZE);

	ASSERT_EQ(0, set_slot(m, memory));
	zpci_guest_map(&m->guest, self->iova, GPA, 4 * PAGE_SIZE, 0);
	ASSERT_EQ(0, mprotect(memory + PAGE_SIZE, PAGE_SIZE, PROT_NONE));
	ASSERT_WORKS(is_passed_on(m, self->iova, 4 * PAGE_SIZE));
	ASSERT_WORKS(is_passed_on(m, self->iova + PAGE_SIZE, PAGE_SIZE));
	/* Not for reading either */
	zpci_guest_map(&m->guest, self->iova, GPA, 4 * PAGE_SIZE,
		       IOAT_PROTECTED);
	ASSERT_WORKS(is_passed_on(m, self->iova, 4 * PAGE_SIZE));
	zpci_guest_map(&m->guest, self->iova, GPA, 4 * PAGE_SIZE, 0);
	ASSERT_EQ(0, mprotect(memory + PAGE_SIZE, PAGE_SIZE,
			      PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova, 4 * PAGE_SIZE).cc);
	EXPECT_EQ(self->queues + 4, zpci_shadow_stats().pinned);
	ASSERT_WORKS(arrives(m, self->iova + PAGE_SIZE, memory + PAGE_SIZE));
}

/* A slot without memory, which is unmapped and mapped again */
TEST_F(zpci_fault, unmapped)
{
	struct zpci_vm *m = &self->m;
	void *memory = anonymous(SIZE);

	ASSERT_EQ(0, set_slot(m, memory));
	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, PAGE_SIZE, 0));
	ASSERT_EQ(0, munmap(memory, SIZE));
	/* The function keeps its page. New ones fail. */
	EXPECT_EQ(self->queues + 1, zpci_shadow_stats().pinned);
	EXPECT_EQ(0, nvme_identify_ctrl(&m->nvme, self->iova, 0));
	zpci_guest_map(&m->guest, self->iova + PAGE_SIZE, GPA + PAGE_SIZE,
		       PAGE_SIZE, 0);
	ASSERT_WORKS(is_passed_on(m, self->iova + PAGE_SIZE, PAGE_SIZE));
	/* A page table there can't be read either. */
	zpci_guest_edit(&m->guest, IOAT_SEGMENT, self->iova + IOAT_FRAME_1M,
			~0UL, GPA);
	ASSERT_WORKS(is_passed_on(m, self->iova + IOAT_FRAME_1M, PAGE_SIZE));

	ASSERT_EQ(memory, mmap(memory, SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova + PAGE_SIZE,
				      PAGE_SIZE).cc);
	ASSERT_WORKS(arrives(m, self->iova + PAGE_SIZE, memory + PAGE_SIZE));
}

struct area {
	u64 first;
	u64 last;		/* frame numbers, inclusive */
};

/* Read it from /proc/zoneinfo. */
static bool find_movable_zone(struct area *area)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	u64 spanned = 0, value;
	bool here = false;
	char line[256];

	if (!f)
		return false;
	area->first = ~0UL;
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, ", zone "))
			here = strstr(line, "Movable");
		if (here && sscanf(line, " spanned %lu", &value) == 1)
			spanned = value;
		if (here && sscanf(line, " start_pfn: %lu", &value) == 1)
			area->first = value;
	}
	fclose(f);
	area->last = area->first + spanned - 1;
	return spanned && area->first != ~0UL;
}

/* Read it from the boot messages. */
static bool find_cma(struct area *area)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	bool found = false;
	char record[1024];
	ssize_t len;

	if (fd < 0)
		return false;
	while ((len = read(fd, record, sizeof(record) - 1)) > 0 ||
	       (len < 0 && errno == EPIPE)) {
		const char *text;
		u64 mib, at;

		record[len > 0 ? len : 0] = '\0';
		/* This happens if it overlaps the movable zone. */
		if (strstr(record, "could not be activated"))
			found = false;
		text = strstr(record, "cma: Reserved ");
		if (!text || sscanf(text, "cma: Reserved %lu MiB at %lx", &mib,
				    &at) != 2)
			continue;
		area->first = at / PAGE_SIZE;
		area->last = area->first + mib * 256 - 1;
		found = true;
	}
	close(fd);
	return found;
}

static bool is_in(const struct area *area, const void *page)
{
	u64 pfn = page_info(page) & PAGEMAP_PFN;

	return pfn >= area->first && pfn <= area->last;
}

/* Allocate memory until @nr of its pages are in @area. Return their number. */
static int find_memory(const struct area *area, void *pages[], int nr,
		       void **memory)
{
	int found, tries;
	u64 i;

	for (tries = 0; tries < 256; tries++) {
		*memory = anonymous(SIZE);
		found = 0;
		for (i = 0; i < PAGES && found < nr; i++) {
			fill(*memory + i * PAGE_SIZE, i);
			if (is_in(area, *memory + i * PAGE_SIZE))
				pages[found++] = *memory + i * PAGE_SIZE;
		}
		if (found)
			return found;
		/* Keep it: the next pages come from elsewhere. */
	}
	return 0;
}

static const char *move_out(struct zpci_vm *m, u64 iova, const struct area *area)
{
	void *pages[16], *memory;
	const char *wrong;
	int i, nr;

	nr = find_memory(area, pages, ARRAY_SIZE(pages), &memory);
	if (!nr)
		return "skip";
	if (set_slot(m, memory))
		return "no slot";
	for (i = 0; i < nr; i++) {
		u64 offset = pages[i] - memory;

		wrong = zpci_vm_map(m, iova, GPA + offset, PAGE_SIZE,
				    IOAT_PROTECTED);
		if (wrong)
			return wrong;
		if (is_in(area, pages[i]))
			return "a page is pinned where nothing may stay";
		wrong = is_read(m, iova, offset / PAGE_SIZE);
		if (!wrong)
			wrong = zpci_vm_map(m, iova, GPA + offset, PAGE_SIZE,
					    0);
		if (!wrong)
			wrong = arrives(m, iova, pages[i]);
		if (wrong)
			return wrong;
	}
	return NULL;
}

TEST_F(zpci_fault, movable_zone)
{
	const char *wrong;
	struct area area;

	if (!find_movable_zone(&area))
		SKIP(return, "no movable zone: boot parameter movablecore=");
	wrong = move_out(&self->m, self->iova, &area);
	if (wrong && !strcmp(wrong, "skip"))
		SKIP(return, "no page came from the movable zone");
	ASSERT_WORKS(wrong);
}

TEST_F(zpci_fault, contiguous_memory_area)
{
	const char *wrong;
	struct area area;

	if (!find_cma(&area))
		SKIP(return, "no contiguous memory area: boot parameter cma=");
	wrong = move_out(&self->m, self->iova, &area);
	if (wrong && !strcmp(wrong, "skip"))
		SKIP(return, "no page came from the contiguous memory area");
	ASSERT_WORKS(wrong);
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_baseline_identify(reference);
	return zpci_harness_run(argc, argv);
}
