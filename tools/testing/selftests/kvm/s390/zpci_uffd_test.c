// SPDX-License-Identifier: GPL-2.0
/*
 * Test of a page that user space provides late
 *
 * An RPCIT waits for a page fault (userfaultfd) as long as user space takes.
 * Other vCPUs must make progress, nothing may deadlock, and a kill must end it.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/userfaultfd.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_baseline.h"
#include "zpci_harness.h"
#include "zpci_slot.h"
#include "zpci_vm.h"

#define GPA		ZPCI_SLOT_GPA
#define SIZE		ZPCI_SLOT_SIZE

static u8 reference[NVME_IDENTIFY_SIZE];

FIXTURE(zpci_uffd) {
	struct zpci_vm m;
	struct zpci_guest peer;
	struct zpci_pins before;
	u64 iova;
	u64 queues;
};

/* On demand: with a pinned parent an RPCIT waits for no page. */
FIXTURE_SETUP(zpci_uffd)
{
	struct zpci_vm *m = &self->m;

	self->before = zpci_pins_now();
	zpci_vm_setup_nvme(m, ZPCI_ON_DEMAND, false);
	zpci_guest_add_vcpu(&m->guest, &self->peer);
	self->queues = zpci_shadow_stats().pinned;
	self->iova = (m->pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
}

FIXTURE_TEARDOWN(zpci_uffd)
{
	struct zpci_vm *m = &self->m;

	ASSERT_EQ(0, zpci_vm_detach(m));
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, 0));
	zpci_vm_destroy(m);
}

static void *anonymous(void)
{
	return zpci_slot_memory(SIZE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int set_slot(struct zpci_vm *m, void *memory)
{
	return zpci_slot_set(m, ZPCI_SLOT, GPA, memory, SIZE, 0);
}

/* Let the controller write to @iova. Check the data at @hva. */
static const char *arrives(struct zpci_vm *m, u64 iova, const void *hva)
{
	return zpci_vm_identify(m, iova, hva, reference);
}

static int watch_memory(void *memory, u64 size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range.start = (uintptr_t)memory,
		.range.len = size,
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	TEST_ASSERT(fd >= 0 && !ioctl(fd, UFFDIO_API, &api) &&
		    !ioctl(fd, UFFDIO_REGISTER, &reg), "userfaultfd: %s",
		    strerror(errno));
	return fd;
}

/* Wait for a page fault. Return its address. */
static u64 wait_for_fault(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg = {};

	TEST_ASSERT(poll(&p, 1, 120000) == 1 &&
		    read(fd, &msg, sizeof(msg)) == sizeof(msg) &&
		    msg.event == UFFD_EVENT_PAGEFAULT, "no fault came");
	return msg.arg.pagefault.address & ~(PAGE_SIZE - 1);
}

static void provide_page(int fd, u64 at, const void *data)
{
	struct uffdio_copy copy = {
		.dst = at,
		.src = (uintptr_t)data,
		.len = PAGE_SIZE,
	};

	TEST_ASSERT(!ioctl(fd, UFFDIO_COPY, &copy), "UFFDIO_COPY: %s",
		    strerror(errno));
}

/* A thread that may block */
struct job {
	pthread_t thread;
	struct zpci_vm *m;
	u64 iova;
	int result;
	bool done;
};

static void *do_rpcit(void *arg)
{
	struct job *job = arg;
	struct zpci_rpcit r = zpci_guest_rpcit(&job->m->guest, job->iova,
					       PAGE_SIZE);

	job->result = r.exits ? -1 : r.cc;
	WRITE_ONCE(job->done, true);
	return NULL;
}

static void *do_detach(void *arg)
{
	struct job *job = arg;

	job->result = zpci_vm_detach(job->m);
	WRITE_ONCE(job->done, true);
	return NULL;
}

static void *do_close_function(void *arg)
{
	struct job *job = arg;

	zpci_vm_close_function(job->m);
	WRITE_ONCE(job->done, true);
	return NULL;
}

static void *do_close_zpci(void *arg)
{
	struct job *job = arg;

	zpci_vm_close_zpci(job->m);
	WRITE_ONCE(job->done, true);
	return NULL;
}

static void *do_delete_slot(void *arg)
{
	struct job *job = arg;

	job->result = zpci_slot_delete(job->m, ZPCI_SLOT);
	WRITE_ONCE(job->done, true);
	return NULL;
}

static void start(struct job *job, struct zpci_vm *m, void *(*fn)(void *))
{
	job->m = m;
	job->done = false;
	TEST_ASSERT(!pthread_create(&job->thread, NULL, fn, job), "no thread");
}

/* Other vCPUs refresh while one waits for a page. */
TEST_F(zpci_uffd, others_go_on)
{
	struct zpci_vm *m = &self->m;
	void *memory = anonymous();
	u8 data[PAGE_SIZE];
	struct zpci_rpcit r;
	struct job job;
	int fd, i;
	u64 at;

	ASSERT_EQ(0, set_slot(m, memory));
	fd = watch_memory(memory, SIZE);
	/* Write the tables first: the vCPU is busy later. */
	for (i = 1; i < 4; i++)
		zpci_guest_map(&m->guest, self->iova + i * IOAT_FRAME_1M,
			       ZPCI_GUEST_PAGE(20 + i), PAGE_SIZE, 0);
	zpci_guest_map(&m->guest, self->iova, GPA, PAGE_SIZE, 0);
	job.iova = self->iova;
	start(&job, m, do_rpcit);
	at = wait_for_fault(fd);
	EXPECT_EQ((uintptr_t)memory, at);

	for (i = 1; i < 4; i++) {
		r = zpci_guest_rpcit(&self->peer, self->iova +
				     i * IOAT_FRAME_1M, PAGE_SIZE);
		EXPECT_EQ(0, r.cc);
		EXPECT_EQ(0, r.exits);
	}
	EXPECT_EQ(self->queues + 3, zpci_shadow_stats().pinned);
	ASSERT_WORKS(arrives(m, self->iova + IOAT_FRAME_1M,
			     zpci_guest_hva(&m->guest, ZPCI_GUEST_PAGE(21))));
	EXPECT_FALSE(READ_ONCE(job.done));
	memset(data, 7, sizeof(data));
	provide_page(fd, at, data);
	pthread_join(job.thread, NULL);
	EXPECT_EQ(0, job.result);
	EXPECT_EQ(self->queues + 4, zpci_shadow_stats().pinned);
	ASSERT_WORKS(arrives(m, self->iova, memory));
	close(fd);
}

/*
 * The refresh gives back its locks to wait: nothing else waits for it. These calls
 * would hang.
 */
TEST_F(zpci_uffd, no_call_waits)
{
	struct zpci_vm *m = &self->m;
	void *memory = anonymous();
	u8 data[PAGE_SIZE];
	struct job rpcit;
	int fd;
	u64 at;

	ASSERT_EQ(0, set_slot(m, memory));
	fd = watch_memory(memory, SIZE);
	zpci_guest_map(&m->guest, self->iova, GPA, PAGE_SIZE, 0);
	rpcit.iova = self->iova;
	start(&rpcit, m, do_rpcit);
	at = wait_for_fault(fd);
	EXPECT_TRUE(zpci_shadow_stats().attached);
	EXPECT_EQ(0, zpci_vm_stats(m).rpcits_user);
	EXPECT_EQ(0, zpci_vm_ioat_off(m));
	EXPECT_EQ(0, zpci_vm_ioat_on(m));
	EXPECT_EQ(0, zpci_function_reset(m->device));
	EXPECT_EQ(0, zpci_vm_attach(m));
	EXPECT_EQ(0, zpci_vm_detach(m));
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, 0));
	EXPECT_FALSE(READ_ONCE(rpcit.done));
	memset(data, 8, sizeof(data));
	provide_page(fd, at, data);
	pthread_join(rpcit.thread, NULL);
	/* There is no table any more. */
	EXPECT_EQ(-1, rpcit.result);
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, 0));
	ASSERT_EQ(0, zpci_vm_attach(m));
	close(fd);
}

