// SPDX-License-Identifier: GPL-2.0
/*
 * Soak test: random guests, faults and teardown
 *
 * A round is a process with a VM and the function. In a quiet round one thread
 * acts, and the kernel's state is compared with that of this program after each
 * step. In a wild round two vCPUs execute RPCIT while one thread changes the
 * tables, one sends signals, and one changes the function, the VM and the
 * limits. A round ends with a comparison, DMA and teardown in random order, or
 * with a kill. After each round nothing may be pinned, and the kernel must not
 * have complained.
 *
 * The choices of each thread follow from the seed and the number of the round.
 * The timing of the threads does not: a failure of a wild round may take
 * several runs to occur again.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/capability.h>

#include "ioat.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"
#include "zpci_baseline.h"
#include "zpci_fault.h"
#include "zpci_function.h"
#include "zpci_mailbox.h"
#include "zpci_tables.h"
#include "zpci_vm.h"

#define SEGMENTS	6
/* Page table entries of the first segment that only the queues use */
#define QUEUE_PX	254
#define MEM_PAGES	(ZPCI_GUEST_MEM_SIZE / IOAT_FRAME_4K)
#define MEM_SLOT	2

#define QUIET_STEPS	120
#define WILD_STEPS	80	/* of the operator; the others continue meanwhile */

/* Seconds: a longer round hangs */
#define ROUND_LIMIT	300

#define CC_ERR		1
#define ST_NO_RESOURCES	16

enum who { OPERATOR, VCPU_0, VCPU_1, EDITOR, SIGNALLER, THREADS };

static const char * const names[THREADS] = {
	"operator", "vCPU 0", "vCPU 1", "editor", "signaller",
};

/* Ways in which mappings end */
enum end {
	END_OFF, END_ZPCI, END_FUNCTION, END_RESET, END_DETACH, END_SLOT,
	END_VM, END_KILL, ENDS,
};

static const char * const end_names[ENDS] = {
	"KVM switched off", "KVM devices closed", "functions closed",
	"functions reset", "functions detached", "memory slots deleted",
	"VMs closed", "processes killed",
};

#define NOTES		12

/* An action of a thread, for the log of a failed round */
struct note {
	const char *what;
	u64 a;
	u64 b;
	int result;
};

/* Shared by all processes */
static struct shared {
	u64 actions;
	u64 rpcits;
	u64 by_kernel;
	u64 by_user;
	u64 no_resources;
	u64 faults[ZPCI_FAULT_KINDS];
	u64 run_errors;
	u64 comparisons;
	u64 dmas;
	u64 lost_guests;
	u64 mapped;
	u64 unmapped;
	u64 refused_nomem;
	u64 refused_format;
	u64 refused_memory;
	u64 refused_host;
	u64 interrupted;
	u64 refreshes;
	u64 refresh_errors;
	u64 ends[ENDS];
	u64 digest[THREADS];
	struct zpci_shadow_stats last;
	bool to_be_killed;
	unsigned int noted[THREADS];
	struct note notes[THREADS][NOTES];
} *shared;

