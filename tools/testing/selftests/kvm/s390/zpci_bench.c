// SPDX-License-Identifier: GPL-2.0
/*
 * What an RPCIT costs that the kernel carries out
 *
 * The guest reads its TOD clock before and after the instruction. On a host whose
 * clock counts instructions, as that of QEMU with -icount shift=0 does, this is
 * the number of instructions from the exit of the guest to its next entry, with
 * the four that the guest itself executes. On any other host it is nanoseconds,
 * and says little.
 *
 * Each case prints a line
 *
 *	# bench CASE COST PAGES REFRESHES TABLES
 *
 * the cost (a median), the number of pages it is spread over, the host's refreshes
 * for one RPCIT, and the shadow's page tables and above when it was done.
 *
 *	zpci_bench			everything
 *	zpci_bench quick		some of it
 *	zpci_bench loop PAGES STRIDE N	map and unmap, N times, for a profile, or
 *					refresh everything if PAGES is 0
 *	zpci_bench smp			several vCPUs at a time
 *
 * ZPCI_MODE is "nested", the default: a parent that has pinned all memory, or
 * "on_demand": one that pins what the guest's table names.
 *
 * The last is for a host with a thread for each CPU, and about time: a line is
 *
 *	# smp WORK VCPUS ROUNDS
 *
 * with the number of rounds a second that all vCPUs do together. WORK is "spin",
 * just instructions; "exit", an intercept with hardly anything to do: both share
 * nothing, so that only the machine can be a limit to them; "one", to change an
 * entry and refresh 16 pages, each vCPU in a page table of its own, all on one
 * function; "two", the same, every other vCPU on a second function, whose name is
 * in ZPCI_SECOND, if there is one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/vfio_zdev.h>

#include "../../../../mm/gup_test.h"

#include "ioat.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "zpci_mailbox.h"
#include "zpci_storm.h"
#include "zpci_vm.h"

/* Odd: the median is one of them */
#define REPETITIONS	9
#define FEW		3

#define MANY		256UL	/* pages: a page table */
#define GIB		0x40000000UL

#define FIRST_GPA	ZPCI_GUEST_PAGE(20)
#define OTHER_GPA	(FIRST_GPA + MANY * PAGE_SIZE)

/* From include/linux/mm_types.h */
#define FOLL_WRITE	0x001
#define FOLL_LONGTERM	0x100

static struct zpci_vm m;

