// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the control of interpretation and interruption forwarding
 *
 * Uses the KVM device and KVM_S390_ZPCI_OP on the same state, alone, mixed,
 * while files are closed, and under load.
 *
 * VFIO reports whether the machine supports it. If not, every call must fail,
 * and the other tests are skipped.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <linux/pci_regs.h>
#include <linux/vfio_zdev.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_harness.h"
#include "zpci_scale.h"
#include "zpci_storm.h"
#include "zpci_vm.h"

#define MAPPED		(64 * PAGE_SIZE)
/* Host pages that are pinned for the indicators, and VmPin for them */
#define PAGES		2
#define PAGES_KB	(PAGES * PAGE_SIZE / 1024)

FIXTURE(zpci_interp) {
	struct zpci_vm m;
	struct zpci_pins before;
	bool interp;
	bool aif;
};

FIXTURE_VARIANT(zpci_interp) {
	const char *mode;
};

FIXTURE_VARIANT_ADD(zpci_interp, group) {
	.mode = ZPCI_GROUP,
};

/* On demand: what is pinned and charged is what the tests have pinned. */
FIXTURE_VARIANT_ADD(zpci_interp, on_demand) {
	.mode = ZPCI_ON_DEMAND,
};

FIXTURE_SETUP(zpci_interp)
{
	self->before = zpci_pins_now();
	zpci_vm_create(&self->m, variant->mode);
	ASSERT_EQ(0, zpci_vm_bind(&self->m));
	self->interp = zpci_vm_has(&self->m, VFIO_DEVICE_INFO_ZPCI_INTERP);
	self->aif = zpci_vm_has(&self->m, VFIO_DEVICE_INFO_ZPCI_AIF_HOST);
}

FIXTURE_TEARDOWN(zpci_interp)
{
	const char *leaked;

	zpci_vm_destroy(&self->m);
	leaked = zpci_pins_leaked(&self->before);
	EXPECT_EQ(NULL, leaked) {
		TH_LOG("%s", leaked);
	}
}

static u32 vfio_fh(struct zpci_vm *m)
{
	struct vfio_device_info_cap_zpci_base *base;
	u32 fh;

	base = (void *)vfio_pci_device_cap(m->device, VFIO_DEVICE_INFO_CAP_ZPCI_BASE);
	TEST_ASSERT(base, "not a zPCI function");
	fh = base->fh;
	free(base);
	return fh;
}

/* Call the ioctl of the VM with the parameters of zpci_vm_aif_register(). */
static int op_of(struct kvm_vm *vm, u8 what, u32 fh)
{
	struct kvm_s390_zpci_op args = { .fh = fh, .op = what };
	struct kvm_s390_zpci_aif aif = zpci_vm_aif();

	if (what == KVM_S390_ZPCIOP_REG_AEN) {
		args.u.reg_aen.ibv = aif.ibv;
		args.u.reg_aen.sb = aif.sb;
		args.u.reg_aen.noi = aif.noi;
		args.u.reg_aen.isc = aif.isc;
	}
	return ioctl(vm->fd, KVM_S390_ZPCI_OP, &args) ? errno : 0;
}

static int op(struct zpci_vm *m, u8 what, u32 fh)
{
	return op_of(m->guest.vm, what, fh);
}

static int op_reg(struct zpci_vm *m)
{
	return op(m, KVM_S390_ZPCIOP_REG_AEN, vfio_fh(m));
}

static int op_dereg(struct zpci_vm *m)
{
	return op(m, KVM_S390_ZPCIOP_DEREG_AEN, vfio_fh(m));
}

/* Check that the pins match the forwarding state. */
static const char *is_forwarded(struct zpci_vm *m, struct zpci_pins *off,
				bool forwarded)
{
	struct kvm_s390_zpci_aif_stats stats;
	struct zpci_pins now;
	int err;

	err = zpci_vm_aif_stats(m, &stats);
	if (err)
		return strerror(err);
	if (forwarded != !!(stats.flags & KVM_S390_ZPCI_AIF_IS_REG))
		return "not the state that the device tells";
	if (stats.flags & ~KVM_S390_ZPCI_AIF_IS_REG)
		return "flags that nobody knows";
	now = zpci_pins_now();
	if (now.system - off->system != (forwarded ? PAGES : 0))
		return "not the number of pinned pages";
	if (now.pinned_kb - off->pinned_kb != (forwarded ? PAGES_KB : 0))
		return "not what VmPin should be";
	return NULL;
}

