// SPDX-License-Identifier: GPL-2.0
/*
 * Test of a guest that uses a function by itself and is interrupted by it
 *
 * The controller sends a message for each command that it completes. The message
 * has to reach the guest as an adapter interruption, exactly once, in whatever
 * state the vCPU is that is to take it: directly, or by way of the host.
 *
 * Skipped if VFIO reports no interpretation.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/io.h>
#include <linux/pci_regs.h>
#include <linux/vfio_zdev.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_harness.h"
#include "zpci_listener.h"
#include "zpci_scale.h"
#include "zpci_vm.h"

#define ISC		5
/* Number of the first interruption bit, and of the summary bit */
#define IBVO		7
#define SBO		13

#define NVME_REG_VS	0x08	/* version */
#define NVME_REG_INTMS	0x0c	/* not used with MSI-X */

/* Milliseconds for what should come, and for what should not */
#define PATIENCE	20000
#define SETTLE		20

/**
 * struct msi - what a test has
 * @m: the VM and the function
 * @l: the vCPU that takes the interruptions
 * @before: what was pinned before
 * @aif: what interruptions are registered with
 * @ibv: the guest's interruption bit vector
 * @sb: the doubleword with its summary bit
 */
struct msi {
	struct zpci_vm m;
	struct zpci_listener l;
	struct zpci_pins before;
	struct kvm_s390_zpci_aif aif;
	u64 *ibv;
	u64 *sb;
};

FIXTURE(zpci_msi) {
	struct msi t;
	bool created;
};

FIXTURE_VARIANT(zpci_msi) {
	u32 flags;
};

FIXTURE_VARIANT_ADD(zpci_msi, direct) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(zpci_msi, host) {
	.flags = KVM_S390_ZPCI_AIF_HOST,
};

static int aif_register(struct zpci_vm *m, struct kvm_s390_zpci_aif *aif)
{
	return __kvm_device_attr_set(m->zpci, KVM_DEV_S390_ZPCI_AIF,
				     KVM_DEV_S390_ZPCI_AIF_REG, aif) ? errno : 0;
}

FIXTURE_SETUP(zpci_msi)
{
	struct msi *t = &self->t;
	struct zpci_vm *m = &t->m;

	t->before = zpci_pins_now();
	/* On demand: nothing is pinned without a table. */
	zpci_vm_create(m, ZPCI_ON_DEMAND);
	self->created = true;
	ASSERT_EQ(0, zpci_vm_bind(m));
	if (!zpci_vm_has(m, VFIO_DEVICE_INFO_ZPCI_AIF_HOST))
		SKIP(return, "no interruption forwarding");
	zpci_listener_create(&t->l, m);
	t->l.mailbox->enabled = true;
	t->l.mailbox->cr6 = CR6_ALL;
	t->ibv = zpci_guest_hva(&m->guest, ZPCI_VM_IBV);
	t->sb = zpci_guest_hva(&m->guest, ZPCI_VM_SB);
	t->aif = zpci_vm_aif();
	t->aif.flags |= variant->flags;
	t->aif.noi = 2;
	t->aif.isc = ISC;
	t->aif.ibvo = IBVO;
	t->aif.sbo = SBO;
}

FIXTURE_TEARDOWN(zpci_msi)
{
	struct msi *t = &self->t;
	const char *leaked;

	if (!self->created)
		return;
	zpci_listener_destroy(&t->l);
	zpci_vm_destroy(&t->m);
	leaked = zpci_pins_leaked(&t->before);
	EXPECT_EQ(NULL, leaked) {
		TH_LOG("%s", leaked);
	}
}

/*
 * What follows returns NULL or, for the log, what went wrong.
 */

static const char *error(const char *call, int err)
{
	static char text[80];

	if (!err)
		return NULL;
	snprintf(text, sizeof(text), "%s: %s", call, strerror(err));
	return text;
}

/* The controller works, and its messages are @data; the listener is not busy. */
static const char *start_nvme(struct zpci_listener *l, u32 data)
{
	struct zpci_vm *m = l->m;
	const char *wrong;

	zpci_function_enable_dma(m->device);
	wrong = zpci_vm_start_nvme(m);
	if (!wrong)
		wrong = zpci_vm_map(m, zpci_vm_queue_iova(m, ZPCI_PAGE_FREE),
				    ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE), PAGE_SIZE,
				    0);
	if (!wrong)
		wrong = zpci_listener_enable_msi(l, data);
	return wrong;
}

