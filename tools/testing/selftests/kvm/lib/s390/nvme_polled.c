// SPDX-License-Identifier: GPL-2.0
/*
 * A minimal NVMe driver that needs no interrupts
 *
 * Section numbers are those of the NVM Express Base Specification 1.4.
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/compiler.h>

#include "nvme_polled.h"
#include "test_util.h"

/* 3.1 Register definition */
#define REG_CAP_LO	0x00
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
#define ADMIN_CREATE_CQ	0x05
#define ADMIN_IDENTIFY	0x06
#define   CNS_NAMESPACE		0
#define   CNS_CONTROLLER	1
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

static u32 reg_read(struct nvme_polled *nvme, u32 reg)
{
	return vfio_zpci_read32(nvme->vfio, nvme->vfio->bar0 + reg);
}

static void reg_write(struct nvme_polled *nvme, u32 reg, u32 value)
{
	vfio_zpci_write32(nvme->vfio, nvme->vfio->bar0 + reg, value);
}

/* Two halves: not every access width gets through to a zPCI function. */
static void reg_write64(struct nvme_polled *nvme, u32 reg, u64 value)
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

bool nvme_function_in_error(struct nvme_polled *nvme)
{
	return reg_read(nvme, REG_CSTS) == ALL_ONES;
}

static int wait_ready(struct nvme_polled *nvme, u32 ready)
{
	double limit = now() + nvme->patience;
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
	q->pages = *pages;
	q->id = id;
	q->tail = 0;
	q->head = 0;
	q->phase = true;
	memset(q->pages.sq, 0, NVME_PAGE_SIZE);
	memset(q->pages.cq, 0, NVME_PAGE_SIZE);
}

static u32 doorbell(struct nvme_polled *nvme, struct nvme_queue *q, bool cq)
{
	return REG_DOORBELL + (2 * q->id + cq) * nvme->stride;
}

static void ring(struct nvme_polled *nvme, struct nvme_queue *q, bool cq)
{
	reg_write(nvme, doorbell(nvme, q, cq), cq ? q->head : q->tail);
}

/* Wait for the completion of the only command there is. */
static int wait_completion(struct nvme_polled *nvme, struct nvme_queue *q)
{
	struct cqe *cqe = q->pages.cq;
	double limit = now() + nvme->patience;
	u16 status, cid;
	u32 csts;

	cqe += q->head;
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
	/* The phase tag is written last, so look at the rest after it. */
	__sync_synchronize();
	cid = le16toh(READ_ONCE(cqe->cid));
	TEST_ASSERT(cid == nvme->cid, "NVMe answers command %u, not %u", cid,
		    nvme->cid);
	if (++q->head == NVME_ENTRIES) {
		q->head = 0;
		q->phase = !q->phase;
	}
	ring(nvme, q, true);
	return status >> 1;
}

static int command(struct nvme_polled *nvme, struct nvme_queue *q, u8 opcode,
		   struct sqe *cmd)
{
	struct sqe *sqe = q->pages.sq;

	sqe += q->tail;
	nvme->cid++;
	sqe->cdw0 = htole32(opcode | (u32)nvme->cid << 16);
	sqe->nsid = htole32(cmd->nsid);
	sqe->reserved = 0;
	sqe->mptr = 0;
	sqe->prp1 = htole64(cmd->prp1);
	sqe->prp2 = htole64(cmd->prp2);
	sqe->cdw10 = htole32(cmd->cdw10);
	sqe->cdw11 = htole32(cmd->cdw11);
	sqe->cdw12 = htole32(cmd->cdw12);
	sqe->cdw13 = 0;
	sqe->cdw14 = 0;
	sqe->cdw15 = 0;
	__sync_synchronize();
	q->tail = (q->tail + 1) % NVME_ENTRIES;
	ring(nvme, q, false);
	return wait_completion(nvme, q);
}