/* All interfaces report the same support. */
TEST_F(zpci_interp, presence)
{
	struct kvm_s390_zpci_aif_stats stats;
	struct kvm_s390_zpci_interp state;
	struct zpci_vm *m = &self->m;
	int caps = kvm_check_cap(KVM_CAP_S390_ZPCI_DEVICE);
	int want_interp = self->interp ? 0 : ENXIO;
	int want_aif = self->aif ? 0 : ENXIO;
	u64 attr;

	EXPECT_EQ(self->interp, !!(caps & KVM_S390_ZPCI_CAP_INTERP));
	EXPECT_EQ(self->aif, !!(caps & KVM_S390_ZPCI_CAP_AIF));
	EXPECT_EQ(self->interp, !!kvm_check_cap(KVM_CAP_S390_ZPCI_OP));
	EXPECT_EQ(self->aif, zpci_vm_has(m, VFIO_DEVICE_INFO_ZPCI_AIF_GUEST));
	for (attr = 1; attr <= 3; attr++) {
		EXPECT_EQ(want_interp,
			  __kvm_has_device_attr(m->zpci, KVM_DEV_S390_ZPCI_INTERP,
						attr) ? errno : 0);
		EXPECT_EQ(want_aif,
			  __kvm_has_device_attr(m->zpci, KVM_DEV_S390_ZPCI_AIF,
						attr) ? errno : 0);
	}
	EXPECT_EQ(want_interp, zpci_vm_interp_state(m, &state));
	EXPECT_EQ(want_interp, zpci_vm_interp(m, true));
	EXPECT_EQ(want_aif, zpci_vm_aif_stats(m, &stats));
	EXPECT_EQ(want_aif, zpci_vm_aif_register(m, 0));
	EXPECT_EQ(want_aif, zpci_vm_aif_deregister(m));
	EXPECT_EQ(want_interp, zpci_vm_interp(m, false));
}

/* KVM_S390_ZPCI_OP fails where the device fails. */
TEST_F(zpci_interp, op_refused)
{
	struct zpci_vm *m = &self->m;
	u32 fh = vfio_fh(m);
	int what;

	for (what = 0; what < 256; what++) {
		EXPECT_EQ(ENODEV, op(m, what, fh ^ 1)) {
			TH_LOG("operation %d: some other function", what);
		}
		if (what != KVM_S390_ZPCIOP_REG_AEN &&
		    what != KVM_S390_ZPCIOP_DEREG_AEN)
			EXPECT_EQ(EINVAL, op(m, what, fh)) {
				TH_LOG("operation %d", what);
			}
	}
	/* Interpretation is missing or off. */
	if (self->interp)
		ASSERT_EQ(0, zpci_vm_interp(m, false));
	EXPECT_EQ(EINVAL, op_reg(m));
	EXPECT_EQ(EINVAL, op_dereg(m));

	/* The function belongs to another VM now. */
	zpci_vm_close_function(m);
	EXPECT_EQ(ENODEV, op(m, KVM_S390_ZPCIOP_REG_AEN, fh));
	EXPECT_EQ(ENODEV, op(m, KVM_S390_ZPCIOP_DEREG_AEN, fh));
}

/*
 * Look up functions while one is opened and closed. A closed one must not be
 * found.
 */
static void *look_up(void *arg)
{
	struct zpci_vm *m = arg;
	u64 rounds = 0;
	u32 fh;

	while (!READ_ONCE(m->copy)) {
		/* Handles differ in the last bits. */
		for (fh = 0; fh < 64; fh++)
			op(m, KVM_S390_ZPCIOP_DEREG_AEN, 0x80000000 | fh);
		rounds++;
	}
	return (void *)rounds;
}

TEST_F(zpci_interp, op_while_closing)
{
	struct zpci_vm *m = &self->m;
	struct zpci_vm other = *m;
	pthread_t thread;
	void *rounds;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, look_up, &other));
	for (i = 0; i < zpci_scale(20); i++) {
		zpci_vm_close_function(m);
		zpci_vm_open_function(m, variant->mode);
	}
	WRITE_ONCE(other.copy, &other);
	ASSERT_EQ(0, pthread_join(thread, &rounds));
	EXPECT_NE(NULL, rounds);
}

