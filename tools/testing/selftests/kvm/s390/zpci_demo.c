// SPDX-License-Identifier: GPL-2.0
/*
 * Show in-kernel RPCIT with real DMA, step by step
 *
 * Uses the same parts as the zpci_*_test programs in one run for a reader.
 * Prints lines "# step", "# counter NAME = VALUE" and "# data" between the
 * points of TAP. Checks each claim. The first that fails ends the run.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "ioat.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "zpci_function.h"
#include "zpci_vm.h"

#define CLAIMS		21

/* The data at OUT_GPA is written to the disk, then read back to IN_GPA. */
#define SIZE		IOAT_FRAME_1M
#define BLOCK		IOAT_FRAME_4K
#define BLOCKS		(SIZE / BLOCK)
#define OUT_GPA		(ZPCI_GUEST_MEM + SIZE)
#define IN_GPA		(ZPCI_GUEST_MEM + 2 * SIZE)
#define DATA_GPA	ZPCI_GUEST_PAGE(20)
#define LIST_GPA	ZPCI_GUEST_PAGE(21)
#define PER_COMMAND	64	/* blocks of one NVMe command */

static struct zpci_vm m;
static u64 iova;		/* where data is mapped, 1 MiB aligned */

static void __printf(2, 3) tell(const char *kind, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("# %s ", kind);
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

static void counter(const char *name, u64 value)
{
	tell("counter", "%s = %lu", name, value);
}

static void claim(bool holds, const char *what)
{
	ksft_test_result(holds, "%s\n", what);
	if (!holds)
		ksft_exit_fail();
}

/* Check a call that returns NULL or an error text. */
static void works(const char *wrong, const char *what)
{
	if (wrong)
		ksft_print_msg("%s\n", wrong);
	claim(!wrong, what);
}

static void no_error(int err, const char *what)
{
	works(err ? strerror(err) : NULL, what);
}

static void nvme_works(int ret, const char *what)
{
	works(ret ? nvme_result(ret) : NULL, what);
}

static void set_up(const char *mode)
{
	struct utsname host;

	uname(&host);
	tell("step", "Linux %s: VM created, function %s opened for it, guest's memory %s",
	     host.release, zpci_function_find(), zpci_mode_is_on_demand(mode) ?
	     "to be pinned on demand" : "pinned");
	zpci_vm_create(&m, mode);
	tell("step", "KVM device bound to the function, told to answer RPCITs");
	no_error(zpci_vm_bind(&m), "KVM device is bound to the function");
	no_error(zpci_vm_ioat_on(&m), "KVM answers RPCITs of the function");
	tell("step", "guest's table attached: I/O addresses 0x%lx-0x%lx",
	     m.pba, m.pal);
	no_error(zpci_vm_attach(&m), "function has the guest's table");
	iova = (m.pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
}

static void identify(void)
{
	const void *data = zpci_guest_hva(&m.guest, DATA_GPA);
	const u64 page = DATA_GPA;
	char serial[21];

	tell("step", "guest writes its tables for queues and a page, executes RPCIT");
	works(zpci_vm_start_nvme(&m),
	      "controller is enabled with admin queues in guest memory");
	works(zpci_vm_start_io(&m), "I/O queues are created in guest memory");
	works(zpci_vm_map(&m, iova, page, PAGE_SIZE, 0),
	      "RPCIT makes one more page accessible");

	tell("step", "Identify data is sent to I/O address 0x%lx, guest page 0x%lx",
	     iova, page);
	zpci_vm_snapshot(&m);
	nvme_works(nvme_identify_ctrl(&m.nvme, iova, 0),
		   "Identify controller is carried out");
	nvme_serial(data, serial);
	tell("data", "Identify to guest page 0x%lx: model %.14s, serial number %s, %lu MiB",
	     page, (const char *)data + 24, serial,
	     m.nvme.blocks * m.nvme.block_size >> 20);
	claim(serial[0], "page holds the data");
	claim(zpci_vm_stray_write(&m, &page, 1) == ~0UL,
	      "no other page of the guest has changed");
}

/* Fill a PRP list for one command. Its first page is not in the list. */
static void fill_list(u64 start)
{
	u64 *list = zpci_guest_hva(&m.guest, LIST_GPA);
	int i;

	for (i = 1; i < PER_COMMAND; i++)
		list[i - 1] = htole64(start + i * BLOCK);
}

/* The guest has mapped the pages of the blocks in reverse order. */
static void compare_blocks(void)
{
	u64 i, out, in, different = 0;

	for (i = 0; i < BLOCKS; i++) {
		out = zpci_guest_checksum(&m.guest, OUT_GPA + i * BLOCK, BLOCK);
		in = zpci_guest_checksum(&m.guest,
					 IN_GPA + SIZE - (i + 1) * BLOCK,
					 BLOCK);
		if (out == in)
			continue;
		ksft_print_msg("block %lu: checksum 0x%016lx is now 0x%016lx\n",
			       i, out, in);
		different++;
	}
	claim(!different, "guest finds the checksums of all blocks equal");
	tell("data", "%lu blocks of 4 KiB written and read back, %lu checksums equal, all 0x%016lx",
	     BLOCKS, BLOCKS - different,
	     zpci_guest_checksum(&m.guest, IN_GPA, SIZE));
}

static void move_data(void)
{
	u64 out = iova + SIZE, in = iova + 2 * SIZE, list = iova + PAGE_SIZE;
	struct zpci_rpcit r;
	u64 i, done;
	int ret = 0;

	tell("step", "guest maps %lu pages in reverse order and a 1 MiB frame, executes one RPCIT",
	     BLOCKS);
	for (i = 0; i < BLOCKS; i++)
		zpci_guest_map(&m.guest, out + i * BLOCK,
			       OUT_GPA + SIZE - (i + 1) * BLOCK, BLOCK, 0);
	zpci_guest_map_1m(&m.guest, in, IN_GPA, 0);
	zpci_guest_map(&m.guest, list, LIST_GPA, PAGE_SIZE, 0);
	r = zpci_guest_rpcit(&m.guest, m.pba, m.pal + 1 - m.pba);
	claim(!r.exits && !r.cc, "RPCIT has condition code 0");

	tell("step", "%lu blocks of 4 KiB go from guest memory to the disk and back",
	     BLOCKS);
	zpci_guest_fill(&m.guest, OUT_GPA, SIZE, 2026);
	for (done = 0; !ret && done < SIZE; done += PER_COMMAND * BLOCK) {
		fill_list(out + done);
		ret = nvme_write(&m.nvme, done, PER_COMMAND * BLOCK, out + done,
				 list);
	}
	nvme_works(ret, "blocks are written to the disk");
	for (done = 0; !ret && done < SIZE; done += PER_COMMAND * BLOCK) {
		fill_list(in + done);
		ret = nvme_read(&m.nvme, done, PER_COMMAND * BLOCK, in + done,
				list);
	}
	nvme_works(ret, "blocks are read back to other pages");
	compare_blocks();
}

static void withdraw(void)
{
	u64 before, after;
	int ret;

	tell("step", "guest invalidates the entry of page 0x%lx, executes RPCIT",
	     DATA_GPA);
	zpci_guest_fill(&m.guest, DATA_GPA, PAGE_SIZE, 7);
	before = zpci_shadow_stats().pinned;
	works(zpci_vm_unmap(&m, iova, PAGE_SIZE), "RPCIT withdraws the page");
	after = zpci_shadow_stats().pinned;
	works(after == before - 1 ? NULL : "the counter did not drop",
	      "page is no longer accessible");

	tell("step", "controller is told to write to that page");
	zpci_vm_snapshot(&m);
	ret = nvme_identify_ctrl(&m.nvme, iova, 0);
	works(zpci_vm_stray_write(&m, NULL, 0) == ~0UL ? NULL :
	      "still written after RPCIT: host refresh missing?",
	      "page and all the rest are untouched");
	works(ret == NVME_FUNCTION_ERROR ? NULL : nvme_result(ret),
	      "DMA is refused");
	tell("data", "withdrawn page 0x%lx: untouched, %s; %lu pages accessible before, %lu after",
	     DATA_GPA, nvme_result(ret), before, after);
}

static void show_counters(void)
{
	struct kvm_s390_zpci_ioat_stats s = zpci_vm_stats(&m);
	struct zpci_shadow_stats shadow = zpci_shadow_stats();

	counter("RPCITs executed by the guest", m.guest.rpcits);
	counter("RPCITs completed by the kernel", s.rpcits);
	counter("RPCITs passed on to user space", s.rpcits_user);
	counter("exits to user space for RPCIT seen there", m.guest.exits);
	counter("pages made accessible", shadow.mapped);
	counter("pages withdrawn", shadow.unmapped);
	counter("most pages accessible at once", shadow.pinned_peak);
	counter("refreshes of the host's translations", shadow.refreshes);
	claim(s.rpcits == m.guest.rpcits && !s.rpcits_user && !m.guest.exits,
	      "every RPCIT stayed in the kernel");
}

static void give_back(const struct zpci_pins *before)
{
	struct zpci_pins now;

	tell("step", "guest's table detached, function and VM closed");
	no_error(zpci_vm_ioat_off(&m), "KVM leaves RPCITs to user space");
	no_error(zpci_vm_detach(&m), "table is detached");
	zpci_vm_destroy(&m);
	now = zpci_pins_now();
	counter("pages pinned in the whole system since the start",
		now.system - before->system);
	claim(now.system == before->system &&
	      now.pinned_kb == before->pinned_kb,
	      "all pages of the guest are given back");
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : ZPCI_ON_DEMAND;
	struct zpci_pins before;

	ksft_print_header();
	zpci_vm_require();
	ksft_set_plan(CLAIMS);
	setlinebuf(stdout);
	TEST_ASSERT(zpci_mode_is_nested(mode), "zpci_demo [%s | %s]",
		    ZPCI_NESTED, ZPCI_ON_DEMAND);
	before = zpci_pins_now();
	set_up(mode);
	identify();
	move_data();
	withdraw();
	show_counters();
	give_back(&before);
	ksft_finished();
}
