// SPDX-License-Identifier: GPL-2.0
/*
 * Test of closing the files of KVM and VFIO in every order
 *
 * The guest has DMA mapped, and its interruptions forwarded. Meanwhile its vCPU does
 * nothing, refreshes, or uses the function and takes its interruptions. In the end
 * nothing may be pinned or charged, and the function can be opened again, which the
 * next order does.
 *
 * All orders of all files take long on an emulated host. Faults depend on the
 * order of a few files. By default the test picks orders such that any STRENGTH
 * files occur in each of their orders, as far as time allows on a debug kernel.
 * With ZPCI_FULL in the environment it runs all orders.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <linux/vfio_zdev.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_harness.h"
#include "zpci_listener.h"
#include "zpci_scale.h"
#include "zpci_storm.h"
#include "zpci_vm.h"

#define STRENGTH	3
#define MAX_PARTS	7
#define MAPPED		(64 * PAGE_SIZE)

enum part { VM, VCPU, ZPCI, KVM_VFIO, DEVICE, IOMMU, GROUP };

static const char * const names[] = {
	"VM", "vCPU", "zPCI", "KVM-VFIO", "device", "container", "group",
};

/* Number of parts. A cdev has no group. */
static int nr_parts(const char *mode)
{
	return zpci_mode_is_cdev(mode) ? MAX_PARTS - 1 : MAX_PARTS;
}

typedef u8 order_t[MAX_PARTS];

/* Compute the next order in lexical order. Return false after the last. */
static bool next_order(u8 *order, int n)
{
	int i, j;
	u8 swap;

	for (i = n - 2; i >= 0 && order[i] > order[i + 1]; i--)
		;
	if (i < 0)
		return false;
	for (j = n - 1; order[j] < order[i]; j--)
		;
	swap = order[i], order[i] = order[j], order[j] = swap;
	for (i++, j = n - 1; i < j; i++, j--)
		swap = order[i], order[i] = order[j], order[j] = swap;
	return true;
}

static u8 covered[MAX_PARTS][MAX_PARTS][MAX_PARTS];

/* Count the new orders of STRENGTH parts in @order. Record them if @note. */
static int gain(const u8 *order, int n, bool note)
{
	int i, j, k, new = 0;

	for (i = 0; i < n; i++) {
		for (j = i + 1; j < n; j++) {
			for (k = j + 1; k < n; k++) {
				u8 *c = &covered[order[i]][order[j]][order[k]];

				new += !*c;
				*c |= note;
			}
		}
	}
	return new;
}

static void shuffle(u8 *order, int n, u64 *seed)
{
	int i, j;
	u8 swap;

	for (i = n - 1; i > 0; i--) {
		j = zpci_xorshift(seed) % (i + 1);
		swap = order[i], order[i] = order[j], order[j] = swap;
	}
}

/* Pick an order with new orders of STRENGTH parts, false if there is none. */
static bool next_covering(u8 *order, int n, u64 *seed)
{
	int i, new, most = 0;
	order_t best;

	for (i = 0; i < 64; i++) {
		shuffle(order, n, seed);
		new = gain(order, n, false);
		if (new > most) {
			most = new;
			memcpy(best, order, n);
		}
	}
	if (!most) {
		/* Random orders seldom find the last ones: search all. */
		for (i = 0; i < n; i++)
			order[i] = i;
		do {
			most = gain(order, n, false);
		} while (!most && next_order(order, n));
		memcpy(best, order, n);
	}
	memcpy(order, best, n);
	return gain(order, n, true);
}

static int part_fd(struct zpci_vm *m, enum part part)
{
	switch (part) {
	case VM:
		return m->guest.vm->fd;
	case VCPU:
		return m->guest.vcpu->fd;
	case ZPCI:
		return m->zpci;
	case KVM_VFIO:
		return m->kvm_vfio;
	case DEVICE:
		return m->device->fd;
	case IOMMU:
		return zpci_function_iommu_fd(m->device);
	case GROUP:
		return m->device->group_fd;
	}
	return -1;
}

/* Replace the file by /dev/null, so that a thread can still use its number. */
static void close_part(struct zpci_vm *m, enum part part)
{
	int null = open("/dev/null", O_RDWR);
	int fd = part_fd(m, part);

	/* Mapped BARs are references on the device file. */
	if (part == DEVICE)
		vfio_pci_bar_unmap_all(m->device);
	TEST_ASSERT(null >= 0 && dup2(null, fd) == fd, "dup2");
	close(null);
}

/* Work of the guest */
enum work { NOTHING, REFRESHING, INTERRUPTED };

/* Let a second vCPU use the controller. Its files belong to part VCPU. */
static const char *start_listener(struct zpci_listener *l, struct zpci_vm *m)
{
	const char *wrong;

	zpci_listener_create(l, m);
	l->mailbox->enabled = true;
	l->mailbox->cr6 = CR6_ALL;
	wrong = zpci_listener_prepare_pump(l);
	if (!wrong)
		wrong = zpci_listener_enable_msi(l, 0);
	if (wrong)
		return wrong;
	zpci_listener_start(l, LISTEN_PUMP);
	wrong = zpci_listener_await_rounds(l, 20);
	if (!wrong)
		wrong = zpci_listener_await_interruption(l);
	return wrong;
}

static void close_listener(struct zpci_listener *l)
{
	int null = open("/dev/null", O_RDWR);

	TEST_ASSERT(null >= 0 && dup2(null, l->vcpu->fd) == l->vcpu->fd &&
		    dup2(null, l->stats) == l->stats, "dup2");
	close(null);
}

