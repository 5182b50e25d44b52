// SPDX-License-Identifier: GPL-2.0
/*
 * Test of DMA through the I/O translation tables of a guest
 *
 * The guest writes its tables and executes RPCIT, the kernel completes it, and
 * an NVMe controller does DMA through the result. No I/O address equals the
 * guest address that it maps.
 */
#include <string.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_baseline.h"
#include "zpci_harness.h"
#include "zpci_vm.h"

/* Identify data, read without a guest */
static u8 reference[NVME_IDENTIFY_SIZE];

FIXTURE(zpci_dma) {
	struct zpci_vm m;
	u64 iova;		/* where tests map their data */
};

FIXTURE_VARIANT(zpci_dma) {
	const char *mode;
};

FIXTURE_VARIANT_ADD(zpci_dma, nested) {
	.mode = ZPCI_NESTED,
};

FIXTURE_VARIANT_ADD(zpci_dma, on_demand) {
	.mode = ZPCI_ON_DEMAND,
};

FIXTURE_SETUP(zpci_dma)
{
	struct zpci_vm *m = &self->m;

	zpci_vm_setup_nvme(m, variant->mode, true);
	/* The next segment of the aperture, which has another page table */
	self->iova = (m->pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
	/*
	 * Give each free page its own contents, which differ from those of the
	 * disk.
	 */
	zpci_guest_fill(&m->guest, ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE),
			ZPCI_GUEST_MEM_SIZE - ZPCI_PAGE_FREE * PAGE_SIZE, 99);
}

/*
 * Check at the end of each test that the kernel completed all RPCITs and that
 * its counters agree.
 */
FIXTURE_TEARDOWN(zpci_dma)
{
	struct kvm_s390_zpci_ioat_stats s = zpci_vm_stats(&self->m);

	EXPECT_EQ(0, zpci_shadow_stats().refresh_errors);
	EXPECT_EQ(0, self->m.guest.exits) {
		TH_LOG("RPCIT left the kernel: intercept missing?");
	}
	EXPECT_EQ(self->m.guest.rpcits, s.rpcits) {
		TH_LOG("kernel does not count the RPCITs that it completes");
	}
	EXPECT_EQ(0, s.rpcits_user);
	zpci_vm_destroy(&self->m);
}

static void *hva(struct zpci_vm *m, u64 gpa)
{
	return zpci_guest_hva(&m->guest, gpa);
}

static u64 pinned(void)
{
	return zpci_shadow_stats().pinned;
}

/*
 * Let the controller write Identify data to @iova. Check that it arrives at
 * @gpa.
 */
static const char *arrives(struct zpci_vm *m, u64 iova, u64 gpa)
{
	static char text[80];
	u64 stray;
	int ret;

	zpci_vm_snapshot(m);
	ret = nvme_identify_ctrl(&m->nvme, iova, 0);
	if (ret < 0)
		return "DMA through a valid entry failed: host refresh missing?";
	if (ret)
		return nvme_result(ret);
	stray = zpci_vm_stray_write(m, &gpa, 1);
	if (stray != ~0UL) {
		snprintf(text, sizeof(text),
			 "data meant for page 0x%lx arrived in page 0x%lx", gpa,
			 stray);
		return text;
	}
	if (memcmp(hva(m, gpa), reference, NVME_IDENTIFY_SIZE))
		return "page does not hold the data of Identify controller";
	return NULL;
}

/* Probable causes of an unexpected DMA */
#define NO_REFRESH	"written after RPCIT: host refresh missing?"
#define NO_PROTECTION	"written though read-only: protection bit lost?"
#define NO_MAPPING	"written though not mapped"

/*
 * Let the controller try the same. Check that no page of guest memory changes.
 */
static const char *is_refused(struct zpci_vm *m, u64 iova, const char *meaning)
{
	static char text[80];
	u64 stray;
	int ret;

	zpci_vm_snapshot(m);
	ret = nvme_identify_ctrl(&m->nvme, iova, 0);
	stray = zpci_vm_stray_write(m, NULL, 0);
	if (stray != ~0UL) {
		snprintf(text, sizeof(text), "page 0x%lx %s", stray, meaning);
		return text;
	}
	if (ret != NVME_FUNCTION_ERROR) {
		snprintf(text, sizeof(text), "DMA did not fail: %s",
			 nvme_result(ret));
		return text;
	}
	return NULL;
}

