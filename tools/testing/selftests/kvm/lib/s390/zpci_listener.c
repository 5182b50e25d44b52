// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU that uses a function by interpreted instructions and takes its
 * interruptions: the host's side
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio_zdev.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "zpci_listener.h"
#include "zpci_mailbox.h"

#define ICPT_INSTRUCTION	0x04
#define ICPT_STOP		0x28

/* Milliseconds to wait for an event */
#define PATIENCE	20000

/*
 * Answer an intercepted PCI instruction: user space does not know the handle.
 */
static void user_pci(struct zpci_listener *l)
{
	struct kvm_run *run = l->vcpu->run;

	switch (run->s390_sieic.ipa) {
	case 0xb9d0:	/* PCISTG */
	case 0xb9d2:	/* PCILG */
		break;
	default:
		/* PCISTB: the rest of the operation code is in the last byte */
		TEST_ASSERT(run->s390_sieic.ipa >> 8 == 0xeb &&
			    (run->s390_sieic.ipb & 0xff) == 0xd0,
			    "interception of 0x%04x 0x%08x",
			    run->s390_sieic.ipa, run->s390_sieic.ipb);
	}
	WRITE_ONCE(l->exits, l->exits + 1);
	run->psw_mask &= ~PSW_MASK_CC;
	run->psw_mask |= 3UL << PSW_CC_SHIFT;
}

/* Run until the vCPU has executed its request or must leave. */
static void run_listener(struct zpci_listener *l)
{
	struct kvm_run *run = l->vcpu->run;
	struct ucall *uc;

	for (;;) {
		if (__vcpu_run(l->vcpu)) {
			if (errno == EINTR && !READ_ONCE(l->quit))
				continue;
			if (errno != EINTR)
				l->err = errno;
			return;
		}
		uc = ucall_arch_get_ucall(l->vcpu);
		if (uc) {
			TEST_ASSERT(uc->cmd == UCALL_SYNC, "ucall %lu", uc->cmd);
			l->finished = true;
			return;
		}
		TEST_ASSERT(run->exit_reason == KVM_EXIT_S390_SIEIC,
			    "unexpected exit of the listener: %u (%s)",
			    run->exit_reason, exit_reason_str(run->exit_reason));
		if (run->s390_sieic.icptcode == ICPT_STOP) {
			WRITE_ONCE(l->stopped, true);
			return;
		}
		TEST_ASSERT(run->s390_sieic.icptcode == ICPT_INSTRUCTION,
			    "interception 0x%x, PSW 0x%llx 0x%llx",
			    run->s390_sieic.icptcode, run->psw_mask,
			    run->psw_addr);
		user_pci(l);
	}
}

static void nothing(int signal)
{
}

void zpci_listener_create(struct zpci_listener *l, struct zpci_vm *m)
{
	struct sigaction action = { .sa_handler = nothing };
	struct kvm_vcpu *vcpu;
	gva_t mailbox;
	u32 id = 0;

	/* The only use of this signal is to interrupt KVM_RUN. */
	sigaction(SIGUSR1, &action, NULL);
	list_for_each_entry(vcpu, &m->guest.vm->vcpus, list)
		id++;
	memset(l, 0, sizeof(*l));
	l->m = m;
	l->vcpu = vm_vcpu_add(m->guest.vm, id, zpci_listener_main);
	/* The file can't be opened while the vCPU runs. */
	l->stats = vcpu_get_stats_fd(l->vcpu);
	mailbox = vm_alloc_page(m->guest.vm);
	l->mailbox = addr_gva2hva(m->guest.vm, mailbox);
	l->mailbox->ibv = ZPCI_VM_IBV;
	l->mailbox->sb = ZPCI_VM_SB;
	vcpu_args_set(l->vcpu, 1, mailbox);
	*(u64 *)zpci_guest_hva(&m->guest, LC_LISTENER) = mailbox;
}

static void call(struct zpci_listener *l, enum zpci_listener_op op)
{
	TEST_ASSERT(!l->running, "the vCPU is busy");
	l->mailbox->op = op;
	l->finished = false;
	run_listener(l);
	TEST_ASSERT(l->finished, "the vCPU was stopped, or KVM_RUN says %s",
		    strerror(l->err));
}

static u64 swap(u64 value, u8 len)
{
	return __builtin_bswap64(value) >> (64 - 8 * len);
}

/* Build the first operand of PCI instructions, with the handle of the host. */
static u64 request(struct zpci_listener *l, u8 space, u8 len)
{
	struct kvm_s390_zpci_interp state;
	int err = zpci_vm_interp_state(l->m, &state);

	TEST_ASSERT(!err, "INTERP_STATE: %s", strerror(err));
	return (u64)state.fh << 32 | space << 16 | len;
}

static u32 pci(struct zpci_listener *l, enum zpci_listener_op op, u8 space,
	       u64 offset, u8 len)
{
	l->mailbox->req = request(l, space, len);
	l->mailbox->offset = offset;
	call(l, op);
	return l->mailbox->cc;
}

