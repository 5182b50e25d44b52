/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Faults that the host kernel injects into itself on demand
 *
 * See Documentation/fault-injection/fault-injection.rst. All of it needs a
 * kernel with CONFIG_FAULT_INJECTION_DEBUG_FS and the kinds of faults.
 */
#ifndef SELFTEST_KVM_ZPCI_FAULT_H
#define SELFTEST_KVM_ZPCI_FAULT_H

#include <stdbool.h>
#include <linux/types.h>

#include "zpci_guest.h"

const char *zpci_fault_missing(void);
void zpci_fault_require(void);

/*
 * Faults by number: the @nth allocation of memory or copy from or to user space
 * of this thread fails, once.
 */
void zpci_fault_arm(unsigned int nth);
bool zpci_fault_disarm(void);

/* What has failed since zpci_fault_count(), by kind */
enum zpci_fault_kind {
	ZPCI_FAULT_SLAB,	/* failslab */
	ZPCI_FAULT_PAGE,	/* fail_page_alloc */
	ZPCI_FAULT_COPY,	/* fail_usercopy */
	ZPCI_FAULT_REFRESH,	/* the host's RPCIT */
	ZPCI_FAULT_KINDS,
};

extern const char * const zpci_fault_name[ZPCI_FAULT_KINDS];

void zpci_fault_count(void);
unsigned int zpci_fault_counted(enum zpci_fault_kind kind);

/* Faults by chance, for every thread that asked for it */
void zpci_fault_random(unsigned int percent);
void zpci_fault_random_thread(bool on);

/*
 * The host's own RPCIT, from the @nth on: @count of them fail with @err. A
 * @count of 0 lets none fail. The call is for the whole system.
 */
void zpci_fault_refresh(unsigned int nth, unsigned int count, int err);
unsigned int zpci_fault_refresh_left(void);

#endif /* SELFTEST_KVM_ZPCI_FAULT_H */
