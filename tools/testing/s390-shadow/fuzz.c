// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer's way in: an input is a program (program.c)
 *
 * A failure aborts, so that libFuzzer saves the input. Run with the saved file
 * for an argument to see it again.
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

/* The name that libFuzzer wants is given by the build */
int FUZZ_ENTRY(const u8 *data, size_t size);

int FUZZ_ENTRY(const u8 *data, size_t size)
{
	/* The same input, the same run */
	rnd_seed(1);
	program_run(data, size);
	return 0;
}
