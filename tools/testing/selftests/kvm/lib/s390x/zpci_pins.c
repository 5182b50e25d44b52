// SPDX-License-Identifier: GPL-2.0
/*
 * What is pinned
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kvm_util.h"
#include "test_util.h"
#include "zpci_pins.h"

static u64 read_value(const char *path, const char *name)
{
	char line[256], format[64];
	u64 value = 0;
	FILE *f = fopen(path, "r");

	TEST_ASSERT(f, "%s can't be read", path);
	snprintf(format, sizeof(format), "%s %%lu", name);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, format, &value) == 1)
			break;
	}
	fclose(f);
	return value;
}

struct zpci_pins zpci_pins_now(void)
{
	struct zpci_pins pins;
	char dummy;
	int fd;

	/* Reading this file makes /proc/vmstat exact. */
	fd = open_path_or_exit("/proc/sys/vm/stat_refresh", O_RDONLY);
	if (read(fd, &dummy, 1) < 0)
		pr_debug("stat_refresh: %s\n", strerror(errno));
	close(fd);

	pins.locked_kb = read_value("/proc/self/status", "VmLck:");
	pins.pinned_kb = read_value("/proc/self/status", "VmPin:");
	pins.system = read_value("/proc/vmstat", "nr_foll_pin_acquired") -
		      read_value("/proc/vmstat", "nr_foll_pin_released");
	return pins;
}
