/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TOOLS_ASM_S390_IO_H
#define _TOOLS_ASM_S390_IO_H

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/types.h>

/*
 * Loads and stores don't reach PCI memory on s390. The kernel executes the PCI
 * instructions, given the address at which the memory is mapped.
 *
 * A read that fails returns all ones, as for a device that is gone. A write that
 * fails is lost.
 */
static inline u64 s390_pci_read(unsigned long addr, size_t size)
{
	u64 value = 0;
	void *bytes = (void *)(&value + 1) - size;

	if (syscall(__NR_s390_pci_mmio_read, addr, bytes, size))
		memset(bytes, 0xff, size);
	return value;
}

static inline void s390_pci_write(u64 value, unsigned long addr, size_t size)
{
	void *bytes = (void *)(&value + 1) - size;

	syscall(__NR_s390_pci_mmio_write, addr, bytes, size);
}

#define __raw_readb(a)		((u8)s390_pci_read((unsigned long)(a), 1))
#define __raw_readw(a)		((u16)s390_pci_read((unsigned long)(a), 2))
#define __raw_readl(a)		((u32)s390_pci_read((unsigned long)(a), 4))
#define __raw_readq(a)		((u64)s390_pci_read((unsigned long)(a), 8))

#define __raw_writeb(v, a)	s390_pci_write(v, (unsigned long)(a), 1)
#define __raw_writew(v, a)	s390_pci_write(v, (unsigned long)(a), 2)
#define __raw_writel(v, a)	s390_pci_write(v, (unsigned long)(a), 4)
#define __raw_writeq(v, a)	s390_pci_write(v, (unsigned long)(a), 8)

#include <asm-generic/io.h>

#endif /* _TOOLS_ASM_S390_IO_H */