/* Without a function every call fails. */
TEST_F(zpci_interp, unbound)
{
	struct kvm_s390_zpci_aif_stats stats;
	struct kvm_s390_zpci_interp state;
	struct zpci_vm *m = &self->m;
	struct zpci_guest other;

	if (!self->aif)
		SKIP(return, "no interruption forwarding");
	zpci_vm_close_zpci(m);
	m->zpci = kvm_create_device(m->guest.vm, KVM_DEV_TYPE_S390_ZPCI);
	EXPECT_EQ(ENODEV, zpci_vm_interp(m, true));
	EXPECT_EQ(ENODEV, zpci_vm_interp(m, false));
	EXPECT_EQ(ENODEV, zpci_vm_interp_state(m, &state));
	EXPECT_EQ(ENODEV, zpci_vm_aif_register(m, 0));
	EXPECT_EQ(ENOENT, zpci_vm_aif_deregister(m));
	EXPECT_EQ(ENODEV, zpci_vm_aif_stats(m, &stats));

	/* The function of another VM, by the device and by the ioctl */
	zpci_vm_close_zpci(m);
	zpci_guest_create(&other);
	m->zpci = kvm_create_device(other.vm, KVM_DEV_TYPE_S390_ZPCI);
	EXPECT_EQ(EPERM, zpci_vm_bind(m));
	EXPECT_EQ(ENODEV, zpci_vm_aif_register(m, 0));
	EXPECT_EQ(ENODEV, op_of(other.vm, KVM_S390_ZPCIOP_REG_AEN, vfio_fh(m)));
	zpci_vm_close_zpci(m);
	zpci_guest_free(&other);
}

/*
 * All sequences of five switches. Each takes effect or is a no-op. VFIO reports
 * the new handle.
 */
TEST_F(zpci_interp, on_and_off)
{
	struct kvm_s390_zpci_interp state;
	struct zpci_vm *m = &self->m;
	unsigned int order, i;
	u32 fh;

	if (!self->interp)
		SKIP(return, "no interpretation");
	ASSERT_EQ(0, zpci_vm_interp_state(m, &state));
	EXPECT_EQ(KVM_S390_ZPCI_INTERP_IS_ON, state.flags) {
		TH_LOG("not on after the function was opened with a VM");
	}
	fh = state.fh;
	for (order = 0; order < 32; order++) {
		for (i = 0; i < 5; i++) {
			bool on = order >> i & 1;
			bool was = state.flags;

			ASSERT_EQ(0, zpci_vm_interp(m, on));
			ASSERT_EQ(0, zpci_vm_interp_state(m, &state));
			ASSERT_EQ(on, state.flags);
			ASSERT_EQ(vfio_fh(m), state.fh);
			ASSERT_EQ(on, zpci_vm_has(m, VFIO_DEVICE_INFO_ZPCI_INTERP_ON));
			if (on == was)
				ASSERT_EQ(fh, state.fh) {
					TH_LOG("the function was touched");
				}
			fh = state.fh;
		}
	}
	/* The function has its default state when it is opened again. */
	zpci_vm_close_function(m);
	zpci_vm_open_function(m, variant->mode);
	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_EQ(0, zpci_vm_interp_state(m, &state));
	EXPECT_EQ(KVM_S390_ZPCI_INTERP_IS_ON, state.flags);
}

