// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that owns the I/O translation tables of a zPCI function: the host's
 * side
 */
#include "ioat.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "zpci_mailbox.h"

#define TABLES_SLOT	1
#define MEM_SLOT	2

#define PEER_TABLES_SIZE	0x20000UL

#define IPA_RPCIT	0xb9d3

/*
 * An RPCIT that KVM passed on: do as user space does, decode its operands and
 * set a condition code and a status. The guest PSW is already past it.
 */
static void user_rpcit(struct zpci_guest *g)
{
	struct kvm_run *run = g->vcpu->run;
	unsigned int r1 = run->s390_sieic.ipb >> 20 & 0xf;
	unsigned int r2 = run->s390_sieic.ipb >> 16 & 0xf;
	u64 *gprs = (u64 *)run->s.regs.gprs;

	g->exits++;
	g->last.exits++;
	g->last.exit_fh = gprs[r1] >> 32;
	g->last.exit_start = gprs[r2];
	g->last.exit_len = gprs[(r2 + 1) % 16];

	gprs[r1] &= ~(0xffUL << RPCIT_STATUS_SHIFT);
	gprs[r1] |= (u64)g->user_status << RPCIT_STATUS_SHIFT;
	run->kvm_dirty_regs |= KVM_SYNC_GPRS;
	run->psw_mask &= ~PSW_MASK_CC;
	run->psw_mask |= (u64)g->user_cc << PSW_CC_SHIFT;
}

/*
 * Run the vCPU to its next exit. get_ucall() would run it again, which fails once
 * its files are closed.
 */
static bool enter_guest(struct zpci_guest *g, struct ucall *uc)
{
	void *addr;

	if (!g->may_vanish) {
		vcpu_run(g->vcpu);
		get_ucall(g->vcpu, uc);
		return true;
	}
	while (__vcpu_run(g->vcpu)) {
		if (errno == EINTR)
			continue;
		g->vanished = errno;
		return false;
	}
	memset(uc, 0, sizeof(*uc));
	addr = ucall_arch_get_ucall(g->vcpu);
	if (addr)
		memcpy(uc, addr, sizeof(*uc));
	return true;
}

/* What the guest left KVM_RUN for. Returns whether it has done what it should. */
static bool handle_exit(struct zpci_guest *g, struct ucall *uc)
{
	struct kvm_run *run = g->vcpu->run;

	switch (uc->cmd) {
	case UCALL_SYNC:
		return true;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(*uc);
	}
	TEST_ASSERT(run->exit_reason == KVM_EXIT_S390_SIEIC,
		    "unexpected exit of the guest: %u (%s)",
		    run->exit_reason, exit_reason_str(run->exit_reason));
	TEST_ASSERT(run->s390_sieic.icptcode == 4 &&
		    run->s390_sieic.ipa == IPA_RPCIT,
		    "interception 0x%x, ipa 0x%x, PSW 0x%llx 0x%llx, pgm 0x%x",
		    run->s390_sieic.icptcode, run->s390_sieic.ipa,
		    run->psw_mask, run->psw_addr,
		    *(u16 *)zpci_guest_hva(g, LC_PGM_CODE));
	user_rpcit(g);
	return false;
}

/* Let the guest carry out what the mailbox says. */
static void run_guest(struct zpci_guest *g)
{
	struct ucall uc;

	while (enter_guest(g, &uc) && !handle_exit(g, &uc))
		;
}

static void add_memory(struct kvm_vm *vm, u32 slot, u64 gpa, u64 size)
{
	u64 pages = size / PAGE_SIZE;

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, gpa, slot, pages,
				    0);
	virt_map(vm, gpa, gpa, pages);
}

static void add_mailbox(struct zpci_guest *g)
{
	gva_t mailbox = vm_alloc_page(g->vm);

	g->mailbox = addr_gva2hva(g->vm, mailbox);
	vcpu_args_set(g->vcpu, 1, mailbox);
}

