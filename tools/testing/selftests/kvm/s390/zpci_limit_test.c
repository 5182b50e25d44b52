// SPDX-License-Identifier: GPL-2.0
/*
 * Test of limits
 *
 * A guest maps more than RLIMIT_MEMLOCK, or the limit of its memory cgroup, allows.
 * It gets condition code 1 with status 16, continues after it has unmapped something,
 * and in the end everything is released.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_harness.h"
#include "zpci_scale.h"
#include "zpci_vm.h"

#define CC_ERR		1
#define ST_NO_RESOURCES	16

/* The page that is mapped everywhere */
#define FRAME		ZPCI_GUEST_PAGE(10)

/* Number of empty page tables that the host may keep */
#define EMPTY_TABLES	64

static struct zpci_rpcit refresh_all(struct zpci_vm *m)
{
	return zpci_guest_rpcit(&m->guest, m->pba, m->pal + 1 - m->pba);
}

/*
 * Build the largest table: every segment of the aperture points to one page
 * table. Takes a guest page for up to 2 GiB.
 */
static void map_everywhere(struct zpci_vm *m, u64 pages)
{
	u64 iova, table, first = m->pba & ~(IOAT_FRAME_1M - 1);
	u64 i;

	for (i = 0; i < pages; i++)
		zpci_guest_map(&m->guest, first + i * PAGE_SIZE, FRAME,
			       PAGE_SIZE, 0);
	table = zpci_guest_edit(&m->guest, IOAT_SEGMENT, first, 0, 0);
	for (iova = first; iova <= m->pal; iova += IOAT_FRAME_1M)
		zpci_guest_edit(&m->guest, IOAT_SEGMENT, iova, ~0UL, table);
}

/*
 * RLIMIT_MEMLOCK, which a process without CAP_IPC_LOCK can't exceed. On demand: each
 * frame is charged when a table names it.
 */
FIXTURE(zpci_memlock) {
	struct zpci_vm m;
	struct zpci_pins before;
};

FIXTURE_SETUP(zpci_memlock)
{
	self->before = zpci_pins_now();
	ASSERT_EQ(0, zpci_pins_drop_ipc_lock());
	zpci_vm_setup(&self->m, ZPCI_ON_DEMAND);
}

FIXTURE_TEARDOWN(zpci_memlock)
{
	ASSERT_EQ(0, zpci_vm_detach(&self->m));
	ASSERT_WORKS(zpci_vm_check_pins(&self->m, &self->before, 0));
	zpci_vm_destroy(&self->m);
}

#define LIMIT		80UL
#define MANY		512UL

TEST_F_TIMEOUT(zpci_memlock, frames, ZPCI_TIMEOUT)
{
	struct rlimit limit = {
		.rlim_cur = LIMIT * PAGE_SIZE,
		.rlim_max = RLIM_INFINITY,
	};
	struct zpci_vm *m = &self->m;
	u64 iova = m->pba + LIMIT * PAGE_SIZE, mapped;
	struct zpci_rpcit r;
	int i;

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));

	/* Up to the limit, and no further, however often it is tried */
	ASSERT_WORKS(zpci_vm_map(m, m->pba, ZPCI_GUEST_PAGE(10),
				 LIMIT * PAGE_SIZE, 0));
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, LIMIT));
	zpci_guest_map(&m->guest, iova, ZPCI_GUEST_PAGE(200), MANY * PAGE_SIZE,
		       0);
	for (i = 1; i <= 3; i++) {
		r = refresh_all(m);
		EXPECT_EQ(0, r.exits);
		EXPECT_EQ(CC_ERR, r.cc) {
			TH_LOG("RLIMIT_MEMLOCK is exceeded");
		}
		EXPECT_EQ(ST_NO_RESOURCES, r.status);
		EXPECT_EQ(i, zpci_vm_stats(m).rpcits_nores);
		EXPECT_EQ(i, zpci_shadow_stats().refused_nomem);
		EXPECT_EQ(LIMIT, zpci_shadow_stats().pinned) {
			TH_LOG("what was mapped before is lost");
		}
		ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, LIMIT));
	}

	/* The rest goes on as soon as something is unmapped, up to the limit. */
	zpci_guest_unmap(&m->guest, m->pba, LIMIT / 2 * PAGE_SIZE);
	EXPECT_EQ(CC_ERR, refresh_all(m).cc);
	mapped = zpci_shadow_stats().pinned;
	EXPECT_LT(LIMIT / 2, mapped);
	EXPECT_GE(LIMIT, mapped);
	EXPECT_GE(LIMIT, zpci_shadow_stats().pinned_peak);
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, mapped));

	/* Do what Linux guests do: unmap until the rest fits. */
	zpci_guest_unmap(&m->guest, iova + LIMIT / 4 * PAGE_SIZE,
			 (MANY - LIMIT / 4) * PAGE_SIZE);
	r = refresh_all(m);
	EXPECT_EQ(0, r.cc) {
		TH_LOG("RPCIT does not recover from lack of resources");
	}
	EXPECT_EQ(0, r.exits);
	mapped = LIMIT / 2 + LIMIT / 4;
	EXPECT_EQ(mapped, zpci_shadow_stats().pinned);
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, mapped));
}