/* Reset everything after failed DMA. Check that it works again. */
static const char *recovers(struct zpci_vm *m, u64 iova, u64 gpa)
{
	const char *wrong;

	if (zpci_vm_recover(m))
		return "the function can't be reset and have its table again";
	wrong = zpci_vm_start_nvme(m);
	if (!wrong)
		wrong = zpci_vm_map(m, iova, gpa, PAGE_SIZE, 0);
	if (!wrong)
		wrong = arrives(m, iova, gpa);
	return wrong;
}

TEST_F(zpci_dma, identify)
{
	struct zpci_vm *m = &self->m;
	u64 before = pinned();
	char serial[21];

	ASSERT_WORKS(zpci_vm_map(m, self->iova, ZPCI_GUEST_PAGE(20), PAGE_SIZE,
				 0));
	EXPECT_EQ(before + 1, pinned()) {
		TH_LOG("one page was mapped");
	}
	ASSERT_WORKS(arrives(m, self->iova, ZPCI_GUEST_PAGE(20)));
	nvme_serial(hva(m, ZPCI_GUEST_PAGE(20)), serial);
	TH_LOG("serial number '%s'", serial);
	if (getenv("ZPCI_SERIAL"))
		EXPECT_STREQ(getenv("ZPCI_SERIAL"), serial);
}

/* One transfer across a page boundary, to pages that are not adjacent */
TEST_F(zpci_dma, across_pages)
{
	const u64 pages[] = { ZPCI_GUEST_PAGE(30), ZPCI_GUEST_PAGE(25) };
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, pages[0], PAGE_SIZE, 0));
	ASSERT_WORKS(zpci_vm_map(m, self->iova + PAGE_SIZE, pages[1], PAGE_SIZE,
				 0));
	zpci_vm_snapshot(m);
	ASSERT_EQ(0, nvme_identify_ctrl(&m->nvme, self->iova + 0xc00,
					self->iova + PAGE_SIZE));
	EXPECT_EQ(~0UL, zpci_vm_stray_write(m, pages, 2));
	EXPECT_EQ(0, memcmp(hva(m, pages[0]) + 0xc00, reference, 0x400));
	EXPECT_EQ(0, memcmp(hva(m, pages[1]), reference + 0x400, 0xc00));
}

/* Use the first and the last page of the aperture. */
TEST_F(zpci_dma, ends_of_aperture)
{
	struct zpci_vm *m = &self->m;
	u64 last = m->pal + 1 - PAGE_SIZE;

	/* The admin submission queue is in the first page. */
	ASSERT_EQ(m->pba, zpci_vm_queue_iova(m, ZPCI_PAGE_ASQ));
	ASSERT_WORKS(zpci_vm_map(m, last, ZPCI_GUEST_PAGE(33), PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, last, ZPCI_GUEST_PAGE(33)));
}

/*
 * Write blocks to the disk and read them back. I/O addresses ascend, guest
 * pages descend. PRP entries are those of a driver: one page, two pages, a
 * list.
 */
#define MAX_PAGES	32
#define OUT_PAGE(n)	ZPCI_GUEST_PAGE(40 + MAX_PAGES - (n))
#define IN_PAGE(n)	ZPCI_GUEST_PAGE(100 + MAX_PAGES - (n))
#define LIST_PAGE	ZPCI_GUEST_PAGE(150)

static u64 prp2(struct zpci_vm *m, u64 iova, u64 iova_list, int pages)
{
	u64 *list = hva(m, LIST_PAGE);
	int i;

	if (pages <= 2)
		return iova + PAGE_SIZE;
	for (i = 1; i < pages; i++)
		list[i - 1] = htole64(iova + i * PAGE_SIZE);
	return iova_list;
}

