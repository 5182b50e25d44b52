// SPDX-License-Identifier: GPL-2.0
/*
 * Test of memory slots that are deleted and created
 *
 * A memory slot is deleted, moved or replaced while pages of it are mapped.
 * From then on the function can't reach the memory and nothing of it is pinned.
 * The next RPCIT finds the new memory.
 */
#include <string.h>
#include <sys/mman.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_baseline.h"
#include "zpci_harness.h"
#include "zpci_scale.h"
#include "zpci_slot.h"
#include "zpci_storm.h"
#include "zpci_vm.h"

#define SLOT		ZPCI_SLOT
#define GPA		ZPCI_SLOT_GPA
#define SIZE		ZPCI_SLOT_SIZE
#define ELSEWHERE	(GPA + 16 * SIZE)

/* A value that no controller writes */
#define UNTOUCHED	0x5555555555555555UL

static u8 reference[NVME_IDENTIFY_SIZE];

FIXTURE(zpci_memslot) {
	struct zpci_vm m;
	struct zpci_pins before;
	void *memory[2];
	u64 iova;
	u64 queues;		/* pages pinned for the queues */
};

static void wipe(void *memory)
{
	u64 *word = memory;
	int i;

	for (i = 0; i < SIZE / sizeof(*word); i++)
		word[i] = UNTOUCHED;
}

static bool is_untouched(const void *memory)
{
	const u64 *word = memory;
	int i;

	for (i = 0; i < SIZE / sizeof(*word); i++) {
		if (word[i] != UNTOUCHED)
			return false;
	}
	return true;
}

static int set_slot(struct zpci_vm *m, u64 gpa, void *memory)
{
	return zpci_slot_set(m, SLOT, gpa, memory, SIZE, 0);
}

FIXTURE_SETUP(zpci_memslot)
{
	struct zpci_vm *m = &self->m;
	int i;

	self->before = zpci_pins_now();
	zpci_vm_setup_nvme(m, ZPCI_CDEV, false);
	self->queues = zpci_vm_stats(m).pinned;
	self->iova = (m->pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
	for (i = 0; i < 2; i++) {
		self->memory[i] = zpci_slot_memory(SIZE, PROT_READ | PROT_WRITE,
						   MAP_PRIVATE | MAP_ANONYMOUS,
						   -1);
		wipe(self->memory[i]);
	}
	ASSERT_EQ(0, set_slot(m, GPA, self->memory[0]));
}

FIXTURE_TEARDOWN(zpci_memslot)
{
	ASSERT_EQ(0, zpci_vm_deregister(&self->m));
	EXPECT_EQ(0, zpci_vm_stats(&self->m).pinned);
	ASSERT_WORKS(zpci_pins_leaked(&self->before));
	zpci_vm_destroy(&self->m);
}

/* Let the controller write to @iova. Check the data at @hva. */
static const char *arrives(struct zpci_vm *m, u64 iova, void *hva)
{
	int ret = nvme_identify_ctrl(&m->nvme, iova, 0);

	if (ret)
		return nvme_result(ret);
	if (memcmp(hva, reference, NVME_IDENTIFY_SIZE))
		return "data did not arrive in the right memory";
	memset(hva, UNTOUCHED & 0xff, NVME_IDENTIFY_SIZE);
	return NULL;
}

static const char *is_refused(struct zpci_vm *m, u64 iova)
{
	int ret = nvme_identify_ctrl(&m->nvme, iova, 0);

	return ret == NVME_FUNCTION_ERROR ? NULL : nvme_result(ret);
}

/* Check that an RPCIT for missing memory goes to user space. */
static const char *is_passed_on(struct zpci_vm *m, u64 iova, u64 size)
{
	u64 before = zpci_vm_stats(m).user_memory;
	struct zpci_rpcit r;

	r = zpci_guest_rpcit(&m->guest, iova, size);
	if (r.exits != 1)
		return "kernel decided on memory that is not there";
	if (zpci_vm_stats(m).user_memory != before + 1)
		return "it is not counted as a matter of memory";
	return NULL;
}

/* A deleted slot is not pinned and can't be written. */
TEST_F(zpci_memslot, removed)
{
	struct zpci_vm *m = &self->m;
	struct zpci_pins pins = zpci_pins_now();

	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, 4 * PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, self->iova, self->memory[0]));
	EXPECT_EQ(self->queues + 4, zpci_vm_stats(m).pinned);
	ASSERT_EQ(0, zpci_slot_delete(m, SLOT));
	EXPECT_EQ(self->queues, zpci_vm_stats(m).pinned) {
		TH_LOG("pages of a removed slot are still pinned");
	}
	ASSERT_WORKS(zpci_pins_leaked(&pins));
	ASSERT_WORKS(is_passed_on(m, self->iova, PAGE_SIZE));
	EXPECT_EQ(self->queues, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(is_refused(m, self->iova));
	EXPECT_TRUE(is_untouched(self->memory[0])) {
		TH_LOG("DMA to memory of a removed slot");
	}
}

