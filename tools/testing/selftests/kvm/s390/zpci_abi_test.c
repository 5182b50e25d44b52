// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the complete user-space interface
 *
 * Covers all sizes, flags, reserved fields, groups and attributes that user
 * space can pass to the KVM device, and invalid pointers and files.
 * zpci_device_test covers valid calls.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <linux/build_bug.h>
#include <linux/vfio_zdev.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "zpci_harness.h"
#include "zpci_vm.h"

/* The sizes of the payloads are ABI. */
static_assert(sizeof(struct kvm_s390_zpci_bind) == 32, "size of bind");
static_assert(sizeof(struct kvm_s390_zpci_ioat) == 32, "size of ioat");
static_assert(sizeof(struct kvm_s390_zpci_ioat_stats) == 64, "size of stats");
static_assert(sizeof(struct kvm_s390_zpci_interp) == 32, "size of interp");
static_assert(sizeof(struct kvm_s390_zpci_aif) == 64, "size of aif");
static_assert(sizeof(struct kvm_s390_zpci_aif_stats) == 64, "size of AIF stats");
static_assert(sizeof(struct vfio_device_info_cap_zpci_interp) == 24, "size of cap");

/* Map a page between two unmapped ones: an access beyond it faults. */
static void *lone_page(void)
{
	void *area = mmap(NULL, 3 * PAGE_SIZE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(area != MAP_FAILED, "no memory");
	TEST_ASSERT(!mprotect(area + PAGE_SIZE, PAGE_SIZE,
			      PROT_READ | PROT_WRITE), "mprotect");
	return area + PAGE_SIZE;
}

enum request { SET, GET, HAS };

static const unsigned long requests[] = {
	[SET] = KVM_SET_DEVICE_ATTR,
	[GET] = KVM_GET_DEVICE_ATTR,
	[HAS] = KVM_HAS_DEVICE_ATTR,
};

static int call(struct zpci_vm *m, enum request request, u32 flags, u32 group,
		u64 attr, const void *payload)
{
	struct kvm_device_attr arg = {
		.flags = flags,
		.group = group,
		.attr = attr,
		.addr = (uintptr_t)payload,
	};

	return ioctl(m->zpci, requests[request], &arg) ? errno : 0;
}

FIXTURE(zpci_abi) {
	struct zpci_vm m;
	struct kvm_s390_zpci_bind bind;
	struct kvm_s390_zpci_ioat ioat;
	void *page;
};

FIXTURE_SETUP(zpci_abi)
{
	struct zpci_vm *m = &self->m;

	zpci_vm_create(m, ZPCI_GROUP);
	self->bind.vfio_fd = m->device->fd;
	self->ioat.fh = ZPCI_GUEST_FH;
	self->page = lone_page();
}

FIXTURE_TEARDOWN(zpci_abi)
{
	zpci_vm_destroy(&self->m);
}

static int do_bind(struct zpci_vm *m, const void *payload)
{
	return call(m, SET, 0, KVM_DEV_S390_ZPCI_BIND,
		    KVM_DEV_S390_ZPCI_BIND_VFIO, payload);
}

static int do_switch_on(struct zpci_vm *m, const void *payload)
{
	return call(m, SET, 0, KVM_DEV_S390_ZPCI_IOAT,
		    KVM_DEV_S390_ZPCI_IOAT_ON, payload);
}

static int do_stats(struct zpci_vm *m, void *payload)
{
	return call(m, GET, 0, KVM_DEV_S390_ZPCI_IOAT,
		    KVM_DEV_S390_ZPCI_IOAT_STATS, payload);
}

/*
 * The kernel reads exactly the size of each struct. The struct may be at the
 * start or the end of mapped memory. No byte may be missing.
 */
static void *at_end(void *page, const void *data, size_t size, size_t missing)
{
	void *at = page + PAGE_SIZE - size + missing;

	memcpy(at, data, size - missing);
	return at;
}

TEST_F(zpci_abi, size_of_bind)
{
	struct zpci_vm *m = &self->m;
	size_t missing;
	void *at;

	for (missing = 1; missing <= sizeof(self->bind); missing++) {
		at = at_end(self->page, &self->bind, sizeof(self->bind),
			    missing);
		ASSERT_EQ(EFAULT, do_bind(m, at)) {
			TH_LOG("%zu bytes missing at the end", missing);
		}
		ASSERT_EQ(EFAULT, do_bind(m, self->page - missing)) {
			TH_LOG("%zu bytes missing at the start", missing);
		}
	}
	at = at_end(self->page, &self->bind, sizeof(self->bind), 0);
	EXPECT_EQ(0, do_bind(m, at));
}

TEST_F(zpci_abi, size_of_ioat)
{
	struct zpci_vm *m = &self->m;
	size_t missing;
	void *at;

	ASSERT_EQ(0, zpci_vm_bind(m));
	for (missing = 1; missing <= sizeof(self->ioat); missing++) {
		at = at_end(self->page, &self->ioat, sizeof(self->ioat),
			    missing);
		ASSERT_EQ(EFAULT, do_switch_on(m, at)) {
			TH_LOG("%zu bytes missing at the end", missing);
		}
		ASSERT_EQ(EFAULT, do_switch_on(m, self->page - missing)) {
			TH_LOG("%zu bytes missing at the start", missing);
		}
	}
	at = at_end(self->page, &self->ioat, sizeof(self->ioat), 0);
	EXPECT_EQ(0, do_switch_on(m, at));
}

/*
 * The kernel does not write to a payload that it reads: read-only memory works.
 */
TEST_F(zpci_abi, set_from_read_only)
{
	struct kvm_s390_zpci_bind *bind_arg = self->page;
	struct kvm_s390_zpci_ioat *ioat_arg = self->page + 64;
	struct zpci_vm *m = &self->m;

	*bind_arg = self->bind;
	*ioat_arg = self->ioat;
	ASSERT_EQ(0, mprotect(self->page, PAGE_SIZE, PROT_READ));
	EXPECT_EQ(0, do_bind(m, bind_arg));
	EXPECT_EQ(0, do_switch_on(m, ioat_arg));
	EXPECT_EQ(EFAULT, do_stats(m, self->page)) {
		TH_LOG("statistics written to memory that can only be read");
	}
}

/* The kernel writes all bytes of the statistics and no others. */
TEST_F(zpci_abi, size_of_stats)
{
	const size_t size = sizeof(struct kvm_s390_zpci_ioat_stats);
	struct zpci_vm *m = &self->m;
	u8 *bytes = self->page;
	size_t missing, i;

	ASSERT_EQ(0, zpci_vm_bind(m));
	for (missing = 1; missing <= size; missing++) {
		ASSERT_EQ(EFAULT, do_stats(m, bytes + PAGE_SIZE - size +
					      missing)) {
			TH_LOG("%zu bytes missing at the end", missing);
		}
		ASSERT_EQ(EFAULT, do_stats(m, self->page - missing)) {
			TH_LOG("%zu bytes missing at the start", missing);
		}
	}
	EXPECT_EQ(0, do_stats(m, self->page + PAGE_SIZE - size));
	EXPECT_EQ(0, do_stats(m, self->page));

	memset(self->page, 0xaa, PAGE_SIZE);
	ASSERT_EQ(0, do_stats(m, self->page + 1024));
	for (i = 0; i < PAGE_SIZE; i++) {
		/* All counters are zero. */
		u8 want = i >= 1024 && i < 1024 + size ? 0 : 0xaa;

		ASSERT_EQ(want, bytes[i]) {
			TH_LOG("byte %ld of the statistics", (long)i - 1024);
		}
	}
}

/* The same for struct kvm_device_attr */
TEST_F(zpci_abi, size_of_attr)
{
	struct kvm_device_attr attr = {
		.group = KVM_DEV_S390_ZPCI_BIND,
		.attr = KVM_DEV_S390_ZPCI_BIND_VFIO,
		.addr = (uintptr_t)&self->bind,
	};
	struct zpci_vm *m = &self->m;
	size_t missing;
	int i;

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		for (missing = 1; missing <= sizeof(attr); missing++) {
			void *at = at_end(self->page, &attr, sizeof(attr),
					  missing);

			ASSERT_EQ(-1, ioctl(m->zpci, requests[i], at));
			ASSERT_EQ(EFAULT, errno);
			at = self->page - missing;
			ASSERT_EQ(-1, ioctl(m->zpci, requests[i], at));
			ASSERT_EQ(EFAULT, errno);
		}
	}
	EXPECT_EQ(0, ioctl(m->zpci, KVM_SET_DEVICE_ATTR,
			   at_end(self->page, &attr, sizeof(attr), 0)));
}