static void count(u64 *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

/* The path to a page table: the entry of each level and its value */
struct segment {
	u64 iova;
	u64 *pages;
	u64 *entry[4];
	u64 good[4];
};

static struct round {
	struct zpci_vm m;
	struct zpci_guest second;
	struct zpci_tables t;
	struct segment segs[SEGMENTS];
	struct zpci_pins before;
	u64 seed;
	bool faults;	/* fail-nth, and the host's refresh */
	unsigned int percent;	/* failslab and fail_page_alloc at random */
	bool limited;
	bool signals;
	bool stop;
	bool lost;
	pthread_t thread[THREADS];
} round;

static bool can_inject;
static u64 the_seed, the_round;
static u8 reference[NVME_IDENTIFY_SIZE];

static void show_notes(void)
{
	unsigned int who, i, n;
	struct note *note;

	for (who = 0; who < THREADS; who++) {
		n = shared->noted[who];
		for (i = n < NOTES ? 0 : n - NOTES; i < n; i++) {
			note = &shared->notes[who][i % NOTES];
			printf("#   %s: %s 0x%lx 0x%lx = %d\n", names[who],
			       note->what, note->a, note->b, note->result);
		}
	}
}

static void __printf(1, 2) fail(const char *format, ...)
{
	va_list args;

	printf("# soak round %lu of seed %lu: ", the_round, the_seed);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

static void note(enum who who, const char *what, u64 a, u64 b, int result)
{
	u64 *digest = &shared->digest[who];

	shared->notes[who][shared->noted[who]++ % NOTES] =
		(struct note){ what, a, b, result };
	*digest = (*digest ^ a) * 0x100000001b3UL;
	*digest = (*digest ^ b) * 0x100000001b3UL;
	*digest = (*digest ^ (u32)result ^ (u64)*what << 32) * 0x100000001b3UL;
	count(&shared->actions);
}

static void seed_thread(struct zpci_random *rnd, enum who who)
{
	rnd->state = round.seed ^ (u64)who << 56;
	zpci_random(rnd);
}

static __thread bool armed;

/*
 * Many calls get a fault, unless the thread gets signals: a fault in the
 * delivery of a signal kills the process. Not with random faults either, which
 * could hit the arming.
 */
static void maybe_arm(struct zpci_random *rnd, bool other)
{
	unsigned int nth = 1 + zpci_random_below(rnd, 10);

	armed = zpci_random_chance(rnd, 40) && round.faults && !other;
	if (armed)
		zpci_fault_arm(nth);
}

static void disarm(void)
{
	if (armed)
		zpci_fault_disarm();
	armed = false;
}

/*
 * Let a vCPU execute RPCIT. Return true for condition code 0 from the kernel.
 */
static bool rpcit(enum who who, struct zpci_guest *g, u64 start, u64 len)
{
	struct zpci_mailbox *mb = g->mailbox;
	unsigned int errors = 0, exits = 0;
	struct kvm_run *run = g->vcpu->run;
	struct ucall uc;
	bool injected;
	int err;

	mb->op = OP_RPCIT;
	mb->flags = 0;
	mb->fh = ZPCI_GUEST_FH;
	mb->iova = start;
	mb->size = len;
	for (;;) {
		err = _vcpu_run(g->vcpu) ? errno : 0;
		if (err) {
			injected = round.faults || round.percent;
			disarm();
			count(&shared->run_errors);
			if (!injected || (err != ENOMEM && err != EFAULT) ||
			    ++errors > 1000)
				fail("KVM_RUN: %s", strerror(err));
			continue;
		}
		if (get_ucall(g->vcpu, &uc) == UCALL_SYNC)
			break;
		if (run->exit_reason != KVM_EXIT_S390_SIEIC || exits ||
		    run->s390_sieic.ipa != 0xb9d3) {
			/*
			 * A fault was injected into a page fault of the guest.
			 */
			if (!round.faults && !round.percent)
				fail("unexpected exit of the guest: %u (%s)",
				     run->exit_reason,
				     exit_reason_str(run->exit_reason));
			count(&shared->lost_guests);
			round.lost = true;
			note(who, "guest lost", start, len, run->exit_reason);
			return false;
		}
		exits++;
		run->psw_mask &= ~PSW_MASK_CC;
		run->psw_mask |= (u64)CC_ERR << PSW_CC_SHIFT;
	}
	count(&shared->rpcits);
	note(who, "RPCIT", start, len, exits ? -1 : mb->rpcit.cc);
	if (mb->rpcit.pgm)
		fail("RPCIT: program interruption %u", mb->rpcit.pgm);
	if (exits) {
		count(&shared->by_user);
		return false;
	}
	count(&shared->by_kernel);
	if (!mb->rpcit.cc)
		return true;
	if (mb->rpcit.cc != CC_ERR || mb->rpcit.status != ST_NO_RESOURCES)
		fail("RPCIT: cc %u, status %u", mb->rpcit.cc, mb->rpcit.status);
	count(&shared->no_resources);
	return false;
}

static bool rpcit_all(void)
{
	return rpcit(OPERATOR, &round.m.guest, round.t.pba,
		     round.t.pal - round.t.pba + 1);
}

static bool rpcit_somewhere(struct zpci_random *rnd, enum who who,
			    struct zpci_guest *g)
{
	struct segment *seg = &round.segs[zpci_random_below(rnd, SEGMENTS)];
	u64 px = zpci_random_below(rnd, IOAT_PT_ENTRIES);
	u64 kind = zpci_random_below(rnd, 16);
	u64 any = zpci_random(rnd), other = zpci_random(rnd);
	u64 start = seg->iova, len = IOAT_FRAME_1M;
	bool done;

	switch (kind) {
	case 0 ... 3:
		start += px * IOAT_FRAME_4K;
		len = IOAT_FRAME_4K;
		break;
	case 4 ... 6:
		start += px * IOAT_FRAME_4K + any % IOAT_FRAME_4K;
		len = any % (4 * IOAT_FRAME_1M);
		break;
	case 7 ... 9:
		start = round.t.pba;
		len = round.t.pal - round.t.pba + 1;
		break;
	case 10:
		len = any >> (other % 64);
		break;
	case 11:
		start = any;
		len = other;
		break;
	case 12:
		len = 0;
		break;
	}
	maybe_arm(rnd, round.signals || round.percent);
	done = rpcit(who, g, start, len);
	disarm();
	return done;
}

static u64 random_gpa(struct zpci_random *rnd)
{
	return ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE +
			       zpci_random_below(rnd, MEM_PAGES -
						 ZPCI_PAGE_FREE));
}

/* The queues use a part of the page table of the first segment. */
static u64 last_px(struct segment *seg)
{
	return seg->iova == round.segs[0].iova ? QUEUE_PX - 1 :
						 IOAT_PT_ENTRIES - 1;
}

static void edit_pages(struct zpci_random *rnd, struct segment *seg, bool map)
{
	u64 px = zpci_random_below(rnd, QUEUE_PX);
	u64 nr = 1 + zpci_random_below(rnd, 64);
	u64 gpa = random_gpa(rnd);
	u64 protected = zpci_random_chance(rnd, 25) ? IOAT_PROTECTED : 0;

	note(EDITOR, map ? "map" : "unmap", seg->iova + px * IOAT_FRAME_4K, nr,
	     0);
	for (; nr && px <= last_px(seg); nr--, px++) {
		WRITE_ONCE(seg->pages[px],
			   map ? gpa | protected : IOAT_PTE_INVALID);
		gpa += IOAT_FRAME_4K;
		if (gpa >= ZPCI_GUEST_MEM + ZPCI_GUEST_MEM_SIZE)
			gpa = ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE);
	}
}

static void set_entry(struct segment *seg, unsigned int level, u64 value)
{
	note(EDITOR, "entry", level, value, 0);
	WRITE_ONCE(*seg->entry[level], value);
}

