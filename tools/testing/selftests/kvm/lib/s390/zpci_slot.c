// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a guest that comes and goes
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kvm_util.h"
#include "test_util.h"
#include "zpci_slot.h"

/*
 * Memory that begins at a boundary of 1 MiB, as s390 wants it of slots. What
 * mmap() takes may be given; a file is mapped from its beginning.
 */
void *zpci_slot_memory(u64 size, int prot, int flags, int fd)
{
	void *area, *at;

	area = mmap(NULL, size + IOAT_FRAME_1M, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	TEST_ASSERT(area != MAP_FAILED, "no address space");
	at = (void *)(((uintptr_t)area + IOAT_FRAME_1M - 1) &
		      ~(IOAT_FRAME_1M - 1));
	at = mmap(at, size, prot, flags | MAP_FIXED, fd, 0);
	TEST_ASSERT(at != MAP_FAILED, "no memory: %s", strerror(errno));
	return at;
}

/* Make, move or change a slot. Returns 0 or an errno. */
int zpci_slot_set(struct zpci_guest *g, u32 slot, u64 gpa, void *hva, u64 size,
		  u32 flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(g->vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? errno : 0;
}

int zpci_slot_delete(struct zpci_guest *g, u32 slot)
{
	return zpci_slot_set(g, slot, 0, NULL, 0, 0);
}