TEST_F(zpci_dma, blocks)
{
	const int sizes[] = { 1, 2, 3, MAX_PAGES };
	u64 iova_in = self->iova + MAX_PAGES * PAGE_SIZE;
	u64 iova_list = iova_in + MAX_PAGES * PAGE_SIZE;
	struct zpci_vm *m = &self->m;
	u64 in_pages[MAX_PAGES];
	struct zpci_rpcit r;
	u32 bytes;
	int i, n;

	for (i = 0; i < MAX_PAGES; i++) {
		in_pages[i] = IN_PAGE(i);
		zpci_guest_map(&m->guest, self->iova + i * PAGE_SIZE,
			       OUT_PAGE(i), PAGE_SIZE, 0);
		zpci_guest_map(&m->guest, iova_in + i * PAGE_SIZE, IN_PAGE(i),
			       PAGE_SIZE, 0);
	}
	zpci_guest_map(&m->guest, iova_list, LIST_PAGE, PAGE_SIZE, 0);
	r = zpci_guest_rpcit(&m->guest, self->iova,
			     iova_list + PAGE_SIZE - self->iova);
	ASSERT_EQ(0, r.exits) {
		TH_LOG("RPCIT left the kernel: intercept missing?");
	}
	ASSERT_EQ(0, r.cc);

	for (n = 0; n < ARRAY_SIZE(sizes); n++) {
		bytes = sizes[n] * PAGE_SIZE;
		for (i = 0; i < sizes[n]; i++)
			zpci_guest_fill(&m->guest, OUT_PAGE(i), PAGE_SIZE,
					1000 * n + i);
		ASSERT_EQ(0, nvme_write(&m->nvme, n * 0x100000, bytes,
					self->iova, prp2(m, self->iova,
							 iova_list,
							 sizes[n])));
		prp2(m, iova_in, iova_list, sizes[n]);
		zpci_vm_snapshot(m);
		ASSERT_EQ(0, nvme_read(&m->nvme, n * 0x100000, bytes, iova_in,
				       prp2(m, iova_in, iova_list, sizes[n])));
		EXPECT_EQ(~0UL, zpci_vm_stray_write(m, in_pages, sizes[n])) {
			TH_LOG("reading %d pages changed others", sizes[n]);
		}
		for (i = 0; i < sizes[n]; i++) {
			EXPECT_EQ(zpci_guest_checksum(&m->guest, OUT_PAGE(i),
						      PAGE_SIZE),
				  zpci_guest_checksum(&m->guest, IN_PAGE(i),
						      PAGE_SIZE)) {
				TH_LOG("page %d of %d came back changed", i,
				       sizes[n]);
			}
		}
	}
}

/* A frame of 1 MiB, with transfers at its start, middle and end */
TEST_F(zpci_dma, frame_1m)
{
	const u64 offsets[] = { 0, 0x7f000, 0xff000 };
	u64 frame = ZPCI_GUEST_MEM + 2 * IOAT_FRAME_1M;
	struct zpci_vm *m = &self->m;
	u64 before = pinned();
	struct zpci_rpcit r;
	int i;

	zpci_guest_map_1m(&m->guest, self->iova, frame, 0);
	r = zpci_guest_rpcit(&m->guest, self->iova, IOAT_FRAME_1M);
	ASSERT_EQ(0, r.exits) {
		TH_LOG("RPCIT left the kernel: intercept missing?");
	}
	ASSERT_EQ(0, r.cc);
	EXPECT_EQ(before + 256, pinned());
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		ASSERT_WORKS(arrives(m, self->iova + offsets[i],
				     frame + offsets[i]));

	/* Invalidate its segment entry. */
	zpci_guest_edit(&m->guest, IOAT_SEGMENT, self->iova, 0, IOAT_INVALID);
	r = zpci_guest_rpcit(&m->guest, self->iova, IOAT_FRAME_1M);
	ASSERT_EQ(0, r.cc);
	EXPECT_EQ(before, pinned()) {
		TH_LOG("pinned did not drop: frame of 1 MiB not released?");
	}
	ASSERT_WORKS(is_refused(m, self->iova, NO_REFRESH));
}

