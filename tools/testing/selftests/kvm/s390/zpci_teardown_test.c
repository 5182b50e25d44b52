// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the end of a guest's I/O translation table
 *
 * Parts are closed in any order. Each time nothing may stay pinned or charged,
 * the function must not reach guest memory, and it must work again afterwards.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_baseline.h"
#include "zpci_harness.h"
#include "zpci_vm.h"

/* Two pages of queues, one of data, a frame of 1 MiB */
#define PINNED	(2 + 1 + 256)

static u8 reference[NVME_IDENTIFY_SIZE];

/* Where the guest maps a page, and that page */
static u64 data_iova(struct zpci_vm *m)
{
	return (m->pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
}

#define DATA_GPA	ZPCI_GUEST_PAGE(20)

static const char *arrives(struct zpci_vm *m)
{
	void *hva = zpci_guest_hva(&m->guest, DATA_GPA);

	memset(hva, 0x55, PAGE_SIZE);
	return zpci_vm_identify(m, data_iova(m), hva, reference);
}

/* Let the guest map something of each kind and use it. */
static const char *use_function(struct zpci_vm *m)
{
	u64 iova = data_iova(m);
	const char *wrong;

	wrong = zpci_vm_start_nvme(m);
	if (!wrong)
		wrong = zpci_vm_map(m, iova, DATA_GPA, PAGE_SIZE, 0);
	if (!wrong)
		wrong = arrives(m);
	if (wrong)
		return wrong;
	zpci_guest_map_1m(&m->guest, iova + IOAT_FRAME_1M,
			  ZPCI_GUEST_MEM + 2 * IOAT_FRAME_1M, 0);
	if (zpci_guest_rpcit(&m->guest, iova + IOAT_FRAME_1M,
			     IOAT_FRAME_1M).cc)
		return "frame of 1 MiB could not be mapped";
	if (zpci_shadow_stats().pinned != PINNED)
		return "wrong number of pinned pages";
	return NULL;
}

/* The state of a test, and what was pinned before it */
struct state {
	struct zpci_vm m;
	struct zpci_pins before;
};

static const char *begin(struct state *s, const char *mode)
{
	const char *wrong;

	s->before = zpci_pins_now();
	zpci_vm_setup(&s->m, mode);
	wrong = use_function(&s->m);
	return wrong ? : zpci_vm_check_pins(&s->m, &s->before, PINNED);
}

/* Use the function again with a new VM. */
static const char *end(struct state *s, const char *mode)
{
	const char *wrong;

	zpci_vm_destroy(&s->m);
	zpci_vm_setup(&s->m, mode);
	wrong = use_function(&s->m);
	zpci_vm_destroy(&s->m);
	return wrong;
}

/*
 * Check that the controller can't write to the guest. It still has its queues.
 */
static const char *is_cut_off(struct zpci_vm *m)
{
	bool refused;

	zpci_vm_snapshot(m);
	refused = nvme_identify_ctrl(&m->nvme, data_iova(m), 0);
	if (zpci_vm_stray_write(m, NULL, 0) != ~0UL)
		return "function still writes to guest memory";
	return refused ? NULL : "DMA did not fail";
}

/*
 * Check what is left while the nested HWPT exists: all, for it keeps what it has
 * until it is destroyed.
 */
static const char *is_left(struct state *s)
{
	return zpci_vm_check_pins(&s->m, &s->before, PINNED);
}

FIXTURE(zpci_teardown) {
	struct state s;
};

FIXTURE_VARIANT(zpci_teardown) {
	const char *mode;
};

FIXTURE_VARIANT_ADD(zpci_teardown, nested) {
	.mode = ZPCI_NESTED,
};

FIXTURE_VARIANT_ADD(zpci_teardown, on_demand) {
	.mode = ZPCI_ON_DEMAND,
};

FIXTURE_SETUP(zpci_teardown)
{
	ASSERT_WORKS(begin(&self->s, variant->mode));
}

FIXTURE_TEARDOWN(zpci_teardown)
{
	ASSERT_WORKS(end(&self->s, variant->mode));
}

TEST_F(zpci_teardown, detach)
{
	struct zpci_vm *m = &self->s.m;
	struct zpci_rpcit r;

	ASSERT_EQ(0, zpci_function_detach(m->device));
	EXPECT_FALSE(zpci_shadow_stats().attached);
	ASSERT_WORKS(is_left(&self->s));
	r = zpci_guest_rpcit(&m->guest, m->pba, PAGE_SIZE);
	EXPECT_EQ(1, r.exits) {
		TH_LOG("kernel answers RPCIT without a table");
	}
	ASSERT_EQ(0, zpci_vm_detach(m));
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->s.before, 0));
	ASSERT_WORKS(is_cut_off(m));

	ASSERT_EQ(0, zpci_vm_attach(m));
	r = zpci_guest_rpcit(&m->guest, m->pba, m->pal + 1 - m->pba);
	EXPECT_EQ(0, r.exits);
	EXPECT_EQ(0, r.cc);
	EXPECT_EQ(PINNED, zpci_shadow_stats().pinned);
}