static int ascending(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static u64 median(u64 *values, int nr)
{
	qsort(values, nr, sizeof(*values), ascending);
	return values[nr / 2];
}

/* Convert units of the TOD clock: 4096 are a microsecond. */
static u64 nanoseconds(u64 ticks)
{
	return (ticks * 1000 + 2048) / 4096;
}

/**
 * struct bench - what a case sums up
 * @cost: of each repetition, in nanoseconds
 * @refreshes: host refreshes of each repetition
 * @nr: repetitions so far
 */
struct bench {
	u64 cost[REPETITIONS];
	u64 refreshes[REPETITIONS];
	int nr;
};

static void print_line(const char *name, u64 cost, u64 pages, u64 refreshes,
		       u64 tables)
{
	printf("# bench %s %lu %lu %lu %lu\n", name, cost, pages, refreshes,
	       tables);
	fflush(stdout);
}

static void print_bench(const char *name, struct bench *b, u64 pages)
{
	print_line(name, median(b->cost, b->nr), pages,
		   median(b->refreshes, b->nr), zpci_shadow_stats().tables);
}

/* Execute one RPCIT. Add its cost to @b if that is not NULL. */
static void rpcit(struct bench *b, u64 iova, u64 size)
{
	u64 before = zpci_shadow_stats().refreshes;
	struct zpci_rpcit r = zpci_guest_rpcit(&m.guest, iova, size);

	TEST_ASSERT(!r.cc && !r.exits && !r.pgm,
		    "RPCIT: cc %u, status %u, %u exits, program interruption %u",
		    r.cc, r.status, r.exits, r.pgm);
	if (!b)
		return;
	b->cost[b->nr] = nanoseconds(m.guest.mailbox->ticks);
	b->refreshes[b->nr++] = zpci_shadow_stats().refreshes - before;
}

static void bench_exit(void)
{
	struct bench b = {};

	while (b.nr < REPETITIONS) {
		zpci_guest_yield(&m.guest);
		b.cost[b.nr++] = nanoseconds(m.guest.mailbox->ticks);
	}
	print_bench("exit", &b, 1);
}

/* Measure pin_user_pages_fast() and unpin_user_pages() for @per_call pages. */
static void bench_pin(int fd, const char *name, u64 per_call)
{
	u64 pages = 16 * MANY, size = pages * PAGE_SIZE;
	struct gup_test gup = {
		.size = size,
		.nr_pages_per_call = per_call,
		.gup_flags = FOLL_WRITE | FOLL_LONGTERM,
	};
	u64 pin[FEW], unpin[FEW];
	char line[40];
	void *mem;
	int i;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "no memory");
	for (i = 0; i < FEW; i++) {
		gup.addr = (u64)mem;
		gup.size = size;
		TEST_ASSERT(!ioctl(fd, PIN_FAST_BENCHMARK, &gup) &&
			    gup.size == size, "PIN_FAST_BENCHMARK: %s",
			    strerror(errno));
		pin[i] = gup.get_delta_usec * 1000;
		unpin[i] = gup.put_delta_usec * 1000;
	}
	munmap(mem, size);
	/* For the page counts of the cases */
	snprintf(line, sizeof(line), "pin-%s", name);
	print_line(line, median(pin, FEW) / (pages / MANY), MANY, 0, 0);
	snprintf(line, sizeof(line), "unpin-%s", name);
	print_line(line, median(unpin, FEW) / (pages / MANY), MANY, 0, 0);
}

static void bench_pins(void)
{
	int fd = open("/sys/kernel/debug/gup_test", O_RDWR);

	if (fd < 0) {
		ksft_print_msg("no /sys/kernel/debug/gup_test: CONFIG_GUP_TEST is off\n");
		return;
	}
	bench_pin(fd, "contiguous", MANY);
	bench_pin(fd, "scattered", 1);
	close(fd);
}

/* Write entries of the guest: consecutive frames or every other frame. */
static void set_entries(u64 iova, u64 gpa, u64 nr, u64 stride)
{
	u64 i;

	if (stride == 1) {
		zpci_guest_map(&m.guest, iova, gpa, nr * PAGE_SIZE, 0);
		return;
	}
	for (i = 0; i < nr; i++)
		zpci_guest_map(&m.guest, iova + i * PAGE_SIZE,
			       gpa + i * stride * PAGE_SIZE, PAGE_SIZE, 0);
}

static void bench_pages(u64 iova, u64 nr, u64 stride)
{
	struct bench map = {}, remap = {}, unmap = {}, same = {};
	const char *way = nr < MANY ? "" : stride == 1 ? "-contiguous" :
							 "-scattered";
	char name[40];

	while (map.nr < REPETITIONS) {
		set_entries(iova, FIRST_GPA, nr, stride);
		rpcit(&map, iova, nr * PAGE_SIZE);
		rpcit(&same, iova, nr * PAGE_SIZE);
		/* All frames differ from the previous ones. */
		set_entries(iova, OTHER_GPA + PAGE_SIZE, nr, stride);
		rpcit(&remap, iova, nr * PAGE_SIZE);
		zpci_guest_unmap(&m.guest, iova, nr * PAGE_SIZE);
		rpcit(&unmap, iova, nr * PAGE_SIZE);
	}
	snprintf(name, sizeof(name), "map-%lu%s", nr, way);
	print_bench(name, &map, nr);
	snprintf(name, sizeof(name), "remap-%lu%s", nr, way);
	print_bench(name, &remap, nr);
	snprintf(name, sizeof(name), "same-%lu%s", nr, way);
	print_bench(name, &same, nr);
	snprintf(name, sizeof(name), "unmap-%lu%s", nr, way);
	print_bench(name, &unmap, nr);
}