/*
 * Map and unmap a page in one segment after the other. The guest keeps its
 * tables. The host must not keep one for each.
 */
TEST_F_TIMEOUT(zpci_memlock, empty_tables, ZPCI_TIMEOUT)
{
	u64 iova, most = 0, segments = 0;
	struct zpci_shadow_stats s;
	struct zpci_vm *m = &self->m;

	/* The largest aperture, up to 200 segments */
	m->pal = min(m->end_dma, m->pba - 1 + 200 * IOAT_FRAME_1M);
	ASSERT_EQ(0, zpci_vm_attach(m));

	for (iova = m->pba; iova < m->pal; iova += IOAT_FRAME_1M) {
		ASSERT_WORKS(zpci_vm_map(m, iova, FRAME, PAGE_SIZE, 0));
		ASSERT_WORKS(zpci_vm_unmap(m, iova, PAGE_SIZE));
		most = max(most, zpci_shadow_stats().tables);
		segments++;
	}
	ASSERT_LT(2 * EMPTY_TABLES, segments);
	/* One table in use counts for several, see the rule of the shadow. */
	EXPECT_GE(EMPTY_TABLES + 16, most) {
		TH_LOG("%lu tables after %lu segments of one page each", most,
		       segments);
	}
	s = zpci_shadow_stats();
	EXPECT_EQ(0, s.pinned);
	EXPECT_EQ(s.mapped, s.unmapped);
	EXPECT_GE(EMPTY_TABLES, s.tables);
}

/*
 * The limit of a memory cgroup, to which tables are charged. A process in a
 * group of its own reports through shared memory.
 */
#define CGROUP_ROOT	"/sys/fs/cgroup"
#define CGROUP		CGROUP_ROOT "/zpci_limit_test"
#define ROOM		(256UL << 10)	/* less than the tables that are asked for */

struct story {
	const char *wrong;
	char text[200];
	struct zpci_rpcit refused;
	struct zpci_rpcit recovered;
	struct zpci_shadow_stats at_end;
	u64 charged[3];		/* kernel memory: before, at the limit, at the end */
};

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t len = -1;

	if (fd >= 0) {
		len = write(fd, text, strlen(text));
		close(fd);
	}
	return len == strlen(text) ? 0 : errno;
}

static int write_number(const char *path, u64 number)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", number);
	return write_text(path, text);
}

/*
 * Read the number after @key in a file of the group, the first number without
 * @key.
 */
static u64 read_number(const char *name, const char *key)
{
	char path[128], line[128];
	u64 number = ~0UL;
	FILE *f;

	snprintf(path, sizeof(path), CGROUP "/%s", name);
	f = fopen(path, "r");
	if (!f)
		return number;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)))
			continue;
		number = strtoul(line + strlen(key), NULL, 10);
		break;
	}
	fclose(f);
	return number;
}

static const char *create_group(void)
{
	if (access(CGROUP_ROOT "/cgroup.controllers", R_OK) &&
	    mount("cgroup", CGROUP_ROOT, "cgroup2", 0, NULL))
		return "no cgroup2 file system";
	if (write_text(CGROUP_ROOT "/cgroup.subtree_control", "+memory"))
		return "no memory controller";
	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		return "no group can be made";
	return NULL;
}

/*
 * The process must not allocate memory while the limit is set: it would be
 * killed. It has done all of it once before, with a limit that does not matter.
 */