/* The mappings of the guest survive a switch. */
TEST_F(zpci_interp, table_survives)
{
	struct zpci_vm *m = &self->m;
	u64 data = zpci_vm_queue_iova(m, ZPCI_PAGE_FREE);
	void *hva = zpci_guest_hva(&m->guest, ZPCI_GUEST_PAGE(ZPCI_PAGE_FREE));
	u8 expected[NVME_IDENTIFY_SIZE];
	int i;

	if (!self->interp)
		SKIP(return, "no interpretation");
	/* In a container there can't be a table. */
	if (!zpci_mode_is_nested(variant->mode))
		return;
	ASSERT_EQ(0, zpci_vm_ioat_on(m));
	ASSERT_EQ(0, zpci_vm_attach(m));
	ASSERT_WORKS(zpci_vm_map(m, zpci_vm_queue_iova(m, ZPCI_PAGE_ASQ),
				 ZPCI_GUEST_PAGE(ZPCI_PAGE_ASQ),
				 (ZPCI_PAGE_FREE + 1) * PAGE_SIZE, 0));
	ASSERT_WORKS(zpci_vm_start_nvme(m));
	ASSERT_EQ(0, nvme_identify_ctrl(&m->nvme, data, 0));
	memcpy(expected, hva, sizeof(expected));
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, zpci_vm_interp(m, i & 1));
		EXPECT_EQ(EEXIST, zpci_vm_ioat_on(m)) {
			TH_LOG("KVM does not answer RPCITs any more");
		}
		EXPECT_EQ(ZPCI_PAGE_FREE + 1, zpci_shadow_stats().pinned);
		/* A reset registers the table again: test first without. */
		if (i >= 4)
			ASSERT_EQ(0, zpci_function_reset(m->device));
		zpci_function_enable_dma(m->device);
		ASSERT_WORKS(zpci_vm_start_nvme(m));
		memset(hva, 0, sizeof(expected));
		ASSERT_WORKS(zpci_vm_identify(m, data, hva, expected));
	}
}

/* Switch forwarding. Calls that would break it fail meanwhile. */
TEST_F(zpci_interp, forwarding)
{
	struct zpci_vm *m = &self->m;
	struct zpci_pins off = zpci_pins_now();
	u32 flags;

	if (!self->aif)
		SKIP(return, "no interruption forwarding");
	for (flags = 0; flags <= KVM_S390_ZPCI_AIF_HOST; flags++) {
		ASSERT_WORKS(is_forwarded(m, &off, false));
		EXPECT_EQ(ENOENT, zpci_vm_aif_deregister(m));
		ASSERT_EQ(0, zpci_vm_aif_register(m, flags));
		ASSERT_WORKS(is_forwarded(m, &off, true));
		EXPECT_EQ(EEXIST, zpci_vm_aif_register(m, flags));
		EXPECT_EQ(EBUSY, zpci_vm_interp(m, false));
		EXPECT_EQ(0, zpci_vm_interp(m, true));
		ASSERT_WORKS(is_forwarded(m, &off, true));
		ASSERT_EQ(0, zpci_vm_aif_deregister(m));
	}
	ASSERT_EQ(0, zpci_vm_interp(m, false));
	EXPECT_EQ(EPERM, zpci_vm_aif_register(m, 0));
	ASSERT_WORKS(is_forwarded(m, &off, false));
	ASSERT_EQ(0, zpci_vm_interp(m, true));
	EXPECT_EQ(0, zpci_vm_aif_register(m, 0));
	/* A reset ends forwarding in the function, but not in KVM. */
	ASSERT_EQ(0, zpci_function_reset(m->device));
	ASSERT_WORKS(is_forwarded(m, &off, true));
	EXPECT_EQ(0, zpci_vm_aif_deregister(m));
	ASSERT_WORKS(is_forwarded(m, &off, false));
	EXPECT_EQ(0, zpci_vm_aif_register(m, 0));
}

/* Pinned memory is charged: registration fails at the limit. */
TEST_F(zpci_interp, memory_limit)
{
	struct rlimit old, none = {};
	struct zpci_vm *m = &self->m;
	struct zpci_pins off = zpci_pins_now();

	if (!self->aif)
		SKIP(return, "no interruption forwarding");
	ASSERT_EQ(0, getrlimit(RLIMIT_MEMLOCK, &old));
	none.rlim_max = old.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &none));
	EXPECT_EQ(ENOMEM, zpci_vm_aif_register(m, 0));
	ASSERT_WORKS(is_forwarded(m, &off, false));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &old));
	EXPECT_EQ(0, zpci_vm_aif_register(m, 0));
	ASSERT_WORKS(is_forwarded(m, &off, true));
}