static int table_on(struct zpci_vm *m)
{
	return zpci_vm_ioat_on(m) ? : zpci_vm_attach(m);
}

static int table_off(struct zpci_vm *m)
{
	return zpci_vm_ioat_off(m) ? : zpci_vm_detach(m);
}

/* There is a table, interruptions are registered, the controller works. */
static const char *set_up(struct msi *t)
{
	const char *wrong;

	wrong = error("the table", table_on(&t->m));
	if (!wrong)
		wrong = start_nvme(&t->l, 0);
	if (!wrong)
		wrong = error("AIF_REG", aif_register(&t->m, &t->aif));
	return wrong;
}

/* The controller completes a command. */
static const char *command(struct zpci_vm *m)
{
	int ret = nvme_identify_ctrl(&m->nvme,
				     zpci_vm_queue_iova(m, ZPCI_PAGE_FREE), 0);

	return ret ? nvme_result(ret) : NULL;
}

static u64 bit(int nr)
{
	return 1UL << 63 >> nr;
}

/* The function has set the indicators, and no others. Reset them. */
static const char *indicated(struct msi *t, int nr)
{
	bool summary = t->aif.flags & KVM_S390_ZPCI_AIF_SUMMARY;
	int i;

	for (i = 0; i < PATIENCE; i++) {
		if (READ_ONCE(*t->ibv) &&
		    (READ_ONCE(*t->sb) || !summary))
			break;
		usleep(1000);
	}
	if (i == PATIENCE)
		return *t->ibv ? "no summary bit" : "no interruption bit";
	if (*t->ibv != bit(t->aif.ibvo + nr))
		return "not the interruption bit that should be set";
	if (*t->sb != (summary ? bit(t->aif.sbo) : 0))
		return "not the summary bit that should be set";
	for (i = 1; i < PAGE_SIZE / sizeof(u64); i++) {
		if (t->ibv[i] || t->sb[i])
			return "other bits are set in the page";
	}
	WRITE_ONCE(*t->ibv, 0);
	WRITE_ONCE(*t->sb, 0);
	return NULL;
}

/* A command is completed, and indicated as interruption @nr. */
static const char *message(struct msi *t, int nr)
{
	const char *wrong = command(&t->m);

	return wrong ?: indicated(t, nr);
}

/* Exactly so many interruptions there are, or soon will have been. */
static const char *counted(struct msi *t, u64 count)
{
	struct zpci_listener_mailbox *mb = t->l.mailbox;
	static char text[80];
	u64 before;
	int i;

	for (i = 0; i < PATIENCE && READ_ONCE(mb->count) < count; i++)
		usleep(1000);
	before = READ_ONCE(mb->count);
	usleep(SETTLE * 1000);
	if (before == count && READ_ONCE(mb->count) == count)
		return NULL;
	snprintf(text, sizeof(text), "%lu interruptions, not %lu",
		 READ_ONCE(mb->count), count);
	return text;
}

/* The last interruption is what the function's should be like. */
static const char *right_one(struct msi *t, int nr)
{
	struct zpci_irq *irq = &t->l.mailbox->irq;
	static char text[100];

	if (irq->word != (IO_INT_WORD_AI | t->aif.isc << 27) || irq->id ||
	    irq->parm) {
		snprintf(text, sizeof(text),
			 "interruption: id 0x%x, parameter 0x%x, word 0x%x",
			 irq->id, irq->parm, irq->word);
		return text;
	}
	if (irq->ibv != bit(t->aif.ibvo + nr))
		return "interruption before its bit was set";
	if (t->aif.flags & KVM_S390_ZPCI_AIF_SUMMARY &&
	    irq->sb != bit(t->aif.sbo))
		return "interruption before its summary bit was set";
	return NULL;
}

/* One command, one interruption of a vCPU that is listening */
static const char *interrupted(struct msi *t, int nr)
{
	u64 count = READ_ONCE(t->l.mailbox->count);
	const char *wrong = command(&t->m);

	if (!wrong)
		wrong = counted(t, count + 1);
	if (!wrong)
		wrong = indicated(t, nr);
	return wrong ?: right_one(t, nr);
}