/* A frame of 1 MiB, which fills the slot, beside pages of other slots */
TEST_F(zpci_memslot, removed_frame_1m)
{
	struct zpci_vm *m = &self->m;
	u64 iova = self->iova + IOAT_FRAME_1M;

	ASSERT_WORKS(zpci_vm_map(m, iova, ZPCI_GUEST_PAGE(20), 8 * PAGE_SIZE,
				 0));
	zpci_guest_map_1m(&m->guest, self->iova, GPA, 0);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova, SIZE).cc);
	EXPECT_EQ(self->queues + 8 + 256, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(arrives(m, self->iova + 0xff000,
			     self->memory[0] + 0xff000));
	ASSERT_EQ(0, zpci_slot_delete(m, SLOT));
	EXPECT_EQ(self->queues + 8, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(arrives(m, iova, zpci_guest_hva(&m->guest,
						     ZPCI_GUEST_PAGE(20))));
	ASSERT_WORKS(is_refused(m, self->iova + 0xff000));
	EXPECT_TRUE(is_untouched(self->memory[0]));
}

/* Other memory at the same guest address gets the data. */
TEST_F(zpci_memslot, replaced)
{
	struct zpci_vm *m = &self->m;
	int i, now;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, self->iova, self->memory[0]));
	for (i = 0; i < 3; i++) {
		now = !(i & 1);
		ASSERT_EQ(0, zpci_slot_delete(m, SLOT));
		ASSERT_EQ(0, set_slot(m, GPA, self->memory[now]));
		EXPECT_EQ(self->queues, zpci_vm_stats(m).pinned);
		ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova,
					      PAGE_SIZE).cc);
		EXPECT_EQ(self->queues + 1, zpci_vm_stats(m).pinned) {
			TH_LOG("entry that has not changed is not mapped again");
		}
		ASSERT_WORKS(arrives(m, self->iova, self->memory[now]));
		EXPECT_TRUE(is_untouched(self->memory[!now])) {
			TH_LOG("DMA to the memory that was there before");
		}
	}
}

/* The same memory at another guest address */
TEST_F(zpci_memslot, moved)
{
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, PAGE_SIZE, 0));
	ASSERT_EQ(0, set_slot(m, ELSEWHERE, self->memory[0]));
	EXPECT_EQ(self->queues, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(is_passed_on(m, self->iova, PAGE_SIZE));
	ASSERT_WORKS(zpci_vm_map(m, self->iova, ELSEWHERE, PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, self->iova, self->memory[0]));
	ASSERT_WORKS(zpci_vm_map(m, self->iova + PAGE_SIZE,
				 ELSEWHERE + PAGE_SIZE, PAGE_SIZE, 0));
	/* Move it back. The entries have not changed. */
	ASSERT_EQ(0, set_slot(m, GPA, self->memory[0]));
	EXPECT_EQ(self->queues, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(is_refused(m, self->iova));
	EXPECT_TRUE(is_untouched(self->memory[0]));
}

/* A slot whose flags change stays mapped. */
TEST_F(zpci_memslot, flags_only)
{
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, PAGE_SIZE, 0));
	ASSERT_EQ(0, zpci_slot_set(m, SLOT, GPA, self->memory[0], SIZE,
				   KVM_MEM_LOG_DIRTY_PAGES));
	EXPECT_EQ(self->queues + 1, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(arrives(m, self->iova, self->memory[0]));
	ASSERT_EQ(0, set_slot(m, GPA, self->memory[0]));
	EXPECT_EQ(self->queues + 1, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(arrives(m, self->iova, self->memory[0]));
}

/* A failed change of a slot changes nothing. */
TEST_F(zpci_memslot, refused)
{
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, PAGE_SIZE, 0));
	EXPECT_EQ(EEXIST, zpci_slot_set(m, SLOT + 1, GPA,
					self->memory[1], SIZE, 0));
	EXPECT_EQ(EEXIST, set_slot(m, ZPCI_GUEST_MEM, self->memory[0]));
	EXPECT_EQ(EINVAL, set_slot(m, GPA, self->memory[0] + PAGE_SIZE));
	EXPECT_EQ(self->queues + 1, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(arrives(m, self->iova, self->memory[0]));
}