/*
 * Fill @segments page tables: one whose entries change, and one that all others
 * share.
 */
static void fill(u64 iova, u64 segments)
{
	u64 table, i;

	set_entries(iova, FIRST_GPA, MANY, 1);
	if (segments == 1)
		return;
	set_entries(iova + IOAT_FRAME_1M, FIRST_GPA, MANY, 1);
	table = zpci_guest_edit(&m.guest, IOAT_SEGMENT, iova + IOAT_FRAME_1M,
				0, 0);
	for (i = 2; i < segments; i++)
		zpci_guest_edit(&m.guest, IOAT_SEGMENT,
				iova + i * IOAT_FRAME_1M, ~0UL, table);
}

static void bench_whole(const char *aperture, u64 iova, u64 mapped, u64 changed)
{
	struct bench b = {};
	char name[60];
	u64 gpa;

	while (b.nr < REPETITIONS) {
		gpa = FIRST_GPA + (b.nr & 1 ? 0 : MANY * PAGE_SIZE);
		if (changed)
			set_entries(iova, gpa, changed, 1);
		rpcit(&b, m.pba, m.pal - m.pba + 1);
	}
	snprintf(name, sizeof(name), "whole-%s-%lu-%lu", aperture, mapped,
		 changed);
	print_bench(name, &b, mapped ?: 1);
}

static void bench_aperture(const char *name, unsigned int designation, u64 size)
{
	/* The most is what a parent has; see add_memory(). */
	static const u64 mapped[] = { 0, 1, 16384 };
	u64 iova;
	int i, err;

	zpci_guest_design_tables(&m.guest, designation);
	m.pba = m.start_dma;
	m.pal = size ? m.pba + size - 1 : m.end_dma;
	if (designation == IOTA_DT_RTTO && m.pal >= 1UL << 42)
		m.pal = (1UL << 42) - 1;
	err = zpci_vm_attach(&m);
	TEST_ASSERT(!err, "no table: %s", strerror(err));
	/* The last GiB of the aperture */
	iova = (m.pal + 1 - GIB) & ~(GIB - 1);
	if (iova < m.pba)
		iova = m.pba;
	for (i = 0; i < ARRAY_SIZE(mapped); i++) {
		if (mapped[i] == 1)
			set_entries(iova, FIRST_GPA, 1, 1);
		else if (mapped[i])
			fill(iova, mapped[i] / MANY);
		rpcit(NULL, m.pba, m.pal - m.pba + 1);
		bench_whole(name, iova, mapped[i], 0);
		if (mapped[i])
			bench_whole(name, iova, mapped[i], 1);
		if (mapped[i] > 1)
			bench_whole(name, iova, mapped[i], 64);
	}
}

/*
 * Map a page and unmap it later, at ascending I/O addresses. Strict: an RPCIT
 * for each. Lazy: unmapped pages wait for one refresh of everything.
 */
static void bench_stream(const char *name, bool lazy, u64 in_flight)
{
	u64 n, total = 0, iova, base = m.pba & ~(IOAT_FRAME_1M - 1);
	u64 refreshes = zpci_shadow_stats().refreshes;

	base += IOAT_FRAME_1M;
	for (n = 0; n < 4 * MANY; n++) {
		iova = base + n * PAGE_SIZE;
		zpci_guest_map(&m.guest, iova,
			       FIRST_GPA + n % in_flight * PAGE_SIZE, PAGE_SIZE,
			       0);
		rpcit(NULL, iova, PAGE_SIZE);
		total += m.guest.mailbox->ticks;
		if (n < in_flight)
			continue;
		iova -= in_flight * PAGE_SIZE;
		zpci_guest_unmap(&m.guest, iova, PAGE_SIZE);
		if (!lazy)
			rpcit(NULL, iova, PAGE_SIZE);
		else if (n % MANY == MANY - 1)
			rpcit(NULL, m.pba, m.pal - m.pba + 1);
		else
			continue;
		total += m.guest.mailbox->ticks;
	}
	refreshes = zpci_shadow_stats().refreshes - refreshes;
	print_line(name, nanoseconds(total) / (4 * MANY), 1,
		   refreshes / (4 * MANY), zpci_shadow_stats().tables);
	zpci_guest_unmap(&m.guest, base, 4 * IOAT_FRAME_1M);
	rpcit(NULL, m.pba, m.pal - m.pba + 1);
}

