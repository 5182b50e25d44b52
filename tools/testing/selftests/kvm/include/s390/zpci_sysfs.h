/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The function to be tested, as sysfs shows it
 */
#ifndef SELFTEST_KVM_ZPCI_SYSFS_H
#define SELFTEST_KVM_ZPCI_SYSFS_H

const char *zpci_sysfs_find(void);
void zpci_sysfs_prepare(const char *bdf);
void zpci_sysfs_revive(const char *bdf);
void zpci_sysfs_wait_error_event(void);
int zpci_sysfs_open_group(const char *bdf);
int zpci_sysfs_open_cdev(const char *bdf);

#endif /* SELFTEST_KVM_ZPCI_SYSFS_H */
