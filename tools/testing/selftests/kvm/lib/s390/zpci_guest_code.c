// SPDX-License-Identifier: GPL-2.0
/*
 * What runs in the guest that owns the I/O translation tables
 *
 * The guest has its tables and its DMA memory mapped at their own addresses,
 * and its lowcore at virtual address 0.
 */
#include "ioat.h"
#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"
#include "zpci_mailbox.h"

/* Written by the program-check handler below */
static u16 guest_pgm_code __used;

/*
 * Take down the interruption code and go on behind the instruction, in
 * supervisor state. The old PSW of the interruptions that RPCIT can meet with
 * points there (they suppress or terminate it). Location 0x200 of the lowcore
 * is free, 0x8e is the interruption code, 0x150 the old PSW, in byte 1 of which
 * is the problem-state bit.
 */
asm(".text\n"
"guest_pgm_handler:\n"
"	stg	%r1,0x200\n"
"	larl	%r1,guest_pgm_code\n"
"	mvc	0(2,%r1),0x8e\n"
"	ni	0x151,0xfe\n"
"	lg	%r1,0x200\n"
"	lpswe	0x150\n");

static u64 guest_pgm_handler_address(void)
{
	u64 address;

	asm("larl	%0,guest_pgm_handler" : "=d" (address));
	return address;
}

static void guest_set_pgm_new_psw(u64 mask, u64 address)
{
	u64 psw[2] = { mask, address };

	/* LC_PGM_NEW_PSW */
	asm volatile("mvc	0x1d0(16),%0" : : "Q" (psw) : "memory");
}

/*
 * RPCIT has no mnemonic here; R1 and R2 are chosen by hand, for R2 to be odd
 * if that is wanted: then the pair would begin with an odd register.
 */
#define RPCIT(r2)	"	.insn	rre,0xb9d30000,%%r2,%%r" #r2 "\n"
#define GET_CC		"	ipm	%[cc]\n"		\
			"	srl	%[cc],28\n"

/* STORE CLOCK FAST; it sets the condition code. */
#define STCKF(name)	"	.insn	s,0xb27c0000,%[" #name "]\n"

/* No program interruption must happen, or the caller has armed the handler. */
static void guest_rpcit(struct zpci_mailbox *mb)
{
	register u64 r2 asm("2") = (u64)mb->fh << 32;
	register u64 r4 asm("4") = mb->iova;
	register u64 r5 asm("5") = mb->size;
	u64 psw[2] = { PSW_MASK_KERNEL | PSW_MASK_PSTATE };
	u64 before = 0, after = 0;
	u32 cc;

	/*
	 * A function call between here and the instructions could clobber the
	 * registers above, so the handler is armed by the caller.
	 */
	if (mb->flags & RPCIT_PROBLEM_STATE) {
		asm volatile("	larl	%%r1,0f\n"
			     "	stg	%%r1,8(%[psw])\n"
			     "	lpswe	0(%[psw])\n"
			     "0:\n"
			     RPCIT(4)
			     GET_CC
			     : [cc] "=&d" (cc), "+d" (r2), "+d" (r4), "+d" (r5)
			     : [psw] "a" (psw)
			     : "cc", "memory", "r1");
	} else if (mb->flags & RPCIT_ODD_R2) {
		asm volatile(RPCIT(5)
			     GET_CC
			     : [cc] "=&d" (cc), "+d" (r2), "+d" (r4), "+d" (r5)
			     : : "cc", "memory");
	} else {
		asm volatile(STCKF(before)
			     RPCIT(4)
			     GET_CC
			     STCKF(after)
			     : [cc] "=&d" (cc), "+d" (r2), "+d" (r4), "+d" (r5),
			       [before] "=Q" (before), [after] "=Q" (after)
			     : : "cc", "memory");
	}
	mb->ticks = after - before;
	mb->rpcit.cc = cc;
	mb->rpcit.status = r2 >> RPCIT_STATUS_SHIFT & 0xff;
}

static void guest_do_rpcit(struct zpci_mailbox *mb)
{
	WRITE_ONCE(guest_pgm_code, 0);
	guest_set_pgm_new_psw(PSW_MASK_KERNEL, guest_pgm_handler_address());
	guest_rpcit(mb);
	mb->rpcit.pgm = READ_ONCE(guest_pgm_code);
	/*
	 * If RPCIT was executed in problem state, the privileged instruction
	 * PTLB leads back to supervisor state by way of the handler.
	 */
	asm volatile("	ptlb" : : : "memory");
	guest_set_pgm_new_psw(PSW_MASK_WAIT, LC_PGM_NEW_PSW);
}

static void guest_yield(struct zpci_mailbox *mb)
{
	u64 before, after;

	asm volatile(STCKF(before)
		     "	diag	0,0,0x44\n"
		     STCKF(after)
		     : [before] "=Q" (before), [after] "=Q" (after)
		     : : "cc", "memory");
	mb->ticks = after - before;
}

