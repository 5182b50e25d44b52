// SPDX-License-Identifier: GPL-2.0
/*
 * Test of pins that are kept for reuse
 *
 * Pages that a guest has unmapped may stay pinned and charged in case it maps
 * them again: 4 MiB for a few seconds. Only the speed may show it. The function
 * must get the current memory of the process, and others must get the memory or
 * the locked-memory limit when they need it.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_baseline.h"
#include "zpci_harness.h"
#include "zpci_slot.h"
#include "zpci_vm.h"

/* Maximum of kept frames, each in its own slot of the cache */
#define MOST		1024

/* With twice as many slots no slot would be shared with other memory. */
#define SLOT_GPA	(ZPCI_SLOT_GPA + MOST * PAGE_SIZE)
#define SLOT_SIZE	ZPCI_SLOT_SIZE

/* Frames that most tests map. They share no cache slots with the queues. */
#define OFFSET		(16 * PAGE_SIZE)
#define GPA		(SLOT_GPA + OFFSET)
#define FRAMES		8
#define SIZE		(FRAMES * PAGE_SIZE)

/* Seconds after which unused pins are released, on a slow machine */
#define SOON		20

static u8 reference[NVME_IDENTIFY_SIZE];

FIXTURE(zpci_pins) {
	struct zpci_vm m;
	struct zpci_pins before;	/* without the virtual machine */
	struct zpci_pins idle;		/* with nothing but the queues mapped */
	void *slot;
	void *memory;			/* in the slot: the frames */
	u64 iova;
	u64 queues;
};

FIXTURE_VARIANT(zpci_pins) {
	const char *mode;
};

FIXTURE_VARIANT_ADD(zpci_pins, group) {
	.mode = ZPCI_GROUP,
};

FIXTURE_VARIANT_ADD(zpci_pins, cdev) {
	.mode = ZPCI_CDEV,
};

FIXTURE_SETUP(zpci_pins)
{
	struct zpci_vm *m = &self->m;

	self->before = zpci_pins_now();
	zpci_vm_create(m, variant->mode);
	/* The registering process is subject to RLIMIT_MEMLOCK. */
	ASSERT_EQ(0, zpci_pins_drop_ipc_lock());
	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_EQ(0, zpci_vm_register(m));
	ASSERT_WORKS(zpci_vm_start_nvme(m));
	self->queues = zpci_vm_stats(m).pinned;
	self->iova = (m->pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
	self->slot = zpci_slot_memory(SLOT_SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1);
	self->memory = self->slot + OFFSET;
	ASSERT_EQ(0, zpci_slot_set(m, ZPCI_SLOT, SLOT_GPA, self->slot,
				   SLOT_SIZE, 0));
	self->idle = zpci_pins_now();
}

FIXTURE_TEARDOWN(zpci_pins)
{
	zpci_vm_destroy(&self->m);
	ASSERT_WORKS(zpci_pins_leaked(&self->before));
}

/* Let the controller write to the frame. Check the data. */
static const char *arrives(struct zpci_vm *m, u64 iova, void *hva)
{
	memset(hva, 0x55, PAGE_SIZE);
	return zpci_vm_identify(m, iova, hva, reference);
}

static const char *map_and_unmap(struct zpci_vm *m, u64 iova, u64 gpa, u64 size)
{
	const char *wrong = zpci_vm_map(m, iova, gpa, size, 0);

	return wrong ? : zpci_vm_unmap(m, iova, size);
}

/*
 * Map and unmap frames so that their pins are kept. Repeat it if the machine
 * stalled and they were released.
 */
static const char *keep(struct zpci_vm *m, u64 iova, const struct zpci_pins *idle)
{
	struct zpci_pins now;
	const char *wrong;
	int i;

	for (i = 0; i < 10; i++) {
		wrong = map_and_unmap(m, iova, GPA, SIZE);
		if (wrong)
			return wrong;
		now = zpci_pins_now();
		if (now.system == idle->system + FRAMES &&
		    now.locked_kb == idle->locked_kb + FRAMES * 4)
			return NULL;
	}
	return "what is unmapped is not kept, or not charged";
}

static const char *is_given_back_soon(const struct zpci_pins *idle)
{
	const char *leaked;
	int i;

	for (i = 0; i < SOON * 10; i++) {
		leaked = zpci_pins_leaked(idle);
		if (!leaked)
			break;
		usleep(100000);
	}
	return leaked;
}

/* A kept pin is not counted for the guest. It is released after some time. */
TEST_F(zpci_pins, idle)
{
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(keep(m, self->iova, &self->idle));
	EXPECT_EQ(self->queues, zpci_vm_stats(m).pinned);
	EXPECT_EQ(self->queues, vm_get_stat(m->guest.vm, zpci_frames_pinned));
	ASSERT_WORKS(is_given_back_soon(&self->idle));
	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, self->iova, self->memory));
}