static u64 forwarded(struct zpci_vm *m)
{
	struct kvm_s390_zpci_aif_stats stats;
	int err = zpci_vm_aif_stats(m, &stats);

	TEST_ASSERT(!err, "AIF_STATS: %s", strerror(err));
	return stats.forwarded;
}

static bool by_host(struct msi *t)
{
	return t->aif.flags & KVM_S390_ZPCI_AIF_HOST;
}

/* Loads and stores reach the function and don't leave the guest. */
TEST_F(zpci_msi, loads_and_stores)
{
	struct msi *t = &self->t;
	struct zpci_listener *l = &t->l;
	struct zpci_vm *m = &t->m;
	struct vfio_pci_device *f = m->device;
	u64 data, exits, block[2] = { 0x1122334455667788, 0x99aabbccddeeff00 };
	struct zpci_msix msix = zpci_listener_msix(l);
	u32 entry = msix.table + PCI_MSIX_ENTRY_SIZE;

	ASSERT_EQ(0, zpci_listener_load(l, ZPCI_CONFIG, PCI_VENDOR_ID, 4, &data));
	EXPECT_EQ(vfio_pci_config_readl(f, PCI_VENDOR_ID), data);
	ASSERT_EQ(0, zpci_listener_load(l, ZPCI_CONFIG, PCI_DEVICE_ID, 2, &data));
	EXPECT_EQ(vfio_pci_config_readl(f, PCI_VENDOR_ID) >> 16, data);
	ASSERT_EQ(0, zpci_listener_load(l, 0, NVME_REG_VS, 4, &data));
	EXPECT_EQ(readl(f->bars[0].vaddr + NVME_REG_VS), data);

	/* An entry of the MSI-X table is as good as memory. */
	ASSERT_NE(0, msix.cap);
	ASSERT_EQ(0, zpci_listener_store_block(l, msix.bar, entry, block));
	ASSERT_EQ(0, zpci_listener_load(l, msix.bar, entry + 8, 4, &data));
	EXPECT_EQ(block[1] & ~0U, data);
	ASSERT_EQ(0, zpci_listener_load(l, msix.bar, entry + 4, 4, &data));
	EXPECT_EQ(block[0] >> 32, data);
	ASSERT_EQ(0, zpci_listener_store(l, msix.bar, entry, 4, 0x12345678));
	ASSERT_EQ(0, zpci_listener_load(l, msix.bar, entry, 4, &data));
	EXPECT_EQ(0x12345678, data);
	EXPECT_EQ(0, l->exits);

	ASSERT_EQ(0, zpci_listener_store(l, msix.bar, entry, 4, 0x87654320));
	zpci_listener_start(l, LISTEN_LOAD);
	ASSERT_WORKS(zpci_listener_await_rounds(l, 1));
	exits = zpci_listener_exits(l);
	ASSERT_WORKS(zpci_listener_await_rounds(l, 1000));
	EXPECT_EQ(exits, zpci_listener_exits(l)) {
		TH_LOG("the guest leaves SIE");
	}
	ASSERT_WORKS(zpci_listener_stop(l));
	EXPECT_EQ(0, l->mailbox->wrong);
	EXPECT_EQ(0, l->exits);

	/* Nobody else's function, and not without interpretation */
	l->mailbox->req ^= 1UL << 32;
	zpci_listener_start(l, LISTEN_LOAD);
	ASSERT_WORKS(zpci_listener_await_rounds(l, 1));
	ASSERT_WORKS(zpci_listener_stop(l));
	EXPECT_NE(0, l->mailbox->wrong);
	EXPECT_NE(0, l->exits);
	ASSERT_EQ(0, zpci_vm_interp(m, false));
	l->exits = 0;
	EXPECT_EQ(3, zpci_listener_load(l, 0, NVME_REG_VS, 4, &data));
	EXPECT_EQ(3, zpci_listener_store(l, msix.bar, entry, 4, 0));
	EXPECT_EQ(3, zpci_listener_store_block(l, msix.bar, entry, block));
	EXPECT_EQ(3, l->exits);
	ASSERT_EQ(0, zpci_vm_interp(m, true));
	EXPECT_EQ(0, zpci_listener_load(l, 0, NVME_REG_VS, 4, &data));
	EXPECT_EQ(3, l->exits);
}

/*
 * The vCPU has a CPU for itself, if there are two: it would always be outside of
 * the guest when this thread issues a command, if both were on one.
 */
