// SPDX-License-Identifier: GPL-2.0
/*
 * Test of several vCPUs that change and refresh tables
 *
 * They work side by side, on the same tables, and while other threads tear
 * down. Random choices depend on a seed, which is printed. ZPCI_SEED in the
 * environment repeats it as far as threads allow.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_baseline.h"
#include "zpci_chaos.h"
#include "zpci_harness.h"
#include "zpci_scale.h"
#include "zpci_storm.h"
#include "zpci_vm.h"

#define NR_VCPUS	4

static u8 reference[NVME_IDENTIFY_SIZE];

/*
 * Two frames whose addresses differ in all nonzero bytes, in slots of their
 * own. An IOAS reaches no further than the host has memory.
 */
#define FLIP_SLOT	10
static const u64 flip_slots[] = { 0x15500000UL, 0x2aa00000UL };
static const u64 flip_frames[] = { 0x15555000UL, 0x2aaaa000UL };

FIXTURE(zpci_smp) {
	struct zpci_vm m;
	struct zpci_guest peers[NR_VCPUS - 1];
	struct zpci_guest *cpu[NR_VCPUS];
	struct zpci_storm_thread threads[NR_VCPUS];
	struct zpci_pins before;
	u64 iova;
};

FIXTURE_VARIANT(zpci_smp) {
	const char *mode;
};

FIXTURE_VARIANT_ADD(zpci_smp, nested) {
	.mode = ZPCI_NESTED,
};

FIXTURE_VARIANT_ADD(zpci_smp, on_demand) {
	.mode = ZPCI_ON_DEMAND,
};

FIXTURE_SETUP(zpci_smp)
{
	struct zpci_vm *m = &self->m;
	int i;

	self->before = zpci_pins_now();
	zpci_vm_setup_nvme(m, variant->mode, true);
	self->iova = (m->pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
	self->cpu[0] = &m->guest;
	for (i = 1; i < NR_VCPUS; i++) {
		self->cpu[i] = &self->peers[i - 1];
		zpci_guest_add_vcpu(&m->guest, self->cpu[i]);
	}
	/* Create all page tables now. */
	for (i = 0; i < 2 * NR_VCPUS; i++)
		zpci_guest_unmap(&m->guest, self->iova + i * IOAT_FRAME_1M,
				 PAGE_SIZE);
}

FIXTURE_TEARDOWN(zpci_smp)
{
	EXPECT_EQ(0, zpci_shadow_stats().refresh_errors);
	ASSERT_EQ(0, zpci_vm_detach(&self->m));
	ASSERT_WORKS(zpci_vm_check_pins(&self->m, &self->before, 0));
	zpci_vm_destroy(&self->m);
}

/* Return the pages of guest memory that a storm of vCPU @i may map. */
static u64 frames_of(int i)
{
	return ZPCI_GUEST_PAGE(64 + 64 * i);
}

#define FREE_SIZE	(ZPCI_GUEST_MEM_SIZE - ZPCI_PAGE_FREE * PAGE_SIZE)

static void fill_free_pages(struct zpci_vm *m)
{
	zpci_guest_fill(&m->guest, ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE), FREE_SIZE,
			99);
}

/* Check that the function has written to the queues only. */
static const char *free_pages_intact(struct zpci_vm *m)
{
	u64 *word = zpci_guest_hva(&m->guest, ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE));
	static char text[80];
	u64 i, page;

	for (i = 0; i < FREE_SIZE / sizeof(*word); i++) {
		if (word[i] == zpci_pattern(99, i))
			continue;
		page = ZPCI_PAGE_FREE + i * sizeof(*word) / PAGE_SIZE;
		snprintf(text, sizeof(text), "stray DMA to page 0x%lx",
			 ZPCI_GUEST_PAGE(page));
		return text;
	}
	return NULL;
}

static struct zpci_rpcit refresh_all(struct zpci_vm *m)
{
	return zpci_guest_rpcit(&m->guest, m->pba, m->pal + 1 - m->pba);
}

/* Check that only @pages have changed since the snapshot. */
static const char *no_stray_write(struct zpci_vm *m, const u64 *pages, int nr)
{
	static char text[80];
	u64 stray = zpci_vm_stray_write(m, pages, nr);

	if (stray == ~0UL)
		return NULL;
	snprintf(text, sizeof(text), "stray DMA to page 0x%lx", stray);
	return text;
}

