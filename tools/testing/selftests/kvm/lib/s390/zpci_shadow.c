// SPDX-License-Identifier: GPL-2.0
/*
 * Counters of the nested domain that the function is attached to
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm_util.h"
#include "test_util.h"
#include "zpci_function.h"
#include "zpci_shadow.h"

#define TITLE	"Shadow of a guest's I/O address space"

/* Names in the file of the function in debugfs */
static const struct {
	const char *name;
	size_t offset;
} counters[] = {
#define COUNTER(name, field) { name, offsetof(struct zpci_shadow_stats, field) }
	COUNTER("Frames pinned now", pinned),
	COUNTER("Frames pinned at peak", pinned_peak),
	COUNTER("Frames mapped", mapped),
	COUNTER("Frames unmapped", unmapped),
	COUNTER("Guest refreshes", walks),
	COUNTER("Host RPCITs", refreshes),
	COUNTER("Host RPCITs failed", refresh_errors),
	COUNTER("Tables now", tables),
	COUNTER("Refused, no resources", refused_nomem),
	COUNTER("Refused, bad entry", refused_format),
	COUNTER("Refused, no such memory", refused_memory),
	COUNTER("Refused, host RPCIT failed", refused_host),
	COUNTER("Interrupted by a signal", interrupted),
#undef COUNTER
};

#define DIRECTORY	"/sys/kernel/debug/pci"

bool zpci_shadow_has_stats(void)
{
	return !access(DIRECTORY, R_OK);
}

/*
 * Read all counters. The guest may run: they may not be consistent. A function that
 * is not open has no file, and nothing attached.
 */
struct zpci_shadow_stats zpci_shadow_stats(void)
{
	struct zpci_shadow_stats stats = {};
	unsigned int i, found = 0;
	char line[256], *colon;
	const char *name;
	FILE *f;

	snprintf(line, sizeof(line), DIRECTORY "/%s/statistics",
		 zpci_function_find());
	f = fopen(line, "r");
	if (!f && errno == ENOENT)
		return stats;
	TEST_ASSERT(f, "%s: %s", line, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		name = line + strspn(line, " ");
		colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = '\0';
		if (!strcmp(name, TITLE))
			stats.attached = true;
		for (i = 0; stats.attached && i < ARRAY_SIZE(counters); i++) {
			if (strcmp(name, counters[i].name))
				continue;
			*(u64 *)((char *)&stats + counters[i].offset) =
				strtoull(colon + 1, NULL, 10);
			found++;
		}
	}
	fclose(f);
	TEST_ASSERT(found == (stats.attached ? ARRAY_SIZE(counters) : 0),
		    "%u counters of the nested domain in debugfs", found);
	return stats;
}