/* Alternate between a frame of 1 MiB and the pages of a page table. */
TEST_F(zpci_dma, frame_1m_to_pages)
{
	u64 frame = ZPCI_GUEST_MEM + 2 * IOAT_FRAME_1M;
	struct zpci_vm *m = &self->m;
	u64 table, before = pinned();
	struct zpci_rpcit r;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, ZPCI_GUEST_PAGE(20), PAGE_SIZE,
				 0));
	table = zpci_guest_edit(&m->guest, IOAT_SEGMENT, self->iova, 0, 0);
	zpci_guest_map_1m(&m->guest, self->iova, frame, 0);
	r = zpci_guest_rpcit(&m->guest, self->iova, IOAT_FRAME_1M);
	ASSERT_EQ(0, r.cc);
	EXPECT_EQ(before + 256, pinned());
	ASSERT_WORKS(arrives(m, self->iova, frame));

	zpci_guest_edit(&m->guest, IOAT_SEGMENT, self->iova, ~0UL, table);
	r = zpci_guest_rpcit(&m->guest, self->iova, IOAT_FRAME_1M);
	ASSERT_EQ(0, r.cc);
	EXPECT_EQ(before + 1, pinned());
	ASSERT_WORKS(arrives(m, self->iova, ZPCI_GUEST_PAGE(20)));
	ASSERT_WORKS(is_refused(m, self->iova + PAGE_SIZE, NO_REFRESH));
}

/* Unmapped pages are out of reach and no longer pinned. */
TEST_F(zpci_dma, revoked_page)
{
	struct zpci_vm *m = &self->m;
	u64 gpa = ZPCI_GUEST_PAGE(20);
	u64 before;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, gpa, PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, self->iova, gpa));
	zpci_guest_fill(&m->guest, gpa, PAGE_SIZE, 5);
	before = pinned();
	ASSERT_WORKS(zpci_vm_unmap(m, self->iova, PAGE_SIZE));
	EXPECT_EQ(before - 1, pinned()) {
		TH_LOG("pinned did not drop: page not released?");
	}
	ASSERT_WORKS(is_refused(m, self->iova, NO_REFRESH));
	ASSERT_WORKS(recovers(m, self->iova, gpa));
}

/* Unmap by an entry of a higher level. */
static const char *revoke_upper(struct zpci_vm *m, u64 iova,
				enum zpci_guest_level level, u64 start,
				u64 len, u64 want_pinned)
{
	u64 gpa = ZPCI_GUEST_PAGE(20);
	struct zpci_rpcit r;
	const char *wrong;

	wrong = zpci_vm_map(m, iova, gpa, PAGE_SIZE, 0);
	if (!wrong)
		wrong = arrives(m, iova, gpa);
	if (wrong)
		return wrong;
	zpci_guest_fill(&m->guest, gpa, PAGE_SIZE, 5);
	zpci_guest_edit(&m->guest, level, iova, 0, IOAT_INVALID);
	r = zpci_guest_rpcit(&m->guest, start, len);
	if (r.cc || r.exits)
		return "RPCIT failed or left the kernel";
	if (pinned() != want_pinned)
		return "pinned did not drop: invalid upper level not seen?";
	wrong = is_refused(m, iova, NO_REFRESH);
	return wrong ? : recovers(m, iova, gpa);
}

TEST_F(zpci_dma, revoked_segment)
{
	u64 before = pinned();

	ASSERT_WORKS(revoke_upper(&self->m, self->iova, IOAT_SEGMENT,
				  self->iova, IOAT_FRAME_1M, before));
}

TEST_F(zpci_dma, revoked_region)
{
	struct zpci_vm *m = &self->m;

	/* The region contains the queues, too. */
	ASSERT_WORKS(revoke_upper(m, self->iova, IOAT_REGION, m->pba,
				  m->pal + 1 - m->pba, 0));
}