/* The device and the ioctl act on one state. */
TEST_F(zpci_interp, both_interfaces)
{
	struct zpci_vm *m = &self->m;
	struct zpci_pins off = zpci_pins_now();
	int second;

	if (!self->aif)
		SKIP(return, "no interruption forwarding");
	ASSERT_EQ(0, zpci_vm_aif_register(m, 0));
	EXPECT_EQ(EINVAL, op_reg(m));
	EXPECT_EQ(0, op_dereg(m));
	ASSERT_WORKS(is_forwarded(m, &off, false));
	EXPECT_EQ(0, op_dereg(m));
	EXPECT_EQ(ENOENT, zpci_vm_aif_deregister(m));

	ASSERT_EQ(0, op_reg(m));
	ASSERT_WORKS(is_forwarded(m, &off, true));
	EXPECT_EQ(EEXIST, zpci_vm_aif_register(m, 0));
	EXPECT_EQ(EBUSY, zpci_vm_interp(m, false));
	EXPECT_EQ(0, zpci_vm_aif_deregister(m));
	ASSERT_WORKS(is_forwarded(m, &off, false));

	/* The device must not end what the ioctl registered. */
	ASSERT_EQ(0, op_reg(m));
	zpci_vm_close_zpci(m);
	second = kvm_create_device(m->guest.vm, KVM_DEV_TYPE_S390_ZPCI);
	m->zpci = second;
	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_WORKS(is_forwarded(m, &off, true));
	EXPECT_EQ(0, zpci_vm_aif_deregister(m));

	/* The device ends what it registered. */
	ASSERT_EQ(0, zpci_vm_aif_register(m, 0));
	zpci_vm_close_zpci(m);
	EXPECT_EQ(0, op_dereg(m));
	m->zpci = kvm_create_device(m->guest.vm, KVM_DEV_TYPE_S390_ZPCI);
	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_WORKS(is_forwarded(m, &off, false));

	/* The device must not end what the ioctl registered again. */
	ASSERT_EQ(0, zpci_vm_aif_register(m, 0));
	ASSERT_EQ(0, op_dereg(m));
	ASSERT_EQ(0, op_reg(m));
	zpci_vm_close_zpci(m);
	m->zpci = kvm_create_device(m->guest.vm, KVM_DEV_TYPE_S390_ZPCI);
	ASSERT_EQ(0, zpci_vm_bind(m));
	ASSERT_WORKS(is_forwarded(m, &off, true));
}

/* Interruptions of the host and of the guest exclude each other. */
TEST_F(zpci_interp, host_interrupts)
{
	struct zpci_vm *m = &self->m;
	struct zpci_pins off;
	int fd, i;

	if (!self->aif)
		SKIP(return, "no interruption forwarding");
	fd = eventfd(0, EFD_NONBLOCK);
	ASSERT_LE(0, fd);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, zpci_function_msix(m->device, fd));
		off = zpci_pins_now();
		EXPECT_EQ(EIO, zpci_vm_aif_register(m, 0));
		EXPECT_EQ(EIO, op_reg(m));
		ASSERT_WORKS(is_forwarded(m, &off, false));
		/*
		 * Nothing is registered: interruptions of the host must stay.
		 */
		EXPECT_EQ(ENOENT, zpci_vm_aif_deregister(m));
		EXPECT_EQ(0, op_dereg(m));
		EXPECT_EQ(EIO, zpci_vm_aif_register(m, 0));
		ASSERT_EQ(0, zpci_function_msix(m->device, -1));

		/*
		 * Interruptions of the host replace those of the guest. User
		 * space should not ask for that, but neither side may lose or
		 * free resources of the other.
		 */
		ASSERT_EQ(0, zpci_vm_aif_register(m, 0));
		zpci_function_msix(m->device, fd);
		ASSERT_WORKS(is_forwarded(m, &off, true));
		EXPECT_EQ(0, zpci_vm_aif_deregister(m));
		zpci_function_msix(m->device, -1);
		ASSERT_WORKS(is_forwarded(m, &off, false));
	}
	close(fd);
}

/**
 * struct worker - a thread that switches everything all the time
 * @m: the VM
 * @stop: whether it shall end
 * @reset_err: what a function that is being reset answers to a registration
 * @rounds: how many rounds it has made
 * @wrong: an error that is not documented, or 0
 * @call: what call it is from
 */
struct worker {
	struct zpci_vm *m;
	bool stop;
	int reset_err;
	u64 rounds;
	int wrong;
	const char *call;
};

static bool among(int err, const int *allowed)
{
	for (; *allowed >= 0; allowed++) {
		if (err == *allowed)
			return true;
	}
	return false;
}