/* Adjacent slots are separate memory. */
TEST_F(zpci_memslot, neighbours)
{
	struct zpci_vm *m = &self->m;
	u64 border = GPA + SIZE;
	int i;

	ASSERT_EQ(0, zpci_slot_set(m, SLOT + 1, border, self->memory[1],
				   SIZE, 0));
	ASSERT_WORKS(zpci_vm_map(m, self->iova, border - 8 * PAGE_SIZE,
				 16 * PAGE_SIZE, 0));
	for (i = 0; i < 8; i++) {
		ASSERT_WORKS(arrives(m, self->iova + i * PAGE_SIZE,
				     self->memory[0] + SIZE -
				     (8 - i) * PAGE_SIZE));
		ASSERT_WORKS(arrives(m, self->iova + (8 + i) * PAGE_SIZE,
				     self->memory[1] + i * PAGE_SIZE));
	}
	/* Delete one of them. */
	ASSERT_EQ(0, zpci_slot_delete(m, SLOT));
	EXPECT_EQ(self->queues + 8, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(is_passed_on(m, self->iova, 16 * PAGE_SIZE));
	EXPECT_EQ(self->queues + 8, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(arrives(m, self->iova + 8 * PAGE_SIZE, self->memory[1]));
	ASSERT_EQ(0, zpci_slot_delete(m, SLOT + 1));
	EXPECT_EQ(self->queues, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(is_refused(m, self->iova + 8 * PAGE_SIZE));
	EXPECT_TRUE(is_untouched(self->memory[0]));
	EXPECT_TRUE(is_untouched(self->memory[1]));
}

/* From the last page of a slot into unassigned addresses */
TEST_F(zpci_memslot, hole)
{
	struct zpci_vm *m = &self->m;
	void *last = self->memory[0] + SIZE - PAGE_SIZE;

	zpci_guest_map(&m->guest, self->iova, GPA + SIZE - PAGE_SIZE,
		       2 * PAGE_SIZE, 0);
	ASSERT_WORKS(is_passed_on(m, self->iova, 2 * PAGE_SIZE));
	ASSERT_WORKS(is_passed_on(m, self->iova + PAGE_SIZE, PAGE_SIZE));
	EXPECT_GE(self->queues + 1, zpci_vm_stats(m).pinned);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova, PAGE_SIZE).cc);
	ASSERT_WORKS(arrives(m, self->iova, last));
	ASSERT_WORKS(is_refused(m, self->iova + PAGE_SIZE));
}

/*
 * Read-only slots: the function may read, but not write. If the host has no
 * such slots, use memory that the process can only read.
 */
TEST_F(zpci_memslot, read_only)
{
	bool slots = kvm_check_cap(KVM_CAP_READONLY_MEM);
	struct zpci_vm *m = &self->m;
	int err;

	ASSERT_EQ(0, zpci_slot_delete(m, SLOT));
	err = zpci_slot_set(m, SLOT, GPA, self->memory[0], SIZE,
			    KVM_MEM_READONLY);
	if (slots) {
		ASSERT_EQ(0, err);
	} else {
		EXPECT_EQ(EINVAL, err);
		TH_LOG("no read-only slots on this host: with read-only memory");
		ASSERT_EQ(0, mprotect(self->memory[0], SIZE, PROT_READ));
		ASSERT_EQ(0, set_slot(m, GPA, self->memory[0]));
	}
	zpci_guest_map(&m->guest, self->iova, GPA, PAGE_SIZE, 0);
	ASSERT_WORKS(is_passed_on(m, self->iova, PAGE_SIZE));
	EXPECT_EQ(self->queues, zpci_vm_stats(m).pinned);
	ASSERT_WORKS(zpci_vm_map(m, self->iova, GPA, PAGE_SIZE,
				 IOAT_PROTECTED));
	EXPECT_EQ(self->queues + 1, zpci_vm_stats(m).pinned);
	/* A read-only mapping does not become writable. */
	zpci_guest_map(&m->guest, self->iova, GPA, PAGE_SIZE, 0);
	ASSERT_WORKS(is_passed_on(m, self->iova, PAGE_SIZE));
	ASSERT_WORKS(is_refused(m, self->iova));
	EXPECT_TRUE(is_untouched(self->memory[0]));
}

/* Delete the memory of a page table. The frames stay. */
TEST_F(zpci_memslot, table)
{
	struct zpci_vm *m = &self->m;
	u64 *table = self->memory[0], *other = self->memory[1];
	u64 old = ZPCI_GUEST_PAGE(20), new = ZPCI_GUEST_PAGE(21);
	int i;

	for (i = 0; i < IOAT_PT_ENTRIES; i++) {
		table[i] = IOAT_PTE_INVALID;
		other[i] = IOAT_PTE_INVALID;
	}
	table[0] = old;
	other[0] = new;
	zpci_guest_edit(&m->guest, IOAT_SEGMENT, self->iova, ~0UL,
			GPA | IOAT_TYPE_ST);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova, PAGE_SIZE).cc);
	ASSERT_WORKS(arrives(m, self->iova, zpci_guest_hva(&m->guest, old)));

	ASSERT_EQ(0, zpci_slot_delete(m, SLOT));
	ASSERT_WORKS(is_passed_on(m, self->iova, PAGE_SIZE));
	ASSERT_WORKS(is_passed_on(m, m->pba, m->pal + 1 - m->pba));
	ASSERT_EQ(0, set_slot(m, GPA, self->memory[1]));
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova, PAGE_SIZE).cc);
	ASSERT_WORKS(arrives(m, self->iova, zpci_guest_hva(&m->guest, new)));
	EXPECT_EQ(self->queues + 1, zpci_vm_stats(m).pinned);
}