/* Let the controller write to @iova. Check that only @gpa changes. */
static const char *arrives(struct zpci_vm *m, u64 iova, u64 gpa)
{
	void *hva = zpci_guest_hva(&m->guest, gpa);

	memset(hva, 0x55, PAGE_SIZE);
	zpci_vm_snapshot(m);
	if (nvme_identify_ctrl(&m->nvme, iova, 0))
		return "DMA through a valid entry failed";
	if (memcmp(hva, reference, PAGE_SIZE))
		return "data did not arrive";
	return no_stray_write(m, &gpa, 1);
}

/*
 * Each vCPU has its own range. The result must be that of one vCPU that
 * refreshes everything afterwards.
 */
TEST_F_TIMEOUT(zpci_smp, ranges_side_by_side, ZPCI_TIMEOUT)
{
	struct zpci_shadow_stats before, after;
	struct zpci_vm *m = &self->m;
	const struct zpci_storm *s;
	u64 pinned, rpcits;
	int i;

	pinned = zpci_shadow_stats().pinned;
	rpcits = zpci_vm_stats(m).rpcits;
	for (i = 0; i < NR_VCPUS; i++) {
		struct zpci_storm storm = {
			.flags = STORM_PAGES | STORM_WHOLE,
			.iova = self->iova + i * IOAT_FRAME_1M,
			.size = 16 * PAGE_SIZE,
			.gpa = frames_of(i),
			.frames = 64,
			.seed = zpci_seed() + i,
			.count = zpci_scale(400),
		};

		zpci_storm_start(&self->threads[i], self->cpu[i], &storm);
	}
	for (i = 0; i < NR_VCPUS; i++) {
		zpci_storm_join(&self->threads[i]);
		s = zpci_storm_stop(&self->threads[i]);
		rpcits += s->cc[0];
		EXPECT_EQ(s->rounds, s->cc[0]) {
			TH_LOG("vCPU %d: %lu of %lu RPCITs with condition code 0",
			       i, s->cc[0], s->rounds);
		}
		EXPECT_EQ(0, self->cpu[i]->exits) {
			TH_LOG("vCPU %d: RPCIT left the kernel", i);
		}
	}
	before = zpci_shadow_stats();
	EXPECT_EQ(rpcits, zpci_vm_stats(m).rpcits);
	EXPECT_LE(pinned, before.pinned);
	EXPECT_GE(pinned + NR_VCPUS * 16, before.pinned);

	ASSERT_EQ(0, refresh_all(m).cc);
	after = zpci_shadow_stats();
	EXPECT_EQ(before.mapped, after.mapped) {
		TH_LOG("a refresh was lost: an entry was not mapped");
	}
	EXPECT_EQ(before.unmapped, after.unmapped) {
		TH_LOG("a refresh was lost: an old entry was still mapped");
	}
	for (i = 0; i < NR_VCPUS; i++) {
		u64 iova = self->iova + i * IOAT_FRAME_1M;

		ASSERT_WORKS(zpci_vm_map(m, iova, frames_of(i), PAGE_SIZE, 0));
		ASSERT_WORKS(arrives(m, iova, frames_of(i)));
	}
}

/*
 * All vCPUs work on one range. One of them changes an entry between two values.
 * The function reaches one of them, and the latest one in the end.
 */
