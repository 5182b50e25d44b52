/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pins of guest frames for DMA, some of them kept for the next time
 *
 * Copyright (C) 2026 the authors of the s390 KVM zPCI series
 */
#ifndef __KVM_S390_PCI_PINS_H
#define __KVM_S390_PCI_PINS_H

#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct kvm;
struct kvm_memory_slot;
struct kvm_s390_pin;
struct page;
struct s390_shadow_frame;
struct shrinker;

/**
 * struct kvm_s390_pins - the pins of one registration
 * @kvm: the VM
 * @lock_cap: whoever registered may exceed RLIMIT_MEMLOCK
 * @lock: protects everything below
 * @table: pins that are known by the guest frame, KVM_S390_PINS of them
 * @hvas: how many of the pins in @table are at a user address, by its last bits
 * @used: mappings of frames that are pinned for them, known or not
 * @kept: pins in @table that are for no mapping
 * @reserved: frames that are charged and not pinned yet
 * @charged: frames that are charged to the VM's process, which is @used, @kept and
 *	@reserved together, or more
 * @first_hva: no pin in @table has a lower user address
 * @last_hva: no pin in @table has a higher one
 * @invalidating: how many are just taking memory away from the process
 * @invalidated: how often that has been
 * @ended: nothing is kept any more
 * @scheduled: @work is scheduled
 * @round: counts the rounds of @work
 * @work: gives back what was not used for a while, and what is charged for nothing
 * @shrinker: gives back what is kept when memory is scarce
 * @notifier: learns what memory is taken away from the process
 */
struct kvm_s390_pins {
	struct kvm *kvm;
	bool lock_cap;
	spinlock_t lock;	/* protects what follows */
	struct kvm_s390_pin *table;
	u16 *hvas;
	unsigned long used;
	unsigned long kept;
	unsigned long reserved;
	unsigned long charged;
	unsigned long first_hva;
	unsigned long last_hva;
	unsigned int invalidating;
	unsigned long invalidated;
	bool ended;
	bool scheduled;
	u8 round;
	struct delayed_work work;
	struct shrinker *shrinker;
	struct mmu_notifier notifier;
};

int kvm_s390_pins_init(struct kvm_s390_pins *pins, struct kvm *kvm,
		       bool lock_cap);
void kvm_s390_pins_stop(struct kvm_s390_pins *pins);
void kvm_s390_pins_end(struct kvm_s390_pins *pins);
void kvm_s390_pins_release(struct kvm_s390_pins *pins);
int kvm_s390_pins_charge(struct kvm_s390_pins *pins, unsigned long nr);
unsigned long kvm_s390_pins_give_back(struct kvm_s390_pins *pins);
void kvm_s390_pins_uncharge(struct kvm_s390_pins *pins, unsigned long nr);
long kvm_s390_pins_get(struct kvm_s390_pins *pins,
		       const struct kvm_memory_slot *slot, const u64 *gaddr,
		       unsigned int nr, struct page **pages);
long kvm_s390_pins_gup(unsigned long hva, unsigned int nr,
		       unsigned int gup_flags, struct page **pages);
void kvm_s390_pins_put(struct kvm_s390_pins *pins,
		       const struct s390_shadow_frame *frames, unsigned int nr);
/**
 * kvm_s390_pins_kept - how many pins are kept
 * @pins: the pins
 *
 * Return: number of frames that are pinned and not in use
 */
static inline unsigned long kvm_s390_pins_kept(struct kvm_s390_pins *pins)
{
	return READ_ONCE(pins->kept);
}

void kvm_s390_pins_forget(struct kvm_s390_pins *pins,
			  const struct kvm_memory_slot *slot);

#endif /* __KVM_S390_PCI_PINS_H */
