// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the answers of RPCIT
 *
 * Tables of cases: operands, malformed translation tables. What the kernel does not
 * decide must go to user space unchanged. The test answers it.
 */
#include <string.h>
#include <sys/mman.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_harness.h"
#include "zpci_vm.h"

/* Answer of user space, as QEMU's for a function in error state */
#define USER_CC		1
#define USER_STATUS	44

#define CC_OK		0
#define CC_ERR		1

enum outcome {
	BY_KERNEL,	/* condition code 0, no exit */
	BY_USER,	/* one exit, then what user space answers */
	BY_PGM,		/* program interruption, no exit */
};

/*
 * Operands. The guest has mapped the first two pages and the last page of the
 * aperture. It has not executed RPCIT yet.
 */
FIXTURE(zpci_operands) {
	struct zpci_vm m;
};

/**
 * FIXTURE_VARIANT(zpci_operands) - a case
 * @fh: function handle, 0 for the right one
 * @absolute: @start is an I/O address
 * @from_end: @start is relative to the end of the aperture, else to its start
 * @start: first operand
 * @len: second operand
 * @flags: RPCIT_ODD_R2, RPCIT_PROBLEM_STATE
 * @outcome: what has to happen
 * @pgm: program interruption code
 * @mapped: number of pages that have to become accessible
 */
FIXTURE_VARIANT(zpci_operands) {
	u32 fh;
	bool absolute;
	bool from_end;
	s64 start;
	u64 len;
	int flags;
	enum outcome outcome;
	unsigned int pgm;
	unsigned int mapped;
};

FIXTURE_VARIANT_ADD(zpci_operands, one_page) {
	.len = PAGE_SIZE, .outcome = BY_KERNEL, .mapped = 1,
};

FIXTURE_VARIANT_ADD(zpci_operands, second_page) {
	.start = PAGE_SIZE, .len = PAGE_SIZE, .outcome = BY_KERNEL, .mapped = 1,
};

FIXTURE_VARIANT_ADD(zpci_operands, part_of_page) {
	.start = PAGE_SIZE + 0x810, .len = 16, .outcome = BY_KERNEL,
	.mapped = 1,
};

FIXTURE_VARIANT_ADD(zpci_operands, last_page) {
	.from_end = true, .start = -PAGE_SIZE, .len = PAGE_SIZE,
	.outcome = BY_KERNEL, .mapped = 1,
};

FIXTURE_VARIANT_ADD(zpci_operands, length_0) {
	.outcome = BY_KERNEL, .mapped = 0,
};

FIXTURE_VARIANT_ADD(zpci_operands, partly_below) {
	.start = -PAGE_SIZE, .len = 2 * PAGE_SIZE, .outcome = BY_KERNEL,
	.mapped = 1,
};

FIXTURE_VARIANT_ADD(zpci_operands, partly_above) {
	.from_end = true, .start = -PAGE_SIZE, .len = 16 * PAGE_SIZE,
	.outcome = BY_KERNEL, .mapped = 1,
};

FIXTURE_VARIANT_ADD(zpci_operands, more_than_aperture) {
	.absolute = true, .len = 1UL << 63, .outcome = BY_KERNEL, .mapped = 3,
};

FIXTURE_VARIANT_ADD(zpci_operands, ends_where_aperture_begins) {
	.start = -PAGE_SIZE, .len = PAGE_SIZE, .outcome = BY_KERNEL,
	.mapped = 0,
};

FIXTURE_VARIANT_ADD(zpci_operands, below) {
	.start = -2 * PAGE_SIZE, .len = PAGE_SIZE, .outcome = BY_USER,
};

FIXTURE_VARIANT_ADD(zpci_operands, above) {
	.from_end = true, .len = PAGE_SIZE, .outcome = BY_USER,
};

FIXTURE_VARIANT_ADD(zpci_operands, length_0_above) {
	.from_end = true, .outcome = BY_USER,
};

FIXTURE_VARIANT_ADD(zpci_operands, far_above) {
	.absolute = true, .start = -PAGE_SIZE, .len = 16, .outcome = BY_USER,
};

/* start + len overflows: to 0, below the aperture, into the aperture */
FIXTURE_VARIANT_ADD(zpci_operands, overflow_to_0) {
	.absolute = true, .start = -PAGE_SIZE, .len = PAGE_SIZE,
	.outcome = BY_USER,
};

