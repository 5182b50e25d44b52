/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The function without a guest, its memory mapped by VFIO
 */
#ifndef SELFTEST_KVM_ZPCI_BASELINE_H
#define SELFTEST_KVM_ZPCI_BASELINE_H

#include <linux/types.h>

#include <libvfio/nvme.h>

#include "zpci_function.h"

#define ZPCI_BASELINE_SIZE	0x100000UL

/**
 * struct zpci_baseline - function that does DMA to memory of the process
 * @device: the function
 * @nvme: the controller
 * @region: mapping of @mem
 * @mem: the memory; its first four pages are queues
 * @iova: I/O address of @mem
 */
struct zpci_baseline {
	struct vfio_pci_device *device;
	struct nvme_ctrl nvme;
	struct dma_region region;
	void *mem;
	u64 iova;
};

void zpci_baseline_open(struct zpci_baseline *b, const char *mode);
void zpci_baseline_close(struct zpci_baseline *b);
void zpci_baseline_start(struct zpci_baseline *b);
void zpci_baseline_identify(void *data);

#endif /* SELFTEST_KVM_ZPCI_BASELINE_H */
