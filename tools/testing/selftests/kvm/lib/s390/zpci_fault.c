// SPDX-License-Identifier: GPL-2.0
/*
 * Faults that the host kernel injects into itself on demand
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#include "kselftest.h"
#include "test_util.h"
#include "zpci_fault.h"

#define DEBUG_DIR	"/sys/kernel/debug/"
#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define MAKE_IT_FAIL	"/proc/thread-self/make-it-fail"

/* The function that executes RPCIT on the host */
#define REFRESH		"zpci_refresh_trans"

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int err = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) != strlen(text))
		err = errno;
	close(fd);
	return err;
}

static void set(const char *dir, const char *name, const char *text)
{
	char path[120];
	int err;

	snprintf(path, sizeof(path), DEBUG_DIR "%s/%s", dir, name);
	err = write_text(path, text);
	TEST_ASSERT(!err, "'%s' can't be written to %s: %s", text, path,
		    strerror(err));
}

static void set_number(const char *dir, const char *name, long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", value);
	set(dir, name, text);
}

/* Also those allocations can fail that may wait; nothing is said of each. */
static void prepare(void)
{
	static bool done;

	if (done)
		return;
	set("failslab", "ignore-gfp-wait", "N");
	set("failslab", "verbose", "0");
	set("fail_page_alloc", "ignore-gfp-wait", "N");
	set("fail_page_alloc", "ignore-gfp-highmem", "N");
	set("fail_page_alloc", "min-order", "0");
	set("fail_page_alloc", "verbose", "0");
	set("fail_usercopy", "verbose", "0");
	done = true;
}

/* What the kernel lacks, for a reason to skip; NULL if it has everything */
const char *zpci_fault_missing(void)
{
	if (access(FAIL_NTH, W_OK))
		return "no fault injection in this kernel (CONFIG_FAULT_INJECTION)";
	if (access(DEBUG_DIR "failslab/verbose", W_OK) ||
	    access(DEBUG_DIR "fail_page_alloc/verbose", W_OK) ||
	    access(DEBUG_DIR "fail_usercopy/verbose", W_OK))
		return "no debugfs of failslab, fail_page_alloc and fail_usercopy";
	if (access(DEBUG_DIR "fail_function/inject", W_OK))
		return "no CONFIG_FAIL_FUNCTION in this kernel";
	return NULL;
}

void zpci_fault_require(void)
{
	const char *missing = zpci_fault_missing();

	if (missing)
		ksft_exit_skip("%s\n", missing);
}

/*
 * The C library has the kernel write the number of the CPU to the thread's
 * memory whenever it returns to user space. If that write fails by injection,
 * the kernel sends SIGSEGV. The size is that with which the library registers.
 */
