// SPDX-License-Identifier: GPL-2.0
/*
 * What is pinned
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>

#include <linux/capability.h>

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

/*
 * Make the kernel unpin what it keeps pinned for the next time that a guest maps it,
 * as it does when memory is scarce.
 */
void zpci_pins_drop_kept(void)
{
	int fd = open_path_or_exit("/proc/sys/vm/drop_caches", O_WRONLY);

	TEST_ASSERT(write(fd, "2", 1) == 1, "drop_caches: %s", strerror(errno));
	close(fd);
}

struct zpci_pins zpci_pins_now(void)
{
	struct zpci_pins pins;
	char dummy;
	int fd;

	zpci_pins_drop_kept();
	/* Reading this file makes /proc/vmstat exact. */
	fd = open_path_or_exit("/proc/sys/vm/stat_refresh", O_RDONLY);
	if (read(fd, &dummy, 1) < 0)
		pr_debug("stat_refresh: %s\n", strerror(errno));
	close(fd);

	pins.pinned_kb = read_value("/proc/self/status", "VmPin:");
	pins.calls = read_value("/proc/vmstat", "nr_foll_pin_acquired");
	pins.system = pins.calls -
		      read_value("/proc/vmstat", "nr_foll_pin_released");
	return pins;
}

/* NULL if no more is pinned and charged than @before, else what is */
const char *zpci_pins_leaked(const struct zpci_pins *before)
{
	struct zpci_pins now = zpci_pins_now();
	static char text[120];

	if (now.system == before->system &&
	    now.pinned_kb == before->pinned_kb)
		return NULL;
	snprintf(text, sizeof(text),
		 "still pinned: %ld pages in the system, VmPin %+ld kB",
		 (long)(now.system - before->system),
		 (long)(now.pinned_kb - before->pinned_kb));
	return text;
}

/* From here on RLIMIT_MEMLOCK counts for this process. Returns 0 or an errno. */
int zpci_pins_drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return errno;
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	return syscall(SYS_capset, &header, data) ? errno : 0;
}
