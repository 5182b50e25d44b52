// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver for an NVMe controller
 *
 * A copy goes from memory to the disk and from there back to memory. It
 * overwrites the first blocks of namespace 1.
 */
#include <endian.h>
#include <errno.h>

#include <linux/align.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/pci_ids.h>
#include <linux/pci_regs.h>
#include <linux/sizes.h>

#include <libvfio.h>
#include <libvfio/nvme.h>

/* 5.15.2.2: offset of MDTS, limit for the data of a command, 2^n pages */
#define IDENTIFY_MDTS	77

/* Vector 0 belongs to the admin queues. */
#define MSIX_VECTOR	1

enum {
	PAGE_ASQ,
	PAGE_ACQ,
	PAGE_SQ,
	PAGE_CQ,
	PAGE_IRQ_SQ,
	PAGE_IRQ_CQ,
	PAGE_SRC_LIST,
	PAGE_DST_LIST,
	PAGE_DATA,
	NR_PAGES,
};

/**
 * struct nvme - what is in the region of the driver
 * @pages: memory for the controller
 * @ctrl: the controller
 * @irq: queues whose completions interrupt
 * @error: result of a copy that ended in memcpy_start()
 */
struct nvme {
	u8 pages[NR_PAGES][NVME_PAGE_SIZE];
	struct nvme_ctrl ctrl;
	struct nvme_queue irq;
	int error;
};

static struct nvme *to_nvme(struct vfio_pci_device *device)
{
	return device->driver.region.vaddr;
}

static int nvme_probe(struct vfio_pci_device *device)
{
	u32 class = vfio_pci_config_readl(device, PCI_CLASS_REVISION) >> 8;

	return class == PCI_CLASS_STORAGE_EXPRESS ? 0 : -EINVAL;
}

static struct nvme_queue_pages queue_pages(struct vfio_pci_device *device,
					   int sq, int cq)
{
	struct nvme *nvme = to_nvme(device);

	return (struct nvme_queue_pages) {
		.sq = nvme->pages[sq],
		.cq = nvme->pages[cq],
		.sq_iova = to_iova(device, nvme->pages[sq]),
		.cq_iova = to_iova(device, nvme->pages[cq]),
	};
}

#define ASSERT_WORKS(_command) do {					\
	int __result = (_command);					\
									\
	VFIO_ASSERT_EQ(__result, 0, "%s\n", nvme_result(__result));	\
} while (0)

