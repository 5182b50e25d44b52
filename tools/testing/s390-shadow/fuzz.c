// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer entry point: an input is a program (program.c)
 *
 * A failure aborts, so that libFuzzer saves the input. Run the fuzzer with the
 * saved file as its argument to repeat the failure.
 */

#include <stdarg.h>

#include "harness.h"

unsigned int rounds = 1;

void context(const char *text)
{
}

void fail_at(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

void shim_bug(const char *file, int line, const char *text)
{
	fail_at(file, line, "%s", text);
}

/* The Makefile defines the name that libFuzzer calls */
int FUZZ_ENTRY(const u8 *data, size_t size);

int FUZZ_ENTRY(const u8 *data, size_t size)
{
	/* Make runs repeatable */
	rnd_seed(1);
	program_run(data, size);
	return 0;
}
