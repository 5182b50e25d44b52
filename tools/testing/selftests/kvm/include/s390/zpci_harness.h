/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Run the tests of a program with time limits for this machine
 *
 * Include kselftest_harness.h first: its list of tests is that of the program.
 */
#ifndef SELFTEST_KVM_ZPCI_HARNESS_H
#define SELFTEST_KVM_ZPCI_HARNESS_H

#include <limits.h>
#include <stdlib.h>

/*
 * A test does a fixed amount of work, whose time depends on the machine and on
 * what else it does. If the environment has KSELFTEST_TIMEOUT_PERCENT, that is
 * applied to the time limits. Values below 100 are ignored.
 */
static inline int zpci_harness_run(int argc, char **argv)
{
	const char *text = getenv("KSELFTEST_TIMEOUT_PERCENT");
	unsigned long percent = text ? strtoul(text, NULL, 10) : 100;
	struct __fixture_metadata *fixture;
	struct __test_metadata *test;

	for (fixture = __fixture_list; fixture; fixture = fixture->next) {
		for (test = fixture->tests; test; test = test->next) {
			if (percent > 100 && percent < INT_MAX / test->timeout)
				test->timeout = test->timeout * percent / 100;
		}
	}
	return test_harness_run(argc, argv);
}

#endif /* SELFTEST_KVM_ZPCI_HARNESS_H */