static u64 *guest_new_table(struct zpci_mailbox *mb, int entries, u64 invalid)
{
	u64 size = entries * sizeof(u64);
	u64 *table;
	int i;

	mb->next_table = (mb->next_table + size - 1) & -size;
	GUEST_ASSERT(mb->next_table + size <= mb->tables_end);
	table = (u64 *)mb->next_table;
	mb->next_table += size;
	for (i = 0; i < entries; i++)
		WRITE_ONCE(table[i], invalid);
	return table;
}

/* The entry for @iova at @level; tables above it are made if need be. */
static u64 *guest_entry(struct zpci_mailbox *mb, u64 iova,
			enum zpci_guest_level level)
{
	u64 *table = (u64 *)ZPCI_GUEST_TABLES, *entry, *next;
	int i, shift;

	for (i = mb->designation; ; i--) {
		shift = IOAT_ST_SHIFT + i * IOAT_TABLE_BITS;
		entry = &table[iova >> shift & IOAT_INDEX_MASK];
		if (i == (int)level)
			return entry;
		if (i == IOAT_SEGMENT)
			break;
		if (*entry & IOAT_INVALID) {
			next = guest_new_table(mb, IOAT_TABLE_ENTRIES,
					       IOAT_INVALID);
			WRITE_ONCE(*entry, (u64)next | i << IOAT_TYPE_SHIFT |
				   IOAT_LENGTH);
		}
		table = (u64 *)(*entry & IOAT_RTE_ORIGIN);
	}
	if (*entry & IOAT_INVALID) {
		next = guest_new_table(mb, IOAT_PT_ENTRIES, IOAT_PTE_INVALID);
		WRITE_ONCE(*entry, (u64)next | IOAT_TYPE_ST);
	}

	table = (u64 *)(*entry & IOAT_STE_ORIGIN);
	return &table[iova >> IOAT_PT_SHIFT & IOAT_PX_MASK];
}

static void guest_clear(struct zpci_mailbox *mb)
{
	GUEST_ASSERT(mb->tables == ZPCI_GUEST_TABLES);
	mb->next_table = mb->tables;
	guest_new_table(mb, IOAT_TABLE_ENTRIES, IOAT_INVALID);
}

static void guest_map(struct zpci_mailbox *mb)
{
	u64 *entry, done;

	for (done = 0; done < mb->size; done += IOAT_FRAME_4K) {
		entry = guest_entry(mb, mb->iova + done, IOAT_PAGE);
		WRITE_ONCE(*entry, (mb->gpa + done) | mb->set);
	}
}

static void guest_unmap(struct zpci_mailbox *mb)
{
	u64 *entry, done;

	for (done = 0; done < mb->size; done += IOAT_FRAME_4K) {
		entry = guest_entry(mb, mb->iova + done, IOAT_PAGE);
		WRITE_ONCE(*entry, *entry | IOAT_PTE_INVALID);
	}
}

static void guest_edit(struct zpci_mailbox *mb)
{
	u64 *entry = guest_entry(mb, mb->iova, mb->level);

	mb->result = *entry;
	WRITE_ONCE(*entry, (*entry & ~mb->clear) | mb->set);
}

/* Any mixing will do that gives no two pages the same words. */
u64 zpci_pattern(u64 seed, u64 index)
{
	return (seed << 32 ^ index) * 0x9e3779b97f4a7c15UL;
}

u64 zpci_checksum(const void *data, u64 size)
{
	const u64 *word = data;
	u64 i, sum = size;

	for (i = 0; i < size / sizeof(u64); i++)
		sum = (sum << 7 | sum >> 57) ^ word[i];
	return sum;
}

static void guest_fill(struct zpci_mailbox *mb)
{
	u64 i;

	for (i = 0; i < mb->size / sizeof(u64); i++)
		((u64 *)mb->gpa)[i] = zpci_pattern(mb->set, i);
}

/* A generator after Marsaglia (xorshift), for host and guest; @state is not 0 */
u64 zpci_xorshift(u64 *state)
{
	u64 x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * 0x9e3779b97f4a7c15UL >> 8;
}

/*
 * Section: changing tables and executing RPCIT over and over
 */

static void storm_one_rpcit(struct zpci_mailbox *mb, u64 iova, u64 size)
{
	struct zpci_storm *s = &mb->storm;

	mb->iova = iova;
	mb->size = size;
	guest_rpcit(mb);
	s->cc[mb->rpcit.cc]++;
	if (mb->rpcit.cc == 1 && mb->rpcit.status == RPCIT_STATUS_NORES)
		s->nores++;
}

static u64 random_iova(struct zpci_storm *s)
{
	u64 pages = s->size / IOAT_FRAME_4K;

	return s->iova + zpci_xorshift(&s->seed) % pages * IOAT_FRAME_4K;
}

static void storm_pages(struct zpci_mailbox *mb)
{
	struct zpci_storm *s = &mb->storm;
	u64 choice = zpci_xorshift(&s->seed);
	u64 value = IOAT_PTE_INVALID;
	u64 *entry;

	entry = guest_entry(mb, random_iova(s), IOAT_PAGE);
	if (s->frames && choice % 4) {
		value = s->gpa + (choice >> 8) % s->frames * IOAT_FRAME_4K;
		value |= choice & 0x80 ? IOAT_PROTECTED : 0;
	}
	WRITE_ONCE(*entry, value);
}

