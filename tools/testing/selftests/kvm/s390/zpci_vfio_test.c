// SPDX-License-Identifier: GPL-2.0
/*
 * Test of an interrupt that is freed while it is handled, without a guest
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_baseline.h"
#include "zpci_function.h"
#include "zpci_harness.h"

#define DATA_PAGE	4	/* after the queues */

FIXTURE(zpci_vfio) {
	struct zpci_baseline b;
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
	self->iova = self->b.iova + DATA_PAGE * PAGE_SIZE;
	zpci_baseline_start(&self->b);
}

FIXTURE_TEARDOWN(zpci_vfio)
{
	zpci_baseline_close(&self->b);
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