/* A VM with tables in which nothing is valid, and zeroed DMA memory */
void zpci_guest_create(struct zpci_guest *g)
{
	u64 extra = (ZPCI_GUEST_TABLES_SIZE + ZPCI_GUEST_MEM_SIZE) / PAGE_SIZE;
	u64 *psw;

	memset(g, 0, sizeof(*g));
	/* cc 3: what user space would say to a handle it does not know */
	g->user_cc = 3;
	g->vm = __vm_create_with_one_vcpu(&g->vcpu, extra,
					  zpci_guest_main);
	add_memory(g->vm, TABLES_SLOT, ZPCI_GUEST_TABLES,
		   ZPCI_GUEST_TABLES_SIZE);
	add_memory(g->vm, MEM_SLOT, ZPCI_GUEST_MEM, ZPCI_GUEST_MEM_SIZE);
	/* The lowcore, for the program-check handler */
	virt_map(g->vm, 0, 0, 1);

	/* A program check that is not expected stops the guest for good. */
	psw = zpci_guest_hva(g, LC_PGM_NEW_PSW);
	psw[0] = PSW_MASK_WAIT;
	psw[1] = LC_PGM_NEW_PSW;

	add_mailbox(g);
	g->mailbox->tables = ZPCI_GUEST_TABLES;
	g->mailbox->tables_end = ZPCI_GUEST_TABLES + ZPCI_GUEST_TABLES_SIZE;
	zpci_guest_design_tables(g, IOTA_DT_RTTO);
}

/*
 * One more vCPU of the guest, with a mailbox and a part of the tables' room of
 * its own. @peer can do what @g can, in another thread, and goes with @g. It
 * must not make tables that other vCPUs may make as well; whoever is the first
 * to write below an entry makes the table.
 */
void zpci_guest_add_vcpu(struct zpci_guest *g, struct zpci_guest *peer)
{
	struct kvm_vcpu *vcpu;
	u32 id = 0;

	list_for_each_entry(vcpu, &g->vm->vcpus, list)
		id++;
	memset(peer, 0, sizeof(*peer));
	peer->user_cc = g->user_cc;
	peer->user_status = g->user_status;
	peer->vm = g->vm;
	peer->vcpu = vm_vcpu_add(g->vm, id, zpci_guest_main);
	add_mailbox(peer);
	g->mailbox->tables_end -= PEER_TABLES_SIZE;
	peer->mailbox->tables = g->mailbox->tables_end;
	peer->mailbox->tables_end = peer->mailbox->tables + PEER_TABLES_SIZE;
	peer->mailbox->next_table = peer->mailbox->tables;
	peer->designation = g->designation;
	peer->mailbox->designation = g->designation;
}

void zpci_guest_free(struct zpci_guest *g)
{
	kvm_vm_free(g->vm);
	g->vm = NULL;
}

void *zpci_guest_hva(struct zpci_guest *g, u64 gpa)
{
	return addr_gpa2hva(g->vm, gpa);
}

/* The anchor that the guest would give to MPCIFC */
u64 zpci_guest_iota(struct zpci_guest *g)
{
	return ZPCI_GUEST_TABLES | IOTA_ENABLED |
	       g->designation << IOTA_DT_SHIFT;
}

void zpci_guest_clear_tables(struct zpci_guest *g)
{
	g->mailbox->op = OP_CLEAR;
	run_guest(g);
}

/* The same, with a first table of another type */
void zpci_guest_design_tables(struct zpci_guest *g, unsigned int designation)
{
	g->designation = designation;
	g->mailbox->designation = designation;
	zpci_guest_clear_tables(g);
}

static void run_map(struct zpci_guest *g, enum zpci_guest_op op, u64 iova,
		    u64 gpa, u64 size, u64 flags)
{
	g->mailbox->op = op;
	g->mailbox->iova = iova;
	g->mailbox->gpa = gpa;
	g->mailbox->size = size;
	g->mailbox->set = flags;
	run_guest(g);
}

/* The guest writes page table entries. It takes an RPCIT to bring it about. */
void zpci_guest_map(struct zpci_guest *g, u64 iova, u64 gpa, u64 size,
		    u64 flags)
{
	run_map(g, OP_MAP, iova, gpa, size, flags);
}