#define MOST_VCPUS	4
#define SMP_ROUNDS	7

/**
 * struct smp_work - what vCPUs do side by side
 * @name: its name
 * @flags: of the storm
 * @count: rounds of all vCPUs together, for a second or so
 * @functions: on how many functions
 */
struct smp_work {
	const char *name;
	u64 flags;
	u64 count;
	int functions;
};

static const struct smp_work smp_works[] = {
	{ "spin", STORM_SPIN, 20000, 1 },
	{ "exit", STORM_EXIT, 40000, 1 },
	{ "one", STORM_PAGES | STORM_WHOLE, 20000, 1 },
	{ "two", STORM_PAGES | STORM_WHOLE, 20000, 2 },
};

/* Open a second function for the same guest, with another handle. */
static void second_function(struct zpci_vm *second, const char *bdf)
{
	struct kvm_s390_zpci_ioat ioat = { .fh = ZPCI_GUEST_FH + 1 };
	int err;

	setenv("VFIO_SELFTESTS_BDF", bdf, 1);
	*second = (struct zpci_vm){ .guest = m.guest, .kvm_vfio = m.kvm_vfio };
	second->zpci = kvm_create_device(m.guest.vm, KVM_DEV_TYPE_S390_ZPCI);
	zpci_vm_open_function(second, m.mode);
	err = zpci_vm_bind(second) ? : zpci_vm_attach(second);
	TEST_ASSERT(!err, "%s: %s", bdf, strerror(err));
	kvm_device_attr_set(second->zpci, KVM_DEV_S390_ZPCI_IOAT,
			    KVM_DEV_S390_ZPCI_IOAT_ON, &ioat);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Return the rounds per second of @nr vCPUs. */
static u64 smp_rate(struct zpci_guest **cpu, const struct smp_work *work, int nr)
{
	struct zpci_storm_thread threads[MOST_VCPUS];
	u64 base = (m.pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);
	const struct zpci_storm *s;
	double start = seconds();
	int i;

	for (i = 0; i < nr; i++) {
		struct zpci_storm storm = {
			.flags = work->flags,
			.fh = ZPCI_GUEST_FH + i % work->functions,
			.iova = base + i * IOAT_FRAME_1M,
			.size = 16 * PAGE_SIZE,
			.gpa = ZPCI_GUEST_PAGE(64 + 64 * i),
			.frames = 64,
			.seed = i + 1,
			.count = work->count / nr,
		};

		zpci_storm_start(&threads[i], cpu[i], &storm);
	}
	for (i = 0; i < nr; i++) {
		zpci_storm_join(&threads[i]);
		s = &cpu[i]->mailbox->storm;
		TEST_ASSERT(s->rounds == work->count / nr && !cpu[i]->exits &&
			    (!(work->flags & STORM_WHOLE) ||
			     s->cc[0] == s->rounds),
			    "vCPU %d: %lu rounds, %lu RPCITs with condition code 0",
			    i, s->rounds, s->cc[0]);
	}
	return work->count / (seconds() - start);
}

/* Alternate the works: other load of the machine affects all of them. */
static void side_by_side(void)
{
	static u64 rates[ARRAY_SIZE(smp_works)][MOST_VCPUS + 1][SMP_ROUNDS];
	struct zpci_guest peers[MOST_VCPUS - 1], *cpu[MOST_VCPUS];
	const char *bdf = getenv("ZPCI_SECOND");
	struct zpci_vm second;
	int i, n, w, works = ARRAY_SIZE(smp_works) - !bdf;
	u64 base = (m.pba + IOAT_FRAME_1M) & ~(IOAT_FRAME_1M - 1);

	cpu[0] = &m.guest;
	for (i = 1; i < MOST_VCPUS; i++) {
		cpu[i] = &peers[i - 1];
		zpci_guest_add_vcpu(&m.guest, cpu[i]);
	}
	/* Create the tables now. */
	for (i = 0; i < MOST_VCPUS; i++)
		zpci_guest_unmap(&m.guest, base + i * IOAT_FRAME_1M, PAGE_SIZE);
	if (bdf)
		second_function(&second, bdf);
	for (i = 0; i < SMP_ROUNDS; i++)
		for (w = 0; w < works; w++)
			for (n = 1; n <= MOST_VCPUS; n *= 2)
				rates[w][n][i] = smp_rate(cpu, &smp_works[w], n);
	for (w = 0; w < works; w++)
		for (n = 1; n <= MOST_VCPUS; n *= 2)
			printf("# smp %s %d %lu\n", smp_works[w].name, n,
			       median(rates[w][n], SMP_ROUNDS));
	fflush(stdout);
	if (bdf) {
		zpci_vm_close_zpci(&second);
		zpci_function_close(second.device);
	}
}

static void loop(u64 iova, u64 pages, u64 stride, u64 count)
{
	/* Map a page for the refreshes. */
	set_entries(iova, FIRST_GPA, 1, 1);
	while (count--) {
		if (!pages) {
			rpcit(NULL, m.pba, m.pal - m.pba + 1);
			continue;
		}
		set_entries(iova, FIRST_GPA, pages, stride);
		rpcit(NULL, iova, pages * PAGE_SIZE);
		zpci_guest_unmap(&m.guest, iova, pages * PAGE_SIZE);
		rpcit(NULL, iova, pages * PAGE_SIZE);
	}
}

static void all(u64 iova, bool quick)
{
	bench_exit();
	bench_pins();
	bench_pages(iova, 1, 1);
	bench_pages(iova, 16, 1);
	bench_pages(iova, MANY, 1);
	bench_pages(iova, MANY, 2);
	bench_stream("stream-strict", false, 32);
	bench_stream("stream-lazy", true, 32);

	bench_aperture("1G", IOTA_DT_RTTO, GIB);
	if (!quick)
		bench_aperture("4T", IOTA_DT_RTTO, 0);
	bench_aperture("largest", IOTA_DT_RFTO, 0);
}

/*
 * A guest can't map more pages than its functions see: let them see as many as
 * bench_aperture() maps.
 */
static void add_memory(void)
{
	struct kvm_userspace_memory_region2 more = {
		.guest_phys_addr = ZPCI_SLOT_GPA,
		.memory_size = 16384 * PAGE_SIZE,
	};
	void *memory = mmap(NULL, more.memory_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err;

	TEST_ASSERT(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	more.userspace_addr = (uintptr_t)memory;
	err = zpci_vm_plug(&m, &more);
	TEST_ASSERT(!err, "IOMMU_IOAS_MAP: %s", strerror(err));
}

int main(int argc, char **argv)
{
	u64 iova;

	ksft_print_header();
	zpci_vm_require();
	ksft_set_plan(1);

	zpci_vm_setup(&m, getenv("ZPCI_MODE") ?: ZPCI_NESTED);
	add_memory();
	iova = (m.pba | (IOAT_FRAME_1M - 1)) + 1;
	if (argc == 5 && !strcmp(argv[1], "loop"))
		loop(iova, atoi_non_negative("PAGES", argv[2]),
		     atoi_positive("STRIDE", argv[3]),
		     atoi_non_negative("N", argv[4]));
	else if (argc == 2 && !strcmp(argv[1], "smp"))
		side_by_side();
	else if (argc == 1 || (argc == 2 && !strcmp(argv[1], "quick")))
		all(iova, argc == 2);
	else
		ksft_exit_fail_msg("zpci_bench [quick | smp | loop PAGES STRIDE N]\n");
	zpci_vm_destroy(&m);
	ksft_test_result_pass("all cases\n");
	ksft_finished();
}