/*
 * Delete and create the slot while vCPUs refresh. While it is deleted nothing
 * of it may be pinned.
 */
TEST_F_TIMEOUT(zpci_memslot, under_load, ZPCI_TIMEOUT)
{
	struct zpci_vm *m = &self->m;
	struct zpci_storm storm = {
		.flags = STORM_RPCIT | STORM_WHOLE | STORM_PAGES,
		.iova = self->iova,
		.size = 64 * PAGE_SIZE,
		.gpa = GPA,
		.frames = SIZE / PAGE_SIZE,
		.seed = zpci_seed(),
		.count = ~0UL,
	};
	struct zpci_storm_thread threads[2];
	struct zpci_guest peer;
	u64 i, pinned = 0, rounds;

	zpci_guest_add_vcpu(&m->guest, &peer);
	zpci_guest_map(&m->guest, self->iova, GPA, 64 * PAGE_SIZE, 0);
	zpci_storm_start(&threads[0], &m->guest, &storm);
	storm.flags = STORM_RPCIT | STORM_WHOLE;
	storm.seed++;
	zpci_storm_start(&threads[1], &peer, &storm);

	for (i = 0; i < zpci_scale(40); i++) {
		rounds = 4 * i;
		zpci_storm_wait(&threads[0], rounds);
		zpci_storm_wait(&threads[1], rounds);
		pinned += zpci_vm_stats(m).pinned - self->queues;
		if (i % 4 == 3) {
			/* A moved slot keeps its memory. */
			ASSERT_EQ(0, set_slot(m, i & 4 ? ELSEWHERE : GPA + SIZE,
					      self->memory[(i - 1) & 1]));
		} else {
			ASSERT_EQ(0, zpci_slot_delete(m, SLOT));
		}
		/* Check repeatedly: a late refresh must not pin it. */
		ASSERT_EQ(self->queues, zpci_vm_stats(m).pinned) {
			TH_LOG("round %lu: pages of a removed slot are pinned",
			       i);
		}
		usleep(500);
		ASSERT_EQ(self->queues, zpci_vm_stats(m).pinned) {
			TH_LOG("round %lu: pages of a removed slot are pinned later",
			       i);
		}
		if (i % 4 == 3)
			ASSERT_EQ(0, zpci_slot_delete(m, SLOT));
		ASSERT_EQ(0, set_slot(m, GPA, self->memory[i & 1]));
	}
	for (i = 0; i < 2; i++)
		zpci_storm_stop(&threads[i]);
	EXPECT_NE(0, pinned) {
		TH_LOG("nothing was ever mapped in between");
	}
	EXPECT_TRUE(is_untouched(self->memory[0]));
	EXPECT_TRUE(is_untouched(self->memory[1]));
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova,
				      64 * PAGE_SIZE).cc);
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_baseline_identify(reference);
	return zpci_harness_run(argc, argv);
}