/* The function may read a protected page, but not write to it. */
TEST_F(zpci_dma, read_only_page)
{
	struct zpci_vm *m = &self->m;
	u64 gpa = ZPCI_GUEST_PAGE(20), gpa_in = ZPCI_GUEST_PAGE(21);
	u64 before = pinned();

	ASSERT_WORKS(zpci_vm_map(m, self->iova, gpa, PAGE_SIZE,
				 IOAT_PROTECTED));
	ASSERT_WORKS(zpci_vm_map(m, self->iova + PAGE_SIZE, gpa_in, PAGE_SIZE,
				 0));
	EXPECT_EQ(before + 2, pinned());
	zpci_guest_fill(&m->guest, gpa, PAGE_SIZE, 6);
	ASSERT_EQ(0, nvme_write(&m->nvme, 0, PAGE_SIZE, self->iova, 0)) {
		TH_LOG("function can't read a read-only page");
	}
	ASSERT_EQ(0, nvme_read(&m->nvme, 0, PAGE_SIZE, self->iova + PAGE_SIZE,
			       0));
	EXPECT_EQ(0, memcmp(hva(m, gpa), hva(m, gpa_in), PAGE_SIZE));
	ASSERT_WORKS(is_refused(m, self->iova, NO_PROTECTION));
}

/* The same for a block that is read from the disk */
TEST_F(zpci_dma, read_only_block)
{
	struct zpci_vm *m = &self->m;
	u64 gpa = ZPCI_GUEST_PAGE(20);

	ASSERT_WORKS(zpci_vm_map(m, self->iova, gpa, PAGE_SIZE,
				 IOAT_PROTECTED));
	zpci_vm_snapshot(m);
	EXPECT_EQ(NVME_FUNCTION_ERROR, nvme_read(&m->nvme, 0, PAGE_SIZE,
						 self->iova, 0));
	EXPECT_EQ(~0UL, zpci_vm_stray_write(m, NULL, 0)) {
		TH_LOG("function wrote to a read-only page");
	}
}

TEST_F(zpci_dma, read_only_frame_1m)
{
	u64 frame = ZPCI_GUEST_MEM + 2 * IOAT_FRAME_1M;
	struct zpci_vm *m = &self->m;
	struct zpci_rpcit r;

	zpci_guest_map_1m(&m->guest, self->iova, frame, IOAT_PROTECTED);
	r = zpci_guest_rpcit(&m->guest, self->iova, IOAT_FRAME_1M);
	ASSERT_EQ(0, r.cc);
	ASSERT_EQ(0, nvme_write(&m->nvme, 0, PAGE_SIZE, self->iova + 0x42000,
				0)) {
		TH_LOG("function can't read a read-only frame");
	}
	ASSERT_WORKS(is_refused(m, self->iova + 0x42000, NO_PROTECTION));
}

/* A protected entry of a higher level protects all pages below it. */
TEST_F(zpci_dma, read_only_segment)
{
	struct zpci_vm *m = &self->m;
	u64 gpa = ZPCI_GUEST_PAGE(20);
	u64 before = pinned();

	zpci_guest_map(&m->guest, self->iova, gpa, PAGE_SIZE, 0);
	zpci_guest_edit(&m->guest, IOAT_SEGMENT, self->iova, 0, IOAT_PROTECTED);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova, PAGE_SIZE).cc);
	EXPECT_EQ(before + 1, pinned());
	zpci_guest_fill(&m->guest, gpa, PAGE_SIZE, 6);
	ASSERT_EQ(0, nvme_write(&m->nvme, 0, PAGE_SIZE, self->iova, 0)) {
		TH_LOG("function can't read a page in a read-only segment");
	}
	ASSERT_WORKS(is_refused(m, self->iova, NO_PROTECTION));
}

TEST_F(zpci_dma, read_only_region)
{
	struct zpci_vm *m = &self->m;
	u64 gpa = ZPCI_GUEST_PAGE(20);
	u64 before;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, gpa, PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, self->iova, gpa));
	zpci_guest_fill(&m->guest, gpa, PAGE_SIZE, 6);
	before = pinned();
	/* The submission queue can be read. The data can't be written. */
	zpci_guest_edit(&m->guest, IOAT_REGION, self->iova, 0, IOAT_PROTECTED);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, m->pba,
				      m->pal + 1 - m->pba).cc);
	EXPECT_EQ(before, pinned()) {
		TH_LOG("a protected region is still accessible for reading");
	}
	ASSERT_WORKS(is_refused(m, self->iova, NO_PROTECTION));
}