static const char *map(struct zpci_vm *m)
{
	const char *wrong;

	if (zpci_vm_attach(m))
		return "no table";
	wrong = zpci_vm_map(m, m->pba, ZPCI_GUEST_MEM, MAPPED, 0);
	if (wrong)
		return wrong;
	return zpci_shadow_stats().pinned == MAPPED / PAGE_SIZE ?
	       NULL : "not all is mapped";
}

/* Set up, map and close in a process of its own. Return its exit code. */
static int close_all(const char *mode, const u8 *order, enum work work)
{
	struct zpci_storm storm = {
		.flags = STORM_RPCIT | STORM_WHOLE | STORM_PAGES,
		.gpa = ZPCI_GUEST_MEM,
		.frames = 64,
		.size = MAPPED,
		.seed = 1 + order[0],
		.count = ~0UL,
	};
	struct zpci_pins before = zpci_pins_now();
	bool running = work == REFRESHING;
	struct zpci_storm_thread thread;
	struct zpci_listener listener;
	const char *wrong;
	struct zpci_vm m;
	int i, n = nr_parts(mode);

	zpci_vm_create(&m, mode);
	storm.iova = m.pba;
	if (zpci_vm_bind(&m) || zpci_vm_ioat_on(&m)) {
		printf("# the function can't be bound\n");
		return 1;
	}
	if (zpci_vm_has(&m, VFIO_DEVICE_INFO_ZPCI_AIF_HOST) &&
	    zpci_vm_aif_register(&m, order[0] & 1 ? KVM_S390_ZPCI_AIF_HOST : 0)) {
		printf("# interruptions can't be forwarded\n");
		return 1;
	}
	wrong = zpci_mode_is_nested(mode) ? map(&m) : NULL;
	if (wrong) {
		printf("# pages can't be mapped: %s\n", wrong);
		return 1;
	}
	if (work == INTERRUPTED) {
		wrong = start_listener(&listener, &m);
		if (wrong) {
			printf("# no interruptions: %s\n", wrong);
			return 1;
		}
	}
	if (running) {
		m.guest.may_vanish = true;
		zpci_storm_start(&thread, &m.guest, &storm);
		zpci_storm_wait(&thread, 1);
	}
	for (i = 0; i < n; i++) {
		close_part(&m, order[i]);
		/* The mapping is a reference on the vCPU too. */
		if (order[i] == VCPU && !running)
			munmap(m.guest.vcpu->run, PAGE_SIZE);
		if (order[i] == VCPU && work == INTERRUPTED)
			close_listener(&listener);
	}
	if (running) {
		zpci_storm_stop(&thread);
		munmap(m.guest.vcpu->run, PAGE_SIZE);
	}
	if (work == INTERRUPTED) {
		zpci_listener_pause(&listener);
		munmap(listener.vcpu->run, PAGE_SIZE);
	}
	wrong = zpci_pins_leaked(&before);
	if (wrong)
		printf("# %s\n", wrong);
	return wrong ? 2 : 0;
}

static int run_child(const char *mode, const u8 *order, enum work work)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		exit(close_all(mode, order, work));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static const char *text(const u8 *order, int n)
{
	static char text[100];
	int i, len = 0;

	for (i = 0; i < n; i++)
		len += snprintf(text + len, sizeof(text) - len, "%s%s",
				i ? ", " : "", names[order[i]]);
	return text;
}

FIXTURE(zpci_close) {
	struct zpci_pins before;
};

FIXTURE_VARIANT(zpci_close) {
	const char *mode;
	enum work work;
};

/* Of a group, only the forwarding of interruptions ends: there is no table. */
FIXTURE_VARIANT_ADD(zpci_close, group) {
	.mode = ZPCI_GROUP,
};

FIXTURE_VARIANT_ADD(zpci_close, nested) {
	.mode = ZPCI_NESTED,
};

FIXTURE_VARIANT_ADD(zpci_close, nested_running) {
	.mode = ZPCI_NESTED, .work = REFRESHING,
};

FIXTURE_VARIANT_ADD(zpci_close, on_demand_running) {
	.mode = ZPCI_ON_DEMAND, .work = REFRESHING,
};

FIXTURE_VARIANT_ADD(zpci_close, nested_interrupted) {
	.mode = ZPCI_NESTED, .work = INTERRUPTED,
};

FIXTURE_SETUP(zpci_close)
{
	self->before = zpci_pins_now();
}

FIXTURE_TEARDOWN(zpci_close)
{
	/* All processes are gone */
	EXPECT_EQ(self->before.system, zpci_pins_now().system);
}

TEST_F_TIMEOUT(zpci_close, every_order, ZPCI_TIMEOUT)
{
	bool full = getenv("ZPCI_FULL");
	int n = nr_parts(variant->mode);
	u64 seed = 1;
	order_t order;
	bool more;
	int i, count = 0;

	if (variant->work == INTERRUPTED &&
	    !(kvm_check_cap(KVM_CAP_S390_ZPCI_DEVICE) & KVM_S390_ZPCI_CAP_AIF))
		SKIP(return, "no interruption forwarding");
	for (i = 0; i < n; i++)
		order[i] = i;
	more = full || next_covering(order, n, &seed);
	while (more && (full || count < zpci_scale(16))) {
		ASSERT_EQ(0, run_child(variant->mode, order, variant->work)) {
			TH_LOG("order: %s", text(order, n));
		}
		count++;
		more = full ? next_order(order, n) :
			      next_covering(order, n, &seed);
	}
	TH_LOG("%d orders of %d files", count, n);
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	return zpci_harness_run(argc, argv);
}