TEST_F(zpci_abi, size_of_create_device)
{
	struct kvm_create_device create = {
		.type = KVM_DEV_TYPE_S390_ZPCI,
		.fd = 0x55,
	};
	struct kvm_create_device *at;
	struct zpci_vm *m = &self->m;
	size_t missing;

	for (missing = 1; missing <= sizeof(create); missing++) {
		ASSERT_EQ(-1, ioctl(m->guest.vm->fd, KVM_CREATE_DEVICE,
				    at_end(self->page, &create, sizeof(create),
					   missing)));
		ASSERT_EQ(EFAULT, errno);
	}
	at = at_end(self->page, &create, sizeof(create), 0);
	EXPECT_EQ(0, ioctl(m->guest.vm->fd, KVM_CREATE_DEVICE, at));
	EXPECT_EQ(0, close(at->fd));

	/* Nothing is created, and no descriptor is used. */
	create.flags = KVM_CREATE_DEVICE_TEST;
	at = at_end(self->page, &create, sizeof(create), 0);
	EXPECT_EQ(0, ioctl(m->guest.vm->fd, KVM_CREATE_DEVICE, at));
	EXPECT_EQ(0x55, at->fd);
}

/* No device may be left if the result can't be stored. */
TEST_F(zpci_abi, create_device_to_read_only)
{
	struct kvm_create_device *at = self->page;
	struct zpci_vm *m = &self->m;
	int fd, next;

	fd = dup(0);
	close(fd);
	*at = (struct kvm_create_device){ .type = KVM_DEV_TYPE_S390_ZPCI };
	ASSERT_EQ(0, mprotect(self->page, PAGE_SIZE, PROT_READ));
	EXPECT_EQ(-1, ioctl(m->guest.vm->fd, KVM_CREATE_DEVICE, at));
	EXPECT_EQ(EFAULT, errno);
	next = dup(0);
	/* KVM_CREATE_DEVICE leaves the file to the process: close it. */
	if (next != fd)
		close(fd);
	close(next);
	EXPECT_EQ(0, zpci_vm_bind(m));
}

