// SPDX-License-Identifier: GPL-2.0
/*
 * The function without a guest, its memory mapped by VFIO
 *
 * Shows that function and driver work before a guest uses them. Provides the
 * data that DMA to a guest is compared with.
 */
#include <string.h>
#include <sys/mman.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "zpci_baseline.h"

void zpci_baseline_open(struct zpci_baseline *b, const char *mode)
{
	u64 start, end;

	memset(b, 0, sizeof(*b));
	b->device = zpci_function_open(mode, -1);
	zpci_function_dma_range(b->device, &start, &end);
	b->mem = mmap(NULL, ZPCI_BASELINE_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(b->mem != MAP_FAILED, "no memory");
	b->iova = start + ZPCI_BASELINE_SIZE;
	b->region = (struct dma_region) {
		.vaddr = b->mem,
		.iova = b->iova,
		.size = ZPCI_BASELINE_SIZE,
	};
	iommu_map(b->device->iommu, &b->region);
}

void zpci_baseline_close(struct zpci_baseline *b)
{
	zpci_function_close(b->device);
	munmap(b->mem, ZPCI_BASELINE_SIZE);
}

/* Enable the controller and create the I/O queues. */
void zpci_baseline_start(struct zpci_baseline *b)
{
	struct nvme_queue_pages admin = {
		.sq = b->mem,
		.cq = b->mem + PAGE_SIZE,
		.sq_iova = b->iova,
		.cq_iova = b->iova + PAGE_SIZE,
	};
	struct nvme_queue_pages io = {
		.sq = b->mem + 2 * PAGE_SIZE,
		.cq = b->mem + 3 * PAGE_SIZE,
		.sq_iova = b->iova + 2 * PAGE_SIZE,
		.cq_iova = b->iova + 3 * PAGE_SIZE,
	};
	int ret;

	ret = nvme_enable(&b->nvme, b->device, &admin);
	TEST_ASSERT(!ret, "NVMe enable: %s", nvme_result(ret));
	ret = nvme_identify_ns(&b->nvme, io.sq, io.sq_iova);
	TEST_ASSERT(!ret, "NVMe identify namespace: %s", nvme_result(ret));
	ret = nvme_create_io_queues(&b->nvme, &io);
	TEST_ASSERT(!ret, "NVMe create I/O queues: %s", nvme_result(ret));
}

/* Read the NVME_IDENTIFY_SIZE bytes of Identify controller. */
void zpci_baseline_identify(void *data)
{
	struct zpci_baseline b;
	int ret;

	zpci_baseline_open(&b, ZPCI_GROUP);
	zpci_baseline_start(&b);
	ret = nvme_identify_ctrl(&b.nvme, b.iova + 4 * PAGE_SIZE, 0);
	TEST_ASSERT(!ret, "NVMe identify controller: %s", nvme_result(ret));
	memcpy(data, b.mem + 4 * PAGE_SIZE, NVME_IDENTIFY_SIZE);
	zpci_baseline_close(&b);
}