static void repair_segment(struct segment *seg)
{
	unsigned int level, px;
	u64 entry, gpa;

	for (level = 0; level <= round.t.top; level++)
		WRITE_ONCE(*seg->entry[level], seg->good[level]);
	for (px = 0; px < IOAT_PT_ENTRIES; px++) {
		entry = seg->pages[px];
		gpa = entry & -IOAT_FRAME_4K;
		if (!(entry & IOAT_PTE_INVALID) &&
		    (gpa < ZPCI_GUEST_MEM ||
		     gpa >= ZPCI_GUEST_MEM + ZPCI_GUEST_MEM_SIZE))
			WRITE_ONCE(seg->pages[px], IOAT_PTE_INVALID);
	}
}

static void repair_all(void)
{
	int i;

	for (i = 0; i < SEGMENTS; i++)
		repair_segment(&round.segs[i]);
}

/* Write an invalid entry. */
static void edit_wrong(struct zpci_random *rnd, struct segment *seg)
{
	static const u64 bits[] = {
		IOAT_TYPE_MASK, IOAT_OFFSET_MASK, IOAT_LENGTH, 0x8,
		IOAT_STE_FC, ~0x3fffUL,
	};
	unsigned int level = zpci_random_below(rnd, round.t.top + 1);
	u64 px = zpci_random_below(rnd, QUEUE_PX);
	u64 any = zpci_random(rnd);

	switch (zpci_random_below(rnd, 6)) {
	case 0:
		note(EDITOR, "wrong page", seg->iova, px, 0);
		WRITE_ONCE(seg->pages[px], 0);
		break;
	case 1:
		note(EDITOR, "wrong page", seg->iova, any, 0);
		WRITE_ONCE(seg->pages[px], any);
		break;
	case 2:
		set_entry(seg, level, 0);
		break;
	case 3:
		set_entry(seg, level, any);
		break;
	case 4:
		set_entry(seg, level, (seg->good[level] & 0xfff) |
			  ZPCI_GUEST_NOWHERE);
		break;
	case 5:
		set_entry(seg, level, seg->good[level] ^
			  bits[any % ARRAY_SIZE(bits)]);
		break;
	}
}

/* Change the tables and keep them valid. */
static void edit(struct zpci_random *rnd)
{
	struct segment *seg = &round.segs[zpci_random_below(rnd, SEGMENTS)];
	struct segment *peer = &round.segs[zpci_random_below(rnd, SEGMENTS)];
	unsigned int level = zpci_random_below(rnd, round.t.top + 1);
	u64 frame = zpci_random_below(rnd, 4);
	u64 kind = zpci_random_below(rnd, 20);

	switch (kind) {
	case 0 ... 8:
		edit_pages(rnd, seg, true);
		break;
	case 9 ... 12:
		edit_pages(rnd, seg, false);
		break;
	case 13:
		set_entry(seg, level, seg->good[level] | IOAT_INVALID);
		break;
	case 14:
		set_entry(seg, level, seg->good[level] | IOAT_PROTECTED);
		break;
	case 15:
		set_entry(seg, 0, (ZPCI_GUEST_MEM + frame * IOAT_FRAME_1M) |
			  IOAT_STE_FC);
		break;
	case 16:
		set_entry(seg, 0, peer->good[0]);
		break;
	default:
		set_entry(seg, level, seg->good[level]);
	}
}

/* Choose an aperture that function and tables reach. */
static void choose_aperture(struct zpci_random *rnd)
{
	u64 first = round.m.start_dma, last = round.m.end_dma;
	u64 a = zpci_random(rnd), b = zpci_random(rnd), size;
	u64 reach = zpci_tables_reach(round.t.top);

	if (last > reach)
		last = reach;
	size = 64 * IOAT_FRAME_1M;
	/* Some are small, some as large as possible. */
	if (a & 1)
		size = (last - first) >> (b % 16);
	if (size < 8 * IOAT_FRAME_1M)
		size = 8 * IOAT_FRAME_1M;
	if (size > last - first)
		size = last - first;
	round.t.pba = first + (a >> 8) % 256 * IOAT_FRAME_4K;
	round.t.pal = (first + size) & -IOAT_FRAME_4K;
	round.t.pal -= (b >> 8) % 256 * IOAT_FRAME_4K + 1;
}

/* Create segments: the first two of the aperture, the others anywhere in it. */
static void make_tables(struct zpci_random *rnd)
{
	u64 first, size = round.t.pal - round.t.pba;
	unsigned int i, level, px;
	struct segment *seg;

	zpci_tables_clear(&round.t);
	first = (round.t.pba + IOAT_FRAME_1M) & -IOAT_FRAME_1M;
	for (i = 0; i < SEGMENTS; i++) {
		seg = &round.segs[i];
		seg->iova = first + i * IOAT_FRAME_1M;
		if (i >= 2)
			seg->iova = (round.t.pba + zpci_random(rnd) % size) &
				    -IOAT_FRAME_1M;
		if (seg->iova < round.t.pba)
			seg->iova = first;
		/* Two of them may be equal, which does no harm. */
		seg->pages = zpci_tables_page(&round.t, seg->iova);
		for (level = 0; level <= round.t.top; level++) {
			seg->entry[level] = zpci_tables_entry(&round.t,
							      seg->iova, level);
			seg->good[level] = *seg->entry[level];
		}
	}
	seg = round.segs;
	for (px = 0; px < 2; px++)
		seg->pages[QUEUE_PX + px] = ZPCI_GUEST_PAGE(ZPCI_PAGE_ASQ + px);
}

static bool listed(const int *allowed, int err)
{
	for (; *allowed; allowed++) {
		if (*allowed == err)
			return true;
	}
	return false;
}

/* Record the result of an operation. An undocumented error ends the round. */
static int did(const char *what, u64 a, u64 b, int err, const int *allowed)
{
	disarm();
	note(OPERATOR, what, a, b, err);
	if (err && allowed && !listed(allowed, err))
		fail("%s: %s, which is not documented", what, strerror(err));
	return err;
}

