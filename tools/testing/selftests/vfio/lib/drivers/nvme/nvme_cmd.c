// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands of an NVMe controller, completions found by polling
 *
 * Section numbers are those of the NVM Express Base Specification 1.4.
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <asm/barrier.h>
#include <linux/compiler.h>
#include <linux/io.h>

#include <libvfio.h>
#include <libvfio/nvme.h>

/* 3.1 Register definition */
#define REG_CAP_HI	0x04
#define   CAP_HI_DSTRD		0xf	/* doorbell stride, 4 << n bytes */
#define REG_CC		0x14
#define   CC_EN			0x1
#define   CC_IOSQES		0x60000	/* entries of 64 bytes */
#define   CC_IOCQES		0x400000	/* entries of 16 bytes */
#define REG_CSTS	0x1c
#define   CSTS_RDY		0x1
#define   CSTS_CFS		0x2
#define REG_AQA		0x24
#define REG_ASQ		0x28
#define REG_ACQ		0x30
#define REG_DOORBELL	0x1000

#define ALL_ONES	(~0U)

/* 5 Admin command set, 6 NVM command set */
#define ADMIN_CREATE_SQ	0x01
#define   SQ_CONTIGUOUS		0x1
#define   SQ_CQID_SHIFT		16
#define ADMIN_CREATE_CQ	0x05
#define   CQ_CONTIGUOUS		0x1
#define   CQ_INTERRUPTS		0x2
#define   CQ_VECTOR_SHIFT	16
#define ADMIN_IDENTIFY	0x06
#define   CNS_NAMESPACE		0
#define   CNS_CONTROLLER	1
#define NVM_FLUSH	0x00
#define NVM_WRITE	0x01
#define NVM_READ	0x02

/* 4.2 Submission queue entry */
struct sqe {
	u32 cdw0;		/* opcode, command identifier */
	u32 nsid;
	u64 reserved;
	u64 mptr;
	u64 prp1;
	u64 prp2;
	u32 cdw10;
	u32 cdw11;
	u32 cdw12;
	u32 cdw13;
	u32 cdw14;
	u32 cdw15;
};

/* 4.6 Completion queue entry */
struct cqe {
	u32 result;
	u32 reserved;
	u16 sq_head;
	u16 sq_id;
	u16 cid;
	u16 status;		/* bit 0 is the phase tag */
};

static u32 reg_read(struct nvme_ctrl *nvme, u32 reg)
{
	return readl(nvme->bar0 + reg);
}

static void reg_write(struct nvme_ctrl *nvme, u32 reg, u32 value)
{
	writel(value, nvme->bar0 + reg);
}

