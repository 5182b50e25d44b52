// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the counters
 *
 * There are three sources: the attribute of the zPCI device, the binary
 * statistics of the VM and of its vCPU, and the file of the function in
 * debugfs. All must show what happened.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ioat.h"
#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_function.h"
#include "zpci_harness.h"
#include "zpci_vm.h"

FIXTURE(zpci_stats) {
	struct zpci_vm m;
	int vcpu_fd;
};

FIXTURE_SETUP(zpci_stats)
{
	zpci_vm_setup(&self->m, ZPCI_GROUP);
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

/* Open the file of the function in debugfs. */
static FILE *debugfs_open(void)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/pci/%s/statistics",
		 zpci_function_find());
	return fopen(path, "r");
}

/* Read a counter of the file. Return -1 if there is none. */
static s64 debugfs_stat(const char *name)
{
	char line[256], *colon;
	s64 value = -1;
	FILE *f;

	f = debugfs_open();
	TEST_ASSERT(f, "no statistics of the function: is debugfs mounted?");
	while (fgets(line, sizeof(line), f)) {
		colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = 0;
		if (!strcmp(line + strspn(line, " "), name))
			value = strtoll(colon + 1, NULL, 10);
	}
	fclose(f);
	return value;
}

/* Compare the RPCITs of all sources. */
static void expect_rpcits(struct __test_metadata *_metadata,
			  struct zpci_vm *m, int vcpu_fd, u64 kernel, u64 user,
			  u64 nores)
{
	struct kvm_s390_zpci_ioat_stats s = zpci_vm_stats(m);

	EXPECT_EQ(kernel, s.rpcits);
	EXPECT_EQ(user, s.rpcits_user);
	EXPECT_EQ(nores, s.rpcits_nores);
	EXPECT_EQ(s.rpcits_user, s.user_range + s.user_format +
		  s.user_memory + s.user_host + s.user_gone);
	EXPECT_EQ(kernel, vcpu_stat(vcpu_fd, "rpcit_kernel"));
	EXPECT_EQ(user, vcpu_stat(vcpu_fd, "rpcit_user"));
	EXPECT_EQ(nores, vcpu_stat(vcpu_fd, "rpcit_nores"));
}

#define EXPECT_RPCITS(...) \
	expect_rpcits(_metadata, &self->m, self->vcpu_fd, __VA_ARGS__)

/* Compare the frames of all sources. */
static void expect_frames(struct __test_metadata *_metadata,
			  struct zpci_vm *m, u64 now, u64 peak)
{
	struct kvm_s390_zpci_ioat_stats s = zpci_vm_stats(m);
	struct kvm_vm *vm = m->guest.vm;

	EXPECT_EQ(now, s.pinned);
	EXPECT_EQ(now, s.mapped - s.unmapped);
	EXPECT_EQ(peak, s.pinned_peak);
	EXPECT_EQ(now, vm_get_stat(vm, zpci_frames_pinned));
	EXPECT_EQ(peak, vm_get_stat(vm, zpci_frames_pinned_peak));
	EXPECT_EQ(now, debugfs_stat("Frames pinned now"));
	EXPECT_EQ(now, debugfs_stat("Frames mapped now"));
	EXPECT_EQ(peak, debugfs_stat("Frames pinned at peak"));
	EXPECT_EQ(s.mapped, debugfs_stat("Frames mapped"));
	EXPECT_EQ(s.unmapped, debugfs_stat("Frames unmapped"));
	EXPECT_EQ(s.refreshes, debugfs_stat("Host RPCITs"));
	EXPECT_EQ(s.refresh_errors, debugfs_stat("Host RPCITs failed"));
	EXPECT_EQ(s.tables, debugfs_stat("Tables now"));
}

#define EXPECT_FRAMES(...) expect_frames(_metadata, &self->m, __VA_ARGS__)

TEST_F(zpci_stats, pages)
{
	struct zpci_vm *m = &self->m;

	EXPECT_RPCITS(0, 0, 0);
	EXPECT_FRAMES(0, 0);
	ASSERT_WORKS(zpci_vm_map(m, m->pba, ZPCI_GUEST_PAGE(10), 5 * PAGE_SIZE,
				 0));
	EXPECT_RPCITS(1, 0, 0);
	EXPECT_FRAMES(5, 5);
	ASSERT_WORKS(zpci_vm_unmap(m, m->pba, 3 * PAGE_SIZE));
	EXPECT_RPCITS(2, 0, 0);
	EXPECT_FRAMES(2, 5);
	EXPECT_EQ(2, debugfs_stat("Guest refreshes"));
	/* A page table and a segment table */
	EXPECT_EQ(2, zpci_vm_stats(m).tables);

	/* Counters keep their values. Nothing is pinned any more. */
	ASSERT_EQ(0, zpci_vm_deregister(m));
	EXPECT_EQ(0, zpci_vm_stats(m).pinned);
	EXPECT_EQ(5, zpci_vm_stats(m).pinned_peak);
	EXPECT_EQ(0, zpci_vm_stats(m).tables);
	EXPECT_EQ(0, vm_get_stat(m->guest.vm, zpci_frames_pinned));
	EXPECT_EQ(-1, debugfs_stat("Frames pinned now"));
}

/* Each reason to pass on an RPCIT has its counter. */
TEST_F(zpci_stats, refusals)
{
	struct kvm_s390_zpci_ioat_stats s;
	struct zpci_vm *m = &self->m;
	u64 iova = m->pba;

	/* Outside the aperture: KVM counts it, the shadow does not. */
	EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, m->pal + PAGE_SIZE,
				      PAGE_SIZE).exits);
	EXPECT_EQ(1, zpci_vm_stats(m).user_range);

	/* An entry of all zeroes */
	zpci_guest_map(&m->guest, iova, ZPCI_GUEST_PAGE(10), PAGE_SIZE, 0);
	zpci_guest_edit(&m->guest, IOAT_PAGE, iova, ~0UL, 0);
	EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, iova, PAGE_SIZE).exits);
	EXPECT_EQ(1, zpci_vm_stats(m).user_format);
	EXPECT_EQ(1, debugfs_stat("Refused, bad entry"));

	/* A frame where there is no memory */
	zpci_guest_edit(&m->guest, IOAT_PAGE, iova, ~0UL, 1UL << 50);
	EXPECT_EQ(1, zpci_guest_rpcit(&m->guest, iova, PAGE_SIZE).exits);
	EXPECT_EQ(1, zpci_vm_stats(m).user_memory);
	EXPECT_EQ(1, debugfs_stat("Refused, no such memory"));

	/* An RPCIT that the kernel completes */
	zpci_guest_unmap(&m->guest, iova, PAGE_SIZE);
	EXPECT_EQ(0, zpci_guest_rpcit(&m->guest, iova, PAGE_SIZE).exits);
	EXPECT_RPCITS(1, 3, 0);
	s = zpci_vm_stats(m);
	EXPECT_EQ(0, s.user_host);
	EXPECT_EQ(0, s.user_gone);
	EXPECT_EQ(3, debugfs_stat("Guest refreshes"));

	/* An RPCIT for another handle does not count. */
	EXPECT_EQ(1, zpci_guest_rpcit_fh(&m->guest, ZPCI_GUEST_FH + 1, iova,
					 PAGE_SIZE, 0).exits);
	EXPECT_RPCITS(1, 3, 0);
	EXPECT_EQ(5, vcpu_stat(self->vcpu_fd, "instruction_rpcit"));
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	return zpci_harness_run(argc, argv);
}
