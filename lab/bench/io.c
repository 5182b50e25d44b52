// SPDX-License-Identifier: GPL-2.0
/*
 * Direct I/O to be measured, on the emulated host or on a guest
 *
 *	io PATH read|write sequential|random SIZE COUNT
 *	io mark
 *
 * The first does COUNT of them, each of SIZE bytes, one at a time, between two marks
 * for the plugin of count.c; the second is one such mark, and nothing else.
 *
 * A process of the lowest priority keeps each CPU busy. Otherwise the figure would
 * depend on whether an I/O completes before the CPU gets idle, which depends on the
 * load of the machine below. Instructions of that process do not count.
 *
 * A kernel that flushes unmaps lazily does so within a second. That has to count, so
 * the second mark is later. The rest between the marks does not depend on COUNT: the
 * reader subtracts it.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mark.h"

/* So many are in use, one after the other: an application has more than one. */
#define BUFFERS		16
#define FLUSHED		1500000	/* microseconds */

#define TEXT(...)	#__VA_ARGS__
#define TEXT_OF(...)	TEXT(__VA_ARGS__)

static void mark(void)
{
	asm volatile("	.byte	" TEXT_OF(MARK) "\n" : : : "memory");
}

static pid_t spin(void)
{
	struct sched_param idle = {};
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	if (sched_setscheduler(0, SCHED_IDLE, &idle) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL))
		err(1, "the lowest priority");
	asm volatile("0:	.byte	" TEXT_OF(SPIN) "\n"
		     "	j	0b\n");
	__builtin_unreachable();
}

static uint64_t next_random(void)
{
	static uint64_t x = 88172645463325252UL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

int main(int argc, char **argv)
{
	uint64_t size, count, blocks, n;
	int fd, writing, random;
	off_t end, offset;
	pid_t spinning;
	ssize_t done;
	char *memory;

	if (argc == 2 && !strcmp(argv[1], "mark")) {
		mark();
		return 0;
	}
	if (argc != 6)
		errx(1, "io PATH read|write sequential|random SIZE COUNT | mark");
	writing = !strcmp(argv[2], "write");
	random = !strcmp(argv[3], "random");
	size = strtoul(argv[4], NULL, 0);
	count = strtoul(argv[5], NULL, 0);
	fd = open(argv[1], (writing ? O_WRONLY : O_RDONLY) | O_DIRECT);
	if (fd < 0)
		err(1, "%s", argv[1]);
	end = lseek(fd, 0, SEEK_END);
	blocks = size ? end / size : 0;
	if (!blocks)
		errx(1, "%s has no %s bytes", argv[1], argv[4]);
	memory = aligned_alloc(size > 4096 ? size : 4096, BUFFERS * size);
	if (!memory)
		err(1, "memory");
	/* None of it is the page of zeroes, or has to be made later */
	memset(memory, 0x5a, BUFFERS * size);

	spinning = spin();
	mark();
	for (n = 0; n < count; n++) {
		char *buffer = memory + n % BUFFERS * size;

		offset = (random ? next_random() : n) % blocks * size;
		if (writing)
			done = pwrite(fd, buffer, size, offset);
		else
			done = pread(fd, buffer, size, offset);
		if (done != (ssize_t)size)
			err(1, "%s of %lu bytes at %lu", argv[2], size, offset);
	}
	kill(spinning, SIGKILL);
	waitpid(spinning, NULL, 0);
	usleep(FLUSHED);
	mark();
	return 0;
}