/* The guest writes a segment table entry for a frame of 1 MiB. */
void zpci_guest_map_1m(struct zpci_guest *g, u64 iova, u64 gpa, u64 flags)
{
	run_map(g, OP_MAP_1M, iova, gpa, IOAT_FRAME_1M, flags);
}

/* The guest makes page table entries invalid. */
void zpci_guest_unmap(struct zpci_guest *g, u64 iova, u64 size)
{
	run_map(g, OP_UNMAP, iova, 0, size, 0);
}

/* The guest changes bits of one entry of any level. Returns what it was. */
u64 zpci_guest_edit(struct zpci_guest *g, enum zpci_guest_level level, u64 iova,
		    u64 clear, u64 set)
{
	g->mailbox->op = OP_EDIT;
	g->mailbox->level = level;
	g->mailbox->iova = iova;
	g->mailbox->clear = clear;
	g->mailbox->set = set;
	run_guest(g);
	return g->mailbox->result;
}

static void set_rpcit(struct zpci_guest *g, u32 fh, u64 start, u64 len,
		      int flags)
{
	memset(&g->last, 0, sizeof(g->last));
	g->mailbox->op = OP_RPCIT;
	g->mailbox->fh = fh;
	g->mailbox->iova = start;
	g->mailbox->size = len;
	g->mailbox->flags = flags;
}

static struct zpci_rpcit get_rpcit(struct zpci_guest *g)
{
	struct zpci_rpcit rpcit = g->last;

	rpcit.cc = g->mailbox->rpcit.cc;
	rpcit.status = g->mailbox->rpcit.status;
	rpcit.pgm = g->mailbox->rpcit.pgm;
	if (!rpcit.pgm)
		g->rpcits++;
	return rpcit;
}

/* The guest executes RPCIT. */
struct zpci_rpcit zpci_guest_rpcit_fh(struct zpci_guest *g, u32 fh, u64 start,
				      u64 len, int flags)
{
	set_rpcit(g, fh, start, len, flags);
	run_guest(g);
	return get_rpcit(g);
}

struct zpci_rpcit zpci_guest_rpcit(struct zpci_guest *g, u64 start, u64 len)
{
	return zpci_guest_rpcit_fh(g, ZPCI_GUEST_FH, start, len, 0);
}

/* The guest is about to execute RPCIT: zpci_guest_step() lets it. */
void zpci_guest_begin_rpcit(struct zpci_guest *g, u64 start, u64 len)
{
	set_rpcit(g, ZPCI_GUEST_FH, start, len, 0);
}

/*
 * KVM_RUN, a single time. Returns 0 when the RPCIT is done, with @rpcit filled
 * in, -EREMOTE if it was for user space and the guest does not know its outcome
 * yet, or -errno as KVM_RUN left it.
 */
int zpci_guest_step(struct zpci_guest *g, struct zpci_rpcit *rpcit)
{
	struct ucall uc = {};
	void *addr;

	if (__vcpu_run(g->vcpu))
		return -errno;
	addr = ucall_arch_get_ucall(g->vcpu);
	if (addr)
		memcpy(&uc, addr, sizeof(uc));
	if (!handle_exit(g, &uc))
		return -EREMOTE;
	*rpcit = get_rpcit(g);
	return 0;
}

/* The guest fills its memory with zpci_pattern() of @seed. */
void zpci_guest_fill(struct zpci_guest *g, u64 gpa, u64 size, u64 seed)
{
	run_map(g, OP_FILL, 0, gpa, size, seed);
}

/* zpci_checksum() of guest memory as the guest sees it */
u64 zpci_guest_checksum(struct zpci_guest *g, u64 gpa, u64 size)
{
	run_map(g, OP_CHECKSUM, 0, gpa, size, 0);
	return g->mailbox->result;
}

/* The guest does what its mailbox says of the storm, until that has an end. */
void zpci_guest_storm(struct zpci_guest *g)
{
	g->mailbox->op = OP_STORM;
	run_guest(g);
}

/* The guest executes DIAGNOSE 0x44. How long that takes is in its mailbox. */
void zpci_guest_yield(struct zpci_guest *g)
{
	g->mailbox->op = OP_YIELD;
	run_guest(g);
}
