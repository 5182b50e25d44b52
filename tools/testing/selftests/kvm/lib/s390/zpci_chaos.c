// SPDX-License-Identifier: GPL-2.0
/*
 * vCPUs change and refresh tables while other threads tear down
 *
 * All of it runs in a process of its own. Three threads run vCPUs. One thread
 * attaches and detaches tables, resets, and switches KVM. One thread changes memory
 * slots and their memory. Any operation may fail at any time. The kernel must
 * survive, and nothing may be left pinned at the end.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ioat.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "zpci_chaos.h"
#include "zpci_slot.h"
#include "zpci_storm.h"
#include "zpci_vm.h"

#define NR_VCPUS	3

/* The other address of the slot */
#define SLOT_ELSEWHERE	0x38000000UL

struct chaos {
	struct zpci_vm m;
	struct zpci_guest peers[NR_VCPUS - 1];
	struct zpci_guest *cpu[NR_VCPUS];
	struct zpci_storm_thread vcpus[NR_VCPUS];
	void *memory[2];
	u64 seed;
	bool stop;
};

static void nap(u64 *seed, unsigned int most_us)
{
	usleep(zpci_xorshift(seed) % most_us);
}

static void *operator(void *arg)
{
	struct kvm_s390_zpci_ioat_stats stats;
	struct chaos *c = arg;
	u64 seed = c->seed + 1000;

	while (!READ_ONCE(c->stop)) {
		switch (zpci_xorshift(&seed) % 16) {
		case 0 ... 1:
			zpci_vm_detach(&c->m);
			break;
		case 2 ... 6:
			zpci_vm_attach(&c->m);
			break;
		case 7:
			zpci_vm_attach_table(&c->m,
					     zpci_guest_iota(&c->m.guest),
					     c->m.pba,
					     c->m.pba + IOAT_FRAME_1M - 1);
			break;
		case 8:
			zpci_vm_ioat_off(&c->m);
			break;
		case 9 ... 10:
			zpci_vm_ioat_on(&c->m);
			break;
		case 11:
			zpci_vm_bind(&c->m);
			break;
		case 12:
			zpci_function_reset(c->m.device);
			break;
		case 13:
			zpci_function_detach(c->m.device);
			break;
		case 14:
			zpci_shadow_stats();
			break;
		default:
			zpci_vm_get_stats(&c->m, &stats);
			break;
		}
		nap(&seed, 2000);
	}
	return NULL;
}

static int set_slot(struct chaos *c, u64 gpa, u64 size, void *memory)
{
	return zpci_slot_set(&c->m, ZPCI_SLOT, gpa, memory, size, 0);
}

static void *landlord(void *arg)
{
	struct chaos *c = arg;
	u64 seed = c->seed + 2000, choice;
	void *memory;

	while (!READ_ONCE(c->stop)) {
		choice = zpci_xorshift(&seed);
		memory = c->memory[choice >> 8 & 1];
		switch (choice % 8) {
		case 0 ... 1:
			set_slot(c, ZPCI_SLOT_GPA, 0, memory);
			break;
		case 2 ... 3:
			set_slot(c, ZPCI_SLOT_GPA, ZPCI_SLOT_SIZE, memory);
			break;
		case 4:
			set_slot(c, SLOT_ELSEWHERE, ZPCI_SLOT_SIZE, memory);
			break;
		case 5:
			madvise(memory, ZPCI_SLOT_SIZE, MADV_DONTNEED);
			break;
		case 6:
			mprotect(memory, ZPCI_SLOT_SIZE / 2, PROT_READ);
			break;
		case 7:
			mprotect(memory, ZPCI_SLOT_SIZE / 2, PROT_READ | PROT_WRITE);
			break;
		}
		nap(&seed, 2000);
	}
	return NULL;
}