/* Repeated mappings of a page need few pins. */
TEST_F(zpci_pins, mapped_again)
{
	const int rounds = 40;
	struct zpci_vm *m = &self->m;
	u64 calls = self->idle.calls;
	int i;

	for (i = 0; i < rounds; i++)
		ASSERT_WORKS(map_and_unmap(m, self->iova + i * PAGE_SIZE, GPA,
					   SIZE));
	calls = zpci_pins_now().calls - calls;
	EXPECT_LE(FRAMES, calls);
	EXPECT_GT(rounds * FRAMES / 2, calls) {
		TH_LOG("%lu pages were pinned in %d rounds of %d", calls,
		       rounds, FRAMES);
	}
}

/* All frames of the guest are kept up to the maximum. */
TEST_F(zpci_pins, most)
{
	u64 frames = ZPCI_GUEST_MEM_SIZE / PAGE_SIZE, kept, charged;
	struct zpci_vm *m = &self->m;
	struct zpci_pins now;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, ZPCI_GUEST_MEM,
				 ZPCI_GUEST_MEM_SIZE, 0));
	ASSERT_WORKS(zpci_vm_map(m, self->iova + ZPCI_GUEST_MEM_SIZE, SLOT_GPA,
				 SLOT_SIZE, 0));
	frames += SLOT_SIZE / PAGE_SIZE;
	ASSERT_LT(MOST, frames);
	EXPECT_EQ(self->queues + frames, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(zpci_vm_unmap(m, self->iova,
				   ZPCI_GUEST_MEM_SIZE + SLOT_SIZE));
	now = zpci_pins_now();
	EXPECT_EQ(self->queues, zpci_vm_stats(m).pinned);
	kept = now.system - self->idle.system;
	charged = (now.locked_kb - self->idle.locked_kb) / 4;
	EXPECT_GE(MOST, kept);
	EXPECT_GE(MOST, charged);
	EXPECT_LE(kept, charged);
	ASSERT_WORKS(is_given_back_soon(&self->idle));
}

/* Memory pressure releases kept pins at once. The charge may follow later. */
TEST_F(zpci_pins, memory_is_scarce)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	ASSERT_LE(0, fd);
	ASSERT_WORKS(keep(&self->m, self->iova, &self->idle));
	ASSERT_EQ(1, write(fd, "2", 1));
	close(fd);
	EXPECT_EQ(self->idle.system, zpci_pins_now().system) {
		TH_LOG("what is kept is not given back when memory is scarce");
	}
	ASSERT_WORKS(is_given_back_soon(&self->idle));
}

/* Kept pins don't count against the guest. */
TEST_F(zpci_pins, limit)
{
	struct zpci_vm *m = &self->m;
	struct rlimit limit = {
		.rlim_cur = self->idle.locked_kb * 1024 + SIZE,
		.rlim_max = RLIM_INFINITY,
	};
	struct zpci_rpcit r;
	u64 gpa = GPA;
	int i;

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	for (i = 0; i < 10; i++) {
		/* Other frames each time, up to the limit */
		ASSERT_WORKS(map_and_unmap(m, self->iova, gpa, SIZE));
		gpa += SIZE;
		EXPECT_GE(limit.rlim_cur, zpci_pins_now().locked_kb * 1024);
	}
	zpci_guest_map(&m->guest, self->iova, gpa, SIZE + PAGE_SIZE, 0);
	r = zpci_guest_rpcit(&m->guest, self->iova, SIZE + PAGE_SIZE);
	EXPECT_EQ(1, r.cc) {
		TH_LOG("there is no limit");
	}
}

/*
 * Check that the function reaches the current memory at @hva, where a pin was
 * kept.
 */
static const char *gets_what_is_there(struct zpci_vm *m, u64 iova, void *hva)
{
	const char *wrong;
	int i;

	wrong = zpci_vm_map(m, iova, GPA, SIZE, 0);
	for (i = 0; i < FRAMES && !wrong; i++)
		wrong = arrives(m, iova + i * PAGE_SIZE, hva + i * PAGE_SIZE);
	return wrong;
}

/*
 * MADV_DONTNEED, as a balloon does it: once while a pin is kept, once while in
 * use
 */