/* Pass invalid pointers with each attribute. */
TEST_F(zpci_abi, bad_pointers)
{
	const u64 bad[] = {
		0, 1, PAGE_SIZE - 1, (uintptr_t)self->page - PAGE_SIZE,
		(uintptr_t)self->page + PAGE_SIZE, 1UL << 53, 1UL << 62,
		1UL << 63, -1UL, -8UL, -32UL, -64UL, -256UL, -PAGE_SIZE,
	};
	struct zpci_vm *m = &self->m;
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(EFAULT, do_bind(m, (void *)bad[i])) {
			TH_LOG("bind: payload at 0x%lx", bad[i]);
		}
	}
	ASSERT_EQ(0, zpci_vm_bind(m));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(EFAULT, do_switch_on(m, (void *)bad[i])) {
			TH_LOG("switch on: payload at 0x%lx", bad[i]);
		}
		EXPECT_EQ(EFAULT, do_stats(m, (void *)bad[i])) {
			TH_LOG("statistics: payload at 0x%lx", bad[i]);
		}
		/* To switch it off takes no payload: NULL is valid. */
		EXPECT_EQ(bad[i] ? EINVAL : ENOENT,
			  call(m, SET, 0, KVM_DEV_S390_ZPCI_IOAT,
			       KVM_DEV_S390_ZPCI_IOAT_OFF, (void *)bad[i])) {
			TH_LOG("switch off: payload at 0x%lx", bad[i]);
		}
	}
}

/* Payloads need not be aligned. */
TEST_F(zpci_abi, unaligned)
{
	struct zpci_vm *m = &self->m;
	int shift;

	for (shift = 1; shift < 8; shift++) {
		memcpy(self->page + shift, &self->bind, sizeof(self->bind));
		EXPECT_EQ(shift == 1 ? 0 : EBUSY, do_bind(m, self->page + shift));
		memcpy(self->page + shift, &self->ioat, sizeof(self->ioat));
		EXPECT_EQ(0, do_switch_on(m, self->page + shift));
		EXPECT_EQ(0, zpci_vm_ioat_off(m));
		EXPECT_EQ(0, do_stats(m, self->page + shift));
	}
}