/*
 * Add up the counters of all tables. A table takes some of its counters with it. Not
 * with a fault armed, which this could meet.
 */
static void account(void)
{
	struct zpci_shadow_stats s = zpci_shadow_stats();

	if (s.walks < shared->last.walks || s.mapped < shared->last.mapped)
		memset(&shared->last, 0, sizeof(shared->last));
	shared->mapped += s.mapped - shared->last.mapped;
	shared->unmapped += s.unmapped - shared->last.unmapped;
	shared->refused_nomem += s.refused_nomem - shared->last.refused_nomem;
	shared->refused_format += s.refused_format - shared->last.refused_format;
	shared->refused_memory += s.refused_memory - shared->last.refused_memory;
	shared->refused_host += s.refused_host - shared->last.refused_host;
	shared->interrupted += s.interrupted - shared->last.interrupted;
	shared->refreshes += s.refreshes - shared->last.refreshes;
	shared->refresh_errors += s.refresh_errors -
				  shared->last.refresh_errors;
	shared->last = s;
}

static int attach_table(u64 iota, u64 pba, u64 pal)
{
	static const int allowed[] = {
		EFAULT, EINVAL, EOPNOTSUPP, ENOMEM, EIO, 0
	};
	int err = zpci_vm_attach_table(&round.m, iota, pba, pal);

	return did("attach", pba, pal, err, allowed);
}

static int attach(void)
{
	return attach_table(zpci_tables_iota(&round.t), round.t.pba,
			    round.t.pal);
}

static int detach(void)
{
	int err = zpci_vm_detach(&round.m);

	if (!err)
		count(&shared->ends[END_DETACH]);
	return did("detach", 0, 0, err, NULL);
}

static int ioat_on(void)
{
	static const int allowed[] = { EFAULT, ENODEV, EEXIST, ENOMEM, 0 };

	return did("IOAT on", 0, 0, zpci_vm_ioat_on(&round.m), allowed);
}

static int ioat_off(void)
{
	static const int allowed[] = { EFAULT, ENOENT, 0 };
	int err = zpci_vm_ioat_off(&round.m);

	if (!err)
		count(&shared->ends[END_OFF]);
	return did("IOAT off", 0, 0, err, allowed);
}

static int bind_function(void)
{
	static const int allowed[] = {
		EFAULT, EBADF, ENODEV, EPERM, EBUSY, ENOMEM, 0
	};

	return did("bind", 0, 0, zpci_vm_bind(&round.m), allowed);
}

/*
 * A function whose reset fails, because its table can't be registered again,
 * must be discovered again: no reset may fail.
 */
static void refreshes_work(void)
{
	if (can_inject)
		zpci_fault_refresh(1, 0, ENOMEM);
}

static int reset_function(void)
{
	int err;

	refreshes_work();
	err = zpci_function_reset(round.m.device);
	if (!err)
		count(&shared->ends[END_RESET]);
	return did("reset", 0, 0, err, NULL);
}

/* Leave the HWPT: it can be attached again, but it need not. */
static void detach_function(void)
{
	did("detach function", 0, 0, zpci_function_detach(round.m.device), NULL);
}

static void read_stats(void)
{
	static const int allowed[] = { EFAULT, ENODEV, 0 };
	struct kvm_s390_zpci_ioat_stats s;

	did("stats", 0, 0, zpci_vm_get_stats(&round.m, &s), allowed);
}

/* Delete the slot of the frames, make it read-only, or restore it. */
static void set_slot(u64 size, u32 flags)
{
	struct userspace_mem_region *slot;
	int err;

	slot = memslot2region(round.m.guest.vm, MEM_SLOT);
	err = __vm_set_user_memory_region(round.m.guest.vm, MEM_SLOT, flags,
					  ZPCI_GUEST_MEM, size,
					  (void *)slot->region.userspace_addr) ?
	      errno : 0;
	if (!size && !err)
		count(&shared->ends[END_SLOT]);
	did(size ? "set slot" : "delete slot", size, flags, err, NULL);
	if (err)
		return;
	/* The same for the parent, if that is not so already */
	if (size)
		err = zpci_vm_plug(&round.m, &slot->region);
	else
		err = zpci_vm_unplug(&round.m, &slot->region);
	did(size ? "plug" : "unplug", size, 0, err, NULL);
}

static void set_limit(u64 pages)
{
	struct rlimit limit = {
		.rlim_cur = pages == ~0UL ? RLIM_INFINITY :
					    pages * IOAT_FRAME_4K,
		.rlim_max = RLIM_INFINITY,
	};

	did("limit", pages, 0, setrlimit(RLIMIT_MEMLOCK, &limit), NULL);
}

static void reopen_zpci(void)
{
	zpci_vm_close_zpci(&round.m);
	count(&shared->ends[END_ZPCI]);
	note(OPERATOR, "close KVM device", 0, 0, 0);
	round.m.zpci = kvm_create_device(round.m.guest.vm,
					 KVM_DEV_TYPE_S390_ZPCI);
}

static const char *any_mode(u64 random)
{
	return random & 1 ? ZPCI_ON_DEMAND : ZPCI_NESTED;
}

static void reopen_function(const char *mode)
{
	u64 pba = round.t.pba, pal = round.t.pal;

	account();
	zpci_vm_close_function(&round.m);
	refreshes_work();
	count(&shared->ends[END_FUNCTION]);
	note(OPERATOR, "close function", 0, 0, 0);
	/* A parent may pin all memory. */
	set_limit(~0UL);
	zpci_vm_open_function(&round.m, mode);
	note(OPERATOR, "open function", zpci_mode_is_on_demand(mode), 0, 0);
	round.t.pba = pba;
	round.t.pal = pal;
}

