/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of instructions that do nothing but to be seen by the plugin of count.c:
 * branches that are never taken, to where no program can have anything. MARK has it
 * say how many instructions it has counted; those in a block with a SPIN it does not
 * count.
 */
#define MARK	0xc0, 0x04, 0x5a, 0x50, 0x43, 0x49
#define SPIN	0xc0, 0x04, 0x5a, 0x50, 0x43, 0x4a