static void approach_limit(struct zpci_vm *m, struct story *story, u64 room)
{
	/* Open it now: that takes memory. */
	int fd = open(CGROUP "/memory.max", O_WRONLY);
	u64 first = m->pba & ~(IOAT_FRAME_1M - 1);

	story->charged[0] = read_number("memory.stat", "kernel ");
	write_number(CGROUP "/memory.max",
		     read_number("memory.current", "") + room);
	/*
	 * One page in each segment takes a page table each: the most that are
	 * mapped tell how many there were.
	 */
	zpci_guest_map(&m->guest, first, FRAME, PAGE_SIZE, 0);
	story->refused = refresh_all(m);
	zpci_guest_edit(&m->guest, IOAT_PAGE, first, 0, IOAT_PTE_INVALID);
	story->recovered = refresh_all(m);
	TEST_ASSERT(write(fd, "max", 3) == 3, "the limit can't be lifted");
	close(fd);
	story->at_end = zpci_shadow_stats();
}

static const char *in_group(struct story *story, const char *mode)
{
	struct zpci_vm m;
	u64 last;

	if (write_number(CGROUP "/cgroup.procs", getpid()))
		return "the group can't be joined";
	zpci_vm_create(&m, mode);
	/* 256 MiB of aperture: 1 MiB of tables */
	last = m.pba + (1UL << 28) - 1;
	m.pal = min(m.end_dma, last);
	if (zpci_vm_start(&m))
		return "no table";
	map_everywhere(&m, 1);
	approach_limit(&m, story, 1UL << 30);
	if (story->refused.cc)
		return "the table can't be mapped even without a limit";
	if (story->at_end.pinned_peak * PAGE_SIZE < 2 * ROOM)
		return "the largest table is too small for this test";
	if (zpci_vm_detach(&m) || zpci_vm_attach(&m))
		return "no other table";

	approach_limit(&m, story, ROOM);
	story->charged[1] = read_number("memory.stat", "kernel ");
	if (zpci_vm_detach(&m))
		return "the table can't be detached";
	zpci_vm_destroy(&m);
	return NULL;
}

FIXTURE(zpci_memcg) {
	struct story *story;
	struct zpci_pins before;
};

FIXTURE_VARIANT(zpci_memcg) {
	const char *mode;
};

FIXTURE_VARIANT_ADD(zpci_memcg, nested) {
	.mode = ZPCI_NESTED,
};

FIXTURE_VARIANT_ADD(zpci_memcg, on_demand) {
	.mode = ZPCI_ON_DEMAND,
};

FIXTURE_SETUP(zpci_memcg)
{
	const char *missing = create_group();

	if (missing)
		SKIP(return, "%s", missing);
	self->before = zpci_pins_now();
	self->story = mmap(NULL, sizeof(*self->story), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->story);
	memset(self->story, 0, sizeof(*self->story));
}

FIXTURE_TEARDOWN(zpci_memcg)
{
	rmdir(CGROUP);
	munmap(self->story, sizeof(*self->story));
}

TEST_F_TIMEOUT(zpci_memcg, largest_table, ZPCI_TIMEOUT)
{
	struct story *story = self->story;
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		story->wrong = "it was killed";
		story->wrong = in_group(story, variant->mode);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, read_number("memory.events", "oom_kill ")) {
		TH_LOG("the virtual machine was killed for want of memory");
	}
	ASSERT_EQ(0, status) {
		TH_LOG("status 0x%x", status);
	}
	ASSERT_WORKS(story->wrong);
	EXPECT_NE(0, read_number("memory.events", "max ")) {
		TH_LOG("the limit was not reached: are tables charged?");
	}

	EXPECT_EQ(0, story->refused.exits);
	EXPECT_EQ(CC_ERR, story->refused.cc) {
		TH_LOG("%lu page tables in spite of the limit",
		       story->at_end.pinned_peak);
	}
	EXPECT_EQ(ST_NO_RESOURCES, story->refused.status);
	EXPECT_GE(ROOM / PAGE_SIZE + 128, story->at_end.pinned_peak);
	EXPECT_EQ(0, story->recovered.exits);
	EXPECT_EQ(0, story->recovered.cc) {
		TH_LOG("status %u after everything was unmapped",
		       story->recovered.status);
	}
	EXPECT_EQ(0, story->at_end.pinned);
	EXPECT_GE(EMPTY_TABLES, story->at_end.tables);
	EXPECT_EQ(story->at_end.mapped, story->at_end.unmapped);
	ASSERT_WORKS(zpci_pins_leaked(&self->before));
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	return zpci_harness_run(argc, argv);
}
