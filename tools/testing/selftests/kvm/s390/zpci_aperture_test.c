// SPDX-License-Identifier: GPL-2.0
/*
 * Test of large apertures
 *
 * Runs with all table types, in the largest aperture that the function has for
 * a guest. An emulated host walks each changed range in steps of 4 KiB, so
 * changes of one RPCIT are close together.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <linux/iommufd.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_baseline.h"
#include "zpci_harness.h"
#include "zpci_scale.h"
#include "zpci_vm.h"

#define MSEC		1000000UL

static u8 reference[NVME_IDENTIFY_SIZE];

FIXTURE(zpci_aperture) {
	struct zpci_vm m;
	struct zpci_pins before;
	u64 len;
};

/**
 * FIXTURE_VARIANT(zpci_aperture) - a type of table
 * @designation: IOTA_DT_*
 */
FIXTURE_VARIANT(zpci_aperture) {
	unsigned int designation;
};

FIXTURE_VARIANT_ADD(zpci_aperture, segment) {
	.designation = IOTA_DT_STO,
};

FIXTURE_VARIANT_ADD(zpci_aperture, region_third) {
	.designation = IOTA_DT_RTTO,
};

FIXTURE_VARIANT_ADD(zpci_aperture, region_second) {
	.designation = IOTA_DT_RSTO,
};

FIXTURE_VARIANT_ADD(zpci_aperture, region_first) {
	.designation = IOTA_DT_RFTO,
};

static struct iommu_hw_info_s390_zpci read_hw_info(struct zpci_vm *m)
{
	struct iommu_hw_info_s390_zpci info = {};
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = m->device->devid,
		.data_len = sizeof(info),
		.data_uptr = (uintptr_t)&info,
	};

	TEST_ASSERT(!ioctl(m->device->iommu->iommufd, IOMMU_GET_HW_INFO, &cmd),
		    "IOMMU_GET_HW_INFO: %s", strerror(errno));
	return info;
}

/* Return the last I/O address that a table of that type reaches. */
static u64 reach(unsigned int designation)
{
	unsigned int bits = IOAT_ST_SHIFT +
			    (designation + 1) * IOAT_TABLE_BITS;

	return bits >= 64 ? ~0UL : (1UL << bits) - 1;
}

/*
 * A pinned parent: an RPCIT that pins nothing can be told from one that does. Which
 * parent it is does not matter else.
 */
FIXTURE_SETUP(zpci_aperture)
{
	struct iommu_hw_info_s390_zpci info;
	struct zpci_vm *m = &self->m;

	self->before = zpci_pins_now();
	zpci_vm_create(m, ZPCI_NESTED);
	info = read_hw_info(m);
	zpci_guest_design_tables(&m->guest, variant->designation);
	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_EQ(0, zpci_vm_ioat_on(m));
	ASSERT_TRUE(info.designations & 1U << variant->designation) {
		TH_LOG("designation %u is not told of",
		       variant->designation);
	}
	m->pal = info.end_dma;
	if (m->pba > reach(variant->designation)) {
		/* The table has no entry for the addresses of the function. */
		ASSERT_EQ(EINVAL, zpci_vm_attach(m));
		SKIP(return, "function begins at 0x%lx, the table ends at 0x%lx",
		     m->start_dma, reach(variant->designation));
	}
	if (m->pal > reach(variant->designation)) {
		ASSERT_EQ(EINVAL, zpci_vm_attach(m)) {
			TH_LOG("aperture is larger than what the table reaches");
		}
		m->pal = reach(variant->designation);
	}
	self->len = m->pal + 1 - m->pba;
	ASSERT_EQ(0, zpci_vm_attach(m));
	ASSERT_WORKS(zpci_vm_start_nvme(m));
}

FIXTURE_TEARDOWN(zpci_aperture)
{
	struct zpci_vm *m = &self->m;

	if (self->len) {
		ASSERT_EQ(0, zpci_vm_detach(m));
		ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, 0));
	}
	zpci_vm_destroy(m);
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 * MSEC + t.tv_nsec;
}

static struct zpci_rpcit refresh_all(struct zpci_vm *m)
{
	return zpci_guest_rpcit(&m->guest, m->pba, m->pal + 1 - m->pba);
}

static const char *arrives(struct zpci_vm *m, u64 iova, u64 gpa)
{
	void *hva = zpci_guest_hva(&m->guest, gpa);

	memset(hva, 0x55, NVME_IDENTIFY_SIZE);
	return zpci_vm_identify(m, iova, hva, reference);
}

/* Pages that are far apart */
#define NR_FAR	6

static u64 far_iova(struct zpci_vm *m, int i)
{
	u64 step = (m->pal - m->pba) / NR_FAR;

	if (i == NR_FAR - 1)
		return m->pal & ~(PAGE_SIZE - 1);
	return (m->pba + (i + 1) * step) & ~(PAGE_SIZE - 1);
}