/* Set each bit of each flags field. */
TEST_F(zpci_abi, unknown_flags)
{
	struct kvm_s390_zpci_bind b = self->bind;
	struct kvm_s390_zpci_ioat i = self->ioat;
	struct kvm_s390_zpci_ioat_stats s;
	struct zpci_vm *m = &self->m;
	u32 bit;

	for (bit = 1; bit; bit <<= 1) {
		b.flags = bit;
		EXPECT_EQ(EINVAL, do_bind(m, &b)) {
			TH_LOG("bind: flag 0x%x", bit);
		}
		EXPECT_EQ(EINVAL, call(m, SET, bit, KVM_DEV_S390_ZPCI_BIND,
				       KVM_DEV_S390_ZPCI_BIND_VFIO,
				       &self->bind)) {
			TH_LOG("set: flag 0x%x", bit);
		}
	}
	ASSERT_EQ(0, zpci_vm_bind(m));
	for (bit = 1; bit; bit <<= 1) {
		i.flags = bit;
		EXPECT_EQ(EINVAL, do_switch_on(m, &i)) {
			TH_LOG("switch on: flag 0x%x", bit);
		}
		EXPECT_EQ(EINVAL, call(m, SET, bit, KVM_DEV_S390_ZPCI_IOAT,
				       KVM_DEV_S390_ZPCI_IOAT_ON,
				       &self->ioat));
		EXPECT_EQ(EINVAL, call(m, SET, bit, KVM_DEV_S390_ZPCI_IOAT,
				       KVM_DEV_S390_ZPCI_IOAT_OFF, NULL));
		EXPECT_EQ(EINVAL, call(m, GET, bit, KVM_DEV_S390_ZPCI_IOAT,
				       KVM_DEV_S390_ZPCI_IOAT_STATS, &s)) {
			TH_LOG("get: flag 0x%x", bit);
		}
		EXPECT_EQ(EINVAL, call(m, HAS, bit, KVM_DEV_S390_ZPCI_IOAT,
				       KVM_DEV_S390_ZPCI_IOAT_STATS, NULL)) {
			TH_LOG("has: flag 0x%x is said to be there", bit);
		}
	}
	EXPECT_EQ(0, do_switch_on(m, &self->ioat));
}

/* Set each bit of each reserved byte. */
TEST_F(zpci_abi, reserved_bytes)
{
	struct kvm_s390_zpci_bind b = self->bind;
	struct kvm_s390_zpci_ioat i = self->ioat;
	struct zpci_vm *m = &self->m;
	u8 *byte;
	int n;

	for (n = 0; n < sizeof(b.reserved); n++) {
		byte = (u8 *)b.reserved + n;
		*byte = 1 << n % 8;
		EXPECT_EQ(EINVAL, do_bind(m, &b)) {
			TH_LOG("bind: reserved byte %d", n);
		}
		*byte = 0;
	}
	ASSERT_EQ(0, do_bind(m, &b));
	for (n = 0; n < sizeof(i.reserved); n++) {
		byte = (u8 *)i.reserved + n;
		*byte = 1 << n % 8;
		EXPECT_EQ(EINVAL, do_switch_on(m, &i)) {
			TH_LOG("switch on: reserved byte %d", n);
		}
		*byte = 0;
	}
	EXPECT_EQ(0, do_switch_on(m, &i));
}

/* Groups that the machine does not support are unknown. */
static bool has_group(u32 group)
{
	int caps = kvm_check_cap(KVM_CAP_S390_ZPCI_DEVICE);

	return caps & (group == KVM_DEV_S390_ZPCI_AIF ? KVM_S390_ZPCI_CAP_AIF :
							KVM_S390_ZPCI_CAP_INTERP);
}

static bool known(u32 group, u64 attr)
{
	switch (group) {
	case KVM_DEV_S390_ZPCI_INTERP:
		return attr >= KVM_DEV_S390_ZPCI_INTERP_STATE &&
		       attr <= KVM_DEV_S390_ZPCI_INTERP_OFF && has_group(group);
	case KVM_DEV_S390_ZPCI_AIF:
		return attr >= KVM_DEV_S390_ZPCI_AIF_REG &&
		       attr <= KVM_DEV_S390_ZPCI_AIF_STATS && has_group(group);
	case KVM_DEV_S390_ZPCI_BIND:
		return attr == KVM_DEV_S390_ZPCI_BIND_VFIO;
	case KVM_DEV_S390_ZPCI_IOAT:
		return attr >= KVM_DEV_S390_ZPCI_IOAT_ON &&
		       attr <= KVM_DEV_S390_ZPCI_IOAT_STATS;
	}
	return false;
}