static void apart(struct zpci_listener *l)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t here, there;

	if (cpus < 2)
		return;
	CPU_ZERO(&here);
	CPU_SET(0, &here);
	CPU_ZERO(&there);
	CPU_SET(cpus - 1, &there);
	TEST_ASSERT(!pthread_setaffinity_np(pthread_self(), sizeof(here),
					    &here) &&
		    !pthread_setaffinity_np(l->thread, sizeof(there), &there),
		    "can't pin the threads to CPUs 0 and %ld", cpus - 1);
}

/* A vCPU that is executing is interrupted, without an exit. */
TEST_F(zpci_msi, running)
{
	struct msi *t = &self->t;
	struct zpci_listener *l = &t->l;
	u64 exits, by_kvm, n = 40, i;

	ASSERT_WORKS(set_up(t));
	zpci_listener_start(l, 0);
	apart(l);
	ASSERT_WORKS(zpci_listener_await_rounds(l, 1));
	exits = zpci_listener_exits(l);
	by_kvm = zpci_listener_stat(l, "deliver_io");
	for (i = 0; i < n; i++)
		ASSERT_WORKS(interrupted(t, 0));
	EXPECT_EQ(exits, zpci_listener_exits(l)) {
		TH_LOG("the guest leaves SIE");
	}
	/* Some by KVM: the host itself may have been interrupted just then. */
	by_kvm = zpci_listener_stat(l, "deliver_io") - by_kvm;
	if (!by_host(t))
		EXPECT_GT(n, by_kvm) {
			TH_LOG("KVM has delivered all of them");
		}
	EXPECT_EQ(by_host(t) ? n : 0, forwarded(&t->m));
	EXPECT_EQ(by_host(t) ? n : 0,
		  vm_get_stat(t->m.guest.vm, aen_forward));
	ASSERT_WORKS(zpci_listener_stop(l));
}

/* The vCPU has begun to wait for the @nr-th time. */
static const char *asleep(struct zpci_listener *l, u64 nr)
{
	int i;

	for (i = 0; i < PATIENCE; i++) {
		if (zpci_listener_stat(l, "exit_wait_state") >= nr) {
			usleep(1000);
			return NULL;
		}
		usleep(1000);
	}
	return "the vCPU does not wait";
}

/* A vCPU that waits is woken up by KVM, each time. */
TEST_F(zpci_msi, waiting)
{
	struct msi *t = &self->t;
	struct zpci_listener *l = &t->l;
	u64 n = 20, i;

	ASSERT_WORKS(set_up(t));
	zpci_listener_start(l, LISTEN_WAIT);
	for (i = 0; i < n; i++) {
		ASSERT_WORKS(asleep(l, i + 1));
		EXPECT_EQ(i, l->mailbox->rounds);
		ASSERT_WORKS(interrupted(t, 0));
	}
	EXPECT_EQ(by_host(t) ? n : 0, forwarded(&t->m));
	/* Nothing wakes it up but the next one. */
	ASSERT_WORKS(asleep(l, n + 1));
	WRITE_ONCE(l->mailbox->stop, 1);
	usleep(SETTLE * 1000);
	EXPECT_FALSE(READ_ONCE(l->left));
	ASSERT_WORKS(message(t, 0));
	ASSERT_WORKS(zpci_listener_stop(l));
	EXPECT_EQ(n + 1, l->mailbox->count);
}

