/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vCPUs change and refresh tables while other threads tear down
 */
#ifndef SELFTEST_KVM_ZPCI_CHAOS_H
#define SELFTEST_KVM_ZPCI_CHAOS_H

#include <linux/types.h>

#include "zpci_function.h"

/**
 * enum zpci_chaos_end - how it ends
 * @ZPCI_CHAOS_ORDER: all threads stop, then the function is checked
 * @ZPCI_CHAOS_CLOSE: files are closed in random order while threads run
 * @ZPCI_CHAOS_KILL: the process is killed
 */
enum zpci_chaos_end {
	ZPCI_CHAOS_ORDER,
	ZPCI_CHAOS_CLOSE,
	ZPCI_CHAOS_KILL,
};

const char *zpci_chaos(const char *mode, enum zpci_chaos_end end,
		       u64 seed);

#endif /* SELFTEST_KVM_ZPCI_CHAOS_H */
