// SPDX-License-Identifier: GPL-2.0
/*
 * What runs on the vCPU that uses a function by itself
 */
#include <assert.h>
#include <stddef.h>

#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"
#include "zpci_listener.h"
#include "zpci_mailbox.h"

/* The handler below has them as numbers. */
static_assert(LC_LISTENER == 0x218, "LC_LISTENER");
static_assert(offsetof(struct zpci_listener_mailbox, count) == 0, "count");
static_assert(offsetof(struct zpci_listener_mailbox, irq.id) == 8, "irq.id");
static_assert(offsetof(struct zpci_listener_mailbox, irq.ibv) == 24, "irq.ibv");
static_assert(offsetof(struct zpci_listener_mailbox, irq.sb) == 32, "irq.sb");
static_assert(offsetof(struct zpci_listener_mailbox, ibv) == 40, "ibv");
static_assert(offsetof(struct zpci_listener_mailbox, sb) == 48, "sb");

/*
 * Take down the interruption (0xb8) and the indicators, count it, and go on, not
 * waiting any more: byte 1 of the I/O old PSW (0x170) has the wait bit. Nothing
 * else uses the lowcore at 0x208.
 */
asm(".text\n"
"zpci_listener_handler:\n"
"	stmg	%r1,%r2,0x208\n"
"	lg	%r1,0x218\n"
"	mvc	8(12,%r1),0xb8\n"
"	lg	%r2,40(%r1)\n"
"	mvc	24(8,%r1),0(%r2)\n"
"	lg	%r2,48(%r1)\n"
"	mvc	32(8,%r1),0(%r2)\n"
"	lg	%r2,0(%r1)\n"
"	aghi	%r2,1\n"
"	stg	%r2,0(%r1)\n"
"	ni	0x171,0xfd\n"
"	lmg	%r1,%r2,0x208\n"
"	lpswe	0x170\n");

static void set_io_new_psw(void)
{
	u64 psw[2] = { PSW_MASK_KERNEL };

	asm volatile("	larl	%%r1,zpci_listener_handler\n"
		     "	stg	%%r1,8(%[psw])\n"
		     "	mvc	0x1f0(16),0(%[psw])\n"	/* LC_IO_NEW_PSW */
		     : : [psw] "a" (psw) : "memory", "r1");
}

/*
 * The instructions have no mnemonics here. Their condition code is 3 if user
 * space does not know the function, or there is none.
 */
#define GET_CC		"	ipm	%[cc]\n"		\
			"	srl	%[cc],28\n"

static u32 pci_load(u64 *data, u64 req, u64 offset)
{
	register u64 r4 asm("4") = req;
	register u64 r5 asm("5") = offset;
	u64 value = 0;
	u32 cc;

	asm volatile("	.insn	rre,0xb9d20000,%[value],%%r4\n"
		     GET_CC
		     : [cc] "=&d" (cc), [value] "+&d" (value), "+d" (r4), "+d" (r5)
		     : : "cc", "memory");
	*data = value;
	return cc;
}

static u32 pci_store(u64 data, u64 req, u64 offset)
{
	register u64 r4 asm("4") = req;
	register u64 r5 asm("5") = offset;
	u32 cc;

	asm volatile("	.insn	rre,0xb9d00000,%[data],%%r4\n"
		     GET_CC
		     : [cc] "=&d" (cc), "+d" (r4), "+d" (r5)
		     : [data] "d" (data) : "cc", "memory");
	return cc;
}

static u32 pci_store_block(const u64 *block, u64 req, u64 offset)
{
	u32 cc;

	asm volatile("	.insn	rsy,0xeb00000000d0,%[req],%[offset],0(%[block])\n"
		     GET_CC
		     : [cc] "=&d" (cc), [req] "+d" (req)
		     : [offset] "d" (offset), [block] "a" (block)
		     : "cc", "memory");
	return cc;
}

static void set_interruption_controls(u64 mode, u64 isc)
{
	u64 none[8] = {};

	asm volatile("	.insn	rsy,0xeb00000000d1,%[mode],%[isc],0(%[none])\n"
		     : : [mode] "d" (mode), [isc] "d" (isc << 27),
		     [none] "a" (none) : "cc", "memory");
}

