/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest's I/O translation tables, written from outside of the guest
 *
 * All types of tables, right or wrong entries, by any thread at any time. The
 * guest is needed for RPCIT alone.
 */
#ifndef SELFTEST_KVM_ZPCI_TABLES_H
#define SELFTEST_KVM_ZPCI_TABLES_H

#include <stdbool.h>
#include <linux/types.h>

#include "kvm_util.h"

/* Level of a table of segments; tables of regions have 1 to 3 */
#define ZPCI_TABLES_ST		0

/* Pseudo random numbers: each thread has its own state. */
struct zpci_random {
	u64 state;
};

u64 zpci_random(struct zpci_random *r);
u64 zpci_random_below(struct zpci_random *r, u64 n);
bool zpci_random_chance(struct zpci_random *r, unsigned int percent);

/**
 * struct zpci_tables - tables in a piece of guest memory
 * @hva: where the test sees that memory
 * @gpa: where it is for the guest
 * @size: its size
 * @used: how much of it is in use
 * @top: level of the first table, the designation type
 * @pba: first I/O address of the aperture
 * @pal: last I/O address of the aperture
 */
struct zpci_tables {
	void *hva;
	u64 gpa;
	u64 size;
	u64 used;
	unsigned int top;
	u64 pba;
	u64 pal;
};

u64 zpci_tables_reach(unsigned int top);
unsigned int zpci_tables_shift(unsigned int level);
void zpci_tables_clear(struct zpci_tables *t);
u64 zpci_tables_iota(const struct zpci_tables *t);
u64 *zpci_tables_entry(struct zpci_tables *t, u64 iova, unsigned int level);
u64 *zpci_tables_page(struct zpci_tables *t, u64 iova);
u64 zpci_tables_spare(struct zpci_tables *t);

u64 zpci_tables_count(struct zpci_tables *t);
u64 zpci_tables_lookup(struct zpci_tables *t, u64 iova);

#endif /* SELFTEST_KVM_ZPCI_TABLES_H */