/* Reset the controller and enable it with the given admin queue. */
int nvme_enable(struct nvme_polled *nvme, struct vfio_zpci *vfio,
		const struct nvme_queue_pages *admin)
{
	int ret;

	memset(nvme, 0, sizeof(*nvme));
	nvme->vfio = vfio;
	nvme->patience = 5;
	nvme->stride = 4U << (reg_read(nvme, REG_CAP_HI) & CAP_HI_DSTRD);

	reg_write(nvme, REG_CC, 0);
	ret = wait_ready(nvme, 0);
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
int nvme_identify_ctrl(struct nvme_polled *nvme, u64 prp1, u64 prp2)
{
	struct sqe cmd = {
		.prp1 = prp1,
		.prp2 = prp2,
		.cdw10 = CNS_CONTROLLER,
	};

	return command(nvme, &nvme->admin, ADMIN_IDENTIFY, &cmd);
}

/* Identify namespace 1 to @data, which is at @prp1 for the function. */
int nvme_identify_ns(struct nvme_polled *nvme, const void *data, u64 prp1)
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
	TEST_ASSERT(shift >= 9 && shift <= 12,
		    "NVMe: logical blocks of 2^%u bytes", shift);
	nvme->blocks = le64toh(size);
	nvme->block_size = 1U << shift;
	return 0;
}

/*
 * Fill the admin submission queue with commands, Identify controller to @prp1,
 * for somebody else who rings the doorbells. Both queues begin with entry 0 if
 * there was no command since the controller was enabled, and until it is enabled
 * again there must be none.
 */
void nvme_prepare(struct nvme_polled *nvme, u64 prp1)
{
	struct sqe *sqe = nvme->admin.pages.sq;
	int i;

	for (i = 0; i < NVME_ENTRIES; i++, sqe++) {
		memset(sqe, 0, sizeof(*sqe));
		sqe->cdw0 = htole32(ADMIN_IDENTIFY | i << 16);
		sqe->prp1 = htole64(prp1);
		sqe->cdw10 = htole32(CNS_CONTROLLER);
	}
}

/* Offset in BAR 0 of the doorbell of the admin submission or completion queue */
u32 nvme_admin_doorbell(struct nvme_polled *nvme, bool cq)
{
	return doorbell(nvme, &nvme->admin, cq);
}

int nvme_create_io_queues(struct nvme_polled *nvme,
			  const struct nvme_queue_pages *io)
{
	/* cdw11 bit 0: physically contiguous; no interrupts for the CQ */
	struct sqe create_cq = {
		.prp1 = io->cq_iova,
		.cdw10 = (NVME_ENTRIES - 1) << 16 | 1,
		.cdw11 = 1,
	};
	struct sqe create_sq = {
		.prp1 = io->sq_iova,
		.cdw10 = (NVME_ENTRIES - 1) << 16 | 1,
		.cdw11 = 1 << 16 | 1,
	};
	int ret;

	queue_init(&nvme->io, 1, io);
	ret = command(nvme, &nvme->admin, ADMIN_CREATE_CQ, &create_cq);
	if (ret)
		return ret;
	return command(nvme, &nvme->admin, ADMIN_CREATE_SQ, &create_sq);
}

static int transfer(struct nvme_polled *nvme, u8 opcode, u64 offset,
		    u32 bytes, u64 prp1, u64 prp2)
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

	TEST_ASSERT(count && block + count <= nvme->blocks,
		    "NVMe: %u bytes at 0x%lx are not on the disk", bytes,
		    offset);
	return command(nvme, &nvme->io, opcode, &cmd);
}

/* From the disk to memory; @offset in bytes */
int nvme_read(struct nvme_polled *nvme, u64 offset, u32 bytes, u64 prp1,
	      u64 prp2)
{
	return transfer(nvme, NVM_READ, offset, bytes, prp1, prp2);
}

/* From memory to the disk; @offset in bytes */
int nvme_write(struct nvme_polled *nvme, u64 offset, u32 bytes, u64 prp1,
	       u64 prp2)
{
	return transfer(nvme, NVM_WRITE, offset, bytes, prp1, prp2);
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
		return "zPCI function in error state";
	case NVME_FATAL:
		return "controller fatal status";
	}
	snprintf(text, sizeof(text), "NVMe status 0x%x", result);
	return text;
}

/* The serial number from the data of Identify controller */
void nvme_serial(const void *identify, char serial[21])
{
	int len = 20;

	memcpy(serial, identify + 4, len);
	while (len && serial[len - 1] == ' ')
		len--;
	serial[len] = '\0';
}