/* A vCPU that is stopped has its interruption when it is started, once. */
TEST_F(zpci_msi, stopped)
{
	struct msi *t = &self->t;
	struct kvm_s390_irq stop = { .type = KVM_S390_SIGP_STOP };
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_STOPPED };
	struct zpci_listener *l = &t->l;
	u64 count = 0;
	int wait, i;

	ASSERT_WORKS(set_up(t));
	for (wait = 0; wait < 2; wait++) {
		u32 flags = wait ? LISTEN_WAIT : 0;

		zpci_listener_start(l, flags);
		ASSERT_WORKS(interrupted(t, 0));
		count++;
		/* As if another vCPU had said so */
		vcpu_ioctl(l->vcpu, KVM_S390_IRQ, &stop);
		ASSERT_WORKS(zpci_listener_await_stop(l));
		for (i = 0; i < 3; i++)
			ASSERT_WORKS(message(t, 0));
		ASSERT_WORKS(counted(t, count));
		zpci_listener_resume(l);
		ASSERT_WORKS(counted(t, ++count));
		ASSERT_WORKS(interrupted(t, 0));
		count++;
		WRITE_ONCE(l->mailbox->stop, 1);
		if (wait) {
			ASSERT_WORKS(message(t, 0));
			count++;
		}
		ASSERT_WORKS(zpci_listener_stop(l));
	}

	/* From here on the states of vCPUs are user space's. */
	zpci_listener_start(l, 0);
	ASSERT_WORKS(interrupted(t, 0));
	zpci_listener_pause(l);
	vcpu_mp_state_set(l->vcpu, &state);
	for (i = 0; i < 3; i++)
		ASSERT_WORKS(message(t, 0));
	ASSERT_WORKS(counted(t, ++count));
	EXPECT_EQ(-1, __vcpu_run(l->vcpu));
	EXPECT_EQ(EINVAL, errno);
	state.mp_state = KVM_MP_STATE_OPERATING;
	vcpu_mp_state_set(l->vcpu, &state);
	zpci_listener_resume(l);
	ASSERT_WORKS(counted(t, ++count));
	ASSERT_WORKS(interrupted(t, 0));
	ASSERT_WORKS(zpci_listener_stop(l));
}

/* What is masked remains pending, and is one interruption in the end. */
static const char *masked(struct msi *t, u64 enabled, u64 cr6)
{
	struct zpci_listener *l = &t->l;
	struct zpci_listener_mailbox *mb = l->mailbox;
	u64 count = READ_ONCE(mb->count);
	const char *wrong;
	int i;

	WRITE_ONCE(mb->enabled, enabled);
	WRITE_ONCE(mb->cr6, cr6);
	wrong = zpci_listener_await_rounds(l, 2);
	for (i = 0; i < 3 && !wrong; i++)
		wrong = message(t, 0);
	if (!wrong)
		wrong = counted(t, count);
	if (!wrong)
		wrong = zpci_listener_await_rounds(l, 2);
	WRITE_ONCE(mb->cr6, CR6_ISC(ISC));
	WRITE_ONCE(mb->enabled, true);
	if (!wrong)
		wrong = counted(t, count + 1);
	return wrong ?: interrupted(t, 0);
}

TEST_F(zpci_msi, masked)
{
	struct msi *t = &self->t;
	struct zpci_listener *l = &t->l;
	u64 exits;
	int i;

	ASSERT_WORKS(set_up(t));
	zpci_listener_start(l, 0);
	ASSERT_WORKS(zpci_listener_await_rounds(l, 1));
	exits = zpci_listener_exits(l);
	for (i = 0; i < 3; i++) {
		/* By the PSW, by CR6, by both */
		ASSERT_WORKS(masked(t, false, CR6_ALL));
		ASSERT_WORKS(masked(t, true, CR6_ALL & ~CR6_ISC(ISC)));
		ASSERT_WORKS(masked(t, false, 0));
	}
	EXPECT_EQ(exits, zpci_listener_exits(l)) {
		TH_LOG("the guest leaves SIE");
	}
	ASSERT_WORKS(zpci_listener_stop(l));
}

/* A vCPU that waits with the subclass masked sleeps on, and loses no interruption */
TEST_F(zpci_msi, waiting_masked)
{
	struct msi *t = &self->t;
	struct zpci_listener *l = &t->l;
	struct zpci_listener_mailbox *mb = l->mailbox;
	struct kvm_s390_interrupt other = {
		.type = KVM_S390_INT_IO(1, 0, 0, 0),
		.parm64 = IO_INT_WORD_AI | (ISC ^ 1) << 27,
	};
	int i;

	ASSERT_WORKS(set_up(t));
	mb->cr6 = CR6_ALL & ~CR6_ISC(ISC);
	zpci_listener_start(l, LISTEN_WAIT);
	ASSERT_WORKS(asleep(l, 1));
	for (i = 0; i < 3; i++)
		ASSERT_WORKS(message(t, 0));
	ASSERT_WORKS(counted(t, 0));
	EXPECT_EQ(0, mb->rounds);

	/* By an interruption of another subclass, after which it looks again */
	WRITE_ONCE(mb->cr6, CR6_ALL);
	vm_ioctl(t->m.guest.vm, KVM_S390_INTERRUPT, &other);
	ASSERT_WORKS(counted(t, 2));
	EXPECT_EQ(IO_INT_WORD_AI | ISC << 27, mb->irq.word);
	WRITE_ONCE(mb->stop, 1);
	ASSERT_WORKS(message(t, 0));
	ASSERT_WORKS(zpci_listener_stop(l));
}