TEST_F_TIMEOUT(zpci_smp, one_of_two_values, ZPCI_TIMEOUT)
{
	struct zpci_vm *m = &self->m;
	struct zpci_storm storm = {
		.flags = STORM_WHOLE,
		.iova = self->iova,
		.size = PAGE_SIZE,
		.flip = { flip_frames[0], flip_frames[1] },
		.count = ~0UL,
	};
	struct zpci_shadow_stats before, after;
	struct userspace_mem_region *slot_region;
	u64 *page[2], seen[2] = {};
	u8 *slot[2];
	int i, j, ret;

	for (i = 0; i < 2; i++) {
		vm_userspace_mem_region_add(m->guest.vm, VM_MEM_SRC_ANONYMOUS,
					    flip_slots[i], FLIP_SLOT + i,
					    IOAT_FRAME_1M / PAGE_SIZE, 0);
		slot_region = memslot2region(m->guest.vm, FLIP_SLOT + i);
		ASSERT_EQ(0, zpci_vm_plug(m, &slot_region->region));
		slot[i] = zpci_guest_hva(&m->guest, flip_slots[i]);
		page[i] = zpci_guest_hva(&m->guest, flip_frames[i]);
		memset(slot[i], 0x55, IOAT_FRAME_1M);
	}
	/* To wait for a page, the kernel takes away the one that is mapped. */
	if (zpci_mode_is_on_demand(variant->mode))
		zpci_vm_make_pinnable(m);
	ASSERT_WORKS(zpci_vm_map(m, self->iova, flip_frames[0], PAGE_SIZE, 0));
	fill_free_pages(m);

	for (i = 0; i < NR_VCPUS; i++) {
		/* The last vCPU only refreshes, the one before only changes. */
		storm.flags = i == NR_VCPUS - 1 ? STORM_WHOLE :
			      i == NR_VCPUS - 2 ? STORM_FLIP :
			      i == 0 ? STORM_FLIP | STORM_WHOLE : STORM_WHOLE;
		/* Two vCPUs change the entry. */
		storm.seed = zpci_seed() + i;
		zpci_storm_start(&self->threads[i], self->cpu[i], &storm);
	}
	for (i = 0; i < zpci_scale(200); i++) {
		page[0][0] = 0x5555555555555555;
		page[1][0] = 0x5555555555555555;
		ret = nvme_identify_ctrl(&m->nvme, self->iova, 0);
		ASSERT_EQ(0, ret) {
			TH_LOG("DMA %d: %s", i, nvme_result(ret));
		}
		for (j = 0; j < 2; j++)
			seen[j] += page[j][0] != 0x5555555555555555;
		ASSERT_EQ(i + 1, seen[0] + seen[1]) {
			TH_LOG("DMA %d: data arrived in neither page, or in both",
			       i);
		}
	}
	for (i = 0; i < NR_VCPUS; i++) {
		zpci_storm_stop(&self->threads[i]);
		EXPECT_EQ(0, self->cpu[i]->exits) {
			TH_LOG("vCPU %d: an entry was seen that never was", i);
		}
	}
	TH_LOG("data arrived %lu times in one page, %lu times in the other",
	       seen[0], seen[1]);

	/* All of them end with the second value. */
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova, PAGE_SIZE).cc);
	memset(page[0], 0x55, PAGE_SIZE);
	memset(page[1], 0x55, PAGE_SIZE);
	ASSERT_EQ(0, nvme_identify_ctrl(&m->nvme, self->iova, 0));
	EXPECT_EQ(0, memcmp(page[1], reference, PAGE_SIZE)) {
		TH_LOG("the function does not see the latest value");
	}
	before = zpci_shadow_stats();
	ASSERT_EQ(0, refresh_all(m).cc);
	after = zpci_shadow_stats();
	EXPECT_EQ(before.mapped, after.mapped);

	/* No other byte was written. */
	ASSERT_WORKS(free_pages_intact(m));
	memset(page[1], 0x55, PAGE_SIZE);
	for (i = 0; i < 2; i++) {
		u64 *word = (u64 *)slot[i];

		for (j = 0; j < IOAT_FRAME_1M / sizeof(*word); j++) {
			ASSERT_EQ(0x5555555555555555, word[j]) {
				TH_LOG("stray DMA to slot %d, offset 0x%lx", i,
				       j * sizeof(*word));
			}
		}
	}
}

/*
 * One vCPU writes invalid tables, the others refresh. Malformed ranges go to
 * user space. Only allowed frames are mapped.
 */
TEST_F_TIMEOUT(zpci_smp, tables_in_disorder, ZPCI_TIMEOUT)
{
	struct zpci_shadow_stats before, after;
	struct zpci_vm *m = &self->m;
	struct zpci_storm storm = {
		.iova = self->iova,
		.size = 4 * IOAT_FRAME_1M,
		.gpa = frames_of(0),
		.frames = 64,
		.count = ~0UL,
	};
	const struct zpci_storm *s;
	u64 exits = 0;
	int i;

	fill_free_pages(m);
	for (i = 0; i < NR_VCPUS; i++) {
		storm.flags = i ? STORM_RPCIT | STORM_WHOLE :
				  STORM_RPCIT | STORM_PAGES | STORM_SPOIL;
		storm.seed = zpci_seed() + i;
		zpci_storm_start(&self->threads[i], self->cpu[i], &storm);
	}
	zpci_storm_wait(&self->threads[0], zpci_scale(1000));
	for (i = 0; i < NR_VCPUS; i++) {
		s = zpci_storm_stop(&self->threads[i]);
		exits += self->cpu[i]->exits;
		EXPECT_EQ(self->cpu[i]->exits, s->cc[3]);
		EXPECT_EQ(0, s->cc[1] + s->cc[2]);
	}
	EXPECT_NE(0, exits);
	EXPECT_EQ(exits, zpci_vm_stats(m).rpcits_user);

	/* After repair everything works. */
	ASSERT_EQ(0, refresh_all(m).exits);
	before = zpci_shadow_stats();
	ASSERT_EQ(0, refresh_all(m).cc);
	after = zpci_shadow_stats();
	EXPECT_EQ(before.mapped, after.mapped);
	EXPECT_EQ(before.unmapped, after.unmapped);
	for (i = 0; i < 4; i++)
		zpci_guest_edit(&m->guest, IOAT_SEGMENT,
				self->iova + i * IOAT_FRAME_1M, 0,
				IOAT_INVALID);
	ASSERT_EQ(0, refresh_all(m).cc);
	EXPECT_EQ(4, zpci_shadow_stats().pinned) {
		TH_LOG("the queues should be all that is mapped");
	}

	ASSERT_WORKS(free_pages_intact(m));
}

