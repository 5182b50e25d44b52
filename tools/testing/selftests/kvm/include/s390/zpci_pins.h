/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is pinned
 */
#ifndef SELFTEST_KVM_ZPCI_PINS_H
#define SELFTEST_KVM_ZPCI_PINS_H

#include <stddef.h>

#include <linux/types.h>

/* So many kB of a function may be charged without being mapped. */
#define ZPCI_KEPT_KB		4096

/**
 * struct zpci_pins - what this process and the whole system have pinned
 * @locked_kb: VmLck of the process, to which VFIO type 1 charges
 * @pinned_kb: VmPin of the process, to which iommufd charges
 * @system: pages pinned and not yet unpinned, in the whole system
 * @calls: pages that were ever pinned, in the whole system
 */
struct zpci_pins {
	u64 locked_kb;
	u64 pinned_kb;
	u64 system;
	u64 calls;
};

struct zpci_pins zpci_pins_now(void);
const char *zpci_pins_leaked(const struct zpci_pins *before);
void zpci_pins_forget(void *mem, size_t size);
int zpci_pins_drop_ipc_lock(void);

#endif /* SELFTEST_KVM_ZPCI_PINS_H */