/*
 * Let the vCPU load from the function, store to it, or store two doublewords.
 * Numbers are converted to the byte order of the function. Return the condition
 * code.
 */
u32 zpci_listener_load(struct zpci_listener *l, u8 space, u64 offset, u8 len,
		       u64 *data)
{
	u32 cc = pci(l, LISTENER_LOAD, space, offset, len);

	*data = swap(l->mailbox->data, len);
	return cc;
}

u32 zpci_listener_store(struct zpci_listener *l, u8 space, u64 offset, u8 len,
			u64 data)
{
	l->mailbox->data = swap(data, len);
	return pci(l, LISTENER_STORE, space, offset, len);
}

u32 zpci_listener_store_block(struct zpci_listener *l, u8 space, u64 offset,
			      const u64 block[2])
{
	l->mailbox->block[0] = swap(block[0], 8);
	l->mailbox->block[1] = swap(block[1], 8);
	return pci(l, LISTENER_STORE_BLOCK, space, offset, 16);
}

/* Let the vCPU change the interruption mode of a subclass. */
void zpci_listener_sic(struct zpci_listener *l, u8 isc, u16 mode)
{
	l->mailbox->data = mode;
	l->mailbox->offset = isc;
	call(l, LISTENER_SIC);
}

struct zpci_msix zpci_listener_msix(struct zpci_listener *l)
{
	struct vfio_pci_device *f = l->m->device;
	struct zpci_msix msix = {};
	u32 pos, header, n;

	pos = vfio_pci_config_readl(f, PCI_CAPABILITY_LIST) & 0xfc;
	for (n = 0; pos && n < 48; n++) {
		header = vfio_pci_config_readl(f, pos);
		if ((header & 0xff) == PCI_CAP_ID_MSIX)
			break;
		pos = header >> 8 & 0xfc;
	}
	if (!pos)
		return msix;
	msix.cap = pos;
	msix.table = vfio_pci_config_readl(f, pos + PCI_MSIX_TABLE);
	msix.bar = msix.table & PCI_MSIX_TABLE_BIR;
	msix.table &= PCI_MSIX_TABLE_OFFSET;
	return msix;
}

/*
 * Let the guest assign MSI-X vector 0, for the admin completion queue, and
 * enable MSI-X, both by stores. @data is the number of the interruption.
 */
const char *zpci_listener_enable_msi(struct zpci_listener *l, u32 data)
{
	struct vfio_device_info_cap_zpci_group *group;
	struct zpci_msix msix = zpci_listener_msix(l);
	u64 address;
	u32 cc;

	group = (void *)vfio_pci_device_cap(l->m->device,
				      VFIO_DEVICE_INFO_CAP_ZPCI_GROUP);
	if (!msix.cap || !group)
		return "no MSI-X capability, or no address for messages";
	address = group->msi_addr;
	free(group);

	cc = zpci_listener_store(l, msix.bar,
				 msix.table + PCI_MSIX_ENTRY_LOWER_ADDR, 4,
				 address);
	cc |= zpci_listener_store(l, msix.bar,
				  msix.table + PCI_MSIX_ENTRY_UPPER_ADDR, 4,
				  address >> 32);
	cc |= zpci_listener_store(l, msix.bar,
				  msix.table + PCI_MSIX_ENTRY_DATA, 4, data);
	cc |= zpci_listener_store(l, msix.bar,
				  msix.table + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
	cc |= zpci_listener_store(l, ZPCI_CONFIG, msix.cap + PCI_MSIX_FLAGS, 2,
				  PCI_MSIX_FLAGS_ENABLE);
	return cc ? "the guest can't store to the function" : NULL;
}

/*
 * Enable the controller again for LISTEN_PUMP. Its data goes to ZPCI_PAGE_FREE.
 */
const char *zpci_listener_prepare_pump(struct zpci_listener *l)
{
	struct zpci_listener_mailbox *mb = l->mailbox;
	struct nvme_ctrl *nvme = &l->m->nvme;
	u64 data = zpci_vm_queue_iova(l->m, ZPCI_PAGE_FREE);
	const char *wrong;

	wrong = zpci_vm_start_nvme(l->m);
	if (!wrong)
		wrong = zpci_vm_map(l->m, data, ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE),
				    PAGE_SIZE, 0);
	if (wrong)
		return wrong;
	nvme_prepare(nvme, data);
	mb->sq[0] = request(l, 0, 4);
	mb->sq[1] = nvme_admin_doorbell(nvme, false);
	mb->cq[0] = mb->sq[0];
	mb->cq[1] = nvme_admin_doorbell(nvme, true);
	mb->cqes = ZPCI_GUEST_PAGE(ZPCI_PAGE_ACQ);
	mb->done = 0;
	return NULL;
}

static void *thread_main(void *arg)
{
	struct zpci_listener *l = arg;

	run_listener(l);
	WRITE_ONCE(l->left, true);
	return NULL;
}

