// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the function that the zpci_*_test programs use, without a guest
 *
 * A failure is one of the function, of VFIO or of libvfio, not of KVM.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_baseline.h"
#include "zpci_function.h"
#include "zpci_guest.h"
#include "zpci_harness.h"

#define DATA_PAGE	4	/* after the queues */

FIXTURE(zpci_vfio) {
	struct zpci_baseline b;
	void *data;
	u64 iova;
};

FIXTURE_VARIANT(zpci_vfio) {
	const char *mode;
};

FIXTURE_VARIANT_ADD(zpci_vfio, group) {
	.mode = ZPCI_GROUP,
};

FIXTURE_VARIANT_ADD(zpci_vfio, cdev) {
	.mode = ZPCI_CDEV,
};

FIXTURE_SETUP(zpci_vfio)
{
	zpci_baseline_open(&self->b, variant->mode);
	self->data = self->b.mem + DATA_PAGE * PAGE_SIZE;
	self->iova = self->b.iova + DATA_PAGE * PAGE_SIZE;
	zpci_baseline_start(&self->b);
}

FIXTURE_TEARDOWN(zpci_vfio)
{
	zpci_baseline_close(&self->b);
}

TEST_F(zpci_vfio, identify)
{
	char serial[21];

	ASSERT_EQ(0, nvme_identify_ctrl(&self->b.nvme, self->iova, 0));
	nvme_serial(self->data, serial);
	EXPECT_NE(0, strlen(serial));
	TH_LOG("serial number '%s'", serial);
}

/* Write data to the disk and read it back: one page, two pages, many pages. */
TEST_F(zpci_vfio, read_write)
{
	const int pages[] = { 1, 2, 16 };
	u64 *out = self->data, *in = out + 16 * PAGE_SIZE / sizeof(*out);
	u64 *list = in + 16 * PAGE_SIZE / sizeof(*in);
	u64 iova_in = self->iova + 16 * PAGE_SIZE;
	u64 iova_list = self->iova + 32 * PAGE_SIZE;
	u64 prp2;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		u32 bytes = pages[i] * PAGE_SIZE;

		for (j = 0; j < bytes / sizeof(*out); j++)
			out[j] = zpci_pattern(i + 1, j);
		memset(in, 0, bytes);
		for (j = 1; j < pages[i]; j++)
			list[j - 1] = htole64(self->iova + j * PAGE_SIZE);
		prp2 = pages[i] == 2 ? self->iova + PAGE_SIZE : iova_list;
		ASSERT_EQ(0, nvme_write(&self->b.nvme, 0, bytes, self->iova,
					prp2));
		for (j = 1; j < pages[i]; j++)
			list[j - 1] = htole64(iova_in + j * PAGE_SIZE);
		prp2 = pages[i] == 2 ? iova_in + PAGE_SIZE : iova_list;
		ASSERT_EQ(0, nvme_read(&self->b.nvme, 0, bytes, iova_in, prp2));
		EXPECT_EQ(0, memcmp(out, in, bytes)) {
			TH_LOG("%d pages came back changed", pages[i]);
		}
	}
}

/*
 * DMA to an unmapped I/O address puts the function into error state. A reset
 * recovers it. The other tests depend on that.
 */
TEST_F(zpci_vfio, error_and_recovery)
{
	int ret;

	ret = nvme_identify_ctrl(&self->b.nvme,
				 self->b.iova + ZPCI_BASELINE_SIZE, 0);
	EXPECT_EQ(NVME_FUNCTION_ERROR, ret) {
		TH_LOG("DMA to nowhere: %s", nvme_result(ret));
	}
	EXPECT_TRUE(nvme_function_in_error(&self->b.nvme));
	zpci_function_recover(self->b.device);
	EXPECT_FALSE(nvme_function_in_error(&self->b.nvme));
	/*
	 * Map again: without "s390/pci: Refresh translations after re-
	 * registering a table" the reset loses the translations.
	 */
	iommu_unmap(self->b.device->iommu, &self->b.region);
	iommu_map(self->b.device->iommu, &self->b.region);
	zpci_baseline_start(&self->b);
	EXPECT_EQ(0, nvme_identify_ctrl(&self->b.nvme, self->iova, 0));
}

/* Number of epoll files that the interrupt handler wakes up */
#define SLEEPERS	256

/**
 * struct zpci_vfio_waiter - a thread that frees an interrupt as soon as it comes
 * @device: the function
 * @eventfd: what the interrupt signals
 * @epoll: what the thread waits for; unlike read() and poll(), the wait for it
 *	   ends without a lock that the handler holds while it wakes others
 * @rounds: interrupts to wait for
 * @interrupts: interrupts that came
 * @error: the first errno from VFIO
 * @freed: posted when the interrupt is freed
 */
struct zpci_vfio_waiter {
	struct vfio_pci_device *device;
	int eventfd;
	int epoll;
	int rounds;
	u64 interrupts;
	int error;
	sem_t freed;
};

static void *free_interrupts(void *arg)
{
	struct zpci_vfio_waiter *w = arg;
	struct epoll_event event;
	cpu_set_t cpus;
	u64 count;
	int i, err;

	for (i = 0; i < w->rounds; i++) {
		/* The CPU of the handler is not known: alternate. */
		CPU_ZERO(&cpus);
		CPU_SET(i % 2, &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
		epoll_wait(w->epoll, &event, 1, -1);
		err = zpci_function_msix(w->device, -1);
		if (!w->error)
			w->error = err;
		if (read(w->eventfd, &count, sizeof(count)) == sizeof(count))
			w->interrupts += count;
		sem_post(&w->freed);
	}
	return NULL;
}

/*
 * The handler first wakes up the thread that frees the interrupt, and then many
 * others. KASAN reports it if the free does not wait for the handler. This
 * needs CPUs that run in parallel.
 */
/* A round takes long on a debug kernel. */
TEST_F_TIMEOUT(zpci_vfio, interrupt_freed, 120)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct zpci_vfio_waiter w = {
		.device = self->b.device,
		.rounds = 100,
	};
	int sleeper[SLEEPERS];
	pthread_t thread;
	int i;

	w.eventfd = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, w.eventfd);
	for (i = 0; i < SLEEPERS; i++) {
		sleeper[i] = epoll_create1(EPOLL_CLOEXEC);
		ASSERT_LE(0, sleeper[i]);
		ASSERT_EQ(0, epoll_ctl(sleeper[i], EPOLL_CTL_ADD, w.eventfd,
				       &event));
	}
	/* The last one that was added is woken up first. */
	w.epoll = sleeper[SLEEPERS - 1];
	ASSERT_EQ(0, sem_init(&w.freed, 0, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, free_interrupts, &w));
	for (i = 0; i < w.rounds; i++) {
		ASSERT_EQ(0, zpci_function_msix(self->b.device, w.eventfd));
		ASSERT_EQ(0, nvme_identify_ctrl(&self->b.nvme, self->iova, 0));
		ASSERT_EQ(0, sem_wait(&w.freed));
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, w.error);
	EXPECT_EQ(w.rounds, w.interrupts);
	for (i = 0; i < SLEEPERS; i++)
		close(sleeper[i]);
	close(w.eventfd);
}

int main(int argc, char **argv)
{
	if (!zpci_function_find())
		ksft_exit_skip("VFIO_SELFTESTS_BDF names no NVMe function\n");
	return zpci_harness_run(argc, argv);
}
