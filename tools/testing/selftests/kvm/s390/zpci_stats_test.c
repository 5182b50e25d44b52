// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the counters
 *
 * There are three sources: the attribute of the zPCI device, the binary
 * statistics of the vCPU, and the file of the function in debugfs. All must show
 * what happened.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_harness.h"
#include "zpci_vm.h"

FIXTURE(zpci_stats) {
	struct zpci_vm m;
	int vcpu_fd;
};

FIXTURE_SETUP(zpci_stats)
{
	zpci_vm_setup(&self->m, ZPCI_NESTED);
	self->m.guest.user_cc = 1;
	self->m.guest.user_status = 44;
	self->vcpu_fd = vcpu_get_stats_fd(self->m.guest.vcpu);
}

FIXTURE_TEARDOWN(zpci_stats)
{
	close(self->vcpu_fd);
	zpci_vm_destroy(&self->m);
}

/* Read a counter of the vCPU. */
static u64 vcpu_stat(int fd, const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *all, *desc;
	bool found = false;
	u64 value = 0;
	unsigned int i;

	read_stats_header(fd, &header);
	all = read_stats_descriptors(fd, &header);
	for (i = 0; i < header.num_desc && !found; i++) {
		desc = get_stats_descriptor(all, i, &header);
		if (strcmp(desc->name, name))
			continue;
		read_stat_data(fd, &header, desc, &value, 1);
		found = true;
	}
	free(all);
	TEST_ASSERT(found, "no counter '%s' of the virtual CPU", name);
	return value;
}

/* Compare the RPCITs of the device and of the vCPU. */
static void expect_rpcits(struct __test_metadata *_metadata,
			  struct zpci_vm *m, int vcpu_fd, u64 kernel, u64 user,
			  u64 nores)
{
	struct kvm_s390_zpci_ioat_stats s = zpci_vm_stats(m);

	EXPECT_EQ(kernel, s.rpcits);
	EXPECT_EQ(user, s.rpcits_user);
	EXPECT_EQ(nores, s.rpcits_nores);
	EXPECT_EQ(kernel, vcpu_stat(vcpu_fd, "rpcit_kernel"));
	EXPECT_EQ(user, vcpu_stat(vcpu_fd, "rpcit_user"));
	EXPECT_EQ(nores, vcpu_stat(vcpu_fd, "rpcit_nores"));
}

#define EXPECT_RPCITS(...) \
	expect_rpcits(_metadata, &self->m, self->vcpu_fd, __VA_ARGS__)

static void expect_frames(struct __test_metadata *_metadata, u64 mapped,
			  u64 unmapped, u64 peak)
{
	struct zpci_shadow_stats s = zpci_shadow_stats();

	EXPECT_TRUE(s.attached);
	EXPECT_EQ(mapped, s.mapped);
	EXPECT_EQ(unmapped, s.unmapped);
	EXPECT_EQ(mapped - unmapped, s.pinned);
	EXPECT_EQ(peak, s.pinned_peak);
	EXPECT_EQ(0, s.refresh_errors);
}

#define EXPECT_FRAMES(...) expect_frames(_metadata, __VA_ARGS__)

TEST_F(zpci_stats, pages)
{
	struct zpci_vm *m = &self->m;

	EXPECT_RPCITS(0, 0, 0);
	EXPECT_FRAMES(0, 0, 0);
	ASSERT_WORKS(zpci_vm_map(m, m->pba, ZPCI_GUEST_PAGE(10), 5 * PAGE_SIZE,
				 0));
	EXPECT_RPCITS(1, 0, 0);
	EXPECT_FRAMES(5, 0, 5);
	ASSERT_WORKS(zpci_vm_unmap(m, m->pba, 3 * PAGE_SIZE));
	EXPECT_RPCITS(2, 0, 0);
	EXPECT_FRAMES(5, 3, 5);
	EXPECT_EQ(2, zpci_shadow_stats().walks);
	EXPECT_LE(1, zpci_shadow_stats().refreshes);
	/* A page table and a segment table */
	EXPECT_EQ(2, zpci_shadow_stats().tables);

	/* The next table begins with zero. The KVM device goes on counting. */
	ASSERT_EQ(0, zpci_vm_attach(m));
	EXPECT_FRAMES(0, 0, 0);
	EXPECT_EQ(0, zpci_shadow_stats().walks);
	EXPECT_RPCITS(2, 0, 0);
	ASSERT_EQ(0, zpci_vm_detach(m));
	EXPECT_FALSE(zpci_shadow_stats().attached);
	ASSERT_EQ(0, zpci_vm_ioat_off(m));
	EXPECT_RPCITS(2, 0, 0);
}

/* Each reason to pass on an RPCIT has its counter. */
TEST_F(zpci_stats, refusals)
{
	struct zpci_vm *m = &self->m;
	u64 iova = m->pba;

	/* Outside the aperture: KVM counts it. Nothing is refreshed. */
	EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, m->pal + PAGE_SIZE,
				      PAGE_SIZE).exits);
	EXPECT_RPCITS(0, 1, 0);
	EXPECT_EQ(0, zpci_shadow_stats().walks);

	/* An entry of all zeroes */
	zpci_guest_map(&m->guest, iova, ZPCI_GUEST_PAGE(10), PAGE_SIZE, 0);
	zpci_guest_edit(&m->guest, IOAT_PAGE, iova, ~0UL, 0);
	EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, iova, PAGE_SIZE).exits);
	EXPECT_EQ(1, zpci_shadow_stats().refused_format);

	/* A frame where there is no memory */
	zpci_guest_edit(&m->guest, IOAT_PAGE, iova, ~0UL, 1UL << 50);
	EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, iova, PAGE_SIZE).exits);
	EXPECT_EQ(1, zpci_shadow_stats().refused_memory);

	/* An RPCIT that the kernel completes */
	zpci_guest_unmap(&m->guest, iova, PAGE_SIZE);
	EXPECT_EQ(0, zpci_guest_rpcit(&m->guest, iova, PAGE_SIZE).exits);
	EXPECT_RPCITS(1, 3, 0);
	EXPECT_EQ(3, zpci_shadow_stats().walks);
	EXPECT_EQ(0, zpci_shadow_stats().refused_host);

	/* An RPCIT for another handle does not count. */
	EXPECT_EQ(1, zpci_guest_rpcit_fh(&m->guest, ZPCI_GUEST_FH + 1, iova,
					 PAGE_SIZE, 0).exits);
	EXPECT_RPCITS(1, 3, 0);
	EXPECT_EQ(5, vcpu_stat(self->vcpu_fd, "instruction_rpcit"));

	/* One without a table does. */
	ASSERT_EQ(0, zpci_vm_detach(m));
	EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, iova, PAGE_SIZE).exits);
	EXPECT_RPCITS(1, 4, 0);
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	return zpci_harness_run(argc, argv);
}
