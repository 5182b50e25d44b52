/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory of a guest that comes and goes
 *
 * Beside the library's own memory slots, of which it would lose track.
 */
#ifndef SELFTEST_KVM_ZPCI_SLOT_H
#define SELFTEST_KVM_ZPCI_SLOT_H

#include <linux/types.h>

#include "ioat.h"

struct zpci_vm;

/* The first one, and where to put one that no code of the guest uses */
#define ZPCI_SLOT		20
#define ZPCI_SLOTS		2
#define ZPCI_SLOT_GPA		0x30000000UL
#define ZPCI_SLOT_SIZE		IOAT_FRAME_1M

void *zpci_slot_memory(u64 size, int prot, int flags, int fd);
int zpci_slot_set(struct zpci_vm *m, u32 slot, u64 gpa, void *hva, u64 size,
		  u32 flags);
int zpci_slot_delete(struct zpci_vm *m, u32 slot);

#endif /* SELFTEST_KVM_ZPCI_SLOT_H */
