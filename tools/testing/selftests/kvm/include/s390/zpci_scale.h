/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How much of what can be repeated at will
 */
#ifndef SELFTEST_KVM_ZPCI_SCALE_H
#define SELFTEST_KVM_ZPCI_SCALE_H

#include <stdlib.h>
#include <unistd.h>

#include "zpci_storm.h"

/* A single test, at any scale: the limit for the program is the runner's. */
#define ZPCI_TIMEOUT	3600

/*
 * Number of repetitions. On a kernel that checks every access a repetition is
 * worth more and takes ten times as long. ZPCI_SCALE multiplies them.
 */
static inline u64 zpci_scale(u64 count)
{
	const char *scale = getenv("ZPCI_SCALE");

	if (!access("/sys/kernel/debug/kmemleak", F_OK))
		count = (count + 3) / 4;
	return count * (scale ? strtoul(scale, NULL, 0) : 1) ? : 1;
}

/* What random choices start from: ZPCI_SEED, to repeat a run; never 0 */
static inline u64 zpci_seed(void)
{
	const char *seed = getenv("ZPCI_SEED");

	return seed && strtoul(seed, NULL, 0) ? strtoul(seed, NULL, 0) : 1;
}

#endif /* SELFTEST_KVM_ZPCI_SCALE_H */