TEST_F(zpci_pins, discarded)
{
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(keep(m, self->iova, &self->idle));
	ASSERT_EQ(0, madvise(self->memory, SIZE, MADV_DONTNEED));
	EXPECT_EQ(self->idle.system, zpci_pins_now().system) {
		TH_LOG("memory that was discarded is still pinned");
	}
	ASSERT_WORKS(gets_what_is_there(m, self->iova, self->memory));

	ASSERT_EQ(0, madvise(self->memory, SIZE, MADV_DONTNEED));
	EXPECT_EQ(self->idle.system + FRAMES, zpci_pins_now().system);
	ASSERT_WORKS(zpci_vm_unmap(m, self->iova, SIZE));
	ASSERT_WORKS(zpci_pins_leaked(&self->idle));
	ASSERT_WORKS(gets_what_is_there(m, self->iova, self->memory));
}

/* Map a file, then another one. The old one can be checked. */
TEST_F(zpci_pins, remapped)
{
	struct zpci_vm *m = &self->m;
	void *seen[2];
	int i, j, fd;

	for (i = 0; i < 2; i++) {
		fd = memfd_create("zpci", 0);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ftruncate(fd, SIZE));
		seen[i] = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			       fd, 0);
		ASSERT_NE(MAP_FAILED, seen[i]);
		ASSERT_EQ(self->memory, mmap(self->memory, SIZE,
					     PROT_READ | PROT_WRITE,
					     MAP_SHARED | MAP_FIXED, fd, 0));
		close(fd);
		ASSERT_WORKS(keep(m, self->iova, &self->idle));
	}
	memset(seen[0], 0x11, SIZE);
	ASSERT_WORKS(gets_what_is_there(m, self->iova, seen[1]));
	for (j = 0; j < SIZE; j++)
		ASSERT_EQ(0x11, ((u8 *)seen[0])[j]) {
			TH_LOG("DMA to memory that was there before");
		}
}

/*
 * After fork() each process has its memory. The function works for the parent.
 */
TEST_F(zpci_pins, forked)
{
	struct zpci_vm *m = &self->m;
	int hold[2], status, i;
	char byte;
	pid_t child;

	memset(self->memory, 0x22, SIZE);
	ASSERT_WORKS(keep(m, self->iova, &self->idle));
	ASSERT_EQ(0, pipe(hold));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		close(hold[1]);
		if (read(hold[0], &byte, 1))
			_exit(1);
		for (i = 0; i < SIZE; i++) {
			if (((u8 *)self->memory)[i] != 0x22)
				_exit(2);
		}
		_exit(0);
	}
	ASSERT_WORKS(gets_what_is_there(m, self->iova, self->memory));
	close(hold[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status) {
		TH_LOG("the child's copy has changed");
	}
}

/*
 * The function can't write to memory that the process can't write to any more.
 */
TEST_F(zpci_pins, write_protected)
{
	struct zpci_vm *m = &self->m;
	u64 user_memory = zpci_vm_stats(m).user_memory;
	struct zpci_rpcit r;

	ASSERT_WORKS(keep(m, self->iova, &self->idle));
	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_READ));
	zpci_guest_map(&m->guest, self->iova, GPA, SIZE, 0);
	r = zpci_guest_rpcit(&m->guest, self->iova, SIZE);
	EXPECT_EQ(1, r.exits) {
		TH_LOG("mapped for writing, what must only be read");
	}
	EXPECT_EQ(user_memory + 1, zpci_vm_stats(m).user_memory);
	EXPECT_EQ(self->queues, zpci_vm_stats(m).pinned);
	ASSERT_EQ(0, mprotect(self->memory, SIZE,
			      PROT_READ | PROT_WRITE));
	ASSERT_WORKS(gets_what_is_there(m, self->iova, self->memory));
}

/* A pin for reading is not used for writing. */
TEST_F(zpci_pins, read_only)
{
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;

	memset(self->memory, 0x44, SIZE);
	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_READ));
	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, SIZE, IOAT_PROTECTED));
	ASSERT_WORKS(zpci_vm_unmap(m, self->iova, SIZE));
	zpci_guest_map(&m->guest, self->iova, GPA, SIZE, 0);
	r = zpci_guest_rpcit(&m->guest, self->iova, SIZE);
	EXPECT_EQ(1, r.exits) {
		TH_LOG("mapped for writing, what was kept for reading");
	}
	EXPECT_EQ(self->queues, zpci_vm_stats(m).pinned);
	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_READ | PROT_WRITE));
	ASSERT_WORKS(gets_what_is_there(m, self->iova, self->memory));
	ASSERT_WORKS(zpci_vm_unmap(m, self->iova, SIZE));

	/* Kept for writing */
	ASSERT_WORKS(map_and_unmap(m, self->iova, GPA, PAGE_SIZE));
	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, PAGE_SIZE,
				 IOAT_PROTECTED));
	ASSERT_EQ(NVME_FUNCTION_ERROR, nvme_identify_ctrl(&m->nvme, self->iova,
							  0)) {
		TH_LOG("written though read-only: kept with more than it may");
	}
}

