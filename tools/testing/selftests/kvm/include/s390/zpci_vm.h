/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A virtual machine with an NVMe function passed through to it
 */
#ifndef SELFTEST_KVM_ZPCI_VM_H
#define SELFTEST_KVM_ZPCI_VM_H

#include <stdbool.h>
#include <linux/types.h>

#include <libvfio/nvme.h>

#include "zpci_function.h"
#include "zpci_guest.h"
#include "zpci_pins.h"
#include "zpci_shadow.h"
#include "zpci_slot.h"

/*
 * The harness gives a test 30 seconds. A debug kernel on a busy machine needs
 * more. The limit that the runner sets for the program still holds.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

/*
 * The aperture of the guest's table, relative to the first DMA address. It
 * begins and ends within a segment, and not at the first or last entry of any
 * table.
 */
#define ZPCI_VM_PBA_OFFSET	0x103000UL
#define ZPCI_VM_PAL_OFFSET	0x40a4fffUL

/* Pages of the guest's DMA memory that the queues occupy */
enum {
	ZPCI_PAGE_ASQ,
	ZPCI_PAGE_ACQ,
	ZPCI_PAGE_SQ,
	ZPCI_PAGE_CQ,
	ZPCI_PAGE_FREE,
};

/* Guest memory for interruption indicators */
#define ZPCI_VM_IBV	(ZPCI_GUEST_MEM + ZPCI_GUEST_MEM_SIZE - 2 * PAGE_SIZE)
#define ZPCI_VM_SB	(ZPCI_GUEST_MEM + ZPCI_GUEST_MEM_SIZE - PAGE_SIZE)

/**
 * struct zpci_vm - virtual machine, function, and what connects them
 * @guest: the guest
 * @device: the function
 * @mode: how it was opened
 * @start_dma: its first DMA address
 * @end_dma: its last DMA address
 * @nvme: the controller
 * @kvm_vfio: file descriptor of the KVM VFIO device
 * @zpci: file descriptor of the KVM zPCI device
 * @ioas: the guest's memory as its functions see it, 0 if the mode has none
 * @parent: HWPT on @ioas
 * @plugged: bytes of memory in @ioas
 * @nested: HWPT of the guest's table, 0 if none
 * @slots: memory that @ioas has beside that of the library's slots
 * @pba: first I/O address of the guest's table
 * @pal: last I/O address of the guest's table
 * @copy: guest memory as it was at zpci_vm_snapshot()
 */
struct zpci_vm {
	struct zpci_guest guest;
	struct vfio_pci_device *device;
	const char *mode;
	u64 start_dma;
	u64 end_dma;
	struct nvme_ctrl nvme;
	int kvm_vfio;
	int zpci;
	u32 ioas;
	u32 parent;
	u64 plugged;
	u32 nested;
	struct kvm_userspace_memory_region2 slots[ZPCI_SLOTS];
	u64 pba;
	u64 pal;
	void *copy;
};

void zpci_vm_require(void);
void zpci_vm_create(struct zpci_vm *m, const char *mode);
void zpci_vm_setup(struct zpci_vm *m, const char *mode);
void zpci_vm_setup_nvme(struct zpci_vm *m, const char *mode, bool io);
void zpci_vm_destroy(struct zpci_vm *m);
void zpci_vm_open_function(struct zpci_vm *m, const char *mode);
void zpci_vm_close_function(struct zpci_vm *m);
void zpci_vm_close_zpci(struct zpci_vm *m);

int zpci_vm_plug(struct zpci_vm *m,
		 const struct kvm_userspace_memory_region2 *memory);
int zpci_vm_unplug(struct zpci_vm *m,
		   const struct kvm_userspace_memory_region2 *memory);
void zpci_vm_make_pinnable(struct zpci_vm *m);
struct zpci_pins zpci_vm_pins(struct zpci_vm *m, u64 frames);
const char *zpci_vm_check_pins(struct zpci_vm *m, const struct zpci_pins *before,
			       u64 frames);

int zpci_vm_bind(struct zpci_vm *m);
int zpci_vm_ioat_on(struct zpci_vm *m);
int zpci_vm_ioat_off(struct zpci_vm *m);
int zpci_vm_attach(struct zpci_vm *m);
int zpci_vm_attach_table(struct zpci_vm *m, u64 iota, u64 pba, u64 pal);
int zpci_vm_detach(struct zpci_vm *m);
int zpci_vm_start(struct zpci_vm *m);
int zpci_vm_recover(struct zpci_vm *m);
int zpci_vm_get_stats(struct zpci_vm *m, struct kvm_s390_zpci_ioat_stats *s);
struct kvm_s390_zpci_ioat_stats zpci_vm_stats(struct zpci_vm *m);

bool zpci_vm_has(struct zpci_vm *m, u32 flag);
struct kvm_s390_zpci_aif zpci_vm_aif(void);
int zpci_vm_aif_register(struct zpci_vm *m, u32 flags);
int zpci_vm_aif_deregister(struct zpci_vm *m);
int zpci_vm_aif_stats(struct zpci_vm *m, struct kvm_s390_zpci_aif_stats *s);
int zpci_vm_interp(struct zpci_vm *m, bool on);
int zpci_vm_interp_state(struct zpci_vm *m, struct kvm_s390_zpci_interp *s);

u64 zpci_vm_queue_iova(struct zpci_vm *m, int page);
const char *zpci_vm_map(struct zpci_vm *m, u64 iova, u64 gpa, u64 size,
			u64 flags);
const char *zpci_vm_unmap(struct zpci_vm *m, u64 iova, u64 size);
const char *zpci_vm_start_nvme(struct zpci_vm *m);
const char *zpci_vm_start_io(struct zpci_vm *m);
const char *zpci_vm_identify(struct zpci_vm *m, u64 iova, const void *hva,
			     const void *expected);

void zpci_vm_snapshot(struct zpci_vm *m);
u64 zpci_vm_stray_write(struct zpci_vm *m, const u64 *pages, int nr_pages);

/*
 * Assert that a call returns NULL. Log its error text: the macros of the
 * harness print a pointer.
 */
#define ASSERT_WORKS(call) do {						\
	const char *__wrong = (call);					\
									\
	ASSERT_NULL(__wrong) {						\
		TH_LOG("%s: %s", #call, __wrong);			\
	}								\
} while (0)

#endif /* SELFTEST_KVM_ZPCI_VM_H */