/* Pass a payload that is valid for every known attribute. */
static const char *is_unknown(struct zpci_vm *m, u32 group, u64 attr)
{
	static const char * const names[] = { "set", "get", "has" };
	u64 payload[64] = {};
	static char text[80];
	int i, err;

	if (known(group, attr))
		return call(m, HAS, 0, group, attr, NULL) ?
		       "a known attribute is missing" : NULL;
	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		err = call(m, i, 0, group, attr, payload);
		if (err == ENXIO)
			continue;
		snprintf(text, sizeof(text), "%s: group %u, attribute 0x%lx: %s",
			 names[i], group, attr, strerror(err));
		return text;
	}
	return NULL;
}

TEST_F(zpci_abi, unknown_attributes)
{
	static const u32 groups[] = {
		0, 1, 2, 3, 4, 5, 0xffff, 1U << 31, ~0U
	};
	struct zpci_vm *m = &self->m;
	int g, n;

	ASSERT_EQ(0, zpci_vm_bind(m));
	for (g = 0; g < ARRAY_SIZE(groups); g++) {
		for (n = 0; n < 64; n++) {
			u64 bit = 1UL << n;

			ASSERT_WORKS(is_unknown(m, groups[g], n));
			ASSERT_WORKS(is_unknown(m, groups[g], bit));
			ASSERT_WORKS(is_unknown(m, groups[g], bit - 1));
			ASSERT_WORKS(is_unknown(m, groups[g], ~bit));
			/* Known numbers with one bit added */
			if (n >= 2)
				ASSERT_WORKS(is_unknown(m, groups[g], bit | 1));
		}
		ASSERT_WORKS(is_unknown(m, groups[g], ~0UL));
	}
	for (n = 0; n < 256; n++)
		ASSERT_WORKS(is_unknown(m, n, KVM_DEV_S390_ZPCI_IOAT_ON));
	for (n = 3; n < 32; n++)
		ASSERT_WORKS(is_unknown(m, 1U << n | KVM_DEV_S390_ZPCI_IOAT,
					KVM_DEV_S390_ZPCI_IOAT_ON));
}

/*
 * Interpretation and forwarding. On a machine without them every call returns
 * ENXIO.
 */
static int expect(u32 group, int err)
{
	return has_group(group) ? err : ENXIO;
}

static int set_aif(struct zpci_vm *m, const void *payload)
{
	return call(m, SET, 0, KVM_DEV_S390_ZPCI_AIF, KVM_DEV_S390_ZPCI_AIF_REG,
		    payload);
}

TEST_F(zpci_abi, size_of_aif)
{
	const struct kvm_s390_zpci_aif aif = zpci_vm_aif();
	struct zpci_vm *m = &self->m;
	size_t missing;
	void *at;

	ASSERT_EQ(0, zpci_vm_bind(m));
	for (missing = 1; missing <= sizeof(aif); missing++) {
		at = at_end(self->page, &aif, sizeof(aif), missing);
		ASSERT_EQ(expect(KVM_DEV_S390_ZPCI_AIF, EFAULT), set_aif(m, at)) {
			TH_LOG("%zu bytes missing at the end", missing);
		}
		at = self->page - missing;
		ASSERT_EQ(expect(KVM_DEV_S390_ZPCI_AIF, EFAULT), set_aif(m, at)) {
			TH_LOG("%zu bytes missing at the start", missing);
		}
	}
	at = at_end(self->page, &aif, sizeof(aif), 0);
	ASSERT_EQ(0, mprotect(self->page, PAGE_SIZE, PROT_READ));
	EXPECT_EQ(expect(KVM_DEV_S390_ZPCI_AIF, 0), set_aif(m, at));
	EXPECT_EQ(expect(KVM_DEV_S390_ZPCI_AIF, 0), zpci_vm_aif_deregister(m));
}

/* The kernel writes all bytes of what it returns and no others. */
static const char *sweep_get(struct zpci_vm *m, u32 group, u64 attr, u8 *page,
			     size_t size)
{
	static char text[80];
	size_t missing, i;
	int want, err;

	for (missing = 0; missing <= size; missing++) {
		want = expect(group, missing ? EFAULT : 0);
		err = call(m, GET, 0, group, attr,
			   page + PAGE_SIZE - size + missing);
		if (err == want && missing)
			err = call(m, GET, 0, group, attr, page - missing);
		if (err == want)
			continue;
		snprintf(text, sizeof(text), "%zu bytes missing: %s", missing,
			 strerror(err));
		return text;
	}

	memset(page, 0xaa, PAGE_SIZE);
	if (call(m, GET, 0, group, attr, page + 1024) != expect(group, 0))
		return "not what it was";
	for (i = 0; i < PAGE_SIZE; i++) {
		if (i >= 1024 && i < 1024 + size && has_group(group))
			continue;
		if (page[i] != 0xaa)
			return "a byte outside was written to";
	}
	/* The second half of each is reserved. */
	for (i = 1024 + size / 2; has_group(group) && i < 1024 + size; i++) {
		if (page[i])
			return "a reserved byte was not written to";
	}
	return NULL;
}

