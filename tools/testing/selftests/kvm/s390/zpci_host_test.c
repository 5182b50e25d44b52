// SPDX-License-Identifier: GPL-2.0
/*
 * Test of host refreshes whose failure must not matter
 *
 * Injects each error that zpci_refresh_trans() returns. Needs
 * CONFIG_FAIL_FUNCTION. Memory and address spaces that go away must be released
 * without a successful refresh.
 */
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_fault.h"
#include "zpci_harness.h"
#include "zpci_slot.h"
#include "zpci_vm.h"

#define CC_ERR		1
#define ST_NO_RESOURCES	16

/* More refreshes than any call makes */
#define FOREVER		1000000

/* Let the next @times refreshes fail with @error. */
static void fail(int error, unsigned int times)
{
	zpci_fault_refresh(1, times, error);
}

FIXTURE(zpci_host) {
	struct zpci_vm m;
	struct zpci_pins before;
	u64 iova;
};

/**
 * FIXTURE_VARIANT(zpci_host) - an error
 * @mode: which parent, which does not matter
 * @error: an errno
 * @nores: the guest is told of insufficient resources, else user space is asked
 */
FIXTURE_VARIANT(zpci_host) {
	const char *mode;
	int error;
	bool nores;
};

FIXTURE_VARIANT_ADD(zpci_host, io_error) {
	.mode = ZPCI_NESTED, .error = EIO,
};

FIXTURE_VARIANT_ADD(zpci_host, no_resources) {
	.mode = ZPCI_ON_DEMAND, .error = ENOMEM, .nores = true,
};

FIXTURE_SETUP(zpci_host)
{
	self->before = zpci_pins_now();
	zpci_vm_setup(&self->m, variant->mode);
	self->iova = self->m.pba + 16 * PAGE_SIZE;
	ASSERT_WORKS(zpci_vm_map(&self->m, self->iova, ZPCI_GUEST_PAGE(20),
				 4 * PAGE_SIZE, 0));
}

FIXTURE_TEARDOWN(zpci_host)
{
	fail(variant->error, 0);
	zpci_vm_destroy(&self->m);
	ASSERT_WORKS(zpci_pins_leaked(&self->before));
}

/* Check that the guest or user space got the error, and that it is counted. */
static const char *has_failed(struct zpci_vm *m, u64 iova, u64 size, bool nores)
{
	struct zpci_shadow_stats before = zpci_shadow_stats(), after;
	u64 rpcits_nores = zpci_vm_stats(m).rpcits_nores;
	struct zpci_rpcit r = zpci_guest_rpcit(&m->guest, iova, size);

	after = zpci_shadow_stats();
	if (after.refresh_errors == before.refresh_errors)
		return "the error is not counted";
	if (nores)
		return !r.exits && r.cc == CC_ERR &&
		       r.status == ST_NO_RESOURCES &&
		       zpci_vm_stats(m).rpcits_nores == rpcits_nores + 1 ?
		       NULL : "not told of insufficient resources";
	return r.exits == 1 && after.refused_host == before.refused_host + 1 ?
	       NULL : "user space is not asked because of the host";
}

/* The kernel recovers from one lack of resources without the guest. */
TEST_F(zpci_host, once)
{
	struct zpci_vm *m = &self->m;

	zpci_guest_unmap(&m->guest, self->iova, PAGE_SIZE);
	fail(variant->error, 1);
	if (!variant->nores)
		ASSERT_WORKS(has_failed(m, self->iova, PAGE_SIZE, false));
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova, PAGE_SIZE).cc);
	EXPECT_EQ(3, zpci_shadow_stats().pinned);
}

/* The end of translation needs no refresh. */
TEST_F(zpci_host, detach)
{
	struct zpci_vm *m = &self->m;

	zpci_guest_unmap(&m->guest, self->iova, PAGE_SIZE);
	fail(variant->error, FOREVER);
	ASSERT_WORKS(has_failed(m, self->iova, PAGE_SIZE, variant->nores));
	ASSERT_EQ(0, zpci_vm_detach(m));
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, 0));
}

/*
 * Deleted memory must be out of reach even if the refresh fails: the function
 * loses its table.
 */
TEST_F(zpci_host, memory_slot)
{
	struct zpci_vm *m = &self->m;
	void *memory;

	memory = zpci_slot_memory(ZPCI_SLOT_SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_EQ(0, zpci_slot_set(m, ZPCI_SLOT, ZPCI_SLOT_GPA, memory,
				   ZPCI_SLOT_SIZE, 0));
	ASSERT_WORKS(zpci_vm_map(m, self->iova, ZPCI_SLOT_GPA, 2 * PAGE_SIZE,
				 0));
	fail(variant->error, FOREVER);
	ASSERT_EQ(0, zpci_slot_delete(m, ZPCI_SLOT));
	EXPECT_GE(2, zpci_shadow_stats().pinned) {
		TH_LOG("pages of a removed slot are still pinned");
	}
	EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, self->iova, PAGE_SIZE).exits);
	fail(variant->error, 0);
	/* Attach a table again. */
	ASSERT_EQ(0, zpci_vm_detach(m));
	ASSERT_WORKS(zpci_vm_check_pins(m, &self->before, 0));
	ASSERT_EQ(0, zpci_vm_attach(m));
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova + 2 * PAGE_SIZE,
				      2 * PAGE_SIZE).cc);
	EXPECT_EQ(2, zpci_shadow_stats().pinned);
}

/*
 * A reset refreshes the whole table. It fails if that fails, except for lack of
 * resources, and leaves the function disabled. The function can be closed,
 * without a warning when the domain of the DMA API is attached, and opened
 * again.
 */
TEST_F(zpci_host, reset)
{
	struct zpci_vm *m = &self->m;

	fail(variant->error, FOREVER);
	EXPECT_EQ(variant->nores, !zpci_function_reset(m->device));
	zpci_vm_close_function(m);
	ASSERT_WORKS(zpci_pins_leaked(&self->before));
	fail(variant->error, 0);

	zpci_vm_open_function(m, variant->mode);
	ASSERT_EQ(0, zpci_vm_start(m));
	ASSERT_EQ(0, zpci_guest_rpcit(&m->guest, self->iova, 4 * PAGE_SIZE).cc);
	EXPECT_EQ(4, zpci_shadow_stats().pinned);
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	zpci_fault_require();
	return zpci_harness_run(argc, argv);
}