/* In single-interruption mode there is one, until the guest asks for the next. */
TEST_F(zpci_msi, single)
{
	struct msi *t = &self->t;
	struct zpci_listener *l = &t->l;
	struct zpci_listener_mailbox *mb = l->mailbox;
	u64 count, exits;
	int i, j;

	ASSERT_WORKS(set_up(t));
	zpci_listener_sic(l, ISC, SIC_ALL);
	exits = zpci_listener_stat(l, "exit_instruction");
	zpci_listener_sic(l, ISC, SIC_ALL);
	/* The one is that by which the guest says it is done. */
	EXPECT_EQ(exits + 1, zpci_listener_stat(l, "exit_instruction")) {
		TH_LOG("the guest leaves SIE");
	}
	for (i = 0; i < 3; i++) {
		zpci_listener_sic(l, ISC, SIC_SINGLE);
		count = mb->count;
		zpci_listener_start(l, 0);
		ASSERT_WORKS(counted(t, count));
		ASSERT_WORKS(interrupted(t, 0));
		for (j = 0; j < 3; j++)
			ASSERT_WORKS(message(t, 0));
		ASSERT_WORKS(counted(t, count + 1));
		ASSERT_WORKS(zpci_listener_stop(l));
	}
	/* Some other subclass does not matter. */
	zpci_listener_sic(l, ISC, SIC_ALL);
	zpci_listener_sic(l, ISC ^ 1, SIC_SINGLE);
	zpci_listener_start(l, 0);
	for (j = 0; j < 3; j++)
		ASSERT_WORKS(interrupted(t, 0));
	ASSERT_WORKS(zpci_listener_stop(l));
}

/* Whatever the interruption parameters are, they are what the guest sees. */
TEST_F(zpci_msi, parameters)
{
	struct msi *t = &self->t;
	struct zpci_listener *l = &t->l;
	struct zpci_vm *m = &t->m;
	int i;

	ASSERT_EQ(0, table_on(m));
	for (i = 0; i < 16; i++) {
		t->aif.isc = i & 7;
		t->aif.ibvo = i * 11 % 63;
		t->aif.sbo = i & 8 ? i * 7 % 64 : 0;
		t->aif.sb = i & 8 ? ZPCI_VM_SB : 0;
		t->aif.flags = variant->flags |
				  (i & 8 ? KVM_S390_ZPCI_AIF_SUMMARY : 0);
		ASSERT_WORKS(start_nvme(l, i & 1));
		ASSERT_EQ(0, aif_register(m, &t->aif));
		zpci_listener_start(l, 0);
		ASSERT_WORKS(interrupted(t, i & 1));
		ASSERT_WORKS(zpci_listener_stop(l));
		ASSERT_EQ(0, zpci_vm_aif_deregister(m));
	}
}

/*
 * Section: what is switched on and off
 */

enum feature { INTERP, AIF, IOAT, FEATURES };

static const u8 orders[][FEATURES] = {
	{ INTERP, AIF, IOAT }, { INTERP, IOAT, AIF }, { AIF, INTERP, IOAT },
	{ AIF, IOAT, INTERP }, { IOAT, INTERP, AIF }, { IOAT, AIF, INTERP },
};

static int switch_feature(struct msi *t, enum feature f, bool on)
{
	struct zpci_vm *m = &t->m;

	switch (f) {
	case INTERP:
		return zpci_vm_interp(m, on);
	case AIF:
		return on ? aif_register(m, &t->aif) :
			    zpci_vm_aif_deregister(m);
	default:
		return on ? table_on(m) : table_off(m);
	}
}