/* Undo most of what keeps the kernel from answering RPCITs. */
static void bring_up(void)
{
	bind_function();
	ioat_on();
	attach();
}

static void operate(struct zpci_random *rnd)
{
	u64 a = zpci_random(rnd), b = zpci_random(rnd);
	u64 kind = zpci_random_below(rnd, 40);

	account();
	/* The kinds whose calls must not fail are last. */
	if (kind < 28)
		maybe_arm(rnd, false);
	switch (kind) {
	case 0 ... 7:
		bring_up();
		break;
	case 8 ... 11:
		attach();
		break;
	case 12:
		detach();
		break;
	case 13:
		ioat_off();
		break;
	case 14:
		ioat_on();
		break;
	case 15:
		bind_function();
		break;
	case 16:
		read_stats();
		break;
	case 17:
		attach_table(zpci_tables_iota(&round.t), a, b);
		break;
	case 18:
		attach_table(a, round.t.pba, round.t.pal);
		break;
	case 19:
		set_slot(0, 0);
		break;
	case 20 ... 23:
		set_slot(ZPCI_GUEST_MEM_SIZE, 0);
		break;
	case 24:
		set_slot(ZPCI_GUEST_MEM_SIZE, KVM_MEM_READONLY);
		break;
	case 25 ... 27:
		detach_function();
		if (a & 1)
			attach();
		break;
	case 28 ... 29:
		set_limit(a & 1 ? ~0UL : b % 600);
		break;
	case 30:
		reopen_zpci();
		break;
	case 31:
		reset_function();
		break;
	case 32:
		if (a % 4 == 0)
			reopen_function(any_mode(b));
		break;
	case 33 ... 35:
		if (round.faults) {
			zpci_fault_refresh(1 + a % 4, 1 + b % 6,
					   a & 8 ? EIO : ENOMEM);
			note(OPERATOR, "refreshes fail", 1 + a % 4, 1 + b % 6,
			     0);
		}
		break;
	case 36:
		refreshes_work();
		break;
	default:
		usleep(a % 5000);
	}
	disarm();
}

static void compare(void)
{
	u64 want = zpci_tables_count(&round.t);
	struct zpci_shadow_stats s = zpci_shadow_stats();

	count(&shared->comparisons);
	account();
	note(OPERATOR, "compare", want, s.pinned, 0);
	if (s.pinned != want)
		fail("%lu frames are mapped, the guest's table has %lu",
		     s.pinned, want);
	if (s.mapped - s.unmapped != s.pinned)
		fail("%lu frames mapped - %lu unmapped is not %lu",
		     s.mapped, s.unmapped, s.pinned);
}

/* Check that nothing is pinned or charged in this process. */
static void compare_with_beginning(const char *when)
{
	const char *wrong = zpci_vm_check_pins(&round.m, &round.before, 0);

	if (wrong)
		fail("%s: %s", when, wrong);
}

/* Restore everything and stop injecting faults. */
static void calm_down(void)
{
	if (can_inject)
		zpci_fault_random(0);
	refreshes_work();
	round.faults = false;
	round.percent = 0;
	set_limit(~0UL);
	set_slot(0, 0);
	set_slot(ZPCI_GUEST_MEM_SIZE, 0);
	repair_all();
}

/* Start again: reset the function and attach a table. */
static void set_up_again(void)
{
	struct zpci_vm *m = &round.m;
	int err;

	err = detach();
	if (err)
		fail("detach: %s", strerror(err));
	compare_with_beginning("detached");
	if (reset_function())
		reopen_function(m->mode);
	err = bind_function();
	if (err && err != EBUSY)
		fail("bind: %s", strerror(err));
	err = ioat_on();
	if (err && err != EEXIST)
		fail("IOAT on: %s", strerror(err));
	err = attach();
	if (err)
		fail("attach: %s", strerror(err));
	if (!rpcit_all())
		fail("RPCIT over the whole aperture is not completed");
	compare();
}

/* Do DMA to @iova. The data must arrive in the right frame or nowhere. */
static void dma(u64 iova, bool *in_error)
{
	u64 entry = zpci_tables_lookup(&round.t, iova);
	u64 gpa = entry & -IOAT_FRAME_4K, stray;
	struct zpci_vm *m = &round.m;
	bool good;
	int ret;

	if (iova < round.t.pba || iova > round.t.pal)
		entry = IOAT_PTE_INVALID;
	good = !(entry & (IOAT_PTE_INVALID | IOAT_PROTECTED));
	/* Don't overwrite the queues. */
	if (good && gpa < ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE))
		return;
	if (good)
		memset(zpci_guest_hva(&m->guest, gpa), 0x55, IOAT_FRAME_4K);
	zpci_vm_snapshot(m);
	ret = nvme_identify_ctrl(&m->nvme, iova, 0);
	stray = zpci_vm_stray_write(m, &gpa, good);
	count(&shared->dmas);
	note(OPERATOR, "DMA", iova, entry, ret);
	if (stray != ~0UL)
		fail("DMA to 0x%lx, which is 0x%lx, has changed 0x%lx", iova,
		     entry, stray);
	/* QEMU silently drops DMA beyond the aperture. */
	if (!good && iova > round.t.pal && !ret)
		return;
	if (good && ret)
		fail("DMA to 0x%lx, which is 0x%lx, fails: %s", iova, entry,
		     nvme_result(ret));
	if (good && memcmp(zpci_guest_hva(&m->guest, gpa), reference,
			   IOAT_FRAME_4K))
		fail("DMA to 0x%lx does not arrive at 0x%lx", iova, entry);
	if (!good && ret != NVME_FUNCTION_ERROR)
		fail("DMA to 0x%lx, which is 0x%lx, does not fail", iova,
		     entry);
	*in_error = !good;
}