/* After another attach the table counts, not what was mapped before. */
TEST_F(zpci_teardown, attach_again)
{
	struct zpci_vm *m = &self->s.m;

	ASSERT_EQ(0, zpci_vm_attach(m));
	EXPECT_EQ(0, zpci_shadow_stats().pinned);
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->s.before, 0));
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, m->pba,
				      m->pal + 1 - m->pba).cc);
	EXPECT_EQ(PINNED, zpci_shadow_stats().pinned);
}

/* Attach the function to an IOAS: translation by VFIO, as before MPCIFC */
TEST_F(zpci_teardown, attach_ioas)
{
	struct zpci_vm *m = &self->s.m;

	ASSERT_EQ(0, zpci_function_attach(m->device));
	EXPECT_FALSE(zpci_shadow_stats().attached);
	ASSERT_WORKS(is_left(&self->s));
	ASSERT_WORKS(is_cut_off(m));
}

/* That takes no table from the function. */
TEST_F(zpci_teardown, close_kvm_device)
{
	zpci_vm_close_zpci(&self->s.m);
	ASSERT_WORKS(is_left(&self->s));
	ASSERT_WORKS(arrives(&self->s.m));
}

TEST_F(zpci_teardown, close_vfio_device)
{
	struct kvm_s390_zpci_ioat_stats stats;

	/* KVM holds it, too. */
	close(self->s.m.kvm_vfio);
	self->s.m.kvm_vfio = -1;
	vfio_pci_device_close(self->s.m.device);
	EXPECT_FALSE(zpci_shadow_stats().attached);
	ASSERT_WORKS(is_left(&self->s));
	/* The KVM device continues without a function. */
	EXPECT_EQ(ENODEV, zpci_vm_ioat_on(&self->s.m));
	EXPECT_EQ(ENOENT, zpci_vm_ioat_off(&self->s.m));
	EXPECT_EQ(0, zpci_vm_get_stats(&self->s.m, &stats));
	/* RPCITs of the guest go to user space now. */
	EXPECT_EQ(1, zpci_guest_rpcit(&self->s.m.guest, self->s.m.pba,
				      PAGE_SIZE).exits);
}

/* Bind the KVM device to the function that is opened again. */
TEST_F(zpci_teardown, reopen_vfio_device)
{
	zpci_vm_close_function(&self->s.m);
	zpci_vm_open_function(&self->s.m, variant->mode);
	zpci_guest_clear_tables(&self->s.m.guest);
	ASSERT_EQ(0, zpci_vm_start(&self->s.m));
	ASSERT_WORKS(use_function(&self->s.m));
}

/* Close the files of VM and vCPU first. The other files hold the VM. */
TEST_F(zpci_teardown, close_vm_first)
{
	struct zpci_vm *m = &self->s.m;

	kvm_vm_release(m->guest.vm);
	m->guest.vm = NULL;
	EXPECT_EQ(PINNED, zpci_shadow_stats().pinned);
	zpci_vm_close_function(m);
	ASSERT_WORKS(zpci_pins_leaked(&self->s.before));
}

TEST_F(zpci_teardown, close_vm_and_kvm_device_first)
{
	struct zpci_vm *m = &self->s.m;

	kvm_vm_release(m->guest.vm);
	m->guest.vm = NULL;
	zpci_vm_close_zpci(m);
	ASSERT_WORKS(is_left(&self->s));
}

/* Reset the function while it has its table. */
TEST_F(zpci_teardown, reset)
{
	ASSERT_EQ(0, zpci_function_reset(self->s.m.device));
	EXPECT_EQ(PINNED, zpci_shadow_stats().pinned) {
		TH_LOG("reset is not detach");
	}
	ASSERT_EQ(0, zpci_vm_detach(&self->s.m));
	ASSERT_WORKS(zpci_vm_check_pins(&self->s.m, &self->s.before, 0));
}

/* Kill the process: everything is closed at once. */
TEST_F(zpci_teardown, killed)
{
	int status, ready[2];
	pid_t child;
	char byte;

	zpci_vm_destroy(&self->s.m);
	ASSERT_WORKS(zpci_pins_leaked(&self->s.before));
	ASSERT_EQ(0, pipe(ready));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		const char *wrong;

		zpci_vm_setup(&self->s.m, variant->mode);
		wrong = use_function(&self->s.m);
		if (!wrong && write(ready[1], "", 1) == 1)
			pause();
		printf("# child: %s\n", wrong);
		_exit(1);
	}
	close(ready[1]);
	EXPECT_EQ(1, read(ready[0], &byte, 1)) {
		TH_LOG("child does not come up");
	}
	kill(child, SIGKILL);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	ASSERT_WORKS(zpci_pins_leaked(&self->s.before));
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_baseline_identify(reference);
	return zpci_harness_run(argc, argv);
}