/* What is on works, and what is off does not. */
static const char *works(struct msi *t, const bool *on)
{
	void *hva = zpci_guest_hva(&t->m.guest,
				   ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE));
	struct zpci_listener *l = &t->l;
	struct zpci_vm *m = &t->m;
	struct vfio_pci_device *f = m->device;
	const char *wrong;
	u64 data;
	u32 cc;

	l->exits = 0;
	cc = zpci_listener_load(l, 0, NVME_REG_VS, 4, &data);
	if (cc != (on[INTERP] ? 0 : 3) || l->exits != !on[INTERP])
		return "a load is not interpreted, or should not be";
	if (on[INTERP] && data != readl(f->bars[0].vaddr + NVME_REG_VS))
		return "a load does not have the right value";
	if (!on[IOAT])
		return zpci_guest_rpcit(&m->guest, m->pba, PAGE_SIZE).exits ?
		       NULL : "RPCIT without a table stays in the kernel";

	if (!on[AIF]) {
		zpci_function_enable_dma(m->device);
		wrong = zpci_vm_start_nvme(m);
		if (!wrong)
			wrong = zpci_vm_map(m, zpci_vm_queue_iova(m, ZPCI_PAGE_FREE),
					    ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE),
					    PAGE_SIZE, 0);
		memset(hva, 0, NVME_IDENTIFY_SIZE);
		if (!wrong)
			wrong = command(m);
	} else {
		wrong = start_nvme(l, 0);
		if (wrong)
			return wrong;
		memset(hva, 0, NVME_IDENTIFY_SIZE);
		zpci_listener_start(l, 0);
		wrong = interrupted(t, 0) ?: zpci_listener_stop(l);
	}
	if (!wrong && !*(u64 *)hva)
		wrong = "the data did not arrive";
	return wrong;
}

/*
 * Interruptions are not forwarded without interpretation, so one is refused, and
 * the other in the way back. It can be had as soon as nothing stands against it.
 */