/*
 * The table is detached or replaced while vCPUs refresh. The function must
 * not get an error.
 */
TEST_F_TIMEOUT(zpci_smp, withdrawn_table, ZPCI_TIMEOUT)
{
	struct zpci_vm *m = &self->m;
	struct zpci_storm storm = {
		.flags = STORM_WHOLE,
		.iova = self->iova,
		.size = PAGE_SIZE,
		.flip = { ZPCI_GUEST_PAGE(70), ZPCI_GUEST_PAGE(71) },
		.count = ~0UL,
	};
	int i, n;

	for (i = 0; i < NR_VCPUS; i++) {
		/* Change something, so that there is something to refresh. */
		storm.flags = i & 1 ? STORM_WHOLE : STORM_WHOLE | STORM_FLIP;
		storm.iova = self->iova + i / 2 * IOAT_FRAME_1M;
		zpci_storm_start(&self->threads[i], self->cpu[i], &storm);
	}
	for (n = 0; n < zpci_scale(60); n++) {
		zpci_storm_wait(&self->threads[0], n * 4);
		if (n & 1)
			ASSERT_EQ(0, zpci_vm_detach(m));
		ASSERT_FALSE(nvme_function_in_error(&m->nvme)) {
			TH_LOG("round %d: host refresh without a table?", n);
		}
		/* In place of the former table, if it is still there */
		ASSERT_EQ(0, zpci_vm_attach(m));
	}
	for (i = 0; i < NR_VCPUS; i++)
		zpci_storm_stop(&self->threads[i]);
	ASSERT_FALSE(nvme_function_in_error(&m->nvme));
	ASSERT_EQ(0, refresh_all(m).cc);
}

/*
 * Several threads change the function, its table and its VM, while vCPUs change
 * and refresh tables.
 */
FIXTURE(zpci_chaos) {
	struct zpci_pins before;
};

FIXTURE_VARIANT(zpci_chaos) {
	const char *mode;
	enum zpci_chaos_end end;
};

FIXTURE_VARIANT_ADD(zpci_chaos, nested_order) {
	.mode = ZPCI_NESTED, .end = ZPCI_CHAOS_ORDER,
};

FIXTURE_VARIANT_ADD(zpci_chaos, on_demand_order) {
	.mode = ZPCI_ON_DEMAND, .end = ZPCI_CHAOS_ORDER,
};

FIXTURE_VARIANT_ADD(zpci_chaos, nested_close) {
	.mode = ZPCI_NESTED, .end = ZPCI_CHAOS_CLOSE,
};

FIXTURE_VARIANT_ADD(zpci_chaos, on_demand_close) {
	.mode = ZPCI_ON_DEMAND, .end = ZPCI_CHAOS_CLOSE,
};

FIXTURE_VARIANT_ADD(zpci_chaos, nested_kill) {
	.mode = ZPCI_NESTED, .end = ZPCI_CHAOS_KILL,
};

FIXTURE_VARIANT_ADD(zpci_chaos, on_demand_kill) {
	.mode = ZPCI_ON_DEMAND, .end = ZPCI_CHAOS_KILL,
};

FIXTURE_SETUP(zpci_chaos)
{
	self->before = zpci_pins_now();
}

FIXTURE_TEARDOWN(zpci_chaos)
{
}

TEST_F_TIMEOUT(zpci_chaos, run, ZPCI_TIMEOUT)
{
	u64 i, seed = zpci_seed();

	TH_LOG("seed %lu", seed);
	for (i = 0; i < zpci_scale(5); i++, seed++) {
		const char *wrong = zpci_chaos(variant->mode, variant->end,
					       seed);

		ASSERT_NULL(wrong) {
			TH_LOG("%s; to repeat it: ZPCI_SEED=%lu", wrong, seed);
		}
		ASSERT_WORKS(zpci_pins_leaked(&self->before));
	}
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_baseline_identify(reference);
	return zpci_harness_run(argc, argv);
}