/* Write two halves: not every platform passes on accesses of 8 bytes. */
static void reg_write64(struct nvme_ctrl *nvme, u32 reg, u64 value)
{
	reg_write(nvme, reg, value);
	reg_write(nvme, reg + 4, value >> 32);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

bool nvme_function_in_error(struct nvme_ctrl *nvme)
{
	return reg_read(nvme, REG_CSTS) == ALL_ONES;
}

static int wait_ready(struct nvme_ctrl *nvme, u32 ready)
{
	double limit = now() + nvme->timeout;
	u32 csts;

	for (;;) {
		csts = reg_read(nvme, REG_CSTS);
		if (csts == ALL_ONES)
			return NVME_FUNCTION_ERROR;
		if ((csts & CSTS_RDY) == ready)
			return 0;
		if (ready && (csts & CSTS_CFS))
			return NVME_FATAL;
		if (now() > limit)
			return NVME_NO_ANSWER;
		usleep(200);
	}
}

static void queue_init(struct nvme_queue *q, u16 id,
		       const struct nvme_queue_pages *pages)
{
	*q = (struct nvme_queue) {
		.pages = *pages,
		.id = id,
		.phase = true,
	};
	memset(q->pages.sq, 0, NVME_PAGE_SIZE);
	memset(q->pages.cq, 0, NVME_PAGE_SIZE);
}

static u32 doorbell(struct nvme_ctrl *nvme, struct nvme_queue *q, bool cq)
{
	return REG_DOORBELL + (2 * q->id + cq) * nvme->stride;
}

static void ring(struct nvme_ctrl *nvme, struct nvme_queue *q, bool cq)
{
	reg_write(nvme, doorbell(nvme, q, cq), cq ? q->head : q->tail);
}

static int wait_completion(struct nvme_ctrl *nvme, struct nvme_queue *q)
{
	struct cqe *cqe = (struct cqe *)q->pages.cq + q->head;
	double limit = now() + nvme->timeout;
	u16 status, cid;
	u32 csts;

	for (;;) {
		status = le16toh(READ_ONCE(cqe->status));
		if ((status & 1) == q->phase)
			break;
		csts = reg_read(nvme, REG_CSTS);
		if (csts == ALL_ONES)
			return NVME_FUNCTION_ERROR;
		if (csts & CSTS_CFS)
			return NVME_FATAL;
		if (now() > limit)
			return NVME_NO_ANSWER;
		usleep(100);
	}
	/* The phase tag is written last: read the rest and the data after it. */
	rmb();
	cid = le16toh(READ_ONCE(cqe->cid));
	VFIO_ASSERT_LT((u16)(nvme->cid - cid), NVME_ENTRIES,
		       "The completion is of command %u, the last one is %u\n",
		       cid, nvme->cid);
	if (++q->head == NVME_ENTRIES) {
		q->head = 0;
		q->phase = !q->phase;
	}
	q->pending--;
	ring(nvme, q, true);
	return status >> 1;
}

/* Wait for all commands of @q. Return the first result that is not zero. */
int nvme_wait(struct nvme_ctrl *nvme, struct nvme_queue *q)
{
	int ret, first = 0;

	while (q->pending) {
		ret = wait_completion(nvme, q);
		if (!first)
			first = ret;
		/* There won't be another completion. */
		if (ret < 0)
			break;
	}
	return first;
}

static void submit(struct nvme_ctrl *nvme, struct nvme_queue *q, u8 opcode,
		   const struct sqe *cmd)
{
	struct sqe *sqe = (struct sqe *)q->pages.sq + q->tail;

	VFIO_ASSERT_LT(q->pending, NVME_ENTRIES - 1);
	nvme->cid++;
	*sqe = (struct sqe) {
		.cdw0 = htole32(opcode | (u32)nvme->cid << 16),
		.nsid = htole32(cmd->nsid),
		.prp1 = htole64(cmd->prp1),
		.prp2 = htole64(cmd->prp2),
		.cdw10 = htole32(cmd->cdw10),
		.cdw11 = htole32(cmd->cdw11),
		.cdw12 = htole32(cmd->cdw12),
	};
	q->tail = (q->tail + 1) % NVME_ENTRIES;
	q->pending++;
	ring(nvme, q, false);
}

static int command(struct nvme_ctrl *nvme, struct nvme_queue *q, u8 opcode,
		   const struct sqe *cmd)
{
	submit(nvme, q, opcode, cmd);
	return nvme_wait(nvme, q);
}

int nvme_disable(struct nvme_ctrl *nvme)
{
	reg_write(nvme, REG_CC, 0);
	return wait_ready(nvme, 0);
}

/* Reset the controller and enable it with the given admin queues. */
int nvme_enable(struct nvme_ctrl *nvme, struct vfio_pci_device *device,
		const struct nvme_queue_pages *admin)
{
	int ret;

	memset(nvme, 0, sizeof(*nvme));
	nvme->bar0 = device->bars[0].vaddr;
	VFIO_ASSERT_NOT_NULL(nvme->bar0);
	nvme->timeout = 5;
	nvme->stride = 4U << (reg_read(nvme, REG_CAP_HI) & CAP_HI_DSTRD);

	ret = nvme_disable(nvme);
	if (ret)
		return ret;

	queue_init(&nvme->admin, 0, admin);
	reg_write(nvme, REG_AQA, (NVME_ENTRIES - 1) << 16 | (NVME_ENTRIES - 1));
	reg_write64(nvme, REG_ASQ, admin->sq_iova);
	reg_write64(nvme, REG_ACQ, admin->cq_iova);
	reg_write(nvme, REG_CC, CC_EN | CC_IOSQES | CC_IOCQES);
	return wait_ready(nvme, CSTS_RDY);
}

/* Identify controller. @prp2 is needed if @prp1 is not on a page boundary. */
int nvme_identify_ctrl(struct nvme_ctrl *nvme, iova_t prp1, iova_t prp2)
{
	struct sqe cmd = {
		.prp1 = prp1,
		.prp2 = prp2,
		.cdw10 = CNS_CONTROLLER,
	};

	return command(nvme, &nvme->admin, ADMIN_IDENTIFY, &cmd);
}

/* Identify namespace 1, into @data, whose address for the device is @prp1. */
int nvme_identify_ns(struct nvme_ctrl *nvme, const void *data, iova_t prp1)
{
	struct sqe cmd = {
		.nsid = 1,
		.prp1 = prp1,
		.cdw10 = CNS_NAMESPACE,
	};
	u8 format, shift;
	u64 size;
	int ret;

	ret = command(nvme, &nvme->admin, ADMIN_IDENTIFY, &cmd);
	if (ret)
		return ret;
	/* 5.15.2.1: NSZE, FLBAS and the LBA data size of that LBA format */
	memcpy(&size, data, sizeof(size));
	format = *(u8 *)(data + 26) & 0xf;
	shift = *(u8 *)(data + 128 + 4 * format + 2);
	VFIO_ASSERT_TRUE(shift >= 9 && shift <= 12,
			 "The logical blocks have 2^%u bytes\n", shift);
	nvme->blocks = le64toh(size);
	nvme->block_size = 1U << shift;
	return 0;
}

/* Create queues. Completions raise interrupt @vector if that is not negative. */
int nvme_create_queues(struct nvme_ctrl *nvme, struct nvme_queue *q, u16 id,
		       const struct nvme_queue_pages *pages, int vector)
{
	struct sqe create_cq = {
		.prp1 = pages->cq_iova,
		.cdw10 = (NVME_ENTRIES - 1) << 16 | id,
		.cdw11 = CQ_CONTIGUOUS,
	};
	struct sqe create_sq = {
		.prp1 = pages->sq_iova,
		.cdw10 = (NVME_ENTRIES - 1) << 16 | id,
		.cdw11 = id << SQ_CQID_SHIFT | SQ_CONTIGUOUS,
	};
	int ret;

	if (vector >= 0)
		create_cq.cdw11 |= vector << CQ_VECTOR_SHIFT | CQ_INTERRUPTS;
	queue_init(q, id, pages);
	ret = command(nvme, &nvme->admin, ADMIN_CREATE_CQ, &create_cq);
	if (ret)
		return ret;
	return command(nvme, &nvme->admin, ADMIN_CREATE_SQ, &create_sq);
}

/* Create the I/O queues, without interrupts. */
int nvme_create_io_queues(struct nvme_ctrl *nvme,
			  const struct nvme_queue_pages *io)
{
	return nvme_create_queues(nvme, &nvme->io, 1, io, NVME_NO_VECTOR);
}

static void start_transfer(struct nvme_ctrl *nvme, u8 opcode, u64 offset,
			   u32 bytes, iova_t prp1, iova_t prp2)
{
	u64 block = offset / nvme->block_size;
	u32 count = bytes / nvme->block_size;
	struct sqe cmd = {
		.nsid = 1,
		.prp1 = prp1,
		.prp2 = prp2,
		.cdw10 = block,
		.cdw11 = block >> 32,
		.cdw12 = count - 1,	/* a count of 0 means one block */
	};

	VFIO_ASSERT_TRUE(count && block + count <= nvme->blocks,
			 "%u bytes at 0x%lx are not on the disk\n", bytes,
			 offset);
	submit(nvme, &nvme->io, opcode, &cmd);
}

/* Start a transfer from the disk to memory, at byte @offset of the disk. */
void nvme_start_read(struct nvme_ctrl *nvme, u64 offset, u32 bytes, iova_t prp1,
		     iova_t prp2)
{
	start_transfer(nvme, NVM_READ, offset, bytes, prp1, prp2);
}

/* Start a transfer from memory to the disk, at byte @offset of the disk. */
void nvme_start_write(struct nvme_ctrl *nvme, u64 offset, u32 bytes,
		      iova_t prp1, iova_t prp2)
{
	start_transfer(nvme, NVM_WRITE, offset, bytes, prp1, prp2);
}

int nvme_read(struct nvme_ctrl *nvme, u64 offset, u32 bytes, iova_t prp1,
	      iova_t prp2)
{
	nvme_start_read(nvme, offset, bytes, prp1, prp2);
	return nvme_wait(nvme, &nvme->io);
}

int nvme_write(struct nvme_ctrl *nvme, u64 offset, u32 bytes, iova_t prp1,
	       iova_t prp2)
{
	nvme_start_write(nvme, offset, bytes, prp1, prp2);
	return nvme_wait(nvme, &nvme->io);
}

/* Flush namespace 1: a command without data, on the queue @q. */
int nvme_flush(struct nvme_ctrl *nvme, struct nvme_queue *q)
{
	struct sqe cmd = { .nsid = 1 };

	return command(nvme, q, NVM_FLUSH, &cmd);
}

/*
 * Fill the admin submission queue with Identify controller to @prp1, for another
 * program that rings the doorbells. Call it after nvme_enable() and before any
 * command: the program expects both queues to begin with entry 0.
 */
void nvme_prepare(struct nvme_ctrl *nvme, iova_t prp1)
{
	struct sqe *sqe = nvme->admin.pages.sq;
	int i;

	for (i = 0; i < NVME_ENTRIES; i++) {
		sqe[i] = (struct sqe) {
			.cdw0 = htole32(ADMIN_IDENTIFY | i << 16),
			.prp1 = htole64(prp1),
			.cdw10 = htole32(CNS_CONTROLLER),
		};
	}
}

/* Offset in BAR 0 of the doorbell of the admin submission or completion queue */
u32 nvme_admin_doorbell(struct nvme_ctrl *nvme, bool cq)
{
	return doorbell(nvme, &nvme->admin, cq);
}

const char *nvme_result(int result)
{
	static char text[40];

	switch (result) {
	case 0:
		return "success";
	case NVME_NO_ANSWER:
		return "no answer";
	case NVME_FUNCTION_ERROR:
		return "registers read as all ones";
	case NVME_FATAL:
		return "controller fatal status";
	}
	snprintf(text, sizeof(text), "NVMe status 0x%x", result);
	return text;
}

/* The serial number in the data of Identify controller */
void nvme_serial(const void *identify, char serial[21])
{
	int len = 20;

	memcpy(serial, identify + 4, len);
	while (len && serial[len - 1] == ' ')
		len--;
	serial[len] = '\0';
}
