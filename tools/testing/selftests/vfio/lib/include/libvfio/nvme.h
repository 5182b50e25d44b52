/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands of an NVMe controller
 *
 * Queues and data are wherever the caller wants them. The functions are given
 * the addresses that the test uses and the addresses that the device uses.
 */
#ifndef SELFTESTS_VFIO_LIB_INCLUDE_LIBVFIO_NVME_H
#define SELFTESTS_VFIO_LIB_INCLUDE_LIBVFIO_NVME_H

#include <linux/types.h>

#include <libvfio/iommu.h>

struct vfio_pci_device;

#define NVME_PAGE_SIZE		4096
#define NVME_IDENTIFY_SIZE	4096
#define NVME_ENTRIES		64	/* of each queue */

/* Vector of a completion queue that does not interrupt */
#define NVME_NO_VECTOR		(-1)

/* Negative results of a command; a status of the controller is positive. */
#define NVME_NO_ANSWER		(-1)	/* nothing within the time limit */
#define NVME_FUNCTION_ERROR	(-2)	/* registers read as all ones */
#define NVME_FATAL		(-3)	/* controller fatal status */

/**
 * struct nvme_queue_pages - one page each for a submission and completion queue
 * @sq: submission queue, address in the test
 * @cq: completion queue, address in the test
 * @sq_iova: submission queue, address of the device
 * @cq_iova: completion queue, address of the device
 */
struct nvme_queue_pages {
	void *sq;
	void *cq;
	iova_t sq_iova;
	iova_t cq_iova;
};

/**
 * struct nvme_queue - a submission queue and its completion queue
 * @pages: memory of both
 * @id: number of both, 0 for the admin queues
 * @tail: next entry of the submission queue
 * @head: next entry of the completion queue
 * @pending: commands without a completion
 * @phase: phase tag of a new completion
 */
struct nvme_queue {
	struct nvme_queue_pages pages;
	u16 id;
	u16 tail;
	u16 head;
	u16 pending;
	bool phase;
};

/**
 * struct nvme_ctrl - a controller
 * @bar0: its registers
 * @admin: admin queues
 * @io: I/O queues
 * @stride: bytes between two doorbells
 * @block_size: bytes of a logical block of namespace 1
 * @blocks: size of namespace 1 in logical blocks
 * @timeout: seconds to wait for an answer
 * @cid: identifier of the last command
 */
struct nvme_ctrl {
	void *bar0;
	struct nvme_queue admin;
	struct nvme_queue io;
	u32 stride;
	u32 block_size;
	u64 blocks;
	unsigned int timeout;
	u16 cid;
};

int nvme_enable(struct nvme_ctrl *nvme, struct vfio_pci_device *device,
		const struct nvme_queue_pages *admin);
int nvme_disable(struct nvme_ctrl *nvme);
int nvme_identify_ctrl(struct nvme_ctrl *nvme, iova_t prp1, iova_t prp2);
int nvme_identify_ns(struct nvme_ctrl *nvme, const void *data, iova_t prp1);
int nvme_create_queues(struct nvme_ctrl *nvme, struct nvme_queue *q, u16 id,
		       const struct nvme_queue_pages *pages, int vector);
int nvme_create_io_queues(struct nvme_ctrl *nvme,
			  const struct nvme_queue_pages *io);
int nvme_read(struct nvme_ctrl *nvme, u64 offset, u32 bytes, iova_t prp1,
	      iova_t prp2);
int nvme_write(struct nvme_ctrl *nvme, u64 offset, u32 bytes, iova_t prp1,
	       iova_t prp2);
int nvme_flush(struct nvme_ctrl *nvme, struct nvme_queue *q);
void nvme_start_read(struct nvme_ctrl *nvme, u64 offset, u32 bytes, iova_t prp1,
		     iova_t prp2);
void nvme_start_write(struct nvme_ctrl *nvme, u64 offset, u32 bytes,
		      iova_t prp1, iova_t prp2);
int nvme_wait(struct nvme_ctrl *nvme, struct nvme_queue *q);
void nvme_prepare(struct nvme_ctrl *nvme, iova_t prp1);
u32 nvme_admin_doorbell(struct nvme_ctrl *nvme, bool cq);
bool nvme_function_in_error(struct nvme_ctrl *nvme);
const char *nvme_result(int result);
void nvme_serial(const void *identify, char serial[21]);

#endif /* SELFTESTS_VFIO_LIB_INCLUDE_LIBVFIO_NVME_H */