TEST_F_TIMEOUT(zpci_aperture, cost_follows_change, ZPCI_TIMEOUT)
{
	struct zpci_shadow_stats before, after;
	struct zpci_vm *m = &self->m;
	u64 start, gpa = ZPCI_GUEST_PAGE(20), near;
	u64 pins;
	int i;

	for (i = 0; i < NR_FAR; i++)
		ASSERT_WORKS(zpci_vm_map(m, far_iova(m, i), gpa, PAGE_SIZE, 0));

	/* Nothing changed. */
	before = zpci_shadow_stats();
	pins = zpci_pins_now().calls;
	start = now_ns();
	ASSERT_EQ(0, refresh_all(m).cc);
	TH_LOG("%lu GiB, nothing changed: %lu us", self->len >> 30,
	       (now_ns() - start) / 1000);
	/*
	 * This takes some ms. A walk of everything unmapped would take hours.
	 */
	ASSERT_GT(20 * 1000 * MSEC, now_ns() - start);
	after = zpci_shadow_stats();
	EXPECT_EQ(pins, zpci_pins_now().calls) {
		TH_LOG("something was pinned though nothing has changed");
	}
	EXPECT_EQ(before.mapped, after.mapped);
	EXPECT_EQ(before.unmapped, after.unmapped);
	EXPECT_EQ(before.refreshes, after.refreshes) {
		TH_LOG("host refresh though nothing has changed");
	}
	EXPECT_EQ(before.tables, after.tables);

	/* Five pages are mapped and five unmapped in one RPCIT. */
	near = far_iova(m, 2) & ~(IOAT_FRAME_1M - 1);
	for (i = 0; i < 10; i++) {
		if (i == 5)
			ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, near,
						      IOAT_FRAME_1M).cc);
		zpci_guest_map(&m->guest, near + i * PAGE_SIZE, gpa, PAGE_SIZE,
			       0);
	}
	zpci_guest_unmap(&m->guest, near, 5 * PAGE_SIZE);
	before = zpci_shadow_stats();
	pins = zpci_pins_now().calls;
	ASSERT_EQ(0, refresh_all(m).cc);
	after = zpci_shadow_stats();
	EXPECT_EQ(pins, zpci_pins_now().calls) {
		TH_LOG("something was pinned though the parent has pinned all");
	}
	EXPECT_EQ(before.mapped + 5, after.mapped);
	EXPECT_EQ(before.unmapped + 5, after.unmapped);
	EXPECT_EQ(before.refreshes + 1, after.refreshes) {
		TH_LOG("one host refresh should do for ten pages");
	}

	for (i = 0; i < NR_FAR; i++)
		ASSERT_WORKS(arrives(m, far_iova(m, i), gpa));
	ASSERT_EQ(NVME_FUNCTION_ERROR, nvme_identify_ctrl(&m->nvme, near, 0));
}

/* Frames of 1 MiB, protection and unmapping at the highest level */
TEST_F(zpci_aperture, upper_levels)
{
	struct zpci_vm *m = &self->m;
	u64 iova = far_iova(m, 3) & ~(IOAT_FRAME_1M - 1);
	u64 gpa = ZPCI_GUEST_MEM + 2 * IOAT_FRAME_1M;
	u64 queues = zpci_shadow_stats().pinned;
	enum zpci_guest_level top = variant->designation;

	zpci_guest_map_1m(&m->guest, iova, gpa, 0);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, iova, IOAT_FRAME_1M).cc);
	EXPECT_EQ(queues + 256, zpci_shadow_stats().pinned);
	ASSERT_WORKS(arrives(m, iova + 0x7f000, gpa + 0x7f000));

	/*
	 * The topmost entry protects everything. The queues may be below it,
	 * too.
	 */
	zpci_guest_edit(&m->guest, top, iova, 0, IOAT_PROTECTED);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, iova, IOAT_FRAME_1M).cc);
	EXPECT_EQ(queues + 256, zpci_shadow_stats().pinned);
	EXPECT_EQ(NVME_FUNCTION_ERROR, nvme_identify_ctrl(&m->nvme, iova, 0)) {
		TH_LOG("protection of level %d is lost", top);
	}

	ASSERT_EQ(0, zpci_vm_recover(m));
	ASSERT_WORKS(zpci_vm_start_nvme(m));
	ASSERT_WORKS(zpci_vm_map(m, iova, gpa, PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, iova, gpa));
	zpci_guest_edit(&m->guest, top, iova, 0, IOAT_INVALID);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, iova, IOAT_FRAME_1M).cc);
	EXPECT_EQ(queues, zpci_shadow_stats().pinned);
	EXPECT_EQ(NVME_FUNCTION_ERROR, nvme_identify_ctrl(&m->nvme, iova, 0)) {
		TH_LOG("invalid entry of level %d is not seen", top);
	}
}