/* Continue a vCPU that was paused or stopped. */
void zpci_listener_resume(struct zpci_listener *l)
{
	int err;

	TEST_ASSERT(!l->running, "the vCPU is busy");
	l->quit = false;
	l->left = false;
	l->stopped = false;
	l->vcpu->run->immediate_exit = 0;
	l->running = true;
	err = pthread_create(&l->thread, NULL, thread_main, l);
	TEST_ASSERT(!err, "no thread: %s", strerror(err));
}

/*
 * Let the vCPU listen in a thread of its own. The mailbox controls which
 * interruptions it enables. That may change at any time.
 */
void zpci_listener_start(struct zpci_listener *l, u32 flags)
{
	l->mailbox->op = LISTENER_LISTEN;
	l->mailbox->flags = flags;
	l->mailbox->stop = 0;
	l->mailbox->rounds = 0;
	l->mailbox->wrong = 0;
	l->finished = false;
	zpci_listener_resume(l);
}

static bool await_left(struct zpci_listener *l)
{
	int i;

	for (i = 0; i < PATIENCE && !READ_ONCE(l->left); i++)
		usleep(1000);
	return READ_ONCE(l->left);
}

static void join(struct zpci_listener *l)
{
	pthread_join(l->thread, NULL);
	l->running = false;
}

/* Make the vCPU leave the guest. */
void zpci_listener_pause(struct zpci_listener *l)
{
	if (!l->running)
		return;
	WRITE_ONCE(l->quit, true);
	WRITE_ONCE(l->vcpu->run->immediate_exit, 1);
	while (!READ_ONCE(l->left)) {
		pthread_kill(l->thread, SIGUSR1);
		usleep(1000);
	}
	join(l);
	l->vcpu->run->immediate_exit = 0;
}

/* Stop the thread. The vCPU is freed with its VM. */
void zpci_listener_destroy(struct zpci_listener *l)
{
	if (!l->vcpu)
		return;
	zpci_listener_pause(l);
	close(l->stats);
	memset(l, 0, sizeof(*l));
}

/* End listening. A vCPU that waits for an interruption must be given one. */
const char *zpci_listener_stop(struct zpci_listener *l)
{
	WRITE_ONCE(l->mailbox->stop, 1);
	if (!await_left(l)) {
		zpci_listener_pause(l);
		return "the vCPU does not come back";
	}
	join(l);
	return NULL;
}

/* Wait until the vCPU is in stopped state. */
const char *zpci_listener_await_stop(struct zpci_listener *l)
{
	if (!await_left(l)) {
		zpci_listener_pause(l);
		return "the vCPU does not stop";
	}
	join(l);
	return l->stopped ? NULL : "the vCPU has left for another reason";
}

/* Wait until a counter of the guest has grown by @growth. */
static bool await_growth(const u64 *counter, u64 growth)
{
	u64 end = READ_ONCE(*counter) + growth;
	int i;

	for (i = 0; i < PATIENCE; i++) {
		if (READ_ONCE(*counter) >= end)
			return true;
		usleep(1000);
	}
	return false;
}

/* Wait until the vCPU has read the mailbox @rounds times. */
const char *zpci_listener_await_rounds(struct zpci_listener *l, u64 rounds)
{
	return await_growth(&l->mailbox->rounds, rounds) ?
	       NULL : "the vCPU does not go on";
}

/* Wait until the vCPU has taken an interruption. The host may forward it late. */
const char *zpci_listener_await_interruption(struct zpci_listener *l)
{
	return await_growth(&l->mailbox->count, 1) ? NULL : "no interruption";
}

/*
 * Wait until the vCPU has executed instructions. It must not be in wait state.
 * On a busy machine this takes long.
 */
const char *zpci_listener_await_beats(struct zpci_listener *l)
{
	return await_growth(&l->mailbox->beats, 2) ?
	       NULL : "the vCPU executes nothing";
}

/* Read a statistic of the vCPU. */
u64 zpci_listener_stat(struct zpci_listener *l, const char *name)
{
	struct kvm_stats_desc *all, *desc;
	struct kvm_stats_header header;
	bool found = false;
	u64 value = 0;
	u32 i;

	read_stats_header(l->stats, &header);
	all = read_stats_descriptors(l->stats, &header);
	for (i = 0; i < header.num_desc && !found; i++) {
		desc = get_stats_descriptor(all, i, &header);
		found = !strcmp(desc->name, name);
		if (found)
			read_stat_data(l->stats, &header, desc, &value, 1);
	}
	TEST_ASSERT(found, "no counter %s", name);
	free(all);
	return value;
}

/*
 * Count the exits from SIE that the guest caused. An interruption of the host
 * counts as exit_null and is subtracted.
 */
u64 zpci_listener_exits(struct zpci_listener *l)
{
	static const char * const names[] = {
		"exit_userspace", "exit_external_request", "exit_io_request",
		"exit_external_interrupt", "exit_stop_request", "exit_validity",
		"exit_instruction", "exit_pei", "exit_program_interruption",
		"exit_instr_and_program", "exit_operation_exception",
		"exit_wait_state",
	};
	u64 sum = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		sum += zpci_listener_stat(l, names[i]);
	return sum;
}
