// SPDX-License-Identifier: GPL-2.0
/*
 * Run each test in a process of its own, and print a line for each
 *	pass|fail <TAB> name <TAB> reason
 *
 * Environment: SEED= seeds the pseudo random numbers, ROUNDS= sets the number of
 * rounds of the random tests. Each argument is a part of the names of tests to
 * run. "-l" lists the tests. "-x" as the first argument stops at the first failure.
 */

#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

unsigned int rounds = 1;

static const struct test *const suites[] = {
	iotable_tests, format_tests, cost_tests, limit_tests, fault_tests,
	random_tests, thread_tests,
};

static u64 seed;
static const char *what = "";
static int reason_fd = -1;

void context(const char *text)
{
	what = text;
}

void fail_at(const char *file, int line, const char *fmt, ...)
{
	char text[500], all[800];
	const char *name = strrchr(file, '/');
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(all, sizeof(all), "%s%s%s (%s:%d, SEED=%llu)", what,
		 *what ? ": " : "", text, name ? name + 1 : file, line, seed);
	fprintf(stderr, "%s\n", all);
	if (reason_fd >= 0 && write(reason_fd, all, strlen(all)) < 0)
		perror("write");
	/* Don't dump core */
	_exit(1);
}

void shim_bug(const char *file, int line, const char *text)
{
	fail_at(file, line, "%s", text);
}

static bool wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc == 1;
}

/* Run a test in a process of its own, so that a crash ends only this test */
static bool run(const struct test *test)
{
	struct timespec t0, t1;
	char reason[801] = "";
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	if (pipe(fds))
		return false;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	pid = fork();
	if (!pid) {
		close(fds[0]);
		reason_fd = fds[1];
		alarm(600);
		rnd_seed(seed);
		test->run();
		fprintf(stderr, "%s: %llu refreshes, %llu pages compared\n",
			test->name, check_refreshes, check_pages);
		exit(0);
	}
	close(fds[1]);
	n = read(fds[0], reason, sizeof(reason) - 1);
	reason[n > 0 ? n : 0] = 0;
	close(fds[0]);
	waitpid(pid, &status, 0);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	if (status && !*reason) {
		if (WIFSIGNALED(status))
			sprintf(reason, "ended by signal %d%s (SEED=%llu)",
				WTERMSIG(status),
				WTERMSIG(status) == SIGALRM ? ", too slow" : "",
				seed);
		else
			sprintf(reason, "a sanitizer ended it, see above (SEED=%llu)",
				seed);
	}
	printf("%s\t%s\t%s\n", status ? "fail" : "pass", test->name,
	       status ? reason : "");
	fprintf(stderr, "%s: %.1f s\n", test->name,
		t1.tv_sec - t0.tv_sec + (t1.tv_nsec - t0.tv_nsec) / 1e9);
	return !status;
}

int main(int argc, char **argv)
{
	const char *env = getenv("SEED");
	const struct test *test;
	int failed = 0, ran = 0;
	bool stop = false;
	unsigned int i;

	seed = env && *env ? strtoull(env, NULL, 0) : 1;
	env = getenv("ROUNDS");
	if (env && *env)
		rounds = strtoul(env, NULL, 0);
	if (argc > 1 && !strcmp(argv[1], "-x")) {
		stop = true;
		argc--;
		argv++;
	}
	fprintf(stderr, "SEED=%llu ROUNDS=%u\n", seed, rounds);
	for (i = 0; i < ARRAY_SIZE(suites); i++) {
		for (test = suites[i]; test->name; test++) {
			if (argc > 1 && !strcmp(argv[1], "-l")) {
				printf("%s\n", test->name);
				continue;
			}
			if (!wanted(test->name, argc, argv) || (stop && failed))
				continue;
			ran++;
			failed += !run(test);
		}
	}
	if (argc > 1 && !strcmp(argv[1], "-l"))
		return 0;
	fprintf(stderr, "%d tests, %d failed\n", ran, failed);
	return failed || !ran;
}