/* The page never comes. A kill must end it, whatever else goes on. */
TEST_F(zpci_uffd, killed_while_waiting)
{
	static void *(* const jobs[])(void *) = {
		do_detach, do_close_zpci, do_close_function, do_delete_slot,
	};
	struct zpci_vm *m = &self->m;
	int i, j, ready[2], status;
	pid_t child;
	char byte;

	zpci_vm_close_zpci(m);
	zpci_vm_close_function(m);
	ASSERT_WORKS(zpci_pins_leaked(&self->before));
	for (i = 0; i < ARRAY_SIZE(jobs); i++) {
		ASSERT_EQ(0, pipe(ready));
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			struct job rpcit, job;
			void *memory = anonymous();
			struct zpci_vm vm;
			int fd;

			zpci_vm_setup(&vm, ZPCI_ON_DEMAND);
			rpcit.iova = vm.pba;
			TEST_ASSERT(!set_slot(&vm, memory), "no slot");
			fd = watch_memory(memory, SIZE);
			zpci_guest_map(&vm.guest, vm.pba, GPA, PAGE_SIZE, 0);
			start(&rpcit, &vm, do_rpcit);
			wait_for_fault(fd);
			start(&job, &vm, jobs[i]);
			usleep(20000);
			if (write(ready[1], "", 1) == 1)
				pause();
			_exit(1);
		}
		close(ready[1]);
		EXPECT_EQ(1, read(ready[0], &byte, 1)) {
			TH_LOG("round %d: child does not come up", i);
		}
		close(ready[0]);
		kill(child, SIGKILL);
		for (j = 0; j < 20000; j++) {
			if (waitpid(child, &status, WNOHANG) == child)
				break;
			usleep(5000);
		}
		ASSERT_GT(20000, j) {
			TH_LOG("round %d: process does not die", i);
		}
		EXPECT_TRUE(WIFSIGNALED(status));
		ASSERT_WORKS(zpci_pins_leaked(&self->before));
	}
	zpci_vm_open_function(m, ZPCI_ON_DEMAND);
	m->zpci = kvm_create_device(m->guest.vm, KVM_DEV_TYPE_S390_ZPCI);
	ASSERT_EQ(0, zpci_vm_start(m));
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_baseline_identify(reference);
	return zpci_harness_run(argc, argv);
}