/* Protection follows each change of the entry. */
TEST_F(zpci_dma, protection_changes)
{
	struct zpci_vm *m = &self->m;
	u64 gpa = ZPCI_GUEST_PAGE(20);
	u64 before = pinned();

	ASSERT_WORKS(zpci_vm_map(m, self->iova, gpa, PAGE_SIZE,
				 IOAT_PROTECTED));
	ASSERT_WORKS(zpci_vm_map(m, self->iova, gpa, PAGE_SIZE, 0));
	EXPECT_EQ(before + 1, pinned());
	ASSERT_WORKS(arrives(m, self->iova, gpa));
	zpci_guest_fill(&m->guest, gpa, PAGE_SIZE, 7);
	ASSERT_WORKS(zpci_vm_map(m, self->iova, gpa, PAGE_SIZE,
				 IOAT_PROTECTED));
	EXPECT_EQ(before + 1, pinned());
	ASSERT_WORKS(is_refused(m, self->iova, NO_PROTECTION));
}

/* Map another page to an I/O address. */
TEST_F(zpci_dma, remapped_page)
{
	u64 old = ZPCI_GUEST_PAGE(20), new = ZPCI_GUEST_PAGE(70);
	struct zpci_shadow_stats before, after;
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, old, PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, self->iova, old));
	zpci_guest_fill(&m->guest, old, PAGE_SIZE, 8);
	before = zpci_shadow_stats();
	ASSERT_WORKS(zpci_vm_map(m, self->iova, new, PAGE_SIZE, 0));
	after = zpci_shadow_stats();
	EXPECT_EQ(before.pinned, after.pinned) {
		TH_LOG("old page not released, or new one not pinned?");
	}
	EXPECT_EQ(before.mapped + 1, after.mapped);
	EXPECT_EQ(before.unmapped + 1, after.unmapped);
	/* This also checks that the old page does not change. */
	ASSERT_WORKS(arrives(m, self->iova, new));
}

/* Exchange a whole page table: none of its entries changes. */
TEST_F(zpci_dma, exchanged_table)
{
	u64 old = ZPCI_GUEST_PAGE(20), new = ZPCI_GUEST_PAGE(70);
	u64 other = self->iova + IOAT_FRAME_1M, table;
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(zpci_vm_map(m, self->iova, old, PAGE_SIZE, 0));
	ASSERT_WORKS(arrives(m, self->iova, old));
	zpci_guest_map(&m->guest, other, new, PAGE_SIZE, 0);
	table = zpci_guest_edit(&m->guest, IOAT_SEGMENT, other, 0, 0);
	zpci_guest_edit(&m->guest, IOAT_SEGMENT, self->iova, ~0UL, table);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova, PAGE_SIZE).cc);
	zpci_guest_fill(&m->guest, old, PAGE_SIZE, 8);
	ASSERT_WORKS(arrives(m, self->iova, new));
}

/* Map one page to two I/O addresses. Unmap one: the other stays. */
TEST_F(zpci_dma, page_mapped_twice)
{
	struct zpci_vm *m = &self->m;
	u64 gpa = ZPCI_GUEST_PAGE(20);
	u64 before = pinned();

	ASSERT_WORKS(zpci_vm_map(m, self->iova, gpa, PAGE_SIZE, 0));
	ASSERT_WORKS(zpci_vm_map(m, self->iova + PAGE_SIZE, gpa, PAGE_SIZE, 0));
	EXPECT_EQ(before + 2, pinned());
	ASSERT_WORKS(zpci_vm_unmap(m, self->iova, PAGE_SIZE));
	EXPECT_EQ(before + 1, pinned());
	ASSERT_WORKS(arrives(m, self->iova + PAGE_SIZE, gpa));
	zpci_guest_fill(&m->guest, gpa, PAGE_SIZE, 9);
	ASSERT_WORKS(is_refused(m, self->iova, NO_REFRESH));
}

/*
 * Linux guests execute one RPCIT for the whole aperture at each flush. It has
 * unmapped ranges at all levels. New entries are mapped, invalid ones unmapped,
 * unchanged ones left alone.
 */
