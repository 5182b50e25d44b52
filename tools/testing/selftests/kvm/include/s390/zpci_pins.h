/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is pinned
 */
#ifndef SELFTEST_KVM_ZPCI_PINS_H
#define SELFTEST_KVM_ZPCI_PINS_H

#include <linux/types.h>

/**
 * struct zpci_pins - what this process and the whole system have pinned, and use
 * @pinned_kb: VmPin of the process, to which iommufd charges
 * @system: pages pinned and not yet unpinned, in the whole system
 * @calls: pages that were ever pinned, in the whole system
 */
struct zpci_pins {
	u64 pinned_kb;
	u64 system;
	u64 calls;
};

void zpci_pins_drop_kept(void);
struct zpci_pins zpci_pins_now(void);
const char *zpci_pins_leaked(const struct zpci_pins *before);
int zpci_pins_drop_ipc_lock(void);

#endif /* SELFTEST_KVM_ZPCI_PINS_H */
