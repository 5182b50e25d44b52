// SPDX-License-Identifier: GPL-2.0
/*
 * A zPCI function that is bound to vfio-pci, opened for a test
 */
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>
#include <linux/pci_regs.h>
#include <linux/vfio_zdev.h>

#include "kvm_util.h"
#include "test_util.h"
#include "zpci_function.h"

#define PCI_DIR		"/sys/bus/pci"
#define DEVICE_DIR	PCI_DIR "/devices"
#define DRIVER		"vfio-pci"

/* The name of the function to test, NULL if there is none */
const char *zpci_function_find(void)
{
	return getenv("VFIO_SELFTESTS_BDF");
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
 * Have the host discover the function again, and bind it to vfio-pci. This
 * recovers a function whose reset failed, or which the host has given up.
 */
static void revive(const char *bdf)
{
	char path[PATH_MAX];

	write_attr(bdf, "recover", "1");
	/* The host gives the new device to any driver that matches it. */
	write_attr(bdf, "driver_override", DRIVER);
	snprintf(path, sizeof(path), DEVICE_DIR "/%s/driver/unbind", bdf);
	if (!access(path, W_OK))
		write_file(path, bdf);
	write_file(PCI_DIR "/drivers_probe", bdf);
}

/*
 * Wait until nobody has the function open. The harness does not wait for the end
 * of a test that it kills at its time limit.
 */
static void wait_until_free(const char *bdf)
{
	char path[PATH_MAX];
	int i, fd = -1;

	snprintf(path, sizeof(path), "/dev/vfio/%d", sysfs_iommu_group_get(bdf));
	for (i = 0; i < 1000 && fd < 0; i++) {
		fd = open(path, O_RDWR);
		if (fd < 0)
			usleep(10000);
	}
	TEST_ASSERT(fd >= 0, "%s can't be opened: %s", path, strerror(errno));
	close(fd);
}

static void join_vm(int kvm_vfio, int fd)
{
	if (kvm_vfio >= 0)
		kvm_device_attr_set(kvm_vfio, KVM_DEV_VFIO_FILE,
				    KVM_DEV_VFIO_FILE_ADD, &fd);
}

static void leave_vm(int kvm_vfio, int fd)
{
	if (kvm_vfio >= 0)
		kvm_device_attr_set(kvm_vfio, KVM_DEV_VFIO_FILE,
				    KVM_DEV_VFIO_FILE_DEL, &fd);
}

static int open_by_group(struct vfio_pci_device *f, int kvm_vfio)
{
	int err;

	vfio_pci_group_setup(f, f->bdf);
	join_vm(kvm_vfio, f->group_fd);
	vfio_container_set_iommu(f);
	__vfio_pci_group_get_device_fd(f, f->bdf, NULL);
	if (f->fd >= 0)
		return 0;
	err = errno;
	leave_vm(kvm_vfio, f->group_fd);
	return err;
}

static int open_by_cdev(struct vfio_pci_device *f, int kvm_vfio)
{
	int err;

	vfio_pci_cdev_open(f, f->bdf);
	join_vm(kvm_vfio, f->fd);
	err = -__vfio_pci_device_bind(f, NULL);
	if (err) {
		leave_vm(kvm_vfio, f->fd);
		return err;
	}
	err = zpci_function_attach(f);
	TEST_ASSERT(!err, "VFIO_DEVICE_ATTACH_IOMMUFD_PT: %s", strerror(err));
	return 0;
}

static struct vfio_pci_device *try_open(const char *bdf, const char *mode,
					int kvm_vfio, int *err)
{
	struct vfio_pci_device *f;

	if (!has_config_space(bdf))
		revive(bdf);
	wait_until_free(bdf);
	f = vfio_pci_device_alloc(bdf, iommu_init(zpci_mode_is_cdev(mode) ?
						  MODE_IOMMUFD : mode));
	*err = zpci_mode_is_cdev(mode) ? open_by_cdev(f, kvm_vfio) :
					 open_by_group(f, kvm_vfio);
	if (!*err)
		return f;
	zpci_function_close(f);
	return NULL;
}

/*
 * Open the function; with a KVM VFIO device @kvm_vfio also for its VM. The open
 * resets the function. It may do DMA afterwards.
 */
struct vfio_pci_device *zpci_function_open(const char *mode, int kvm_vfio)
{
	const char *bdf = zpci_function_find();
	struct vfio_pci_device *f;
	int retries = 100;
	int err;

	TEST_ASSERT(bdf, "VFIO_SELFTESTS_BDF names no function");
	do {
		f = try_open(bdf, mode, kvm_vfio, &err);
		/* The host is about to handle an error. */
	} while (err == EAGAIN && retries-- > 0 && !usleep(10000));
	if (err == ENODEV) {
		/* The host has given up the function after an error. */
		revive(bdf);
		f = try_open(bdf, mode, kvm_vfio, &err);
	}
	TEST_ASSERT(!err, "%s can't be opened: %s", bdf, strerror(err));
	vfio_pci_device_setup(f);
	zpci_function_enable_dma(f);
	return f;
}

void zpci_function_close(struct vfio_pci_device *f)
{
	struct iommu *iommu = f->iommu;

	vfio_pci_device_cleanup(f);
	iommu_cleanup(iommu);
}

/* The first and the last DMA address of the function */
void zpci_function_dma_range(struct vfio_pci_device *f, u64 *start, u64 *end)
{
	struct vfio_device_info_cap_zpci_base *base;

	base = (void *)vfio_pci_device_cap(f, VFIO_DEVICE_INFO_CAP_ZPCI_BASE);
	TEST_ASSERT(base, "%s is not a zPCI function", f->bdf);
	*start = base->start_dma;
	*end = base->end_dma;
	free(base);
}

/* Ignore an error: the next access to the function shows it. */
void zpci_function_enable_dma(struct vfio_pci_device *f)
{
	u16 command = htole16(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);

	__vfio_pci_config_access(f, true, PCI_COMMAND, sizeof(command), &command);
}

/* Reset the function after an error, which the host may be about to handle. */
void zpci_function_recover(struct vfio_pci_device *f)
{
	int err = zpci_function_reset(f);

	TEST_ASSERT(!err, "VFIO_DEVICE_RESET: %s", strerror(err));
}

/*
 * What follows returns 0 or an errno, so that a test can judge it.
 */

int zpci_function_reset(struct vfio_pci_device *f)
{
	int err, tries = 1000;

	/* The host may hold the device's lock while it handles an error event */
	while ((err = -__vfio_pci_device_reset(f)) == EAGAIN && --tries)
		usleep(10000);
	if (!err)
		zpci_function_enable_dma(f);
	return err;
}

int zpci_function_attach(struct vfio_pci_device *f)
{
	return -__vfio_device_attach_iommufd_pt(f->fd, f->iommu->ioas_id);
}

int zpci_function_detach(struct vfio_pci_device *f)
{
	return -__vfio_device_detach_iommufd_pt(f->fd);
}

/* Let interrupt 0 signal @eventfd. Disable interrupts if that is negative. */
int zpci_function_msix(struct vfio_pci_device *f, int eventfd)
{
	struct {
		struct vfio_irq_set set;
		int eventfd;
	} irq = {
		.set.argsz = sizeof(irq),
		.set.flags = VFIO_IRQ_SET_DATA_EVENTFD |
			     VFIO_IRQ_SET_ACTION_TRIGGER,
		.set.index = VFIO_PCI_MSIX_IRQ_INDEX,
		.set.count = 1,
		.eventfd = eventfd,
	};

	if (eventfd < 0) {
		irq.set.argsz = sizeof(irq.set);
		irq.set.flags = VFIO_IRQ_SET_DATA_NONE |
				VFIO_IRQ_SET_ACTION_TRIGGER;
		irq.set.count = 0;
	}
	return ioctl(f->fd, VFIO_DEVICE_SET_IRQS, &irq) ? errno : 0;
}