/* Set up the controller. MSI-X must be enabled for queues with interrupts. */
static void nvme_start(struct vfio_pci_device *device)
{
	struct nvme_queue_pages admin = queue_pages(device, PAGE_ASQ, PAGE_ACQ);
	struct nvme_queue_pages irq = queue_pages(device, PAGE_IRQ_SQ, PAGE_IRQ_CQ);
	struct nvme_queue_pages io = queue_pages(device, PAGE_SQ, PAGE_CQ);
	struct nvme *nvme = to_nvme(device);
	void *data = nvme->pages[PAGE_DATA];
	iova_t data_iova = to_iova(device, data);
	u64 max_size = SZ_1M;
	u8 mdts;

	vfio_pci_cmd_set(device, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ASSERT_WORKS(nvme_enable(&nvme->ctrl, device, &admin));
	ASSERT_WORKS(nvme_identify_ctrl(&nvme->ctrl, data_iova, 0));
	mdts = nvme->pages[PAGE_DATA][IDENTIFY_MDTS];
	if (mdts && mdts < ilog2(SZ_1M / NVME_PAGE_SIZE))
		max_size = (u64)NVME_PAGE_SIZE << mdts;
	ASSERT_WORKS(nvme_identify_ns(&nvme->ctrl, data, data_iova));
	ASSERT_WORKS(nvme_create_io_queues(&nvme->ctrl, &io));
	ASSERT_WORKS(nvme_create_queues(&nvme->ctrl, &nvme->irq, 2, &irq,
					MSIX_VECTOR));

	device->driver.max_memcpy_size = max_size;
	/* Each copy but the first is a write and a read in the same queue. */
	device->driver.max_memcpy_count = NVME_ENTRIES / 2;
	device->driver.msi = MSIX_VECTOR;
}

static void nvme_init(struct vfio_pci_device *device)
{
	VFIO_ASSERT_GE(device->driver.region.size, sizeof(struct nvme));
	VFIO_ASSERT_GT(device->msix_info.count, MSIX_VECTOR);

	vfio_pci_msix_enable(device, MSIX_VECTOR, 1);
	nvme_start(device);
}

static void nvme_remove(struct vfio_pci_device *device)
{
	ASSERT_WORKS(nvme_disable(&to_nvme(device)->ctrl));
	vfio_pci_msix_disable(device);
}

/* Return PRP entry 2 of a transfer. Use page @page if that must be a list. */
static iova_t nvme_prp2(struct vfio_pci_device *device, int page, iova_t iova,
			u64 size)
{
	u64 *list = (u64 *)to_nvme(device)->pages[page];
	iova_t second = ALIGN_DOWN(iova, NVME_PAGE_SIZE) + NVME_PAGE_SIZE;
	iova_t end = iova + size;
	int n = 0;

	if (end <= second)
		return 0;
	if (end <= second + NVME_PAGE_SIZE)
		return second;
	for (iova = second; iova < end; iova += NVME_PAGE_SIZE) {
		VFIO_ASSERT_LT(n, NVME_PAGE_SIZE / sizeof(*list));
		list[n++] = htole64(iova);
	}
	return to_iova(device, list);
}

static void nvme_memcpy_start(struct vfio_pci_device *device, iova_t src,
			      iova_t dst, u64 size, u64 count)
{
	iova_t src_prp2 = nvme_prp2(device, PAGE_SRC_LIST, src, size);
	iova_t dst_prp2 = nvme_prp2(device, PAGE_DST_LIST, dst, size);
	struct nvme *nvme = to_nvme(device);
	struct nvme_ctrl *ctrl = &nvme->ctrl;

	VFIO_ASSERT_TRUE(IS_ALIGNED(size, ctrl->block_size),
			 "The size must be a multiple of the block size, %u\n",
			 ctrl->block_size);

	/* What is read must have been written: wait for the first write. */
	nvme->error = nvme_write(ctrl, 0, size, src, src_prp2);
	if (nvme->error)
		return;
	for (;;) {
		nvme_start_read(ctrl, 0, size, dst, dst_prp2);
		if (!--count)
			break;
		nvme_start_write(ctrl, 0, size, src, src_prp2);
	}
}

/*
 * Reset the device until the controller can be disabled. An emulated controller
 * may continue with a command after the reset of an s390 function, and put the
 * function into error state again.
 */
static void nvme_recover(struct vfio_pci_device *device)
{
	u16 command = cpu_to_le16(PCI_COMMAND_MEMORY);
	struct nvme *nvme = to_nvme(device);
	int retries = 10;
	int ret;

	do {
		vfio_pci_device_reset(device);
		__vfio_pci_config_access(device, true, PCI_COMMAND,
					 sizeof(command), &command);
		ret = nvme_disable(&nvme->ctrl);
	} while (ret == NVME_FUNCTION_ERROR && retries-- > 0);
	ASSERT_WORKS(ret);

	vfio_pci_msix_reenable(device, MSIX_VECTOR, 1);
	nvme_start(device);
}

static int nvme_memcpy_wait(struct vfio_pci_device *device)
{
	struct nvme *nvme = to_nvme(device);
	int ret = nvme->error;

	if (!ret)
		ret = nvme_wait(&nvme->ctrl, &nvme->ctrl.io);
	if (!ret)
		return 0;

	dev_err(device, "nvme: Copy failed: %s\n", nvme_result(ret));
	nvme_recover(device);
	return -EIO;
}

static void nvme_send_msi(struct vfio_pci_device *device)
{
	struct nvme *nvme = to_nvme(device);

	ASSERT_WORKS(nvme_flush(&nvme->ctrl, &nvme->irq));
}

const struct vfio_pci_driver_ops nvme_ops = {
	.name = "nvme",
	.probe = nvme_probe,
	.init = nvme_init,
	.remove = nvme_remove,
	.memcpy_start = nvme_memcpy_start,
	.memcpy_wait = nvme_memcpy_wait,
	.send_msi = nvme_send_msi,
};