static void no_rseq(void)
{
	syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset,
		32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

/*
 * Opened before the fault is armed: opening it would meet the fault. What a
 * process inherits is the file of another thread.
 */
static int fail_nth_file(void)
{
	static __thread pid_t owner;
	static __thread int fd;

	if (owner != gettid()) {
		no_rseq();
		fd = open_path_or_exit(FAIL_NTH, O_RDWR);
		owner = gettid();
	}
	return fd;
}

/* Nothing must come between this and the call that is to fail. */
void zpci_fault_arm(unsigned int nth)
{
	char text[12];
	int fd, len;

	prepare();
	fd = fail_nth_file();
	len = snprintf(text, sizeof(text), "%u", nth);
	TEST_ASSERT(pwrite(fd, text, len, 0) == len, FAIL_NTH ": %s",
		    strerror(errno));
}

/* Faults by fail_usercopy that were not met by what is tested, but here */
static unsigned int copies_here;

/* Whether the fault has happened. If it has not, it won't any more. */
bool zpci_fault_disarm(void)
{
	int tries, fd = fail_nth_file();
	bool happened = false;
	char text[12];

	/* The number counts on: reading and writing it may meet the fault. */
	if (pread(fd, text, sizeof(text), 0) > 0)
		happened = text[0] == '0';
	else
		copies_here++;
	for (tries = 0; tries < 2; tries++) {
		if (pwrite(fd, "0", 1, 0) == 1)
			return happened;
		copies_here++;
	}
	TEST_FAIL(FAIL_NTH ": %s", strerror(errno));
	return false;
}

const char * const zpci_fault_name[ZPCI_FAULT_KINDS] = {
	[ZPCI_FAULT_SLAB] = "failslab",
	[ZPCI_FAULT_PAGE] = "fail_page_alloc",
	[ZPCI_FAULT_COPY] = "fail_usercopy",
	[ZPCI_FAULT_REFRESH] = "host RPCIT",
};

static const char * const kind_dir[ZPCI_FAULT_KINDS] = {
	[ZPCI_FAULT_SLAB] = "failslab",
	[ZPCI_FAULT_PAGE] = "fail_page_alloc",
	[ZPCI_FAULT_COPY] = "fail_usercopy",
	[ZPCI_FAULT_REFRESH] = "fail_function",
};

static long get_number(const char *dir, const char *name)
{
	char path[120], text[24] = "";
	int fd;

	snprintf(path, sizeof(path), DEBUG_DIR "%s/%s", dir, name);
	fd = open_path_or_exit(path, O_RDONLY);
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return atol(text);
}

/*
 * "times" is how often a kind may still fail. Faults by number do not obey it,
 * but are taken off. Not to be mixed with zpci_fault_refresh() of more than 0.
 */
#define MANY_TIMES	100000000

void zpci_fault_count(void)
{
	int kind;

	prepare();
	copies_here = 0;
	for (kind = 0; kind < ZPCI_FAULT_KINDS; kind++)
		set_number(kind_dir[kind], "times", MANY_TIMES);
}

unsigned int zpci_fault_counted(enum zpci_fault_kind kind)
{
	return MANY_TIMES - get_number(kind_dir[kind], "times") -
	       (kind == ZPCI_FAULT_COPY ? copies_here : 0);
}

/*
 * Allocations fail with that probability, in threads that asked for it by
 * zpci_fault_random_thread(), after zpci_fault_count(). 0: none.
 */
void zpci_fault_random(unsigned int percent)
{
	static const char * const kinds[] = { "failslab", "fail_page_alloc" };
	int i;

	prepare();
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		set(kinds[i], "task-filter", "Y");
		set_number(kinds[i], "probability", percent);
	}
}

void zpci_fault_random_thread(bool on)
{
	int tries, err = -1;

	/* The write that disarms the fault may itself fail */
	for (tries = 0; err && tries < 1000; tries++)
		err = write_text(MAKE_IT_FAIL, on ? "1" : "0");
	TEST_ASSERT(!err, MAKE_IT_FAIL ": %s", strerror(err));
}

/*
 * With a @count of 0 none fails by this, but the call is one more that can be
 * met by zpci_fault_arm(), and that fails with @err then.
 */
void zpci_fault_refresh(unsigned int nth, unsigned int count, int err)
{
	char text[24];

	/* Off first: parts of the new setting must not be in effect. */
	set("fail_function", "probability", "0");
	set("fail_function", "verbose", "0");
	if (access(DEBUG_DIR "fail_function/" REFRESH "/retval", W_OK))
		set("fail_function", "inject", REFRESH);
	/* A negative number is taken as unsigned and in hexadecimal only. */
	snprintf(text, sizeof(text), "%#lx", -(long)err);
	set("fail_function/" REFRESH, "retval", text);
	if (!count)
		return;
	/* Each call takes one off "space" while that is more than one. */
	set_number("fail_function", "space", nth);
	set_number("fail_function", "times", count);
	set("fail_function", "probability", "100");
}

/* How many of the calls that are to fail have not been made */
unsigned int zpci_fault_refresh_left(void)
{
	return get_number("fail_function", "times");
}