FIXTURE_VARIANT_ADD(zpci_operands, overflow_below) {
	.len = -PAGE_SIZE, .outcome = BY_USER,
};

FIXTURE_VARIANT_ADD(zpci_operands, overflow_from_within) {
	.start = PAGE_SIZE, .len = ~0UL, .outcome = BY_USER,
};

FIXTURE_VARIANT_ADD(zpci_operands, unknown_handle) {
	.fh = ZPCI_GUEST_FH + 1, .len = PAGE_SIZE, .outcome = BY_USER,
};

FIXTURE_VARIANT_ADD(zpci_operands, disabled_handle) {
	.fh = ZPCI_GUEST_FH & ~0x80000000U, .len = PAGE_SIZE,
	.outcome = BY_USER,
};

FIXTURE_VARIANT_ADD(zpci_operands, odd_r2) {
	.len = PAGE_SIZE, .flags = RPCIT_ODD_R2, .outcome = BY_PGM,
	.pgm = PGM_SPECIFICATION,
};

FIXTURE_VARIANT_ADD(zpci_operands, odd_r2_unknown_handle) {
	.fh = ZPCI_GUEST_FH + 1, .len = PAGE_SIZE, .flags = RPCIT_ODD_R2,
	.outcome = BY_PGM, .pgm = PGM_SPECIFICATION,
};

FIXTURE_VARIANT_ADD(zpci_operands, problem_state) {
	.len = PAGE_SIZE, .flags = RPCIT_PROBLEM_STATE, .outcome = BY_PGM,
	.pgm = PGM_PRIVILEGED,
};

FIXTURE_VARIANT_ADD(zpci_operands, problem_state_unknown_handle) {
	.fh = ZPCI_GUEST_FH + 1, .len = PAGE_SIZE, .flags = RPCIT_PROBLEM_STATE,
	.outcome = BY_PGM, .pgm = PGM_PRIVILEGED,
};

FIXTURE_SETUP(zpci_operands)
{
	struct zpci_vm *m = &self->m;

	zpci_vm_setup(m, ZPCI_NESTED);
	m->guest.user_cc = USER_CC;
	m->guest.user_status = USER_STATUS;
	zpci_guest_map(&m->guest, m->pba, ZPCI_GUEST_PAGE(10), 2 * PAGE_SIZE,
		       0);
	zpci_guest_map(&m->guest, m->pal + 1 - PAGE_SIZE, ZPCI_GUEST_PAGE(20),
		       PAGE_SIZE, 0);
}

FIXTURE_TEARDOWN(zpci_operands)
{
	zpci_vm_destroy(&self->m);
}

TEST_F(zpci_operands, answer)
{
	struct kvm_s390_zpci_ioat_stats s;
	struct zpci_shadow_stats shadow;
	struct zpci_vm *m = &self->m;
	u64 start = variant->start;
	bool own = !variant->fh;
	struct zpci_rpcit r;
	u32 fh;

	fh = own ? ZPCI_GUEST_FH : variant->fh;
	if (!variant->absolute)
		start += variant->from_end ? m->pal + 1 : m->pba;
	r = zpci_guest_rpcit_fh(&m->guest, fh, start, variant->len,
				variant->flags);
	s = zpci_vm_stats(m);
	shadow = zpci_shadow_stats();

	EXPECT_EQ(variant->pgm, r.pgm) {
		TH_LOG("program interruption code");
	}
	EXPECT_EQ(variant->mapped, shadow.mapped);
	EXPECT_EQ(variant->mapped, shadow.pinned);

	switch (variant->outcome) {
	case BY_KERNEL:
		EXPECT_EQ(0, r.exits) {
			TH_LOG("RPCIT left the kernel: intercept missing?");
		}
		EXPECT_EQ(CC_OK, r.cc);
		EXPECT_EQ(1, s.rpcits);
		EXPECT_EQ(0, s.rpcits_user);
		break;
	case BY_USER:
		ASSERT_EQ(1, r.exits) {
			TH_LOG("user space was not asked");
		}
		EXPECT_EQ(fh, r.exit_fh);
		EXPECT_EQ(start, r.exit_start);
		EXPECT_EQ(variant->len, r.exit_len);
		EXPECT_EQ(USER_CC, r.cc) {
			TH_LOG("condition code of user space was lost");
		}
		EXPECT_EQ(USER_STATUS, r.status);
		EXPECT_EQ(0, s.rpcits);
		/* Not counted for this function if the handle is another */
		EXPECT_EQ(own, s.rpcits_user);
		break;
	case BY_PGM:
		EXPECT_EQ(0, r.exits) {
			TH_LOG("user space was asked in spite of program interruption %u",
			       variant->pgm);
		}
		EXPECT_EQ(0, s.rpcits);
		EXPECT_EQ(0, s.rpcits_user);
		break;
	}
}