TEST_F(zpci_dma, whole_aperture)
{
	const u64 offsets[] = { 0, 0x5000, 0xff000, 0x300000, 0x2000000 };
	struct zpci_shadow_stats before, after;
	struct zpci_vm *m = &self->m;
	u64 len = m->pal + 1 - m->pba;
	int i;

	before = zpci_shadow_stats();
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		zpci_guest_map(&m->guest, self->iova + offsets[i],
			       ZPCI_GUEST_PAGE(20 + i), PAGE_SIZE, 0);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, m->pba, len).cc);
	after = zpci_shadow_stats();
	EXPECT_EQ(before.mapped + ARRAY_SIZE(offsets), after.mapped);
	EXPECT_EQ(before.unmapped, after.unmapped);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		ASSERT_WORKS(arrives(m, self->iova + offsets[i],
				     ZPCI_GUEST_PAGE(20 + i)));

	zpci_guest_unmap(&m->guest, self->iova + offsets[2], PAGE_SIZE);
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, m->pba, len).cc);
	before = after;
	after = zpci_shadow_stats();
	EXPECT_EQ(before.mapped, after.mapped);
	EXPECT_EQ(before.unmapped + 1, after.unmapped);
	zpci_guest_fill(&m->guest, ZPCI_GUEST_PAGE(22), PAGE_SIZE, 9);
	ASSERT_WORKS(arrives(m, self->iova + offsets[4], ZPCI_GUEST_PAGE(24)));
	ASSERT_WORKS(is_refused(m, self->iova + offsets[2], NO_REFRESH));
}

/* Addresses that the guest has not mapped are out of reach. */
TEST_F(zpci_dma, unmapped)
{
	struct zpci_vm *m = &self->m;

	ASSERT_WORKS(is_refused(m, self->iova, NO_MAPPING));
	ASSERT_WORKS(recovers(m, self->iova, ZPCI_GUEST_PAGE(20)));
}

/*
 * The host can't refresh while the function is in error state. What the guest
 * unmaps then must stay pinned: the function may still use it.
 */
FIXTURE(zpci_host_error) {
	struct zpci_vm m;
};

/* On demand: all memory of a pinned parent stays pinned anyway. */
FIXTURE_SETUP(zpci_host_error)
{
	zpci_vm_setup_nvme(&self->m, ZPCI_ON_DEMAND, false);
}

FIXTURE_TEARDOWN(zpci_host_error)
{
	zpci_vm_destroy(&self->m);
}

TEST_F(zpci_host_error, release_waits_for_refresh)
{
	struct zpci_shadow_stats s;
	struct zpci_pins before;
	struct zpci_vm *m = &self->m;
	u64 iova = m->pba + 8 * PAGE_SIZE;
	u64 nowhere = m->pba + 16 * PAGE_SIZE;
	struct zpci_rpcit r;

	ASSERT_WORKS(zpci_vm_map(m, iova, ZPCI_GUEST_PAGE(20), PAGE_SIZE, 0));
	before = zpci_pins_now();
	ASSERT_EQ(NVME_FUNCTION_ERROR,
		  nvme_identify_ctrl(&m->nvme, nowhere, 0));

	zpci_guest_unmap(&m->guest, iova, PAGE_SIZE);
	r = zpci_guest_rpcit(&m->guest, iova, PAGE_SIZE);
	EXPECT_EQ(1, r.exits) {
		TH_LOG("cc %u though the host could not refresh", r.cc);
	}
	s = zpci_shadow_stats();
	EXPECT_NE(0, s.refresh_errors);
	EXPECT_EQ(3, s.pinned) {
		TH_LOG("page released before the host refresh?");
	}
	EXPECT_EQ(before.system, zpci_pins_now().system) {
		TH_LOG("page released before the host refresh?");
	}

	/* After recovery all of it is released. */
	ASSERT_EQ(0, zpci_vm_recover(m));
	EXPECT_EQ(0, zpci_shadow_stats().pinned);
	before.system -= 3;
	before.pinned_kb -= 12;
	ASSERT_WORKS(zpci_pins_leaked(&before));
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_baseline_identify(reference);
	return zpci_harness_run(argc, argv);
}
