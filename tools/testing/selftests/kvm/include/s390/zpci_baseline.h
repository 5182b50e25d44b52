/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The function without a guest: its memory mapped by VFIO
 */
#ifndef SELFTEST_KVM_ZPCI_BASELINE_H
#define SELFTEST_KVM_ZPCI_BASELINE_H

#include <linux/types.h>

#include "nvme_polled.h"
#include "vfio_zpci.h"

#define ZPCI_BASELINE_SIZE	0x100000UL

/**
 * struct zpci_baseline - function that does DMA to memory of the process
 * @vfio: the function
 * @nvme: driver of the controller
 * @mem: the memory; its first four pages are queues
 * @iova: I/O address of @mem
 */
struct zpci_baseline {
	struct vfio_zpci vfio;
	struct nvme_polled nvme;
	void *mem;
	u64 iova;
};

void zpci_baseline_open(struct zpci_baseline *b, enum vfio_zpci_way way);
void zpci_baseline_close(struct zpci_baseline *b);
void zpci_baseline_start(struct zpci_baseline *b);
void zpci_baseline_identify(void *data);

#endif /* SELFTEST_KVM_ZPCI_BASELINE_H */