static int recover(void)
{
	detach();
	return reset_function();
}

static void do_dma(struct zpci_random *rnd)
{
	u64 sq = round.segs[0].iova + QUEUE_PX * IOAT_FRAME_4K, iova;
	struct nvme_queue_pages admin = {
		.sq = zpci_guest_hva(&round.m.guest,
				     ZPCI_GUEST_PAGE(ZPCI_PAGE_ASQ)),
		.cq = zpci_guest_hva(&round.m.guest,
				     ZPCI_GUEST_PAGE(ZPCI_PAGE_ACQ)),
		.sq_iova = sq,
		.cq_iova = sq + IOAT_FRAME_4K,
	};
	bool in_error = false;
	int i, ret;

	ret = nvme_enable(&round.m.nvme, round.m.device, &admin);
	if (ret)
		fail("NVMe enable: %s", nvme_result(ret));
	for (i = 0; i < 6; i++) {
		iova = round.segs[zpci_random_below(rnd, SEGMENTS)].iova +
		       zpci_random_below(rnd, QUEUE_PX) * IOAT_FRAME_4K;
		if (!in_error)
			dma(iova, &in_error);
	}
	/* Otherwise the next open has to revive the function. */
	if (in_error && zpci_random_chance(rnd, 80) && recover())
		fail("the function does not recover");
}

static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	TEST_ASSERT(!syscall(SYS_capget, &header, data), "capget");
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	TEST_ASSERT(!syscall(SYS_capset, &header, data), "capset");
}

static void add_vcpu(void)
{
	struct zpci_guest *g = &round.second;
	gva_t mailbox;

	*g = round.m.guest;
	g->vcpu = vm_vcpu_add(g->vm, 1, zpci_guest_main);
	mailbox = vm_alloc_page(g->vm);
	g->mailbox = addr_gva2hva(g->vm, mailbox);
	vcpu_args_set(g->vcpu, 1, mailbox);
}

static void begin(struct zpci_random *rnd)
{
	const char *mode = any_mode(zpci_random(rnd));
	bool faults = zpci_random_chance(rnd, 70);
	bool random = zpci_random_chance(rnd, 30);
	unsigned int percent = 1 + zpci_random_below(rnd, 5);

	round.limited = zpci_random_chance(rnd, 30);
	round.t.top = zpci_random_below(rnd, 4);
	/* The tables of the guest are plain memory. */
	set_limit(~0UL);
	round.before = zpci_pins_now();
	/* What maps memory into an IOAS decides if limits count. */
	if (round.limited)
		drop_ipc_lock();
	zpci_vm_create(&round.m, mode);
	add_vcpu();
	if (round.m.start_dma >= zpci_tables_reach(round.t.top) / 2)
		round.t.top = 1;
	round.t.gpa = ZPCI_GUEST_TABLES;
	round.t.size = ZPCI_GUEST_TABLES_SIZE;
	round.t.hva = zpci_guest_hva(&round.m.guest, round.t.gpa);
	choose_aperture(rnd);
	make_tables(rnd);
	if (bind_function() || ioat_on() || attach())
		fail("the table can't be attached");
	/*
	 * Both vCPUs take their first page faults before other threads start.
	 */
	rpcit(VCPU_0, &round.m.guest, round.t.pba, IOAT_FRAME_4K);
	rpcit(VCPU_1, &round.second, round.t.pba, IOAT_FRAME_4K);
	round.faults = can_inject && faults;
	round.percent = can_inject && random ? percent : 0;
	note(OPERATOR, "begin", round.t.top, round.percent << 1 | round.faults,
	     0);
}

/* One thread acts, so that the expected state is known. */
static void quiet_round(struct zpci_random *rnd)
{
	struct segment *seg;
	int i;

	round.percent = 0;
	for (i = 0; i < QUIET_STEPS && !round.lost; i++) {
		switch (zpci_random_below(rnd, 10)) {
		case 0 ... 3:
			edit(rnd);
			break;
		case 4 ... 6:
			rpcit_somewhere(rnd, VCPU_0, &round.m.guest);
			break;
		case 7:
			seg = &round.segs[zpci_random_below(rnd, SEGMENTS)];
			edit_wrong(rnd, seg);
			rpcit(VCPU_1, &round.second, seg->iova, IOAT_FRAME_1M);
			repair_all();
			break;
		case 8:
			if (rpcit_all())
				compare();
			break;
		case 9:
			if (round.faults) {
				unsigned int nth = zpci_random_below(rnd, 3);
				int err = nth & 1 ? EIO : ENOMEM;

				zpci_fault_refresh(1 + nth, 1 + nth, err);
			}
			break;
		}
	}
}

static void *vcpu_thread(void *data)
{
	enum who who = (long)data;
	struct zpci_guest *g = who == VCPU_0 ? &round.m.guest : &round.second;
	struct zpci_random rnd;

	seed_thread(&rnd, who);
	if (round.percent)
		zpci_fault_random_thread(true);
	while (!READ_ONCE(round.stop) && !READ_ONCE(round.lost)) {
		u64 pause = zpci_random_below(&rnd, 4000);

		/* Limit the time that is spent outside the kernel. */
		if (!rpcit_somewhere(&rnd, who, g))
			usleep(pause);
	}
	if (round.percent)
		zpci_fault_random_thread(false);
	return NULL;
}