/*
 * Malformed tables. The guest has mapped a page and invalidates one of the
 * entries on the path to it. User space decides, and nothing becomes
 * accessible. When the guest repairs the entry, the kernel completes RPCIT.
 */
FIXTURE(zpci_malformed) {
	struct zpci_vm m;
};

FIXTURE_VARIANT(zpci_malformed) {
	enum zpci_guest_level level;
	u64 clear;
	u64 set;
};

FIXTURE_VARIANT_ADD(zpci_malformed, region_zero) {
	.level = IOAT_REGION, .clear = ~0UL,
};

FIXTURE_VARIANT_ADD(zpci_malformed, segment_zero) {
	.level = IOAT_SEGMENT, .clear = ~0UL,
};

FIXTURE_VARIANT_ADD(zpci_malformed, page_zero) {
	.level = IOAT_PAGE, .clear = ~0UL,
};

FIXTURE_VARIANT_ADD(zpci_malformed, region_type_segment) {
	.level = IOAT_REGION, .clear = IOAT_TYPE_MASK, .set = IOAT_TYPE_ST,
};

FIXTURE_VARIANT_ADD(zpci_malformed, region_type_second) {
	.level = IOAT_REGION, .clear = IOAT_TYPE_MASK, .set = 0x8,
};

FIXTURE_VARIANT_ADD(zpci_malformed, region_type_first) {
	.level = IOAT_REGION, .set = 0xc,
};

FIXTURE_VARIANT_ADD(zpci_malformed, segment_type_region) {
	.level = IOAT_SEGMENT, .set = IOAT_TYPE_RT,
};

FIXTURE_VARIANT_ADD(zpci_malformed, segment_type_first) {
	.level = IOAT_SEGMENT, .set = 0xc,
};

FIXTURE_VARIANT_ADD(zpci_malformed, region_length_0) {
	.level = IOAT_REGION, .clear = IOAT_LENGTH_MASK,
};

FIXTURE_VARIANT_ADD(zpci_malformed, region_length_2) {
	.level = IOAT_REGION, .clear = 1,
};

FIXTURE_VARIANT_ADD(zpci_malformed, region_offset_1) {
	.level = IOAT_REGION, .set = 0x40,
};

FIXTURE_VARIANT_ADD(zpci_malformed, region_offset_2) {
	.level = IOAT_REGION, .set = 0x80,
};

FIXTURE_VARIANT_ADD(zpci_malformed, region_origin_nowhere) {
	.level = IOAT_REGION, .clear = IOAT_RTE_ORIGIN,
	.set = ZPCI_GUEST_NOWHERE,
};

FIXTURE_VARIANT_ADD(zpci_malformed, region_origin_highest) {
	.level = IOAT_REGION, .set = IOAT_RTE_ORIGIN,
};

FIXTURE_VARIANT_ADD(zpci_malformed, segment_origin_nowhere) {
	.level = IOAT_SEGMENT, .clear = IOAT_STE_ORIGIN,
	.set = ZPCI_GUEST_NOWHERE,
};

FIXTURE_VARIANT_ADD(zpci_malformed, frame_nowhere) {
	.level = IOAT_PAGE, .clear = ~0UL, .set = ZPCI_GUEST_NOWHERE,
};

FIXTURE_VARIANT_ADD(zpci_malformed, frame_highest) {
	.level = IOAT_PAGE, .clear = ~0UL, .set = ~0xfffUL,
};

FIXTURE_VARIANT_ADD(zpci_malformed, frame_1m_nowhere) {
	.level = IOAT_SEGMENT, .clear = ~0UL,
	.set = ZPCI_GUEST_NOWHERE | IOAT_STE_FC,
};

