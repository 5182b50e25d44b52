/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Format of the I/O translation tables of a zPCI function
 *
 * The same facts as in arch/s390/include/asm/pci_dma.h, which is not exported
 * to user space.
 */
#ifndef SELFTEST_KVM_IOAT_H
#define SELFTEST_KVM_IOAT_H

/* I/O translation anchor: table origin, designation type, enabled */
#define IOTA_ENABLED		0x800UL
#define IOTA_DT_SHIFT		2
#define IOTA_DT_STO		0	/* segment table */
#define IOTA_DT_RTTO		1	/* region-third table */
#define IOTA_DT_RSTO		2	/* region-second table */
#define IOTA_DT_RFTO		3	/* region-first table */

/* Region and segment tables: 2048 entries, 16 KiB aligned */
#define IOAT_TABLE_ENTRIES	2048
#define IOAT_TABLE_SIZE		0x4000
#define IOAT_TABLE_BITS		11
#define IOAT_ST_SHIFT		20
#define IOAT_INDEX_MASK		0x7ffUL
#define IOAT_RTE_ORIGIN		(~0x3fffUL)
#define IOAT_STE_ORIGIN		(~0x7ffUL)
#define IOAT_INVALID		0x20
#define IOAT_TYPE_MASK		0x0c
#define IOAT_TYPE_SHIFT		2	/* the type counts like the designation */
#define IOAT_TYPE_RT		0x04
#define IOAT_TYPE_ST		0x00
#define IOAT_LENGTH_MASK	0x03	/* in region table entries only */
#define IOAT_LENGTH		0x03
#define IOAT_OFFSET_MASK	0xc0	/* in region table entries only */
#define IOAT_STE_FC		0x400	/* entry designates a 1 MiB frame */

/* Page tables: 256 entries, 2 KiB aligned */
#define IOAT_PT_ENTRIES		256
#define IOAT_PT_SIZE		0x800
#define IOAT_PT_SHIFT		12
#define IOAT_PX_MASK		0xffUL
#define IOAT_PTE_INVALID	0x400

/* At all levels */
#define IOAT_PROTECTED		0x200

#define IOAT_FRAME_4K		0x1000UL
#define IOAT_FRAME_1M		0x100000UL

#endif /* SELFTEST_KVM_IOAT_H */