static void *edit_thread(void *data)
{
	struct zpci_random rnd;

	seed_thread(&rnd, EDITOR);
	while (!READ_ONCE(round.stop)) {
		struct segment *seg;

		seg = &round.segs[zpci_random_below(&rnd, SEGMENTS)];
		switch (zpci_random_below(&rnd, 25)) {
		case 0:
			edit_wrong(&rnd, seg);
			break;
		case 1 ... 6:
			repair_segment(seg);
			break;
		default:
			edit(&rnd);
		}
		usleep(zpci_random_below(&rnd, 2000));
	}
	return NULL;
}

static void *signal_thread(void *data)
{
	struct zpci_random rnd;

	seed_thread(&rnd, SIGNALLER);
	while (round.signals && !READ_ONCE(round.stop)) {
		pthread_kill(round.thread[VCPU_0 +
					  zpci_random_below(&rnd, 2)], SIGUSR1);
		usleep(zpci_random_below(&rnd, 10000));
	}
	return NULL;
}

static void ignore_signal(int number)
{
}

static void wild_round(struct zpci_random *rnd)
{
	static void *(*const what[THREADS])(void *data) = {
		[VCPU_0] = vcpu_thread,
		[VCPU_1] = vcpu_thread,
		[EDITOR] = edit_thread,
		[SIGNALLER] = signal_thread,
	};
	unsigned int kill_at = zpci_random_below(rnd, 4 * WILD_STEPS);
	struct sigaction action = { .sa_handler = ignore_signal };
	unsigned int i;
	long who;

	sigaction(SIGUSR1, &action, NULL);
	round.signals = zpci_random_chance(rnd, 50);
	if (round.percent)
		zpci_fault_random(round.percent);
	for (who = VCPU_0; who < THREADS; who++)
		TEST_ASSERT(!pthread_create(&round.thread[who], NULL, what[who],
					    (void *)who), "no thread");
	for (i = 0; i < WILD_STEPS; i++) {
		if (i == kill_at) {
			WRITE_ONCE(shared->to_be_killed, true);
			note(OPERATOR, "kill", i, 0, 0);
			refreshes_work();
			kill(getpid(), SIGKILL);
		}
		operate(rnd);
	}
	/* A finished thread can still be signalled. */
	round.stop = true;
	pthread_join(round.thread[SIGNALLER], NULL);
	pthread_join(round.thread[EDITOR], NULL);
	pthread_join(round.thread[VCPU_0], NULL);
	pthread_join(round.thread[VCPU_1], NULL);
}

/* Close the parts in random order. */
static void end(struct zpci_random *rnd)
{
	static const enum end parts[] = { END_ZPCI, END_FUNCTION, END_VM };
	u64 order = zpci_random_below(rnd, 6);
	unsigned int left = 7, part;

	account();
	while (left) {
		part = order % 3;
		order = order / 2 + 1;
		while (!(left & 1 << part))
			part = (part + 1) % 3;
		left &= ~(1 << part);
		note(OPERATOR, "close part", part, 0, 0);
		count(&shared->ends[parts[part]]);
		switch (parts[part]) {
		case END_ZPCI:
			zpci_vm_close_zpci(&round.m);
			break;
		case END_FUNCTION:
			zpci_vm_close_function(&round.m);
			break;
		default:
			kvm_vm_release(round.m.guest.vm);
			break;
		}
	}
	compare_with_beginning("closed");
}

static void do_round(void)
{
	struct zpci_random rnd;

	alarm(ROUND_LIMIT);
	seed_thread(&rnd, OPERATOR);
	begin(&rnd);
	if (zpci_random_chance(&rnd, 35))
		quiet_round(&rnd);
	else
		wild_round(&rnd);
	calm_down();
	if (!round.lost) {
		/*
		 * The current state: no table, in error, or like the table
		 * of the guest
		 */
		if (rpcit_all())
			compare();
		set_up_again();
		do_dma(&rnd);
	}
	end(&rnd);
}

static int open_kmsg(void)
{
	int fd = open_path_or_exit("/dev/kmsg", O_RDONLY | O_NONBLOCK);

	lseek(fd, 0, SEEK_END);
	return fd;
}

/* Check for unexpected kernel messages. */
static bool kernel_complained(int fd)
{
	static const char * const words[] = {
		"BUG:", "WARNING:", "Oops", "KASAN:", "UBSAN:",
		"possible circular locking", "possible recursive locking",
		"inconsistent lock state", "INFO: task", "soft lockup",
	};
	char line[2048], *text;
	bool found = false;
	ssize_t len;
	int i;

	for (;;) {
		len = read(fd, line, sizeof(line) - 1);
		/* EPIPE: messages were overwritten before they could be read */
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			return found;
		line[len] = '\0';
		text = strchr(line, ';');
		/* Data races of the base kernel are judged from the log. */
		if (!text || strstr(text, "BUG: KCSAN"))
			continue;
		for (i = 0; i < ARRAY_SIZE(words) && !found; i++) {
			if (strstr(text, words[i])) {
				printf("# kernel: %s", text + 1);
				found = true;
			}
		}
	}
}

/* A killed process releases its memory late. */
static bool all_given_back(u64 before)
{
	u64 now = 0;
	int i;

	for (i = 0; i < 100; i++) {
		now = zpci_pins_now().system;
		if (now == before)
			return true;
		usleep(50000);
	}
	printf("# after the round %ld pages are still pinned\n",
	       (long)(now - before));
	return false;
}

