/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters of the nested domain that the function is attached to
 */
#ifndef SELFTEST_KVM_ZPCI_SHADOW_H
#define SELFTEST_KVM_ZPCI_SHADOW_H

#include <stdbool.h>
#include <linux/types.h>

/**
 * struct zpci_shadow_stats - counters, from debugfs; frames have 4 KiB
 * @attached: a nested domain is attached; without one all counters are zero
 * @mapped: frames that were ever mapped
 * @unmapped: frames that were ever unmapped
 * @pinned: frames that the host's table has now
 * @pinned_peak: the most of them at once
 * @walks: refreshes of the guest, with any result
 * @refreshes: RPCITs of the host
 * @refresh_errors: RPCITs of the host that failed
 * @tables: tables of the host now, without the topmost
 * @refused_nomem: refreshes that ended for lack of resources
 * @refused_format: refreshes that ended at a malformed entry
 * @refused_memory: refreshes that ended at memory that the guest does not have
 * @refused_host: refreshes that ended because the host's RPCIT failed
 * @interrupted: refreshes that gave way to a signal
 */
struct zpci_shadow_stats {
	bool attached;
	u64 mapped;
	u64 unmapped;
	u64 pinned;
	u64 pinned_peak;
	u64 walks;
	u64 refreshes;
	u64 refresh_errors;
	u64 tables;
	u64 refused_nomem;
	u64 refused_format;
	u64 refused_memory;
	u64 refused_host;
	u64 interrupted;
};

bool zpci_shadow_has_stats(void);
struct zpci_shadow_stats zpci_shadow_stats(void);

#endif /* SELFTEST_KVM_ZPCI_SHADOW_H */
