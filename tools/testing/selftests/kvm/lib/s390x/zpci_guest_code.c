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

static void guest_rpcit(struct zpci_mailbox *mb)
{
	register u64 r2 asm("2") = (u64)mb->fh << 32;
	register u64 r4 asm("4") = mb->iova;
	register u64 r5 asm("5") = mb->size;
	u64 psw[2] = { PSW_MASK_KERNEL | PSW_MASK_PSTATE };
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
		asm volatile(RPCIT(4)
			     GET_CC
			     : [cc] "=&d" (cc), "+d" (r2), "+d" (r4), "+d" (r5)
			     : : "cc", "memory");
	}
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

static u64 *guest_new_table(struct zpci_mailbox *mb, int entries, u64 invalid)
{
	u64 size = entries * sizeof(u64);
	u64 *table;
	int i;

	mb->next_table = (mb->next_table + size - 1) & -size;
	GUEST_ASSERT(mb->next_table + size <=
		     ZPCI_GUEST_TABLES + ZPCI_GUEST_TABLES_SIZE);
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

	entry = &table[iova >> IOAT_RT_SHIFT & IOAT_INDEX_MASK];
	if (level == IOAT_REGION)
		return entry;
	if (*entry & IOAT_INVALID) {
		next = guest_new_table(mb, IOAT_TABLE_ENTRIES, IOAT_INVALID);
		WRITE_ONCE(*entry, (u64)next | IOAT_TYPE_RT | IOAT_LENGTH);
	}

	table = (u64 *)(*entry & IOAT_RTE_ORIGIN);
	entry = &table[iova >> IOAT_ST_SHIFT & IOAT_INDEX_MASK];
	if (level == IOAT_SEGMENT)
		return entry;
	if (*entry & IOAT_INVALID) {
		next = guest_new_table(mb, IOAT_PT_ENTRIES, IOAT_PTE_INVALID);
		WRITE_ONCE(*entry, (u64)next | IOAT_TYPE_ST);
	}

	table = (u64 *)(*entry & IOAT_STE_ORIGIN);
	return &table[iova >> IOAT_PT_SHIFT & IOAT_PX_MASK];
}

static void guest_clear(struct zpci_mailbox *mb)
{
	mb->next_table = ZPCI_GUEST_TABLES;
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
		}
		GUEST_SYNC(mb->op);
	}
}
