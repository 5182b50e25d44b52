// SPDX-License-Identifier: GPL-2.0
/*
 * Write seed inputs for the fuzzer: small programs (see program.c), one per file
 *
 * usage: corpus DIRECTORY
 */

#include <stdarg.h>

#include "harness.h"

/* Actions, as numbered in program.c */
enum { STORE, LINK = 6, MAP, FAULT, LIMIT, SLOT, AGAIN = 0xfb, REFRESH = 12 };

/* Formats and apertures */
enum {
	WORLD_LINUX,
	WORLD_ODD_ENDS = 0x14,
	WORLD_ALL = 0x20,
	WORLD_SECOND,
	WORLD_FIRST,
	WORLD_SEGMENT,
	WORLD_END = 0x30,
};

/* Choices of pick_frame() in program.c */
enum { READ_ONLY, HOLE = 3, DATA = 7 };

static u8 bytes[200];
static unsigned int size;

static void put(unsigned int n, ...)
{
	va_list args;

	va_start(args, n);
	while (n--)
		bytes[size++] = va_arg(args, int);
	va_end(args);
}

static void begin(u8 kind, u8 host_top)
{
	size = 0;
	put(2, kind, host_top);
}

/* Indexes of a segment and a page, both below 32 */
static void at(u8 sx, u8 px)
{
	if ((bytes[0] & 3) < 3)
		put(1, 0);
	put(2, sx << 3 | 4, px << 3 | 4);
}

static void map(u8 pt, u8 sx, u8 px, u8 kind, u8 frame)
{
	put(1, MAP | pt << 4);
	at(sx, px);
	put(2, kind, frame);
}

static void tie(u8 pt, u8 sx)
{
	put(1, LINK | pt << 4);
	at(sx, 0);
}

static void refresh(void)
{
	put(2, REFRESH, 0);
}

/* Consecutive pages from the first entry of a page table on */
static void run(u8 kind, u8 how, u8 frame, u8 nr)
{
	put(7, STORE, 0x80, 0, how, kind, frame, nr);
}

/* Store to table 0 of a level; @how is for pick_entry() */
static void store(u8 level, u8 index, u8 how)
{
	put(4, STORE, level, index << 3 | 4, how);
}

static bool seed(unsigned int nr)
{
	switch (nr) {
	case 0:		/* map, refresh, map another, refresh it, unmap */
		begin(WORLD_LINUX, 0);
		map(0, 0, 0, DATA, 1);
		refresh();
		map(0, 0, 2, DATA, 2);
		put(2, REFRESH, 2);
		at(0, 2);
		store(0, 2, 4);
		put(2, 0, 0);
		refresh();
		return true;
	case 1:		/* several page tables */
		begin(WORLD_ALL, 0);
		tie(0, 1);
		tie(1, 2);
		map(0, 1, 3, DATA, 9);
		map(1, 2, 3, DATA, 10);
		refresh();
		put(2, REFRESH, 3);
		at(1, 0);
		put(2, REFRESH, 6);
		at(1, 1);
		at(2, 2);
		return true;
	case 2:		/* map a run, replace a part by a protected run, replace all */
		begin(WORLD_ALL, 0);
		run(0x27, 9, 0x10, 40);
		refresh();
		run(0x27, 1, 0x30, 20);
		refresh();
		put(1, AGAIN);
		refresh();
		return true;
	case 3:		/* large frames */
		begin(WORLD_ALL, 0);
		store(ST, 1, 0x89);
		refresh();
		store(ST, 1, 0x91);
		put(2, REFRESH, 3);
		at(1, 0);
		store(ST, 1, 2);
		refresh();
		return true;
	case 4:		/* malformed entries of each level */
		begin(WORLD_ODD_ENDS, 0);
		map(0, 0, 0, HOLE, 0);
		refresh();
		store(ST, 0, 3);
		refresh();
		store(RT, 0, 5);
		put(1, 7);
		refresh();
		map(0, 0, 0, READ_ONLY, 3);
		refresh();
		return true;
	case 5:		/* failing operations, then a retry */
		begin(WORLD_LINUX, 0);
		map(0, 0, 0, DATA, 1);
		put(3, FAULT, 1, 0);
		refresh();
		refresh();
		put(3, FAULT, 3, 0);
		map(0, 0, 0, DATA, 2);
		refresh();
		refresh();
		put(3, FAULT, 0x87, 2);
		put(2, REFRESH, 0x40);
		return true;
	case 6:		/* limits */
		begin(WORLD_ALL, 0);
		put(3, LIMIT, 0, 3);
		run(0x27, 9, 0x10, 40);
		refresh();
		put(3, LIMIT, 0, 255);
		refresh();
		put(3, LIMIT, 1, 2);
		run(0x37, 9, 0x10, 20);
		refresh();
		refresh();
		put(3, LIMIT, 1, 255);
		refresh();
		return true;
	case 7:		/* remove memory, then add it again */
		begin(WORLD_LINUX, 0);
		map(0, 0, 0, DATA, 1);
		refresh();
		put(2, SLOT, 0);
		refresh();
		put(2, SLOT, 0);
		refresh();
		put(3, FAULT, 3, 0xe1);
		put(2, SLOT, 0);
		refresh();
		return true;
	case 8:		/* the last address that the table translates */
		begin(WORLD_END, 0);
		map(0, 0, 0, DATA, 1);
		refresh();
		put(2, REFRESH, 5);
		at(0, 0);
		return true;
	case 9:		/* other formats */
		begin(WORLD_SECOND, 4);
		put(1, LINK);
		put(4, 0x24, 0, 12, 4);
		put(1, MAP);
		put(6, 0x24, 0, 12, 28, DATA, 4);
		refresh();
		store(RS, 0x24, 3);
		refresh();
		return true;
	case 10:
		begin(WORLD_FIRST, 4);
		put(1, LINK);
		put(5, 2, 2, 0, 12, 4);
		put(1, MAP);
		put(7, 2, 2, 0, 12, 28, DATA, 4);
		refresh();
		put(4, STORE, RF, 2, 2);
		refresh();
		return true;
	case 11:
		begin(WORLD_SEGMENT, 0);
		tie(0, 1);
		map(0, 1, 2, DATA, 4);
		refresh();
		store(ST, 1, 2);
		refresh();
		return true;
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	char name[300];
	unsigned int i;
	FILE *f;

	for (i = 0; argc == 2 && seed(i); i++) {
		snprintf(name, sizeof(name), "%s/seed-%02u", argv[1], i);
		f = fopen(name, "w");
		if (!f || fwrite(bytes, size, 1, f) != 1 || fclose(f)) {
			perror(name);
			return 1;
		}
	}
	return argc != 2;
}