FIXTURE_SETUP(zpci_malformed)
{
	struct zpci_vm *m = &self->m;

	zpci_vm_setup(m, ZPCI_NESTED);
	m->guest.user_cc = USER_CC;
	m->guest.user_status = USER_STATUS;
	zpci_guest_map(&m->guest, m->pba, ZPCI_GUEST_PAGE(10), PAGE_SIZE, 0);
}

FIXTURE_TEARDOWN(zpci_malformed)
{
	zpci_vm_destroy(&self->m);
}

TEST_F(zpci_malformed, answer)
{
	struct kvm_s390_zpci_ioat_stats s;
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;
	u64 old;

	old = zpci_guest_edit(&m->guest, variant->level, m->pba, variant->clear,
			      variant->set);
	r = zpci_guest_rpcit(&m->guest, m->pba, PAGE_SIZE);
	s = zpci_vm_stats(m);
	EXPECT_EQ(0, r.pgm);
	EXPECT_EQ(1, r.exits) {
		TH_LOG("kernel decided on a malformed table: cc %u, status %u",
		       r.cc, r.status);
	}
	EXPECT_EQ(USER_CC, r.cc);
	EXPECT_EQ(USER_STATUS, r.status);
	EXPECT_EQ(1, s.rpcits_user);
	EXPECT_EQ(0, s.rpcits);
	EXPECT_EQ(0, zpci_shadow_stats().pinned) {
		TH_LOG("something is mapped for a malformed entry");
	}

	zpci_guest_edit(&m->guest, variant->level, m->pba, ~0UL, old);
	r = zpci_guest_rpcit(&m->guest, m->pba, PAGE_SIZE);
	EXPECT_EQ(0, r.exits) {
		TH_LOG("kernel does not recover from a malformed table");
	}
	EXPECT_EQ(CC_OK, r.cc);
	EXPECT_EQ(1, zpci_shadow_stats().pinned);
}

/* The smallest aperture: what is behind it is outside, also with length 0. */
TEST(one_frame)
{
	struct zpci_vm vm, *m = &vm;
	int i;

	zpci_vm_setup(m, ZPCI_NESTED);
	m->pal = m->pba + PAGE_SIZE - 1;
	ASSERT_EQ(0, zpci_vm_attach(m));
	ASSERT_WORKS(zpci_vm_map(m, m->pba, ZPCI_GUEST_PAGE(10), PAGE_SIZE, 0));
	EXPECT_EQ(1, zpci_shadow_stats().pinned);
	for (i = 1; i <= 3; i++) {
		EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, m->pal + 1, 0).exits);
		EXPECT_EQ(i, zpci_vm_stats(m).rpcits_user);
	}
	EXPECT_EQ(1, zpci_vm_stats(m).rpcits);
	zpci_vm_destroy(m);
}

/*
 * A frame that the process can't write to. The parent pins it for writing, whatever
 * the guest's entry says. On demand, for a pinned parent has pinned it before.
 */
TEST(frame_not_accessible)
{
	struct zpci_vm vm, *m = &vm;
	struct zpci_rpcit r;
	void *hva;

	zpci_vm_setup(m, ZPCI_ON_DEMAND);
	hva = zpci_guest_hva(&m->guest, ZPCI_GUEST_PAGE(10));
	zpci_guest_map(&m->guest, m->pba, ZPCI_GUEST_PAGE(10), PAGE_SIZE, 0);
	ASSERT_EQ(0, mprotect(hva, PAGE_SIZE, PROT_READ));
	r = zpci_guest_rpcit(&m->guest, m->pba, PAGE_SIZE);
	EXPECT_EQ(1, r.exits) {
		TH_LOG("cc %u for a frame that can't be written to", r.cc);
	}
	zpci_guest_map(&m->guest, m->pba, ZPCI_GUEST_PAGE(10), PAGE_SIZE,
		       IOAT_PROTECTED);
	r = zpci_guest_rpcit(&m->guest, m->pba, PAGE_SIZE);
	EXPECT_EQ(1, r.exits);
	EXPECT_EQ(0, zpci_shadow_stats().pinned);
	ASSERT_EQ(0, mprotect(hva, PAGE_SIZE, PROT_READ | PROT_WRITE));
	ASSERT_WORKS(zpci_vm_map(m, m->pba, ZPCI_GUEST_PAGE(10), PAGE_SIZE, 0));
	EXPECT_EQ(1, zpci_shadow_stats().pinned);
	zpci_vm_destroy(m);
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	return zpci_harness_run(argc, argv);
}
