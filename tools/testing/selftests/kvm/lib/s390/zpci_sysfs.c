// SPDX-License-Identifier: GPL-2.0
/*
 * The function to be tested, as sysfs shows it
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test_util.h"
#include "zpci_sysfs.h"

#define PCI_DIR		"/sys/bus/pci"
#define DEVICE_DIR	PCI_DIR "/devices"
#define DRIVER		"vfio-pci"
#define CLASS_NVME	0x010802

static unsigned int read_class(const char *bdf)
{
	char path[PATH_MAX];
	unsigned int class = 0;
	FILE *f;

	snprintf(path, sizeof(path), DEVICE_DIR "/%s/class", bdf);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%x", &class) != 1)
		class = 0;
	fclose(f);
	return class;
}

/*
 * The name of the function to test: what ZPCI_BDF says, else the first NVMe
 * function that is bound to vfio-pci, NULL if there is none.
 */
const char *zpci_sysfs_find(void)
{
	static char found[NAME_MAX + 1];
	struct dirent *entry;
	DIR *dir;

	if (getenv("ZPCI_BDF"))
		return getenv("ZPCI_BDF");
	if (found[0])
		return found;

	dir = opendir(PCI_DIR "/drivers/" DRIVER);
	if (!dir)
		return NULL;
	while (!found[0] && (entry = readdir(dir))) {
		if (read_class(entry->d_name) == CLASS_NVME)
			snprintf(found, sizeof(found), "%s", entry->d_name);
	}
	closedir(dir);
	return found[0] ? found : NULL;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, text, strlen(text)) == strlen(text),
		    "'%s' can't be written to %s", text, path);
	close(fd);
}

static void write_attr(const char *bdf, const char *name, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), DEVICE_DIR "/%s/%s", bdf, name);
	write_file(path, text);
}

static bool has_config_space(const char *bdf)
{
	unsigned short vendor = 0xffff;
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), DEVICE_DIR "/%s/config", bdf);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	if (read(fd, &vendor, sizeof(vendor)) != sizeof(vendor))
		vendor = 0xffff;
	close(fd);
	return vendor != 0xffff;
}

/*
 * Make the function a new one for the host, bound to vfio-pci. Once the host
 * was told of an error and found nobody to recover from it, it takes the device
 * for disconnected until it is discovered anew.
 */
void zpci_sysfs_revive(const char *bdf)
{
	char path[PATH_MAX];

	write_attr(bdf, "recover", "1");
	/* The host gives the new device to whichever driver takes it. */
	write_attr(bdf, "driver_override", DRIVER);
	snprintf(path, sizeof(path), DEVICE_DIR "/%s/driver/unbind", bdf);
	if (!access(path, W_OK))
		write_file(path, bdf);
	write_file(PCI_DIR "/drivers_probe", bdf);
}

/* Has the kernel reported an error of a function since the last call? */
static bool error_event_reported(void)
{
	static int kmsg = -1;
	bool reported = false;
	char line[2048];
	ssize_t len;

	if (kmsg < 0)
		kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	TEST_ASSERT(kmsg >= 0, "/dev/kmsg: %s", strerror(errno));
	for (;;) {
		len = read(kmsg, line, sizeof(line) - 1);
		/* EPIPE: messages were overwritten before they could be read */
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			return reported;
		line[len] = '\0';
		reported |= !!strstr(line, "Cannot be recovered in the host");
	}
}

/*
 * Get the function ready to be opened. A function in error state answers no
 * configuration access, and a function level reset would wait for such an
 * answer for a minute. The bus (that is: slot) reset of a zPCI function
 * disables and enables it, which works always.
 */
void zpci_sysfs_prepare(const char *bdf)
{
	error_event_reported();
	if (!has_config_space(bdf))
		zpci_sysfs_revive(bdf);
	write_attr(bdf, "reset_method", "bus");
}

/*
 * The host's kernel learns of an error by a machine check, which a thread of it
 * handles, and of which nothing is to be seen from here but a message. If the
 * function is reset before that, the host takes the healthy function for
 * disconnected. On a busy machine it may take seconds.
 */
void zpci_sysfs_wait_error_event(void)
{
	int i;

	for (i = 0; i < 100 && !error_event_reported(); i++)
		usleep(50000);
	/* What the thread does after the message takes no time. */
	usleep(50000);
}

/*
 * Nodes in /dev may take a while to appear after the function was revived. A
 * test that was killed at its time limit has the group open until it is gone,
 * for which the harness does not wait.
 */
static int open_node(const char *path)
{
	int i, fd;

	for (i = 0; i < 1000; i++) {
		fd = open(path, O_RDWR);
		if (fd >= 0 || (errno != ENOENT && errno != EBUSY))
			break;
		usleep(10000);
	}
	TEST_ASSERT(fd >= 0, "%s can't be opened", path);
	return fd;
}

int zpci_sysfs_open_group(const char *bdf)
{
	char path[PATH_MAX], link[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), DEVICE_DIR "/%s/iommu_group", bdf);
	len = readlink(path, link, sizeof(link) - 1);
	TEST_ASSERT(len > 0, "%s: function has no IOMMU group", path);
	link[len] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	return open_node(path);
}

int zpci_sysfs_open_cdev(const char *bdf)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int fd = -1;
	DIR *dir;

	snprintf(path, sizeof(path), DEVICE_DIR "/%s/vfio-dev", bdf);
	dir = opendir(path);
	TEST_ASSERT(dir, "%s: no VFIO character device", path);
	while (fd < 0 && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vfio", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s",
			 entry->d_name);
		fd = open_node(path);
	}
	closedir(dir);
	TEST_ASSERT(fd >= 0, "%s: no VFIO character device", path);
	return fd;
}