TEST_F(zpci_abi, size_of_interp_state)
{
	ASSERT_EQ(0, zpci_vm_bind(&self->m));
	ASSERT_WORKS(sweep_get(&self->m, KVM_DEV_S390_ZPCI_INTERP,
			       KVM_DEV_S390_ZPCI_INTERP_STATE, self->page,
			       sizeof(struct kvm_s390_zpci_interp)));
}

TEST_F(zpci_abi, size_of_aif_stats)
{
	ASSERT_EQ(0, zpci_vm_bind(&self->m));
	ASSERT_WORKS(sweep_get(&self->m, KVM_DEV_S390_ZPCI_AIF,
			       KVM_DEV_S390_ZPCI_AIF_STATS, self->page,
			       sizeof(struct kvm_s390_zpci_aif_stats)));
}

TEST_F(zpci_abi, aif_flags_and_reserved)
{
	struct kvm_s390_zpci_aif aif = zpci_vm_aif();
	const u32 group = KVM_DEV_S390_ZPCI_AIF;
	struct zpci_vm *m = &self->m;
	u64 attr;
	u32 bit;
	int n;

	ASSERT_EQ(0, zpci_vm_bind(m));
	for (bit = 1; bit; bit <<= 1) {
		/* The flags of the request are checked first. */
		for (attr = 0; attr < 4; attr++) {
			EXPECT_EQ(EINVAL, call(m, SET, bit, group, attr, NULL));
			EXPECT_EQ(EINVAL, call(m, GET, bit, group, attr, NULL));
			EXPECT_EQ(EINVAL, call(m, HAS, bit, group, attr, NULL));
		}
		if (bit & (KVM_S390_ZPCI_AIF_HOST | KVM_S390_ZPCI_AIF_SUMMARY))
			continue;
		aif.flags |= bit;
		EXPECT_EQ(expect(group, EINVAL), set_aif(m, &aif)) {
			TH_LOG("flag 0x%x", bit);
		}
		aif.flags &= ~bit;
	}
	for (n = 0; n < sizeof(aif.reserved0); n++) {
		aif.reserved0[n] = 1 << n % 8;
		EXPECT_EQ(expect(group, EINVAL), set_aif(m, &aif)) {
			TH_LOG("reserved0: byte %d", n);
		}
		aif.reserved0[n] = 0;
	}
	for (n = 0; n < sizeof(aif.reserved); n++) {
		u8 *byte = (u8 *)aif.reserved + n;

		*byte = 1 << n % 8;
		EXPECT_EQ(expect(group, EINVAL), set_aif(m, &aif)) {
			TH_LOG("reserved: byte %d", n);
		}
		*byte = 0;
	}
	EXPECT_EQ(expect(group, 0), set_aif(m, &aif));
}