static const char *switch_all(struct msi *t, const u8 *order,
			      bool to, bool *on)
{
	enum feature first = to ? INTERP : AIF, second = to ? AIF : INTERP;
	bool refused = false;
	const char *wrong;
	int i, err;

	for (i = 0; i < FEATURES; i++) {
		err = switch_feature(t, order[i], to);
		if (order[i] == second && on[first] != to) {
			refused = true;
			if (err != (to ? EPERM : EBUSY))
				return "not refused as it should be";
		} else {
			on[order[i]] = to;
			if (err)
				return error("a feature can't be switched", err);
		}
		wrong = works(t, on);
		if (wrong)
			return wrong;
		if (order[i] == first && refused) {
			err = switch_feature(t, second, to);
			if (err)
				return error("refused once more", err);
			on[second] = to;
			wrong = works(t, on);
			if (wrong)
				return wrong;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(zpci_msi, every_order, ZPCI_TIMEOUT)
{
	struct msi *t = &self->t;
	bool on[FEATURES] = { true };
	const char *wrong;
	int i, j, step;

	t->m.guest.user_cc = 3;
	ASSERT_EQ(0, zpci_vm_interp(&t->m, false));
	on[INTERP] = false;
	/* All pairs of orders; every kernel can afford some of them. */
	step = zpci_scale(4) < 4 ? 5 : 1;
	for (i = 0; i < ARRAY_SIZE(orders) * ARRAY_SIZE(orders); i += step) {
		j = i / ARRAY_SIZE(orders);
		wrong = switch_all(t, orders[i % ARRAY_SIZE(orders)], true,
				   on);
		ASSERT_EQ(NULL, wrong) {
			TH_LOG("on, order %d: %s", i % 6, wrong);
		}
		wrong = switch_all(t, orders[j], false, on);
		ASSERT_EQ(NULL, wrong) {
			TH_LOG("off, order %d: %s", j, wrong);
		}
		ASSERT_EQ(0, zpci_pins_now().system - t->before.system) {
			TH_LOG("pages are still pinned with everything off");
		}
	}
}

/*
 * Section: while messages come in
 */

/* The guest has commands executed as fast as it can, each with an interruption. */
TEST_F(zpci_msi, none_lost)
{
	struct msi *t = &self->t;
	struct zpci_listener *l = &t->l;
	struct zpci_listener_mailbox *mb = l->mailbox;
	u64 n = zpci_scale(400), exits;

	ASSERT_WORKS(set_up(t));
	ASSERT_WORKS(zpci_listener_prepare_pump(l));
	zpci_listener_start(l, LISTEN_PUMP | LISTEN_STRICT);
	ASSERT_WORKS(zpci_listener_await_rounds(l, 1));
	exits = zpci_listener_exits(l);
	ASSERT_WORKS(zpci_listener_await_rounds(l, n));
	EXPECT_EQ(exits, zpci_listener_exits(l)) {
		TH_LOG("the guest leaves SIE");
	}
	ASSERT_WORKS(zpci_listener_stop(l));
	EXPECT_EQ(0, l->exits);
	ASSERT_WORKS(indicated(t, 0));
	EXPECT_EQ(mb->done, mb->count);
	EXPECT_EQ(by_host(t) ? mb->done : 0, forwarded(&t->m));
}

enum way_out { DEREGISTER, RESET, CLOSE_ZPCI, CLOSE_FUNCTION, WAYS_OUT };

/*
 * The indicators are not touched any more, and there is no interruption, except
 * one that was pending then: the vCPU, which does not wait, has taken it when it
 * has executed something.
 */
static const char *silent(struct msi *t)
{
	struct zpci_listener_mailbox *mb = t->l.mailbox;
	const char *wrong;
	u64 count;

	usleep(SETTLE * 1000);
	wrong = zpci_listener_await_beats(&t->l);
	if (wrong)
		return wrong;
	count = READ_ONCE(mb->count);
	WRITE_ONCE(*t->ibv, 0);
	WRITE_ONCE(*t->sb, 0);
	usleep(SETTLE * 1000);
	wrong = zpci_listener_await_beats(&t->l);
	if (wrong)
		return wrong;
	if (READ_ONCE(*t->ibv) || READ_ONCE(*t->sb))
		return "an indicator is set when none should be";
	return READ_ONCE(mb->count) == count ? NULL :
	       "an interruption when none should be";
}

/* There are interruptions of commands that the guest has executed. */
static const char *goes_on(struct msi *t)
{
	struct zpci_listener_mailbox *mb = t->l.mailbox;
	u64 count = READ_ONCE(mb->count);
	int i;

	for (i = 0; i < PATIENCE && READ_ONCE(mb->count) == count; i++)
		usleep(1000);
	return i < PATIENCE ? NULL : "no interruption any more";
}

/* The function goes, in one way or another, while its messages come in. */
TEST_F_TIMEOUT(zpci_msi, under_load, ZPCI_TIMEOUT)
{
	struct msi *t = &self->t;
	struct zpci_listener *l = &t->l;
	struct zpci_vm *m = &t->m;
	const char *leaked;
	u64 n, i;

	for (n = 0; n < zpci_scale(2 * WAYS_OUT); n++) {
		enum way_out out = n % WAYS_OUT;

		ASSERT_WORKS(set_up(t));
		ASSERT_WORKS(zpci_listener_prepare_pump(l));
		zpci_listener_start(l, LISTEN_PUMP);
		ASSERT_WORKS(zpci_listener_await_rounds(l, 20));
		switch (out) {
		case DEREGISTER:
			for (i = 0; i < 20; i++) {
				ASSERT_EQ(0, zpci_vm_aif_deregister(m));
				ASSERT_EQ(0, aif_register(m, &t->aif));
				ASSERT_WORKS(goes_on(t));
			}
			ASSERT_EQ(0, zpci_vm_aif_deregister(m));
			break;
		case RESET:
			ASSERT_EQ(0, zpci_function_reset(m->device));
			break;
		case CLOSE_ZPCI:
			zpci_vm_close_zpci(m);
			break;
		default:
			zpci_vm_close_function(m);
		}
		ASSERT_WORKS(silent(t));
		/* The table is that of the function, not of the KVM device. */
		if (out == CLOSE_ZPCI || out == CLOSE_FUNCTION)
			ASSERT_EQ(zpci_shadow_stats().pinned,
				  zpci_pins_now().system - t->before.system);
		zpci_listener_pause(l);

		zpci_vm_close_zpci(m);
		zpci_vm_close_function(m);
		leaked = zpci_pins_leaked(&t->before);
		ASSERT_EQ(NULL, leaked) {
			TH_LOG("round %lu: %s", n, leaked);
		}
		m->zpci = kvm_create_device(m->guest.vm, KVM_DEV_TYPE_S390_ZPCI);
		zpci_vm_open_function(m, ZPCI_ON_DEMAND);
		ASSERT_EQ(0, zpci_vm_bind(m));
		/* The vCPU may continue with a doorbell: no DMA without a table */
		vfio_pci_config_writew(m->device, PCI_COMMAND,
				       PCI_COMMAND_MEMORY);
		zpci_guest_clear_tables(&m->guest);
		zpci_listener_resume(l);
		ASSERT_WORKS(zpci_listener_stop(l));
	}
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	return zpci_harness_run(argc, argv);
}