TEST_F(zpci_pins, slot_deleted)
{
	struct zpci_vm *m = &self->m;
	void *other;

	ASSERT_WORKS(keep(m, self->iova, &self->idle));
	ASSERT_EQ(0, zpci_slot_delete(m, ZPCI_SLOT));
	ASSERT_WORKS(zpci_pins_leaked(&self->idle));

	/* Other memory at the same guest address. The process has both. */
	other = zpci_slot_memory(SLOT_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(self->memory, 0x33, PAGE_SIZE);
	ASSERT_EQ(0, zpci_slot_set(m, ZPCI_SLOT, SLOT_GPA, other,
				   SLOT_SIZE, 0));
	ASSERT_WORKS(gets_what_is_there(m, self->iova, other + OFFSET));
	EXPECT_EQ(0x33, *(u8 *)self->memory);

	/* Delete it while in use: unmapped and not kept */
	ASSERT_EQ(0, zpci_slot_delete(m, ZPCI_SLOT));
	ASSERT_WORKS(zpci_pins_leaked(&self->idle));
}

TEST_F(zpci_pins, slot_moved)
{
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(keep(m, self->iova, &self->idle));
	ASSERT_EQ(0, zpci_slot_set(m, ZPCI_SLOT, SLOT_GPA + SLOT_SIZE,
				   self->slot, SLOT_SIZE, 0));
	ASSERT_WORKS(zpci_pins_leaked(&self->idle));
}

TEST_F(zpci_pins, deregistered)
{
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(keep(m, self->iova, &self->idle));
	ASSERT_EQ(0, zpci_vm_deregister(m));
	ASSERT_WORKS(zpci_pins_leaked(&self->before));
	/* The next registration starts with no kept pins. */
	ASSERT_EQ(0, zpci_vm_register(m));
	ASSERT_WORKS(zpci_pins_leaked(&self->before));
}

TEST_F(zpci_pins, zpci_closed)
{
	ASSERT_WORKS(keep(&self->m, self->iova, &self->idle));
	zpci_vm_close_zpci(&self->m);
	ASSERT_WORKS(zpci_pins_leaked(&self->before));
}

TEST_F(zpci_pins, function_closed)
{
	ASSERT_WORKS(keep(&self->m, self->iova, &self->idle));
	zpci_vm_close_function(&self->m);
	ASSERT_WORKS(zpci_pins_leaked(&self->before));
}

/* Kill the process. */
TEST_F(zpci_pins, killed)
{
	struct zpci_pins idle;
	struct zpci_vm m;
	int status;
	pid_t child;

	zpci_vm_destroy(&self->m);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		zpci_vm_setup(&m, variant->mode);
		if (zpci_slot_set(&m, ZPCI_SLOT, SLOT_GPA, self->slot,
				  SLOT_SIZE, 0))
			_exit(1);
		idle = zpci_pins_now();
		if (keep(&m, (m.pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1),
			 &idle))
			_exit(2);
		raise(SIGKILL);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status)) {
		TH_LOG("status 0x%x", status);
	}
	/* The last reference to a file is dropped late. */
	ASSERT_WORKS(is_given_back_soon(&self->before));
	memset(&self->m, 0, sizeof(self->m));
	self->m.kvm_vfio = -1;
	self->m.zpci = -1;
	zpci_vm_create(&self->m, variant->mode);
}

/*
 * Detach the domain while a table is registered. The registration stays. Only a
 * cdev can do that, so the fixture does not cover it.
 */
TEST(detached)
{
	struct zpci_pins before = zpci_pins_now(), idle;
	struct zpci_vm m;
	void *slot;
	u64 iova;

	zpci_vm_create(&m, ZPCI_CDEV);
	ASSERT_EQ(0, zpci_vm_bind(&m));
	ASSERT_EQ(0, zpci_vm_register(&m));
	ASSERT_WORKS(zpci_vm_start_nvme(&m));
	iova = (m.pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
	slot = zpci_slot_memory(SLOT_SIZE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_EQ(0, zpci_slot_set(&m, ZPCI_SLOT, SLOT_GPA, slot,
				   SLOT_SIZE, 0));
	idle = zpci_pins_now();

	ASSERT_WORKS(keep(&m, iova, &idle));
	ASSERT_EQ(0, zpci_function_detach(m.device));
	ASSERT_WORKS(zpci_pins_leaked(&before));
	ASSERT_EQ(0, zpci_vm_deregister(&m));
	ASSERT_EQ(0, zpci_function_attach(m.device));
	ASSERT_EQ(0, zpci_vm_register(&m));

	zpci_vm_destroy(&m);
	ASSERT_WORKS(zpci_pins_leaked(&before));
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_baseline_identify(reference);
	return zpci_harness_run(argc, argv);
}