/* What is written here never designates frames other than the permitted ones */
static void storm_spoil(struct zpci_mailbox *mb)
{
	struct zpci_storm *s = &mb->storm;
	u64 choice = zpci_xorshift(&s->seed);
	u64 iova = random_iova(s);
	u64 *entry, value, other;

	entry = guest_entry(mb, iova, IOAT_PAGE);
	if (choice & 1) {
		value = *entry;
		WRITE_ONCE(*entry, zpci_xorshift(&s->seed) | 1UL << 63);
	} else {
		/* Any page table will do for this segment. */
		other = *guest_entry(mb, random_iova(s), IOAT_SEGMENT);
		entry = guest_entry(mb, iova, IOAT_SEGMENT);
		value = *entry;
		switch (choice >> 8 & 7) {
		case 0:
			WRITE_ONCE(*entry, 0);
			break;
		case 1:
			WRITE_ONCE(*entry, value | IOAT_TYPE_MASK);
			break;
		case 2:
			WRITE_ONCE(*entry, ZPCI_GUEST_NOWHERE);
			break;
		case 3:
			WRITE_ONCE(*entry, zpci_xorshift(&s->seed) | 1UL << 63);
			break;
		case 4:
		case 5:
			WRITE_ONCE(*entry, value ^ IOAT_PROTECTED);
			break;
		case 6:
			WRITE_ONCE(*entry, other);
			break;
		case 7:
			WRITE_ONCE(*entry, value | IOAT_INVALID);
			break;
		}
	}
	if (s->flags & STORM_RPCIT)
		storm_one_rpcit(mb, iova, IOAT_FRAME_4K);
	WRITE_ONCE(*entry, value);
}

static void storm_rpcit(struct zpci_mailbox *mb)
{
	struct zpci_storm *s = &mb->storm;
	u64 choice = zpci_xorshift(&s->seed);
	u64 a = s->iova, b = s->iova + s->size - IOAT_FRAME_4K;

	if (s->flags & STORM_RPCIT && (choice & 1 || !(s->flags & STORM_WHOLE))) {
		a = random_iova(s);
		b = random_iova(s);
	}
	if (a <= b)
		storm_one_rpcit(mb, a, b + IOAT_FRAME_4K - a);
	else
		storm_one_rpcit(mb, b, a + IOAT_FRAME_4K - b);
}

/* STSI with a function code that there is not: condition code 3, and no lock */
static void storm_exit(void)
{
	register u64 r0 asm("0") = 4UL << 28;
	register u64 r1 asm("1") = 0;

	asm volatile("	stsi	0(0)\n" : "+d" (r0) : "d" (r1) : "cc", "memory");
}

static void storm_spin(struct zpci_storm *s)
{
	int i;

	for (i = 0; i < 1000; i++)
		zpci_xorshift(&s->seed);
}

static void guest_storm(struct zpci_mailbox *mb)
{
	struct zpci_storm *s = &mb->storm;
	u64 n;

	mb->fh = s->fh ?: ZPCI_GUEST_FH;
	mb->flags = 0;
	for (n = 0; n < s->count && !READ_ONCE(s->stop); n++) {
		if (s->flags & STORM_FLIP)
			WRITE_ONCE(*guest_entry(mb, s->iova, IOAT_PAGE),
				   s->flip[n & 1]);
		if (s->flags & STORM_PAGES)
			storm_pages(mb);
		if (s->flags & STORM_SPOIL)
			storm_spoil(mb);
		if (s->flags & (STORM_RPCIT | STORM_WHOLE))
			storm_rpcit(mb);
		if (s->flags & STORM_EXIT)
			storm_exit();
		if (s->flags & STORM_SPIN)
			storm_spin(s);
		WRITE_ONCE(s->rounds, n + 1);
	}
	if (s->flags & STORM_FLIP)
		WRITE_ONCE(*guest_entry(mb, s->iova, IOAT_PAGE), s->flip[1]);
}

/*
 * Section: what the test asks for
 */

/* Carry out what the mailbox says, again and again. */
void zpci_guest_main(struct zpci_mailbox *mb)
{
	for (;;) {
		switch (mb->op) {
		case OP_CLEAR:
			guest_clear(mb);
			break;
		case OP_MAP:
			guest_map(mb);
			break;
		case OP_MAP_1M:
			WRITE_ONCE(*guest_entry(mb, mb->iova, IOAT_SEGMENT),
				   mb->gpa | IOAT_STE_FC | mb->set);
			break;
		case OP_UNMAP:
			guest_unmap(mb);
			break;
		case OP_EDIT:
			guest_edit(mb);
			break;
		case OP_RPCIT:
			guest_do_rpcit(mb);
			break;
		case OP_FILL:
			guest_fill(mb);
			break;
		case OP_CHECKSUM:
			mb->result = zpci_checksum((void *)mb->gpa, mb->size);
			break;
		case OP_STORM:
			guest_storm(mb);
			break;
		case OP_YIELD:
			guest_yield(mb);
			break;
		}
		GUEST_SYNC(mb->op);
	}
}