/* The last valid and the first invalid values of each field */
TEST_F(zpci_abi, aif_fields)
{
	const struct kvm_s390_zpci_aif good = zpci_vm_aif();
	const u32 group = KVM_DEV_S390_ZPCI_AIF;
	struct vfio_device_info_cap_zpci_interp *cap;
	struct kvm_s390_zpci_aif aif[28], *a = aif;
	struct zpci_vm *m = &self->m;
	int i, n, bad, noi = 1;

	ASSERT_EQ(0, zpci_vm_bind(m));
	cap = (void *)vfio_pci_device_cap(m->device, VFIO_DEVICE_INFO_CAP_ZPCI_INTERP);
	if (cap)
		noi = cap->noi;
	free(cap);

	for (i = 0; i < ARRAY_SIZE(aif); i++)
		aif[i] = good;
	/* Invalid */
	(a++)->noi = 0;
	(a++)->noi = noi + 1;
	(a++)->noi = 0x1001;
	(a++)->noi = ~0U;
	(a++)->isc = 8;
	(a++)->isc = 255;
	(a++)->ibvo = 64;
	(a++)->ibvo = 255;
	(a++)->sbo = 64;
	(a++)->sbo = 255;
	(a++)->ibv += 1;
	(a++)->ibv += 4;
	(a++)->sb += 1;
	(a++)->sb += 4;
	(a++)->flags = 0;
	a->flags = 0;
	a->sb = 0;
	(a++)->sbo = 1;
	a->ibv += PAGE_SIZE - 8;
	a->ibvo = 63;
	(a++)->noi = 2;
	bad = a - aif;
	/* Outside guest memory */
	(a++)->ibv = ZPCI_GUEST_NOWHERE;
	(a++)->ibv = -8UL;
	(a++)->sb = ZPCI_GUEST_NOWHERE;
	(a++)->sb = -8UL;
	n = a - aif;
	/* Valid */
	(a++)->noi = noi;
	(a++)->isc = 7;
	(a++)->ibvo = 63;
	(a++)->sbo = 63;
	a->flags = 0;
	(a++)->sb = 0;
	a->ibv += PAGE_SIZE - 8;
	(a++)->ibvo = 63;
	a->flags |= KVM_S390_ZPCI_AIF_HOST;
	(a++)->sb += PAGE_SIZE - 8;
	ASSERT_EQ(ARRAY_SIZE(aif), a - aif);

	for (i = 0; i < ARRAY_SIZE(aif); i++) {
		int want = i < bad ? EINVAL : i < n ? EFAULT : 0;

		EXPECT_EQ(expect(group, want), set_aif(m, &aif[i])) {
			TH_LOG("parameters %d of the list", i);
		}
		want = want ? ENOENT : 0;
		EXPECT_EQ(expect(group, want), zpci_vm_aif_deregister(m)) {
			TH_LOG("after parameters %d of the list", i);
		}
	}
}

/* Attributes without a payload refuse one. */
TEST_F(zpci_abi, no_payload)
{
	const u32 interp = KVM_DEV_S390_ZPCI_INTERP, aif = KVM_DEV_S390_ZPCI_AIF;
	struct zpci_vm *m = &self->m;
	void *payload = self->page;

	ASSERT_EQ(0, zpci_vm_bind(m));
	EXPECT_EQ(expect(interp, EINVAL),
		  call(m, SET, 0, interp, KVM_DEV_S390_ZPCI_INTERP_ON, payload));
	EXPECT_EQ(expect(interp, EINVAL),
		  call(m, SET, 0, interp, KVM_DEV_S390_ZPCI_INTERP_OFF, payload));
	EXPECT_EQ(expect(aif, EINVAL),
		  call(m, SET, 0, aif, KVM_DEV_S390_ZPCI_AIF_DEREG, payload));
	/* Attributes that can only be set can't be read, and vice versa. */
	EXPECT_EQ(ENXIO, call(m, GET, 0, interp, KVM_DEV_S390_ZPCI_INTERP_ON,
			      payload));
	EXPECT_EQ(ENXIO, call(m, SET, 0, interp, KVM_DEV_S390_ZPCI_INTERP_STATE,
			      payload));
	EXPECT_EQ(ENXIO, call(m, GET, 0, aif, KVM_DEV_S390_ZPCI_AIF_REG,
			      payload));
	EXPECT_EQ(ENXIO, call(m, SET, 0, aif, KVM_DEV_S390_ZPCI_AIF_STATS,
			      payload));
}