static void set_cr6(u64 value)
{
	asm volatile("	lctlg	%%c6,%%c6,%[value]\n" : : [value] "Q" (value));
}

static void set_io_mask(bool enabled)
{
	u8 old;

	if (enabled)
		asm volatile("	stosm	%[old],0x02\n"
			     : [old] "=Q" (old) : : "memory");
	else
		asm volatile("	stnsm	%[old],0xfd\n"
			     : [old] "=Q" (old) : : "memory");
}

/* Until the next interruption; what comes after the last one is not missed. */
static void wait_enabled(void)
{
	u64 psw[2] = { PSW_MASK_WAIT | PSW_MASK_KERNEL | PSW_MASK_IO };

	asm volatile("	larl	%%r1,0f\n"
		     "	stg	%%r1,8(%[psw])\n"
		     "	lpswe	0(%[psw])\n"
		     "0:\n"
		     : : [psw] "a" (psw) : "cc", "memory", "r1");
}

static void load_and_store(struct zpci_listener_mailbox *mb)
{
	u64 value;

	if (pci_store(mb->data, mb->req, mb->offset) ||
	    pci_load(&value, mb->req, mb->offset) || value != mb->data)
		mb->wrong++;
}

/*
 * Have one command executed. The submission queue is full of them; the entries of
 * the completion queue have their phase tag in byte 14. With LISTEN_STRICT that
 * includes the interruption, even if the guest is to stop: if it never comes the
 * guest never stops. Returns false if there is no function any more.
 */
static bool pump(struct zpci_listener_mailbox *mb)
{
	u64 i = mb->done % NVME_ENTRIES, next = (i + 1) % NVME_ENTRIES;
	u8 phase = !(mb->done / NVME_ENTRIES & 1);
	bool strict = mb->flags & LISTEN_STRICT;
	u64 count = READ_ONCE(mb->count);
	u8 *tag = (u8 *)mb->cqes + i * 16 + 14;

	if (pci_store(__builtin_bswap32(next), mb->sq[0], mb->sq[1]))
		return false;
	while ((READ_ONCE(*tag) & 1) != phase) {
		WRITE_ONCE(mb->beats, mb->beats + 1);
		if (!strict && READ_ONCE(mb->stop))
			return true;
	}
	if (pci_store(__builtin_bswap32(next), mb->cq[0], mb->cq[1]))
		return false;
	WRITE_ONCE(mb->done, mb->done + 1);
	while (strict && READ_ONCE(mb->count) == count)
		;
	return true;
}

static void listen(struct zpci_listener_mailbox *mb)
{
	bool works = true;

	while (!READ_ONCE(mb->stop)) {
		set_cr6(READ_ONCE(mb->cr6));
		if (READ_ONCE(mb->flags) & LISTEN_WAIT)
			wait_enabled();
		else
			set_io_mask(READ_ONCE(mb->enabled));
		if (mb->flags & LISTEN_LOAD)
			load_and_store(mb);
		if (mb->flags & LISTEN_PUMP && works)
			works = pump(mb);
		WRITE_ONCE(mb->rounds, mb->rounds + 1);
		WRITE_ONCE(mb->beats, mb->beats + 1);
	}
	set_io_mask(false);
}

/* Carry out what the mailbox says, again and again. */
void zpci_listener_main(struct zpci_listener_mailbox *mb)
{
	set_io_new_psw();
	for (;;) {
		switch (mb->op) {
		case LISTENER_LOAD:
			mb->cc = pci_load(&mb->data, mb->req, mb->offset);
			break;
		case LISTENER_STORE:
			mb->cc = pci_store(mb->data, mb->req, mb->offset);
			break;
		case LISTENER_STORE_BLOCK:
			mb->cc = pci_store_block(mb->block, mb->req, mb->offset);
			break;
		case LISTENER_SIC:
			set_interruption_controls(mb->data, mb->offset);
			break;
		case LISTENER_LISTEN:
			listen(mb);
			break;
		}
		GUEST_SYNC(mb->op);
	}
}
