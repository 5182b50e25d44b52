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
#include "zpci_vm.h"

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

/* KVM does not tell the parent of nested HWPTs. Unmap old memory, map new. */
static int follow(struct zpci_vm *m, struct kvm_userspace_memory_region2 *old,
		  const struct kvm_userspace_memory_region2 *new)
{
	int err;

	if (old->memory_size == new->memory_size &&
	    old->guest_phys_addr == new->guest_phys_addr)
		return 0;
	if (old->memory_size) {
		err = zpci_vm_unplug(m, old);
		if (err)
			return err;
	}
	*old = *new;
	if (!new->memory_size)
		return 0;
	err = zpci_vm_plug(m, new);
	if (err)
		old->memory_size = 0;
	return err;
}

/* Make, move or change a slot. Returns 0 or an errno. */
int zpci_slot_set(struct zpci_vm *m, u32 slot, u64 gpa, void *hva, u64 size,
		  u32 flags)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	if (ioctl(m->guest.vm->fd, KVM_SET_USER_MEMORY_REGION2, &region))
		return errno;
	return follow(m, &m->slots[slot - ZPCI_SLOT], &region);
}

int zpci_slot_delete(struct zpci_vm *m, u32 slot)
{
	return zpci_slot_set(m, slot, 0, NULL, 0, 0);
}