/* Unknown requests to the file of the device */
TEST_F(zpci_abi, unknown_requests)
{
	struct zpci_vm *m = &self->m;
	char buffer[256] = {};
	int n;

	for (n = 0; n < 256; n++) {
		unsigned long request = _IO(KVMIO, n);

		if (ioctl(m->zpci, request, buffer) != -1 || errno != ENOTTY)
			EXPECT_EQ(ENOTTY, errno) {
				TH_LOG("request 0x%lx", request);
			}
	}
	EXPECT_EQ(-1, read(m->zpci, buffer, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(m->zpci, buffer, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED,
				   m->zpci, 0));
	EXPECT_EQ(ENODEV, errno);
}

/* Pass files of other kinds instead of a VFIO device. */
TEST_F(zpci_abi, files_of_wrong_kind)
{
	struct zpci_vm *m = &self->m;
	struct kvm_s390_zpci_bind b = {};
	int pipes[2], sockets[2], fds[32], n = 0, i;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	fds[n++] = m->guest.vm->kvm_fd;
	fds[n++] = m->guest.vm->fd;
	fds[n++] = m->guest.vcpu->fd;
	fds[n++] = m->zpci;
	fds[n++] = m->kvm_vfio;
	fds[n++] = zpci_function_iommu_fd(m->device);
	fds[n++] = pipes[0];
	fds[n++] = pipes[1];
	fds[n++] = sockets[0];
	fds[n++] = eventfd(0, 0);
	fds[n++] = epoll_create1(0);
	fds[n++] = memfd_create("zpci", 0);
	fds[n++] = open("/dev/null", O_RDWR);
	fds[n++] = open("/dev/zero", O_RDWR);
	fds[n++] = open("/", O_RDONLY | O_DIRECTORY);
	fds[n++] = open("/proc/self/status", O_RDONLY);
	fds[n++] = kvm_create_device(m->guest.vm, KVM_DEV_TYPE_S390_ZPCI);
	/* A group is a VFIO file, but not of a device. */
	fds[n++] = m->device->group_fd;
	for (i = 0; i < n; i++) {
		ASSERT_LE(0, fds[i]);
		b.vfio_fd = fds[i];
		EXPECT_EQ(EINVAL, do_bind(m, &b)) {
			TH_LOG("file %d of the list", i);
		}
	}

	/* Numbers that are no files */
	b.vfio_fd = dup(0);
	close(b.vfio_fd);
	EXPECT_EQ(EBADF, do_bind(m, &b));
	b.vfio_fd = open("/dev/null", O_PATH);
	ASSERT_LE(0, b.vfio_fd);
	EXPECT_EQ(EBADF, do_bind(m, &b));
	for (i = 0; i < 31; i++) {
		b.vfio_fd = -1U << i;
		EXPECT_EQ(EBADF, do_bind(m, &b));
		b.vfio_fd = 1U << 30 | 1U << i;
		EXPECT_EQ(EBADF, do_bind(m, &b));
	}
	b.vfio_fd = 1U << 31;
	EXPECT_EQ(EBADF, do_bind(m, &b));

	EXPECT_EQ(0, zpci_vm_bind(m)) {
		TH_LOG("a refused file stands in the way of the right one");
	}
}

/* A duplicate of the descriptor works. The binding needs neither afterwards. */
TEST_F(zpci_abi, duplicate)
{
	struct zpci_vm *m = &self->m;

	self->bind.vfio_fd = dup(m->device->fd);
	EXPECT_EQ(0, do_bind(m, &self->bind));
	close(self->bind.vfio_fd);
	EXPECT_EQ(0, zpci_vm_ioat_on(m));
}

/*
 * VFIO_DEVICE_GET_INFO returns capabilities. Whatever size user space passes,
 * the kernel must not write beyond it or return part of a capability.
 */
TEST_F(zpci_abi, size_of_info)
{
	const u32 min = offsetof(struct vfio_device_info, num_irqs) +
			sizeof(u32);
	struct vfio_device_info_cap_zpci_interp *cap;
	struct zpci_vm *m = &self->m;
	struct vfio_device_info *info;
	int found = 0;
	u32 size, full;

	info = self->page;
	info->argsz = min;
	ASSERT_EQ(0, ioctl(m->device->fd, VFIO_DEVICE_GET_INFO, info));
	full = info->argsz;
	ASSERT_LT(min, full);
	ASSERT_GT(PAGE_SIZE, full);

	for (size = 0; size <= full; size++) {
		u32 offset;

		info = self->page + PAGE_SIZE - size;
		/* A shorter struct has no argsz. */
		if (size < sizeof(info->argsz))
			continue;
		memset(info, 0, size);
		info->argsz = size;
		if (ioctl(m->device->fd, VFIO_DEVICE_GET_INFO, info)) {
			/* The kernel reads all of @min or fails. */
			ASSERT_GT(min, size);
			ASSERT_TRUE(errno == EFAULT || errno == EINVAL);
			continue;
		}
		ASSERT_LE(min, size);
		if (size < full) {
			ASSERT_EQ(full, info->argsz) {
				TH_LOG("size %u: wanted size is not told",
				       size);
			}
			continue;
		}
		for (offset = info->cap_offset; offset; offset = cap->header.next) {
			cap = (void *)info + offset;
			if (cap->header.id != VFIO_DEVICE_INFO_CAP_ZPCI_INTERP)
				continue;
			found++;
			ASSERT_GE(full, offset + sizeof(*cap));
			EXPECT_EQ(1, cap->header.version);
			EXPECT_EQ(0, cap->reserved);
		}
	}
	EXPECT_EQ(has_group(KVM_DEV_S390_ZPCI_INTERP), found) {
		TH_LOG("VFIO and KVM don't agree on what the machine has");
	}
}

int main(int argc, char **argv)
{
	zpci_vm_require();
	return zpci_harness_run(argc, argv);
}