/* Record @err unless it is listed. */
#define NOTE(w, err, ...) do {						\
	const int allowed[] = { __VA_ARGS__, -1 };			\
	struct worker *__w = (w);					\
	int __err = (err);						\
									\
	if (!among(__err, allowed)) {					\
		__w->wrong = __err;					\
		__w->call = #err;					\
	}								\
} while (0)

static void *work(void *arg)
{
	struct worker *w = arg;
	struct zpci_vm *m = w->m;

	while (!READ_ONCE(w->stop)) {
		NOTE(w, zpci_vm_aif_register(m, w->rounds & 1), 0, EEXIST, EPERM,
		     ENODEV, w->reset_err);
		NOTE(w, zpci_vm_interp(m, false), 0, EBUSY, EAGAIN, ENODEV);
		NOTE(w, zpci_vm_aif_deregister(m), 0, ENOENT);
		NOTE(w, zpci_vm_interp(m, w->rounds & 2), 0, EBUSY, EAGAIN,
		     ENODEV);
		NOTE(w, zpci_vm_interp(m, true), 0, EAGAIN, ENODEV);
		WRITE_ONCE(w->rounds, w->rounds + 1);
	}
	return NULL;
}

/*
 * Two threads switch everything, a vCPU refreshes. The function or the device
 * is closed, or the function is reset.
 */
TEST_F_TIMEOUT(zpci_interp, under_load, ZPCI_TIMEOUT)
{
	struct zpci_storm storm = {
		.flags = STORM_RPCIT | STORM_WHOLE | STORM_PAGES,
		.gpa = ZPCI_GUEST_MEM,
		.frames = 64,
		.size = MAPPED,
		.seed = 1,
		.count = ~0UL,
	};
	struct zpci_vm *m = &self->m;
	struct zpci_storm_thread thread;
	struct worker w[2] = {};
	pthread_t threads[2];
	const char *leaked;
	int i, n, null;

	null = open("/dev/null", O_RDWR);
	ASSERT_LE(0, null);
	if (!self->aif)
		SKIP(return, "no interruption forwarding");
	m->guest.user_cc = 3;
	storm.iova = m->pba;
	for (n = 0; n < zpci_scale(6); n++) {
		ASSERT_EQ(0, zpci_vm_ioat_on(m));
		if (zpci_mode_is_nested(variant->mode))
			ASSERT_EQ(0, zpci_vm_attach(m));
		zpci_storm_start(&thread, &m->guest, &storm);
		for (i = 0; i < ARRAY_SIZE(w); i++) {
			w[i] = (struct worker){
				.m = m,
				.reset_err = n % 3 == 2 ? EIO : 0,
			};
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, work,
						    &w[i]));
		}
		for (i = 0; i < 4; i++) {
			u64 rounds = READ_ONCE(w[i & 1].rounds);

			while (READ_ONCE(w[i & 1].rounds) == rounds)
				usleep(1000);
			if (n % 3 == 2)
				zpci_function_reset(m->device);
		}
		if (n % 3 == 1)
			ASSERT_LE(0, dup2(null, m->zpci));
		if (n % 3 != 1)
			zpci_vm_close_function(m);
		for (i = 0; i < ARRAY_SIZE(w); i++) {
			WRITE_ONCE(w[i].stop, true);
			ASSERT_EQ(0, pthread_join(threads[i], NULL));
			/*
			 * /dev/null, which replaced the file, has no
			 * attributes.
			 */
			if (n % 3 == 1 && w[i].wrong == ENOTTY)
				continue;
			EXPECT_EQ(0, w[i].wrong) {
				TH_LOG("round %d: %s: %s", n, w[i].call,
				       strerror(w[i].wrong));
			}
		}
		zpci_storm_stop(&thread);
		zpci_vm_close_zpci(m);
		zpci_vm_close_function(m);
		leaked = zpci_pins_leaked(&self->before);
		EXPECT_EQ(NULL, leaked) {
			TH_LOG("round %d: %s", n, leaked);
		}
		m->zpci = kvm_create_device(m->guest.vm, KVM_DEV_TYPE_S390_ZPCI);
		zpci_vm_open_function(m, variant->mode);
		ASSERT_EQ(0, zpci_vm_bind(m));
		zpci_guest_clear_tables(&m->guest);
	}
	close(null);
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	return zpci_harness_run(argc, argv);
}