static bool run_round(u64 before, int kmsg)
{
	struct zpci_random rnd = { .state = the_seed };
	bool good;
	pid_t pid;
	int status, kind;

	rnd.state = zpci_random(&rnd) + the_round;
	memset(shared->noted, 0, sizeof(shared->noted));
	memset(&shared->last, 0, sizeof(shared->last));
	if (can_inject)
		zpci_fault_count();
	shared->to_be_killed = false;
	fflush(stdout);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		round.seed = zpci_random(&rnd);
		do_round();
		fflush(stdout);
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	if (can_inject) {
		zpci_fault_random(0);
		zpci_fault_refresh(1, 0, ENOMEM);
		/* The kernel's device counts the RPCITs of the host. */
		for (kind = 0; kind < ZPCI_FAULT_REFRESH; kind++)
			shared->faults[kind] += zpci_fault_counted(kind);
	}
	good = WIFEXITED(status) && !WEXITSTATUS(status);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
	    shared->to_be_killed) {
		count(&shared->ends[END_KILL]);
		good = true;
	}
	if (WIFSIGNALED(status) && !good)
		printf("# the round ends with signal %d%s\n", WTERMSIG(status),
		       WTERMSIG(status) == SIGALRM ? ": it hangs" : "");
	if (!all_given_back(before))
		good = false;
	if (kernel_complained(kmsg))
		good = false;
	if (!good) {
		printf("# soak round %lu of seed %lu failed; to run it alone: -s %lu -r %lu -n 1\n",
		       the_round, the_seed, the_seed, the_round);
		printf("# what it did last:\n");
		show_notes();
	}
	return good;
}

static void show(const char *what, u64 value)
{
	printf("# counter %s = %lu\n", what, value);
}

static void show_counters(void)
{
	u64 digest = 0;
	int i;

	show("actions", shared->actions);
	show("RPCITs executed", shared->rpcits);
	show("RPCITs completed by the kernel", shared->by_kernel);
	show("RPCITs with status 16 among them", shared->no_resources);
	show("RPCITs passed on to user space", shared->by_user);
	show("refreshes out of resources", shared->refused_nomem);
	show("refreshes of a malformed entry", shared->refused_format);
	show("refreshes without the memory", shared->refused_memory);
	show("refreshes that the host failed", shared->refused_host);
	show("refreshes interrupted by a signal", shared->interrupted);
	show("frames mapped", shared->mapped);
	show("frames unmapped", shared->unmapped);
	show("host RPCITs", shared->refreshes);
	show("host RPCITs failed", shared->refresh_errors);
	for (i = 0; i < ZPCI_FAULT_REFRESH; i++) {
		printf("# counter faults injected by %s = %lu\n",
		       zpci_fault_name[i], shared->faults[i]);
	}
	show("KVM_RUN failed by faults", shared->run_errors);
	show("guests lost by injected faults", shared->lost_guests);
	for (i = 0; i < ENDS; i++)
		show(end_names[i], shared->ends[i]);
	show("comparisons with the guest's table", shared->comparisons);
	show("DMA transfers checked", shared->dmas);
	show("pages pinned in the system now", zpci_pins_now().system);
	/* A digest of all actions and results */
	for (i = 0; i < THREADS; i++)
		digest = digest * 31 + shared->digest[i];
	printf("# counter digest = %016lx\n", digest);
}

static u64 all_faults(void)
{
	u64 sum = shared->refresh_errors;
	int i;

	for (i = 0; i < ZPCI_FAULT_REFRESH; i++)
		sum += shared->faults[i];
	return sum;
}

static void show_progress(u64 now, u64 rounds)
{
	printf("# soak %lu:%02lu: %lu rounds, %lu actions, %lu RPCITs, %lu faults\n",
	       now / 60, now % 60, rounds, shared->actions, shared->rpcits,
	       all_faults());
}

static u64 seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void help(const char *name)
{
	printf("usage: %s [-s SEED] [-t SECONDS] [-r FIRST ROUND] [-n ROUNDS]\n",
	       name);
	exit(2);
}

int main(int argc, char **argv)
{
	u64 limit = 60, rounds = ~0UL, first = 0, start, shown = 0, before, now;
	bool good = true;
	int option, kmsg;

	the_seed = 1;
	while ((option = getopt(argc, argv, "s:t:r:n:")) != -1) {
		switch (option) {
		case 's':
			the_seed = strtoul(optarg, NULL, 0);
			break;
		case 't':
			limit = strtoul(optarg, NULL, 0);
			break;
		case 'r':
			first = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			rounds = strtoul(optarg, NULL, 0);
			break;
		default:
			help(argv[0]);
		}
	}
	zpci_vm_require();
	can_inject = !zpci_fault_missing();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(shared != MAP_FAILED, "no memory");
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	ksft_set_plan(1);
	printf("# soak seed %lu, %lu seconds, fault injection: %s\n", the_seed,
	       limit, can_inject ? "yes" : zpci_fault_missing());
	zpci_baseline_identify(reference);
	before = zpci_pins_now().system;
	kmsg = open_kmsg();
	start = seconds();
	for (the_round = first; good && the_round - first < rounds;
	     the_round++) {
		now = seconds() - start;
		if (now >= limit)
			break;
		if (now - shown >= 10) {
			shown = now;
			show_progress(now, the_round - first);
		}
		good = run_round(before, kmsg);
	}
	printf("# counter seed = %lu\n", the_seed);
	printf("# counter seconds = %lu\n", seconds() - start);
	printf("# counter rounds = %lu\n", the_round - first);
	show_counters();
	ksft_test_result(good, "soak with seed %lu\n", the_seed);
	ksft_finished();
}