/* Type, length and offset of each level */
TEST_F(zpci_aperture, malformed)
{
	static const struct {
		u64 clear;
		u64 set;
		bool region;	/* for regions only */
	} cases[] = {
		{ ~0UL, 0, false },
		{ IOAT_LENGTH_MASK, 0, true },
		{ IOAT_LENGTH_MASK, 1, true },
		{ IOAT_LENGTH_MASK, 2, true },
		{ 0, 0x40, true },
		{ 0, 0x80, true },
		{ 0, 0xc0, true },
		{ 0, 0x400, true },	/* a frame of 2 GiB or more */
	};
	struct zpci_vm *m = &self->m;
	u64 iova = far_iova(m, 1);
	u64 format = 0, old, type;
	int level, i;

	ASSERT_WORKS(zpci_vm_map(m, iova, ZPCI_GUEST_PAGE(20), PAGE_SIZE, 0));
	for (level = variant->designation; level >= IOAT_SEGMENT; level--) {
		for (i = 0; i < ARRAY_SIZE(cases); i++) {
			if (cases[i].region && level == IOAT_SEGMENT)
				continue;
			old = zpci_guest_edit(&m->guest, level, iova,
					      cases[i].clear, cases[i].set);
			EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, iova,
						      PAGE_SIZE).exits) {
				TH_LOG("level %d: 0x%lx with 0x%lx in place of 0x%lx",
				       level, old, cases[i].set,
				       cases[i].clear);
			}
			EXPECT_EQ(++format, zpci_shadow_stats().refused_format);
			zpci_guest_edit(&m->guest, level, iova, ~0UL, old);
		}
		for (type = 0; type < 4; type++) {
			if (type == level)
				continue;
			old = zpci_guest_edit(&m->guest, level, iova,
					      IOAT_TYPE_MASK,
					      type << IOAT_TYPE_SHIFT);
			EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, iova,
						      PAGE_SIZE).exits) {
				TH_LOG("level %d: type %lu", level, type);
			}
			EXPECT_EQ(++format, zpci_shadow_stats().refused_format);
			zpci_guest_edit(&m->guest, level, iova, ~0UL, old);
		}
	}
	EXPECT_EQ(format, zpci_vm_stats(m).rpcits_user);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, iova, PAGE_SIZE).cc);
	ASSERT_WORKS(arrives(m, iova, ZPCI_GUEST_PAGE(20)));
}

static sig_atomic_t signals;

static void count_signal(int sig)
{
	WRITE_ONCE(signals, signals + 1);
}

static void set_timer(u64 interval_us)
{
	struct itimerval timer = {
		.it_interval.tv_usec = interval_us,
		.it_value.tv_usec = interval_us,
	};

	TEST_ASSERT(!setitimer(ITIMER_REAL, &timer, NULL), "no timer");
}

/*
 * Signals arrive faster than the refresh advances. It stops for each,
 * continues, and completes.
 */
TEST_F_TIMEOUT(zpci_aperture, signal_storm, ZPCI_TIMEOUT)
{
	struct sigaction action = { .sa_handler = count_signal };
	u64 segments = zpci_scale(64), pages, table, iova, i;
	struct zpci_shadow_stats before, after;
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;
	u64 rpcits;

	/*
	 * Many segments that share one page table: no more frames than the
	 * parent has
	 */
	pages = min_t(u64, 4096 / segments, IOAT_PT_ENTRIES);
	ASSERT_NE(0, pages);
	iova = far_iova(m, 0) & ~(IOAT_FRAME_1M - 1);
	for (i = 0; i < pages; i++)
		zpci_guest_map(&m->guest, iova + i * PAGE_SIZE,
			       ZPCI_GUEST_PAGE(20), PAGE_SIZE, 0);
	table = zpci_guest_edit(&m->guest, IOAT_SEGMENT, iova, 0, 0);
	for (i = 1; i < segments; i++)
		zpci_guest_edit(&m->guest, IOAT_SEGMENT,
				iova + i * IOAT_FRAME_1M, ~0UL, table);
	before = zpci_shadow_stats();
	rpcits = zpci_vm_stats(m).rpcits;

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	alarm(0);
	/* The time for a few segments. All of them take at least 20 ms. */
	set_timer(1000);
	r = refresh_all(m);
	set_timer(0);
	after = zpci_shadow_stats();
	TH_LOG("%d signals, given way to %lu", signals,
	       after.interrupted - before.interrupted);
	EXPECT_EQ(0, r.cc);
	EXPECT_EQ(0, r.exits);
	EXPECT_EQ(before.mapped + segments * pages, after.mapped) {
		TH_LOG("what was done before a signal was lost");
	}
	EXPECT_EQ(before.unmapped, after.unmapped);
	EXPECT_LT(before.interrupted, after.interrupted) {
		TH_LOG("the refresh did not give way to signals");
	}
	EXPECT_EQ(rpcits + 1, zpci_vm_stats(m).rpcits);
	EXPECT_EQ(0, zpci_vm_stats(m).rpcits_user);
	ASSERT_WORKS(arrives(m, iova + (segments - 1) * IOAT_FRAME_1M,
			     ZPCI_GUEST_PAGE(20)));
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_baseline_identify(reference);
	return zpci_harness_run(argc, argv);
}
