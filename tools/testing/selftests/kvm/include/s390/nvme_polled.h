/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A minimal NVMe driver that needs no interrupts
 *
 * Queues and data lie wherever the test wants; the driver is told their
 * addresses as the test sees them and as the function sees them.
 */
#ifndef SELFTEST_KVM_NVME_POLLED_H
#define SELFTEST_KVM_NVME_POLLED_H

#include <stdbool.h>
#include <linux/types.h>

#include "vfio_zpci.h"

#define NVME_PAGE_SIZE		4096
#define NVME_IDENTIFY_SIZE	4096
#define NVME_ENTRIES		16	/* of each queue */

/* Negative results of a command; a status of the controller is positive. */
#define NVME_NO_ANSWER		(-1)	/* nothing within the time limit */
#define NVME_FUNCTION_ERROR	(-2)	/* zPCI function is in error state */
#define NVME_FATAL		(-3)	/* controller reports a fatal status */

/**
 * struct nvme_queue_pages - one page each for a submission and completion queue
 * @sq: submission queue as the test sees it
 * @cq: completion queue as the test sees it
 * @sq_iova: I/O address of the submission queue
 * @cq_iova: I/O address of the completion queue
 */
struct nvme_queue_pages {
	void *sq;
	void *cq;
	u64 sq_iova;
	u64 cq_iova;
};

struct nvme_queue {
	struct nvme_queue_pages pages;
	u16 id;
	u16 tail;
	u16 head;
	bool phase;
};

/**
 * struct nvme_polled - a controller
 * @vfio: the function
 * @admin: admin queue pair
 * @io: I/O queue pair
 * @stride: bytes between two doorbells
 * @block_size: bytes of a logical block of namespace 1
 * @blocks: size of namespace 1 in logical blocks
 * @patience: seconds to wait for an answer
 * @cid: identifier of the latest command
 */
struct nvme_polled {
	struct vfio_zpci *vfio;
	struct nvme_queue admin;
	struct nvme_queue io;
	u32 stride;
	u32 block_size;
	u64 blocks;
	unsigned int patience;
	u16 cid;
};

int nvme_enable(struct nvme_polled *nvme, struct vfio_zpci *vfio,
		const struct nvme_queue_pages *admin);
int nvme_identify_ctrl(struct nvme_polled *nvme, u64 prp1, u64 prp2);
int nvme_identify_ns(struct nvme_polled *nvme, const void *data, u64 prp1);
int nvme_create_io_queues(struct nvme_polled *nvme,
			  const struct nvme_queue_pages *io);
int nvme_read(struct nvme_polled *nvme, u64 offset, u32 bytes,
	      u64 prp1, u64 prp2);
int nvme_write(struct nvme_polled *nvme, u64 offset, u32 bytes,
	       u64 prp1, u64 prp2);
void nvme_prepare(struct nvme_polled *nvme, u64 prp1);
u32 nvme_admin_doorbell(struct nvme_polled *nvme, bool cq);
bool nvme_function_in_error(struct nvme_polled *nvme);
const char *nvme_result(int result);
void nvme_serial(const void *identify, char serial[21]);

#endif /* SELFTEST_KVM_NVME_POLLED_H */