static void start_vcpus(struct chaos *c)
{
	struct zpci_storm storm = { .size = 4 * IOAT_FRAME_1M, .count = ~0UL };
	int i;

	storm.iova = (c->m.pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
	c->cpu[0] = &c->m.guest;
	for (i = 1; i < NR_VCPUS; i++) {
		c->cpu[i] = &c->peers[i - 1];
		zpci_guest_add_vcpu(&c->m.guest, c->cpu[i]);
	}
	for (i = 0; i < 4; i++)
		zpci_guest_unmap(&c->m.guest, storm.iova + i * IOAT_FRAME_1M,
				 PAGE_SIZE);
	for (i = 0; i < NR_VCPUS; i++) {
		/*
		 * Only the first vCPU writes invalid entries: it needs tables
		 * of its own. The frames are in the slot or in the other guest
		 * memory.
		 */
		storm.flags = STORM_RPCIT | STORM_WHOLE;
		if (!i)
			storm.flags |= STORM_PAGES;
		if (!i && c->seed & 1)
			storm.flags |= STORM_SPOIL;
		storm.gpa = c->seed & 2 ? ZPCI_SLOT_GPA : ZPCI_GUEST_MEM;
		storm.frames = ZPCI_SLOT_SIZE / PAGE_SIZE;
		storm.seed = c->seed * NR_VCPUS + i + 1;
		c->cpu[i]->may_vanish = true;
		zpci_storm_start(&c->vcpus[i], c->cpu[i], &storm);
	}
}

/* Replace each file by /dev/null, so that threads can still use its number. */
static void close_files(struct chaos *c, u64 *seed)
{
	int fds[] = {
		c->m.guest.vm->fd, c->cpu[0]->vcpu->fd, c->cpu[1]->vcpu->fd,
		c->cpu[2]->vcpu->fd, c->m.zpci, c->m.kvm_vfio, c->m.device->fd,
		zpci_function_iommu_fd(c->m.device),
	};
	int null = open("/dev/null", O_RDWR);
	int i, j, fd;

	/* Mapped BARs are references on the device file. */
	vfio_pci_bar_unmap_all(c->m.device);
	for (i = ARRAY_SIZE(fds) - 1; i >= 0; i--) {
		j = zpci_xorshift(seed) % (i + 1);
		fd = fds[j];
		fds[j] = fds[i];
		if (fd >= 0)
			dup2(null, fd);
		nap(seed, 2000);
	}
	close(null);
}

static const char *at_rest(struct chaos *c)
{
	static char text[160];
	struct zpci_rpcit r;

	/* Every call must succeed from here on. */
	zpci_vm_ioat_on(&c->m);
	if (zpci_vm_ioat_off(&c->m) || zpci_vm_detach(&c->m))
		return "the table can't be detached any more";
	if (zpci_shadow_stats().attached)
		return "a table is attached after all";
	mprotect(c->memory[0], ZPCI_SLOT_SIZE, PROT_READ | PROT_WRITE);
	set_slot(c, ZPCI_SLOT_GPA, 0, c->memory[0]);
	set_slot(c, ZPCI_SLOT_GPA, ZPCI_SLOT_SIZE, c->memory[0]);
	if (zpci_vm_ioat_on(&c->m) || zpci_vm_attach(&c->m))
		return "a table can't be attached any more";
	zpci_guest_map(&c->m.guest, c->m.pba, ZPCI_SLOT_GPA, PAGE_SIZE, 0);
	r = zpci_guest_rpcit(&c->m.guest, c->m.pba, PAGE_SIZE);
	if (r.cc || r.exits) {
		snprintf(text, sizeof(text),
			 "RPCIT does not work any more: cc %u, status %u, exits %u, refresh errors %lu",
			 r.cc, r.status, r.exits,
			 zpci_shadow_stats().refresh_errors);
		return text;
	}
	if (zpci_shadow_stats().pinned != 1)
		return "page is not pinned";
	return NULL;
}

static const char *process(const char *mode, enum zpci_chaos_end end,
			   u64 seed, int ready)
{
	struct zpci_pins before = zpci_pins_now();
	static struct chaos chaos;
	struct chaos *c = &chaos;
	const char *wrong = NULL;
	pthread_t threads[2];
	int i;

	c->seed = seed;
	zpci_vm_setup(&c->m, mode);
	for (i = 0; i < 2; i++)
		c->memory[i] = zpci_slot_memory(ZPCI_SLOT_SIZE,
						PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS,
						-1);
	set_slot(c, ZPCI_SLOT_GPA, ZPCI_SLOT_SIZE, c->memory[0]);

	start_vcpus(c);
	pthread_create(&threads[0], NULL, operator, c);
	pthread_create(&threads[1], NULL, landlord, c);
	for (i = 0; i < NR_VCPUS; i++)
		zpci_storm_wait(&c->vcpus[i], 10);
	if (write(ready, "", 1) != 1)
		return "parent is gone";
	if (end == ZPCI_CHAOS_KILL)
		pause();
	usleep(20000);
	nap(&seed, 50000);

	if (end == ZPCI_CHAOS_CLOSE)
		close_files(c, &seed);
	WRITE_ONCE(c->stop, true);
	for (i = 0; i < NR_VCPUS; i++)
		zpci_storm_stop(&c->vcpus[i]);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	if (end == ZPCI_CHAOS_ORDER) {
		wrong = at_rest(c);
		zpci_vm_destroy(&c->m);
	} else {
		for (i = 0; i < NR_VCPUS; i++)
			munmap(c->cpu[i]->vcpu->run, PAGE_SIZE);
	}
	return wrong ? : zpci_pins_leaked(&before);
}

/* Run one process. Return NULL or an error text. */
const char *zpci_chaos(const char *mode, enum zpci_chaos_end end,
		       u64 seed)
{
	static char text[200];
	const char *wrong;
	int ready[2], back[2], status, len;
	pid_t pid;
	char byte;

	if (pipe(ready) || pipe(back))
		return "no pipe";
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return "no process";
	if (!pid) {
		close(ready[0]);
		wrong = process(mode, end, seed, ready[1]);
		if (wrong && write(back[1], wrong, strlen(wrong)) < 0)
			_exit(2);
		_exit(!!wrong);
	}
	close(ready[1]);
	close(back[1]);
	if (read(ready[0], &byte, 1) == 1 && end == ZPCI_CHAOS_KILL) {
		nap(&seed, 50000);
		kill(pid, SIGKILL);
	}
	len = 0;
	if (waitpid(pid, &status, 0) != pid)
		return "process is lost";
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		len = read(back[0], text, sizeof(text) - 1);
	close(ready[0]);
	close(back[0]);
	text[len > 0 ? len : 0] = '\0';
	if (len > 0)
		return text;
	if (end == ZPCI_CHAOS_KILL ? WIFSIGNALED(status) : !status)
		return NULL;
	snprintf(text, sizeof(text), "process ended with status 0x%x", status);
	return text;
}
